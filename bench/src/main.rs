//! The bench: Hostel against Apache in three forms and nginx with php-fpm, in turn, on one machine in one run.
//!
//! Run by hand as root, on loopback. It starts Debian's own programs with configurations of its own, measures them in
//! rounds, and ends everything that it started. What it measures and why is in bench/README.md.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a person at a terminal"
)]
#![allow(
    clippy::cast_precision_loss,
    reason = "counts of requests are far below 2^52"
)]

mod apache;
mod applications;
mod cold;
mod compared;
mod cpu;
mod crowd;
mod density;
mod failure;
mod figure;
mod flood;
mod fresh;
mod goal;
mod ground;
mod hostel;
mod load;
mod many;
mod memory;
mod nginx;
mod page;
mod plan;
mod plot;
mod probe;
mod programs;
mod report;
mod run;
mod sandbox;
mod server;
mod site;
mod soak;
mod steady;
mod zipf;

use std::path::Path;
use std::process::ExitCode;

use failure::{Failure, Result};
use plan::{HELP, Mode, Plan};
use run::Run;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match Plan::read(&arguments).and_then(|plan| bench(&plan, &arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failure(why)) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Run the plan; false if a measurement was invalid, or a soak not flat.
fn bench(plan: &Plan, arguments: &[String]) -> Result<bool> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let programs = programs::shipped(plan, &repository)?;
    let mut run = Run::prepare(programs, plan)?;
    let (suffix, tables) = match plan.mode {
        Mode::Soak(minutes) => return soak::run(&run, minutes, &repository.join("bench/runs")),
        Mode::Sandbox => {
            run.open = programs::open(&repository)?;
            ("-sandbox", sandbox::compare(&mut run, plan)?)
        }
        Mode::Peers => {
            scenarios(&mut run, plan);
            ("", report::summary(&run))
        }
    };
    println!("\n{tables}");
    if plan.keep {
        let command = ["make bench", &arguments.join(" ")].join(" ");
        let runs = repository.join("bench/runs");
        let directory = report::keep(&runs, suffix, command.trim(), &tables, &run)?;
        println!("kept in {}", directory.display());
    }
    let is_valid = run.problems.is_empty();
    run.end()?;
    Ok(is_valid)
}

/// Each scenario of the plan; one that cannot be run is a problem of the run and not its end.
fn scenarios(run: &mut Run, plan: &Plan) {
    let steady = |run: &mut Run| steady::run(run, |test| plan.wants(&[test.scenario, test.word]));
    if let Err(failure) = steady(run) {
        run.problem("steady tests", &failure);
    }
    for word in plan::OTHERS {
        if !plan.wants(&[word]) {
            continue;
        }
        let result = match word {
            "zipf" => zipf::run(run),
            "cold" => cold::run(run),
            "flood" => flood::run(run),
            "many" => many::run(run),
            "fresh" => fresh::run(run),
            _ => density::run(run),
        };
        if let Err(failure) = result {
            run.problem(word, &failure);
        }
    }
}
