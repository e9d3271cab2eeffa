//! Databases that sites' files name, for backup, restore and copies: root's side.
//!
//! Run as root, which asks nothing of a database on a site's behalf: that is done by a child in the site's sandbox, as the site's user and
//! with the site's own password (`work`), by Debian's own programs. Root gives it one descriptor, to which the dump is written or from
//! which it is read, and reads no byte of it.
//!
//! - `command`: `hostel database`. `asked`: which database, as the child is told. `mysql`, `postgresql`, `sqlite`: how each is dumped, emptied and loaded; `definer`: what a
//!   dump of MariaDB's says of who made what. `copies`: what a copy of a site has instead. `admin`: databases and accounts are made and removed.

pub(super) mod admin;
mod asked;
pub(crate) mod command;
pub(super) mod copies;
mod definer;
mod mysql;
mod postgresql;
mod sqlite;
mod work;

use std::os::fd::{AsFd, OwnedFd};

use hostel_config::database::Database;
use hostel_config::{Server, Site};

pub(super) use work::work;

use super::options::Work;
use super::report::Report;
use super::said::Said;
use super::sandbox::{self, Worker};
use super::trouble::Trouble;
use crate::inside::Inside;

/// What a child has seen of a database that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Tables, views and the like.
    pub(crate) objects: u64,
    /// How much room it takes, as far as the server knows.
    pub(crate) bytes: u64,
}

/// Dump the database of this number in the site's file, counted from 0, to a descriptor; how many bytes that were. Done only if the dump is whole.
///
/// # Errors
/// What the child or a program of the database's said; what was written so far is then worth nothing.
pub(crate) fn dump(
    inside: &Inside,
    (server, site): (&Server, &Site),
    number: usize,
    to: OwnedFd,
    report: &Report,
) -> Result<u64, Trouble> {
    let worker = start(
        inside,
        (server, site),
        number,
        Work::DumpDatabase,
        Some(&to),
    )?;
    drop(to);
    match finish(worker, report)? {
        Said::Done { bytes, .. } => Ok(bytes),
        _ => Err(Trouble::new("the dump was not made")),
    }
}

/// Empty the database of this number, and load what [`dump`] has written.
///
/// # Errors
/// As with [`dump`]; the database then has what was loaded so far, and the next run begins anew.
pub(crate) fn load(
    inside: &Inside,
    (server, site): (&Server, &Site),
    number: usize,
    from: OwnedFd,
    report: &Report,
) -> Result<(), Trouble> {
    let worker = start(
        inside,
        (server, site),
        number,
        Work::LoadDatabase,
        Some(&from),
    )?;
    drop(from);
    finish(worker, report).map(drop)
}

/// Whether the database of this number answers the site, and what is in it.
///
/// # Errors
/// Why it does not.
pub(crate) fn look(
    inside: &Inside,
    (server, site): (&Server, &Site),
    number: usize,
    report: &Report,
) -> Result<Seen, Trouble> {
    let worker = start(inside, (server, site), number, Work::LookAtDatabase, None)?;
    match finish(worker, report)? {
        Said::Database { objects, bytes } => Ok(Seen { objects, bytes }),
        _ => Err(Trouble::new("what is in the database was not said")),
    }
}

/// Start a child for one of the works above; for a copy two of them have the ends of one pipe.
pub(crate) fn start(
    inside: &Inside,
    (server, site): (&Server, &Site),
    number: usize,
    work: Work,
    end: Option<&OwnedFd>,
) -> Result<Worker, Trouble> {
    let database = of_number(server, site, number)?;
    let question = asked::encode(database);
    let end = end.map(AsFd::as_fd);
    let about = database.to_string();
    Worker::start_asked(inside, server, site, (work, &about), (&question, end))
}

fn finish(worker: Worker, report: &Report) -> Result<Said, Trouble> {
    let mut said = sandbox::finish(&mut [worker], report)?;
    said.pop()
        .ok_or_else(|| Trouble::new("nothing was said of the database"))
}

fn of_number<'s>(server: &'s Server, site: &Site, number: usize) -> Result<&'s Database, Trouble> {
    let all = server.databases_of(&site.name);
    all.get(number).ok_or_else(|| {
        Trouble::new(format!(
            "the site '{}' has {} databases in its file, not {}",
            site.name,
            all.len(),
            number + 1
        ))
    })
}
