//! The programs of Debian's that `hostel site` starts, each by its whole path and with its own arguments alone.
//!
//! `useradd` and the like as root, about users; `tar`, `find` and `chmod` as a site's user, inside of its sandbox, about its files. None is
//! given a word that a site could have chosen.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::said::WORDS_BYTES_MAX;
use super::trouble::Trouble;

/// Run a program of root's that is about users, and wait for it. While another one holds the lock on the users' files (perhaps one of a run
/// that was killed) it is tried again.
pub(super) fn about_users(program: &str, arguments: &[&str]) -> Result<(), Trouble> {
    let begun = Instant::now();
    loop {
        let output = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null())
            .output();
        let output = output.map_err(|error| {
            Trouble::new(format!("cannot start {program}: {error}"))
                .hint("it is part of Debian's package passwd")
        })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if said.contains("lock") && begun.elapsed() < LOCK_TIME_MAX {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        }
        let line = arguments.join(" ");
        return Err(Trouble::new(format!("{program} {line}: {said}")));
    }
}

/// A program that works for the child in a sandbox.
pub(super) struct Helper {
    child: Child,
    errors: Option<File>,
}

impl Helper {
    /// Start it; its standard error goes to a file that has no name, so that however much it says, nothing waits for it.
    pub(super) fn start<A: AsRef<OsStr>>(
        program: &str,
        arguments: &[A],
        input: Stdio,
        output: Stdio,
    ) -> io::Result<Self> {
        Self::start_with(program, arguments, &[], input, output)
    }

    /// The same, with more variables.
    pub(super) fn start_with<A: AsRef<OsStr>>(
        program: &str,
        arguments: &[A],
        environment: &[(&str, &str)],
        input: Stdio,
        output: Stdio,
    ) -> io::Result<Self> {
        let errors = unnamed_file().ok();
        let to = match &errors {
            Some(file) => file.try_clone()?.into(),
            None => Stdio::null(),
        };
        let child = Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C")
            .envs(environment.iter().copied())
            .stdin(input)
            .stdout(output)
            .stderr(to)
            .spawn()?;
        Ok(Self { child, errors })
    }

    /// What it writes, where its output was piped.
    pub(super) fn output(&mut self) -> Option<impl Read + use<>> {
        self.child.stdout.take()
    }

    /// What it reads, where its input was piped.
    pub(super) fn input(&mut self) -> Option<impl io::Write + use<>> {
        self.child.stdin.take()
    }

    /// Whether it has ended.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Wait for its end.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// The last of what it said.
    pub(super) fn words(&mut self) -> String {
        let Some(file) = &mut self.errors else {
            return String::new();
        };
        let read = |file: &mut File| -> io::Result<Vec<u8>> {
            let length = file.seek(SeekFrom::End(0))?;
            let most = WORDS_BYTES_MAX as u64 / 4;
            file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
            let mut bytes = Vec::new();
            file.take(most).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read(file).unwrap_or_default();
        // Each byte that is no text becomes three: a quarter of the bound leaves room.
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

/// A file of whoever runs this that has no name.
pub(crate) fn unnamed_file() -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC;
    Ok(open("/tmp", flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// Whoever holds that lock writes four small files.
const LOCK_TIME_MAX: Duration = Duration::from_secs(20);
pub(super) const USERADD: &str = "/usr/sbin/useradd";
pub(super) const USERDEL: &str = "/usr/sbin/userdel";
pub(super) const GROUPADD: &str = "/usr/sbin/groupadd";
pub(super) const GROUPDEL: &str = "/usr/sbin/groupdel";
pub(super) const TAR: &str = "/usr/bin/tar";
pub(super) const FIND: &str = "/usr/bin/find";
pub(super) const CHMOD: &str = "/usr/bin/chmod";
