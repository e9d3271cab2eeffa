//! Five hundred clients that keep their connections, at fifty sites at once: few sites get most of the requests (Zipf).

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::failure::{Failure, Result};
use crate::figure::measure;
use crate::ground::WORK;
use crate::load::{self, Kept, Load};
use crate::probe::Client;
use crate::run::Run;
use crate::server::{Kind, Server};
use crate::site::{self, HELLO, Site, WHO};

/// The test's name in raw.csv.
pub(crate) const TEST: &str = "zipf-500";
const SITES: usize = 50;
const CLIENTS: u32 = 500;
const KINDS: [Kind; 3] = [Kind::Prefork, Kind::NginxFpm, Kind::Hostel];

/// Run it in rounds.
pub(crate) fn run(run: &mut Run) -> Result<()> {
    let sites = site::make(&site::numbered("zipf", SITES), &[HELLO, WHO])?;
    let hosts: Vec<String> = sites.iter().map(|site| site.host.clone()).collect();
    let weights: Vec<f64> = (1..=SITES).map(|place| 1.0 / place as f64).collect();
    let script = Path::new(WORK).join("zipf.lua");
    load::many_sites_script(&script, "/hello.php", &hosts, &weights)?;
    let mut servers = run.start("zipf", &KINDS, &sites)?;
    for round in 1..=run.rounds {
        println!(
            "round {round} of {}: {CLIENTS} clients at {SITES} sites",
            run.rounds
        );
        for server in &servers {
            match measure(run, server, &sites, &script) {
                Ok((load, used, foreign)) => {
                    let right = load.requests.saturating_sub(load.errors) as f64;
                    let values = [
                        (measure::RATE, right / load.seconds),
                        (
                            measure::CPU,
                            used.as_secs_f64() * 1e6 / load.requests as f64,
                        ),
                        (measure::MEDIAN, load.median_ms),
                        (measure::P99, load.p99_ms),
                        (measure::ERRORS, load.errors as f64),
                    ];
                    run.keep(TEST, server.kind, round, foreign, &values);
                }
                Err(failure) => {
                    let what = format!("round {round}, {TEST}, {}", server.kind);
                    run.problem(&what, &failure);
                }
            }
        }
        servers.rotate_left(1);
    }
    Ok(())
}

fn measure(
    run: &Run,
    server: &Server,
    sites: &[Site],
    script: &Path,
) -> Result<(Load, Duration, f64)> {
    // Nothing sleeps when it begins: cold starts are measured elsewhere.
    for site in sites {
        let answer = Client::new(server.port).ask_at(&site.host, "/hello.php")?;
        if answer.status != 200 || answer.body != b"Hello, world\n" {
            let (host, status) = (&site.host, answer.status);
            return Err(Failure(format!("{host} answered with status {status}")));
        }
    }
    let kept = Kept {
        script,
        host: "zipf.example",
        path: "/hello.php",
        headers: &[],
        connections: CLIENTS,
        seconds: if run.quick { 2 } else { 5 },
    };
    let watch = run.watch(server)?;
    let load = load::wrk_with_errors(&run.generator, server.port, kept)?;
    thread::sleep(Duration::from_millis(50));
    let (used, foreign) = watch.end()?;
    Ok((load, used, foreign))
}
