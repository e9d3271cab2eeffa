//! restic, Debian's: the one program that speaks to a repository of backups.
//!
//! Run as root, which starts it as a user of its own, without capabilities and with an environment of its own. Root reads the password and
//! hands it over in that environment, which nobody but root and that user can see. What restic is given to keep comes through a pipe from a child in a site's sandbox; no site
//! ever has a descriptor of the repository's, and restic none of a site's. What it says is shown, or read as JSON that is bounded.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use hostel_config::Backup;
use hostel_sys::cred::User;
use hostel_sys::secure::Directory;
use serde_json::Value;

use crate::output;
use crate::site::programs::unnamed_file;
use crate::site::report::Report;
use crate::site::trouble::Trouble;

/// A repository, and what is needed to speak to it.
pub(crate) struct Repository {
    /// As restic names it, as it may be shown.
    pub(crate) to: String,
    environment: Vec<(OsString, OsString)>,
    sftp_command: Option<String>,
    user: User,
    patience: Duration,
    /// restic's own: its home, cache and temporary files.
    own: Directory,
}

impl Repository {
    /// Make restic's own directory where it is missing, and read the secrets.
    pub(crate) fn open(state: &Path, backup: &Backup, patience: Duration) -> Result<Self, Trouble> {
        if !Path::new(RESTIC).exists() {
            return Err(Trouble::new(format!("there is no {RESTIC}")).hint("apt install restic"));
        }
        let made = || {
            let state = Directory::open(state)?;
            // Nothing is made in it: the unit's root cannot write where another user alone can.
            state.beneath(OWN, backup.user.uid, backup.user.gid, 0o700)
        };
        let own = made().map_err(|error: hostel_sys::secure::SecureError| Trouble::of(&error))?;
        let file = &backup.password_file;
        if file.symlink_metadata().is_err() {
            let file = file.display();
            return Err(Trouble::new(format!("there is no password of the repository: {file} is missing"))
                .hint("for a new repository: hostel backup init; for one that is there, put its password into the file"));
        }
        let password = secret(file)?;
        let password = password.trim_end_matches(['\r', '\n']);
        let path = own.path();
        let mut environment: Vec<(OsString, OsString)> = vec![
            ("RESTIC_PASSWORD".into(), password.into()),
            ("RESTIC_REPOSITORY".into(), backup.to.clone().into()),
            ("RESTIC_CACHE_DIR".into(), path.join("cache").into()),
            ("TMPDIR".into(), path.into()),
            ("HOME".into(), path.into()),
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("LC_ALL".into(), "C".into()),
            ("TZ".into(), "UTC".into()),
            ("RESTIC_PROGRESS_FPS".into(), "0.2".into()),
        ];
        if let Some(file) = &backup.environment_file {
            environment.extend(pairs(file, &secret(file)?)?);
        }
        Ok(Self {
            to: repository_name(&backup.to),
            environment,
            sftp_command: backup.sftp_command.clone(),
            user: backup.user.clone(),
            patience,
            own,
        })
    }

    /// Be the only one who changes the repository from here, until this value ends.
    pub(crate) fn lock(&self) -> Result<(), Trouble> {
        self.own.lock().map_err(|error| {
            Trouble::of(&error)
                .hint("another 'hostel backup' is at work; run this one again when it has ended")
        })
    }

    /// Start it.
    fn start(
        &self,
        arguments: &[&str],
        input: Stdio,
        to: Option<OwnedFd>,
    ) -> Result<Running, Trouble> {
        let failed =
            |error: std::io::Error| Trouble::new(format!("cannot start {RESTIC}: {error}"));
        let (said, errors) = (
            unnamed_file().map_err(failed)?,
            unnamed_file().map_err(failed)?,
        );
        let (uid, gid) = (self.user.uid.0, self.user.gid.0);
        let mut command = Command::new(SETPRIV);
        command
            .args([&format!("--reuid={uid}"), &format!("--regid={gid}")])
            .args([
                "--clear-groups",
                "--no-new-privs",
                "--bounding-set=-all",
                "--inh-caps=-all",
            ])
            // Whoever is killed takes it along; this signal lets it take its lock away.
            .args(["--pdeathsig=INT", "--", RESTIC]);
        if let Some(line) = &self.sftp_command {
            command.arg("--option").arg(format!("sftp.command={line}"));
        }
        command.args(arguments).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output: Stdio = match to {
            Some(to) => to.into(),
            None => said.try_clone().map_err(failed)?.into(),
        };
        let child = command
            .current_dir(self.own.path())
            .stdin(input)
            .stdout(output)
            .stderr(errors.try_clone().map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        let what = arguments.first().copied().unwrap_or_default().to_owned();
        Ok(Running {
            child,
            what,
            to: self.to.clone(),
            said,
            errors,
            complaints: Complaints::new(self.patience),
            begun: Instant::now(),
            told: Instant::now(),
        })
    }

    /// Run it to its end; what it wrote.
    pub(crate) fn ask(&self, arguments: &[&str], report: &Report) -> Result<String, Trouble> {
        let mut running = self.start(arguments, Stdio::null(), None)?;
        running.finish(report)?;
        running.said()
    }

    /// The same, of a command that needs the repository for itself. A lock of a run that was killed is taken away; one that is about to
    /// end is waited for.
    pub(crate) fn ask_alone(&self, arguments: &[&str], report: &Report) -> Result<String, Trouble> {
        let begun = Instant::now();
        loop {
            match self.ask(arguments, report) {
                Err(trouble) if is_locked(&trouble) && begun.elapsed() < LOCK_TIME_MAX => {
                    self.unlock(report)?;
                }
                done => return done,
            }
        }
    }

    /// Take away locks of runs that were killed; those of somebody who works are left.
    pub(crate) fn unlock(&self, report: &Report) -> Result<(), Trouble> {
        self.ask(&["unlock", "--quiet"], report).map(drop)
    }

    /// The same, of a command that answers with one JSON document.
    pub(crate) fn ask_json(&self, arguments: &[&str], report: &Report) -> Result<Value, Trouble> {
        // A run that was killed has left its lock, which keeps readers away too.
        let text = self.ask_alone(arguments, report)?;
        serde_json::from_str(&text).map_err(|error| {
            let what = arguments.first().unwrap_or(&"");
            Trouble::new(format!("restic {what} said what is no JSON: {error}"))
        })
    }

    /// Keep what comes through `from` as a snapshot with one file.
    pub(crate) fn save(
        &self,
        host: &str,
        file: &str,
        tags: &str,
        from: OwnedFd,
    ) -> Result<Running, Trouble> {
        let arguments = [
            "backup",
            "--json",
            "--stdin",
            "--stdin-filename",
            file,
            "--tag",
            tags,
            "--host",
            host,
        ];
        self.start(&arguments, from.into(), None)
    }

    /// Write the one file of a snapshot to `to`.
    pub(crate) fn read(&self, snapshot: &str, file: &str, to: OwnedFd) -> Result<Running, Trouble> {
        self.start(&["dump", snapshot, file], Stdio::null(), Some(to))
    }
}

/// restic at work. It is ended with this value.
pub(crate) struct Running {
    child: Child,
    what: String,
    to: String,
    said: File,
    errors: File,
    complaints: Complaints,
    begun: Instant,
    told: Instant,
}

impl Running {
    /// Whether it goes on; its failure, if it has failed. Tells now and then what it is at.
    pub(crate) fn watch(&mut self, report: &Report) -> Result<bool, Trouble> {
        match self.child.try_wait() {
            Ok(None) => {
                self.tell(report);
                let length = self.errors.metadata().map_or(0, |metadata| metadata.len());
                if self.complaints.are_too_many(length, Instant::now()) {
                    return Err(self.trouble("was given up"));
                }
                Ok(true)
            }
            Ok(Some(status)) if status.success() => Ok(false),
            Ok(Some(status)) => Err(self.failure(status)),
            Err(error) => Err(Trouble::new(format!("cannot wait for restic: {error}"))),
        }
    }

    /// Wait for its end.
    pub(crate) fn finish(&mut self, report: &Report) -> Result<(), Trouble> {
        while self.watch(report)? {
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// The number of the snapshot that it has made.
    pub(crate) fn snapshot(&mut self) -> Result<String, Trouble> {
        let said = self.said()?;
        let mut documents = said
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let summary = documents.find(|one| one["message_type"] == "summary");
        let id = summary.and_then(|summary| summary["snapshot_id"].as_str().map(str::to_owned));
        id.ok_or_else(|| Trouble::new("restic did not say which snapshot it has made"))
    }

    fn said(&mut self) -> Result<String, Trouble> {
        let mut text = String::new();
        let read = self.said.seek(SeekFrom::Start(0)).and_then(|_| {
            Read::by_ref(&mut self.said)
                .take(SAID_BYTES_MAX)
                .read_to_string(&mut text)
        });
        match read {
            Ok(_) => Ok(text),
            Err(error) => Err(Trouble::new(format!(
                "cannot read what restic said: {error}"
            ))),
        }
    }

    fn tell(&mut self, report: &Report) {
        if self.told.elapsed() < TELL_EVERY {
            return;
        }
        self.told = Instant::now();
        let words = self.words();
        let last = words.lines().last().unwrap_or_default();
        let seconds = self.begun.elapsed().as_secs();
        report.progress(&format!("restic {} for {seconds} s {last}", self.what));
    }

    /// The last of what it said to people.
    fn words(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = self.errors.seek(SeekFrom::End(0)).and_then(|length| {
            let from = length.saturating_sub(WORDS_BYTES_MAX);
            self.errors.seek(SeekFrom::Start(from))?;
            Read::by_ref(&mut self.errors)
                .take(WORDS_BYTES_MAX)
                .read_to_end(&mut bytes)
        });
        drop(read);
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }

    fn failure(&mut self, status: ExitStatus) -> Trouble {
        let how = match status.signal() {
            Some(signal) => format!("was ended by signal {signal}"),
            None => format!("failed ({})", status.code().unwrap_or_default()),
        };
        self.trouble(&how)
    }

    fn trouble(&mut self, how: &str) -> Trouble {
        let words = output::escape(&self.words().replace('\n', "; "));
        let trouble = Trouble::new(format!(
            "restic {} {how} at {}: {words}",
            self.what, self.to
        ));
        trouble.hint(advice(&words))
    }
}

/// How long it has been complaining. It says nothing to people where all is well, and tries for a quarter of an hour what does not work.
struct Complaints {
    patience: Duration,
    length: u64,
    /// The first and the last time that there was a new one.
    since: Option<(Instant, Instant)>,
}

impl Complaints {
    fn new(patience: Duration) -> Self {
        Self {
            patience,
            length: 0,
            since: None,
        }
    }

    /// By how much it has said up to now. Between two tries pass at most a minute and some seconds; after a longer silence all was well again.
    fn are_too_many(&mut self, length: u64, now: Instant) -> bool {
        match &mut self.since {
            Some((_, last)) if length > self.length => *last = now,
            Some((_, last)) if now.duration_since(*last) > SILENCE_MAX => self.since = None,
            None if length > self.length => self.since = Some((now, now)),
            Some(_) | None => {}
        }
        self.length = length;
        self.since
            .is_some_and(|(first, _)| now.duration_since(first) >= self.patience)
    }
}

impl Drop for Running {
    /// It is asked to end, which takes its lock from the repository; what does not listen is killed.
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap_or(0)) {
            // It is not yet waited for, so the number is its own.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let until = Instant::now() + END_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether somebody has the repository for itself.
pub(crate) fn is_locked(trouble: &Trouble) -> bool {
    trouble.what.contains(LOCKED)
}

/// A repository as it may be shown: without a password that stands in its address.
pub(crate) fn repository_name(to: &str) -> String {
    let hidden = to.split_once("://").and_then(|(kind, rest)| {
        let (before, place) = rest.split_once('@')?;
        let (user, _) = before.split_once(':')?;
        Some(format!("{kind}://{user}:…@{place}"))
    });
    output::escape(hidden.as_deref().unwrap_or(to))
}

/// What to do about what restic said.
fn advice(words: &str) -> &'static str {
    let known = [
        (
            "wrong password",
            "the password is not the repository's: see password_file in [backup]",
        ),
        ("already initialized", "the repository is there already"),
        ("already exists", "the repository is there already"),
        (
            "unable to open config file",
            "if the repository is yet to be made: hostel backup init",
        ),
        (
            "no space left on device",
            "make room at the repository; then run the same command again: nothing is lost",
        ),
        (
            LOCKED,
            "somebody else works with the repository; run the same command again later",
        ),
        (
            "permission denied",
            "restic runs as the user named in [backup], by default hostel-backup: what it is to write must be that user's",
        ),
    ];
    let words = words.to_ascii_lowercase();
    let found = known.iter().find(|(part, _)| words.contains(part));
    found.map_or(
        "nothing is lost: once the reason is gone, run the same command again",
        |(_, advice)| advice,
    )
}

/// A file of root's with a secret.
fn secret(path: &Path) -> Result<String, Trouble> {
    let text =
        hostel_config::read_text(path).map_err(|error| Trouble::of_text(&error.to_string()))?;
    match path.symlink_metadata() {
        Ok(metadata) if metadata.mode() & 0o077 != 0 => Err(Trouble::new(format!(
            "others than root can read {}",
            path.display()
        ))
        .hint(format!("chmod 0600 {}", path.display()))),
        _ => Ok(text),
    }
}

/// The lines NAME=VALUE of a file; empty ones and those that begin with # are passed over.
fn pairs(path: &Path, text: &str) -> Result<Vec<(OsString, OsString)>, Trouble> {
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| match line.split_once('=') {
            Some((name, value)) if is_name(name) => Ok((name.into(), value.into())),
            _ => Err(Trouble::new(format!(
                "{}:{number}: this is not NAME=VALUE",
                path.display()
            ))),
        })
        .collect()
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(is_part) && !name.starts_with(|c: char| c.is_ascii_digit())
}

const RESTIC: &str = "/usr/bin/restic";
const SETPRIV: &str = "/usr/bin/setpriv";
/// In `state`.
const OWN: &str = "backup";
/// The list of a hundred thousand snapshots.
const SAID_BYTES_MAX: u64 = 64 << 20;
const WORDS_BYTES_MAX: u64 = 1000;
/// Beside the second or two that each start of restic takes for its key.
const PAUSE: Duration = Duration::from_millis(20);
/// Beyond the longest pause of restic's between two tries.
const SILENCE_MAX: Duration = Duration::from_secs(100);
/// Part of what it says of a repository that somebody else has locked.
const LOCKED: &str = "already locked";
/// Beyond what a run that was ended takes to take its lock away.
const LOCK_TIME_MAX: Duration = Duration::from_secs(15);
const TELL_EVERY: Duration = Duration::from_secs(2);
/// restic's own time to take its lock away.
const END_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_lines_of_names_and_values() {
        let path = Path::new("/x");
        let text = "# for the bucket\n\nAWS_ACCESS_KEY_ID=a\n B=c=d \n";
        let expected: Vec<(OsString, OsString)> = vec![
            ("AWS_ACCESS_KEY_ID".into(), "a".into()),
            ("B".into(), "c=d".into()),
        ];
        assert_eq!(pairs(path, text).unwrap(), expected);
        for wrong in ["A", "=x", "1A=x", "A B=x", "export A=x"] {
            assert_eq!(
                pairs(path, wrong).unwrap_err().what,
                "/x:1: this is not NAME=VALUE"
            );
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        for (to, shown) in [
            ("rest:https://me:secret@host/x", "rest:https://me:…@host/x"),
            ("sftp:me@host:/x", "sftp:me@host:/x"),
            ("/x", "/x"),
        ] {
            assert_eq!(repository_name(to), shown);
        }
    }

    #[test]
    fn a_repository_that_makes_trouble_too_long_is_given_up() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut complaints = Complaints::new(Duration::from_secs(180));
        assert!(!complaints.are_too_many(0, at(1000)), "silence is well");
        assert!(!complaints.are_too_many(10, at(1010)));
        assert!(!complaints.are_too_many(20, at(1070)));
        assert!(
            !complaints.are_too_many(20, at(1171)),
            "a long silence: all is well again"
        );
        assert!(!complaints.are_too_many(30, at(1300)));
        assert!(!complaints.are_too_many(40, at(1390)));
        assert!(complaints.are_too_many(50, at(1480)));
    }

    #[test]
    fn what_restic_says_leads_to_what_to_do() {
        assert!(advice("Fatal: wrong password or no key found").contains("password_file"));
        assert!(advice("write /x: no space left on device").contains("make room"));
        assert!(advice("Fatal: unable to open config file: stat").contains("backup init"));
        assert!(advice("connection reset").contains("again"));
    }
}
