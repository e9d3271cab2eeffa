//! The front's kind of process from inside: spawned as the front is, then closed in as the front closes itself in.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use hostel_sys::cred::prove_dropped;
use hostel_sys::front_sandbox::{self, Enforced};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};
use rustix::process::{Pid, Signal, getppid, kill_process};

/// The child: everything that a taken over front would try first, one `name=value` line for each.
pub(crate) fn run(spill: &str) {
    let dropped = prove_dropped().unwrap();
    let directory = File::open(spill).unwrap();
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap();
    let enforced = front_sandbox::enter(directory.as_fd(), &dropped).unwrap();
    println!("whole={}", enforced == Enforced::Whole);

    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = openat(&directory, ".", flags, Mode::RUSR | Mode::WUSR);
    println!("unnamed={}", said(&file));
    if let Ok(file) = &file {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let named = linkat(CWD, path.as_str(), &directory, "n", AtFlags::SYMLINK_FOLLOW);
        println!("named={}", said(&named));
    }
    let tmp = openat(CWD, "/tmp", flags, Mode::RUSR);
    println!("unnamed-elsewhere={}", said(&tmp));
    println!("read={}", said(&std::fs::read("/etc/passwd")));
    println!("list={}", said(&std::fs::read_dir(spill)));
    println!(
        "make={}",
        said(&std::fs::write(Path::new(spill).join("x"), "x"))
    );
    println!(
        "exec={}",
        said(&std::process::Command::new("/bin/true").spawn())
    );
    println!("connect={}", said(&std::net::TcpStream::connect(address)));
    println!(
        "listen={}",
        said(&std::net::TcpListener::bind("127.0.0.1:0"))
    );
    println!(
        "unix={}",
        said(&std::os::unix::net::UnixStream::connect("/run/x"))
    );
    let parent = getppid().unwrap_or(Pid::INIT);
    println!("signal={}", said(&kill_process(parent, Signal::CONT)));
    // What it is for goes on.
    let thread = std::thread::spawn(|| "ran");
    println!("thread={}", thread.join().unwrap());
    let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(far);
    println!("pair={}", said(&near.read(&mut [0])));
}

fn said<T, E: std::fmt::Debug>(result: &Result<T, E>) -> &'static str {
    match result {
        Ok(_) => "yes",
        Err(_) => "no",
    }
}
