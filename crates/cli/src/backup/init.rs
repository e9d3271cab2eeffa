//! `hostel backup init`: the repository, and a password for it where there is none.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use hostel_sys::secure::Directory;

use super::options::Target;
use super::restic::{Repository, repository_name};
use super::settings;
use crate::site::host::{Host, MayMiss};
use crate::site::record::replace;
use crate::site::report::Report;
use crate::site::trouble::Trouble;

pub(super) fn init(config: &Path, place: &Target, report: &mut Report) -> Result<(), Trouble> {
    let host = Host::load(config, MayMiss::Everybody)?;
    let backup = settings(&host, place)?;
    let file = &backup.password_file;
    let has_password = file.symlink_metadata().is_ok();
    if !has_password {
        if !report.is_dry() {
            make_password(file)?;
        }
        report.step(format!("make a password in {}", file.display()));
        report.note(format!(
            "keep a copy of {} on another machine: without it nothing can be restored",
            file.display()
        ));
    }
    let path = Path::new(&backup.to);
    let is_local = path.is_absolute();
    if is_local {
        in_no_home(&host, path)?;
    }
    if is_local && path.symlink_metadata().is_err() {
        if !report.is_dry() {
            make_directory(path, &backup)?;
        }
        report.step(format!(
            "make {}, which belongs to {}",
            path.display(),
            backup.user.name
        ));
    }
    if report.is_dry() {
        if !has_password || (is_local && !path.join("config").exists()) {
            report.step(format!(
                "make a repository at {}",
                repository_name(&backup.to)
            ));
        }
        return Ok(());
    }
    let patience = Duration::from_secs(place.patience);
    let repository = Repository::open(&host.server.state, &backup, patience)?;
    match repository.ask(&["cat", "config"], report) {
        Ok(_) => return Ok(()),
        // Such as one that another host has made.
        Err(trouble) if trouble.what.contains("wrong password") => {
            return Err(trouble.hint(format!(
                "the repository is there already, with another password: put that into {}",
                file.display()
            )));
        }
        Err(_) => {}
    }
    repository.ask(&["init"], report)?;
    report.step(format!(
        "make a repository at {}",
        repository_name(&backup.to)
    ));
    Ok(())
}

/// 32 bytes of the kernel's, as text.
fn make_password(path: &Path) -> Result<(), Trouble> {
    let mut bytes = [0; 32];
    let source = Path::new("/dev/urandom");
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(Trouble::at("read", source))?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    replace(path, format!("{text}\n").as_bytes(), 0o600)
}

/// Whoever has made it there, no site is to get at it.
fn in_no_home(host: &Host, path: &Path) -> Result<(), Trouble> {
    let mut sites = host.server.sites.iter();
    match sites.find(|site| path.starts_with(&site.home)) {
        None => Ok(()),
        Some(site) => Err(Trouble::new(format!(
            "{} lies in the home of the site '{}', which could change or remove it",
            path.display(),
            site.name
        ))
        .hint("a directory outside of every home, such as /mnt/disk/backups")),
    }
}

/// In a directory of root's that is there: that of a disk which is not mounted is not made.
fn make_directory(path: &Path, backup: &hostel_config::Backup) -> Result<(), Trouble> {
    let (parent, name) = match (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) {
        (Some(parent), Some(name)) => (parent, name),
        _ => {
            return Err(Trouble::new(format!(
                "{} is no directory for a repository",
                path.display()
            )));
        }
    };
    parent
        .symlink_metadata()
        .map_err(Trouble::at("find", parent))?;
    Directory::open(parent)
        .and_then(|parent| parent.beneath(name, backup.user.uid, backup.user.gid, 0o700))
        .map(drop)
        .map_err(|error| Trouble::of(&error))
}
