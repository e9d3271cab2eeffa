//! What must hold before each commit: format, clippy, unit tests, tidy.

use crate::run::{self, Failure, Result, cargo, repository};
use crate::tidy;

/// Run all of it; every step is tried, so that one run tells everything.
pub(crate) fn run() -> Result<()> {
    let mut failures = Vec::new();
    let mut step = |result: Result<()>| {
        if let Err(Failure(why)) = result {
            failures.push(why);
        }
    };
    step(run::run(&mut cargo(&["fmt", "--all", "--check"])));
    step(run::run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ])));
    for apart in ["e2e", "bench", "fuzz"] {
        let manifest = format!("{apart}/Cargo.toml");
        if repository().join(&manifest).exists() {
            step(run::run(&mut cargo(&[
                "fmt",
                "--manifest-path",
                &manifest,
                "--check",
            ])));
            step(run::run(&mut cargo(&[
                "clippy",
                "--manifest-path",
                &manifest,
                "--all-targets",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ])));
        }
    }
    step(run::run(&mut cargo(&[
        "test",
        "--workspace",
        "--no-fail-fast",
    ])));
    step(tidy::run());
    if failures.is_empty() {
        println!("check: fine");
        return Ok(());
    }
    Err(Failure(format!(
        "check: {} failed:\n  {}",
        failures.len(),
        failures.join("\n  ")
    )))
}
