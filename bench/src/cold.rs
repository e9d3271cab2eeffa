//! The first request to a site of which nothing runs, at many sites one after the other.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::cpu::Watch;
use crate::failure::{Failure, Result, Tried};
use crate::figure::{Figure, at_share, measure};
use crate::ground::{self, PHP_INI, WORK};
use crate::probe::Client;
use crate::run::Run;
use crate::server::{Kind, Server, Spec};
use crate::site::{self, HELLO, WHO};

/// With the modules that Debian's packages switch on.
pub(crate) const USUAL: &str = "cold-debian";
/// With OPcache alone.
pub(crate) const FEW: &str = "cold-opcache";
/// One wake, in raw.csv.
const ONE: &str = "first answer ms";

/// Wake many sites on each server, in turn.
pub(crate) fn run(run: &mut Run) -> Result<()> {
    let count = if run.quick { 20 } else { 120 };
    let sites = site::make(&site::numbered("cold", count + 1), &[HELLO, WHO])?;
    let few = few_modules()?;
    let modules = fs::read_dir(format!("{PHP_INI}/conf.d")).tried("count PHP's modules")?;
    run.remarks.push(format!(
        "Cold start: {count} sites were woken on each server; Debian's packages switch on {} modules here.",
        modules.count()
    ));
    let mut servers = Vec::new();
    for (test, kind, php_ini) in [
        (USUAL, Kind::Hostel, PHP_INI),
        (USUAL, Kind::Ondemand, PHP_INI),
        (FEW, Kind::Hostel, &few),
        (FEW, Kind::Ondemand, &few),
    ] {
        if run.kinds.contains(&kind) {
            println!("starting {kind} ({test})");
            let spec = Spec {
                php_ini,
                ..run.spec(test, &sites)
            };
            servers.push((test, Server::start(kind, &run.ground, &spec)?));
        }
    }
    println!("cold start of {count} sites");
    // Each figure is a single moment: what else ran is told for all of them together.
    let Some((_, first)) = servers.first() else {
        return Ok(());
    };
    let groups: Vec<_> = servers
        .iter()
        .skip(1)
        .map(|(_, server)| &server.group)
        .collect();
    let watch = Watch::begin(&first.group, &groups)?;
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); servers.len()];
    // The first site told that the server is up.
    for site in &sites[1..] {
        for ((test, server), times) in servers.iter().zip(&mut times) {
            thread::sleep(Duration::from_millis(30));
            let begun = Instant::now();
            match Client::new(server.port).ask_at(&site.host, "/hello.php") {
                Ok(answer) if answer.status == 200 && answer.body == b"Hello, world\n" => {
                    times.push(begun.elapsed().as_secs_f64() * 1e3);
                }
                Ok(answer) => run.problem(
                    &format!("{test}, {}, {}", server.kind, site.name),
                    &Failure(format!("status {}", answer.status)),
                ),
                Err(failure) => {
                    run.problem(&format!("{test}, {}, {}", server.kind, site.name), &failure);
                }
            }
        }
    }
    let (_, foreign) = watch.end()?;
    for ((test, server), times) in servers.iter().zip(times) {
        keep(run, test, server.kind, foreign, &times);
    }
    Ok(())
}

fn keep(run: &mut Run, test: &'static str, kind: Kind, foreign_share: f64, times: &[f64]) {
    for (round, value) in (1..).zip(times) {
        run.figures.0.push(Figure {
            test,
            kind,
            round,
            measure: ONE,
            value: *value,
            foreign_share,
        });
    }
    let at = |share| at_share(times, share).unwrap_or(f64::NAN);
    run.keep(
        test,
        kind,
        1,
        foreign_share,
        &[(measure::MEDIAN, at(0.5)), (measure::P99, at(0.99))],
    );
}

/// A directory with Debian's php.ini and OPcache as the only module.
fn few_modules() -> Result<String> {
    let directory = Path::new(WORK).join("few-modules");
    let what = "make a directory for PHP with OPcache alone";
    fs::create_dir_all(directory.join("conf.d")).tried(what)?;
    let ini = fs::read_to_string(format!("{PHP_INI}/php.ini")).tried(what)?;
    ground::file(&directory.join("php.ini"), &ini, None, 0o644)?;
    // posix tells who runs PHP, which is asked once of every server.
    for module in ["10-opcache.ini", "20-posix.ini"] {
        let text = fs::read_to_string(format!("{PHP_INI}/conf.d/{module}")).tried(what)?;
        ground::file(&directory.join("conf.d").join(module), &text, None, 0o644)?;
    }
    Ok(directory.display().to_string())
}
