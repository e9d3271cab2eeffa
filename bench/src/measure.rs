//! The tests, and one measurement of one server.

use std::thread;
use std::time::{Duration, Instant};

use crate::cpu::{Group, machine_busy};
use crate::failure::{Failure, Result};
use crate::load::{self, Amount, Load};
use crate::probe::Client;
use crate::server::{Kind, Server};

/// Foreign load above which a measurement is marked.
pub(crate) const FOREIGN_SHARE_MAX: f64 = 0.10;

/// One test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Test {
    /// Its name in raw.csv.
    pub word: &'static str,
    /// What it is, for readers.
    pub title: &'static str,
    path: &'static str,
    connections: u32,
    way: Way,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    /// A fixed number of requests, a connection each.
    Requests,
    /// Requests for a fixed time, a connection each.
    Connections,
    /// Requests for a fixed time over kept connections.
    KeepAlive,
}

/// All tests, the one of 2008 first.
pub(crate) const TESTS: [Test; 6] = [
    Test {
        word: "phpinfo-c1",
        title: "phpinfo(), one at a time, without keep-alive (ab): the test of 2008",
        path: "/info.php",
        connections: 1,
        way: Way::Requests,
    },
    Test {
        word: "hello-c1",
        title: "hello, 1 at a time, without keep-alive (ab)",
        path: "/hello.php",
        connections: 1,
        way: Way::Connections,
    },
    Test {
        word: "hello-c4",
        title: "hello, 4 at a time, without keep-alive (ab)",
        path: "/hello.php",
        connections: 4,
        way: Way::Connections,
    },
    Test {
        word: "hello-keepalive-c1",
        title: "hello, 1 at a time, with keep-alive (wrk)",
        path: "/hello.php",
        connections: 1,
        way: Way::KeepAlive,
    },
    Test {
        word: "hello-keepalive-c4",
        title: "hello, 4 at a time, with keep-alive (wrk)",
        path: "/hello.php",
        connections: 4,
        way: Way::KeepAlive,
    },
    Test {
        word: "hello-keepalive-c32",
        title: "hello, 32 at a time, with keep-alive (wrk)",
        path: "/hello.php",
        connections: 32,
        way: Way::KeepAlive,
    },
];

/// How much one measurement does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Requests of the phpinfo() test.
    pub requests: u32,
    /// Seconds of the others.
    pub seconds: u32,
}

/// One measurement.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Of which test.
    pub test: Test,
    /// Of which server.
    pub kind: Kind,
    /// In which round, from 1.
    pub round: u32,
    /// Answers.
    pub requests: u64,
    /// How long they took.
    pub seconds: f64,
    /// CPU time of the server's processes for each answer, in microseconds.
    pub cpu_micros: f64,
    /// The share of the machine's CPUs that neither server nor load generator used, but something else did.
    pub foreign_share: f64,
}

impl Sample {
    /// Answers per second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// Whether so much else ran that the figures say little.
    pub(crate) fn is_marked(&self) -> bool {
        self.foreign_share > FOREIGN_SHARE_MAX
    }
}

/// Warm a server up, check its answers, measure it.
pub(crate) fn measure(
    test: Test,
    server: &Server,
    round: u32,
    size: Size,
    generator: &Group,
    script: &str,
) -> Result<Sample> {
    let expected = expected_bytes(test, server)?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (machine, own, load_own) = (machine_busy()?, server.group.used()?, generator.used()?);
    let start = Instant::now();

    let load = match test.way {
        Way::Requests => load::ab(
            generator,
            server.port,
            test.path,
            test.connections,
            Amount::Requests(size.requests),
        ),
        Way::Connections => load::ab(
            generator,
            server.port,
            test.path,
            test.connections,
            Amount::Seconds(size.seconds),
        ),
        Way::KeepAlive => load::wrk(
            generator,
            script,
            server.port,
            test.path,
            test.connections,
            size.seconds,
        ),
    }?;

    // What a server does after its last answer belongs to it: suexec's and mpm-itk's processes end then.
    thread::sleep(Duration::from_millis(50));
    let elapsed = start.elapsed().as_secs_f64() * cores as f64;
    let used = (server.group.used()? - own).as_secs_f64();
    let foreign = (machine_busy()? - machine).as_secs_f64()
        - used
        - (generator.used()? - load_own).as_secs_f64();
    check_lengths(test, &load, expected)?;
    Ok(Sample {
        test,
        kind: server.kind,
        round,
        requests: load.requests,
        seconds: load.seconds,
        cpu_micros: used * 1e6 / load.requests as f64,
        foreign_share: (foreign / elapsed).max(0.0),
    })
}

/// The mean length of right answers: of the body for ab, of the whole answer for wrk. Asking for them warms the server up.
fn expected_bytes(test: Test, server: &Server) -> Result<f64> {
    // Apache's heads count down the requests that a connection has left, from its limit of 100: one full turn.
    let count = match test.way {
        Way::KeepAlive => 100,
        Way::Requests | Way::Connections => 10,
    };
    let mut client = Client::new(server.port);
    let mut bytes = 0;
    for _ in 0..count {
        let answer = client.ask(test.path)?;
        let right = match test.path {
            "/hello.php" => answer.body == b"Hello, world\n",
            _ => {
                answer.body.starts_with(b"<!DOCTYPE html")
                    && answer.body.ends_with(b"</div></body></html>")
            }
        };
        if answer.status != 200 || !right {
            return Err(Failure(format!(
                "{} answered {} with status {} and {} bytes that are not the page",
                server.kind,
                test.path,
                answer.status,
                answer.body.len()
            )));
        }
        bytes += match test.way {
            Way::KeepAlive => answer.wire_bytes,
            Way::Requests | Way::Connections => answer.body.len() as u64,
        };
    }
    Ok(bytes as f64 / f64::from(count))
}

fn check_lengths(test: Test, load: &Load, expected: f64) -> Result<()> {
    let allowed = match test.way {
        // Ports, process ids and times within the page differ in their digits; ab asks with fewer headers than the probe.
        Way::Requests => 2000.0,
        Way::Connections => 0.0,
        // Answers that were under way at the end are counted in bytes alone.
        Way::KeepAlive => 1.0 + expected * f64::from(test.connections) / load.requests as f64,
    };
    if (load.bytes_mean - expected).abs() > allowed {
        return Err(Failure(format!(
            "answers of {} bytes on average where {expected} were expected",
            load.bytes_mean
        )));
    }
    Ok(())
}
