//! PostgreSQL, by `pg_dump`, `pg_restore` and `psql` of the newest version that is installed.
//!
//! A dump is an archive of `pg_dump`'s own format, which has no commands for a client in it, as scripts for `psql` do. A load first empties the
//! database, but for what belongs to extensions, which only a superuser could make again; then the archive is restored in one transaction.

use std::fs::{self, File};
use std::io;
use std::process::Stdio;

use hostel_config::database::{Place, postgresql_port};

use super::work::{Client, Program, Temporary, failed, read_more};
use crate::site::work::Inside;

pub(super) fn dump(inside: &mut Inside, client: &Client<'_>, to: File) -> io::Result<u64> {
    let mut arguments = connection(client);
    arguments.extend(DUMP.map(str::to_owned));
    let streams = (Stdio::null(), Stdio::piped());
    let environment = client.environment(PASSWORD);
    Program::start(&newest("pg_dump")?, &arguments, &environment, streams)?.pass_on(
        inside,
        to,
        |_| (),
    )
}

pub(super) fn load(inside: &mut Inside, client: &Client<'_>, mut from: File) -> io::Result<u64> {
    // It is known to be an archive before anything is removed.
    let (mut first, wanted) = contents(inside, &mut from)?;
    ask(inside, client, EMPTY)?;
    let mut arguments = connection(client);
    arguments.extend(LOAD.map(str::to_owned));
    let list = Temporary::new();
    fs::write(list.path(), wanted)?;
    arguments.push(format!("--use-list={}", list.path()));
    let streams = (Stdio::piped(), Stdio::null());
    let environment = client.environment(PASSWORD);
    let program = Program::start(&newest("pg_restore")?, &arguments, &environment, streams)?;
    program.feed(inside, |to| {
        if !first.is_empty() {
            to.append(&mut first);
            return Ok(true);
        }
        to.append(&mut read_more(&mut from)?);
        Ok(!to.is_empty())
    })
}

/// The beginning of an archive, and what of it is to be restored: all that it lists but what only the owner of an extension may do.
fn contents(inside: &mut Inside, from: &mut File) -> io::Result<(Vec<u8>, String)> {
    let mut first = Vec::new();
    let mut enough = LIST_BYTES_MIN;
    loop {
        let is_end = read_until(from, &mut first, enough)?;
        if !first.starts_with(MAGIC) {
            return Err(failed("this is not a dump of PostgreSQL's own format"));
        }
        let file = Temporary::new();
        fs::write(file.path(), &first)?;
        let streams = (File::open(file.path())?.into(), Stdio::piped());
        let program = Program::start(&newest("pg_restore")?, &["--list".to_owned()], &[], streams)?;
        match program.answer(inside) {
            Ok(list) => return Ok((first, without_comments(&String::from_utf8_lossy(&list)))),
            // The list may be longer than what was read.
            Err(error) if is_end || enough >= LIST_BYTES_MAX => return Err(error),
            Err(_) => enough *= 4,
        }
    }
}

/// Read until there is so much; whether that is all.
fn read_until(from: &mut File, to: &mut Vec<u8>, enough: usize) -> io::Result<bool> {
    while to.len() < enough {
        let part = read_more(from)?;
        if part.is_empty() {
            return Ok(true);
        }
        to.extend(part);
    }
    Ok(false)
}

/// Extensions stay when the database is emptied, and with them what is said of them.
fn without_comments(list: &str) -> String {
    let lines = list.lines().map(|line| match line.contains(OF_EXTENSION) {
        true => format!(";{line}\n"),
        false => format!("{line}\n"),
    });
    lines.collect()
}

/// How many tables and the like there are, and how large the database is.
pub(super) fn look(inside: &mut Inside, client: &Client<'_>) -> io::Result<String> {
    ask(inside, client, LOOK)
}

fn ask(inside: &mut Inside, client: &Client<'_>, question: &str) -> io::Result<String> {
    let mut arguments = connection(client);
    arguments.extend(ASK.map(str::to_owned));
    arguments.push(format!("--command={question}"));
    let streams = (Stdio::null(), Stdio::piped());
    let environment = client.environment(PASSWORD);
    let program = Program::start(&newest("psql")?, &arguments, &environment, streams)?;
    let text = program.answer(inside)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn connection(client: &Client<'_>) -> Vec<String> {
    let served = client.served;
    let (host, port) = match &served.place {
        Place::Socket(path) => {
            let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
            // The configuration has no other name.
            let port = postgresql_port(file).unwrap_or_default();
            (directory.to_owned(), port)
        }
        Place::Address(address) => (address.ip().to_string(), address.port()),
    };
    vec![
        format!("--host={host}"),
        format!("--port={port}"),
        format!("--username={}", served.user),
        format!("--dbname={}", served.name),
        "--no-password".to_owned(),
    ]
}

/// The program of the newest version: it dumps older servers too.
pub(super) fn newest(name: &str) -> io::Result<String> {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let versions = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let path = format!("{VERSIONS}/{version}/bin/{name}");
        fs::metadata(&path).ok().map(|_| (version, path))
    });
    let newest = versions.max().map(|(_, path)| path);
    newest.ok_or_else(|| {
        failed(format!(
            "there is no {name} in {VERSIONS}: install postgresql-client"
        ))
    })
}

const VERSIONS: &str = "/usr/lib/postgresql";
const PASSWORD: &str = "PGPASSWORD";
/// What an archive begins with.
const MAGIC: &[u8] = b"PGDMP";
/// As `pg_restore --list` has it.
const OF_EXTENSION: &str = " COMMENT - EXTENSION ";
/// The list of most archives is shorter, and of all that were ever made.
const LIST_BYTES_MIN: usize = 1024 * 1024;
const LIST_BYTES_MAX: usize = 256 * 1024 * 1024;
const DUMP: [&str; 7] = [
    "--format=custom",
    // Whoever keeps dumps compresses them, and finds what two have in common.
    "--compress=0",
    "--no-owner",
    "--no-privileges",
    "--no-publications",
    "--no-subscriptions",
    "--no-security-labels",
];
const LOAD: [&str; 5] = [
    "--no-owner",
    "--no-privileges",
    "--no-tablespaces",
    "--exit-on-error",
    "--single-transaction",
];
const ASK: [&str; 6] = [
    "--no-psqlrc",
    "--quiet",
    "--tuples-only",
    "--no-align",
    "--field-separator= ",
    "--set=ON_ERROR_STOP=1",
];
const LOOK: &str = "SELECT count(*), pg_catalog.pg_database_size(pg_catalog.current_database()) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r','p','v','m','f','S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
/// Everything but the system's own and what belongs to extensions. One statement, and so all of it or nothing.
const EMPTY: &str = include_str!("empty.sql");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_on_extensions_are_not_restored() {
        let list = ";\n; Archive\n2; 3079 16385 EXTENSION - pg_trgm \n3353; 0 0 COMMENT - EXTENSION pg_trgm \n\
                    3354; 0 0 COMMENT public TABLE t one\n";
        let expected = list.replace("3353;", ";3353;");
        assert_eq!(without_comments(list), expected);
    }
}
