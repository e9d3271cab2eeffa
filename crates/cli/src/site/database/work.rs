//! What is done with a database, by the site's own user, in the site's sandbox.
//!
//! Run as process 1 of a fresh instance of the sandbox, of which `super` is root's side. Passwords are read here, from a file that the site's user
//! can read, and reach a program of the database's by its environment, which only this user could look at. These programs find no settings
//! but those given here, neither the host's nor the site's.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{ExitStatus, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use hostel_config::database::{Database, Kind, Served};
use hostel_sys::fdpass;
use hostel_wire::view;
use rustix::fs::OFlags;

use super::{asked, mysql, postgresql, sqlite};
use crate::site::options::Work;
use crate::site::programs::Helper;
use crate::site::said::Said;
use crate::site::work::{BUFFER_BYTES, Inside, done};

/// Do one of the three works with the database that is asked about.
pub(crate) fn work(inside: &mut Inside, work: Work) -> io::Result<Said> {
    let mut buffer = vec![0; asked::BYTES_MAX];
    let received = fdpass::receive(&inside.control, &mut buffer)?;
    let bytes = buffer.get(..received.bytes).unwrap_or_default();
    let database = asked::decode(bytes).map_err(|error| failed(error.to_string()))?;
    let end = received.descriptors.into_iter().next();
    let end = || end.ok_or(io::ErrorKind::UnexpectedEof);
    match work {
        Work::DumpDatabase => dump(inside, &database, File::from(end()?)),
        Work::LoadDatabase => load(inside, &database, end()?),
        _ => look(inside, &database),
    }
}

fn dump(inside: &mut Inside, database: &Database, to: File) -> io::Result<Said> {
    let bytes = match database {
        Database::Sqlite(file) => sqlite::dump(inside, file, to)?,
        Database::Served(served) => match served.kind {
            Kind::Mysql => mysql::dump(inside, &Client::of(served)?, to)?,
            Kind::Postgresql => postgresql::dump(inside, &Client::of(served)?, to)?,
        },
    };
    Ok(done(bytes, String::new()))
}

fn load(inside: &mut Inside, database: &Database, from: OwnedFd) -> io::Result<Said> {
    let from = File::from(from);
    let bytes = match database {
        Database::Sqlite(file) => sqlite::load(inside, file, from)?,
        Database::Served(served) => match served.kind {
            Kind::Mysql => mysql::load(inside, &Client::of(served)?, from)?,
            Kind::Postgresql => postgresql::load(inside, &Client::of(served)?, from)?,
        },
    };
    Ok(done(bytes, String::new()))
}

fn look(inside: &mut Inside, database: &Database) -> io::Result<Said> {
    let text = match database {
        Database::Sqlite(file) => sqlite::look(inside, file)?,
        Database::Served(served) => match served.kind {
            Kind::Mysql => mysql::look(inside, &Client::of(served)?)?,
            Kind::Postgresql => postgresql::look(inside, &Client::of(served)?)?,
        },
    };
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(objects)), Some(Ok(bytes))) => Ok(Said::Database { objects, bytes }),
        _ => Err(failed(format!("no answer to a question: {text}"))),
    }
}

/// How a program of a server's gets in.
pub(super) struct Client<'d> {
    pub(super) served: &'d Served,
    pub(super) password: Option<String>,
}

impl<'d> Client<'d> {
    fn of(served: &'d Served) -> io::Result<Self> {
        let password = served.password_file.as_deref().map(read_password);
        Ok(Self {
            served,
            password: password.transpose()?,
        })
    }

    /// Variables that only programs of databases look at: what these would read by themselves is not there.
    pub(super) fn environment(&self, password: &'static str) -> Vec<(&'static str, &str)> {
        let mut environment = vec![
            ("HOME", NOWHERE),
            ("PGPASSFILE", NOWHERE),
            ("PGSERVICEFILE", NOWHERE),
            ("PGCONNECT_TIMEOUT", "30"),
        ];
        if let Some(text) = &self.password {
            environment.push((password, text));
        }
        environment
    }
}

/// The password in a file: all of it but the end of its line.
fn read_password(path: &str) -> io::Result<String> {
    let wrong = |why: &str| failed(format!("the password_file {path} {why}"));
    // A pipe would be waited for.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|error| failed(format!("cannot read the password_file {path}: {error}")))?;
    if !file.metadata()?.is_file() {
        return Err(wrong("is not a file"));
    }
    let mut text = String::new();
    file.take(PASSWORD_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| failed(format!("cannot read the password_file {path}: {error}")))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(wrong("is empty"));
    }
    if text.len() as u64 > PASSWORD_BYTES_MAX || password.contains(['\0', '\n', '\r']) {
        return Err(wrong("has more in it than one line with a password"));
    }
    Ok(password.to_owned())
}

/// A program at work, and how it is called where it fails.
pub(super) struct Program {
    helper: Helper,
    path: String,
}

impl Program {
    pub(super) fn start(
        path: &str,
        arguments: &[String],
        environment: &[(&str, &str)],
        (input, output): (Stdio, Stdio),
    ) -> io::Result<Self> {
        let helper = Helper::start_with(path, arguments, environment, input, output);
        let helper = helper.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => failed(format!("there is no {path}: {}", package(path))),
            _ => failed(format!("cannot start {path}: {error}")),
        })?;
        Ok(Self {
            helper,
            path: path.to_owned(),
        })
    }

    /// Its end, which must be a good one.
    pub(super) fn finish(mut self, inside: &mut Inside) -> io::Result<()> {
        let status = self.wait(inside)?;
        if status.success() {
            return Ok(());
        }
        Err(self.failure(status))
    }

    fn wait(&mut self, inside: &mut Inside) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.helper.ended()? {
                return Ok(status);
            }
            inside.tell(0);
            std::thread::sleep(crate::site::work::PAUSE);
        }
    }

    fn failure(&mut self, status: ExitStatus) -> io::Error {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        failed(format!(
            "{name} ended with {status}: {}",
            self.helper.words()
        ))
    }

    /// Pass on what it writes, to its end; `see` sees each part before. How many bytes that were.
    pub(super) fn pass_on(
        mut self,
        inside: &mut Inside,
        mut to: File,
        mut see: impl FnMut(&[u8]),
    ) -> io::Result<u64> {
        let mut from = self.helper.output().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut bytes = 0;
        loop {
            let read = from.read(&mut buffer)?;
            let part = buffer.get(..read).unwrap_or_default();
            if part.is_empty() {
                break;
            }
            see(part);
            to.write_all(part)
                .map_err(|error| failed(format!("cannot write the dump: {error}")))?;
            bytes += read as u64;
            inside.tell(bytes);
        }
        self.finish(inside)?;
        Ok(bytes)
    }

    /// A few words, which are all that it is told.
    pub(super) fn say(&mut self, words: &str) -> io::Result<()> {
        let mut to = self.helper.input().ok_or(io::ErrorKind::BrokenPipe)?;
        to.write_all(words.as_bytes())
    }

    /// What it writes, whole.
    pub(super) fn answer(mut self, inside: &mut Inside) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let from = self.helper.output().ok_or(io::ErrorKind::BrokenPipe)?;
        from.take(ANSWER_BYTES_MAX).read_to_end(&mut text)?;
        self.finish(inside)?;
        Ok(text)
    }

    /// Give it what `next` gives, until that gives nothing, and wait for its end. How many bytes that were.
    ///
    /// What it says of why it ended is better than that it did not take all.
    pub(super) fn feed(
        mut self,
        inside: &mut Inside,
        mut next: impl FnMut(&mut Vec<u8>) -> io::Result<bool>,
    ) -> io::Result<u64> {
        let mut to = self.helper.input().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut part = Vec::new();
        let mut bytes = 0;
        loop {
            part.clear();
            let goes_on = next(&mut part)?;
            if let Err(error) = to.write_all(&part) {
                let status = self.wait(inside)?;
                if status.success() {
                    return Err(error);
                }
                return Err(self.failure(status));
            }
            bytes += part.len() as u64;
            inside.tell(bytes);
            if !goes_on {
                break;
            }
        }
        drop(to);
        self.finish(inside)?;
        Ok(bytes)
    }
}

/// Up to a buffer's length more of what comes; nothing at its end.
pub(super) fn read_more(from: &mut File) -> io::Result<Vec<u8>> {
    let mut part = vec![0; BUFFER_BYTES];
    let read = from
        .read(&mut part)
        .map_err(|error| failed(format!("cannot read the dump: {error}")))?;
    part.truncate(read);
    Ok(part)
}

pub(super) fn failed(text: impl Into<String>) -> io::Error {
    io::Error::other(text.into())
}

/// A file in the site's own /tmp, which goes with this value; what a killed run leaves goes when it is old.
pub(super) struct Temporary(String);

impl Temporary {
    pub(super) fn new() -> Self {
        let moment = SystemTime::now().duration_since(UNIX_EPOCH);
        let number = moment.map_or(0, |moment| moment.as_nanos());
        Self(format!("{}/hostel-database-{number}", view::TEMPORARY))
    }

    pub(super) fn path(&self) -> &str {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may not have been made.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What is to go may be gone already.
pub(super) fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// What has a program of this path.
fn package(path: &str) -> &'static str {
    match path {
        _ if path.contains("sqlite") => "install sqlite3",
        _ if path.contains("pg") || path.contains("psql") => "install postgresql-client",
        _ => "install mariadb-client",
    }
}

const PASSWORD_BYTES_MAX: u64 = 1024;
/// Names of every table of a very large database.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// No file and no directory.
const NOWHERE: &str = "/nonexistent";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_of_a_file() {
        let path = std::env::temp_dir().join(format!("hostel-password-{}", std::process::id()));
        let name = path.to_str().unwrap();
        for (text, password) in [
            ("geheim\n", Some("geheim")),
            (" a b \r\n", Some(" a b ")),
            ("ü", Some("ü")),
            ("", None),
            ("\n", None),
            ("a\nb", None),
            ("a\0b", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_password(name).ok().as_deref(), password, "{text:?}");
        }
        std::fs::write(&path, "x".repeat(2000)).unwrap();
        assert!(read_password(name).is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(read_password(name).is_err());
        assert!(read_password("/tmp").is_err());
    }
}
