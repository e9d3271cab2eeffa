//! What `hostel site` remembers of a site: what it made for it, and what it was doing when it was interrupted.
//!
//! One file for each site in `state`/records, a directory of root's that nobody else can read. It is written before what it says is done,
//! so that whatever was made is known to have been made; whether it is there is looked at each time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use hostel_config::Server;
use hostel_config::database::{Kind, Place, Served};
use hostel_sys::cred::{Gid, Uid};
use hostel_sys::secure::Directory;
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

use super::trouble::Trouble;
use crate::output;
use crate::whole_file;

/// What is remembered of one site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// The user that was made for it.
    pub(crate) user_made: Option<String>,
    /// The home that was made for it.
    pub(crate) home_made: Option<String>,
    /// The site that it is, or is to be, a copy of.
    pub(crate) copy_of: Option<String>,
    /// Whether that copy is whole.
    pub(crate) copied: bool,
    /// The name that it is being given.
    pub(crate) renaming: Option<String>,
    /// It is being restored, and whether it was suspended before.
    pub(crate) restoring: Option<bool>,
    /// How it is being removed.
    pub(crate) removing: Option<Removing>,
    /// The databases that were made for it.
    pub(crate) databases_made: Vec<MadeDatabase>,
    /// How many of its databases, in the order of its file, have what the original's have.
    pub(crate) databases_copied: usize,
}

/// A database that was made for a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MadeDatabase {
    pub(crate) kind: Kind,
    pub(crate) socket: String,
    pub(crate) name: String,
    /// Who may use it.
    pub(crate) account: String,
    /// Whether that account was made with it.
    pub(crate) account_made: bool,
    /// Whether all of it was made.
    pub(crate) is_whole: bool,
}

impl MadeDatabase {
    /// As a site's file names it.
    pub(crate) fn served(&self) -> Served {
        Served {
            kind: self.kind,
            name: self.name.clone(),
            user: self.account.clone(),
            place: Place::Socket(self.socket.clone()),
            password_file: None,
        }
    }

    /// Whether it is this one.
    pub(crate) fn is(&self, served: &Served) -> bool {
        let place = Place::Socket(self.socket.clone());
        (self.kind, &self.name, &place) == (served.kind, &served.name, &served.place)
    }

    /// Whether its account is the one that would use this database.
    pub(crate) fn is_account_of(&self, served: &Served) -> bool {
        let place = Place::Socket(self.socket.clone());
        (self.kind, &self.account, &place) == (served.kind, &served.user, &served.place)
    }

    fn document(&self) -> Value {
        json!({
            "kind": self.kind.word(),
            "socket": self.socket,
            "name": self.name,
            "account": self.account,
            "account_made": self.account_made,
            "whole": self.is_whole,
        })
    }

    fn from_document(document: &Value) -> Option<Self> {
        let text = |key: &str| document.get(key)?.as_str().map(str::to_owned);
        let kind = text("kind")?;
        let kinds = [Kind::Mysql, Kind::Postgresql];
        Some(Self {
            kind: kinds.into_iter().find(|one| one.word() == kind)?,
            socket: text("socket")?,
            name: text("name")?,
            account: text("account")?,
            account_made: document.get("account_made")?.as_bool()?,
            is_whole: document.get("whole")?.as_bool()?,
        })
    }
}

/// How a site is being removed, so that the next run does the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Removing {
    /// The name of its archive, a directory in `state`/removed.
    pub(crate) archive: String,
    pub(crate) purge: bool,
    pub(crate) with_home: bool,
    /// Whether the home's content is in the archive, or is not to be.
    pub(crate) archived: bool,
    /// Whether what was in its databases is.
    pub(crate) databases_kept: bool,
}

/// The records of an instance. Held locked: no two commands change sites at the same time.
pub(crate) struct Records {
    path: PathBuf,
    _lock: Option<Directory>,
}

impl Records {
    /// To look only.
    pub(crate) fn look(server: &Server) -> Self {
        Self {
            path: server.state.join(RECORDS),
            _lock: None,
        }
    }

    /// To change something: made where it is missing, and locked.
    pub(crate) fn open(server: &Server) -> Result<Self, Trouble> {
        let state = Directory::open(&server.state).map_err(|error| Trouble::of(&error))?;
        let directory = state.beneath(RECORDS, Uid::ROOT, Gid(0), 0o700);
        let directory = directory.map_err(|error| Trouble::of(&error))?;
        if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err() {
            output::error("hostel: waiting for another 'hostel site' that changes something");
            flock(&directory, FlockOperation::LockExclusive)
                .map_err(io::Error::from)
                .map_err(Trouble::at("lock", directory.path()))?;
        }
        Ok(Self {
            path: server.state.join(RECORDS),
            _lock: Some(directory),
        })
    }

    /// Whether some command is changing sites right now.
    pub(crate) fn are_in_use(server: &Server) -> bool {
        let opened = File::open(server.state.join(RECORDS));
        opened.is_ok_and(|directory| {
            flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err()
        })
    }

    /// The record of a site, if there is one.
    pub(crate) fn of(&self, site: &str) -> Result<Option<Record>, Trouble> {
        let path = self.file(site);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Trouble::at("read", &path)(error)),
        };
        let document: Value = serde_json::from_slice(&text)
            .map_err(io::Error::from)
            .map_err(Trouble::at("read", &path))?;
        Ok(Some(Record::from_document(&document)))
    }

    /// All sites of which there is a record.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let name = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let name = name.strip_suffix(".json")?;
            (!name.starts_with('.')).then(|| name.to_owned())
        };
        let mut names: Vec<String> = entries.filter_map(name).collect();
        names.sort();
        names
    }

    pub(crate) fn write(&self, site: &str, record: &Record) -> Result<(), Trouble> {
        let text = format!("{:#}\n", record.document());
        replace(&self.file(site), text.as_bytes(), 0o600)
    }

    pub(crate) fn remove(&self, site: &str) -> Result<(), Trouble> {
        let path = self.file(site);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Trouble::at("remove", &path)(error)),
        }
    }

    fn file(&self, site: &str) -> PathBuf {
        self.path.join(format!("{site}.json"))
    }
}

impl Record {
    /// A database on record was made.
    pub(crate) fn has_made(&mut self, served: &Served) {
        let mut made = self.databases_made.iter_mut();
        if let Some(made) = made.find(|made| made.is(served)) {
            made.is_whole = true;
        }
    }

    fn document(&self) -> Value {
        json!({
            "user_made": self.user_made,
            "home_made": self.home_made,
            "copy_of": self.copy_of,
            "copied": self.copied,
            "renaming": self.renaming,
            "restoring": self.restoring,
            "removing": self.removing.as_ref().map(|removing| json!({
                "archive": removing.archive,
                "purge": removing.purge,
                "with_home": removing.with_home,
                "archived": removing.archived,
                "databases_kept": removing.databases_kept,
            })),
            "databases_made": self.databases_made.iter().map(MadeDatabase::document).collect::<Vec<_>>(),
            "databases_copied": self.databases_copied,
        })
    }

    fn from_document(document: &Value) -> Self {
        let text = |key: &str| document.get(key)?.as_str().map(str::to_owned);
        let removing = document.get("removing").filter(|value| value.is_object());
        Self {
            user_made: text("user_made"),
            home_made: text("home_made"),
            copy_of: text("copy_of"),
            copied: document["copied"].as_bool().unwrap_or(false),
            renaming: text("renaming"),
            restoring: document["restoring"].as_bool(),
            removing: removing.map(|removing| Removing {
                archive: removing["archive"].as_str().unwrap_or_default().to_owned(),
                purge: removing["purge"].as_bool().unwrap_or(false),
                with_home: removing["with_home"].as_bool().unwrap_or(false),
                archived: removing["archived"].as_bool().unwrap_or(false),
                databases_kept: removing["databases_kept"].as_bool().unwrap_or(false),
            }),
            databases_made: document["databases_made"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(MadeDatabase::from_document)
                .collect(),
            databases_copied: document["databases_copied"]
                .as_u64()
                .and_then(|count| usize::try_from(count).ok())
                .unwrap_or(0),
        }
    }
}

/// Put a file of root's in its place all at once.
pub(crate) fn replace(path: &Path, text: &[u8], mode: u32) -> Result<(), Trouble> {
    whole_file::replace(path, text, mode).map_err(Trouble::at("write", path))
}

const RECORDS: &str = "records";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives() {
        let record = Record {
            user_made: Some("blog".into()),
            home_made: Some("/srv/blog".into()),
            copy_of: Some("shop".into()),
            copied: true,
            renaming: Some("news".into()),
            restoring: Some(true),
            removing: Some(Removing {
                archive: "blog-1".into(),
                purge: true,
                with_home: true,
                archived: true,
                databases_kept: true,
            }),
            databases_made: vec![MadeDatabase {
                kind: Kind::Postgresql,
                socket: "/run/postgresql/.s.PGSQL.5432".into(),
                name: "blog".into(),
                account: "b".into(),
                account_made: true,
                is_whole: true,
            }],
            databases_copied: 1,
        };
        assert_eq!(Record::from_document(&record.document()), record);
        let none = Record::default();
        assert_eq!(Record::from_document(&none.document()), none);
    }
}
