//! The guest's disks, all sparse files: Debian with its kernel (made once, never changed), the run's own (programs and tests),
//! an empty one for the reports, an empty one for the homes.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::guest::{self, Clock};
use super::programs::{self, Programs};
use crate::run::{self, Result, Tried, as_root, release_directory, repository};

/// What the guest's Debian has beyond its essential packages.
const PACKAGES: &[&str] = &[
    "acl",       // a test gives others access by it
    "e2fsprogs", // mkfs of the disk with quota
    "iproute2",
    "kmod",
    "libphp8.2-embed",
    "mariadb-server", // the rota of fresh requests connects to it
    "mount",
    "nftables",
    "openssl",    // makes the mail server's certificate
    "passwd",     // the tests make users
    "php8.2-cli", // tests connect by it
    "php8.2-curl",
    "php8.2-gd", // the rota of fresh requests uses all that libraries keep
    "php8.2-intl",
    "php8.2-mbstring",
    "php8.2-mysql",
    "php8.2-opcache",
    "php8.2-xml",
    "procps",
    "python3-aiosmtpd", // the mail server of the tests
    "quota",
];
/// What nobody reads there.
const LEFT_OUT: &[&str] = &["doc", "info", "locale", "man"];
/// What of the repository tests read while they run.
const READ_BY_TESTS: &[&str] = &["e2e/cases", "e2e/mail"];
const SUITE: &str = "bookworm";
const MIB: u64 = 1 << 20;

/// Files that qemu takes.
#[derive(Debug)]
pub(super) struct Disks {
    pub(super) kernel: PathBuf,
    /// In the guest's order: nvme0, nvme1, …
    pub(super) images: [PathBuf; 4],
}

pub(super) fn make(place: &Path, programs: &Programs) -> Result<Disks> {
    let (kernel, base) = base(place)?;
    let own = own(place, programs)?;
    let reports = empty(&place.join("reports.img"), 64 * MIB)?;
    let homes = empty(&place.join("homes.img"), 512 * MIB)?;
    Ok(Disks {
        kernel,
        images: [base, own, reports, homes],
    })
}

/// Kernel and file system of Debian, made when there is none from these packages and scripts. To have newer packages, remove
/// the directory target/vm.
fn base(place: &Path) -> Result<(PathBuf, PathBuf)> {
    let scripts = repository().join("vm");
    let mut recipe = DefaultHasher::new();
    (PACKAGES, LEFT_OUT, SUITE).hash(&mut recipe);
    for script in ["kernel.sh", "init"] {
        let path = scripts.join(script);
        fs::read(&path).tried(path.display())?.hash(&mut recipe);
    }
    let name = format!("{SUITE}-{:016x}", recipe.finish());
    let (kernel, image) = (
        place.join(format!("{name}.vmlinuz")),
        place.join(format!("{name}.img")),
    );
    if kernel.exists() && image.exists() {
        return Ok((kernel, image));
    }
    println!("vm: making a Debian for the guest, once (about a minute)");
    let draft = place.join("draft");
    remove_as_root(&draft)?;
    let mut bootstrap = as_root("mmdebstrap");
    bootstrap.args(["--quiet", "--mode=root", "--variant=essential"]);
    bootstrap.arg(format!("--include={}", PACKAGES.join(",")));
    for name in LEFT_OUT {
        bootstrap.arg(format!("--dpkgopt=path-exclude=/usr/share/{name}/*"));
    }
    let hook = scripts.join("kernel.sh");
    bootstrap.arg(format!("--customize-hook={}", hook.display()));
    run::run(bootstrap.arg(SUITE).arg(&draft))?;
    let unfinished = place.join("draft.img");
    file_system(&mut as_root("mke2fs"), &draft, &unfinished, 1200)?;
    let unpacked = draft.join("boot/vmlinuz");
    run::run(
        as_root("install")
            .args(["-m", "0644"])
            .args([&unpacked, &kernel]),
    )?;
    remove_as_root(&draft)?;
    fs::rename(&unfinished, &image).tried(image.display())?;
    Ok((kernel, image))
}

/// An ext4 file system with what is in a directory.
fn file_system(mke2fs: &mut Command, from: &Path, image: &Path, mebibytes: u64) -> Result<()> {
    empty(image, mebibytes * MIB)?;
    mke2fs
        .args(["-q", "-F", "-t", "ext4", "-d"])
        .arg(from)
        .arg(image);
    run::run(mke2fs)
}

fn remove_as_root(directory: &Path) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    run::run(
        as_root("rm")
            .args(["-r", "--one-file-system"])
            .arg(directory),
    )
}

/// A sparse file of nothing.
fn empty(path: &Path, bytes: u64) -> Result<PathBuf> {
    let file = File::create(path).tried(path.display())?;
    file.set_len(bytes).tried(path.display())?;
    Ok(path.to_owned())
}

/// The disk of this run: what was built, what the tests read, what to run.
fn own(place: &Path, programs: &Programs) -> Result<PathBuf> {
    let staging = place.join("staging");
    if staging.exists() {
        fs::remove_dir_all(&staging).tried(staging.display())?;
    }
    let host = staging.join("host");
    let mut links = Vec::new();
    let mut place_of = |path: &Path| -> Result<PathBuf> {
        let path = std::path::absolute(path).tried(path.display())?;
        let to = host.join(path.strip_prefix("/").unwrap_or(&path));
        let parent = to.parent().unwrap_or(&host);
        fs::create_dir_all(parent).tried(parent.display())?;
        links.push(path.display().to_string());
        Ok(to)
    };
    let suites = programs.suites.iter().map(|suite| &suite.program);
    for program in suites.chain(&programs.others) {
        programs::strip(program, &place_of(program)?)?;
    }
    for folder in READ_BY_TESTS {
        let from = repository().join(folder);
        let to = place_of(&from)?;
        run::run(Command::new("cp").arg("-a").args([&from, &to]))?;
    }
    let script = staging.join("guest.sh");
    fs::copy(repository().join("vm/guest.sh"), &script).tried(script.display())?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).tried(script.display())?;
    let mut texts = vec![
        ("links".to_owned(), links.join("\n")),
        (
            "environment".to_owned(),
            guest::environment(&release_directory()),
        ),
    ];
    for clock in Clock::ALL {
        let name = format!("plan-{}", clock.name());
        texts.push((name, guest::plan(&programs.suites, clock)));
    }
    for (name, text) in texts {
        fs::write(staging.join(&name), text + "\n").tried(name)?;
    }
    let image = place.join("own.img");
    file_system(&mut Command::new("mke2fs"), &staging, &image, 512)?;
    Ok(image)
}

/// An empty directory for what the guests write.
pub(super) fn reports(place: &Path) -> Result<PathBuf> {
    let directory = place.join("report");
    if directory.exists() {
        fs::remove_dir_all(&directory).tried(directory.display())?;
    }
    fs::create_dir_all(&directory).tried(directory.display())?;
    Ok(directory)
}

/// Unpack what a guest wrote.
pub(super) fn unpack(disks: &Disks, directory: &Path) -> Result<()> {
    let [_, _, image, _] = &disks.images;
    run::run(
        Command::new("tar")
            .arg("--extract")
            .arg("--file")
            .arg(image)
            .arg("--directory")
            .arg(directory),
    )
}
