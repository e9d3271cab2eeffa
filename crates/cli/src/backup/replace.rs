//! A site that is there becomes as a backup has it.
//!
//! Run as root. The backup is unpacked beside the home first, by the site's user, while the site goes on. Only when that is whole is the site suspended for as long as
//! two directories take to change names; what was in the home is kept beside it, as root's, unless nobody wants it. With the home goes all else that could hold what somebody had planted: temporary files, sessions,
//! and OPcache's files, which would outlive the scripts that they were made of. Names tell how far an interrupted run came: `.NAME.hostel-restoring` is being
//! unpacked, `.NAME.hostel-restored-BACKUP` is whole.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use hostel_config::database::Database;
use hostel_config::{Server, Site};
use hostel_sys::cred::{Gid, Uid};
use hostel_sys::home::{look_at_home, make_home, remove_home, rename_home, take_home};
use hostel_sys::secure::Directory;

use super::beside::{self, BEFORE, Beside, UNPACKED};
use super::manifest::Part;
use super::options::Restore;
use super::restore::Source;
use crate::inside::Inside;
use crate::processes;
use crate::site::change;
use crate::site::database;
use crate::site::file;
use crate::site::host::{FileState, Host, MayMiss, is_planned};
use crate::site::inspect;
use crate::site::live;
use crate::site::options::Work;
use crate::site::record::{Records, replace as write};
use crate::site::remove::wait_for;
use crate::site::report::Report;
use crate::site::sandbox::{self, Worker};
use crate::site::trouble::Trouble;

pub(super) fn replace(
    host: &Host,
    options: &Restore,
    source: &Source<'_>,
    report: &mut Report,
) -> Result<(), Trouble> {
    let records = change::lock(host, report)?;
    let name = options.site.as_str();
    let (state, text) = host.must_find(name)?;
    if state == FileState::Removing {
        return Err(change::is_being_removed(name));
    }
    let site = host.alone(MayMiss::Everybody, name, &text)?;
    refuse(host, &records, &site)?;
    let new_text = new_text(host, &site, (state, &text), options, source, report)?;
    let table = host.table_of(MayMiss::Everybody, name, &new_text)?;
    let dumps = source.dumps(&table, name)?;
    let home = site.home.clone();
    let parent = Path::new(&home).parent().unwrap_or(Path::new("/"));
    let own_name = Path::new(&home).file_name().unwrap_or_default();
    let beside = |ending: &str| {
        let mut name = OsString::from(".");
        name.push(own_name);
        name.push(ending);
        parent.join(name)
    };
    let whole = beside(&format!(".{UNPACKED}{}", source.snapshot.short_id()));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.map_or(0, |now| now.as_secs());
    let kept = beside(&format!(".{BEFORE}{seconds}"));
    let mut replacement = Replacement {
        host,
        records: &records,
        site,
        state,
        text,
        new_text,
        table,
        dumps,
        source,
        kept_name: format!("{name}-{seconds}"),
        part: beside(".hostel-restoring"),
        whole,
        kept,
        running: Vec::new(),
        taken: Vec::new(),
        inside: None,
    };
    for deed in replacement.deeds(options.purge)? {
        if !report.is_dry() {
            replacement.do_one(&deed, report)?;
        }
        report.step(replacement.in_words(&deed));
    }
    if report.is_dry() {
        return Ok(());
    }
    replacement.done(options.purge, report)
}

fn refuse(host: &Host, records: &Records, site: &Site) -> Result<(), Trouble> {
    if is_planned(site.user.uid) {
        let trouble = Trouble::new(format!(
            "the site's user '{}' does not exist",
            site.user.name
        ));
        return Err(trouble.hint(format!("hostel site apply {}", site.name)));
    }
    if inspect::outside(host, records, site)?.is_home_shared {
        return Err(
            Trouble::new(format!("another site has the home {} too", site.home))
                .hint("--as NAME --domain … makes a site of its own of the backup"),
        );
    }
    match beside::within(&host.server.sites, site) {
        None => Ok(()),
        Some(other) => Err(Trouble::new(format!(
            "the home of the site '{}' lies in {}, and would change places with it",
            other.name, site.home
        ))
        .hint("--as NAME --domain … makes a site of its own of the backup")),
    }
}

/// The text that the file is to have; says so where the backup's was another one.
fn new_text(
    host: &Host,
    site: &Site,
    (state, text): (FileState, &str),
    options: &Restore,
    source: &Source<'_>,
    report: &mut Report,
) -> Result<String, Trouble> {
    // One that was suspended by a run that did not end is not what is meant.
    let plain = file::suspend(text, false)?;
    let then = file::suspend(&source.manifest.file, false)?;
    if plain == then {
        return Ok(text.to_owned());
    }
    if !options.with_settings {
        report.note("the site's settings were others then and stay as they are now: --with-settings puts them back".to_owned());
        return Ok(text.to_owned());
    }
    let name = site.name.as_str();
    let changed = match state {
        FileState::Serving => {
            let server = host.changed(MayMiss::Everybody, &[(name, Some(&then))])?;
            crate::site::host::site_of(&server, name)?
        }
        FileState::Disabled | FileState::Removing => host.alone(MayMiss::Everybody, name, &then)?,
    };
    if changed.user.name != site.user.name || changed.home != site.home {
        return Err(Trouble::new(format!(
            "the settings of then have the user '{}' and the home {}, which are others now",
            changed.user.name, changed.home
        ))
        .hint("without --with-settings, or as another site: --as NAME --domain …"));
    }
    Ok(source.manifest.file.clone())
}

/// One thing to be done; each may be done again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Deed {
    /// Remove what an interrupted run has left.
    Clear(PathBuf),
    Unpack,
    Suspend,
    WaitForEnd,
    /// Dump what is in a database now.
    KeepDatabase(usize),
    Swap,
    /// The place in the list of dumps.
    LoadDatabase(usize),
    EmptyState,
    Serve,
    TakeOld(PathBuf),
    RemoveOld(PathBuf),
}

struct Replacement<'a> {
    host: &'a Host,
    records: &'a Records,
    site: Rc<Site>,
    state: FileState,
    /// Of its file, as it was found.
    text: String,
    new_text: String,
    /// The table that the site is in with that text.
    table: Server,
    /// What is to be loaded into which of its databases.
    dumps: Vec<(usize, &'a Part)>,
    source: &'a Source<'a>,
    /// The directory, in `state`/replaced, with what was in its databases.
    kept_name: String,
    part: PathBuf,
    whole: PathBuf,
    kept: PathBuf,
    /// Processes of the site at the time when it was suspended.
    running: Vec<processes::Process>,
    /// The homes that were there, which are root's by now.
    taken: Vec<PathBuf>,
    inside: Option<Inside>,
}

impl Replacement<'_> {
    fn deeds(&self, purge: bool) -> Result<Vec<Deed>, Trouble> {
        let mut deeds = Vec::new();
        if self.is_there(&self.part)? {
            deeds.push(Deed::Clear(self.part.clone()));
        }
        let beside = Beside::look(&self.site, &self.whole)?;
        deeds.extend(beside.other_backups.into_iter().map(Deed::Clear));
        if !self.is_there(&self.whole)? {
            deeds.push(Deed::Unpack);
        }
        if self.state == FileState::Serving {
            deeds.extend([Deed::Suspend, Deed::WaitForEnd]);
        }
        // No sandbox begins without a home, which is missing where a run was interrupted right between the two names.
        let has_home = self.is_there(Path::new(&self.site.home))?;
        let keep = self.served().into_iter().map(Deed::KeepDatabase);
        if has_home {
            deeds.extend(keep.chain([Deed::Swap]));
        } else {
            deeds.extend([Deed::Swap].into_iter().chain(keep));
        }
        deeds.extend((0..self.dumps.len()).map(Deed::LoadDatabase));
        deeds.extend([Deed::EmptyState, Deed::Serve]);
        let old = beside.not_taken.into_iter().chain([self.kept.clone()]);
        deeds.extend(old.map(if purge {
            Deed::RemoveOld
        } else {
            Deed::TakeOld
        }));
        Ok(deeds)
    }

    /// The databases that are to be loaded and whose content does not lie in the home, where it is kept with that.
    fn served(&self) -> Vec<usize> {
        let databases = self.table.databases_of(&self.site.name);
        let numbers = self.dumps.iter().map(|(number, _)| *number);
        numbers
            .filter(|number| matches!(databases.get(*number), Some(Database::Served(_))))
            .collect()
    }

    fn in_words(&self, deed: &Deed) -> String {
        let home = &self.site.home;
        match deed {
            Deed::Clear(path) => format!(
                "remove {}, which an interrupted run has left",
                path.display()
            ),
            Deed::Unpack => format!("unpack the backup beside {home}, as the site's user"),
            Deed::Suspend => "suspend the site".to_owned(),
            Deed::WaitForEnd => "wait until nothing of it runs any more".to_owned(),
            Deed::KeepDatabase(number) => format!(
                "dump its {} as it is now into {}",
                self.database(*number),
                self.dump_path(*number).display()
            ),
            Deed::LoadDatabase(place) => {
                let number = self.dumps.get(*place).map_or(0, |(number, _)| *number);
                format!(
                    "empty its {} and load the dump, as its user",
                    self.database(number)
                )
            }
            Deed::Swap => format!("put what was unpacked in the place of {home}"),
            Deed::EmptyState => {
                "empty its /tmp, /var/tmp, sessions and compiled scripts, as its user".to_owned()
            }
            Deed::Serve => match self.state {
                FileState::Serving => "serve it again".to_owned(),
                FileState::Disabled | FileState::Removing => "leave it disabled".to_owned(),
            },
            Deed::TakeOld(path) => format!("keep what was there as {}, root's", path.display()),
            Deed::RemoveOld(path) => format!(
                "remove what was there, by then {}, as its user",
                path.display()
            ),
        }
    }

    fn do_one(&mut self, deed: &Deed, report: &mut Report) -> Result<(), Trouble> {
        match deed {
            Deed::Clear(path) => self.remove(path, report),
            Deed::Unpack => self.unpack(report),
            Deed::Suspend => self.suspend(report),
            Deed::WaitForEnd => wait_for(std::mem::take(&mut self.running), &self.site, report),
            Deed::KeepDatabase(number) => self.keep_database(*number, report),
            Deed::LoadDatabase(place) => self.load_database(*place, report),
            Deed::Swap => self.swap(),
            Deed::EmptyState => {
                self.work(Path::new(&self.site.home.clone()), Work::EmptyState, report)
            }
            Deed::Serve => self.serve(report),
            Deed::TakeOld(path) => self.take_old(path),
            Deed::RemoveOld(path) => self.remove(path, report),
        }
    }

    /// Whether a directory beside the home is there.
    fn is_there(&self, path: &Path) -> Result<bool, Trouble> {
        let found = look_at_home(path, &self.host.reserved());
        Ok(found.map_err(|error| Trouble::of(&error))?.is_some())
    }

    fn unpack(&mut self, report: &mut Report) -> Result<(), Trouble> {
        let user = &self.site.user;
        make_home(&self.part, user.uid, user.gid, &self.host.reserved())
            .map_err(|error| Trouble::of(&error))?;
        let staged = staged(&self.site, &self.part)?;
        let inside = inspect::open(&mut self.inside, &self.host.server)?;
        if let Err(trouble) = self.source.unpack(inside, (&self.table, &staged), report) {
            // So that half of it does not fill the disk.
            let _ = self.remove(&self.part.clone(), report);
            return Err(trouble);
        }
        self.rename(&self.part, &self.whole)
    }

    /// The file as it is to be at the end, but suspended: whatever happens from here, the next run finds what it needs.
    fn suspend(&mut self, report: &mut Report) -> Result<(), Trouble> {
        let name = self.site.name.as_str();
        let mut record = self.records.of(name)?.unwrap_or_default();
        // One that is not suspended was resumed by hand after a run that did not end.
        if record.restoring.is_none() || !self.site.suspended {
            record.restoring = Some(self.site.suspended);
            self.records.write(name, &record)?;
        }
        let text = file::suspend(&self.text, true)?;
        if text != self.text {
            self.host
                .changed(MayMiss::Everybody, &[(name, Some(&text))])?;
            write(&self.host.file(name, self.state), text.as_bytes(), 0o644)?;
        }
        // Where the file says so already, a run may have ended before the server was told.
        if let Some(document) = live::status(&self.host.config)? {
            self.running = live::processes_of(&document, name);
            live::reload(self.host, report)?;
        }
        Ok(())
    }

    fn swap(&self) -> Result<(), Trouble> {
        let home = Path::new(&self.site.home);
        // It is not there where a run was interrupted right here.
        self.rename(home, &self.kept)?;
        self.rename(&self.whole, home)
    }

    fn database(&self, number: usize) -> String {
        let databases = self.table.databases_of(&self.site.name);
        databases
            .get(number)
            .map_or_else(String::new, Database::to_string)
    }

    /// Where what is in a database now is kept: in a directory of root's alone.
    fn dump_path(&self, number: usize) -> PathBuf {
        let databases = self.table.databases_of(&self.site.name);
        let name = databases.get(number).map(|one| one.file_name(number));
        let directory = self.host.server.state.join(REPLACED).join(&self.kept_name);
        directory.join(name.unwrap_or_default())
    }

    /// The child writes into a file that it could not open.
    fn keep_database(&mut self, number: usize, report: &Report) -> Result<(), Trouble> {
        let path = self.dump_path(number);
        let directory = || {
            let state = Directory::open(&self.host.server.state)?;
            let replaced = state.beneath(REPLACED, Uid::ROOT, Gid(0), 0o700)?;
            replaced.beneath(&self.kept_name, Uid::ROOT, Gid(0), 0o700)
        };
        directory().map_err(|error| Trouble::of(&error))?;
        let mut options = File::options();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(Trouble::at("make", &path))?;
        let copy = file.try_clone().map_err(Trouble::at("open", &path))?;
        let inside = inspect::open(&mut self.inside, &self.host.server)?;
        let place = (&self.table, &*self.site);
        if let Err(trouble) = database::dump(inside, place, number, copy.into(), report) {
            // What is half a dump only takes room.
            let _ = fs::remove_file(&path);
            return Err(trouble.hint(
                "once the reason is gone, run the same command again; with --no-databases it leaves them as they are",
            ));
        }
        file.sync_all().map_err(Trouble::at("keep", &path))
    }

    fn load_database(&mut self, place: usize, report: &mut Report) -> Result<(), Trouble> {
        let Some(dump) = self.dumps.get(place) else {
            return Ok(());
        };
        let inside = inspect::open(&mut self.inside, &self.host.server)?;
        let site = (&self.table, &*self.site);
        self.source.load_dump(inside, site, *dump, report)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Trouble> {
        let name = to.file_name().unwrap_or_default();
        let uid = self.site.user.uid;
        rename_home(from, name, uid, &self.host.reserved())
            .map(drop)
            .map_err(|error| {
                let trouble = Trouble::of(&error);
                trouble.hint("where a file system of its own is mounted there, restore it as another site: --as NAME --domain …")
            })
    }

    fn serve(&mut self, report: &mut Report) -> Result<(), Trouble> {
        let name = self.site.name.as_str();
        let mut record = self.records.of(name)?.unwrap_or_default();
        let suspended = record.restoring.unwrap_or(self.site.suspended);
        let text = file::suspend(&self.new_text, suspended)?;
        self.host
            .changed(MayMiss::Everybody, &[(name, Some(&text))])?;
        write(&self.host.file(name, self.state), text.as_bytes(), 0o644)?;
        record.restoring = None;
        self.records.write(name, &record)?;
        if self.state != FileState::Serving {
            return Ok(());
        }
        if live::reload(self.host, report)? {
            live::visit(self.host, &self.site, report);
        }
        Ok(())
    }

    fn take_old(&mut self, path: &Path) -> Result<(), Trouble> {
        if !self.is_there(path)? {
            return Ok(());
        }
        self.taken.push(path.to_owned());
        take_home(path, self.site.user.uid, &self.host.reserved())
            .map_err(|error| Trouble::of(&error))
    }

    /// Empty a directory beside the home as the site's user, and remove it.
    fn remove(&mut self, path: &Path, report: &mut Report) -> Result<(), Trouble> {
        if !self.is_there(path)? {
            return Ok(());
        }
        self.work(path, Work::EmptyHome, report)?;
        remove_home(path, self.site.user.uid, &self.host.reserved())
            .map(drop)
            .map_err(|error| Trouble::of(&error))
    }

    fn work(&mut self, home: &Path, work: Work, report: &Report) -> Result<(), Trouble> {
        let staged = staged(&self.site, home)?;
        let inside = inspect::open(&mut self.inside, &self.host.server)?;
        let server = &self.host.server;
        let mut workers = [Worker::start(inside, server, &staged, (work, false), None)?];
        sandbox::finish(&mut workers, report).map(drop)
    }

    fn done(&self, purge: bool, report: &mut Report) -> Result<(), Trouble> {
        let dumps = self.host.server.state.join(REPLACED).join(&self.kept_name);
        let mut kept: Vec<String> = self
            .taken
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let has_dumps = !self.served().is_empty();
        if purge && has_dumps {
            fs::remove_dir_all(&dumps).map_err(Trouble::at("remove", &dumps))?;
        }
        if !purge && has_dumps {
            kept.push(dumps.display().to_string());
        }
        if let [_, ..] = kept[..] {
            let kept = kept.join(" ");
            report.note(format!("what was there before is in {kept}; when it is not needed: rm -r --one-file-system {kept}"));
        }
        report.value("kept", kept);
        Ok(())
    }
}

/// The site with its home elsewhere.
fn staged(site: &Site, home: &Path) -> Result<Site, Trouble> {
    let home = home
        .to_str()
        .ok_or_else(|| Trouble::new("the home's path is not UTF-8"))?;
    let root = Path::new(&site.root)
        .strip_prefix(&site.home)
        .unwrap_or(Path::new(""));
    let root = Path::new(home).join(root);
    Ok(Site {
        home: home.to_owned(),
        root: root.to_string_lossy().into_owned(),
        ..site.clone()
    })
}

/// In `state`: what was in databases before they were restored.
const REPLACED: &str = "replaced";
