//! Each case of `cases/php` on nginx + php-fpm and on Hostel, with the same document root, user and php.ini: the answers must not
//! differ but where a case says so.
//!
//! `HOSTEL_CASE=name` runs the cases whose name contains that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hostel_e2e::case::{self, Case, Step};
use hostel_e2e::http::exchange;
use hostel_e2e::{Instance, Peer, Response, Site, User, peer, wait_until};

const DOMAIN: &str = "parity.test";
/// php-fpm has no /tmp of its own: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// The issue asks for at least this many.
const CASES_MIN: usize = 60;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/php")
}

fn cases() -> Vec<Case> {
    let filter = std::env::var("HOSTEL_CASE").unwrap_or_default();
    let mut cases = case::load_all(&folder());
    assert!(cases.len() >= CASES_MIN, "only {} cases", cases.len());
    cases.retain(|case| case.name.contains(&filter));
    cases
}

fn instance(name: &str) -> Instance {
    let mut site = Site::new("parity", User::One).copy(&folder().join("_root"), "public");
    for case in cases() {
        site = site.copy(&folder().join(&case.name), &format!("public/{}", case.name));
    }
    Instance::new(name)
        .settings(&format!("php_ini = {:?}", peer::PHP_INI))
        .site(site)
}

fn start_peer(instance: &Instance) -> Peer {
    let root = instance.home("parity").join("public");
    Peer::start(&instance.path("."), DOMAIN, &root, User::One, "")
}

/// One server, and what its answers said.
struct Server {
    port: u16,
    seen: BTreeMap<String, String>,
}

impl Server {
    fn new(port: u16) -> Self {
        let seen = BTreeMap::new();
        Self { port, seen }
    }

    fn ask(&mut self, case: &Case, step: &Step) -> Result<Response, String> {
        let request = case.request(step, DOMAIN, &self.seen);
        let response = exchange(self.port, &request).map_err(|e| format!("no answer: {e}"))?;
        self.seen.extend(response.headers.iter().cloned());
        Ok(response)
    }
}

fn report(failures: &[String], count: usize) {
    for failure in failures {
        println!("{failure}");
    }
    assert!(
        failures.is_empty(),
        "{} differences in {count} cases",
        failures.len()
    );
}

#[test]
fn nginx_answers_what_the_cases_say() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let instance = instance("peer");
    let peer = start_peer(&instance);
    let (mut failures, cases) = (Vec::new(), cases());
    for case in &cases {
        let mut server = Server::new(peer.port());
        for step in &case.requests {
            let wrong = match server.ask(case, step) {
                Ok(response) => step.check_peer(&response),
                Err(error) => vec![error],
            };
            failures.extend(wrong.iter().map(|w| described(case, step, w)));
            let logged = step
                .log
                .as_ref()
                .is_none_or(|text| soon(|| peer.error_log(), text));
            if !logged {
                failures.push(described(case, step, "nginx's error log lacks the message"));
            }
        }
    }
    report(&failures, cases.len());
}

#[test]
fn hostel_answers_as_nginx_and_php_fpm_do() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let instance = instance("parity").start();
    let peer = start_peer(&instance);
    let ports = (peer.port(), instance.port());
    let (mut failures, cases) = (Vec::new(), cases());
    for case in &cases {
        let mut servers = (Server::new(ports.0), Server::new(ports.1));
        for step in &case.requests {
            let wrong = match (servers.0.ask(case, step), servers.1.ask(case, step)) {
                (Ok(theirs), Ok(ours)) => step.compare(&theirs, &ours, ports),
                (Err(error), _) => vec![format!("nginx: {error}")],
                (_, Err(error)) => vec![format!("Hostel: {error}")],
            };
            failures.extend(wrong.iter().map(|w| described(case, step, w)));
            let log = || instance.log("parity", "error");
            let logged = step.log.as_ref().is_none_or(|text| soon(log, text));
            if !logged {
                failures.push(described(
                    case,
                    step,
                    "the site's error log lacks the message",
                ));
            }
        }
    }
    report(&failures, cases.len());
}

fn soon(log: impl Fn() -> String, text: &str) -> bool {
    wait_until(Duration::from_secs(2), || log().contains(text))
}

fn described(case: &Case, step: &Step, what: &str) -> String {
    format!(
        "{}: {} {}: {what}",
        case.name,
        step.method,
        case.target(step)
    )
}
