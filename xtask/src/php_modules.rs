//! Unpacks Debian's modules for PHP, and the libraries that they need, for the tests that try each of them.
//!
//! They are not installed: a package of a module has every PHP of the machine load it from then on, in every other test and bench, some modules exclude each other,
//! and some of the libraries' packages would change what the machine starts or remove what it has. What is unpacked is loaded by who names its place
//! (`crates/php/tests/it/modules.rs`).

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::{self, Result, Tried, as_root, output, target_directory};

/// All that there are, and the one server of theirs that the tests start and nobody else needs. Packages of one line may be installed side by side.
const PACKAGES: &[&[&str]] = &[
    &[
        "libow-php7",
        "memcached",
        "php-excimer",
        "php-geos",
        "php-guestfs",
        "php-horde-lz4",
        "php-luasandbox",
        "php-mapscript-ng",
        "php-remctl",
        "php-thrift",
        "php-wikidiff2",
        "php-wmerrors",
        "php-zeroc-ice",
        "php8.2-amqp",
        "php8.2-apcu",
        "php8.2-ast",
        "php8.2-bcmath",
        "php8.2-bz2",
        "php8.2-dba",
        "php8.2-ds",
        "php8.2-enchant",
        "php8.2-gearman",
        "php8.2-gmp",
        "php8.2-gnupg",
        "php8.2-http",
        "php8.2-igbinary",
        "php8.2-imagick",
        "php8.2-imap",
        "php8.2-interbase",
        "php8.2-ldap",
        "php8.2-mailparse",
        "php8.2-maxminddb",
        "php8.2-mcrypt",
        "php8.2-memcache",
        "php8.2-memcached",
        "php8.2-mongodb",
        "php8.2-msgpack",
        "php8.2-oauth",
        "php8.2-odbc",
        "php8.2-pcov",
        "php8.2-pgsql",
        "php8.2-pinba",
        "php8.2-ps",
        "php8.2-pspell",
        "php8.2-psr",
        "php8.2-raphf",
        "php8.2-redis",
        "php8.2-rrd",
        "php8.2-snmp",
        "php8.2-soap",
        "php8.2-solr",
        "php8.2-sqlite3",
        "php8.2-ssh2",
        "php8.2-stomp",
        "php8.2-sybase",
        "php8.2-tideways",
        "php8.2-tidy",
        "php8.2-uopz",
        "php8.2-uploadprogress",
        "php8.2-uuid",
        "php8.2-xdebug",
        "php8.2-xmlrpc",
        "php8.2-yaml",
        "php8.2-zmq",
    ],
    &["php8.2-gmagick", "php8.2-yac"],
];
/// Libraries whose packages are not named as libraries.
const LIBRARIES: &[&str] = &["pslib1"];

/// Unpack what is not there yet.
pub(crate) fn ensure() -> Result<()> {
    let wanted = PACKAGES.concat().join("\n") + "\n";
    let list = format!("{PLACE}/packages");
    if fs::read_to_string(&list).is_ok_and(|there| there == wanted)
        || !Path::new("/usr/bin/apt-get").exists()
    {
        return Ok(());
    }
    println!(
        "setup: unpacking PHP's modules into {PLACE}, where nobody but their tests loads them"
    );
    run::run(as_root("apt-get").args(["update", "--quiet"]))?;
    let mut packages = Vec::new();
    for line in PACKAGES {
        packages.extend(missing(line)?);
    }
    packages.sort();
    packages.dedup();
    let archives = target_directory().join("php-modules");
    fs::create_dir_all(&archives).tried(archives.display())?;
    let mut download = Command::new("apt-get");
    download
        .args(["download", "--quiet", "--quiet"])
        .args(&packages);
    run::run(download.current_dir(&archives))?;
    run::run(as_root("mkdir").args(["--parents", PLACE]))?;
    for entry in fs::read_dir(&archives).tried(archives.display())? {
        let archive = entry.tried(archives.display())?.path();
        output(as_root("dpkg-deb").arg("--extract").arg(archive).arg(PLACE))?;
    }
    // Last, so that a setup that was interrupted is done anew.
    let draft = archives.join("packages");
    fs::write(&draft, wanted).tried(draft.display())?;
    run::run(
        as_root("install")
            .args(["-m", "0644"])
            .arg(&draft)
            .arg(&list),
    )?;
    fs::remove_dir_all(&archives).tried(archives.display())
}

/// These packages and the libraries that they need, as far as they are not installed.
///
/// Asked as if nothing were installed: what some machine has from elsewhere (a newer `qemu-utils`, which breaks what `php-guestfs` needs) would make apt give up,
/// though nothing is to be installed.
fn missing(packages: &[&str]) -> Result<Vec<String>> {
    let mut simulated = Command::new("apt-get");
    simulated.args(["install", "--simulate", "--no-install-recommends"]);
    for option in [
        "Dir::State::status=/dev/null",
        "Dir::Cache::pkgcache=",
        "Dir::Cache::srcpkgcache=",
    ] {
        simulated.args(["-o", option]);
    }
    let said = output(simulated.args(packages))?;
    let mut query = Command::new("dpkg-query");
    let installed =
        output(query.args(["--show", "--showformat=${db:Status-Status} ${Package}\\n"]))?;
    Ok(to_unpack(&said, packages, &installed))
}

/// Of what an installation on an empty machine would do, what is to be unpacked on one that has `installed`. The programs that some library's package needs are not.
fn to_unpack(said: &str, packages: &[&str], installed: &str) -> Vec<String> {
    let installed: HashSet<&str> = installed
        .lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .collect();
    said.lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split_once(" ("))
        .map(|(name, _)| name)
        .filter(|name| !installed.contains(name))
        .filter(|name| {
            name.starts_with("lib") || LIBRARIES.contains(name) || packages.contains(name)
        })
        .map(str::to_owned)
        .collect()
}

/// Beside what packages install, and readable by the users that tests run PHP as.
const PLACE: &str = "/var/lib/hostel-test/php-modules";

#[cfg(test)]
mod tests {
    use super::to_unpack;

    #[test]
    fn modules_and_their_libraries_are_unpacked_unless_they_are_installed() {
        let said = "Inst libc6 (2.36 Debian:12/stable [amd64]) []\nInst libnew1 (1.0 Debian:12/stable [amd64])\n\
            Inst libgone1 (1.0 Debian:12/stable [amd64])\nInst grub-common (2.0 Debian:12/stable [amd64])\n\
            Inst pslib1 (0.4 Debian:12/stable [amd64])\nInst php8.2-yac (2.3 Debian:12/stable [amd64]) []\n\
            Conf php8.2-yac (2.3 Debian:12/stable [amd64])\n";
        let installed = "installed libc6\nconfig-files libgone1\n";
        assert_eq!(
            to_unpack(said, &["php8.2-yac"], installed),
            ["libnew1", "libgone1", "pslib1", "php8.2-yac"]
        );
    }
}
