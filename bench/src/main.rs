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
mod cpu;
mod failure;
mod ground;
mod hostel;
mod load;
mod measure;
mod nginx;
mod probe;
mod report;
mod sandbox;
mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use cpu::Group;
use failure::{Failure, Result, Tried};
use ground::Ground;
use measure::{Sample, Size, TESTS};
use server::{Kind, Server};

const HELP: &str = "\
Usage: hostel-bench [--quick] [--sandbox] [--servers WORD,...] [--programs DIRECTORY]

Measures PHP pages on Apache (prefork, itk, suexec), nginx-fpm and hostel. Needs root.

  --quick         one short round; nothing is kept
  --sandbox       instead: what Hostel's sandbox costs, by a build for tests that can leave it out
  --servers       only these of: prefork,itk,suexec,nginx-fpm,hostel; nothing is kept
  --programs      where the programs of Hostel are; default: built from this repository
";

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

/// What is asked for.
struct Plan {
    kinds: Vec<Kind>,
    rounds: u32,
    size: Size,
    programs: Option<PathBuf>,
    keep: bool,
    sandbox: bool,
}

impl Plan {
    fn read(arguments: &[String]) -> Result<Self> {
        let mut plan = Self {
            kinds: Kind::ALL.to_vec(),
            rounds: 5,
            size: Size {
                requests: 1000,
                seconds: 2,
            },
            programs: None,
            keep: true,
            sandbox: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| Failure(format!("{argument} needs a value")))
            };
            match argument.as_str() {
                "--quick" => {
                    plan.rounds = 1;
                    plan.size = Size {
                        requests: 100,
                        seconds: 1,
                    };
                    plan.keep = false;
                }
                "--servers" => {
                    plan.kinds = value()?.split(',').map(kind).collect::<Result<_>>()?;
                    plan.keep = false;
                }
                "--sandbox" => {
                    plan.kinds = vec![Kind::Hostel, Kind::HostelOpen];
                    plan.sandbox = true;
                }
                "--programs" => plan.programs = Some(value()?.into()),
                _ => return Err(Failure(format!("{argument} is not known\n{HELP}"))),
            }
        }
        Ok(plan)
    }
}

fn kind(word: &str) -> Result<Kind> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.word() == word)
        .ok_or_else(|| Failure(format!("no server is called {word}")))
}

/// Run the plan; false if a measurement was invalid.
fn bench(plan: &Plan, arguments: &[String]) -> Result<bool> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let programs = match &plan.programs {
        Some(programs) => programs.clone(),
        None if plan.kinds.contains(&Kind::Hostel) => build(&repository, false)?,
        None => PathBuf::new(),
    };
    let open = if plan.sandbox {
        build(&repository, true)?
    } else {
        PathBuf::new()
    };
    let ground = Ground::prepare()?;
    let generator = Group::create("load")?;
    let script = Path::new(ground::WORK).join("figures.lua");
    ground::file(&script, load::WRK_SCRIPT, None, 0o644)?;
    let mut servers = Vec::new();
    for kind in &plan.kinds {
        println!("starting {kind}");
        let programs = if *kind == Kind::HostelOpen {
            &open
        } else {
            &programs
        };
        servers.push(Server::start(*kind, &ground, programs)?);
    }
    let (samples, invalid) = rounds(plan, &mut servers, &generator, &script.to_string_lossy());
    drop(servers);
    generator.end()?;

    let tables = if plan.sandbox {
        let steady = sandbox::steady_table(&samples);
        let cold = sandbox::cold_table(&ground, &open)?;
        format!("{steady}\n{cold}\n{}", report::tables(&samples, &invalid))
    } else {
        report::tables(&samples, &invalid)
    };
    println!("\n{tables}");
    if plan.keep {
        let command = ["make bench", &arguments.join(" ")].join(" ");
        let runs = repository.join("bench/runs");
        let suffix = if plan.sandbox { "-sandbox" } else { "" };
        let directory = report::keep(&runs, suffix, command.trim(), &tables, &samples)?;
        println!("kept in {}", directory.display());
    }
    Ok(invalid.is_empty())
}

fn rounds(
    plan: &Plan,
    servers: &mut [Server],
    generator: &Group,
    script: &str,
) -> (Vec<Sample>, Vec<String>) {
    let (mut samples, mut invalid) = (Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        for test in TESTS {
            println!("round {round} of {}: {}", plan.rounds, test.title);
            for server in &*servers {
                match measure::measure(test, server, round, plan.size, generator, script) {
                    Ok(sample) => {
                        println!(
                            "  {:26} {:8.0} requests/s {:8.0} µs CPU/request{}",
                            server.kind.to_string(),
                            sample.rate(),
                            sample.cpu_micros,
                            if sample.is_marked() {
                                format!(
                                    "   disturbed: {:.0} % foreign load",
                                    sample.foreign_share * 100.0
                                )
                            } else {
                                String::new()
                            }
                        );
                        samples.push(sample);
                    }
                    Err(Failure(why)) => {
                        println!("  {:26} INVALID: {why}", server.kind.to_string());
                        let line = why.lines().next().unwrap_or_default();
                        invalid.push(format!(
                            "round {round}, {}, {}: {line}",
                            test.word, server.kind
                        ));
                    }
                }
            }
        }
        // Each round begins with another server, so that none always follows the same one.
        servers.rotate_left(1);
    }
    (samples, invalid)
}

/// Build Hostel's programs: as they are shipped, or for tests that leave layers of the sandbox out.
fn build(repository: &Path, controls: bool) -> Result<PathBuf> {
    println!("building Hostel");
    let mut target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository.join("target"), PathBuf::from);
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--workspace", "--exclude", "xtask"]);
    if controls {
        target.push("controls");
        command.args(["--features", CONTROLS]);
    }
    let status = command
        .arg("--target-dir")
        .arg(&target)
        .current_dir(repository)
        .status()
        .tried("start cargo")?;
    if !status.success() {
        return Err(Failure("cargo build --release failed".into()));
    }
    Ok(target.join("release"))
}

/// What makes a build that can leave layers out.
const CONTROLS: &str = "hostel-cli/controls,hostel-keeper/controls,hostel-php/controls";
