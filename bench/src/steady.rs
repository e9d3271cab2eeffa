//! The steady tests: one page asked for again and again, on one server at a time, all servers in turn.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::applications::{self, Applications};
use crate::cpu::{Group, Watch};
use crate::failure::{Failure, Result};
use crate::figure::measure;
use crate::load::{self, Amount, Kept, Load, POST_BYTES, Scripts};
use crate::page::{Ask, Page, is_right};
use crate::probe::Client;
use crate::run::Run;
use crate::server::{Kind, Server};

/// One test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Test {
    /// Its name in raw.csv.
    pub word: &'static str,
    /// The scenario that it belongs to.
    pub scenario: &'static str,
    /// What it is, for readers.
    pub title: &'static str,
    kinds: &'static [Kind],
    page: Page,
    connections: u32,
    way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A fixed number of requests, a connection each.
    Requests,
    /// Requests for a fixed time, a connection each.
    Connections,
    /// Requests for a fixed time over kept connections.
    KeepAlive,
}

impl Test {
    /// Whether this server takes it: Hostel without its sandbox takes what Hostel takes.
    fn takes(&self, kind: Kind) -> bool {
        let kind = if kind == Kind::HostelOpen {
            Kind::Hostel
        } else {
            kind
        };
        self.kinds.contains(&kind)
    }
}

/// Those that run PHP for every test.
const FAST: &[Kind] = &[Kind::Prefork, Kind::NginxFpm, Kind::Hostel];
/// With mpm-itk too.
const WITH_ITK: &[Kind] = &[Kind::Prefork, Kind::Itk, Kind::NginxFpm, Kind::Hostel];
/// With suexec too.
const WITH_SUEXEC: &[Kind] = &[
    Kind::Prefork,
    Kind::Itk,
    Kind::Suexec,
    Kind::NginxFpm,
    Kind::Hostel,
];

const fn test(
    word: &'static str,
    scenario: &'static str,
    title: &'static str,
    kinds: &'static [Kind],
    page: Page,
    connections: u32,
    way: Way,
) -> Test {
    Test {
        word,
        scenario,
        title,
        kinds,
        page,
        connections,
        way,
    }
}

/// All tests, the one of 2008 first.
#[rustfmt::skip]
pub(crate) const TESTS: [Test; 17] = [
    test("phpinfo-c1", "article", "phpinfo(), one at a time, without keep-alive (ab): the test of 2008", WITH_SUEXEC, Page::Info, 1, Way::Requests),
    test("hello-c1", "hello", "hello, 1 at a time, without keep-alive (ab)", WITH_ITK, Page::Hello, 1, Way::Connections),
    test("hello-c4", "hello", "hello, 4 at a time, without keep-alive (ab)", WITH_ITK, Page::Hello, 4, Way::Connections),
    test("hello-keepalive-c1", "hello", "hello, 1 at a time, with keep-alive (wrk)", WITH_ITK, Page::Hello, 1, Way::KeepAlive),
    test("hello-keepalive-c4", "hello", "hello, 4 at a time, with keep-alive (wrk)", WITH_ITK, Page::Hello, 4, Way::KeepAlive),
    test("hello-keepalive-c32", "hello", "hello, 32 at a time, with keep-alive (wrk)", WITH_ITK, Page::Hello, 32, Way::KeepAlive),
    test("phpinfo-keepalive-c4", "phpinfo", "phpinfo(), 4 at a time, with keep-alive (wrk)", FAST, Page::Info, 4, Way::KeepAlive),
    test("phpinfo-keepalive-c32", "phpinfo", "phpinfo(), 32 at a time, with keep-alive (wrk)", FAST, Page::Info, 32, Way::KeepAlive),
    test("static-1k-c32", "static", "a file of 1 KB, 32 at a time, with keep-alive (wrk)", FAST, Page::SmallFile, 32, Way::KeepAlive),
    test("static-1m-c32", "static", "a file of 1 MB, 32 at a time, with keep-alive (wrk)", FAST, Page::LargeFile, 32, Way::KeepAlive),
    test("post-1m-c4", "post", "POST of 1 MB to PHP, 4 at a time, with keep-alive (wrk)", FAST, Page::Post, 4, Way::KeepAlive),
    test("wordpress-c1", "wordpress", "WordPress front page, 1 at a time, with keep-alive (wrk)", FAST, Page::BlogFront, 1, Way::KeepAlive),
    test("wordpress-c32", "wordpress", "WordPress front page, 32 at a time, with keep-alive (wrk)", FAST, Page::BlogFront, 32, Way::KeepAlive),
    test("wordpress-inside-c1", "wordpress", "WordPress, the list of posts of who is logged in, 1 at a time (wrk)", FAST, Page::BlogInside, 1, Way::KeepAlive),
    test("wordpress-inside-c4", "wordpress", "WordPress, the list of posts of who is logged in, 4 at a time (wrk)", FAST, Page::BlogInside, 4, Way::KeepAlive),
    test("dokuwiki-c1", "dokuwiki", "DokuWiki page, 1 at a time, with keep-alive (wrk)", FAST, Page::Wiki, 1, Way::KeepAlive),
    test("dokuwiki-c4", "dokuwiki", "DokuWiki page, 4 at a time, with keep-alive (wrk)", FAST, Page::Wiki, 4, Way::KeepAlive),
];

/// What a measurement needs besides the server.
struct Tools<'a> {
    generator: &'a Group,
    scripts: &'a Scripts,
    applications: Option<&'a Applications>,
    quick: bool,
}

/// Run those of these tests that `is_wanted`, in rounds.
pub(crate) fn run(run: &mut Run, is_wanted: impl Fn(&Test) -> bool) -> Result<()> {
    let tests: Vec<Test> = TESTS.into_iter().filter(is_wanted).collect();
    if tests.is_empty() {
        return Ok(());
    }
    let mut sites = vec![run.ground.site()];
    let needs = |page: &[Page]| tests.iter().any(|test| page.contains(&test.page));
    let applications = if needs(&[Page::BlogFront, Page::BlogInside, Page::Wiki]) {
        let applications = applications::install(run, "")?;
        sites.extend(applications.sites());
        Some(applications)
    } else {
        None
    };
    let mut servers = Vec::new();
    for kind in run.kinds.clone() {
        if !tests.iter().any(|test| test.takes(kind)) {
            continue;
        }
        // suexec runs programs for a site beneath /var/www alone, and takes part in the test of 2008 alone.
        let sites = if kind == Kind::Suexec {
            &sites[..1]
        } else {
            &sites
        };
        servers.extend(run.start("one", &[kind], sites)?);
    }
    for round in 1..=run.rounds {
        for test in &tests {
            println!("round {round} of {}: {}", run.rounds, test.title);
            for server in servers.iter().filter(|server| test.takes(server.kind)) {
                let tools = Tools {
                    generator: &run.generator,
                    scripts: &run.scripts,
                    applications: applications.as_ref(),
                    quick: run.quick,
                };
                match measure(*test, server, &tools) {
                    Ok((load, cpu, foreign)) => {
                        let mut values = vec![
                            (measure::RATE, load.requests as f64 / load.seconds),
                            (measure::CPU, cpu.as_secs_f64() * 1e6 / load.requests as f64),
                        ];
                        if load.p99_ms.is_finite() {
                            values.push((measure::MEDIAN, load.median_ms));
                            values.push((measure::P99, load.p99_ms));
                        }
                        run.keep(test.word, server.kind, round, foreign, &values);
                    }
                    Err(failure) => run.problem(
                        &format!("round {round}, {}, {}", test.word, server.kind),
                        &failure,
                    ),
                }
            }
        }
        // Each round begins with another server, so that none always follows the same one.
        servers.rotate_left(1);
    }
    Ok(())
}

/// Warm a server up, check its answers, measure it: what was done, the server's CPU time, the share of foreign load.
fn measure(test: Test, server: &Server, tools: &Tools<'_>) -> Result<(Load, Duration, f64)> {
    let ask = Ask::new(test.page, tools.applications)?;
    let expected = expected_bytes(test, server, &ask)?;
    let mut others = vec![tools.generator];
    others.extend(tools.applications.map(Applications::database));
    let watch = Watch::begin(&server.group, &others)?;
    let seconds = if tools.quick { 1 } else { 2 };
    let load = match test.way {
        Way::Requests | Way::Connections => {
            let amount = match (test.way, server.kind) {
                (Way::Connections, _) => Amount::Seconds(seconds),
                // 47 milliseconds each: the whole thousand would take longer than all else together.
                (_, Kind::Suexec) => Amount::Requests(if tools.quick { 20 } else { 200 }),
                _ => Amount::Requests(if tools.quick { 100 } else { 1000 }),
            };
            load::ab(
                tools.generator,
                server.port,
                &ask.path,
                test.connections,
                amount,
            )
        }
        Way::KeepAlive => {
            let script: &Path = if test.page == Page::Post {
                &tools.scripts.post
            } else {
                &tools.scripts.get
            };
            let kept = Kept {
                script,
                host: &ask.host,
                path: &ask.path,
                headers: &ask.headers,
                connections: test.connections,
                seconds,
            };
            load::wrk(tools.generator, server.port, kept)
        }
    }?;
    // What a server does after its last answer belongs to it: suexec's and mpm-itk's processes end then.
    thread::sleep(Duration::from_millis(50));
    let (used, foreign) = watch.end()?;
    check_lengths(test, &load, expected)?;
    Ok((load, used, foreign))
}

/// The mean length of right answers: of the body for ab, of the whole answer for wrk. Asking for them warms the server up.
fn expected_bytes(test: Test, server: &Server, ask: &Ask) -> Result<f64> {
    // Apache's heads count down the requests that a connection has left, from its limit of 100: one full turn.
    let count = match (test.page, test.way) {
        (Page::Hello | Page::Info | Page::SmallFile, Way::KeepAlive) => 100,
        _ => 10,
    };
    let mut client = Client::new(server.port);
    let body = (test.page == Page::Post).then(|| "0123456789".repeat(POST_BYTES / 10));
    let mut bytes = 0;
    for _ in 0..count {
        let answer = client.send(&ask.host, &ask.path, &ask.headers, body.as_deref())?;
        if !is_right(test.page, &answer) {
            return Err(Failure(format!(
                "{} answered {} with status {} and {} bytes that are not the page",
                server.kind,
                ask.path,
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
    // Answers that were under way at the end are counted in bytes alone.
    let cut = 1.0 + expected * f64::from(test.connections) / load.requests as f64;
    let allowed = match test.way {
        // Ports, process ids and times within the page differ in their digits; ab asks with fewer headers than the probe.
        Way::Requests => 2000.0,
        Way::Connections => 0.0,
        Way::KeepAlive => match test.page {
            // Times and tokens in the page, and what a head says about the requests that are left.
            Page::BlogFront
            | Page::BlogInside
            | Page::Wiki
            | Page::WikiStart
            | Page::LargeFile
            | Page::Post => cut + expected * 0.02 + 64.0,
            Page::Hello | Page::Info | Page::SmallFile => cut,
        },
    };
    if (load.bytes_mean - expected).abs() > allowed {
        return Err(Failure(format!(
            "answers of {} bytes on average where {expected} were expected",
            load.bytes_mean
        )));
    }
    Ok(())
}
