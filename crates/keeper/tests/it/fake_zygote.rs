//! What stands in for PHP: it does with each worker what the byte in the worker's socket says.

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use hostel_sys::child::{self, Program};
use hostel_sys::fdpass;
use hostel_wire::keeper_zygote::{Death, FromZygote, ToZygote, WorkerId};
use hostel_wire::limits;

/// Say that the worker runs, greet through its socket, keep it open.
pub(crate) const WORK: u8 = b'w';
/// Say that it could not be forked.
pub(crate) const FAIL: u8 = b'f';
/// End, with status 3.
pub(crate) const EXIT: u8 = b'x';
/// The same, [`LATER`].
pub(crate) const EXIT_LATER: u8 = b'l';
/// Send bytes that are no message.
pub(crate) const NONSENSE: u8 = b'n';
/// Speak of a worker that nobody asked for.
pub(crate) const UNKNOWN: u8 = b'u';
/// Send a descriptor, which no message to the keeper has.
pub(crate) const DESCRIPTOR: u8 = b'd';
/// Close the socket and stay.
pub(crate) const HANG_UP: u8 = b'h';
/// Leave a process behind that has lost its parent, then go on as [`WORK`].
pub(crate) const ORPHAN: u8 = b'o';

/// Long enough for a test to do something meanwhile.
pub(crate) const LATER: std::time::Duration = std::time::Duration::from_millis(300);

/// Until the keeper is gone.
pub(crate) fn run() -> ExitCode {
    let keeper = child::inherited_descriptor(3).expect("the keeper gives one descriptor");
    let mut others = std::fs::read_dir("/proc/self/fd").expect("/proc is mounted");
    // 0, 1, 2, the keeper's socket and the directory that is being read.
    assert_eq!(
        others.by_ref().count(),
        5,
        "a descriptor too many was inherited"
    );
    let mut workers = Vec::new();
    let mut buffer = vec![0; limits::MESSAGE_BYTES_MAX];
    loop {
        let received = fdpass::receive(&keeper, &mut buffer).expect("the socket is sound");
        if received.bytes == 0 {
            return ExitCode::SUCCESS;
        }
        let message = ToZygote::decode(&buffer[..received.bytes]).expect("the keeper is honest");
        assert_eq!(received.descriptors.len(), message.descriptors());
        match message {
            ToZygote::Settings(settings) => {
                let home = std::env::var("HOME").expect("the keeper sets HOME");
                assert_eq!(settings.home, home);
                say(&keeper, FromZygote::Ready);
            }
            ToZygote::Kill(worker) => {
                say(&keeper, FromZygote::Died(worker, Death::Signalled(9)));
            }
            ToZygote::Fork(worker) => {
                let socket = received
                    .descriptors
                    .into_iter()
                    .next()
                    .expect("counted above");
                if !fork(&keeper, worker, &socket) {
                    return ExitCode::from(3);
                }
                workers.push(socket);
            }
        }
    }
}

fn fork(keeper: &OwnedFd, worker: WorkerId, socket: &OwnedFd) -> bool {
    let mut command = [0];
    rustix::io::read(socket, &mut command).expect("the front has written a command");
    let [command] = command;
    match command {
        FAIL => say(keeper, FromZygote::ForkFailed(worker, 11)),
        EXIT => return false,
        EXIT_LATER => {
            std::thread::sleep(LATER);
            return false;
        }
        NONSENSE => fdpass::send(keeper, &[99, 1, 2], &[]).expect("the keeper is there"),
        UNKNOWN => say(keeper, FromZygote::Died(WorkerId(4711), Death::Exited(0))),
        DESCRIPTOR => {
            let message = FromZygote::Forked(worker, 2).encode();
            let descriptor = std::os::fd::AsFd::as_fd(socket);
            fdpass::send(keeper, &message, &[descriptor]).expect("the keeper is there");
        }
        HANG_UP => {
            rustix::net::shutdown(keeper, rustix::net::Shutdown::Both).expect("a socket");
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        WORK => work(keeper, worker, socket),
        ORPHAN => {
            let orphan = Program {
                path: c"/bin/sh".into(),
                arguments: [c"sh", c"-c", c"sleep 60 & exit 0"].map(Into::into).into(),
                environment: vec![c"PATH=/usr/bin:/bin".into()],
                descriptors: &[],
            };
            let shell = child::start(&orphan).expect("a shell starts");
            rustix::process::waitpid(Some(shell), rustix::process::WaitOptions::empty())
                .expect("the shell ends");
            work(keeper, worker, socket);
        }
        other => panic!("no such command: {other}"),
    }
    true
}

fn work(keeper: &OwnedFd, worker: WorkerId, socket: &OwnedFd) {
    rustix::io::write(socket, b"hello").expect("the front is there");
    // The zygote's own number, by which a test tells one zygote from the next.
    say(keeper, FromZygote::Forked(worker, std::process::id()));
}

fn say(keeper: &OwnedFd, message: FromZygote) {
    fdpass::send(keeper, &message.encode(), &[]).expect("the keeper is there");
}
