//! MariaDB and MySQL, by `mariadb-dump` and `mariadb`.
//!
//! A load first empties the database, object by object, since a user may have rights on a database that it could not make anew; then the
//! dump is given to the client, which is kept from taking anything in it for a command of its own. It is the server that
//! says what this user may.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;

use hostel_config::database::Place;

use super::definer::Undefined;
use super::work::{Client, Program, failed, read_more};
use crate::site::work::Inside;

pub(super) fn dump(inside: &mut Inside, client: &Client<'_>, to: File) -> io::Result<u64> {
    let mut arguments = connection(client);
    arguments.extend(DUMP.map(str::to_owned));
    arguments.extend(["--".to_owned(), client.served.name.clone()]);
    let streams = (Stdio::null(), Stdio::piped());
    let environment = client.environment(PASSWORD);
    let program = Program::start(of(DUMPERS), &arguments, &environment, streams)?;
    let mut end = End::default();
    let bytes = program.pass_on(inside, to, |part| end.see(part))?;
    if !end.is_whole() {
        return Err(failed(
            "mariadb-dump ended without having completed the dump",
        ));
    }
    Ok(bytes)
}

pub(super) fn load(inside: &mut Inside, client: &Client<'_>, mut from: File) -> io::Result<u64> {
    empty(inside, client)?;
    let program = statements(client, &LOAD, Stdio::null())?;
    let (mut end, mut undefined) = (End::default(), Undefined::default());
    let bytes = program.feed(inside, |to| {
        let part = read_more(&mut from)?;
        end.see(&part);
        if part.is_empty() {
            undefined.finish(to);
            return Ok(false);
        }
        undefined.take(&part, to);
        Ok(true)
    })?;
    if !end.is_whole() {
        return Err(failed(
            "the dump is not whole, it has no end: the database has only a part of it now",
        ));
    }
    Ok(bytes)
}

/// How many tables and the like there are, and how large they are.
pub(super) fn look(inside: &mut Inside, client: &Client<'_>) -> io::Result<String> {
    let text = ask(inside, client, LOOK)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Remove everything in the database, but not itself.
fn empty(inside: &mut Inside, client: &Client<'_>) -> io::Result<()> {
    for _ in 0..ATTEMPTS_MAX {
        let found = ask(inside, client, FIND)?;
        if found.is_empty() {
            return Ok(());
        }
        let mut rest = [BEFORE_DROP.as_bytes(), &found].concat();
        let program = statements(client, &[], Stdio::null())?;
        program.feed(inside, |to| {
            to.append(&mut rest);
            Ok(false)
        })?;
    }
    Err(failed(
        "the database is not empty: something makes tables in it meanwhile",
    ))
}

fn ask(inside: &mut Inside, client: &Client<'_>, question: &str) -> io::Result<Vec<u8>> {
    let mut arguments = connection(client);
    arguments.extend(ANSWERS.map(str::to_owned));
    arguments.extend([
        format!("--execute={question}"),
        format!("--database={}", client.served.name),
    ]);
    let streams = (Stdio::null(), Stdio::piped());
    let environment = client.environment(PASSWORD);
    Program::start(of(CLIENTS), &arguments, &environment, streams)?.answer(inside)
}

/// A client that takes statements.
fn statements(client: &Client<'_>, more: &[&str], output: Stdio) -> io::Result<Program> {
    let mut arguments = connection(client);
    arguments.extend(["--batch", "--binary-mode"].map(str::to_owned));
    arguments.extend(more.iter().map(|&word| word.to_owned()));
    arguments.push(format!("--database={}", client.served.name));
    let environment = client.environment(PASSWORD);
    Program::start(
        of(CLIENTS),
        &arguments,
        &environment,
        (Stdio::piped(), output),
    )
}

/// What every one of these programs is told; the first word has to be.
fn connection(client: &Client<'_>) -> Vec<String> {
    let served = client.served;
    let mut arguments = vec![
        "--no-defaults".to_owned(),
        format!("--user={}", served.user),
    ];
    match &served.place {
        Place::Socket(path) => {
            arguments.extend(["--protocol=socket".to_owned(), format!("--socket={path}")]);
        }
        Place::Address(address) => arguments.extend([
            "--protocol=tcp".to_owned(),
            format!("--host={}", address.ip()),
            format!("--port={}", address.port()),
        ]),
    }
    arguments
        .extend(["--default-character-set=utf8mb4", "--max-allowed-packet=1G"].map(str::to_owned));
    arguments
}

/// The first of these that is there, or else the first.
fn of(programs: [&'static str; 2]) -> &'static str {
    let [first, second] = programs;
    match Path::new(first).exists() || !Path::new(second).exists() {
        true => first,
        false => second,
    }
}

/// Whether a dump has its end: sees the last bytes of a stream.
#[derive(Debug, Default)]
struct End(Vec<u8>);

impl End {
    fn see(&mut self, part: &[u8]) {
        self.0.extend_from_slice(part);
        let surplus = self.0.len().saturating_sub(LAST_BYTES);
        self.0.drain(..surplus);
    }

    fn is_whole(&self) -> bool {
        let mut lines = self.0.split(|byte| *byte == b'\n');
        lines.any(|line| line.starts_with(COMPLETED))
    }
}

const DUMPERS: [&str; 2] = ["/usr/bin/mariadb-dump", "/usr/bin/mysqldump"];
const CLIENTS: [&str; 2] = ["/usr/bin/mariadb", "/usr/bin/mysql"];
const PASSWORD: &str = "MYSQL_PWD";
const DUMP: [&str; 8] = [
    "--single-transaction",
    "--quick",
    "--routines",
    "--triggers",
    "--events",
    "--hex-blob",
    "--no-tablespaces",
    "--skip-dump-date",
];
/// Without commands of the client's own, neither by name nor with a backslash, and without files of this side. Older clients have no such mode.
const LOAD: [&str; 2] = ["--loose-sandbox", "--disable-local-infile"];
const ANSWERS: [&str; 3] = ["--batch", "--raw", "--skip-column-names"];
const COMPLETED: &[u8] = b"-- Dump completed";
const LAST_BYTES: usize = 256;
const ATTEMPTS_MAX: usize = 3;
const BEFORE_DROP: &str = "SET SESSION sql_mode='', foreign_key_checks=0;\n";
/// A statement for each thing that is to go. Events first, so that none begins meanwhile.
const FIND: &str = "SELECT CONCAT('DROP EVENT IF EXISTS `',REPLACE(EVENT_NAME,'`','``'),'`;') \
    FROM information_schema.EVENTS WHERE EVENT_SCHEMA=DATABASE() \
    UNION ALL SELECT CONCAT('DROP ',CASE TABLE_TYPE WHEN 'VIEW' THEN 'VIEW' WHEN 'SEQUENCE' THEN 'SEQUENCE' ELSE 'TABLE' END,\
    ' IF EXISTS `',REPLACE(TABLE_NAME,'`','``'),'`;') FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() \
    UNION ALL SELECT CONCAT('DROP ',ROUTINE_TYPE,' IF EXISTS `',REPLACE(ROUTINE_NAME,'`','``'),'`;') \
    FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=DATABASE() AND ROUTINE_TYPE<>'PACKAGE BODY'";
const LOOK: &str = "SELECT COUNT(*), COALESCE(SUM(DATA_LENGTH+INDEX_LENGTH),0) \
    FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE()";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_without_its_end_is_not_whole() {
        let seen = |parts: &[&str]| {
            let mut end = End::default();
            for part in parts {
                end.see(part.as_bytes());
            }
            end.is_whole()
        };
        let filler = "x".repeat(10_000);
        assert!(seen(&[&filler, "\n-- Dump comp", "leted\n"]));
        assert!(seen(&["\n-- Dump completed on 2027-01-01  1:02:03\n"]));
        assert!(!seen(&["\n-- Dump completed\n", &filler]));
        assert!(!seen(&["INSERT INTO x VALUES ('-- Dump completed"]));
        assert!(!seen(&[]));
    }
}
