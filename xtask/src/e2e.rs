//! The end-to-end tests: release programs, then the tests of the workspace e2e as root, one at a time, each program of tests in a
//! network of its own.

use std::path::Path;
use std::process::Command;

use crate::deb;
use crate::run::{
    self, Result, as_root, cargo, is_root, output, release_directory, repository, target_directory,
};

/// Run them all, or those whose name holds the filter.
pub(crate) fn run(filter: &[&str]) -> Result<()> {
    build()?;
    let controls = target_directory().join("controls");
    if filter.is_empty() || filter.iter().any(|word| CONTROLS_TEST.contains(word)) {
        build_controls(&controls)?;
    }
    let package = deb::test_place();
    if filter.is_empty() || filter.iter().any(|word| word.contains("package")) {
        deb::test(&package)?;
    }
    let mut test = tests(&[], filter)?;
    test.env("HOSTEL_CONTROLS_BIN", controls.join("debug"));
    test.env("HOSTEL_PACKAGE", &package);
    run::run(&mut test)
}

/// The tests of fresh requests, at length, or those of them whose name holds the filter. What HOSTEL_FRESH_REQUESTS and HOSTEL_FRESH_PAGES
/// already say stands.
pub(crate) fn run_fresh(filter: &[&str]) -> Result<()> {
    build()?;
    let names = ["survives", "answer_the_same"];
    let filter = if filter.is_empty() { &names } else { filter };
    let mut test = tests(&["--test", "fresh", "--test", "applications"], filter)?;
    for (name, number) in [
        ("HOSTEL_FRESH_REQUESTS", "100000"),
        ("HOSTEL_FRESH_PAGES", "20000"),
    ] {
        if std::env::var_os(name).is_none() {
            test.env(name, number);
        }
    }
    run::run(&mut test)
}

/// The command that runs end-to-end tests, all or those of `which`, whose names hold one of `filter`.
fn tests(which: &[&str], filter: &[&str]) -> Result<Command> {
    let mut test = cargo(&[
        "test",
        "--manifest-path",
        "e2e/Cargo.toml",
        "--no-fail-fast",
    ]);
    test.args(which)
        .args(["--", "--test-threads=1"])
        .args(filter);
    test.env("HOSTEL_BIN", release_directory());
    let mut runner = repository().join("e2e/own-network").display().to_string();
    if !is_root() {
        // cargo itself stays who it is, so that no file of root is left in the target directory.
        let kept = "HOSTEL_BIN,HOSTEL_CONTROLS_BIN,HOSTEL_PACKAGE,HOSTEL_BLESS,CARGO_MANIFEST_DIR,\
                    HOSTEL_FRESH_REQUESTS,HOSTEL_FRESH_PAGES,HOSTEL_FRESH_APPLICATION,HOSTEL_SEED";
        runner = format!("sudo --preserve-env={kept} {runner}");
        // Asks for the password now, and not in the middle of a test.
        run::run(&mut as_root("true"))?;
    }
    test.env(runner_variable()?, runner);
    Ok(test)
}

/// The programs as they are shipped.
pub(crate) fn build() -> Result<()> {
    run::run(&mut cargo(&[
        "build",
        "--release",
        "--workspace",
        "--exclude",
        "xtask",
    ]))
}

/// The programs with which layers of the sandbox can be left out, apart from all that is shipped.
fn build_controls(target: &Path) -> Result<()> {
    let features = ["cli", "keeper", "php"].map(|name| format!("hostel-{name}/controls"));
    let mut build = cargo(&["build", "--workspace", "--exclude", "xtask"]);
    build.args(["--features", &features.join(",")]);
    run::run(build.env("CARGO_TARGET_DIR", target))
}

/// The one test that needs programs of its own.
const CONTROLS_TEST: &str = "prove_controls_get_through";

/// By this variable cargo learns how to start the programs of this host.
fn runner_variable() -> Result<String> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.unwrap_or_default().to_uppercase().replace('-', "_");
    Ok(format!("CARGO_TARGET_{host}_RUNNER"))
}
