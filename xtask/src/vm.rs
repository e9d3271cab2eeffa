//! The isolation tests in a throw-away virtual machine: Debian 12's own kernel (6.1, an older Landlock) and cgroup v2.
//!
//! Run by a developer or by CI; only making the cached Debian takes root. The guest has no network but its own loopback, its
//! disk is thrown away, and it is ended by the host when it takes too long. Everything lies beneath target/vm. It emulates the
//! processor (TCG), since nested virtualisation cannot be counted on: ten to twenty times slower than the host.

mod console;
mod disks;
mod guest;
mod programs;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::run::{Failure, Result, Tried, release_directory};
use console::Outcome;
use guest::Clock;

/// Run the suites whose name holds the first word of the filter (all without one); further words go to the tests.
pub(crate) fn run(filter: &[&str]) -> Result<()> {
    let place = place();
    fs::create_dir_all(&place).tried(place.display())?;
    let begun = Instant::now();
    let programs = programs::build(filter)?;
    let built = begun.elapsed();
    let disks = disks::make(&place, &programs)?;
    println!(
        "vm: programs {} s, disks {} s",
        built.as_secs(),
        (begun.elapsed() - built).as_secs()
    );
    let reports = disks::reports(&place)?;
    let mut outcome = Outcome::default();
    for clock in Clock::ALL {
        if programs.suites.iter().any(|suite| suite.clock == clock) {
            outcome.add(guest::run(&place, &disks, clock)?);
            disks::unpack(&disks, &reports)?;
            let log = guest::log(&place, clock);
            println!("vm: what the guest said: {}", log.display());
        }
    }
    summary(&outcome, begun.elapsed());
    println!("vm: reports in {}", reports.display());
    outcome.verdict()
}

/// Where images, logs and reports are: `vm` in cargo's target directory.
fn place() -> PathBuf {
    let release = release_directory();
    release.parent().unwrap_or(&release).join("vm")
}

fn summary(outcome: &Outcome, took: Duration) {
    println!();
    for suite in &outcome.suites {
        println!("{suite}");
        for test in &suite.failed {
            println!("    FAILED {test}");
        }
    }
    println!("whole: {} s", took.as_secs());
    println!("{} passed, {} failed", outcome.passed(), outcome.failed());
}

/// A program of tests, as the guest runs it.
#[derive(Debug)]
struct Suite {
    /// Its file's name in e2e/tests, or its crate's.
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    clock: Clock,
}

fn failure<T>(why: impl Into<String>) -> Result<T> {
    Err(Failure(why.into()))
}
