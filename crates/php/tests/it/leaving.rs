//! Clients that leave, fronts that end, children of scripts, and what a worker is as a process.

use std::time::{Duration, Instant};

use hostel_wire::front_worker::to_worker;
use hostel_wire::keeper_zygote::Death;

use crate::front::get;
use crate::site::{Site, Wishes};

#[test]
fn a_client_that_leaves_is_noticed() {
    let mut site = Site::start("leaving", &Wishes::default());
    let mut worker = site.worker();
    for (script, said) in [
        ("/stream.php", vec!["shutdown 1 1"]),
        (
            "/stream.php?ignore",
            vec!["seen at", "reached the end", "shutdown 1 1"],
        ),
    ] {
        worker.front.send(&get(script));
        let _head = worker.front.next().unwrap();
        worker.front.client_left();
        let started = Instant::now();
        let mut logs = Vec::new();
        loop {
            let (head, payload) = worker.front.next().unwrap();
            match head.kind {
                hostel_wire::front_worker::from_worker::LOG => {
                    logs.push(String::from_utf8(payload).unwrap())
                }
                hostel_wire::front_worker::from_worker::END => break,
                _ => {}
            }
        }
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "the script ran to its end"
        );
        assert_eq!(logs.len(), said.len(), "{logs:?}");
        assert!(
            logs.iter()
                .zip(&said)
                .all(|(log, said)| log.starts_with(said)),
            "{logs:?}"
        );
    }
    // One that leaves when the answer is under way already means nothing for the next request.
    assert!(worker.front.ask(&get("/process.php")).end.is_some());
    worker.front.client_left();
    assert_eq!(worker.front.ask(&get("/process.php")).status, 200);
}

#[test]
fn workers_end_with_the_front_and_with_the_keeper() {
    let mut site = Site::start("leaving", &Wishes::default());
    let (idle, mut busy, other) = (site.worker(), site.worker(), site.worker());
    drop(idle.front);
    assert_eq!(site.died(idle.id), Death::Exited(0));
    busy.front.send(&get("/stream.php"));
    drop(busy.front);
    assert_eq!(site.died(busy.id), Death::Exited(1));
    let pid = other.pid;
    drop(site);
    let deadline = Instant::now() + Duration::from_secs(2);
    while std::path::Path::new(&format!("/proc/{pid}/fd")).exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(
        !std::path::Path::new(&format!("/proc/{pid}/fd")).exists(),
        "a worker outlived its zygote"
    );
}

#[test]
fn a_forked_child_has_no_voice() {
    let mut site = Site::start("leaving", &Wishes::default());
    let mut worker = site.worker();
    for (script, status) in [("/fork.php", 0), ("/fork.php?exit", 7)] {
        let answer = worker.front.ask(&get(script));
        assert_eq!(answer.text(), format!("before parent {status} 1"));
        assert_eq!(answer.logs, Vec::<String>::new());
        assert!(!answer.finished);
    }
    assert_eq!(site.stderr(), "child logs\nchild logs\n");
}

#[test]
fn bytes_that_do_not_fit_end_the_worker() {
    let mut site = Site::start("leaving", &Wishes::default());
    // A kind that does not exist, a body without a request, a frame too long.
    for make in [
        |front: &crate::front::Front| front.frame(77, b"x"),
        |front: &crate::front::Front| front.frame(to_worker::BODY, b"x"),
        |_: &crate::front::Front| vec![0xff; 32],
    ] {
        let mut worker = site.worker();
        let bytes = make(&worker.front);
        worker.front.send_bytes(&bytes);
        assert!(worker.front.is_closed());
        assert_eq!(site.died(worker.id), Death::Exited(1));
    }
}

#[test]
fn a_worker_is_unprivileged_and_has_only_its_own_descriptors() {
    let mut site = Site::start("leaving", &Wishes::default());
    let _sibling = site.worker();
    let mut worker = site.worker();
    let text = worker.front.ask(&get("/process.php")).text();
    // Input, output, errors, the script, OPcache's lock, and to the front the socket and the bell.
    let (open, _) = text.split_once(",\"0000000000000000\"").unwrap();
    assert_eq!(open.split("\",\"").count(), 7, "{text}");
    assert_eq!(text.matches("eventfd").count(), 1, "{text}");
    assert_eq!(text.matches("socket:").count(), 1, "{text}");
    // Its secrets unreadable; no blocked signal, so that max_execution_time fires; programs can be run.
    assert!(text.starts_with("[false,"), "{text}");
    assert!(
        text.contains("\"0000000000000000\",\"hostel-worker\""),
        "{text}"
    );
    assert!(text.ends_with(",[\"from a program\"],18]"), "{text}");
    if rustix::process::geteuid().is_root() {
        assert!(text.contains("61234\\t61234\\t61234\\t61234"), "{text}");
        let zygote = std::fs::read_dir(format!("/proc/{}/fd", site.zygote_pid())).unwrap();
        let sockets = zygote
            .map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap())
            .filter(|path| path.to_string_lossy().starts_with("socket:"));
        assert_eq!(
            sockets.count(),
            1,
            "the zygote keeps sockets of its workers"
        );
    }
}

#[test]
fn signal_handlers_of_a_script_end_with_it() {
    let mut site = Site::start("leaving", &Wishes::default());
    let mut worker = site.worker();
    // SIGPIPE alone is ignored, as in php-fpm.
    let expected = "taken 001";
    for _ in 0..3 {
        assert_eq!(worker.front.ask(&get("/signals.php")).text(), expected);
    }
    assert_eq!(worker.front.ask(&get("/process.php")).status, 200);
    let pid = rustix::process::Pid::from_raw(worker.pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(site.died(worker.id), Death::Signalled(15));
}
