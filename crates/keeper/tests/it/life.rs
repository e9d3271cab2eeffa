//! Start and end of a keeper, and peers that do not keep to the rules.

use std::time::{Duration, Instant};

use hostel_sys::fdpass;
use hostel_wire::front_keeper::{FrontToKeeper, KeeperToFront, Resolution};
use hostel_wire::monitor_keeper::ToKeeper;

use crate::fake_zygote as fake;
use crate::sandbox::{self, PATIENCE, Sandbox, USER, readable, write};

pub(crate) fn root_is_refused() {
    let (_monitor, far) = fdpass::message_pair(false).unwrap();
    let pid = sandbox::start(&far, None);
    assert_eq!(sandbox::wait(pid), 1);
}

pub(crate) fn a_front_that_does_not_read() {
    let sandbox = Sandbox::new(|dir| {
        write(&dir.join("home/public/file"), "text", USER, 0o600);
    });
    rustix::io::ioctl_fionbio(&sandbox.front, true).unwrap();
    // Ask until the keeper takes no more questions, which it must before it holds very many answers.
    let mut asked = 0;
    let mut refused_since = None;
    loop {
        let question = FrontToKeeper::Resolve {
            ticket: asked,
            path: b"/file".to_vec(),
            known: None,
        };
        match fdpass::send(&sandbox.front, &question.encode(), &[]) {
            Ok(()) => {
                asked += 1;
                refused_since = None;
            }
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                let since = *refused_since.get_or_insert_with(Instant::now);
                if since.elapsed() > Duration::from_millis(200) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        assert!(asked < 5_000, "the keeper takes questions without end");
    }
    // Nothing was lost and nothing changed places.
    for ticket in 0..asked {
        match sandbox.hear() {
            (
                KeeperToFront::Resolved {
                    ticket: answered,
                    resolution,
                },
                Some(_),
            ) => {
                assert_eq!(answered, ticket);
                assert!(matches!(resolution, Resolution::File { .. }));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(!readable(&sandbox.front, Duration::ZERO));
}

pub(crate) fn a_front_that_sends_nonsense() {
    let mut sandbox = Sandbox::new(|_| {});
    let resolve = FrontToKeeper::Resolve {
        ticket: 1,
        path: b"/".to_vec(),
        known: None,
    };
    let (surplus, _) = fdpass::stream_pair(false).unwrap();
    let surplus = std::os::fd::AsFd::as_fd(&surplus);
    let cut = &resolve.encode()[..5];
    for (bytes, descriptors) in [
        (&[99_u8][..], &[][..]),
        (cut, &[]),
        (&resolve.encode(), &[surplus]),
        (&FrontToKeeper::Retire.encode(), &[surplus, surplus]),
    ] {
        fdpass::send(&sandbox.front, bytes, descriptors).unwrap();
        assert!(readable(&sandbox.front, PATIENCE));
        let received = fdpass::receive(&sandbox.front, &mut [0; 16]).unwrap();
        assert_eq!(received.bytes, 0, "given up");
        sandbox.new_front();
        assert_eq!(sandbox.resolve("/", None).0, Resolution::Forbidden);
    }
}

pub(crate) fn retire_waits_for_other_processes() {
    let mut sandbox = Sandbox::new(|_| {});
    let _first = sandbox.start_worker(1, fake::ORPHAN);
    assert!(matches!(sandbox.hear().0, KeeperToFront::WorkerStarted(..)));
    sandbox.ask(&FrontToKeeper::Retire);
    assert_eq!(sandbox.hear().0, KeeperToFront::Busy { processes: 1 });
    assert_eq!(sandbox.resolve("/nothing", None).0, Resolution::NotFound);

    let mut quiet = Sandbox::new(|_| {});
    let _worker = quiet.start_worker(1, fake::WORK);
    assert!(matches!(quiet.hear().0, KeeperToFront::WorkerStarted(..)));
    quiet.ask(&FrontToKeeper::Retire);
    assert_eq!(quiet.status(), 0);

    sandbox.tell(&ToKeeper::Stop { seconds: 0 });
    assert_eq!(sandbox.status(), 0);
}

pub(crate) fn stop_ends_everything() {
    let mut sandbox = Sandbox::new(|_| {});
    let _worker = sandbox.start_worker(1, fake::ORPHAN);
    assert!(matches!(sandbox.hear().0, KeeperToFront::WorkerStarted(..)));
    let asked = Instant::now();
    sandbox.tell(&ToKeeper::Stop { seconds: 60 });
    assert_eq!(sandbox.status(), 0);
    assert!(asked.elapsed() < PATIENCE);
}

pub(crate) fn the_monitors_end_is_the_end() {
    let mut sandbox = Sandbox::new(|_| {});
    let _worker = sandbox.start_worker(1, fake::ORPHAN);
    assert!(matches!(sandbox.hear().0, KeeperToFront::WorkerStarted(..)));
    let (other, _) = fdpass::message_pair(false).unwrap();
    let asked = Instant::now();
    drop(std::mem::replace(&mut sandbox.monitor, other));
    assert_eq!(sandbox.status(), 0);
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
}
