//! One site's visitors keep the front itself busy, each in another way; a single visitor of another site is served as ever.
//!
//! What is asserted holds on a machine that does something else too: a visitor who had to wait for each of the greedy site's
//! connections would wait for longer than that. How many of the greedy site's requests go before one of the other's, whatever the
//! machine, is asserted in `crates/front/tests/it/turns.rs`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hostel_e2e::{Instance, Request, Site, User, http, patience};

/// Each byte of an answer in a frame of its own.
const CRUMBS: &str =
    "<?php while (ob_get_level()) { ob_end_clean(); } while (true) { echo 'x'; flush(); }";
const ENDLESS: &str = "<?php $much = str_repeat('x', 65536); while (true) { echo $much; flush(); }";
const LOGGING: &str = "<?php while (true) { error_log('again'); }";
/// Requests in one measurement.
const MEASURED: usize = 100;

/// What the visitors of site `a` do.
#[derive(Debug, Clone, Copy)]
struct Attack {
    name: &'static str,
    target: &'static str,
    connections: usize,
    /// Requests that each connection sends before it reads; 0 where each request has a connection of its own.
    ahead: usize,
}

/// With so many connections everybody else would wait for some 50 ms, were they served in the order of their coming.
const MANY: usize = 400;
const ATTACKS: [Attack; 7] = [
    Attack {
        name: "frames of one byte",
        target: "/crumbs.php",
        connections: 8,
        ahead: 1,
    },
    Attack {
        name: "endless answers",
        target: "/endless.php",
        connections: 8,
        ahead: 1,
    },
    Attack {
        name: "messages for the log",
        target: "/logging.php",
        connections: 8,
        ahead: 1,
    },
    Attack {
        name: "answers of 503",
        target: "/sleeping.php",
        connections: MANY,
        ahead: 64,
    },
    Attack {
        name: "answers of 404",
        target: "/nothing.txt",
        connections: MANY,
        ahead: 64,
    },
    Attack {
        name: "small files",
        target: "/small.txt",
        connections: MANY,
        ahead: 64,
    },
    Attack {
        name: "new connections",
        target: "/small.txt",
        connections: 4,
        ahead: 0,
    },
];

/// One thread that attacks until it is stopped, and counts the bytes of answers.
struct Running {
    stop: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Running {
    fn begin(port: u16, attack: Attack) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let received = Arc::new(AtomicU64::new(0));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&received));
        let thread = thread::spawn(move || {
            let mut visitors: Vec<_> = (0..attack.connections)
                .map(|_| Visitor::new(port, attack))
                .collect();
            while !stopped.load(Ordering::Relaxed) {
                for visitor in &mut visitors {
                    count.fetch_add(visitor.turn(), Ordering::Relaxed);
                }
            }
        });
        Self {
            stop,
            received,
            thread,
        }
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("an attacker does not panic");
        self.received.load(Ordering::Relaxed)
    }
}

/// A connection that always asks and never waits.
struct Visitor {
    port: u16,
    request: Vec<u8>,
    stream: Option<TcpStream>,
    /// How much of the request is sent.
    sent: usize,
    /// Whether it asks once.
    is_new: bool,
}

impl Visitor {
    fn new(port: u16, attack: Attack) -> Self {
        let one = Request::get("a.test", attack.target).bytes();
        Self {
            port,
            request: one.repeat(attack.ahead.max(1)),
            stream: None,
            sent: 0,
            is_new: attack.ahead == 0,
        }
    }

    /// Send and take what can be sent and taken now; how much was taken.
    fn turn(&mut self) -> u64 {
        let Some(stream) = &mut self.stream else {
            self.sent = 0;
            self.stream = TcpStream::connect(("127.0.0.1", self.port)).ok();
            if let Some(stream) = &self.stream {
                stream.set_nonblocking(true).expect("a socket");
            }
            return 0;
        };
        if let Ok(sent) = stream.write(&self.request[self.sent..]) {
            self.sent += sent;
            // What never ends is asked for once.
            if self.sent == self.request.len() && !self.request_is_single() {
                self.sent = 0;
            }
        }
        let mut buffer = [0; 64 * 1024];
        let Some(stream) = &mut self.stream else {
            return 0;
        };
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => {
                if self.is_new {
                    self.stream = None;
                }
                count as u64
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
            Ok(_) | Err(_) => {
                self.stream = None;
                0
            }
        }
    }

    fn request_is_single(&self) -> bool {
        self.request
            .windows(4)
            .filter(|four| four == b"\r\n\r\n")
            .count()
            == 1
    }
}

/// Medians and 95th percentiles in milliseconds: of PHP over a kept connection, and of a file over a new one each.
fn measure(instance: &Instance) -> [(f64, f64); 2] {
    let mut kept = instance.connect();
    let page = Request::get("b.test", "/");
    let file = Request::get("b.test", "/small.txt");
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..MEASURED {
        let begun = Instant::now();
        let answer = kept.exchange(&page).expect("site b answers");
        times[0].push(begun.elapsed().as_secs_f64() * 1000.0);
        assert_eq!((answer.status, answer.text().as_str()), (200, "here"));
        let begun = Instant::now();
        let answer = http::exchange(instance.port(), &file).expect("site b answers");
        times[1].push(begun.elapsed().as_secs_f64() * 1000.0);
        assert_eq!((answer.status, answer.text().as_str()), (200, "small"));
        thread::sleep(Duration::from_millis(5));
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        (times[MEASURED / 2], times[MEASURED * 95 / 100])
    })
}

fn instance() -> Instance {
    let site = |name, user| {
        Site::new(name, user)
            .file("public/index.php", "<?php echo 'here';")
            .file("public/small.txt", "small")
    };
    let greedy = site("a", User::One)
        .toml("queue_max = 10\nworkers_max = 8")
        .file("public/crumbs.php", CRUMBS)
        .file("public/endless.php", ENDLESS)
        .file("public/logging.php", LOGGING)
        .file("public/sleeping.php", "<?php sleep(20);");
    Instance::new("fairness")
        .site(greedy)
        .site(site("b", User::Two))
        .start()
}

#[test]
fn a_visitor_does_not_notice_what_another_sites_visitors_do_to_the_front() {
    let instance = instance();
    assert_eq!(instance.get("a.test", "/").text(), "here");
    measure(&instance);
    let calm = measure(&instance);
    println!(
        "calm: PHP, kept connection: median {:.2} ms, 95 % {:.2}; file, new one: {:.2}, {:.2}",
        calm[0].0, calm[0].1, calm[1].0, calm[1].1
    );
    let most = patience(Duration::from_millis(20)).as_secs_f64() * 1000.0;
    for attack in ATTACKS {
        let running = Running::begin(instance.port(), attack);
        thread::sleep(Duration::from_secs(1));
        let found = measure(&instance);
        let received = running.end();
        println!(
            "{}: {:.2}, {:.2}; {:.2}, {:.2}; {} KB of answers",
            attack.name,
            found[0].0,
            found[0].1,
            found[1].0,
            found[1].1,
            received / 1000
        );
        assert!(
            received > 10_000 || attack.target == "/logging.php",
            "{}: it was no attack",
            attack.name
        );
        for ((median, _), (calm, _)) in found.iter().zip(calm) {
            assert!(
                *median < calm + most,
                "{}: {calm:.2} ms became {median:.2}",
                attack.name
            );
        }
    }
}
