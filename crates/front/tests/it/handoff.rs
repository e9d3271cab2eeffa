//! Queue, pool, map and the life of a site, with scripted keepers.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use hostel_front::handoff::HandoffError;
use hostel_front::lookup::{Found, SiteUnavailable};
use hostel_front::spill::Body;
use hostel_front::status;
use hostel_wire::front_keeper::{FileIdentity, FrontToKeeper, KeeperToFront, Resolution};
use hostel_wire::front_monitor::{Down, SiteId, ToMonitor};
use hostel_wire::front_worker::{from_worker, to_worker};
use hostel_wire::keeper_zygote::{Death, WorkerId};
use rustix::fs::{Mode, OFlags};

use crate::front::{Peer, Stage, end, head, patient_entry, play, read};

async fn settle() {
    tokio::time::sleep(Duration::from_millis(30)).await;
}

#[test]
fn the_queue_is_bounded_in_length_and_in_time() {
    let mut entry = patient_entry();
    (entry.queue_max, entry.queue_ms_max) = (2, 300);
    play(async {
        let stage = Stage::new(entry);
        let running = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let (first, second) = (stage.request(Body::Empty), stage.request(Body::Empty));
        settle().await;
        let third = stage.request(Body::Empty).await.unwrap();
        assert_eq!(third.err(), Some(HandoffError::QueueFull));
        assert_eq!(first.await.unwrap().err(), Some(HandoffError::QueueTimeout));
        assert_eq!(
            second.await.unwrap().err(),
            Some(HandoffError::QueueTimeout)
        );
        let census = stage.site.pool().census();
        assert_eq!((census.queued, census.queue_peak, census.busy), (0, 2, 1));
        let answer = worker.answer(b"at last");
        worker.write(&answer).await;
        assert_eq!(
            read(running.await.unwrap()).await,
            Ok((200, b"at last".to_vec()))
        );
    });
}

#[test]
fn one_request_starts_one_worker() {
    let mut entry = patient_entry();
    entry.workers_max = 4;
    play(async {
        let stage = Stage::new(entry);
        let _running = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        settle().await;
        let census = stage.site.pool().census();
        assert_eq!((census.starting, census.idle, census.busy), (0, 0, 1));
    });
}

#[test]
fn who_leaves_the_queue_is_not_served() {
    play(async {
        let stage = Stage::new(patient_entry());
        let running = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let waiting = stage.request(Body::Empty);
        settle().await;
        assert_eq!(stage.site.pool().census().queued, 1);
        waiting.abort();
        settle().await;
        assert_eq!(stage.site.pool().census().queued, 0);
        let answer = worker.answer(b"");
        worker.write(&answer).await;
        assert!(read(running.await.unwrap()).await.is_ok());
        settle().await;
        assert_eq!(stage.site.pool().census().idle, 1);
    });
}

#[test]
fn there_are_as_many_workers_as_are_needed_and_allowed() {
    let mut entry = patient_entry();
    (entry.workers_max, entry.idle_ms) = (2, 200);
    play(async {
        let stage = Stage::new(entry);
        let requests = [(); 3].map(|()| stage.request(Body::Empty));
        let keeper = stage.wake().await;
        let mut workers = [keeper.start_worker().await, keeper.start_worker().await];
        for worker in &mut workers {
            worker.request().await;
        }
        assert_eq!(stage.site.pool().census().queued, 1);
        for worker in &mut workers {
            let answer = worker.answer(b"");
            worker.write(&answer).await;
        }
        let [a, b] = &mut workers;
        tokio::select! {
            payload = a.request() => assert_eq!(payload, b"payload"),
            payload = b.request() => assert_eq!(payload, b"payload"),
        }
        settle().await;
        let census = stage.site.pool().census();
        assert_eq!((census.busy, census.idle, census.queued), (1, 1, 0));
        // The idle one is closed after a while.
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(stage.site.pool().census().idle, 0);
        drop(requests);
    });
}

#[test]
fn an_idle_site_retires_unless_it_is_busy() {
    let mut entry = patient_entry();
    entry.idle_ms = 30;
    play(async {
        let stage = Stage::new(entry);
        let question = stage.look_up("/a");
        let keeper = stage.wake().await;
        let (ticket, _, _) = keeper.question().await;
        keeper.resolve(ticket, Resolution::NotFound, None);
        assert!(matches!(question.await.unwrap(), Ok(Found::NotFound)));
        for _ in 0..2 {
            let (message, _) = keeper.asked().await.unwrap();
            assert_eq!(message, FrontToKeeper::Retire);
            keeper.say(KeeperToFront::Busy { processes: 1 });
        }
        let (message, _) = keeper.asked().await.unwrap();
        assert_eq!(message, FrontToKeeper::Retire);
        drop(keeper);
        // A visitor who comes while the site is ending has it started again.
        let question = stage.look_up("/b");
        settle().await;
        stage.down(Down::Asleep, Duration::ZERO);
        let keeper = stage.wake().await;
        let (ticket, path, _) = keeper.question().await;
        assert_eq!(path, b"/b");
        keeper.resolve(ticket, Resolution::Forbidden, None);
        assert!(matches!(question.await.unwrap(), Ok(Found::Forbidden)));
    });
}

#[test]
fn a_php_that_cannot_start_is_refused_for_a_growing_while() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        for _ in 0..3 {
            keeper.wanted_worker().await;
            keeper.say(KeeperToFront::PhpDown(Death::Exited(127)));
        }
        assert_eq!(request.await.unwrap().err(), Some(HandoffError::SiteDown));
        let refused = stage.request(Body::Empty).await.unwrap();
        assert_eq!(refused.err(), Some(HandoffError::SiteDown));
        assert!(stage.error_log().contains("PHP ended with status 127"));
        // It is tried again, and one answer makes all well.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let request = stage.request(Body::Empty);
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let answer = worker.answer(b"well");
        worker.write(&answer).await;
        assert_eq!(
            read(request.await.unwrap()).await,
            Ok((200, b"well".to_vec()))
        );
    });
}

#[test]
fn the_end_of_php_ends_its_workers_and_costs_only_what_they_ran() {
    play(async {
        let stage = Stage::new(patient_entry());
        let running = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let waiting = stage.request(Body::Empty);
        settle().await;
        keeper.say(KeeperToFront::PhpDown(Death::Signalled(9)));
        assert_eq!(running.await.unwrap().err(), Some(HandoffError::WorkerDied));
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let answer = worker.answer(b"went on");
        worker.write(&answer).await;
        assert_eq!(
            read(waiting.await.unwrap()).await,
            Ok((200, b"went on".to_vec()))
        );
    });
}

#[test]
fn a_worker_that_cannot_be_forked_is_tried_again() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let (id, _) = keeper.wanted_worker().await;
        keeper.say(KeeperToFront::WorkerFailed(id, 11));
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let answer = worker.answer(b"well");
        worker.write(&answer).await;
        assert_eq!(
            read(request.await.unwrap()).await,
            Ok((200, b"well".to_vec()))
        );
        assert!(stage.error_log().contains("cannot start a worker"));
    });
}

#[test]
fn workers_that_come_to_nothing_are_not_tried_for_ever() {
    for is_late in [false, true] {
        let mut entry = patient_entry();
        entry.queue_ms_max = 1000;
        play(async move {
            let stage = Stage::new(entry);
            let mut request = stage.request(Body::Empty);
            let keeper = stage.wake().await;
            let mut started = 0;
            let outcome = loop {
                let (id, socket) = tokio::select! {
                    outcome = &mut request => break outcome.unwrap(),
                    wanted = keeper.wanted_worker() => wanted,
                };
                started += 1;
                drop(socket);
                keeper.say(KeeperToFront::WorkerStarted(id, 17));
                if is_late {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                keeper.say(KeeperToFront::WorkerDied(id, Death::Exited(0)));
            };
            assert_eq!(outcome.err(), Some(HandoffError::QueueTimeout));
            assert!(started < 8, "{started}");
        });
    }
}

#[test]
fn a_keeper_that_is_given_up_and_lives_on_is_replaced() {
    play(async {
        let stage = Stage::new(patient_entry());
        let question = stage.look_up("/x");
        let keeper = stage.wake().await;
        keeper.question().await;
        keeper.say(KeeperToFront::Ready);
        keeper.is_given_up().await;
        let id = stage.site.entry.id;
        assert_eq!(stage.asked().await, ToMonitor::ReplaceSite(id));
        stage.down(Down::Died, Duration::from_millis(50));
        let keeper = stage.wake().await;
        let (ticket, _, _) = keeper.question().await;
        keeper.resolve(ticket, Resolution::NotFound, None);
        assert!(matches!(question.await.unwrap(), Ok(Found::NotFound)));
    });
}

/// What a keeper says must end it, and nothing else.
fn is_given_up(says: impl FnOnce(&Peer, u32) + 'static) {
    play(async move {
        let stage = Stage::new(patient_entry());
        let question = stage.look_up("/x");
        let keeper = stage.wake().await;
        let (ticket, _, _) = keeper.question().await;
        says(&keeper, ticket);
        keeper.is_given_up().await;
        // What it left open is asked of the next one.
        stage.down(Down::Died, Duration::from_millis(50));
        let keeper = stage.wake().await;
        let (ticket, path, _) = keeper.question().await;
        assert_eq!(path, b"/x");
        keeper.resolve(ticket, Resolution::NotFound, None);
        assert!(matches!(question.await.unwrap(), Ok(Found::NotFound)));
    });
}

fn file_answer(ticket: u32, name: &[u8]) -> Vec<u8> {
    let resolution = Resolution::File {
        identity: FileIdentity {
            device: 0,
            inode: 0,
            size: 0,
            modified: (0, 0),
            changed: (0, 0),
        },
        name: name.to_vec(),
    };
    KeeperToFront::Resolved { ticket, resolution }.encode()
}

fn some_file() -> File {
    File::open(std::env::current_exe().unwrap()).unwrap()
}

#[test]
fn messages_that_are_none_or_make_no_sense() {
    is_given_up(|keeper, _| keeper.send(b"\xff", &[]));
    is_given_up(|keeper, _| keeper.send(&KeeperToFront::Ready.encode(), &[&some_file()]));
    is_given_up(|keeper, _| keeper.say(KeeperToFront::Ready));
    is_given_up(|keeper, _| keeper.say(KeeperToFront::Busy { processes: 1 }));
    is_given_up(|keeper, _| keeper.say(KeeperToFront::PhpDown(Death::Exited(0))));
    is_given_up(|keeper, _| keeper.say(KeeperToFront::WorkerStarted(WorkerId(9), 1)));
    is_given_up(|keeper, _| keeper.say(KeeperToFront::WorkerDied(WorkerId(9), Death::Exited(0))));
    is_given_up(|keeper, ticket| keeper.resolve(ticket + 1, Resolution::NotFound, None));
    is_given_up(|keeper, ticket| keeper.resolve(ticket, Resolution::Unchanged, None));
}

#[test]
fn paths_and_names_that_are_none() {
    for path in [&b"a.php"[..], b"", b"/a\0.php", b"/../a.php", b"/a/.."] {
        let path = path.to_vec();
        is_given_up(move |keeper, ticket| {
            keeper.resolve(ticket, Resolution::Script { path }, None);
        });
    }
    for name in [&b""[..], b"a/b", b"a\0"] {
        is_given_up(move |keeper, ticket| {
            keeper.send(&file_answer(ticket, name), &[&some_file()]);
        });
    }
}

#[test]
fn descriptors_that_are_no_files_to_read() {
    let open = |path: &str, flags: OFlags| -> File {
        rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())
            .unwrap()
            .into()
    };
    let exe = std::env::current_exe().unwrap();
    let exe = exe.to_str().unwrap();
    let (socket, _) = hostel_sys::fdpass::stream_pair(false).unwrap();
    let (pipe, _) = rustix::pipe::pipe().unwrap();
    let writable = std::env::temp_dir().join(format!("hostel-front-test-{}", std::process::id()));
    File::create(&writable).unwrap().write_all(b"x").unwrap();
    let bad = [
        open("/dev/null", OFlags::RDONLY),
        open("/", OFlags::RDONLY | OFlags::DIRECTORY),
        open(exe, OFlags::PATH),
        open(writable.to_str().unwrap(), OFlags::RDWR),
        open(writable.to_str().unwrap(), OFlags::WRONLY),
        socket.into(),
        pipe.into(),
    ];
    std::fs::remove_file(&writable).unwrap();
    for file in bad {
        is_given_up(move |keeper, ticket| keeper.send(&file_answer(ticket, b"a.css"), &[&file]));
    }
    // None, and two.
    is_given_up(|keeper, ticket| keeper.send(&file_answer(ticket, b"a.css"), &[]));
    is_given_up(|keeper, ticket| {
        keeper.send(
            &file_answer(ticket, b"a.css"),
            &[&some_file(), &some_file()],
        );
    });
}

#[test]
fn a_file_is_kept_asked_for_again_after_a_second_and_shared() {
    play(async {
        let stage = Stage::new(patient_entry());
        let (first, second) = (stage.look_up("/a.css"), stage.look_up("/a.css"));
        let keeper = stage.wake().await;
        let (ticket, _, is_known) = keeper.question().await;
        assert!(!is_known);
        keeper.send(&file_answer(ticket, b"a.css"), &[&some_file()]);
        let found = [
            first.await.unwrap().unwrap(),
            second.await.unwrap().unwrap(),
        ];
        let [Found::File(a), Found::File(b)] = found else {
            panic!("no files");
        };
        assert!(std::rc::Rc::ptr_eq(&a, &b));
        // Its identity is what the front sees itself, not what the keeper says.
        assert_eq!(a.identity.size, some_file().metadata().unwrap().len());
        assert!(matches!(
            stage.look_up("/a.css").await.unwrap(),
            Ok(Found::File(_))
        ));
        tokio::time::sleep(Duration::from_millis(1050)).await;
        let again = stage.look_up("/a.css");
        let (ticket, _, is_known) = keeper.question().await;
        assert!(is_known);
        keeper.resolve(ticket, Resolution::Unchanged, None);
        let Found::File(c) = again.await.unwrap().unwrap() else {
            panic!("no file");
        };
        assert!(std::rc::Rc::ptr_eq(&a, &c));
        // All of it goes with the keeper.
        stage.down(Down::Asleep, Duration::ZERO);
        let again = stage.look_up("/a.css");
        let keeper = stage.wake().await;
        let (ticket, _, is_known) = keeper.question().await;
        assert!(!is_known);
        keeper.resolve(
            ticket,
            Resolution::Script {
                path: b"/index.php".to_vec(),
            },
            None,
        );
        assert!(matches!(again.await.unwrap(), Ok(Found::Script(path)) if path == b"/index.php"));
    });
}

#[test]
fn an_answer_that_comes_too_late_leaves_the_next_question_alone() {
    let mut entry = patient_entry();
    entry.queue_ms_max = 200;
    play(async {
        let stage = Stage::new(entry);
        let first = stage.look_up("/a");
        let keeper = stage.wake().await;
        let (ticket, _, _) = keeper.question().await;
        assert_eq!(first.await.unwrap().err(), Some(SiteUnavailable::TimedOut));
        let second = stage.look_up("/a");
        keeper.question().await;
        keeper.resolve(ticket, Resolution::NotFound, None);
        settle().await;
        stage.down(Down::SpawnFailed, Duration::from_secs(60));
        assert_eq!(second.await.unwrap().err(), Some(SiteUnavailable::Down));
    });
}

#[test]
fn no_more_files_are_kept_than_may_be() {
    play(async {
        let stage = Stage::new(patient_entry());
        let paths: Vec<&'static str> = (0..200)
            .map(|n| &*Box::leak(format!("/{n}").into_boxed_str()))
            .collect();
        let mut keeper = None;
        let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = open_files();
        for path in paths {
            let question = stage.look_up(path);
            if keeper.is_none() {
                keeper = Some(stage.wake().await);
            }
            let (ticket, _, _) = keeper.as_ref().unwrap().question().await;
            let message = file_answer(ticket, b"x");
            keeper.as_ref().unwrap().send(&message, &[&some_file()]);
            assert!(question.await.unwrap().is_ok());
        }
        // Other tests of this process have files open, too; without the bound there were 200.
        assert!(stage.site.files_kept() <= 64, "{}", stage.site.files_kept());
        assert!(open_files() < before + 190);
    });
}

#[test]
fn a_site_that_cannot_be_started_is_refused_at_once_and_tried_later() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        assert_eq!(
            stage.asked().await,
            ToMonitor::WakeSite(stage.site.entry.id)
        );
        stage.down(Down::SpawnFailed, Duration::from_secs(60));
        assert_eq!(request.await.unwrap().err(), Some(HandoffError::SiteDown));
        let refused = stage.look_up("/").await.unwrap();
        assert_eq!(refused.err(), Some(SiteUnavailable::Down));
        stage.down(Down::SpawnFailed, Duration::from_millis(100));
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        request.abort();
    });
}

#[test]
fn a_keeper_that_says_nothing_costs_time_only() {
    let mut entry = patient_entry();
    entry.queue_ms_max = 200;
    play(async {
        let stage = Stage::new(entry);
        let question = stage.look_up("/");
        let keeper = stage.wake().await;
        keeper.question().await;
        assert_eq!(
            question.await.unwrap().err(),
            Some(SiteUnavailable::TimedOut)
        );
        let request = stage.request(Body::Empty);
        keeper.wanted_worker().await;
        assert_eq!(
            request.await.unwrap().err(),
            Some(HandoffError::QueueTimeout)
        );
    });
}

#[test]
fn a_site_that_left_the_table_is_released_when_its_last_request_has_ended() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        assert!(stage.front.sites.find("x.example").is_some());
        let mut other = patient_entry();
        other.id = SiteId(2);
        other.domains = vec!["*.example".into(), "*.x.example".into(), "y.example".into()];
        stage.front.sites.change(&[SiteId(1)], vec![other]);
        let found = |host| stage.front.sites.find(host).map(|site| site.entry.id);
        assert_eq!(found("x.example"), Some(SiteId(2)));
        assert_eq!(found("a.b.x.example"), Some(SiteId(2)));
        assert_eq!(found("example"), None);
        tokio::time::sleep(Duration::from_millis(250)).await;
        let answer = worker.answer(b"to the end");
        worker.write(&answer).await;
        assert_eq!(
            read(request.await.unwrap()).await,
            Ok((200, b"to the end".to_vec()))
        );
        assert_eq!(stage.asked().await, ToMonitor::SiteReleased(SiteId(1)));
        assert!(stage.front.sites.by_id(SiteId(1)).is_none());
    });
}

#[test]
fn a_table_with_the_same_number_keeps_all_state() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        stage
            .front
            .sites
            .change(&[SiteId(99)], vec![patient_entry()]);
        let same = stage.front.sites.find("x.example").unwrap();
        assert!(std::rc::Rc::ptr_eq(&same, &stage.site));
        let answer = worker.answer(b"");
        worker.write(&answer).await;
        assert!(read(request.await.unwrap()).await.is_ok());
    });
}

#[test]
fn standard_error_and_logs_cannot_forge_a_line() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let stderr: OwnedFd = keeper.stderr.as_fd().try_clone_to_owned().unwrap();
        File::from(stderr)
            .write_all(b"from stderr\x1b[2J\r\n")
            .unwrap();
        let text = b"PHP message: one\n2026-01-01T00:00:00.000Z forged\r\nthree";
        let mut bytes = worker.make(from_worker::LOG, text);
        bytes.extend(worker.make(from_worker::HEAD, &head(200, &[])));
        bytes.extend(worker.make(from_worker::END, &end(false)));
        worker.write(&bytes).await;
        assert!(read(request.await.unwrap()).await.is_ok());
        settle().await;
        let log = stage.error_log();
        assert!(log.contains("from stderr\\x1B[2J\n"), "{log}");
        assert!(
            log.contains("PHP message: one\n  2026-01-01T00:00:00.000Z forged\n  three\n"),
            "{log}"
        );
    });
}

#[test]
fn crumbs_on_standard_error_get_no_more_turns_than_a_flood() {
    play(async {
        let stage = Stage::new(patient_entry());
        let _question = stage.look_up("/a");
        let keeper = stage.wake().await;
        let mut stderr = File::from(keeper.stderr.as_fd().try_clone_to_owned().unwrap());
        stderr.write_all(b"first\n").unwrap();
        settle().await;
        stderr.write_all(b"second\n").unwrap();
        settle().await;
        let log = stage.error_log();
        assert!(log.contains("first") && !log.contains("second"), "{log}");
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(stage.error_log().contains("second"));
        // The last words of a site that goes are not lost to the pause.
        stderr.write_all(b"third\n").unwrap();
        stage.down(Down::Died, Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(250)).await;
        stage.start_keeper();
        assert!(stage.error_log().contains("third"));
    });
}

#[test]
fn a_request_too_large_for_a_frame_is_refused() {
    play(async {
        let stage = Stage::new(patient_entry());
        let payload = vec![0; 70_000];
        let outcome = hostel_front::handoff::run(&stage.site, payload, Body::Empty).await;
        assert_eq!(outcome.err(), Some(HandoffError::TooLarge));
    });
}

#[test]
fn the_status_tells_of_sites_and_workers() {
    play(async {
        let stage = Stage::new(patient_entry());
        let request = stage.request(Body::Empty);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        let (frame, _) = worker.frame().await.unwrap();
        assert_eq!(frame.kind, to_worker::REQUEST);
        let document = status::document(&stage.front, 0);
        let site = &document["sites"][0];
        assert_eq!(site["state"], "up");
        assert_eq!(site["keeper"], 4711);
        assert_eq!(site["workers"]["busy"], 1);
        assert_eq!(document["server"]["requests"], 1);
        request.abort();
    });
}
