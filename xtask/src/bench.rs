//! The bench and the soak, which are a workspace of their own; see bench/README.md.

use crate::e2e;
use crate::run::{self, Result, as_root, cargo, is_root, release_directory, repository};

const MANIFEST: [&str; 3] = ["--release", "--manifest-path", "bench/Cargo.toml"];

/// Run the bench, as root, with these options.
pub(crate) fn run(options: &[&str]) -> Result<()> {
    if is_root() {
        return run::run(cargo(&["run"]).args(MANIFEST).arg("--").args(options));
    }
    // Build as whoever this is, so that no file of root is left in the target directory.
    e2e::build()?;
    run::run(cargo(&["build"]).args(MANIFEST))?;
    let program = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => repository().join(target).join("release/hostel-bench"),
        None => repository().join("bench/target/release/hostel-bench"),
    };
    let mut bench = as_root(program);
    bench
        .arg("--programs")
        .arg(release_directory())
        .args(options);
    run::run(bench.current_dir(repository()))
}
