//! `hostel backup SITE…`: of each site its databases, its home and its file are kept, one after the other.
//!
//! A site that fails does not keep the others from being kept. What is not whole has no manifest, does not count, and is forgotten by a later run.

use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use hostel_config::Site;
use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::{Value, json};

use super::manifest::{self, Manifest, Part};
use super::options::Make;
use super::restic::Repository;
use super::stream::{self, End};
use super::{host_name, keep, open, settings};
use crate::inside::Inside;
use crate::site::host::{FileState, Host, MayMiss, is_planned};
use crate::site::options::Work;
use crate::site::report::Report;
use crate::site::trouble::Trouble;

pub(super) fn make(config: &Path, options: &Make, report: &mut Report) -> Result<(), Trouble> {
    let host = Host::load(config, MayMiss::Everybody)?;
    let chosen = chosen(&host, options)?;
    let backup = settings(&host, &options.place)?;
    if report.is_dry() {
        for (site, _) in &chosen {
            report.about(Some(&site.name));
            report.step(format!("keep {} in {}", in_words(site), backup.to));
        }
        report.about(None);
        if !backup.keep.is_empty() {
            report.step(format!(
                "forget what is not {}",
                keep::in_words(&backup.keep)
            ));
        }
        return Ok(());
    }
    let repository = open(&host, &options.place)?;
    repository.lock()?;
    // Locks of runs that were killed; those of somebody who works are left.
    repository.ask(&["unlock", "--quiet"], report)?;
    let inside = Inside::open(&host.server, "backup").map_err(|text| Trouble::of_text(&text))?;
    let maker = Maker {
        host: &host,
        repository: &repository,
        inside: &inside,
        host_name: host_name(&options.place),
        run: run_name(),
    };
    let mut made = Vec::new();
    let mut failed = Vec::new();
    for (site, text) in &chosen {
        report.about(Some(&site.name));
        match maker.back_up(site, text, report) {
            Ok(document) => made.push(document),
            Err(trouble) => {
                report.note(format!("not backed up: {}", trouble.what));
                failed.push((site.name.clone(), trouble));
            }
        }
    }
    report.about(None);
    report.value("backups", made);
    keep::forget(&repository, &maker.host_name, &backup.keep, report)?;
    failure(failed)
}

/// One that failed tells its own trouble; of several the names and the reasons.
fn failure(mut failed: Vec<(String, Trouble)>) -> Result<(), Trouble> {
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

/// The sites, each with the text of its file.
fn chosen(host: &Host, options: &Make) -> Result<Vec<(Rc<Site>, String)>, Trouble> {
    let mut names = options.sites.clone();
    if options.all {
        names = host
            .server
            .sites
            .iter()
            .map(|site| site.name.clone())
            .collect();
        let stopped = host.stopped().into_iter();
        names.extend(
            stopped
                .filter(|(_, state)| *state == FileState::Disabled)
                .map(|(name, _)| name),
        );
    }
    names.sort();
    names.dedup();
    let mut chosen = Vec::new();
    for name in names {
        let (state, text) = host.must_find(&name)?;
        if state == FileState::Removing {
            return Err(crate::site::change::is_being_removed(&name));
        }
        chosen.push((host.alone(MayMiss::Everybody, &name, &text)?, text));
    }
    Ok(chosen)
}

fn in_words(site: &Site) -> String {
    format!("its file and its home {}", site.home)
}

/// What all sites of a run are kept with.
struct Maker<'a> {
    host: &'a Host,
    repository: &'a Repository,
    inside: &'a Inside,
    host_name: String,
    /// Told apart from all other runs by this.
    run: String,
}

impl Maker<'_> {
    fn back_up(&self, site: &Site, text: &str, report: &mut Report) -> Result<Value, Trouble> {
        if is_planned(site.user.uid) {
            let user = &site.user.name;
            return Err(Trouble::new(format!(
                "the site's user '{user}' does not exist, and only as its user are its files read"
            ))
            .hint(format!("hostel site apply --site {}", site.name)));
        }
        let parts = vec![self.part(site, ("home.tar", Work::Send, None), report)?];
        let manifest = Manifest::new(site, text, parts);
        let snapshot = self.keep_manifest(&manifest, &self.run, report)?;
        let bytes = manifest.bytes();
        report.step(format!(
            "kept {} as {snapshot}, {} before packing",
            in_words(site),
            size(bytes)
        ));
        Ok(json!({ "site": site.name, "backup": snapshot, "bytes": bytes }))
    }

    fn part(
        &self,
        site: &Site,
        (what, work, database): (&str, Work, Option<usize>),
        report: &mut Report,
    ) -> Result<Part, Trouble> {
        let from = End {
            inside: self.inside,
            server: &self.host.server,
            site,
            work,
        };
        let file = format!("{}.{what}", site.name);
        let tags = manifest::tags(&site.name, &self.run);
        let names = (self.host_name.as_str(), file.as_str(), tags.as_str());
        let (snapshot, passed) = stream::save(&from, self.repository, names, report)?;
        if !passed.words.is_empty() {
            report.note(format!("while {what} was kept: {}", passed.words));
        }
        Ok(Part {
            file: format!("/{file}"),
            snapshot,
            database,
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
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| at(error.into()))?;
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
    format!("{:x}-{}", now.as_nanos(), std::process::id())
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
