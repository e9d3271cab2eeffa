//! What it costs that a request finds nothing of earlier ones: Hostel's three ways beside each other and beside Apache, in turn.
//!
//! Every answer is looked at, and every request that was begun is answered before a measurement ends, so processor time for each request
//! is exact; it is read a moment after the last answer, as a process is put back or ended then. Within a round the servers take short
//! turns, and what is compared is each round's own ratio: on a machine whose speed changes, both have had the same seconds.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use crate::applications::{self, Applications};
use crate::cpu::Watch;
use crate::crowd;
use crate::failure::{Failure, Result, Tried};
use crate::figure::{at_share, measure};
use crate::memory;
use crate::page::{Ask, Page};
use crate::probe::Client;
use crate::run::Run;
use crate::server::{Kind, Server};
use crate::site::Site;

/// What is compared.
pub(crate) const KINDS: [Kind; 5] = [
    Kind::Prefork,
    Kind::Itk,
    Kind::HostelPooled,
    Kind::HostelFresh,
    Kind::HostelForked,
];
/// Those whose memory is looked at.
const HOSTELS: [Kind; 3] = [Kind::HostelPooled, Kind::HostelFresh, Kind::HostelForked];

/// The memory of workers, in raw.csv.
pub(crate) const MEMORY: &str = "fresh-memory";
/// Memory of one worker, shared pages divided among those that share them.
pub(crate) const PER_WORKER: &str = "PSS MB/worker";
/// Workers.
const WORKERS: &str = "workers";
/// PSS of all processes, and in place of what they map of files in memory, those files whole.
const WITH_FILES: &str = "with files in memory, whole, MB";
/// So many visitors keep workers busy while memory is looked at.
const BUSY: u32 = 4;

/// One test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Test {
    /// Its name in raw.csv.
    pub word: &'static str,
    /// What it is, for readers.
    pub title: &'static str,
    /// What is asked for.
    pub page: Page,
    connections: u32,
    /// Whether a visitor keeps his connection.
    pub is_kept: bool,
}

const fn each(word: &'static str, title: &'static str, page: Page, connections: u32) -> Test {
    Test {
        word,
        title,
        page,
        connections,
        is_kept: false,
    }
}

const fn kept(word: &'static str, title: &'static str, page: Page) -> Test {
    Test {
        word,
        title,
        page,
        connections: 4,
        is_kept: true,
    }
}

/// All tests.
#[rustfmt::skip]
pub(crate) const TESTS: [Test; 12] = [
    each("fresh-hello-c1", "hello, 1 at a time, a connection each", Page::Hello, 1),
    each("fresh-hello-c4", "hello, 4 at a time, a connection each", Page::Hello, 4),
    kept("fresh-hello-keepalive-c4", "hello, 4 at a time, connections kept", Page::Hello),
    each("fresh-phpinfo-c1", "phpinfo(), 1 at a time, a connection each", Page::Info, 1),
    each("fresh-phpinfo-c4", "phpinfo(), 4 at a time, a connection each", Page::Info, 4),
    kept("fresh-phpinfo-keepalive-c4", "phpinfo(), 4 at a time, connections kept", Page::Info),
    each("fresh-dokuwiki-c1", "DokuWiki start page, 1 at a time, a connection each", Page::WikiStart, 1),
    each("fresh-dokuwiki-c4", "DokuWiki start page, 4 at a time, a connection each", Page::WikiStart, 4),
    kept("fresh-dokuwiki-keepalive-c4", "DokuWiki start page, 4 at a time, connections kept", Page::WikiStart),
    each("fresh-wordpress-c1", "WordPress front page, 1 at a time, a connection each", Page::BlogFront, 1),
    each("fresh-wordpress-c4", "WordPress front page, 4 at a time, a connection each", Page::BlogFront, 4),
    kept("fresh-wordpress-keepalive-c4", "WordPress front page, 4 at a time, connections kept", Page::BlogFront),
];

/// A script that sees what it left in an earlier request to the same process: PHP forgets its own state, the C library's not.
const LEAVES: (&str, &str) = (
    "leaves.php",
    "<?php echo textdomain(null); textdomain('left');\n",
);
/// What it sees where nothing was left.
const NOTHING_LEFT: &[u8] = b"messages";
/// WordPress's front page, whose process is then kept with all its memory as by a slow visitor.
const HELD: (&str, &str) = (
    "held.php",
    "<?php
$_SERVER['REQUEST_URI'] = '/';
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = '/index.php';
require __DIR__ . '/index.php';
usleep(300000);
",
);

/// Run it in rounds.
pub(crate) fn run(run: &mut Run) -> Result<()> {
    let applications = applications::install(run, "fresh-")?;
    let mut sites = vec![run.ground.site()];
    sites.extend(applications.sites());
    for site in &sites {
        site.page(LEAVES.0, LEAVES.1)?;
    }
    applications.blog().page(HELD.0, HELD.1)?;
    let mut servers = run.start("fresh", &KINDS, &sites)?;
    for server in &servers {
        warm(server, &applications)?;
        for site in &sites {
            check_freshness(server, site)?;
        }
    }
    for round in 1..=run.rounds {
        for test in TESTS {
            println!("round {round} of {}: {}", run.rounds, test.title);
            measure(run, round, test, &servers, &applications)?;
        }
        // Each round begins with another server, so that none always follows the same one.
        if !servers.is_empty() {
            servers.rotate_left(1);
        }
    }
    for server in &servers {
        tell_means(run, server)?;
    }
    drop(servers);
    // One server at a time from here on, so that no server's pages are shared with another's.
    for kind in run.wanted(&HOSTELS) {
        if let Err(failure) = look_at_memory(run, kind, applications.blog()) {
            run.problem(&format!("{MEMORY}, {kind}"), &failure);
        }
    }
    Ok(())
}

/// Ask for everything with as many visitors as will come: scripts are compiled, and workers have started.
fn warm(server: &Server, applications: &Applications) -> Result<()> {
    for page in [Page::Hello, Page::Info, Page::WikiStart, Page::BlogFront] {
        let ask = Ask::new(page, Some(applications))?;
        crowd::closed_loop(server.port, page, &ask, 4, Duration::from_millis(500))?;
    }
    Ok(())
}

/// What shall be fresh must be, and what is compared with must not: both would make every ratio worthless.
fn check_freshness(server: &Server, site: &Site) -> Result<()> {
    let is_fresh = match server.kind {
        Kind::HostelFresh | Kind::HostelForked | Kind::Itk => true,
        Kind::HostelPooled => false,
        _ => return Ok(()),
    };
    let mut found = 0;
    for _ in 0..20 {
        // A connection each, as it takes to be fresh with mpm-itk.
        let answer = Client::new(server.port).ask_at(&site.host, "/leaves.php")?;
        if answer.status != 200 {
            let (host, status) = (&site.host, answer.status);
            return Err(Failure(format!("{host} answered with status {status}")));
        }
        found += u32::from(answer.body != NOTHING_LEFT);
    }
    if is_fresh == (found == 0) {
        return Ok(());
    }
    let (kind, host) = (server.kind, &site.host);
    Err(Failure(format!(
        "{found} of 20 requests to {host} on {kind} found what an earlier one had left"
    )))
}

/// Measure all servers in short turns, several each: what is compared has the same seconds.
fn measure(
    run: &mut Run,
    round: u32,
    test: Test,
    servers: &[Server],
    applications: &Applications,
) -> Result<()> {
    let mut ask = Ask::new(test.page, Some(applications))?;
    if !test.is_kept {
        ask.headers.push("Connection: close".to_owned());
    }
    let mut sums: Vec<Result<Sum>> = servers.iter().map(|_| Ok(Sum::default())).collect();
    for _ in 0..if run.quick { 1 } else { TURNS } {
        for (server, sum) in servers.iter().zip(&mut sums) {
            if let Ok(so_far) = sum
                && let Err(failure) = so_far.add(test, server, &ask, applications)
            {
                *sum = Err(failure);
            }
        }
    }
    for (server, sum) in servers.iter().zip(sums) {
        match sum {
            Ok(sum) => run.keep(
                test.word,
                server.kind,
                round,
                sum.foreign / f64::from(sum.turns),
                &sum.values(),
            ),
            Err(failure) => {
                let what = format!("round {round}, {}, {}", test.word, server.kind);
                run.problem(&what, &failure);
            }
        }
    }
    Ok(())
}

/// What a server did in its turns.
#[derive(Debug, Default)]
struct Sum {
    times: Vec<f64>,
    seconds: f64,
    used: Duration,
    foreign: f64,
    turns: u32,
}

impl Sum {
    /// One more turn.
    fn add(
        &mut self,
        test: Test,
        server: &Server,
        ask: &Ask,
        applications: &Applications,
    ) -> Result<()> {
        let duration = Duration::from_millis(match test.page {
            Page::Hello | Page::Info => 150,
            Page::WikiStart => 250,
            _ => 400,
        });
        let watch = Watch::begin(&server.group, &[applications.database()])?;
        let answered = crowd::closed_loop(server.port, test.page, ask, test.connections, duration)?;
        thread::sleep(AFTERWARDS);
        let (used, foreign) = watch.end()?;
        self.times.extend(answered.times);
        self.seconds += answered.seconds;
        self.used += used;
        self.foreign += foreign;
        self.turns += 1;
        Ok(())
    }

    fn values(&self) -> [(&'static str, f64); 4] {
        let requests = self.times.len() as f64;
        let at = |share| at_share(&self.times, share).unwrap_or(f64::NAN);
        [
            (measure::RATE, requests / self.seconds),
            (measure::CPU, self.used.as_secs_f64() * 1e6 / requests),
            (measure::MEDIAN, at(0.5)),
            (measure::P99, at(0.99)),
        ]
    }
}

/// Turns of each server in a round of a test.
const TURNS: u32 = 3;
/// What a server does after its last answer belongs to it: workers are put back, processes end and are begun.
const AFTERWARDS: Duration = Duration::from_millis(50);

/// Tell by which means requests were fresh, in the end, and how many workers that took.
fn tell_means(run: &mut Run, server: &Server) -> Result<()> {
    if !HOSTELS.contains(&server.kind) {
        return Ok(());
    }
    let socket = server.directory.join("run/status.sock");
    let mut text = String::new();
    UnixStream::connect(&socket)
        .and_then(|mut stream| stream.read_to_string(&mut text))
        .tried(format!("read {}", socket.display()))?;
    let mut means = values(&text, "fresh");
    for word in &mut means {
        if word == "null" {
            "pooled".clone_into(word);
        }
    }
    // The first of each name is the server's own, and stands before those of its sites.
    let numbers = |name| {
        let values = values(&text, name);
        let of_sites = values.iter().skip(1);
        of_sites
            .filter_map(|value| value.parse::<u64>().ok())
            .sum::<u64>()
    };
    let (workers, requests) = (numbers("started"), numbers("requests"));
    run.remarks.push(format!(
        "{}: its sites are {}; {workers} workers began for {requests} requests.",
        server.kind,
        means.join(", ")
    ));
    Ok(())
}

/// Each value that has this name in a document of JSON, without its quotation marks.
fn values(text: &str, name: &str) -> Vec<String> {
    let name = format!("\"{name}\":");
    text.split(&name)
        .skip(1)
        .map(|rest| {
            let value = rest.trim_start().trim_start_matches('"');
            let end = value.find(['"', ',', '}', ']', '\n']);
            value[..end.unwrap_or(value.len())].to_owned()
        })
        .collect()
}

/// Keep workers busy with WordPress's front page and look at their memory.
fn look_at_memory(run: &mut Run, kind: Kind, blog: &Site) -> Result<()> {
    let servers = run.start("fresh-memory", &[kind], std::slice::from_ref(blog))?;
    let looks: u32 = if run.quick { 1 } else { 5 };
    let (pause, ahead) = (Duration::from_millis(250), Duration::from_secs(2));
    for server in &servers {
        println!("{kind}: memory while {BUSY} visitors keep workers of WordPress's busy");
        let ask = Ask {
            host: blog.host.clone(),
            path: format!("/{}", HELD.0),
            headers: Vec::new(),
        };
        let seen = thread::scope(|scope| {
            let visitors = scope.spawn(|| {
                let duration = ahead + pause * (looks + 1);
                crowd::closed_loop(server.port, Page::BlogFront, &ask, BUSY, duration)
            });
            thread::sleep(ahead);
            let look = |_| {
                thread::sleep(pause);
                let workers = memory::named(&server.group, "hostel-worker");
                (
                    workers.len() as f64,
                    memory::pss_mb_of(&workers),
                    memory::pss_mb(&server.group),
                    memory::with_files_mb(&server.group),
                )
            };
            let seen: Vec<_> = (0..looks).map(look).collect();
            visitors
                .join()
                .map_err(|_| Failure("a visitor's thread panicked".into()))??;
            Ok(seen)
        })?;
        for (round, (workers, of_workers, all, with_files)) in (1..).zip(seen) {
            // Foreign load changes no memory, so none is told.
            let values = [
                (WORKERS, workers),
                (PER_WORKER, of_workers / workers),
                (measure::PSS, all),
                (WITH_FILES, with_files),
            ];
            run.keep(MEMORY, kind, round, 0.0, &values);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name_wherever_they_stand() {
        let text = r#"{"server":{"requests":7},"sites":[{"fresh":"rewind-written","requests":3},{"fresh":null,"requests":4}]}"#;
        assert_eq!(values(text, "fresh"), ["rewind-written", "null"]);
        assert_eq!(values(text, "requests"), ["7", "3", "4"]);
    }
}
