//! The program inside of the sandbox: tries things and prints one `name=value` line for each.

use std::net::TcpListener;
use std::time::Duration;

use hostel_sys::cred::prove_dropped;
use hostel_sys::process::{parent, set_non_dumpable};
use rustix::net::sockopt;
use rustix::process::{Resource, Rlimit, Uid, getrlimit, parent_process_death_signal, setrlimit};

use crate::attempts::{attempt, outcome};

pub(crate) fn run() {
    set_non_dumpable().unwrap();
    match prove_dropped() {
        Ok(_) => println!("dropped=yes"),
        Err(error) => println!("dropped={error}"),
    }
    identity();
    limits();
    sockets();
    for (name, directory) in [
        ("root", "/"),
        ("dev", "/dev"),
        ("run", "/run"),
        ("srv", "/srv"),
    ] {
        println!("{name}={}", names(directory));
    }
    println!("processes={}", numbers("/proc"));
    for argument in std::env::args().skip(2) {
        let (kind, path) = argument.split_once(':').unwrap();
        println!("{argument}={}", attempt(kind, path));
    }
    for (name, file) in [
        ("passwd", "/etc/passwd"),
        ("group", "/etc/group"),
        ("mounts", "/proc/self/mountinfo"),
    ] {
        println!(
            "{name}={}",
            std::fs::read_to_string(file).unwrap().replace('\n', "|")
        );
    }
}

fn identity() {
    println!("pid={}", std::process::id());
    println!("parent={}", parent());
    for line in std::fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
    {
        let (name, value) = line.split_once(':').unwrap();
        if [
            "Uid",
            "Gid",
            "Groups",
            "CapInh",
            "CapPrm",
            "CapEff",
            "CapBnd",
            "CapAmb",
            "NoNewPrivs",
            "Seccomp",
            "SigBlk",
            "Umask",
        ]
        .contains(&name)
        {
            let value: Vec<&str> = value.split_whitespace().collect();
            println!("{name}={}", value.join(" "));
        }
    }
    let behaviour = rustix::process::dumpable_behavior().unwrap();
    println!("dumpable={}", behaviour as i32);
    println!("descriptors={}", descriptors());
    println!("keyring={}", session_keyring());
    let environment: Vec<String> = std::env::vars().map(|(k, v)| format!("{k}:{v}")).collect();
    println!("environment={}", environment.join(","));
    println!(
        "working-directory={}",
        std::env::current_dir().unwrap().display()
    );
}

/// The number of this process's session keyring, or of the error where it has none.
#[allow(unsafe_code, reason = "keyctl has no safe wrapper")]
pub(crate) fn session_keyring() -> i64 {
    let (which, make) = (libc::KEY_SPEC_SESSION_KEYRING, 0);
    // SAFETY: three numbers.
    match unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_GET_KEYRING_ID, which, make) } {
        -1 => -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap()),
        number => number,
    }
}

#[allow(unsafe_code, reason = "io_uring has no safe wrapper here")]
fn sockets() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let set = sockopt::set_socket_linger(&socket, Some(Duration::from_secs(60)));
    println!(
        "linger={}, {:?}",
        outcome(set),
        sockopt::socket_linger(&socket)
    );
    println!(
        "no-delay={}",
        outcome(sockopt::set_tcp_nodelay(&socket, true))
    );
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: a null pointer is an error and nothing else.
    let answer = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, nothing) };
    assert_eq!(answer, -1);
    let error = std::io::Error::last_os_error().raw_os_error().unwrap();
    println!("io-uring={error}");
}

/// What it may do, and what it may not.
fn limits() {
    println!(
        "death-signal={:?}",
        parent_process_death_signal().unwrap().map(|s| s.as_raw())
    );
    for (name, resource) in [
        ("core", Resource::Core),
        ("open-files", Resource::Nofile),
        ("processes", Resource::Nproc),
        ("data", Resource::Data),
        ("locked", Resource::Memlock),
        ("messages", Resource::Msgqueue),
        ("signals", Resource::Sigpending),
        ("real-time", Resource::Rtprio),
        ("nice", Resource::Nice),
    ] {
        let limit = getrlimit(resource);
        let number =
            |limit: Option<u64>| limit.map_or("none".to_owned(), |limit| limit.to_string());
        println!(
            "limit-{name}={}/{}",
            number(limit.current),
            number(limit.maximum)
        );
    }
    for file in ["oom_score_adj", "cgroup"] {
        let text = std::fs::read_to_string(format!("/proc/self/{file}")).unwrap();
        println!("{file}={}", text.trim_end().replace('\n', "|"));
    }
    let all = Rlimit {
        current: None,
        maximum: None,
    };
    println!("raise-core={}", outcome(setrlimit(Resource::Core, all)));
    println!("raise-files={}", outcome(setrlimit(Resource::Nofile, all)));
    println!(
        "become-root={}",
        outcome(rustix::thread::set_thread_uid(Uid::ROOT))
    );
    println!(
        "mount={}",
        outcome(rustix::mount::unmount(
            c"/proc",
            rustix::mount::UnmountFlags::empty()
        ))
    );
    println!("chroot={}", outcome(rustix::process::chroot(c"/tmp")));
    println!(
        "bind-low-port={}",
        outcome(TcpListener::bind("127.0.0.1:81"))
    );
}

fn names(directory: &str) -> String {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return String::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.join(",")
}

fn numbers(directory: &str) -> String {
    let names = names(directory);
    let numbers: Vec<&str> = names
        .split(',')
        .filter(|name| name.parse::<u32>().is_ok())
        .collect();
    numbers.join(",")
}

/// The open ones, without the one that the look itself needs.
fn descriptors() -> String {
    let open = |fd: &i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok();
    let open: Vec<String> = (0..2000).filter(open).map(|fd| fd.to_string()).collect();
    open.join(",")
}
