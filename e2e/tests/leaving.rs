//! Clients that leave at every stage of a request: no worker is lost, nothing leaks, the site serves as before.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hostel_e2e::{Instance, Process, Site, User, wait_until};
use rustix::net::sockopt::set_socket_linger;

/// Clients that leave in all, and those after whom the server is taken to have all the buffers that it wants.
const LEAVE: u32 = 10_000;
const WARM: u32 = 2_000;
/// Of them at once; more than the site has workers, so that some leave while they are queued.
const AT_ONCE: u32 = 16;
const WORKERS: usize = 4;
/// What a process may grow by from the first figure to the second: 128 bytes for each client that has left.
const GROWTH_KIB_MAX: u64 = 1000;

/// Where in a request a client leaves.
#[derive(Debug, Clone, Copy)]
enum Stage {
    BeforeHead,
    InHead,
    InBody,
    InChunks,
    WithPhp,
    InAnswer,
    InFile,
    Pipelined,
}
use Stage::*;

const STAGES: [Stage; 8] = [
    BeforeHead, InHead, InBody, InChunks, WithPhp, InAnswer, InFile, Pipelined,
];

impl Stage {
    /// What is sent.
    fn bytes(self) -> Vec<u8> {
        let get = |target| format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n").into_bytes();
        let post = |length| {
            let head = format!("POST /take.php HTTP/1.1\r\nHost: a.test\r\n{length}\r\n\r\n");
            let mut bytes = head.into_bytes();
            // Beyond what a body has in memory, so that a spill file is open.
            bytes.extend_from_slice(&[b'b'; 100_000]);
            bytes
        };
        match self {
            BeforeHead => Vec::new(),
            InHead => b"GET /slow.php HTTP/1.1\r\nHost: a.te".to_vec(),
            InBody => post("Content-Length: 200000"),
            InChunks => post("Transfer-Encoding: chunked\r\n\r\n30d40"),
            WithPhp => get("/slow.php"),
            InAnswer => get("/large.php"),
            InFile => get("/large.bin"),
            Pipelined => ["/slow.php", "/small.txt", "/large.php", "/slow.php"]
                .into_iter()
                .flat_map(get)
                .collect(),
        }
    }

    /// Come, and leave.
    fn play(self, port: u16, number: u32) -> io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        if number.is_multiple_of(2) {
            // Closing resets the connection at once.
            set_socket_linger(&stream, Some(Duration::ZERO))?;
        }
        stream.write_all(&self.bytes())?;
        match self {
            BeforeHead | InHead | InBody | InChunks => {}
            // At once, while it waits for a worker, or while it has one.
            WithPhp => std::thread::sleep(Duration::from_millis(u64::from(number / 8 % 16))),
            InAnswer | InFile | Pipelined => stream.read_exact(&mut [0; 100])?,
        }
        Ok(())
    }
}

fn instance() -> Instance {
    let site = Site::new("a", User::One)
        .toml(&format!("workers_max = {WORKERS}\nrequests_per_worker = 0"))
        .file("public/index.php", "<?php echo 'here';")
        .file("public/slow.php", "<?php usleep(8000); echo 'slow';")
        .file(
            "public/large.php",
            "<?php for ($i = 0; $i < 64; $i++) echo str_repeat('x', 32768);",
        )
        .file(
            "public/take.php",
            "<?php echo strlen(file_get_contents('php://input'));",
        )
        .file("public/small.txt", "small")
        .file("public/large.bin", vec![b'x'; 4 * 1024 * 1024]);
    Instance::new("leaving").site(site).start()
}

/// So many clients come and leave, some of them at once.
fn leave(instance: &Instance, numbers: std::ops::Range<u32>) {
    let next = AtomicU32::new(numbers.start);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        return;
                    }
                    let stage = STAGES[number as usize % STAGES.len()];
                    // Each stage has clients that close and such that reset.
                    let played = stage.play(instance.port(), number / STAGES.len() as u32);
                    played.unwrap_or_else(|e| panic!("{stage:?}: {e}\n{}", instance.logs()));
                }
            });
        }
    });
}

/// What the server is made of at a moment of rest.
#[derive(Debug, PartialEq, Eq)]
struct State {
    workers: BTreeSet<i32>,
    others: BTreeSet<i32>,
    /// How many the front and the monitor have.
    descriptors: [usize; 2],
}

impl State {
    fn of(instance: &Instance) -> Self {
        let workers: BTreeSet<_> = instance.workers().iter().map(|p| p.pid).collect();
        let all = instance.lasting_processes();
        let others = all.iter().map(|p| p.pid);
        Self {
            others: others.filter(|pid| !workers.contains(pid)).collect(),
            workers,
            descriptors: held(instance).map(|process| process.descriptors().len()),
        }
    }
}

/// The front and the monitor.
fn held(instance: &Instance) -> [Process; 2] {
    let front = instance.running("hostel-front").pop();
    let monitor = Process::find(instance.monitor_pid());
    [front.expect("a front runs"), monitor.expect("it runs")]
}

/// The memory that a process takes, what it shares divided among those who share it.
fn pss_kib(process: &Process) -> u64 {
    let path = format!("/proc/{}/smaps_rollup", process.pid);
    let text = fs::read_to_string(path).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.expect("a sum").trim().trim_end_matches(" kB");
    kib.parse().expect("a number of kB")
}

/// As many requests at once as there are workers.
fn visit(instance: &Instance) {
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                for _ in 0..50 {
                    let answer = instance.get("a.test", "/slow.php");
                    assert_eq!((answer.status, answer.text().as_str()), (200, "slow"));
                }
            });
        }
    });
}

#[test]
fn clients_that_leave_cost_no_worker_and_leak_nothing() {
    let instance = instance();
    visit(&instance);
    leave(&instance, 0..WARM);
    visit(&instance);
    // Who leaves may have a worker until that finds out.
    let rests = |state: &mut State| {
        let before = std::mem::replace(state, State::of(&instance));
        *state == before && state.workers.len() == WORKERS
    };
    let mut state = State::of(&instance);
    let settled = wait_until(Duration::from_secs(10), || {
        std::thread::sleep(Duration::from_millis(500));
        rests(&mut state)
    });
    assert!(settled, "the server does not come to rest: {state:?}");
    let warm = held(&instance).map(|process| pss_kib(&process));

    let begun = Instant::now();
    leave(&instance, WARM..LEAVE);
    println!("{} have left in {:?}", LEAVE - WARM, begun.elapsed());
    visit(&instance);
    let mut after = State::of(&instance);
    wait_until(Duration::from_secs(10), || {
        after = State::of(&instance);
        after == state
    });
    assert_eq!(after, state, "{}", instance.logs());
    let kib = held(&instance).map(|process| pss_kib(&process));
    println!("front and monitor: {warm:?} KiB before, {kib:?} after");
    for (before, now) in warm.into_iter().zip(kib) {
        assert!(now < before + GROWTH_KIB_MAX, "{before} KiB, then {now}");
    }
    // They did leave where they were meant to: before an answer, many of them from a script.
    let log = instance.log("a", "access");
    let lines = |word: &str, status: &str| {
        let is_such = |line: &&str| line.contains(word) && line.contains(status);
        log.lines().filter(is_such).count()
    };
    assert!(lines("/take.php", " 499 ") >= LEAVE as usize / 5);
    assert!(lines("/slow.php", " 499 ") >= LEAVE as usize / 20);
    assert_eq!(lines("", " 503 "), 0, "nobody was refused");
    assert_eq!(instance.get("a.test", "/").text(), "here");
}
