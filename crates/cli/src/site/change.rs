//! `hostel site edit`, `disable`, `enable`, `suspend` and `rename`: a site's file is changed or gets another name.
//!
//! What is to be is checked with all other files before it is made; a file is replaced whole; then the server takes it.

use std::fs;
use std::io;
use std::path::Path;

use super::expect;
use super::file;
use super::host::{FileState, Host, MayMiss, site_of};
use super::live;
use super::options::Edit;
use super::record::{Record, Records, replace};
use super::report::Report;
use super::trouble::Trouble;

pub(super) fn edit(config: &Path, options: &Edit, report: &mut Report) -> Result<(), Trouble> {
    let host = Host::load(config, MayMiss::Nobody)?;
    let _records = lock(&host, report)?;
    let (state, text) = host.must_find(&options.name)?;
    let new = file::edit(&text, options)?;
    rewrite(&host, (&options.name, state), (&text, &new), report)
}

pub(super) fn suspend(config: &Path, name: &str, report: &mut Report) -> Result<(), Trouble> {
    let host = Host::load(config, MayMiss::Nobody)?;
    let _records = lock(&host, report)?;
    let (state, text) = host.must_find(name)?;
    let new = file::suspend(&text, true)?;
    rewrite(&host, (name, state), (&text, &new), report)
}

pub(super) fn disable(config: &Path, name: &str, report: &mut Report) -> Result<(), Trouble> {
    let host = Host::load(config, MayMiss::Nobody)?;
    let _records = lock(&host, report)?;
    match host.must_find(name)?.0 {
        FileState::Serving => {
            if !report.is_dry() {
                host.move_file((name, FileState::Serving), (name, FileState::Disabled))?;
            }
            report.step(format!("rename {name}.toml to {name}.toml.disabled"));
        }
        FileState::Disabled => {}
        FileState::Removing => return Err(is_being_removed(name)),
    }
    if report.is_dry() {
        return Ok(());
    }
    live::reload(&host, report).map(drop)
}

pub(super) fn enable(config: &Path, name: &str, report: &mut Report) -> Result<(), Trouble> {
    let host = Host::load(config, MayMiss::Nobody)?;
    let _records = lock(&host, report)?;
    let (state, text) = host.must_find(name)?;
    if state == FileState::Removing {
        return Err(is_being_removed(name));
    }
    let new = file::suspend(&text, false)?;
    if state == FileState::Serving {
        return rewrite(&host, (name, state), (&text, &new), report);
    }
    // With all others: somebody may have taken its domain.
    host.changed(MayMiss::Nobody, &[(name, Some(&new))])?;
    if new != text {
        if !report.is_dry() {
            replace(&host.file(name, state), new.as_bytes(), 0o644)?;
        }
        report.step("write into its file that it is not suspended".to_owned());
    }
    if !report.is_dry() {
        host.move_file((name, FileState::Disabled), (name, FileState::Serving))?;
    }
    report.step(format!("rename {name}.toml.disabled to {name}.toml"));
    if report.is_dry() {
        return Ok(());
    }
    if live::reload(&host, report)? {
        let server = host.changed(MayMiss::Nobody, &[])?;
        live::visit(&host, &*site_of(&server, name)?, report);
    }
    Ok(())
}

/// Put the new text in the place of the old one, where it differs and is sound.
fn rewrite(
    host: &Host,
    (name, state): (&str, FileState),
    (text, new): (&str, &str),
    report: &mut Report,
) -> Result<(), Trouble> {
    match state {
        FileState::Serving => drop(host.changed(MayMiss::Nobody, &[(name, Some(new))])?),
        FileState::Disabled => drop(host.alone(MayMiss::Nobody, name, new)?),
        FileState::Removing => return Err(is_being_removed(name)),
    }
    if new != text {
        if !report.is_dry() {
            replace(&host.file(name, state), new.as_bytes(), 0o644)?;
        }
        report.step(format!("change {}", host.file(name, state).display()));
        report.value("file", new);
    }
    if report.is_dry() || state != FileState::Serving {
        return Ok(());
    }
    live::reload(host, report).map(drop)
}

pub(super) fn rename(
    config: &Path,
    (name, new_name): (&str, &str),
    report: &mut Report,
) -> Result<(), Trouble> {
    let host = Host::load(config, MayMiss::Nobody)?;
    hostel_config::check_site_name(new_name).map_err(|error| Trouble::new(error.message))?;
    let records = lock(&host, report)?;
    let mut record = records.of(name)?.unwrap_or_default();
    let is_begun = record.renaming.as_deref() == Some(new_name);
    match (host.find(name)?, host.find(new_name)?) {
        (None, Some(_)) if is_begun => {}
        (None, _) => {
            host.must_find(name)?;
            return Ok(());
        }
        (Some(_), Some(_)) => {
            return Err(Trouble::new(format!(
                "there is a site '{new_name}' already"
            )));
        }
        (Some((FileState::Removing, _)), None) => return Err(is_being_removed(name)),
        (Some((state, text)), None) => {
            let site = host.alone(MayMiss::Nobody, name, &text)?;
            refuse_left_overs(&host, &records, new_name)?;
            let new = file::fix(&text, &site.user.name, &site.home)?;
            check_renamed(&host, state, (name, new_name), &new)?;
            if !report.is_dry() {
                record.renaming = Some(new_name.to_owned());
                records.write(name, &record)?;
                replace(&host.file(name, state), new.as_bytes(), 0o644)?;
                host.move_file((name, state), (new_name, state))?;
            }
            report.step(format!("rename its file to {new_name}"));
        }
    }
    if !report.is_dry() {
        follow(&host, (name, new_name))?;
    }
    report.step("rename its state and its logs".to_owned());
    if report.is_dry() {
        return Ok(());
    }
    record.renaming = None;
    if record != Record::default() {
        records.write(new_name, &record)?;
    }
    records.remove(name)?;
    live::reload(&host, report).map(drop)
}

fn check_renamed(
    host: &Host,
    state: FileState,
    (name, new_name): (&str, &str),
    text: &str,
) -> Result<(), Trouble> {
    if state == FileState::Serving {
        let changes = [(name, None), (new_name, Some(text))];
        host.changed(MayMiss::Nobody, &changes).map(drop)
    } else {
        host.alone(MayMiss::Nobody, new_name, text).map(drop)
    }
}

/// Nothing of another site that had this name may become this one's.
fn refuse_left_overs(host: &Host, records: &Records, name: &str) -> Result<(), Trouble> {
    let places = [
        expect::state(&host.server, name),
        expect::logs(&host.server, name),
    ];
    for place in places {
        if place.symlink_metadata().is_ok() {
            return Err(Trouble::new(format!(
                "{} is left of another site of this name",
                place.display()
            ))
            .hint("move it away, or choose another name"));
        }
    }
    if records.of(name)?.is_some() {
        return Err(
            Trouble::new(format!("a site '{name}' was begun and not finished"))
                .hint(format!("hostel site remove {name}")),
        );
    }
    Ok(())
}

/// State and logs get the new name, where they still have the old one. Both stand in directories of root's.
fn follow(host: &Host, (name, new_name): (&str, &str)) -> Result<(), Trouble> {
    for place in [expect::state, expect::logs] {
        let (from, to) = (place(&host.server, name), place(&host.server, new_name));
        if to.symlink_metadata().is_ok() {
            continue; // a server that has read the new name made it
        }
        match fs::rename(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Trouble::at("rename", &from)(error)),
        }
    }
    Ok(())
}

pub(crate) fn is_being_removed(name: &str) -> Trouble {
    Trouble::new(format!("the site '{name}' is being removed"))
        .hint(format!("hostel site remove {name} completes it"))
}

/// The records, locked unless nothing is to be changed.
pub(crate) fn lock(host: &Host, report: &Report) -> Result<Records, Trouble> {
    if report.is_dry() {
        Ok(Records::look(&host.server))
    } else {
        Records::open(&host.server)
    }
}
