//! Mixed load at a moderate rate for an hour: do memory, descriptors, processes, sockets and disk of Hostel stay flat?
//!
//! Pages, files, uploads, clients that leave, PHP that crashes, reloads, sites that sleep and wake. One sample each ten seconds;
//! after a warm-up a straight line through each series tells how much it grew.

use std::fmt::Write;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result, Tried};
use crate::ground::{letters, run as run_command};
use crate::load::POST_BYTES;
use crate::memory;
use crate::plot::{self, Line};
use crate::probe::Client;
use crate::report;
use crate::run::{Run, shown};
use crate::server::{Kind, Server};
use crate::site::{self, HELLO, SLOW, STATIC, Site, WHO};

/// Sites that are asked all the time, and those that are asked seldom enough to sleep in between.
const BUSY: usize = 6;
const SLEEPERS: usize = 4;
/// The sleepers end their workers after so many seconds and sleep after ten times that: the only setting here.
const SLEEPERS_IDLE_SECONDS: u32 = 1;
const SLEEPERS_PACE: Duration = Duration::from_secs(15);
const SAMPLE_PACE: Duration = Duration::from_secs(10);
const RELOAD_PACE: Duration = Duration::from_secs(20);
/// The first part of the time, at most this long, in which caches fill, counts only in the plot.
const WARM_UP_MAX: Duration = Duration::from_secs(600);
/// A series is flat if its line rises by no more than this share of its mean, or by its own floor.
const GROWTH_SHARE_MAX: f64 = 0.05;

/// What is sampled: its name, and the growth that is never too much.
const SERIES: [(&str, f64); 5] = [
    ("PSS MB", 6.0),
    ("descriptors", 20.0),
    ("processes", 4.0),
    ("sockets", 20.0),
    ("disk MB without logs", 4.0),
];

/// Not SIGSEGV: Rust's handler lets the first one that was merely sent pass, as no address faults again.
const CRASH: (&str, &str) = ("crash.php", "<?php posix_kill(posix_getpid(), 6);\n");
const POST: (&str, &str) = (
    "post.php",
    "<?php echo strlen(file_get_contents('php://input'));\n",
);

/// One sample: seconds since the beginning, and the series' values.
type Sample = (f64, [f64; 5]);

/// What the load got; everything but a crash must be answered rightly.
#[derive(Debug, Default)]
struct Counts {
    right: AtomicU64,
    wrong: AtomicU64,
    left: AtomicU64,
    crashed: AtomicU64,
    reloads: AtomicU64,
    woken: AtomicU64,
}

/// Run for so many minutes; false if something grew or a request was not answered.
pub(crate) fn run(run: &Run, minutes: u32, runs: &Path) -> Result<bool> {
    let large = letters(1 << 20);
    let pages = [HELLO, WHO, SLOW, STATIC, CRASH, POST, ("large.txt", &large)];
    let mut names = site::numbered("soak", BUSY);
    names.extend(site::numbered("sleeper", SLEEPERS));
    let sites = site::make(&names, &pages)?;
    let servers = run.start("soak", &[Kind::Hostel], &sites)?;
    let server = servers
        .first()
        .ok_or_else(|| Failure("the soak needs Hostel among the servers".into()))?;
    let (busy, sleepers) = sites.split_at(BUSY);
    for site in sleepers {
        let file = server.directory.join(format!("sites.d/{}.toml", site.name));
        let text = fs::read_to_string(&file).tried("read a site's file")?;
        let text = format!("{text}idle_seconds = {SLEEPERS_IDLE_SECONDS}\n");
        fs::write(&file, text).tried("write a site's file")?;
    }
    server.signal(0, "-HUP")?;

    let (counts, stop) = (Counts::default(), AtomicBool::new(false));
    let duration = Duration::from_secs(60 * u64::from(minutes));
    println!("soak of {minutes} minutes");
    let samples = thread::scope(|scope| {
        let until_stop = Until {
            stop: &stop,
            counts: &counts,
            port: server.port,
        };
        for site in busy {
            scope.spawn(move || until_stop.ask(site));
        }
        for site in sleepers {
            scope.spawn(move || until_stop.wake(site));
        }
        scope.spawn(move || until_stop.leave(busy));
        scope.spawn(move || until_stop.crash(busy));
        scope.spawn(move || until_stop.reload(server));
        let samples = sample(server, duration, &counts);
        stop.store(true, Ordering::Relaxed);
        samples
    });
    let (verdict, is_flat) = judge(&samples, duration, &counts);
    println!("\n{verdict}");
    keep(runs, minutes, &samples, &verdict)?;
    Ok(is_flat)
}

/// The loads, until they are told to stop.
#[derive(Clone, Copy)]
struct Until<'a> {
    stop: &'a AtomicBool,
    counts: &'a Counts,
    port: u16,
}

impl Until<'_> {
    fn goes_on(self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        while !self.stop.load(Ordering::Relaxed) {
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return true;
            }
            thread::sleep(rest.min(Duration::from_millis(200)));
        }
        false
    }

    /// Pages, files and uploads over a connection that is kept.
    fn ask(self, site: &Site) {
        let mut client = Client::new(self.port);
        let body = "0123456789".repeat(POST_BYTES / 10);
        let (large, posted) = (letters(1 << 20), POST_BYTES.to_string());
        let asked = [
            ("/hello.php", "Hello, world\n", None),
            ("/static.txt", STATIC.1, None),
            ("/hello.php", "Hello, world\n", None),
            ("/slow.php", "Hello, world\n", None),
            ("/large.txt", &large, None),
            ("/static.txt", STATIC.1, None),
            ("/post.php", &posted, Some(&body[..])),
        ];
        let mut next = 0;
        while self.goes_on(Duration::from_millis(40)) {
            let (path, expected, body) = asked[next % asked.len()];
            next += 1;
            let answer = client.send(&site.host, path, &[], body);
            let is_right = answer
                .as_ref()
                .is_ok_and(|answer| answer.status == 200 && answer.body == expected.as_bytes());
            self.count(
                is_right,
                &site.host,
                path,
                answer.map(|answer| answer.status),
            );
            if !is_right {
                client = Client::new(self.port);
            }
        }
    }

    fn count(self, is_right: bool, host: &str, path: &str, status: Result<u16>) {
        if is_right {
            self.counts.right.fetch_add(1, Ordering::Relaxed);
        } else if self.counts.wrong.fetch_add(1, Ordering::Relaxed) < WRONG_SHOWN {
            println!("  wrong: {host}{path}: {status:?}");
        }
    }

    /// Sites that sleep in between.
    fn wake(self, site: &Site) {
        while self.goes_on(SLEEPERS_PACE) {
            let answer = Client::new(self.port).ask_at(&site.host, "/hello.php");
            let is_right = answer.as_ref().is_ok_and(|answer| answer.status == 200);
            self.counts.woken.fetch_add(1, Ordering::Relaxed);
            self.count(
                is_right,
                &site.host,
                "/hello.php",
                answer.map(|answer| answer.status),
            );
        }
    }

    /// Clients that leave: before the answer of a slow page, and in the middle of a large file.
    fn leave(self, sites: &[Site]) {
        let mut paths = ["/slow.php", "/large.txt"].iter().cycle();
        let mut sites = sites.iter().cycle();
        while self.goes_on(Duration::from_millis(150)) {
            let (Some(site), Some(path)) = (sites.next(), paths.next()) else {
                return;
            };
            let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", site.host);
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port))
                && stream.write_all(request.as_bytes()).is_ok()
            {
                thread::sleep(Duration::from_millis(10));
                self.counts.left.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// PHP that dies in a request, on one site.
    fn crash(self, sites: &[Site]) {
        let Some(site) = sites.first() else { return };
        while self.goes_on(Duration::from_secs(3)) {
            let answer = Client::new(self.port).ask_at(&site.host, "/crash.php");
            let is_right = answer.as_ref().is_ok_and(|answer| answer.status == 502);
            self.counts.crashed.fetch_add(1, Ordering::Relaxed);
            self.count(
                is_right,
                &site.host,
                "/crash.php",
                answer.map(|answer| answer.status),
            );
        }
    }

    fn reload(self, server: &Server) {
        while self.goes_on(RELOAD_PACE) {
            // A server that has gone shows in every other figure.
            if server.signal(0, "-HUP").is_ok() {
                self.counts.reloads.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Look at everything each ten seconds.
fn sample(server: &Server, duration: Duration, counts: &Counts) -> Vec<Sample> {
    let begun = Instant::now();
    let mut samples = Vec::new();
    while begun.elapsed() < duration {
        thread::sleep(SAMPLE_PACE.min(duration.saturating_sub(begun.elapsed())));
        let held = memory::held(&server.group);
        let values = [
            held.pss_mb,
            f64::from(held.descriptors),
            f64::from(held.processes),
            f64::from(held.sockets),
            disk_mb(server),
        ];
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "  {seconds:5.0} s: {} MB, {} descriptors, {} processes, {} sockets, {} MB on disk; {} right, {} wrong",
            shown(values[0]),
            held.descriptors,
            held.processes,
            held.sockets,
            shown(values[4]),
            counts.right.load(Ordering::Relaxed),
            counts.wrong.load(Ordering::Relaxed)
        );
        samples.push((seconds, values));
    }
    samples
}

/// What its state and run directories hold; logs grow with requests.
fn disk_mb(server: &Server) -> f64 {
    let directories =
        ["state", "run"].map(|name| server.directory.join(name).display().to_string());
    // A file that ends while du counts makes it fail, with the sum nevertheless.
    let script = "du -sk -- \"$@\" 2> /dev/null | awk '{ sum += $1 } END { print sum }'";
    let arguments = ["-c", script, "du", &directories[0], &directories[1]];
    let kilobytes = run_command("sh", &arguments).ok();
    kilobytes
        .and_then(|text| text.parse::<f64>().ok())
        .unwrap_or(0.0)
        * 1024.0
        / 1e6
}

/// Flat or not, as Markdown.
fn judge(samples: &[Sample], duration: Duration, counts: &Counts) -> (String, bool) {
    let warm_up = (duration / 4).min(WARM_UP_MAX);
    let mut is_flat = true;
    let mut text = format!(
        "| series | mean | growth after {} s of warm-up | allowed | |\n| --- | ---: | ---: | ---: | --- |\n",
        warm_up.as_secs()
    );
    for (place, (name, floor)) in SERIES.into_iter().enumerate() {
        let points: Vec<(f64, f64)> = samples
            .iter()
            .filter(|(seconds, _)| *seconds >= warm_up.as_secs_f64())
            .map(|(seconds, values)| (*seconds, values[place]))
            .collect();
        let (mean, growth) = line(&points);
        let allowed = (mean * GROWTH_SHARE_MAX).max(floor);
        let is_good = points.len() >= POINTS_MIN && growth <= allowed;
        is_flat &= is_good;
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} |",
            shown(mean),
            shown(growth),
            shown(allowed),
            if is_good { "flat" } else { "**not flat**" }
        );
    }
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let _ = writeln!(
        text,
        "\n{} requests answered rightly, {} wrongly; {} clients left early, {} crashes of PHP, {} reloads, {} wakes.",
        of(&counts.right),
        of(&counts.wrong),
        of(&counts.left),
        of(&counts.crashed),
        of(&counts.reloads),
        of(&counts.woken)
    );
    is_flat &= of(&counts.wrong) == 0;
    (text, is_flat)
}

/// The mean, and what the straight line of least squares rises from the first point to the last.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return (f64::NAN, f64::NAN);
    };
    let x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let over: f64 = points.iter().map(|(px, py)| (px - x) * (py - y)).sum();
    let under: f64 = points.iter().map(|(px, _)| (px - x).powi(2)).sum();
    let slope = if under > 0.0 { over / under } else { 0.0 };
    (y, slope * (last.0 - first.0))
}

fn keep(runs: &Path, minutes: u32, samples: &[Sample], verdict: &str) -> Result<()> {
    let date = run_command("date", &["+%Y-%m-%d"])?;
    let directory = report::new_directory(runs, "-soak", &date);
    let what = format!("keep the soak in {}", directory.display());
    fs::create_dir_all(&directory).tried(&what)?;
    let mut csv = "seconds".to_owned();
    for (name, _) in SERIES {
        let _ = write!(csv, ",{name}");
    }
    csv.push('\n');
    for (seconds, values) in samples {
        let _ = write!(csv, "{seconds:.0}");
        for value in values {
            let _ = write!(csv, ",{value:.2}");
        }
        csv.push('\n');
    }
    let lines: Vec<Line> = SERIES
        .into_iter()
        .enumerate()
        .map(|(place, (name, _))| Line {
            title: name.to_owned(),
            points: samples
                .iter()
                .map(|(at, values)| (*at, values[place]))
                .collect(),
        })
        .collect();
    let title = format!("Soak of {minutes} minutes");
    let readme = format!(
        "# {date}, a soak of {minutes} minutes\n\n`make soak`\n\n{verdict}\n![{title}](soak.svg)\n\n{}",
        report::machine()?
    );
    for (name, text) in [
        ("soak.csv", csv),
        ("soak.svg", plot::lines(&title, &lines)),
        ("README.md", readme),
    ] {
        fs::write(directory.join(name), text).tried(&what)?;
    }
    println!("kept in {}", directory.display());
    Ok(())
}

/// Of wrong answers so many are printed.
const WRONG_SHOWN: u64 = 20;
/// Fewer samples say nothing.
const POINTS_MIN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn series(step: f64) -> Vec<Sample> {
        (0..60)
            .map(|n| {
                (
                    f64::from(n) * 10.0,
                    [100.0 + f64::from(n) * step, 50.0, 9.0, 20.0, 1.0],
                )
            })
            .collect()
    }

    #[test]
    fn what_grows_is_not_flat() {
        let judged =
            |samples: &[Sample], counts: &Counts| judge(samples, Duration::from_secs(600), counts);
        let counts = Counts::default();
        assert!(judged(&series(0.0), &counts).1);
        // 44 samples after the warm-up, each 0.5 MB more: beyond the 6 MB that are never too much.
        let (text, is_flat) = judged(&series(0.5), &counts);
        assert!(!is_flat && text.contains("| PSS MB |") && text.contains("**not flat**"));
        assert!(judged(&series(0.05), &counts).1);
    }

    #[test]
    fn a_wrong_answer_or_too_few_samples_fail_it() {
        let counts = Counts::default();
        counts.wrong.fetch_add(1, Ordering::Relaxed);
        assert!(!judge(&series(0.0), Duration::from_secs(600), &counts).1);
        let few = &series(0.0)[..4];
        assert!(!judge(few, Duration::from_secs(40), &Counts::default()).1);
    }
}
