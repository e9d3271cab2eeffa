//! Hostel's programs: as they are shipped, or for tests that leave layers of the sandbox out.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Result, Tried};
use crate::plan::Plan;

/// What makes a build that can leave layers out.
const CONTROLS: &str = "hostel-cli/controls,hostel-keeper/controls,hostel-php/controls";

/// Where the programs are that the plan measures; built where it names none.
pub(crate) fn shipped(plan: &Plan, repository: &Path) -> Result<PathBuf> {
    match &plan.programs {
        Some(programs) => Ok(programs.clone()),
        None if plan.kinds.iter().any(|kind| kind.is_hostel()) => build(repository, false),
        None => Ok(PathBuf::new()),
    }
}

/// Build those that can leave layers out.
pub(crate) fn open(repository: &Path) -> Result<PathBuf> {
    build(repository, true)
}

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
