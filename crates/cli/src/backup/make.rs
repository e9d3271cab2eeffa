//! `hostel backup SITE…`: of each site its databases, its home and its file are kept, one after the other.
//!
//! A site that fails does not keep the others from being kept. What is not whole has no manifest, does not count, and is forgotten by a later run.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hostel_config::database::Database;
use hostel_config::{Server, Site};
use serde_json::{Value, json};

use super::manifest::{self, Manifest, Part};
use super::options::Make;
use super::restic::{Repository, is_locked, repository_name};
use super::stream::{self, End, Failure, Waits};
use super::{host_name, keep, open, settings};
use crate::inside::Inside;
use crate::site::change::is_being_removed;
use crate::site::host::{FileState, Host, MayMiss, is_planned, site_of};
use crate::site::record::Records;
use crate::site::report::Report;
use crate::site::sandbox;
use crate::site::trouble::Trouble;

pub(super) fn make(config: &Path, options: &Make, report: &mut Report) -> Result<(), Trouble> {
    let host = Host::load(config, MayMiss::Everybody)?;
    let (chosen, mut failed) = chosen(&host, options)?;
    let backup = settings(&host, &options.place)?;
    if report.is_dry() {
        for kept in &chosen {
            report.about(Some(&kept.site.name));
            report.step(format!(
                "keep {} in {}",
                kept.in_words(&host),
                repository_name(&backup.to)
            ));
        }
        report.about(None);
        if !backup.keep.is_empty() {
            report.step(format!(
                "forget what is not {}",
                keep::in_words(&backup.keep)
            ));
        }
        return failure(failed);
    }
    let repository = open(&host, &options.place)?;
    repository.lock()?;
    repository.unlock(report)?;
    let inside = Inside::open(&host.server, "backup").map_err(|text| Trouble::of_text(&text))?;
    let maker = Maker {
        host: &host,
        repository: &repository,
        inside: &inside,
        host_name: host_name(&options.place),
        run: run_name(),
        site_time_max: backup.site_time_max,
    };
    let mut made = Vec::new();
    let mut is_sound = true;
    for kept in &chosen {
        report.about(Some(&kept.site.name));
        if !is_sound {
            report.note("not tried".to_owned());
            continue;
        }
        let trouble = match maker.back_up(kept, report) {
            Ok(document) => {
                made.push(document);
                continue;
            }
            Err(Failure::Site(trouble)) => trouble,
            Err(Failure::Repository(trouble)) => {
                is_sound = false;
                trouble
            }
        };
        report.note(format!("not backed up: {}", trouble.what));
        failed.push((kept.site.name.clone(), trouble));
    }
    report.about(None);
    report.value("backups", made);
    if is_sound && let Err(trouble) = forget(&maker, &backup.keep, report) {
        // Which sites have failed is told all the same.
        failed.push(("older backups".to_owned(), trouble));
    }
    failure(failed)
}

/// Not while a site is restored, whose backup may be one of them, nor while another host works with the repository: a later run does it.
fn forget(
    maker: &Maker<'_>,
    keep: &[(&'static str, u32)],
    report: &mut Report,
) -> Result<(), Trouble> {
    let later = "older backups are forgotten by a later run";
    if Records::are_in_use(&maker.host.server) {
        report.note(format!("{later}: a site is being changed"));
        return Ok(());
    }
    match keep::forget(maker.repository, &maker.host_name, keep, report) {
        Err(trouble) if is_locked(&trouble) => {
            report.note(format!("{later}: another host works with the repository"));
            Ok(())
        }
        done => done,
    }
}

/// One that failed tells its own trouble; of several the names and the reasons.
fn failure(mut failed: Vec<Failed>) -> Result<(), Trouble> {
    match failed.len() {
        0 => Ok(()),
        1 => {
            let (name, trouble) = failed.remove(0);
            let what = format!("{name}: {}", trouble.what);
            Err(Trouble { what, ..trouble })
        }
        _ => {
            let lines = failed
                .iter()
                .map(|(name, trouble)| format!("{name}: {}", trouble.what));
            let hint = failed.iter().find_map(|(_, trouble)| trouble.hint.clone());
            Err(Trouble {
                what: lines.collect::<Vec<_>>().join("\n"),
                hint,
            })
        }
    }
}

/// A site that is to be kept.
struct Kept {
    site: Rc<Site>,
    /// The text of its file.
    text: String,
    /// The table that it is in, where that is not the server's.
    table: Option<Server>,
}

impl Kept {
    fn table<'t>(&'t self, host: &'t Host) -> &'t Server {
        self.table.as_ref().unwrap_or(&host.server)
    }

    fn databases<'t>(&'t self, host: &'t Host) -> &'t [Database] {
        self.table(host).databases_of(&self.site.name)
    }

    fn in_words(&self, host: &Host) -> String {
        let mut words = format!("its file and its home {}", self.site.home);
        for database in self.databases(host) {
            words.push_str(&format!(", its {database}"));
        }
        words
    }
}

/// Those that are to be kept, and of all sites those of which not even that is known, such as a disabled one with a file that is wrong.
fn chosen(host: &Host, options: &Make) -> Result<(Vec<Kept>, Vec<Failed>), Trouble> {
    let mut names = options.sites.clone();
    if options.all {
        let served = host.server.sites.iter().map(|site| site.name.clone());
        let stopped = host.stopped().into_iter();
        let disabled = stopped.filter(|(_, state)| *state == FileState::Disabled);
        names = served.chain(disabled.map(|(name, _)| name)).collect();
    }
    names.sort();
    names.dedup();
    let (mut chosen, mut failed) = (Vec::new(), Vec::new());
    for name in names {
        match kept(host, &name) {
            Ok(kept) => chosen.push(kept),
            Err(trouble) if options.all => failed.push((name, trouble)),
            Err(trouble) => return Err(trouble),
        }
    }
    Ok((chosen, failed))
}

/// A site, and why it was not kept.
type Failed = (String, Trouble);

fn kept(host: &Host, name: &str) -> Result<Kept, Trouble> {
    let (state, text) = host.must_find(name)?;
    let table = match state {
        FileState::Serving => None,
        FileState::Disabled => Some(host.table_of(MayMiss::Everybody, name, &text)?),
        FileState::Removing => return Err(is_being_removed(name)),
    };
    let site = site_of(table.as_ref().unwrap_or(&host.server), name)?;
    Ok(Kept { site, text, table })
}

/// What is another one where a site was restored or removed while it was kept.
#[derive(Debug, PartialEq, Eq)]
struct Moment {
    /// File system and number of its home.
    home: (u64, u64),
    is_being_restored: bool,
}

/// What all sites of a run are kept with.
struct Maker<'a> {
    host: &'a Host,
    repository: &'a Repository,
    inside: &'a Inside,
    host_name: String,
    /// Told apart from all other runs by this.
    run: String,
    /// How long one site may let all others wait.
    site_time_max: Duration,
}

impl Maker<'_> {
    /// Databases first: what their rows name is then among the files, which come later.
    fn back_up(&self, kept: &Kept, report: &mut Report) -> Result<Value, Failure> {
        let site = &kept.site;
        if is_planned(site.user.uid) {
            let user = &site.user.name;
            return Err(Trouble::new(format!(
                "the site's user '{user}' does not exist, and only as its user are its files read"
            ))
            .hint(format!("hostel site apply {}", site.name))
            .into());
        }
        let before = self.moment(site)?;
        if before.is_being_restored && site.suspended {
            let name = &site.name;
            return Err(Trouble::new("a restore of it has begun and has not ended")
                .hint(format!("where it was interrupted: hostel restore {name}"))
                .into());
        }
        let mut parts = Vec::new();
        let mut waits = Waits::new(self.site_time_max);
        for (number, database) in kept.databases(self.host).iter().enumerate() {
            let file = database.file_name(number);
            let what = (&file[..], Some(number), database.to_string());
            parts.push(self.part(kept, what, &mut waits, report)?);
        }
        let home = ("home.tar", None, "home".to_owned());
        parts.push(self.part(kept, home, &mut waits, report)?);
        if self.moment(site)? != before {
            let words = "its home has changed places meanwhile: it was restored or removed";
            let again = format!("hostel backup {}", site.name);
            return Err(Trouble::new(words).hint(again).into());
        }
        let manifest = Manifest::new(site, &kept.text, parts);
        let snapshot = self.when_free(report, || {
            let kept = self.keep_manifest(&manifest, &self.run, report);
            kept.map_err(Failure::Repository)
        })?;
        let bytes = manifest.bytes();
        let words = kept.in_words(self.host);
        report.step(format!(
            "kept {words} as {snapshot}, {} before packing",
            size(bytes)
        ));
        Ok(json!({ "site": site.name, "backup": snapshot, "bytes": bytes }))
    }

    /// Do what keeps something, again while another host that shares the repository has it for itself.
    fn when_free<T>(
        &self,
        report: &Report,
        mut act: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        loop {
            match act() {
                Err(Failure::Repository(trouble))
                    if is_locked(&trouble) && begun.elapsed() < OTHERS_TIME_MAX =>
                {
                    report.progress("somebody else has the repository for itself: waiting");
                    let unlocked = self.repository.unlock(report);
                    unlocked.map_err(Failure::Repository)?;
                    std::thread::sleep(OTHERS_PAUSE);
                }
                done => return done,
            }
        }
    }

    /// Commands that change sites do not wait for a backup, which may take hours.
    fn moment(&self, site: &Site) -> Result<Moment, Trouble> {
        let home = Path::new(&site.home);
        let metadata = home
            .symlink_metadata()
            .map_err(Trouble::at("look at", home))?;
        let record = Records::look(&self.host.server).of(&site.name)?;
        Ok(Moment {
            home: (metadata.dev(), metadata.ino()),
            is_being_restored: record.is_some_and(|record| record.restoring.is_some()),
        })
    }

    fn part(
        &self,
        kept: &Kept,
        (file, database, what): (&str, Option<usize>, String),
        waits: &mut Waits,
        report: &mut Report,
    ) -> Result<Part, Failure> {
        let site = &kept.site;
        let from = End {
            inside: self.inside,
            server: kept.table(self.host),
            site,
            database,
        };
        let file = format!("{}.{file}", site.name);
        let tags = manifest::tags(&site.name, &self.run);
        let names = (self.host_name.as_str(), file.as_str(), tags.as_str());
        let (snapshot, passed) = self.when_free(report, || {
            stream::save(&from, self.repository, names, waits, report)
        })?;
        if !passed.words.is_empty() {
            report.note(format!("while its {what} was kept: {}", passed.words));
        }
        Ok(Part {
            file: format!("/{file}"),
            snapshot,
            what,
            is_database: database.is_some(),
            bytes: passed.bytes,
        })
    }

    /// The last snapshot of a backup: with it, it counts.
    fn keep_manifest(
        &self,
        manifest: &Manifest,
        run: &str,
        report: &Report,
    ) -> Result<String, Trouble> {
        let at = |error: std::io::Error| Trouble::at("fill", Path::new("a pipe"))(error);
        let (read, write) = sandbox::pipe()?;
        let file = manifest::manifest_file(&manifest.site);
        let tags = manifest::manifest_tags(run, manifest);
        let mut restic = self.repository.save(&self.host_name, &file, &tags, read)?;
        let written =
            std::fs::File::from(write).write_all(format!("{:#}\n", manifest.document()).as_bytes());
        // Where restic does not read, its own words say why.
        restic.finish(report)?;
        written.map_err(at)?;
        restic.snapshot()
    }
}

fn run_name() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let (nanoseconds, pid) = (now.as_nanos(), std::process::id());
    format!("{}-{nanoseconds:x}-{pid}", machine())
}

/// Tells two hosts of one name apart, which share a repository.
pub(super) fn machine() -> String {
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let id = id.trim().get(..12).unwrap_or("none");
    crate::output::escape(id)
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// Beyond the half hour after which restic takes the lock of another host for that of a dead one.
const OTHERS_TIME_MAX: Duration = Duration::from_secs(3600);
const OTHERS_PAUSE: Duration = Duration::from_secs(2);
