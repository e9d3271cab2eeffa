//! What is there of what a site must have.
//!
//! Run as root, which looks at users, at the home directory itself, and at what is root's. What is in the home is said by a
//! child in the site's sandbox, where everything that a sandbox needs is there.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hostel_config::database::Database;
use hostel_config::{Server, Site};
use hostel_sys::cred::{Gid, Uid};
use hostel_sys::home::look_at_home;

use super::accounts::{self, Account};
use super::database::admin::{self, Present};
use super::expect::{self, Expected, OF_STATE};
use super::host::{FileState, Host, MayMiss, is_planned};
use super::options::Work;
use super::record::{Record, Records};
use super::report::Report;
use super::said::{Root, Said};
use super::sandbox::{self, Worker};
use super::trouble::Trouble;
use crate::inside::Inside;

/// A home, as root may look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Home {
    Missing,
    There { uid: Uid, gid: Gid, mode: u32 },
    Refused(Trouble),
}

/// Something that is there and not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) path: PathBuf,
    /// Who is to be its owner, where somebody else is.
    pub(crate) owner: Option<Uid>,
    pub(crate) group: Option<Gid>,
    /// What is to be taken from its mode.
    pub(crate) bits: u32,
    /// What is wrong, in words.
    pub(crate) faults: String,
}

impl Wrong {
    /// If it has another owner or group than it must have, or one of these bits. What is not there is not wrong.
    pub(crate) fn of(path: &Path, owner: Uid, group: Option<Gid>, forbidden: u32) -> Option<Self> {
        let found = path.symlink_metadata().ok()?;
        let mode = found.mode() & 0o7777;
        let wrong = Self {
            path: path.to_owned(),
            owner: Some(owner).filter(|owner| owner.0 != found.uid()),
            group: group.filter(|group| group.0 != found.gid()),
            bits: mode & forbidden,
            faults: String::new(),
        };
        let mut faults = Vec::new();
        if let Some(owner) = wrong.owner {
            faults.push(format!(
                "belongs to user {} and not to {owner}",
                found.uid()
            ));
        }
        if let Some(group) = wrong.group {
            faults.push(format!(
                "belongs to group {} and not to {group}",
                found.gid()
            ));
        }
        if wrong.bits != 0 {
            faults.push(format!("has mode {mode:04o}"));
        }
        let faults = faults.join(" and ");
        (!faults.is_empty()).then_some(Self { faults, ..wrong })
    }
}

/// What a child has seen in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) root: Root,
    pub(crate) entries: u64,
    pub(crate) foreign: u64,
    pub(crate) foreign_uid: u32,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) account: Option<Account>,
    /// A group of the user's name, where there is no such user.
    pub(crate) is_group_taken: bool,
    /// Other sites that run as this user, disabled ones too.
    pub(crate) others_of_user: Vec<String>,
    /// Whether another site has the same home.
    pub(crate) is_home_shared: bool,
    pub(crate) home: Home,
    pub(crate) has_state: bool,
    pub(crate) has_logs: bool,
    /// Of state and logs.
    pub(crate) wrong: Vec<Wrong>,
    pub(crate) file: Option<(FileState, String)>,
    /// `None` where nothing could be looked at yet.
    pub(crate) content: Option<Content>,
    pub(crate) record: Record,
    /// Of each database that is expected; a file is never looked at.
    pub(crate) databases: Vec<Present>,
}

/// Look at everything that `expected` names.
pub(crate) fn inspect(
    host: &Host,
    records: &Records,
    expected: &Expected,
    inside: &mut Option<Inside>,
    report: &Report,
) -> Result<Found, Trouble> {
    let site = &*expected.site;
    let mut found = outside(host, records, site)?;
    for copied in &expected.databases {
        found.databases.push(match &copied.database {
            Database::Served(served) => admin::look(served)?,
            Database::Sqlite(_) => Present {
                database: true,
                account: true,
            },
        });
    }
    if found.has_a_sandbox(site) {
        let inside = open(inside, &host.server)?;
        found.content = Some(look(&host.server, site, inside, report)?);
    }
    Ok(found)
}

impl Found {
    /// Whether all is there that a sandbox needs.
    pub(crate) fn has_a_sandbox(&self, site: &Site) -> bool {
        self.account.as_ref().is_some_and(|one| one.has_group)
            && matches!(self.home, Home::There { uid, .. } if uid == site.user.uid || uid == Uid::ROOT)
            && self.has_state
            && self.wrong.iter().all(|wrong| wrong.owner.is_none())
            && !is_planned(site.user.uid)
    }
}

/// All but what is in the home.
pub(crate) fn outside(host: &Host, records: &Records, site: &Site) -> Result<Found, Trouble> {
    let server = &host.server;
    let account = Account::find(&site.user.name)?;
    let others = others(host, site);
    let home = match look_at_home(Path::new(&site.home), &host.reserved()) {
        Ok(None) => Home::Missing,
        Ok(Some((uid, gid, mode))) => Home::There { uid, gid, mode },
        Err(error) => Home::Refused(Trouble::of(&error)),
    };
    let is_there = |path: PathBuf| path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let state = expect::state(server, &site.name);
    // By the numbers that its user has by now: those of a user who was made meanwhile are not in `site` yet.
    let places = match &account {
        Some(account) => expect::places(server, &site.name, &account.user),
        None => Vec::new(),
    };
    let wrong = places
        .iter()
        .filter_map(|one| Wrong::of(&one.path, one.owner, one.group, one.forbidden));
    Ok(Found {
        is_group_taken: account.is_none() && accounts::is_group(&site.user.name),
        others_of_user: others.iter().map(|(name, _)| name.clone()).collect(),
        is_home_shared: others.iter().any(|(_, home)| *home == site.home),
        home,
        has_state: OF_STATE.iter().all(|name| is_there(state.join(name))),
        has_logs: is_there(expect::logs(server, &site.name)),
        wrong: wrong.collect(),
        file: host.find(&site.name)?,
        content: None,
        databases: Vec::new(),
        record: records.of(&site.name)?.unwrap_or_default(),
        account,
    })
}

/// Other sites of the same user, each with its home.
fn others(host: &Host, site: &Site) -> Vec<(String, String)> {
    let mut others: Vec<(String, String)> = Vec::new();
    for other in &host.server.sites {
        if other.user.name == site.user.name && other.name != site.name {
            others.push((other.name.clone(), other.home.clone()));
        }
    }
    for (name, state) in host.stopped() {
        if name == site.name {
            continue;
        }
        let text = hostel_config::read_text(&host.file(&name, state)).unwrap_or_default();
        match host.alone(MayMiss::Everybody, &name, &text) {
            Ok(other) if other.user.name == site.user.name => {
                others.push((name, other.home.clone()));
            }
            Ok(_) => {}
            // What it says is not known: its name's user and home are spared.
            Err(_) if name == site.user.name => others.push((name, site.home.clone())),
            Err(_) => {}
        }
    }
    others
}

/// What is in the home.
pub(crate) fn look(
    server: &Server,
    site: &Site,
    inside: &Inside,
    report: &Report,
) -> Result<Content, Trouble> {
    let work = (Work::Look, false);
    let mut workers = [Worker::start(inside, server, site, work, None)?];
    let said = sandbox::finish(&mut workers, report)?;
    match said[..] {
        [
            Said::Looked {
                root,
                entries,
                foreign,
                foreign_uid,
            },
        ] => Ok(Content {
            root,
            entries,
            foreign,
            foreign_uid,
        }),
        _ => Err(Trouble::new("what is in the home was not said")),
    }
}

/// What starts sandboxes, opened when it is first needed.
pub(crate) fn open<'i>(
    inside: &'i mut Option<Inside>,
    server: &Server,
) -> Result<&'i Inside, Trouble> {
    match inside {
        Some(opened) => Ok(opened),
        None => {
            let opened = Inside::open(server, "site").map_err(|text| Trouble::of_text(&text))?;
            Ok(inside.insert(opened))
        }
    }
}
