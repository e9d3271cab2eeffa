//! What an active WordPress site costs in memory: several sites, each with its own files and user, under the same gentle load.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::applications::{self, Database};
use crate::failure::{Failure, Result};
use crate::figure::measure;
use crate::ground::WORK;
use crate::load::{self, Kept};
use crate::memory;
use crate::probe::Client;
use crate::run::Run;
use crate::server::{Kind, Server};
use crate::site::{self, HELLO, Site, WHO};

/// The test's name in raw.csv.
pub(crate) const TEST: &str = "memory-wordpress";
/// All memory of the server, divided by the active sites.
pub(crate) const PER_SITE: &str = "PSS MB/site";
const SITES: usize = 6;
/// Two visitors at a time for each site.
const CLIENTS: u32 = 12;
const KINDS: [Kind; 3] = [Kind::NginxFpm, Kind::Ondemand, Kind::Hostel];

/// Load each server in turn, and look at its memory meanwhile.
pub(crate) fn run(run: &mut Run) -> Result<()> {
    println!("installing {SITES} WordPress sites");
    let _database = Database::start(run, "press-database")?;
    let sites = site::make(&site::numbered("press", SITES), &[HELLO, WHO])?;
    for site in &sites {
        applications::copy_wordpress(site)?;
    }
    if let Some(first) = sites.first() {
        applications::fill_wordpress(first)?;
    }
    let hosts: Vec<String> = sites.iter().map(|site| site.host.clone()).collect();
    let script = Path::new(WORK).join("press.lua");
    load::many_sites_script(&script, "/", &hosts, &[1.0; SITES])?;
    for kind in run.wanted(&KINDS) {
        // One at a time, so that no server's pages are shared with another's.
        let servers = run.start("press", &[kind], &sites)?;
        for server in &servers {
            println!("{kind}: {CLIENTS} visitors at {SITES} WordPress sites");
            if let Err(failure) = measure(run, server, &sites, &script) {
                run.problem(&format!("{TEST}, {kind}"), &failure);
            }
        }
    }
    Ok(())
}

fn measure(run: &mut Run, server: &Server, sites: &[Site], script: &Path) -> Result<()> {
    for site in sites {
        let answer = Client::new(server.port).ask_at(&site.host, "/")?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status != 200 || !text.contains(applications::POST_TITLE) {
            let (host, status) = (&site.host, answer.status);
            return Err(Failure(format!("{host} answered with status {status}")));
        }
    }
    for round in 1..=run.rounds {
        let seconds = if run.quick { 3 } else { 5 };
        let (load, pss) = thread::scope(|scope| {
            let generator = &run.generator;
            let load = scope.spawn(move || {
                let kept = Kept {
                    script,
                    host: "press.example",
                    path: "/",
                    headers: &[],
                    connections: CLIENTS,
                    seconds,
                };
                load::wrk_with_errors(generator, server.port, kept)
            });
            // At the end of the load, while all of it is under way.
            thread::sleep(Duration::from_secs(u64::from(seconds)) - Duration::from_millis(500));
            let pss = memory::pss_mb(&server.group);
            (load.join(), pss)
        });
        let load = load.map_err(|_| Failure("the load's thread panicked".into()))??;
        // Foreign load changes no memory, so none is told.
        let values = [
            (PER_SITE, pss / SITES as f64),
            (measure::PSS, pss),
            (measure::RATE, load.requests as f64 / load.seconds),
            (measure::ERRORS, load.errors as f64),
        ];
        run.keep(TEST, server.kind, round, 0.0, &values);
    }
    Ok(())
}
