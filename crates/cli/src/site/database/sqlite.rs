//! SQLite, by `sqlite3`: its own copying, within one transaction, so that a site that writes meanwhile waits or is not seen.
//!
//! Files are opened by `sqlite3` as the site's user; whatever is at their paths is the site's own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::work::{Program, Temporary, failed, gone, read_more};
use crate::site::work::Inside;

pub(super) fn dump(inside: &mut Inside, file: &str, mut to: File) -> io::Result<u64> {
    must_be_file(file)?;
    let copy = Temporary::new();
    // A transaction that has begun to read sees one state of the database, and copying goes on in it.
    let script = format!(
        "BEGIN;\nSELECT count(*) FROM sqlite_schema;\n.backup main {}\nCOMMIT;\n",
        copy.path()
    );
    run(inside, file, &script)?;
    check(inside, copy.path())?;
    let mut from = File::open(copy.path())?;
    let mut bytes = 0;
    loop {
        let part = read_more(&mut from)?;
        if part.is_empty() {
            return Ok(bytes);
        }
        to.write_all(&part)
            .map_err(|error| failed(format!("cannot write the dump: {error}")))?;
        bytes += part.len() as u64;
        inside.tell(bytes);
    }
}

pub(super) fn load(inside: &mut Inside, file: &str, mut from: File) -> io::Result<u64> {
    let path = Path::new(file);
    if let Some(directory) = path.parent() {
        // Nothing of this process's own takes bits away.
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o755).create(directory)?;
    }
    // In the same directory, so that it can take the other's place at once.
    let new = PathBuf::from(format!("{file}{NEW}"));
    gone(fs::remove_file(&new))?;
    let received = receive(inside, &mut from, &new).and_then(|bytes| {
        check(inside, &new.to_string_lossy())?;
        put_in_place(inside, path, &new)?;
        Ok(bytes)
    });
    gone(fs::remove_file(&new))?;
    received
}

fn receive(inside: &mut Inside, from: &mut File, new: &Path) -> io::Result<u64> {
    let failed_at = |error: io::Error| failed(format!("{}: {error}", new.display()));
    let mut options = File::options();
    let options = options.write(true).create_new(true).mode(0o600);
    let mut to = options.open(new).map_err(failed_at)?;
    let mut bytes = 0;
    loop {
        let part = read_more(from)?;
        if part.is_empty() {
            to.sync_all().map_err(failed_at)?;
            return Ok(bytes);
        }
        to.write_all(&part).map_err(failed_at)?;
        bytes += part.len() as u64;
        inside.tell(bytes);
    }
}

/// Give the database its new content in one transaction of SQLite's, which processes that have it open see too. What is no database any
/// more, or has another page size, is replaced as a file.
fn put_in_place(inside: &mut Inside, path: &Path, new: &Path) -> io::Result<()> {
    let file = path.to_string_lossy();
    let is_there = fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0);
    // A name in quotes of the shell's: the home's path may have blanks.
    let script = format!(".restore main {}\n", quoted(&new.to_string_lossy())?);
    if is_there {
        match run(inside, &file, &script) {
            Ok(_) if check(inside, &file).is_ok() => return Ok(()),
            // To take the file away from who has it open would harm what comes in its place.
            Err(error) if error.to_string().contains("locked") => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    if let Ok(metadata) = fs::metadata(path) {
        fs::set_permissions(new, metadata.permissions())?;
    }
    // What belongs to the old file would be taken for the new one's.
    for ending in ["-wal", "-shm", "-journal"] {
        gone(fs::remove_file(format!("{file}{ending}")))?;
    }
    fs::rename(new, path)
}

/// How many tables and the like there are, and how large it is.
pub(super) fn look(inside: &mut Inside, file: &str) -> io::Result<String> {
    must_be_file(file)?;
    let bytes = fs::metadata(file)?.len();
    let text = run(inside, file, "SELECT count(*) FROM sqlite_schema;\n")?;
    Ok(format!("{} {bytes}", text.trim()))
}

/// That SQLite finds nothing wrong with it.
fn check(inside: &mut Inside, file: &str) -> io::Result<()> {
    let said = run(inside, file, "PRAGMA quick_check(1);\n")?;
    match said.trim() {
        "ok" => Ok(()),
        said => Err(failed(format!(
            "the copy of the database is damaged: {said}"
        ))),
    }
}

fn run(inside: &mut Inside, file: &str, script: &str) -> io::Result<String> {
    let arguments = ["-batch", "-bail", "-noheader", "-list", "-cmd"].map(str::to_owned);
    let mut arguments = Vec::from(arguments);
    arguments.extend([format!(".timeout {BUSY_MILLISECONDS}"), file.to_owned()]);
    let environment = [("HOME", "/nonexistent")];
    let streams = (Stdio::piped(), Stdio::piped());
    let mut program = Program::start(SQLITE, &arguments, &environment, streams)?;
    program.say(script)?;
    let text = program.answer(inside)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// `sqlite3` would make one.
fn must_be_file(file: &str) -> io::Result<()> {
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(failed(format!("{file} is not a file"))),
        Err(error) => Err(failed(format!("{file}: {error}"))),
    }
}

fn quoted(text: &str) -> io::Result<String> {
    if text.contains(['"', '\\', '\n']) {
        return Err(failed(format!(
            "{text} has letters that sqlite3 takes for its own"
        )));
    }
    Ok(format!("\"{text}\""))
}

const SQLITE: &str = "/usr/bin/sqlite3";
/// How long a lock of the site's is waited for.
const BUSY_MILLISECONDS: u32 = 60_000;
const NEW: &str = ".hostel-new";
