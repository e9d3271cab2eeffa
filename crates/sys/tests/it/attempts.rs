//! What the program inside of the sandbox tries when it is told to: `kind:object`, answered by `yes` or by why not.

use std::fs::{File, OpenOptions};
use std::io::{self, Error, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};

use hostel_sys::cred::prove_dropped;
use hostel_sys::sandbox::calls::{SITES, When};
use hostel_sys::sandbox::restrict_scripts;

pub(crate) fn attempt(kind: &str, object: &str) -> String {
    match kind {
        "read" => {
            let mut byte = [0];
            outcome(File::open(object).and_then(|mut file| file.read(&mut byte)))
        }
        "list" => outcome(std::fs::read_dir(object)),
        "write" => outcome(std::fs::write(Path::new(object).join("probe-wrote"), "x")),
        "overwrite" => outcome(OpenOptions::new().write(true).open(object)),
        "device" => outcome(File::create(object).and_then(|mut device| device.write_all(b"x"))),
        "move" => outcome(move_about(Path::new(object))),
        "abstract" => outcome(
            SocketAddr::from_abstract_name(object)
                .and_then(|address| UnixStream::connect_addr(&address)),
        ),
        "port" => {
            let port = object.parse().unwrap();
            outcome(std::net::TcpStream::connect(("127.0.0.1", port)))
        }
        "calls" => listed_calls(),
        "socket" => socket(object),
        "clone" => clone(object),
        "make" => make(object),
        "personality" => called(libc::SYS_personality, [personality(object), 0, 0]),
        "terminal" => called(libc::SYS_ioctl, [0, 0x5412, c"x".as_ptr() as libc::c_long]),
        "number" => called(object.parse().unwrap(), [0, 0, 0]),
        "attributes" => attributes(object),
        "worker" => worker(object),
        "cost" => {
            crate::cost::print_costs();
            "yes".to_owned()
        }
        _ => panic!("no such attempt: {kind}"),
    }
}

/// All that the name of a file goes through: made, moved and linked between directories, cut, its mode set, removed.
fn move_about(directory: &Path) -> io::Result<()> {
    let (one, two) = (directory.join("one"), directory.join("two"));
    std::fs::create_dir(&one)?;
    std::fs::create_dir_all(two.join("deep"))?;
    std::fs::write(one.join("file"), "text")?;
    std::fs::rename(one.join("file"), two.join("file"))?;
    std::fs::hard_link(two.join("file"), one.join("link"))?;
    std::os::unix::fs::symlink("file", two.join("symbolic"))?;
    std::fs::rename(two.join("deep"), one.join("deep"))?;
    File::options()
        .write(true)
        .open(two.join("file"))?
        .set_len(1)?;
    std::fs::set_permissions(
        two.join("file"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )?;
    std::os::unix::net::UnixListener::bind(two.join("socket"))?;
    std::fs::remove_dir_all(&one)?;
    std::fs::remove_dir_all(&two)
}

/// Each call that is denied whatever its arguments, with none that would do anything; prints errno, or 0.
fn listed_calls() -> String {
    for entry in SITES {
        if let When::Always = entry.when {
            for (name, number) in entry.calls {
                // With 0 ptrace would succeed, and the next signal stop this process.
                let first = if *number == libc::SYS_ptrace { 99 } else { 0 };
                println!("{name}={}", errno(*number, [first, 0, 0]));
            }
        }
    }
    "yes".to_owned()
}

fn socket(what: &str) -> String {
    let (call, family, kind, protocol) = match what {
        "inet stream" => (libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0),
        "inet6 datagram" => (
            libc::SYS_socket,
            libc::AF_INET6,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC,
            libc::IPPROTO_UDP,
        ),
        "unix stream" => (libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0),
        "routes" => (libc::SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, 0),
        "inet raw" => (
            libc::SYS_socket,
            libc::AF_INET,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            libc::IPPROTO_ICMP,
        ),
        "packet" => (libc::SYS_socket, libc::AF_PACKET, libc::SOCK_DGRAM, 0),
        "alg" => (libc::SYS_socket, libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
        "vsock" => (libc::SYS_socket, libc::AF_VSOCK, libc::SOCK_STREAM, 0),
        "mptcp" => (
            libc::SYS_socket,
            libc::AF_INET,
            libc::SOCK_STREAM,
            libc::IPPROTO_MPTCP,
        ),
        "diagnosis" => (
            libc::SYS_socket,
            libc::AF_NETLINK,
            libc::SOCK_RAW,
            libc::NETLINK_SOCK_DIAG,
        ),
        "pair tipc" => (libc::SYS_socketpair, libc::AF_TIPC, libc::SOCK_DGRAM, 0),
        _ => panic!("no such socket: {what}"),
    };
    called(call, [family, kind, protocol].map(libc::c_long::from))
}

fn clone(what: &str) -> String {
    let flags = match what {
        "thread" => return outcome(std::thread::Builder::new().spawn(|| ())),
        "program" => return outcome(Command::new("/bin/true").status()),
        "user" => libc::CLONE_NEWUSER,
        "mount" => libc::CLONE_NEWNS | libc::CLONE_NEWPID,
        _ => panic!("no such clone: {what}"),
    };
    called(libc::SYS_clone, [(flags | libc::SIGCHLD).into(), 0, 0])
}

fn make(what: &str) -> String {
    let (path, kind) = match what {
        "fifo" => (c"/tmp/probe-fifo", libc::S_IFIFO),
        "device" => (c"/tmp/probe-device", libc::S_IFCHR),
        _ => panic!("no such file: {what}"),
    };
    let here = libc::AT_FDCWD.into();
    let mode = libc::c_long::from(kind | 0o600);
    called(
        libc::SYS_mknodat,
        [here, path.as_ptr() as libc::c_long, mode],
    )
}

/// Without anything to set: who is let through is told that there is nothing at that address.
fn attributes(what: &str) -> String {
    let command = match what {
        "project" => 0x401c_5820,
        "flags" => 0x4008_6602,
        _ => panic!("no such attributes: {what}"),
    };
    let file = File::create("/tmp/probe-attributes").unwrap();
    called(libc::SYS_ioctl, [file.as_raw_fd().into(), command, 0])
}

fn personality(what: &str) -> libc::c_long {
    match what {
        "ask" => 0xffff_ffff,
        "change" => libc::ADDR_NO_RANDOMIZE.into(),
        _ => panic!("no such personality: {what}"),
    }
}

/// A process that is there before the last layer, and what may be done with it and this process before and after.
fn worker(what: &str) -> String {
    static OTHER: AtomicI32 = AtomicI32::new(0);
    if what == "enter" {
        let dropped = prove_dropped().unwrap();
        return outcome(restrict_scripts(&dropped).map_err(Error::other));
    }
    let sleep = || {
        let mut program = Command::new("/bin/sleep");
        program
            .arg("30")
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
            .id()
    };
    if what == "before" {
        // It ends with process 1 of the sandbox.
        OTHER.store(sleep().cast_signed(), Ordering::Relaxed);
    }
    let other = OTHER.load(Ordering::Relaxed);
    let own = sleep();
    format!(
        "read {}, signal {}, own {}, move {}, dumpable {}",
        attempt("read", &format!("/proc/{other}/environ")),
        called(libc::SYS_kill, [other.into(), 0, 0]),
        called(libc::SYS_kill, [own.into(), 9, 0]),
        attempt("move", "/tmp"),
        called(libc::SYS_prctl, [libc::PR_SET_DUMPABLE.into(), 1, 0]),
    )
}

fn called(call: libc::c_long, arguments: [libc::c_long; 3]) -> String {
    match errno(call, arguments) {
        0 => "yes".to_owned(),
        errno => outcome(Err::<(), _>(Error::from_raw_os_error(errno))),
    }
}

#[allow(
    unsafe_code,
    reason = "the calls are tried as a script's library would make them"
)]
fn errno(call: libc::c_long, [a, b, c]: [libc::c_long; 3]) -> i32 {
    // SAFETY: no call is given a pointer but to a terminated string; a clone without memory of its own is a fork, and ends here.
    match unsafe { libc::syscall(call, a, b, c, 0, 0, 0) } {
        -1 => Error::last_os_error().raw_os_error().unwrap(),
        // SAFETY: ends the process that the call has made.
        0 if call == libc::SYS_clone => unsafe { libc::_exit(0) },
        _ => 0,
    }
}

pub(crate) fn outcome<T, E: Into<Error>>(result: Result<T, E>) -> String {
    match result.map_err(Into::into) {
        Ok(_) => "yes".to_owned(),
        Err(error) if error.kind() == ErrorKind::Other => error.to_string(),
        Err(error) => format!("{:?}", error.kind()),
    }
}
