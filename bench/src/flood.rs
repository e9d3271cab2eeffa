//! One of twenty sites is flooded: what do visitors of the others see?
//!
//! Three phases on each server in each round: nothing, a flood of slow pages at three times what that site alone can serve
//! (sent whatever the server answers), and a flood of cheap files that keeps the front itself busy.

use std::thread;
use std::time::{Duration, Instant};

use crate::cpu;
use crate::crowd::{self, Seen, Sent};
use crate::failure::{Failure, Result};
use crate::figure::{Figures, at_share, measure};
use crate::load::{self, Kept};
use crate::memory;
use crate::run::Run;
use crate::server::{Kind, Server};
use crate::site::{self, HELLO, SLOW, STATIC, Site, WHO};

/// The others without a flood.
pub(crate) const CALM: &str = "flood-none";
/// The others with a flood of slow pages.
pub(crate) const SLOW_FLOOD: &str = "flood-slow";
/// The others with a flood of cheap requests.
pub(crate) const CHEAP_FLOOD: &str = "flood-cheap";
/// The CPU time of Hostel's front or nginx's workers, in hundredths of one CPU.
pub(crate) const FRONT_BUSY: &str = "front busy %";
/// Of what was sent in a second, what was answered with 200, whenever that was.
const FLOOD_ANSWERED: &str = "flood answered/s";
/// Of what was sent in a second, what was refused or not answered.
const FLOOD_REFUSED: &str = "flood refused/s";
/// What was sent in a second no later than it was due.
const FLOOD_SENT: &str = "flood sent in time/s";

const SITES: usize = 20;
/// Each of the other sites is asked so often.
const PACE: Duration = Duration::from_millis(100);
/// Slow pages over so many connections tell what a site can serve: three times what they bring is more than `RATE_MAX` if each
/// has a worker. Many more would leave a queue behind that outlives the measurement.
const CAPACITY_CONNECTIONS: u32 = 64;
/// The most that this machine sends in a second beside all else.
const RATE_MAX: f64 = 3000.0;
const KINDS: [Kind; 3] = [Kind::Prefork, Kind::NginxFpm, Kind::Hostel];

/// Flood each server in each round.
pub(crate) fn run(run: &mut Run) -> Result<()> {
    let sites = site::make(&site::numbered("flood", SITES), &[HELLO, WHO, SLOW, STATIC])?;
    let mut servers = run.start("flood", &KINDS, &sites)?;
    for round in 1..=run.rounds {
        println!(
            "round {round} of {}: flood on 1 of {SITES} sites",
            run.rounds
        );
        for server in &servers {
            if let Err(failure) = round_on(run, server, &sites, round) {
                let what = format!("round {round}, flood, {}", server.kind);
                run.problem(&what, &failure);
            }
        }
        servers.rotate_left(1);
    }
    Ok(())
}

fn round_on(run: &mut Run, server: &Server, sites: &[Site], round: u32) -> Result<()> {
    let [flooded, others @ ..] = sites else {
        return Err(Failure("there are no sites".into()));
    };
    let others: Vec<String> = others.iter().map(|site| site.host.clone()).collect();
    let duration = Duration::from_secs(if run.quick { 3 } else { 5 });
    // Wakes what sleeps, and lets workers be found, on every site.
    visit(server, &others, Duration::from_millis(500));
    let capacity = capacity(run, server, flooded)?;
    // What waited in the queue of the flooded site is over.
    thread::sleep(Duration::from_secs(1));

    let watch = run.watch(server)?;
    let calm = visit(server, &others, duration);
    let (_, foreign) = watch.end()?;
    keep(run, CALM, server.kind, round, foreign, &calm, &[]);

    let rate = (3.0 * capacity).min(RATE_MAX);
    let watch = run.watch(server)?;
    let front = FrontTime::begin(server);
    let (seen, sent) = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let path = "/slow.php";
            crowd::open_loop(server.port, &flooded.host, path, rate, duration)
        });
        let seen = visit(server, &others, duration);
        let sent = flood.join();
        (seen, sent)
    });
    let busy = front.end();
    let sent = sent.map_err(|_| Failure("the flood's thread panicked".into()))??;
    let (_, foreign) = watch.end()?;
    let more = flood_figures(sent, rate, duration, busy);
    keep(run, SLOW_FLOOD, server.kind, round, foreign, &seen, &more);
    thread::sleep(Duration::from_secs(1));

    cheap(run, server, flooded, &others, round)
}

/// A flood of small files over 64 connections, as fast as they go.
fn cheap(
    run: &mut Run,
    server: &Server,
    flooded: &Site,
    others: &[String],
    round: u32,
) -> Result<()> {
    let seconds = if run.quick { 3 } else { 5 };
    let watch = run.watch(server)?;
    let front = FrontTime::begin(server);
    let (seen, load) = thread::scope(|scope| {
        let (generator, script) = (&run.generator, &run.scripts.get);
        let flood = scope.spawn(move || {
            let kept = Kept {
                script,
                host: &flooded.host,
                path: "/static.txt",
                headers: &[],
                connections: 64,
                seconds,
            };
            load::wrk_with_errors(generator, server.port, kept)
        });
        let seen = visit(server, others, Duration::from_secs(u64::from(seconds)));
        (seen, flood.join())
    });
    let busy = front.end();
    let load = load.map_err(|_| Failure("the flood's thread panicked".into()))??;
    let (_, foreign) = watch.end()?;
    let more = [
        (FLOOD_ANSWERED, load.requests as f64 / load.seconds),
        (FRONT_BUSY, busy),
    ];
    keep(run, CHEAP_FLOOD, server.kind, round, foreign, &seen, &more);
    Ok(())
}

/// How many slow pages a second the site alone can serve.
fn capacity(run: &Run, server: &Server, site: &Site) -> Result<f64> {
    let kept = Kept {
        script: &run.scripts.get,
        host: &site.host,
        path: "/slow.php",
        headers: &[],
        connections: CAPACITY_CONNECTIONS,
        seconds: 3,
    };
    // The first seconds are those in which a server finds its number of workers.
    load::wrk_with_errors(&run.generator, server.port, kept)?;
    thread::sleep(Duration::from_secs(1));
    let load = load::wrk_with_errors(&run.generator, server.port, kept)?;
    // wrk counts an answer with another status among the answers too.
    let right = load.requests.saturating_sub(load.errors);
    if right == 0 {
        return Err(Failure("the site answered no slow page".into()));
    }
    Ok(right as f64 / load.seconds)
}

fn visit(server: &Server, hosts: &[String], duration: Duration) -> Seen {
    let (path, expected) = ("/hello.php", "Hello, world\n");
    crowd::visit(server.port, hosts, path, expected, PACE, duration)
}

fn flood_figures(sent: Sent, rate: f64, duration: Duration, busy: f64) -> [(&'static str, f64); 4] {
    let second = |count: u64| count as f64 / duration.as_secs_f64();
    [
        (FLOOD_SENT, rate - second(sent.late)),
        (FLOOD_ANSWERED, second(sent.answered)),
        (FLOOD_REFUSED, second(sent.refused + sent.failed)),
        (FRONT_BUSY, busy),
    ]
}

fn keep(
    run: &mut Run,
    test: &'static str,
    kind: Kind,
    round: u32,
    foreign: f64,
    seen: &Seen,
    more: &[(&'static str, f64)],
) {
    let at = |share| at_share(&seen.times, share).unwrap_or(f64::NAN);
    let mut values = vec![
        (measure::MEDIAN, at(0.5)),
        (measure::P95, at(0.95)),
        (measure::ERRORS, seen.errors as f64),
    ];
    values.extend(more);
    run.keep(test, kind, round, foreign, &values);
}

/// How busy the processes are that speak HTTP.
struct FrontTime {
    processes: Vec<String>,
    begun: Instant,
    before: Duration,
}

impl FrontTime {
    fn begin(server: &Server) -> Self {
        let name = match server.kind {
            kind if kind.is_hostel() => "hostel-front",
            Kind::NginxFpm | Kind::Ondemand => "nginx",
            _ => "apache2",
        };
        let processes = memory::named(&server.group, name);
        let before = used(&processes);
        Self {
            processes,
            begun: Instant::now(),
            before,
        }
    }

    /// In hundredths of one CPU.
    fn end(self) -> f64 {
        let used = used(&self.processes).saturating_sub(self.before);
        100.0 * used.as_secs_f64() / self.begun.elapsed().as_secs_f64()
    }
}

/// A process that has ended counts no more.
fn used(processes: &[String]) -> Duration {
    let times = processes.iter().filter_map(|id| cpu::of_process(id).ok());
    times.sum()
}

/// The median over the rounds of each round's ratio to its own calm phase.
pub(crate) fn ratio_to_calm(
    figures: &Figures,
    test: &str,
    kind: Kind,
    measure: &str,
) -> Option<f64> {
    let calm: Vec<_> = figures
        .of(CALM, kind)
        .filter(|figure| figure.measure == measure)
        .collect();
    let ratios: Vec<f64> = figures
        .of(test, kind)
        .filter(|figure| figure.measure == measure)
        .filter_map(|figure| {
            let calm = calm.iter().find(|calm| calm.round == figure.round)?;
            Some(figure.value / calm.value)
        })
        .collect();
    at_share(&ratios, 0.5)
}
