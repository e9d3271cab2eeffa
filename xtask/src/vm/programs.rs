//! What runs in the guest: the release programs, and the programs of tests, built on the host.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::guest::Clock;
use super::{Suite, failure};
use crate::e2e;
use crate::run::{Result, Tried, cargo, release_directory, repository, run};

/// End-to-end tests that stay on the host unless they are named, and why.
const HOST_ONLY: &[(&str, &str)] = &[
    (
        "applications",
        "WordPress and DokuWiki test PHP, not isolation",
    ),
    (
        "backup",
        "restic and rclone are not in the guest's Debian; the sandbox that it streams from is the one of site_commands",
    ),
    (
        "bad_input",
        "the front's reading of HTTP is the same on every kernel",
    ),
    (
        "channel",
        "what the front takes from sites is the same on every kernel",
    ),
    (
        "comparison",
        "measures Apache and php-fpm, which the guest does not have",
    ),
    (
        "concurrency",
        "how many workers help is found by times, which an emulated processor makes others",
    ),
    (
        "databases",
        "PostgreSQL and its tools would be no small part of the guest's Debian",
    ),
    (
        "import",
        "compares with nginx and Apache, which the guest does not have",
    ),
    (
        "leaving",
        "ten thousand clients, whose leaving the front sees alike on every kernel",
    ),
    (
        "package",
        "boots a Debian of its own, which the guest does not have",
    ),
    ("stale", "a second is not enough for an emulated processor"),
    ("parity", "compares answers with php-fpm's and nginx's"),
    (
        "serving",
        "HTTP and PHP, within times that an emulated processor keeps only by luck",
    ),
];
/// Single tests that do, of a suite, and why.
const SKIPPED: &[(&str, &str, &str)] = &[
    (
        "command",
        "the_tools_of_php_applications_work",
        "git would be no small part of the guest's Debian",
    ),
    (
        "command",
        "composer_installs_what_the_site_then_serves",
        "composer and what it needs would be no small part of the guest's Debian",
    ),
    (
        "fresh",
        "where_random_numbers_would_come_again_status_says_fork_and_the_log_says_why",
        "builds a module, for which the guest has no compiler",
    ),
    (
        "prove",
        "prove_controls_get_through",
        "that each attack succeeds without its layers is shown on the host, by a build that can leave them out",
    ),
    (
        "watch",
        "restarted_databases_are_reached_again_and_no_request_is_lost",
        "Redis is not in the guest's Debian",
    ),
];
/// End-to-end tests that compare times.
const TIMED: &[&str] = &["neighbour"];
/// Crates whose own tests ask the kernel.
const CRATES: &[&str] = &["hostel-sys", "hostel-keeper", "hostel-rewind"];

/// The name of tests that stand in the source itself.
const UNIT: &str = "unit";
/// What was built.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) suites: Vec<Suite>,
    /// What the suites start.
    pub(super) others: Vec<PathBuf>,
}

/// Build everything; the suites that the filter asks for.
pub(super) fn build(filter: &[&str]) -> Result<Programs> {
    e2e::build()?;
    let (name, arguments) = match filter {
        [] => ("", &[][..]),
        [name, rest @ ..] => (*name, rest),
    };
    let mut suites = executables(&["test", "--no-run", "--manifest-path", "e2e/Cargo.toml"])?;
    suites.retain(|suite| {
        let host_only = HOST_ONLY.iter().any(|(other, _)| *other == suite.name);
        suite.name != UNIT && (!host_only || suite.name == name)
    });
    for package in CRATES {
        for mut suite in executables(&["test", "--no-run", "--package", package])? {
            suite.name = format!("{package}-{}", suite.name);
            suites.push(suite);
        }
    }
    suites.retain(|suite| suite.name.contains(name));
    if suites.is_empty() {
        return failure(format!("vm: no suite's name holds '{name}'"));
    }
    for suite in &mut suites {
        suite.arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        for (_, test, why) in SKIPPED.iter().filter(|(name, _, _)| *name == suite.name) {
            println!("vm: not in the guest: {} {test}: {why}", suite.name);
            suite.arguments.push(format!("--skip={test}"));
        }
    }
    let mut others = programs_in(&release_directory())?;
    for directory in beside(&suites) {
        others.extend(programs_in(&directory)?);
    }
    Ok(Programs { suites, others })
}

/// Every program that lies in a directory of cargo's.
fn programs_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut programs = Vec::new();
    for entry in fs::read_dir(directory).tried(directory.display())? {
        let path = entry.tried(directory.display())?.path();
        let metadata = fs::metadata(&path).tried(path.display())?;
        // Libraries and cargo's notes have an ending.
        if metadata.is_file() && metadata.mode() & 0o111 != 0 && path.extension().is_none() {
            programs.push(path);
        }
    }
    Ok(programs)
}

/// The directories that cargo puts programs into beside the tests, where the tests know them.
fn beside(suites: &[Suite]) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = suites
        .iter()
        .filter_map(|suite| Some(suite.program.parent()?.parent()?.to_owned()))
        .collect();
    directories.sort();
    directories.dedup();
    directories
}

/// Build, then read from what cargo says which programs there are.
fn executables(arguments: &[&str]) -> Result<Vec<Suite>> {
    // First for a person to see, who may have to wait; then, built already, for its list.
    run(&mut cargo(arguments))?;
    let mut list = cargo(arguments);
    list.env("CARGO_TERM_COLOR", "never");
    let output = list.output().tried("cargo test --no-run")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let suites: Vec<Suite> = said.lines().filter_map(executable).collect();
    if suites.is_empty() {
        return failure(format!("vm: cargo names no program of tests:\n{said}"));
    }
    Ok(suites)
}

/// A line such as `  Executable tests/users.rs (target/debug/deps/users-0123)`.
fn executable(line: &str) -> Option<Suite> {
    let rest = line.trim_start().strip_prefix("Executable ")?;
    let (source, program) = rest.strip_suffix(')')?.rsplit_once(" (")?;
    let name = match source.strip_prefix("unittests ") {
        Some(_) => UNIT,
        None => {
            let source = Path::new(source);
            match source.file_stem()?.to_str()? {
                "main" => source.parent()?.file_name()?.to_str()?,
                name => name,
            }
        }
    };
    Some(Suite {
        clock: match TIMED.contains(&name) {
            true => Clock::Instructions,
            false => Clock::Host,
        },
        name: name.to_owned(),
        program: repository().join(program),
        arguments: Vec::new(),
    })
}

/// Copy a program without what only a debugger reads: the disk is made anew for each run.
pub(super) fn strip(from: &Path, to: &PathBuf) -> Result<()> {
    let mut strip = Command::new("strip");
    strip.arg("--strip-debug").arg("-o").arg(to).arg(from);
    let done = strip.status().tried("strip (package binutils)")?;
    if done.success() {
        return Ok(());
    }
    failure(format!("strip {}: {done}", from.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_names_its_programs() {
        let named = |line: &str| executable(line).map(|suite| suite.name);
        let program = "(target/debug/deps/x-0123456789abcdef)";
        for (source, name) in [
            ("tests/users.rs", "users"),
            ("tests/applications/main.rs", "applications"),
            ("unittests src/lib.rs", UNIT),
            ("unittests src/main.rs", UNIT),
        ] {
            let line = format!("  Executable {source} {program}");
            assert_eq!(named(&line).as_deref(), Some(name));
        }
        assert!(named("    Finished `test` profile in 0.1s").is_none());
        let suite = executable("  Executable tests/a.rs (/elsewhere/a-01)").expect("a program");
        assert_eq!(suite.program, Path::new("/elsewhere/a-01"));
    }
}
