//! What ends a request or a worker, and what a worker keeps between requests.

use hostel_wire::fresh::Fresh;
use hostel_wire::keeper_zygote::{Death, ToZygote};

use crate::front::get;
use crate::site::{Site, Wishes, Worker};

#[test]
fn max_execution_time_ends_a_script() {
    let mut site = Site::start("limits", &Wishes::default());
    let mut worker = site.worker();
    let answer = worker.front.ask(&get("/time.php"));
    assert_eq!((answer.status, answer.text().as_str()), (500, "[shutdown]"));
    assert!(answer.logs[0].contains("Maximum execution time of 1 second exceeded"));
    assert_eq!(worker.front.ask(&get("/count.php?i=x")).text(), "11x");
}

#[test]
fn memory_limit_ends_a_script() {
    let mut site = Site::start("limits", &Wishes::default());
    let mut worker = site.worker();
    let answer = worker.front.ask(&get("/memory.php"));
    assert_eq!((answer.status, answer.body.len()), (500, 0));
    assert!(answer.logs[0].contains("Allowed memory size of 8388608 bytes exhausted"));
    assert!(
        answer
            .end
            .is_some_and(|end| end.memory_kib > 4096 && end.memory_kib <= 8192)
    );
    assert_eq!(worker.front.ask(&get("/count.php?i=x")).text(), "11x");
}

#[test]
fn a_worker_says_when_it_ends_itself() {
    let wishes = Wishes {
        requests_per_worker: 3,
        ..Wishes::default()
    };
    let mut site = Site::start("limits", &wishes);
    let mut worker = site.worker();
    for last in [false, false, true] {
        let answer = worker.front.ask(&get("/count.php?i=x"));
        assert_eq!(answer.end.map(|end| end.last), Some(last));
    }
    assert!(worker.front.is_closed());
    assert_eq!(site.died(worker.id), Death::Exited(0));
}

#[test]
fn a_worker_of_a_fresh_site_serves_one_request() {
    let wishes = Wishes {
        fresh: Fresh::Fork,
        ..Wishes::default()
    };
    let mut site = Site::start("limits", &wishes);
    for _ in 0..3 {
        let mut worker = site.worker();
        // What ran no script leaves no state.
        let missing = worker.front.ask(&get("/nothing.php"));
        assert_eq!(missing.end.map(|end| end.last), Some(false));
        let answer = worker.front.ask(&get("/count.php?i=x"));
        assert_eq!(answer.text(), "11x");
        assert_eq!(answer.end.map(|end| end.last), Some(true));
        assert!(worker.front.is_closed());
        assert_eq!(site.died(worker.id), Death::Exited(0));
    }
}

#[test]
fn a_crash_costs_one_worker() {
    let mut site = Site::start("limits", &Wishes::default());
    let (mut crashing, mut other) = (site.worker(), site.worker());
    crashing.front.send(&get("/crash.php"));
    assert!(crashing.front.answer().is_err());
    assert!(matches!(site.died(crashing.id), Death::Signalled(6 | 11)));
    assert_eq!(other.front.ask(&get("/count.php?i=x")).text(), "11x");
}

#[test]
fn a_stuck_worker_is_killed() {
    let mut site = Site::start("leaving", &Wishes::default());
    let mut worker = site.worker();
    worker.front.send(&get("/sleep.php"));
    site.tell(&ToZygote::Kill(worker.id), &[]);
    assert_eq!(site.died(worker.id), Death::Signalled(9));
    assert!(worker.front.is_closed());
}

/// Anonymous memory of a process, in KiB.
pub(crate) fn own_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .unwrap();
    line.split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn a_thousand_requests_leave_nothing_behind() {
    let mut site = Site::start("limits", &Wishes::default());
    let mut worker = site.worker();
    let mut after_warm_up = 0;
    for index in 0..1100 {
        let query = format!("/count.php?i={index}");
        assert_eq!(worker.front.ask(&get(&query)).text(), format!("11{index}"));
        if index == 100 {
            after_warm_up = own_memory(worker.pid);
        }
    }
    let growth = own_memory(worker.pid).saturating_sub(after_warm_up);
    assert!(growth <= 64, "grew by {growth} KiB in 1,000 requests");
    let state = worker.front.ask(&get("/state.php")).text();
    let root = site.root().to_str().unwrap().replace('/', "\\/");
    assert_eq!(state, format!(r#"["14",false,"{root}","UTC",18]"#));
}

/// Processor time of a worker for each of so many requests, in nanoseconds: the median of five rounds.
pub(crate) fn cost(worker: &mut Worker, script: &str) -> u64 {
    let ask = get(script);
    let mut rounds: Vec<u64> = (0..5)
        .map(|_| {
            let before = cpu_time(worker.pid);
            for _ in 0..100 {
                worker.front.ask(&ask);
            }
            (cpu_time(worker.pid) - before) / 100
        })
        .collect();
    rounds.sort_unstable();
    rounds[2]
}

/// Processor time that a process has used, in nanoseconds.
pub(crate) fn cpu_time(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    text.split_ascii_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn the_cost_of_hello_is_said() {
    let mut site = Site::start("basics", &Wishes::default());
    let mut worker = site.worker();
    let ask = get("/hello.php");
    for _ in 0..200 {
        worker.front.ask(&ask);
    }
    let mut rounds: Vec<(u64, u128, u64)> = (0..5)
        .map(|_| {
            let (before, started) = (cpu_time(worker.pid), std::time::Instant::now());
            for _ in 0..400 {
                worker.front.ask(&ask);
            }
            let (between, elapsed) = (cpu_time(worker.pid), started.elapsed().as_nanos());
            for _ in 0..8 {
                worker.front.ask_at_once(&ask, 50);
            }
            let busy = cpu_time(worker.pid) - between;
            ((between - before) / 400, elapsed / 400, busy / 400)
        })
        .collect();
    rounds.sort_unstable();
    let (cpu, elapsed, busy) = rounds[2];
    println!(
        "hello: {cpu} ns of the worker's processor time with a wait before each request, {busy} ns without; {elapsed} ns \
         from asking to the end of the answer"
    );
    assert!(cpu < 1_000_000, "hello costs a worker more than 1 ms");
}
