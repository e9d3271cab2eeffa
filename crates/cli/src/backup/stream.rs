//! A stream between a child in a site's sandbox and restic: a pipe of which root holds the writing end, so that its end is only seen where all was said.
//!
//! Root reads and writes none of it. Whoever reads from the pipe finds its end when root lets go, which is when the writer has told its success;
//! where the writer fails, the reader is ended before that, and half a stream is never taken for whole.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use hostel_config::{Server, Site};

use super::manifest::Part;
use super::restic::Repository;
use crate::inside::Inside;
use crate::site::database;
use crate::site::options::Work;
use crate::site::report::Report;
use crate::site::said::Said;
use crate::site::sandbox::{self, Worker};
use crate::site::trouble::Trouble;

/// What a child says that was done: how many bytes, and what a program had to say about it.
pub(crate) struct Passed {
    pub(crate) bytes: u64,
    pub(crate) words: String,
}

/// Why something was not kept.
pub(crate) enum Failure {
    /// Of the site's: others may do better.
    Site(Trouble),
    /// Of the repository's: nobody will.
    Repository(Trouble),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Site(trouble)
    }
}

/// Where a stream comes from or goes to: the home or a database of a site, in its sandbox.
pub(crate) struct End<'a> {
    pub(crate) inside: &'a Inside,
    /// The table that the site is in.
    pub(crate) server: &'a Server,
    pub(crate) site: &'a Site,
    /// Of which database in the site's file; `None`: its home.
    pub(crate) database: Option<usize>,
}

/// How long a site may let a backup wait for it, all its parts together.
pub(crate) struct Waits {
    left: Duration,
    seen: Instant,
}

impl Waits {
    pub(crate) fn new(max: Duration) -> Self {
        Self {
            left: max,
            seen: Instant::now(),
        }
    }

    /// Counts the time since the last look as the site's, where restic has nothing to read.
    fn are_over(&mut self, pipe: impl AsFd) -> bool {
        let now = Instant::now();
        let passed = now.duration_since(self.seen);
        self.seen = now;
        if rustix::io::ioctl_fionread(pipe).is_ok_and(|bytes| bytes == 0) {
            self.left = self.left.saturating_sub(passed);
        }
        self.left.is_zero()
    }
}

/// Keep what the work writes as a snapshot; its number.
pub(crate) fn save(
    from: &End<'_>,
    repository: &Repository,
    (host, file, tags): (&str, &str, &str),
    waits: &mut Waits,
    report: &Report,
) -> Result<(String, Passed), Failure> {
    let (read, write) = sandbox::pipe()?;
    let mut restic = repository.save(host, file, tags, read)?;
    let mut workers = [start(from, (Work::Send, Work::DumpDatabase), &write)?];
    waits.seen = Instant::now();
    let said = sandbox::finish_beside(&mut workers, report, || match restic.watch(report)? {
        true if waits.are_over(&write) => Err(Trouble::new(
            "its files or a database of it let the backup wait too long",
        )
        .hint("site_minutes_max in [backup] gives sites more time")),
        true => Ok(()),
        false => Err(Trouble::new("restic ended before all was said")),
    });
    let passed = match said {
        Ok(said) => passed(said),
        // Where restic has failed, its own words are the better ones. The pipe is still open.
        Err(trouble) => {
            return Err(match restic.watch(report) {
                Err(own) => Failure::Repository(own),
                Ok(_) => Failure::Site(trouble),
            });
        }
    };
    drop(write);
    let finished = restic.finish(report).and_then(|()| restic.snapshot());
    Ok((finished.map_err(Failure::Repository)?, passed))
}

/// Let the work read what a part of a backup holds.
pub(crate) fn load(
    to: &End<'_>,
    repository: &Repository,
    part: &Part,
    report: &Report,
) -> Result<Passed, Trouble> {
    let (read, write) = sandbox::pipe()?;
    let held = write
        .try_clone()
        .map_err(Trouble::at("hold", Path::new("a pipe")))?;
    let mut workers = [start(to, (Work::Receive, Work::LoadDatabase), &read)?];
    drop(read);
    let mut restic = repository.read(&part.snapshot, &part.file, write)?;
    let mut held = Some(held);
    let said = sandbox::finish_beside(&mut workers, report, || {
        // All was written, so its end may be seen.
        if held.is_some() && !restic.watch(report)? {
            held = None;
        }
        Ok(())
    });
    match said {
        Ok(said) => Ok(passed(said)),
        Err(trouble) => {
            // Nobody is left who could take half of it for the whole.
            drop(workers);
            drop(held);
            Err(trouble)
        }
    }
}

/// Start the child that has one end of the pipe.
fn start(end: &End<'_>, works: (Work, Work), descriptor: &OwnedFd) -> Result<Worker, Trouble> {
    let (inside, server, site) = (end.inside, end.server, end.site);
    match end.database {
        Some(number) => database::start(inside, (server, site), number, works.1, Some(descriptor)),
        None => Worker::start(
            inside,
            server,
            site,
            (works.0, false),
            Some(descriptor.as_fd()),
        ),
    }
}

fn passed(said: Vec<Said>) -> Passed {
    match said.into_iter().next() {
        Some(Said::Done { bytes, words }) => Passed { bytes, words },
        // No other message ends well.
        _ => Passed {
            bytes: 0,
            words: String::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_waited_for_so_long_and_a_slow_repository_is_not_its_fault() {
        let (read, write) = sandbox::pipe().unwrap();
        let mut waits = Waits::new(Duration::from_millis(20));
        rustix::io::write(&write, b"x").unwrap();
        std::thread::sleep(Duration::from_millis(30));
        assert!(!waits.are_over(&write), "restic has something to read");
        rustix::io::read(&read, &mut [0; 1]).unwrap();
        std::thread::sleep(Duration::from_millis(30));
        assert!(waits.are_over(&write));
    }
}
