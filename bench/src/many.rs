//! A thousand and ten thousand configured sites that nobody visits: what they cost, and how one more comes to be.
//!
//! The peer is nginx with a server block and php-fpm with an ondemand pool for each, as nothing else of theirs sleeps.

use std::thread;
use std::time::{Duration, Instant};

use crate::cpu::Watch;
use crate::failure::{Failure, Result};
use crate::figure::measure;
use crate::memory;
use crate::probe::Client;
use crate::run::Run;
use crate::server::{Kind, Server};
use crate::site::{self, HELLO, STATIC, Site, WHO};
use crate::{hostel, nginx};

/// The tests' names in raw.csv, and how many sites each has.
pub(crate) const TESTS: [(&str, usize); 2] = [("sites-1000", 1_000), ("sites-10000", 10_000)];
/// From the start of the programs to the first answer of any kind, with php-fpm's last socket there too.
pub(crate) const START: &str = "start ms";
/// From the reload to the new site's file, which needs its keeper with Hostel.
pub(crate) const ADD: &str = "add one ms";
/// From the reload to an answer at a new name of an old site that is awake.
pub(crate) const RELOAD: &str = "reload ms";
/// The first answer of a site's PHP.
pub(crate) const FIRST: &str = "first answer ms";
/// Processes that were there before one site was added and are not after it.
pub(crate) const TOUCHED: &str = "processes replaced";
/// How many processes nobody's sites need.
const PROCESSES: &str = "processes";

const KINDS: [Kind; 2] = [Kind::Ondemand, Kind::Hostel];
/// Longer than this is not waited for a start.
const START_MAX: Duration = Duration::from_secs(90);
const RELOAD_MAX: Duration = Duration::from_secs(60);

/// Both sizes; without patience the smaller.
pub(crate) fn run(run: &mut Run) -> Result<()> {
    for (test, count) in TESTS.into_iter().take(if run.quick { 1 } else { 2 }) {
        println!("making {count} sites, each with a user");
        let prefix = format!("many{count}-");
        // The last is added while the server runs.
        let sites = site::make(&site::numbered(&prefix, count + 1), &[HELLO, WHO, STATIC])?;
        let rounds = if run.quick { 1 } else { 3 };
        let mut kinds = run.wanted(&KINDS);
        for round in 1..=rounds {
            for kind in kinds.clone() {
                println!("round {round} of {rounds}: {count} sites, {kind}");
                let name = format!("{test}-{round}");
                if let Err(failure) = one(run, test, &name, kind, &sites, round) {
                    run.problem(&format!("round {round}, {test}, {kind}"), &failure);
                    if run.figures.of(test, kind).next().is_none() {
                        println!("  {kind} does not start with {count} sites; not tried again");
                        kinds.retain(|other| *other != kind);
                    }
                }
            }
        }
    }
    Ok(())
}

fn one(
    run: &mut Run,
    test: &'static str,
    name: &str,
    kind: Kind,
    sites: &[Site],
    round: u32,
) -> Result<()> {
    let (Some((added, old)), Some(middle)) = (sites.split_last(), sites.get(sites.len() / 2))
    else {
        return Err(Failure("there are no sites".into()));
    };
    let begun = Instant::now();
    let mut server = Server::launch(kind, &run.ground, &run.spec(name, old))?;
    // Writing the configurations is no part of a start.
    let written = begun.elapsed();
    wait_for_start(&mut server, old, begun)?;
    let start = begun.elapsed().saturating_sub(written);
    let watch = Watch::begin(&server.group, &[])?;
    thread::sleep(Duration::from_secs(2));
    let idle = memory::held(&server.group);
    let (_, foreign) = watch.end()?;
    let values = [
        (START, start.as_secs_f64() * 1e3),
        (measure::PSS, idle.pss_mb),
        (PROCESSES, f64::from(idle.processes)),
    ];
    run.keep(test, kind, round, foreign, &values);

    let watch = Watch::begin(&server.group, &[])?;
    let first = timed(|| page(&server, &middle.host, "/hello.php", HELLO_BODY))
        .map_err(|Failure(why)| Failure(format!("{why}; {}", last_words(&server))))?;
    let before = server.group.processes();
    let add = add(&server, sites, added)?;
    let after = server.group.processes();
    let touched = before.iter().filter(|id| !after.contains(id)).count();
    let reload = reload(&server, sites, middle)?;
    page(&server, &added.host, "/hello.php", HELLO_BODY)?;
    let (_, foreign) = watch.end()?;
    let values = [
        (FIRST, first),
        (ADD, add),
        (RELOAD, reload),
        (TOUCHED, touched as f64),
    ];
    run.keep(test, kind, round, foreign, &values);
    Ok(())
}

const HELLO_BODY: &str = "Hello, world\n";
const STATIC_BODY: &str = STATIC.1;

fn wait_for_start(server: &mut Server, sites: &[Site], begun: Instant) -> Result<()> {
    let last = sites
        .last()
        .map(|site| nginx::socket(&server.directory, site));
    loop {
        let answers = Client::new(server.port)
            .ask_at("nobody.example", "/nothing")
            .is_ok();
        let has_pools = server.kind != Kind::Ondemand || last.as_ref().is_some_and(|s| s.exists());
        if answers && has_pools {
            return Ok(());
        }
        let directory = server.directory.display();
        if begun.elapsed() > START_MAX {
            return Err(Failure(format!(
                "does not start within {START_MAX:?}; its logs were in {directory}"
            )));
        }
        if !server.runs() {
            return Err(Failure(format!("ended at once: {}", last_words(server))));
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// What the programs said last.
fn last_words(server: &Server) -> String {
    let logs = [
        "start-0.log",
        "start-1.log",
        "error.log",
        "php-fpm.log",
        "logs/server.log",
    ];
    let lines = logs.iter().filter_map(|log| {
        let text = std::fs::read_to_string(server.directory.join(log)).ok()?;
        text.lines().last().map(str::to_owned)
    });
    lines.collect::<Vec<_>>().join(" / ")
}

/// Add one site to a running server; milliseconds until its file is served.
fn add(server: &Server, sites: &[Site], added: &Site) -> Result<f64> {
    if server.kind == Kind::Ondemand {
        nginx::configure(server.kind, sites, &server.directory, server.port)?;
    } else {
        hostel::add(server.kind, &server.directory, added, &[])?;
    }
    timed(|| {
        signal_reload(server)?;
        until(|| page(server, &added.host, "/static.txt", STATIC_BODY))?;
        if server.kind == Kind::Ondemand {
            until(|| page(server, &added.host, "/hello.php", HELLO_BODY))?;
        }
        Ok(())
    })
}

/// Give a site that is awake one more name; milliseconds until it is served there.
fn reload(server: &Server, sites: &[Site], site: &Site) -> Result<f64> {
    let name = format!("www.{}", site.host);
    if server.kind == Kind::Ondemand {
        let mut sites = sites.to_vec();
        for other in sites.iter_mut().filter(|other| other.name == site.name) {
            // One server block may have many names.
            other.host = format!("{} {name}", other.host);
        }
        nginx::configure(server.kind, &sites, &server.directory, server.port)?;
    } else {
        hostel::add(server.kind, &server.directory, site, &[&name])?;
    }
    timed(|| {
        signal_reload(server)?;
        until(|| page(server, &name, "/static.txt", STATIC_BODY))
    })
}

/// php-fpm starts anew at SIGUSR2, which is how it takes a pool up.
fn signal_reload(server: &Server) -> Result<()> {
    if server.kind == Kind::Ondemand {
        server.signal(0, "-USR2")?;
        server.signal(1, "-HUP")
    } else {
        server.signal(0, "-HUP")
    }
}

fn timed(what: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    what()?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

fn until(mut holds: impl FnMut() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    loop {
        match holds() {
            Err(failure) if begun.elapsed() > RELOAD_MAX => return Err(failure),
            Err(_) => thread::sleep(Duration::from_millis(1)),
            Ok(()) => return Ok(()),
        }
    }
}

fn page(server: &Server, host: &str, path: &str, expected: &str) -> Result<()> {
    let answer = Client::new(server.port).ask_at(host, path)?;
    if answer.status == 200 && answer.body == expected.as_bytes() {
        return Ok(());
    }
    Err(Failure(format!(
        "{host}{path} answered with status {}",
        answer.status
    )))
}
