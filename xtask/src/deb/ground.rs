//! What the test of the package needs: two packages, the second of a higher version, and a bare Debian 12 to install them on.
//!
//! The tests run without a network, so the bare Debian has the packages that ours depends on in apt's cache, not installed. It is made
//! once; remove target/package for newer packages.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::{DEPENDS, make};
use crate::run::{self, Result, Tried, as_root, target_directory};

const SUITE: &str = "bookworm";
/// What every Debian 12 has that is installed on a machine and not into a container.
const INSTALLED: &str = "dbus,systemd,systemd-sysv";
/// What the test wants besides what ours depends on.
const WANTED: &[&str] = &["logrotate"];

/// Where it lies: `old.deb`, `new.deb`, and the directory `debian`.
pub(crate) fn test_place() -> PathBuf {
    target_directory().join("package")
}

/// Make it.
pub(crate) fn test(place: &Path) -> Result<()> {
    fs::create_dir_all(place).tried(place.display())?;
    let own = env!("CARGO_PKG_VERSION");
    for (name, version) in [("old.deb", own), ("new.deb", &format!("{own}+next"))] {
        let (made, to) = (make(version)?, place.join(name));
        fs::copy(&made, &to).tried(to.display())?;
        fs::remove_file(&made).tried(made.display())?;
    }
    bare(place)
}

fn bare(place: &Path) -> Result<()> {
    // The first of alternatives, without its version.
    let first = |line: &&'static str| line.split(' ').next();
    let mut names: Vec<&str> = DEPENDS.iter().filter_map(first).collect();
    names.extend(WANTED);
    names.sort_unstable();
    names.dedup();
    let mut recipe = DefaultHasher::new();
    (SUITE, INSTALLED, &names).hash(&mut recipe);
    let (tree, mark) = (place.join("debian"), place.join("debian.recipe"));
    let wanted = format!("{:016x}", recipe.finish());
    if tree.exists() && fs::read_to_string(&mark).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    println!("deb: making a bare Debian for the test, once (about a minute)");
    for left in [&mark, &tree] {
        if left.exists() {
            run::run(as_root("rm").args(["-r", "--one-file-system"]).arg(left))?;
        }
    }
    let download = format!(
        "APT_CONFIG=\"$MMDEBSTRAP_APT_CONFIG\" apt-get --yes --quiet --no-install-recommends --download-only install {}",
        names.join(" ")
    );
    let mut bootstrap = as_root("mmdebstrap");
    bootstrap.args(["--quiet", "--mode=root", "--variant=minbase"]);
    bootstrap.args([&format!("--include={INSTALLED}"), "--skip=cleanup/apt"]);
    bootstrap.arg(format!("--customize-hook={download}"));
    run::run(bootstrap.arg(SUITE).arg(&tree))?;
    fs::write(&mark, wanted).tried(mark.display())
}
