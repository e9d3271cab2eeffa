//! What is there of what a site must have.
//!
//! Run as root, which looks at users, at the home directory itself, and at what is root's. What is in the home is said by a
//! child in the site's sandbox, where everything that a sandbox needs is there.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
    let is_ready = found.account.as_ref().is_some_and(|one| one.has_group)
        && matches!(found.home, Home::There { uid, .. } if uid == site.user.uid || uid == Uid::ROOT)
        && found.has_state;
    if is_ready && !is_planned(site.user.uid) {
        found.content = Some(look(host, site, inside, report)?);
    }
    Ok(found)
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
    let uid = account.as_ref().map(|account| account.user.uid.0);
    let gid = account.as_ref().map(|account| account.user.gid.0);
    let state = expect::state(server, &site.name);
    let is_own = |name: &&str| {
        let metadata = state.join(name).symlink_metadata();
        metadata.is_ok_and(|metadata| metadata.is_dir() && Some(metadata.uid()) == uid)
    };
    let logs = expect::logs(server, &site.name).symlink_metadata();
    Ok(Found {
        is_group_taken: account.is_none() && accounts::is_group(&site.user.name),
        others_of_user: others.iter().map(|(name, _)| name.clone()).collect(),
        is_home_shared: others.iter().any(|(_, home)| *home == site.home),
        home,
        has_state: OF_STATE.iter().all(is_own),
        has_logs: logs.is_ok_and(|logs| logs.uid() == 0 && Some(logs.gid()) == gid),
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
fn look(
    host: &Host,
    site: &Site,
    inside: &mut Option<Inside>,
    report: &Report,
) -> Result<Content, Trouble> {
    let inside = open(inside, &host.server)?;
    let work = (Work::Look, false);
    let mut workers = [Worker::start(inside, &host.server, site, work, None)?];
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
