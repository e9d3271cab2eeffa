//! What it costs that a request finds nothing of earlier ones: Hostel's three ways beside each other and beside Apache, in turn.
//!
//! Every answer is looked at, and every request that was begun is answered before a measurement ends, so processor time for each request
//! is exact; it is read a moment after the last answer, as a process is put back or ended then. Rounds are short and many rather than
//! few and long, and what is compared is each round's own ratio: on a machine whose speed changes, neighbours have the same minute.

use std::fmt::Write as _;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use crate::applications::{self, Applications};
use crate::cpu::Watch;
use crate::crowd::{self, Answered};
use crate::failure::{Failure, Result, Tried};
use crate::figure::{Figures, measure};
use crate::memory;
use crate::page::{Ask, Page};
use crate::probe::Client;
use crate::run::{Run, shown};
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
/// As many as are busy at a time while memory is looked at.
const BUSY: u32 = 4;

/// One test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Test {
    /// Its name in raw.csv.
    pub word: &'static str,
    /// What it is, for readers.
    pub title: &'static str,
    page: Page,
    connections: u32,
    is_kept: bool,
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
            for server in &servers {
                match measure(test, server, &applications, run.quick) {
                    Ok((answered, cpu, foreign)) => {
                        let requests = answered.times.len() as f64;
                        let values = [
                            (measure::RATE, requests / answered.seconds),
                            (measure::CPU, cpu.as_secs_f64() * 1e6 / requests),
                            (measure::MEDIAN, answered.at(0.5)),
                            (measure::P99, answered.at(0.99)),
                        ];
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

/// Warm a server up again, then measure it: what was answered, the server's CPU time, the share of foreign load.
fn measure(
    test: Test,
    server: &Server,
    applications: &Applications,
    is_quick: bool,
) -> Result<(Answered, Duration, f64)> {
    let mut ask = Ask::new(test.page, Some(applications))?;
    if !test.is_kept {
        ask.headers.push("Connection: close".to_owned());
    }
    let duration = match test.page {
        Page::Hello | Page::Info => Duration::from_millis(600),
        Page::WikiStart => Duration::from_millis(800),
        _ => Duration::from_millis(1200),
    };
    let load =
        |duration| crowd::closed_loop(server.port, test.page, &ask, test.connections, duration);
    load(Duration::from_millis(100))?;
    thread::sleep(AFTERWARDS);
    let watch = Watch::begin(&server.group, &[applications.database()])?;
    let answered = load(if is_quick { duration / 2 } else { duration })?;
    thread::sleep(AFTERWARDS);
    let (used, foreign) = watch.end()?;
    Ok((answered, used, foreign))
}

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
    let means = values(&text, "fresh");
    let numbers = |name| {
        let values = values(&text, name);
        values
            .iter()
            .filter_map(|value| value.parse::<u64>().ok())
            .sum::<u64>()
    };
    // The server's own number of requests stands beside those of its sites.
    let (workers, requests) = (numbers("started"), numbers("requests") / 2);
    run.remarks.push(format!(
        "{}: {} by site; {workers} workers began for {requests} requests.",
        server.kind,
        means.join(", ")
    ));
    match server.kind {
        Kind::HostelFresh if means.iter().any(|means| means != "rewind") => Err(Failure(format!(
            "requests are fresh by {} and not by rewind; see {}",
            means.join(", "),
            server.directory.display()
        ))),
        _ => Ok(()),
    }
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

/// The largest of a page's tests, of fresh beside pooled; none where one of them was not measured.
fn most(figures: &Figures, page: Page, compare: fn(f64, f64) -> f64) -> Option<f64> {
    let (fresh, pooled) = (Kind::HostelFresh, Kind::HostelPooled);
    let compared = of_page(page).map(|test| {
        let (value, _) = figures.paired(test.word, fresh, pooled, measure::CPU, compare)?;
        Some(value)
    });
    let compared: Option<Vec<f64>> = compared.collect();
    compared?.into_iter().reduce(f64::max)
}

/// Processor time for each request, fresh to pooled, by the dearest of the page's tests.
pub(crate) fn dearest(figures: &Figures, page: Page) -> Option<f64> {
    most(figures, page, divide)
}

/// Microseconds of processor time by which a fresh hello takes more than a pooled one, by the dearest of its tests.
pub(crate) fn most_on_hello(figures: &Figures) -> Option<f64> {
    most(figures, Page::Hello, subtract)
}

/// The smallest of some tests, of fresh beside a peer; none where one of them was not measured.
fn slowest(figures: &Figures, peer: Kind, tests: impl Iterator<Item = Test>) -> Option<f64> {
    let compared = tests.map(|test| {
        let (value, _) =
            figures.paired(test.word, Kind::HostelFresh, peer, measure::RATE, divide)?;
        Some(value)
    });
    let compared: Option<Vec<f64>> = compared.collect();
    compared?.into_iter().reduce(f64::min)
}

/// Answers in a second of phpinfo(), fresh to prefork, by the slowest of its tests.
pub(crate) fn info_against_prefork(figures: &Figures) -> Option<f64> {
    slowest(figures, Kind::Prefork, of_page(Page::Info))
}

/// The same of a page beside mpm-itk, where each visitor has a connection of his own: with kept ones mpm-itk's requests are not fresh.
pub(crate) fn against_itk(figures: &Figures, page: Page) -> Option<f64> {
    slowest(
        figures,
        Kind::Itk,
        of_page(page).filter(|test| !test.is_kept),
    )
}

fn of_page(page: Page) -> impl Iterator<Item = Test> {
    TESTS.into_iter().filter(move |test| test.page == page)
}

fn divide(own: f64, base: f64) -> f64 {
    own / base
}

fn subtract(own: f64, base: f64) -> f64 {
    own - base
}

/// Speed, processor time and waiting, a line for each test.
pub(crate) fn tables(figures: &Figures) -> String {
    if !TESTS
        .iter()
        .any(|test| figures.0.iter().any(|figure| figure.test == test.word))
    {
        return String::new();
    }
    let mut text = String::from("### Fresh requests\n\n");
    let fresh = Kind::HostelFresh;
    let to = |base, name| Compared {
        base,
        name,
        compare: divide,
    };
    let more = Compared {
        base: Kind::HostelPooled,
        name: "µs more than pooled",
        compare: subtract,
    };
    let tables: [(&str, &[Compared]); 3] = [
        (
            measure::RATE,
            &[
                to(Kind::HostelPooled, "fresh : pooled"),
                to(Kind::Prefork, "fresh : prefork"),
                to(Kind::Itk, "fresh : mpm-itk"),
            ],
        ),
        (
            measure::CPU,
            &[to(Kind::HostelPooled, "fresh : pooled"), more],
        ),
        (measure::MEDIAN, &[]),
    ];
    for (measure, columns) in tables {
        let _ = write!(text, "| {measure} |");
        for kind in KINDS {
            let _ = write!(text, " {kind} |");
        }
        for column in columns {
            let _ = write!(text, " {} |", column.name);
        }
        let _ = writeln!(
            text,
            "\n| --- |{}",
            " ---: |".repeat(KINDS.len() + columns.len())
        );
        for test in TESTS {
            let _ = write!(text, "| {} |", test.title);
            for kind in KINDS {
                let _ = write!(
                    text,
                    " {} |",
                    cell(figures.median(test.word, kind, measure), shown)
                );
            }
            for Compared { base, compare, .. } in columns {
                let value = figures.paired(test.word, fresh, *base, measure, *compare);
                let _ = write!(text, " {} |", cell(value, |value| format!("{value:.2}")));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text.push_str(
        "Ratios and differences are medians of each round's own. With kept connections mpm-itk's requests are not fresh.\n\n",
    );
    text
}

/// A column that sets fresh beside another.
struct Compared {
    base: Kind,
    name: &'static str,
    compare: fn(f64, f64) -> f64,
}

/// A figure, marked where it is of disturbed rounds too.
fn cell(value: Option<(f64, bool)>, show: impl Fn(f64) -> String) -> String {
    match value {
        Some((value, true)) => format!("{} *", show(value)),
        Some((value, false)) => show(value),
        None => "-".to_owned(),
    }
}

/// Keep workers busy with WordPress's front page and look at their memory.
fn look_at_memory(run: &mut Run, kind: Kind, blog: &Site) -> Result<()> {
    let servers = run.start("fresh-memory", &[kind], std::slice::from_ref(blog))?;
    let looks: u32 = if run.quick { 1 } else { 5 };
    let (pause, ahead) = (Duration::from_millis(250), Duration::from_secs(2));
    for server in &servers {
        println!("{kind}: memory while {BUSY} workers are busy with WordPress");
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
    use crate::figure::Figure;

    fn figure(test: Test, kind: Kind, measure: &'static str, value: f64) -> Figure {
        Figure {
            test: test.word,
            kind,
            round: 1,
            measure,
            value,
            foreign_share: 0.0,
        }
    }

    #[test]
    fn a_goal_is_held_by_the_worst_of_its_tests_and_only_where_all_were_measured() {
        let mut figures = Figures::default();
        for (number, test) in (1_u32..).zip(of_page(Page::Info)) {
            assert_eq!(dearest(&figures, Page::Info), None);
            let (number, cpu) = (f64::from(number), measure::CPU);
            figures.0.push(figure(test, Kind::HostelPooled, cpu, 100.0));
            figures
                .0
                .push(figure(test, Kind::HostelFresh, cpu, 100.0 + number));
            figures
                .0
                .push(figure(test, Kind::Prefork, measure::RATE, 10.0));
            figures.0.push(figure(
                test,
                Kind::HostelFresh,
                measure::RATE,
                10.0 - number,
            ));
        }
        assert_eq!(dearest(&figures, Page::Info), Some(1.03));
        assert_eq!(most(&figures, Page::Info, subtract), Some(3.0));
        assert_eq!(info_against_prefork(&figures), Some(0.7));
        assert_eq!(dearest(&figures, Page::BlogFront), None);
    }

    #[test]
    fn beside_mpm_itk_no_connection_is_kept() {
        let mut figures = Figures::default();
        for test in of_page(Page::WikiStart) {
            let own = if test.is_kept { 1.0 } else { 2.0 };
            figures
                .0
                .push(figure(test, Kind::HostelFresh, measure::RATE, own));
            figures.0.push(figure(test, Kind::Itk, measure::RATE, 1.0));
        }
        assert_eq!(against_itk(&figures, Page::WikiStart), Some(2.0));
    }

    #[test]
    fn the_table_has_a_line_for_each_test_and_says_how_fresh_and_pooled_compare() {
        assert_eq!(tables(&Figures::default()), "");
        let [test, ..] = TESTS;
        let figures = Figures(vec![
            figure(test, Kind::HostelPooled, measure::CPU, 50.0),
            figure(test, Kind::HostelFresh, measure::CPU, 75.0),
        ]);
        let text = tables(&figures);
        let line =
            "| hello, 1 at a time, a connection each | - | - | 50.0 | 75.0 | - | 1.50 | 25.00 |";
        assert!(text.lines().any(|found| found == line), "{text}");
        assert_eq!(text.matches("| hello, 1 at a time").count(), 3);
    }

    #[test]
    fn values_are_found_by_name_wherever_they_stand() {
        let text = r#"{"server":{"requests":7},"sites":[{"fresh":"rewind","requests":3},{"fresh":null,"requests":4}]}"#;
        assert_eq!(values(text, "fresh"), ["rewind", "null"]);
        assert_eq!(values(text, "requests"), ["7", "3", "4"]);
    }
}
