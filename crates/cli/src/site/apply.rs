//! Does the steps that a site needs, in their order.
//!
//! Run as root. What is done beneath a home is done by a child in the site's sandbox. Each step leaves the host such that the next look finds what is
//! left to do: files are replaced whole, a home appears with its owner, and what is made is on record before it is made.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use hostel_config::database::{Place, Served};
use hostel_config::{Server, Site};
use hostel_sys::home::{close_home, make_home};
use hostel_sys::secure::Directory;
use rustix::fs::{Mode, OFlags, fchmod, fchown, fstat};

use super::accounts;
use super::database::{self, admin};
use super::diff::Step;
use super::expect::{Contents, Expected};
use super::host::{FileState, Host, MayMiss, site_of};
use super::inspect::{self, Found, Wrong, open};
use super::options::Work;
use super::record::{MadeDatabase, Record, Records, replace};
use super::report::Report;
use super::said::Said;
use super::sandbox::{self, Worker};
use super::trouble::Trouble;
use crate::inside::Inside;

/// What every change works with.
pub(crate) struct Hands<'a> {
    pub(crate) host: &'a Host,
    pub(crate) records: &'a Records,
    pub(crate) inside: Option<Inside>,
    pub(crate) report: &'a mut Report,
    /// What fills a home from a backup, where that is wanted.
    pub(crate) unpack: Option<Unpack<'a>>,
}

/// Has the home of a site filled from a backup.
pub(crate) type Unpack<'a> =
    &'a dyn Fn(&Inside, &Server, &Site, &mut Report) -> Result<(), Trouble>;

impl Hands<'_> {
    /// Look at what is there of a site.
    pub(crate) fn inspect(&mut self, expected: &Expected) -> Result<Found, Trouble> {
        let (host, records) = (self.host, self.records);
        inspect::inspect(host, records, expected, &mut self.inside, self.report)
    }

    /// Do all steps; with a dry run only tell them.
    pub(crate) fn have(
        &mut self,
        expected: &Expected,
        found: &Found,
        steps: &[Step],
    ) -> Result<(), Trouble> {
        if self.report.is_dry() {
            for step in steps {
                self.report.step(step.in_words());
            }
            return Ok(());
        }
        let mut record = found.record.clone();
        if note_down(&mut record, expected, steps) {
            self.records.write(&expected.site.name, &record)?;
        }
        for step in steps {
            self.do_one(expected, step, &mut record)?;
            self.report.step(step.in_words());
        }
        Ok(())
    }

    fn do_one(
        &mut self,
        expected: &Expected,
        step: &Step,
        record: &mut Record,
    ) -> Result<(), Trouble> {
        let name = expected.site.name.as_str();
        match step {
            Step::MakeUser {
                name: user,
                home,
                shell,
            } => accounts::make(&self.host.server, name, user, home, shell.as_deref()),
            Step::MakeGroup { .. } => {
                let (_, site) = self.real(expected)?;
                accounts::make_group(&site.user)
            }
            Step::MakeHome { path } => {
                let (_, site) = self.real(expected)?;
                let reserved = self.host.reserved();
                make_home(Path::new(path), site.user.uid, site.user.gid, &reserved)
                    .map_err(|error| Trouble::of(&error))
            }
            Step::CloseHome { path, bits } => {
                let (_, site) = self.real(expected)?;
                close_home(Path::new(path), site.user.uid, *bits, &self.host.reserved())
                    .map_err(|error| Trouble::of(&error))
            }
            Step::Mend(wrong) => mend(wrong).map_err(Trouble::at("mend", &wrong.path)),
            Step::MakeState => {
                let (_, site) = self.real(expected)?;
                let inside = open(&mut self.inside, &self.host.server)?;
                let state = inside.directories.site_state(name, &site.user);
                let state = state.map_err(|error| Trouble::of(&error))?;
                for directory in state {
                    directory.map_err(|error| Trouble::of(&error))?;
                }
                Ok(())
            }
            Step::MakeLogs => self.make_logs(expected),
            Step::EmptyHome { .. } => self.work(expected, (Work::Empty, false)),
            Step::FillRoot { welcome, .. } => self.work(expected, (Work::Fill, *welcome)),
            Step::Copy { from } => {
                self.copy(expected, from)?;
                record.copied = true;
                self.records.write(name, record)
            }
            Step::Unpack { .. } => {
                self.unpack(expected)?;
                record.copied = true;
                self.records.write(name, record)
            }
            Step::MakeDatabase { served, like, .. } => {
                admin::make(served, like.as_deref())?;
                record.has_made(served);
                self.records.write(name, record)
            }
            Step::CopyDatabase { from, number, .. } => {
                self.copy_database(expected, from, *number)?;
                record.databases_copied = number + 1;
                self.records.write(name, record)
            }
            Step::WriteFile { .. } => {
                let text = expected.file.as_deref().unwrap_or_default();
                // Checked again, now that its user exists: only what a server would load counts.
                self.host.changed(MayMiss::Nobody, &[(name, Some(text))])?;
                let path = self.host.file(name, FileState::Serving);
                replace(&path, text.as_bytes(), 0o644)
            }
        }
    }

    fn make_logs(&self, expected: &Expected) -> Result<(), Trouble> {
        let (_, site) = self.real(expected)?;
        let logs = Directory::open(&self.host.server.logs);
        let logs = logs.map_err(|error| Trouble::of(&error))?;
        let root = hostel_sys::cred::Uid::ROOT;
        let own = logs.beneath(&site.name, root, site.user.gid, 0o750);
        own.and_then(|own| own.set_group(site.user.gid))
            .map_err(|error| Trouble::of(&error))
    }

    /// The site with the numbers that its user has by now, and the table that it is in.
    fn real(&self, expected: &Expected) -> Result<(Server, Rc<Site>), Trouble> {
        let name = expected.site.name.as_str();
        let may_miss = match expected.file {
            Some(_) => MayMiss::Nobody,
            // Other sites' users may be made later.
            None => MayMiss::Everybody,
        };
        let changes = [(name, expected.file.as_deref())];
        let changes = if expected.file.is_some() {
            &changes[..]
        } else {
            &[]
        };
        let server = self.host.changed(may_miss, changes)?;
        let site = site_of(&server, name)?;
        if super::host::is_planned(site.user.uid) {
            return Err(Trouble::new(format!(
                "there is no user '{}'",
                site.user.name
            )));
        }
        Ok((server, site))
    }

    fn work(&mut self, expected: &Expected, work: (Work, bool)) -> Result<(), Trouble> {
        let (server, site) = self.real(expected)?;
        let inside = open(&mut self.inside, &self.host.server)?;
        let mut workers = [Worker::start(inside, &server, &site, work, None)?];
        sandbox::finish(&mut workers, self.report)?;
        Ok(())
    }

    fn unpack(&mut self, expected: &Expected) -> Result<(), Trouble> {
        let (server, site) = self.real(expected)?;
        let inside = open(&mut self.inside, &self.host.server)?;
        match self.unpack {
            Some(unpack) => unpack(inside, &server, &site, self.report),
            None => Err(Trouble::new("there is no backup to unpack")),
        }
    }

    /// The site that is copied, served or not, and the table that it is in.
    fn original(&self, server: &Server, from: &str) -> Result<(Server, Rc<Site>), Trouble> {
        if let Ok(original) = site_of(server, from) {
            return Ok((server.clone(), original));
        }
        let (_, text) = self.host.must_find(from)?;
        let server = self.host.table_of(MayMiss::Nobody, from, &text)?;
        let original = site_of(&server, from)?;
        Ok((server, original))
    }

    /// Two children too: what the one dumps, the other loads.
    fn copy_database(
        &mut self,
        expected: &Expected,
        from: &str,
        number: usize,
    ) -> Result<(), Trouble> {
        let (server, site) = self.real(expected)?;
        let (of_original, original) = self.original(&server, from)?;
        let (read, write) = sandbox::pipe()?;
        let inside = open(&mut self.inside, &self.host.server)?;
        let start = |(server, site): (&Server, &Site), work, end: &OwnedFd| {
            database::start(inside, (server, site), number, work, Some(end))
        };
        let mut workers = [
            start((&of_original, &original), Work::DumpDatabase, &write)?,
            start((&server, &site), Work::LoadDatabase, &read)?,
        ];
        drop((read, write));
        sandbox::finish(&mut workers, self.report).map(drop)
    }

    /// Two children, one as each user, and a pipe between them of which this process keeps neither end.
    fn copy(&mut self, expected: &Expected, from: &str) -> Result<(), Trouble> {
        let (server, site) = self.real(expected)?;
        let (_, original) = self.original(&server, from)?;
        let (read, write) = sandbox::pipe()?;
        let inside = open(&mut self.inside, &self.host.server)?;
        let start = |site, work, end: &OwnedFd| {
            Worker::start(inside, &server, site, (work, false), Some(end.as_fd()))
        };
        let mut workers = [
            start(&original, Work::Send, &write)?,
            start(&site, Work::Receive, &read)?,
        ];
        drop((read, write));
        let said = sandbox::finish(&mut workers, self.report)?;
        for one in said {
            if let Said::Done { words, .. } = one
                && !words.is_empty()
            {
                self.report.note(format!("while copying: {words}"));
            }
        }
        Ok(())
    }
}

/// Owner, group and mode of a directory itself, which stands in one of root's: no link is followed, and no file can be in its place.
fn mend(wrong: &Wrong) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(&wrong.path, flags, Mode::empty())?;
    let owner = wrong.owner.map(|uid| rustix::fs::Uid::from_raw(uid.0));
    let group = wrong.group.map(|gid| rustix::fs::Gid::from_raw(gid.0));
    fchown(&directory, owner, group)?;
    let mode = fstat(&directory)?.st_mode & 0o7777;
    Ok(fchmod(&directory, Mode::from_raw_mode(mode & !wrong.bits))?)
}

/// A database that is about to be made, unless it is on record.
fn note_database(record: &mut Record, served: &Served, with_account: bool) {
    let Place::Socket(socket) = &served.place else {
        return;
    };
    if record.databases_made.iter().any(|made| made.is(served)) {
        return;
    }
    record.databases_made.push(MadeDatabase {
        kind: served.kind,
        socket: socket.clone(),
        name: served.name.clone(),
        account: served.user.clone(),
        account_made: with_account,
        is_whole: false,
    });
}

/// What the steps are about to make, and whether that was not on record.
fn note_down(record: &mut Record, expected: &Expected, steps: &[Step]) -> bool {
    let before = record.clone();
    for step in steps {
        match step {
            Step::MakeUser { name, .. } => record.user_made = Some(name.clone()),
            Step::MakeHome { path } => record.home_made = Some(path.clone()),
            Step::MakeDatabase {
                served,
                with_account,
                ..
            } => note_database(record, served, *with_account),
            Step::MakeGroup { .. }
            | Step::CloseHome { .. }
            | Step::Mend(_)
            | Step::MakeState
            | Step::MakeLogs
            | Step::EmptyHome { .. }
            | Step::FillRoot { .. }
            | Step::Copy { .. }
            | Step::Unpack { .. }
            | Step::CopyDatabase { .. }
            | Step::WriteFile { .. } => {}
        }
    }
    if let Contents::CopyOf(from) | Contents::BackupOf(from) = &expected.contents
        && !record.copied
    {
        record.copy_of = Some(from.clone());
    }
    *record != before
}
