//! Installs Debian's packages that are missing, and creates the users of the front, of the mail broker and of backups.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::php_modules;
use crate::run::{self, Failure, Result, Tried, as_root, output, succeeds};

/// To build and to serve.
const BUILD: &[&str] = &[
    "build-essential",
    "libphp8.2-embed",
    "nftables",
    "php8.2-dev",
    "php8.2-opcache",
    "pkg-config",
];
/// What the end-to-end tests compare with, and the applications that they run.
const TEST: &[&str] = &[
    "acl",
    "adminer",
    "apache2",
    "composer",
    "curl",
    "dokuwiki",
    "git",
    "libapache2-mod-php8.2",
    "libapache2-mpm-itk",
    "lintian",
    "mariadb-server",
    "mmdebstrap",
    "nginx-light",
    "openssl",
    "php8.2-cli",
    "php8.2-curl",
    "php8.2-fpm",
    "php8.2-gd",
    "php8.2-gmp",
    "php8.2-intl",
    "php8.2-mbstring",
    "php8.2-mcrypt",
    "php8.2-mongodb",
    "php8.2-mysql",
    "php8.2-oauth",
    "php8.2-uuid",
    "php8.2-xml",
    "php8.2-zip",
    "postgresql",
    "python3-aiosmtpd",
    "rclone",
    "redis-server",
    "restic",
    "sqlite3",
    "wordpress",
    "wordpress-theme-twentytwentythree",
];
/// What the bench compares with.
const BENCH: &[&str] = &[
    "apache2",
    "apache2-suexec-pristine",
    "apache2-utils",
    "dokuwiki",
    "libapache2-mod-php8.2",
    "libapache2-mpm-itk",
    "mariadb-server",
    "nginx-light",
    "php8.2-cgi",
    "php8.2-cli",
    "php8.2-fpm",
    "php8.2-gd",
    "php8.2-mysql",
    "php8.2-xml",
    "wordpress",
    "wordpress-theme-twentytwentythree",
    "wrk",
];

/// The virtual machine: its Debian is made by mmdebstrap, its disks by mke2fs.
const VM: &[&str] = &["e2fsprogs", "mmdebstrap", "qemu-system-x86"];

/// Make this machine ready for `make WORD`.
pub(crate) fn run(word: &str) -> Result<()> {
    let more = match word {
        "demo" => &[][..],
        "test" => TEST,
        "bench" => BENCH,
        "vm" => VM,
        _ => {
            return Err(Failure(format!(
                "setup: demo, test, bench or vm, not '{word}'"
            )));
        }
    };
    let wanted: Vec<&str> = BUILD.iter().chain(more).copied().collect();
    install(&wanted)?;
    if word == "test" {
        php_modules::ensure()?;
    }
    ensure_user("hostel")?;
    ensure_user("hostel-mail")?;
    ensure_user("hostel-backup")
}

fn install(wanted: &[&str]) -> Result<()> {
    let missing: Vec<&str> = wanted
        .iter()
        .copied()
        .filter(|name| !is_installed(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(Failure(format!(
            "setup: this is not Debian; install what corresponds to: {}",
            missing.join(" ")
        )));
    }
    println!("setup: installing {}", missing.join(" "));
    let quiet = Quiet::begin()?;
    run::run(as_root("apt-get").args(["update", "--quiet"]))?;
    run::run(
        as_root("env")
            .args([
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "install",
                "--yes",
                "--quiet",
            ])
            .arg("--no-install-recommends")
            .args(missing),
    )?;
    quiet.end()
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package]);
    output(&mut query).is_ok_and(|status| status == "installed")
}

/// Keeps packages from starting their services (web servers on port 80, a database) while it lives. What a machine's
/// administrator has decided about that is left alone.
struct Quiet {
    ours: bool,
}

impl Quiet {
    fn begin() -> Result<Self> {
        if fs::symlink_metadata(POLICY).is_ok() {
            return Ok(Self { ours: false });
        }
        println!("setup: {POLICY} keeps services from being started meanwhile");
        let draft = std::env::temp_dir().join(format!("hostel-policy-{}", std::process::id()));
        fs::write(&draft, "#!/bin/sh\nexit 101\n").tried(draft.display())?;
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).tried(draft.display())?;
        let installed = run::run(
            as_root("install")
                .args(["-m", "0755"])
                .arg(&draft)
                .arg(POLICY),
        );
        fs::remove_file(&draft).tried(draft.display())?;
        installed.map(|()| Self { ours: true })
    }

    fn end(mut self) -> Result<()> {
        if std::mem::take(&mut self.ours) {
            run::run(as_root("rm").arg(POLICY))?;
        }
        Ok(())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.ours
            && let Err(Failure(why)) = run::run(as_root("rm").arg(POLICY))
        {
            eprintln!("setup: {POLICY} is still there: {why}");
        }
    }
}

/// Create a system user without home or shell, if there is none of this name.
pub(crate) fn ensure_user(name: &str) -> Result<()> {
    if succeeds(Command::new("getent").args(["passwd", name])) {
        return Ok(());
    }
    println!("setup: creating the system user {name}");
    run::run(
        as_root("useradd")
            .args([
                "--system",
                "--user-group",
                "--no-create-home",
                "--home-dir",
                "/nonexistent",
            ])
            .args(["--shell", "/usr/sbin/nologin", name]),
    )
}

/// Asked by Debian's packages before they start a service; 101 is "no".
const POLICY: &str = "/usr/sbin/policy-rc.d";
