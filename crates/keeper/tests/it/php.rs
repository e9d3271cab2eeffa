//! The zygote: started when a worker is asked for, replaced when it ends, ended when it lies.

use std::os::fd::OwnedFd;

use hostel_wire::front_keeper::{FrontToKeeper, KeeperToFront};
use hostel_wire::keeper_zygote::{Death, WorkerId};

use crate::fake_zygote as fake;
use crate::sandbox::{PATIENCE, Sandbox, readable};

/// Start a worker and return its socket and the zygote's process id.
fn working(sandbox: &Sandbox, worker: u32) -> (OwnedFd, u32) {
    let socket = sandbox.start_worker(worker, fake::WORK);
    match sandbox.hear().0 {
        KeeperToFront::WorkerStarted(WorkerId(started), zygote) if started == worker => {
            (socket, zygote)
        }
        other => panic!("worker {worker}: {other:?}"),
    }
}

pub(crate) fn workers_start_and_end() {
    let sandbox = Sandbox::new(|_| {});
    // Both are asked for before PHP has started.
    let first = sandbox.start_worker(1, fake::WORK);
    let _second = sandbox.start_worker(2, fake::WORK);
    for worker in [1, 2] {
        let heard = sandbox.hear().0;
        assert!(
            matches!(heard, KeeperToFront::WorkerStarted(WorkerId(started), _) if started == worker),
            "{heard:?}"
        );
    }
    // The socket that the front made is the one that the worker has.
    let mut greeting = [0; 16];
    assert!(readable(&first, PATIENCE));
    let length = rustix::io::read(&first, &mut greeting).unwrap();
    assert_eq!(&greeting[..length], b"hello");

    sandbox.ask(&FrontToKeeper::KillWorker(WorkerId(2)));
    let died = KeeperToFront::WorkerDied(WorkerId(2), Death::Signalled(9));
    assert_eq!(sandbox.hear().0, died);
    // A second time it is not there any more, which is no error.
    sandbox.ask(&FrontToKeeper::KillWorker(WorkerId(2)));
    let _third = sandbox.start_worker(3, fake::FAIL);
    let failed = KeeperToFront::WorkerFailed(WorkerId(3), 11);
    assert_eq!(sandbox.hear().0, failed);
}

pub(crate) fn a_zygote_that_ends_is_replaced() {
    let sandbox = Sandbox::new(|_| {});
    let (_first, zygote) = working(&sandbox, 1);
    let _second = sandbox.start_worker(2, fake::EXIT);
    assert_eq!(sandbox.hear().0, KeeperToFront::PhpDown(Death::Exited(3)));
    let (_third, next) = working(&sandbox, 3);
    assert_ne!(zygote, next);
}

pub(crate) fn a_zygote_that_lies_is_ended() {
    let sandbox = Sandbox::new(|_| {});
    for command in [
        fake::NONSENSE,
        fake::UNKNOWN,
        fake::DESCRIPTOR,
        fake::HANG_UP,
    ] {
        let _worker = sandbox.start_worker(1, command);
        let down = KeeperToFront::PhpDown(Death::Signalled(9));
        assert_eq!(sandbox.hear().0, down, "{}", char::from(command));
    }
    working(&sandbox, 2);
}

pub(crate) fn a_new_front_starts_from_the_beginning() {
    let mut sandbox = Sandbox::new(|_| {});
    let (_first, zygote) = working(&sandbox, 1);
    let (_second, _) = working(&sandbox, 2);
    sandbox.new_front();
    // The deaths of the last front's workers 1 and 2 are not this front's: the next that it hears is about its own worker 1, of
    // the same zygote, so that OPcache has stayed warm.
    let (_first, same) = working(&sandbox, 1);
    assert_eq!(zygote, same);
    sandbox.ask(&FrontToKeeper::KillWorker(WorkerId(1)));
    let died = KeeperToFront::WorkerDied(WorkerId(1), Death::Signalled(9));
    assert_eq!(sandbox.hear().0, died);
}

pub(crate) fn a_front_hears_of_its_own_php_only() {
    let mut sandbox = Sandbox::new(|_| {});
    let _slow = sandbox.start_worker(1, fake::EXIT_LATER);
    // The next front has asked for no worker when the last one's PHP ends.
    sandbox.new_front();
    assert!(!readable(&sandbox.front, 2 * fake::LATER));
    working(&sandbox, 1);
}
