//! What the test of the package needs: two packages, the second of a higher version, and a bare Debian 12 to install them on.
//!
//! The tests run without a network, so that Debian has what our package depends on already: by the same list, and without what others
//! only recommend, so that a dependency that is not on the list is missing there. It is made once; remove target/package for newer packages.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::{DEPENDS, make};
use crate::run::{self, Result, Tried, as_root, target_directory};

const SUITE: &str = "bookworm";
/// What a Debian 12 on a machine has, and what the test asks by.
const INSTALLED: &[&str] = &[
    "dbus",
    "logrotate",
    "procps",
    "restic",
    "systemd",
    "systemd-sysv",
];

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
    names.extend(INSTALLED);
    names.sort_unstable();
    names.dedup();
    let mut recipe = DefaultHasher::new();
    (SUITE, &names).hash(&mut recipe);
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
    let mut bootstrap = as_root("mmdebstrap");
    bootstrap.args(["--quiet", "--mode=root", "--variant=minbase"]);
    bootstrap.arg(format!("--include={}", names.join(",")));
    run::run(bootstrap.arg(SUITE).arg(&tree))?;
    fs::write(&mark, wanted).tried(mark.display())
}
