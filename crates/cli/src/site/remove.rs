//! `hostel site remove`: what `site add` has made is taken away again, and an archive kept.
//!
//! Run as root. The archive is written, and the home and the site's own directories emptied, by a child in the site's sandbox; root opens the archive's file
//! and removes directories that are empty. What is to be done stands in the site's record first, so that an interrupted run is completed by
//! the next one.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hostel_config::database::Database;
use hostel_config::{Server, Site};
use hostel_sys::cred::{Gid, Uid};
use hostel_sys::home::{make_home, remove_home};
use hostel_sys::secure::Directory;

use super::accounts;
use super::change::lock;
use super::database::{self, admin};
use super::expect::{self, OF_STATE};
use super::file::{self, Settings};
use super::host::{FileState, Host, MayMiss, is_planned, site_of};
use super::inspect::{self, Found, Home, open};
use super::live;
use super::options::Work;
use super::record::{MadeDatabase, Record, Records, Removing, replace};
use super::report::Report;
use super::sandbox::{self, Worker};
use super::trouble::Trouble;
use crate::inside::Inside;
use crate::processes;

/// One thing to be done that takes something away. Each may be done again, as those of [`super::diff`].
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Disable,
    WaitForEnd,
    Archive { name: String },
    KeepFiles { name: String },
    RemoveHome { path: String },
    RemoveState,
    RemoveLogs,
    KeepDatabases { name: String },
    DropDatabase { made: MadeDatabase },
    DeleteUser { name: String },
    RemoveFile,
}

impl Step {
    /// What is done, as an administrator would say it.
    fn in_words(&self) -> String {
        match self {
            Self::Disable => "take its file out of the configuration".to_owned(),
            Self::WaitForEnd => "wait until nothing of it runs any more".to_owned(),
            Self::Archive { name } => {
                format!("archive the home as its user into {name}/home.tar.gz")
            }
            Self::KeepFiles { name } => format!("keep its file and its logs in {name}"),
            Self::RemoveHome { path } => {
                format!("empty the home {path} as its user, and remove it")
            }
            Self::RemoveState => {
                "remove its /tmp, /var/tmp, sessions and OPcache directory".to_owned()
            }
            Self::RemoveLogs => "remove its logs".to_owned(),
            Self::KeepDatabases { name } => {
                format!("dump its databases as its user into {name}")
            }
            Self::DropDatabase { made } => {
                let account = match made.account_made {
                    true => format!(" and its account '{}'", made.account),
                    false => String::new(),
                };
                format!(
                    "drop the {} database '{}'{account}",
                    made.kind.word(),
                    made.name
                )
            }
            Self::DeleteUser { name } => format!("delete the user {name} and its group"),
            Self::RemoveFile => "remove its file".to_owned(),
        }
    }
}

pub(super) fn remove(
    config: &Path,
    name: &str,
    (purge, with_home): (bool, bool),
    report: &mut Report,
) -> Result<(), Trouble> {
    let host = Host::load(config, MayMiss::Everybody)?;
    let records = lock(&host, report)?;
    let record = records.of(name)?;
    let file = host.find(name)?;
    if record.is_none() {
        host.must_find(name)?;
    }
    let mut record = record.unwrap_or_default();
    let text = match &file {
        Some((_, text)) => text.clone(),
        None => text_of_record(name, &record)?,
    };
    let table = host.table_of(MayMiss::Everybody, name, &text)?;
    let site = site_of(&table, name)?;
    let found = inspect::outside(&host, &records, &site)?;
    // A site that is served, or was put back by hand, is archived as it is now.
    if !matches!(file, Some((FileState::Removing, _)) | None) {
        record.removing = None;
    }
    let removing = plan(name, &record, purge, with_home);
    let steps = to_remove(&host, &site, &found, &removing);
    if report.is_dry() {
        for step in steps {
            report.step(step.in_words());
        }
        return Ok(());
    }
    record.removing = Some(removing.clone());
    records.write(name, &record)?;
    let mut remover = Remover {
        host: &host,
        records: &records,
        table,
        site,
        text,
        record,
        removing,
        inside: None,
        running: Vec::new(),
    };
    for step in steps {
        remover.do_one(&step, report)?;
        report.step(step.in_words());
    }
    records.remove(name)?;
    if !remover.removing.purge {
        let archive = remover.archive_path();
        report.value("archive", archive.display().to_string());
        report.note(format!("what was kept is in {}", archive.display()));
    }
    tell_what_stays(&found, &remover.site, &remover.record, report);
    Ok(())
}

/// What is done, from the interrupted run if there was one.
fn plan(name: &str, record: &Record, purge: bool, with_home: bool) -> Removing {
    let before = record.removing.clone();
    let mut removing = before.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = now.map_or(0, |now| now.as_secs());
        Removing {
            archive: format!("{name}-{seconds}"),
            purge,
            with_home,
            archived: false,
            databases_kept: false,
        }
    });
    removing.purge |= purge;
    removing.with_home |= with_home;
    removing
}

/// Whether the home is this site's alone, and made for it.
fn takes_home(site: &Site, found: &Found, with_home: bool) -> bool {
    let is_ours = found.record.home_made.as_ref() == Some(&site.home) || with_home;
    is_ours && !found.is_home_shared && matches!(found.home, Home::There { .. })
}

fn takes_user(site: &Site, found: &Found) -> bool {
    let is_ours = found.record.user_made.as_ref() == Some(&site.user.name);
    let is_left = match &found.account {
        Some(account) => account.was_made_here(),
        None => found.is_group_taken,
    };
    is_ours && is_left && found.others_of_user.is_empty()
}

/// What is to be done so that nothing of the site is left that was made for it.
fn to_remove(host: &Host, site: &Site, found: &Found, removing: &Removing) -> Vec<Step> {
    let mut steps = Vec::new();
    let name = host.server.state.join(REMOVED).join(&removing.archive);
    let name = name.display().to_string();
    match found.file {
        Some((FileState::Serving | FileState::Disabled, _)) => steps.push(Step::Disable),
        Some((FileState::Removing, _)) | None => {}
    }
    steps.push(Step::WaitForEnd);
    let made = &found.record.databases_made;
    let has_home = matches!(found.home, Home::There { .. });
    if !made.is_empty() && has_home && !removing.purge && !removing.databases_kept {
        steps.push(Step::KeepDatabases { name: name.clone() });
    }
    let path = site.home.clone();
    if takes_home(site, found, removing.with_home) {
        if !removing.purge && !removing.archived {
            steps.push(Step::Archive { name: name.clone() });
        }
        steps.push(Step::RemoveHome { path });
    }
    steps.extend(to_drop(made).map(|made| Step::DropDatabase { made }));
    let state = expect::state(&host.server, &site.name);
    if state.symlink_metadata().is_ok() {
        steps.push(Step::RemoveState);
    }
    let logs = expect::logs(&host.server, &site.name);
    let has_logs = logs.symlink_metadata().is_ok();
    match removing.purge {
        true if has_logs => steps.push(Step::RemoveLogs),
        true => {}
        false if has_logs || found.file.is_some() => steps.push(Step::KeepFiles { name }),
        false => {}
    }
    if takes_user(site, found) {
        let name = site.user.name.clone();
        steps.push(Step::DeleteUser { name });
    }
    if found.file.is_some() {
        steps.push(Step::RemoveFile);
    }
    steps
}

/// Each of them, and each account with the last one that it has.
fn to_drop(made: &[MadeDatabase]) -> impl Iterator<Item = MadeDatabase> {
    made.iter().enumerate().map(|(place, one)| {
        let mut later = made.iter().skip(place + 1);
        let is_last = !later.any(|other| other.is_account_of(&one.served()));
        MadeDatabase {
            account_made: one.account_made && is_last,
            ..one.clone()
        }
    })
}

fn tell_what_stays(found: &Found, site: &Site, record: &Record, report: &mut Report) {
    let with_home = record.removing.as_ref().is_some_and(|one| one.with_home);
    if matches!(found.home, Home::There { .. }) && !takes_home(site, found, with_home) {
        let why = if found.is_home_shared {
            "another site has it too"
        } else {
            "'site add' did not make it"
        };
        report.note(format!("the home {} stays: {why}", site.home));
    }
    if found.account.is_some() && !takes_user(site, found) {
        let why = match &found.others_of_user[..] {
            [other, ..] => format!("the site '{other}' runs as it"),
            [] => "'site add' did not make it".to_owned(),
        };
        report.note(format!("the user {} stays: {why}", site.user.name));
    }
}

/// What a file would say of a site whose making was interrupted before it had one.
fn text_of_record(name: &str, record: &Record) -> Result<String, Trouble> {
    file::new(&Settings {
        domains: &["interrupted.invalid".to_owned()],
        user: Some(record.user_made.as_deref().unwrap_or(name)),
        home: record.home_made.as_deref(),
        ..Settings::default()
    })
}

struct Remover<'a> {
    host: &'a Host,
    records: &'a Records,
    /// The site's, and that it is in.
    table: Server,
    site: Rc<Site>,
    text: String,
    record: Record,
    removing: Removing,
    inside: Option<Inside>,
    /// Processes of the site at the time when it was taken off the server.
    running: Vec<processes::Process>,
}

impl Remover<'_> {
    fn do_one(&mut self, step: &Step, report: &mut Report) -> Result<(), Trouble> {
        let site = Rc::clone(&self.site);
        let name = site.name.as_str();
        match step {
            Step::Disable => self.disable(),
            Step::WaitForEnd => self.wait_for_end(report),
            Step::Archive { .. } => self.archive(report),
            Step::RemoveHome { path } => {
                self.work(Work::Empty, None, report)?;
                remove_home(Path::new(path), site.user.uid, &self.host.reserved())
                    .map(drop)
                    .map_err(|error| Trouble::of(&error))
            }
            Step::KeepDatabases { .. } => self.keep_databases(report),
            Step::DropDatabase { made } => self.drop_database(made),
            Step::RemoveState => self.remove_state(report),
            Step::KeepFiles { .. } => self.keep_files(),
            Step::RemoveLogs => {
                let logs = expect::logs(&self.host.server, name);
                refuse_foreign(&logs)?;
                fs::remove_dir_all(&logs).map_err(Trouble::at("remove", &logs))
            }
            Step::DeleteUser { name } => self.delete_user(name, report),
            Step::RemoveFile => {
                let path = self.host.file(name, FileState::Removing);
                fs::remove_file(&path).map_err(Trouble::at("remove", &path))
            }
        }
    }

    fn disable(&mut self) -> Result<(), Trouble> {
        let name = self.site.name.as_str();
        let (state, _) = self.host.must_find(name)?;
        self.host
            .move_file((name, state), (name, FileState::Removing))
    }

    /// The server gives the site up; its running requests end first.
    fn wait_for_end(&mut self, report: &mut Report) -> Result<(), Trouble> {
        let name = self.site.name.clone();
        if let Some(document) = live::status(&self.host.config)? {
            self.running = live::processes_of(&document, &name);
            live::reload(self.host, report)?;
        }
        wait_for(std::mem::take(&mut self.running), &self.site, report)
    }

    fn archive_path(&self) -> PathBuf {
        self.host
            .server
            .state
            .join(REMOVED)
            .join(&self.removing.archive)
    }

    /// The directory of the archive: root's alone.
    fn open_archive(&self) -> Result<PathBuf, Trouble> {
        let made = || {
            let state = Directory::open(&self.host.server.state)?;
            let removed = state.beneath(REMOVED, Uid::ROOT, Gid(0), 0o700)?;
            removed.beneath(&self.removing.archive, Uid::ROOT, Gid(0), 0o700)
        };
        made().map_err(|error| Trouble::of(&error))?;
        Ok(self.archive_path())
    }

    fn archive(&mut self, report: &mut Report) -> Result<(), Trouble> {
        let whole = self.open_archive()?.join("home.tar.gz");
        keep(&whole, |file| self.work(Work::Archive, Some(file), report))?;
        self.removing.archived = true;
        self.record.removing = Some(self.removing.clone());
        self.records.write(&self.site.name, &self.record)
    }

    /// What is in the databases that were made for it.
    fn keep_databases(&mut self, report: &mut Report) -> Result<(), Trouble> {
        let directory = self.open_archive()?;
        for (number, database) in self.table.databases_of(&self.site.name).iter().enumerate() {
            let Database::Served(served) = database else {
                continue;
            };
            let mut made = self.record.databases_made.iter();
            // One that was not there yet, or is gone, has nothing that could be kept.
            if !made.any(|made| made.is(served)) || !admin::look(served)?.database {
                continue;
            }
            let inside = open(&mut self.inside, &self.host.server)?;
            let about = (&self.table, &*self.site);
            keep(&directory.join(database.file_name(number)), |file| {
                let to = file.try_clone().map_err(Trouble::at("keep", &directory))?;
                database::dump(inside, about, number, to.into(), report).map(drop)
            })?;
        }
        self.removing.databases_kept = true;
        self.record.removing = Some(self.removing.clone());
        self.records.write(&self.site.name, &self.record)
    }

    /// It is off the record when it is gone.
    fn drop_database(&mut self, made: &MadeDatabase) -> Result<(), Trouble> {
        admin::remove(made)?;
        let served = made.served();
        self.record.databases_made.retain(|one| !one.is(&served));
        self.records.write(&self.site.name, &self.record)
    }

    fn work(
        &mut self,
        work: Work,
        file: Option<&File>,
        report: &mut Report,
    ) -> Result<(), Trouble> {
        if is_planned(self.site.user.uid) {
            let user = &self.site.user.name;
            return Err(Trouble::new(format!(
                "the site's user '{user}' does not exist, and only as its user are its files touched"
            ))
            .hint(format!("useradd --user-group {user}, with the number that owns {}", self.site.home)));
        }
        let inside = open(&mut self.inside, &self.host.server)?;
        let file = file.map(AsFd::as_fd);
        let site = &self.site;
        let mut workers = [Worker::start(
            inside,
            &self.host.server,
            site,
            (work, false),
            file,
        )?];
        let said = sandbox::finish(&mut workers, report)?;
        for one in said {
            if let super::said::Said::Done { words, .. } = one
                && !words.is_empty()
            {
                report.note(format!("while it was archived: {words}"));
            }
        }
        Ok(())
    }

    /// Its own directories in `state`: emptied by its user, removed by root.
    fn remove_state(&mut self, report: &mut Report) -> Result<(), Trouble> {
        let state = expect::state(&self.host.server, &self.site.name);
        if remove_empty(&state).is_ok() {
            return Ok(());
        }
        let (home, user) = (PathBuf::from(&self.site.home), self.site.user.clone());
        let reserved = self.host.reserved();
        // A sandbox needs a home.
        let is_made = make_home(&home, user.uid, user.gid, &reserved).is_ok();
        let emptied = self.work(Work::EmptyState, None, report);
        if is_made {
            remove_home(&home, user.uid, &self.host.reserved())
                .map_err(|error| Trouble::of(&error))?;
        }
        emptied?;
        remove_empty(&state).map_err(Trouble::at("remove", &state))
    }

    /// The site's file and its logs go where the archive is.
    fn keep_files(&self) -> Result<(), Trouble> {
        let directory = self.open_archive()?;
        let file = directory.join(format!("{}.toml", self.site.name));
        replace(&file, self.text.as_bytes(), 0o600)?;
        let from = expect::logs(&self.host.server, &self.site.name);
        let entries = match fs::read_dir(&from) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Trouble::at("read", &from)(error)),
        };
        refuse_foreign(&from)?;
        for entry in entries {
            let entry = entry.map_err(Trouble::at("read", &from))?;
            let to = directory.join(entry.file_name());
            let moved = fs::rename(entry.path(), &to).or_else(|error| {
                if error.kind() != io::ErrorKind::CrossesDevices {
                    return Err(error);
                }
                fs::copy(entry.path(), &to)?;
                File::open(&to)?.sync_all()?;
                fs::remove_file(entry.path())
            });
            moved.map_err(Trouble::at("keep", &entry.path()))?;
        }
        fs::remove_dir(&from).map_err(Trouble::at("remove", &from))
    }

    fn delete_user(&self, name: &str, report: &Report) -> Result<(), Trouble> {
        let uid = self.site.user.uid.0;
        let waited = wait(GRACE, report, "waiting for its processes", || {
            let all = processes::all();
            all.iter().filter(|process| process.uid == uid).count()
        });
        waited.map_err(|trouble| {
            trouble.hint(format!(
                "pkill -u {name} ends them; then run the same command again"
            ))
        })?;
        accounts::delete(name)
    }
}

/// Wait until these processes of a site have ended, as long as its longest request may take.
pub(crate) fn wait_for(
    running: Vec<processes::Process>,
    site: &Site,
    report: &Report,
) -> Result<(), Trouble> {
    let limit = site.limits.request_time_max + GRACE;
    let is_left = |all: &[processes::Process]| {
        let same = |one: &&processes::Process| {
            all.iter()
                .any(|now| now.pid == one.pid && now.uid == one.uid && now.name == one.name)
        };
        running.iter().filter(same).count()
    };
    wait(limit, report, "waiting for its running requests", || {
        is_left(&processes::all())
    })
}

/// The child writes into a file that it could not open: whatever it writes is the content of that file.
fn keep(whole: &Path, write: impl FnOnce(&File) -> Result<(), Trouble>) -> Result<(), Trouble> {
    let part = PathBuf::from(format!("{}.part", whole.display()));
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(&part).map_err(Trouble::at("make", &part))?;
    if let Err(trouble) = write(&file) {
        // What is half an archive only takes room.
        let _ = fs::remove_file(&part);
        return Err(trouble);
    }
    let kept = || {
        file.sync_all()?;
        fs::rename(&part, whole)?;
        crate::whole_file::sync_directory_of(whole)
    };
    kept().map_err(Trouble::at("keep", whole))
}

/// Wait until nothing is left, and say so meanwhile.
fn wait(
    limit: Duration,
    report: &Report,
    what: &str,
    left: impl Fn() -> usize,
) -> Result<(), Trouble> {
    let begun = Instant::now();
    let mut told = begun;
    loop {
        let count = left();
        if count == 0 {
            return Ok(());
        }
        if begun.elapsed() >= limit {
            return Err(Trouble::new(format!(
                "{count} processes of the site's user still run after {} seconds",
                limit.as_secs()
            ))
            .hint("run the same command again when they have ended"));
        }
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            report.progress(&format!("{what}: {count} processes"));
        }
        std::thread::sleep(PAUSE);
    }
}

/// A directory of logs is root's own and nobody else can write it, or root touches nothing in it.
fn refuse_foreign(directory: &Path) -> Result<(), Trouble> {
    let metadata = directory
        .symlink_metadata()
        .map_err(Trouble::at("look at", directory))?;
    if metadata.is_dir() && metadata.uid() == 0 && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    let text = format!("{} is not a directory of root's alone", directory.display());
    Err(Trouble::new(text).hint("look at it, and move it away"))
}

/// The directories of a site's state, if there is nothing in them: rmdir follows no link and removes nothing that is not empty.
fn remove_empty(state: &Path) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    };
    for name in OF_STATE {
        gone(fs::remove_dir(state.join(name)))?;
    }
    gone(fs::remove_dir(state))
}

/// In `state`: what is kept of sites that were removed.
const REMOVED: &str = "removed";
/// Beyond the longest request of a site.
const GRACE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use hostel_config::database::Kind;

    #[test]
    fn an_account_goes_with_the_last_of_its_databases() {
        let made = |kind, name: &str, account: &str| MadeDatabase {
            kind,
            socket: "/run/x".to_owned(),
            name: name.to_owned(),
            account: account.to_owned(),
            account_made: true,
            is_whole: true,
        };
        let all = [
            made(Kind::Mysql, "a", "u"),
            made(Kind::Postgresql, "a", "u"),
            made(Kind::Mysql, "b", "u"),
            made(Kind::Mysql, "c", "v"),
        ];
        let with_account: Vec<bool> = to_drop(&all).map(|one| one.account_made).collect();
        assert_eq!(with_account, [false, true, true, true]);
    }
}
