//! The Debian package `hostel`, for Debian 12: made of the release programs, what lies in pkg/, and the documents.
//!
//! Run by anybody on a Debian 12 (the programs are linked with its libraries). No debhelper: the package is a tree, a control file
//! and three short scripts, and dpkg-deb packs them. [`test`] makes what the test of the package needs.

mod ground;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::e2e;
use crate::run::{self, Failure, Result, Tried, output, target_directory};
use tree::Tree;

pub(crate) use ground::{test, test_place};

/// Every program of the product; all stand in [`PROGRAMS`], where they find each other.
const PROGRAM_NAMES: &[&str] = &[
    "hostel",
    "hostel-firewall",
    "hostel-front",
    "hostel-jobs",
    "hostel-keeper",
    "hostel-mail",
    "hostel-monitor",
    "hostel-php",
    "hostel-probe",
    "hostel-resolver",
    "hostel-sendmail",
];
const PROGRAMS: &str = "usr/lib/hostel";

/// What the programs need beyond the libraries that dpkg-shlibdeps finds. libphp's own name (libphp.so) has no version, so it
/// finds none for it.
const DEPENDS: &[&str] = &[
    "libphp8.2-embed",
    "nftables",
    "php8.2-opcache",
    "init-system-helpers (>= 1.54~)",
    "systemd | systemd-standalone-sysusers | systemd-sysusers",
    "systemd | systemd-standalone-tmpfiles | systemd-tmpfiles",
];

/// `deb [--version VERSION]`: build, and say where the package is.
pub(crate) fn run(options: &[&str]) -> Result<()> {
    let version = match options {
        [] => env!("CARGO_PKG_VERSION"),
        ["--version", version] => version,
        _ => return Err(Failure("deb: [--version VERSION]".into())),
    };
    e2e::build()?;
    let package = make(version)?;
    println!("deb: {}", package.display());
    println!("deb: to install it: apt install {}", package.display());
    Ok(())
}

/// Pack what is built.
fn make(version: &str) -> Result<PathBuf> {
    let place = target_directory().join("deb");
    fs::create_dir_all(&place).tried(place.display())?;
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    let tree = Tree::lay(&place.join("tree"), version)?;
    tree.control(version, architecture, &depends(&place, tree.path())?)?;
    let package = place.join(format!("hostel_{version}_{architecture}.deb"));
    // Everything is root's, whoever builds; xz, since Debian 12's own tools must read it.
    let mut pack = Command::new("dpkg-deb");
    pack.args(["--root-owner-group", "-Zxz", "--build"]);
    run::run(pack.arg(tree.path()).arg(&package))?;
    Ok(package)
}

/// The packages of the libraries that the programs are linked with, and [`DEPENDS`].
fn depends(place: &Path, tree: &Path) -> Result<String> {
    // dpkg-shlibdeps takes its place for a source package.
    let source = place.join("debian");
    fs::create_dir_all(&source).tried(source.display())?;
    let control = "Source: hostel\n\nPackage: hostel\nArchitecture: any\n";
    fs::write(source.join("control"), control).tried(source.display())?;
    let mut ask = Command::new("dpkg-shlibdeps");
    ask.args(["-O", "--warnings=0"]).current_dir(place);
    ask.args(
        PROGRAM_NAMES
            .iter()
            .map(|name| tree.join(PROGRAMS).join(name)),
    );
    let said = output(&mut ask)?;
    let found = said.trim().strip_prefix("shlibs:Depends=");
    let found = found.ok_or_else(|| Failure(format!("dpkg-shlibdeps said: {said}")))?;
    Ok(format!("{found}, {}", DEPENDS.join(", ")))
}
