//! Has something done with the files of a site: by a child in the site's sandbox, of which this is root's side.
//!
//! Run as root, which opens no file of the site. It hears each child until the child says that it is done or why not, for a bounded time, checks every message,
//! and kills the child at the end, whatever it does.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use hostel_config::{Server, Site};
use hostel_monitor::launch::Launched;
use hostel_sys::fdpass;
use hostel_wire::limits::MESSAGE_BYTES_MAX;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::options::Work;
use super::report::Report;
use super::said::Said;
use super::trouble::Trouble;
use crate::inside::{self, Inside};
use crate::output;

/// How a work is called on the child's command line.
fn word(work: Work) -> String {
    let value = work.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// A child at work.
pub(crate) struct Worker {
    launched: Launched,
    what: String,
    last: Option<Said>,
}

impl Worker {
    /// Start it, with what it is to read or write.
    pub(crate) fn start(
        inside: &Inside,
        server: &Server,
        site: &Site,
        (work, welcome): (Work, bool),
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<Self, Trouble> {
        let word = word(work);
        let mut words = vec!["hostel", "site-work", &word];
        if welcome {
            words.push("--welcome");
        }
        let what = format!("{word} in the sandbox of {}", site.name);
        let end = descriptor.map(|descriptor| (&[1][..], Some(descriptor)));
        Self::launch(inside, server, site, (&words, what), end)
    }

    /// The same, of a work about one thing, which it is told by a message.
    pub(super) fn start_asked(
        inside: &Inside,
        server: &Server,
        site: &Site,
        (work, about): (Work, &str),
        question: (&[u8], Option<BorrowedFd<'_>>),
    ) -> Result<Self, Trouble> {
        let word = word(work);
        let words = ["hostel", "site-work", &word];
        let what = format!("{word} in the sandbox of {}: {about}", site.name);
        Self::launch(inside, server, site, (&words, what), Some(question))
    }

    fn launch(
        inside: &Inside,
        server: &Server,
        site: &Site,
        (words, what): (&[&str], String),
        message: Option<(&[u8], Option<BorrowedFd<'_>>)>,
    ) -> Result<Self, Trouble> {
        // Words of ours hold no NUL.
        let arguments: Vec<CString> = words
            .iter()
            .filter_map(|&word| CString::new(word).ok())
            .collect();
        let failed = |error: String| Trouble::of_text(&format!("cannot {what}: {error}"));
        let launched = inside.start(server, site, &arguments).map_err(failed)?;
        if let Some((bytes, descriptor)) = message {
            fdpass::send(&launched.control, bytes, descriptor.as_slice())
                .map_err(|error| failed(error.to_string()))?;
        }
        Ok(Self {
            launched,
            what,
            last: None,
        })
    }

    /// Take one message, if there is one.
    fn hear(&mut self, report: &Report, told: &mut Instant) {
        let mut buffer = vec![0; MESSAGE_BYTES_MAX];
        let failed = |words: String| Some(Said::Failed { words });
        let received = match fdpass::receive(&self.launched.control, &mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => {
                self.last = failed(error.to_string());
                return;
            }
        };
        let bytes = buffer.get(..received.bytes).unwrap_or_default();
        if bytes.is_empty() {
            self.last = failed(inside::last_words(&self.launched));
            return;
        }
        match Said::decode(bytes) {
            Ok(Said::Progress { bytes }) => {
                if told.elapsed() >= TELL_EVERY {
                    *told = Instant::now();
                    let so_far = match bytes {
                        0 => String::new(),
                        bytes => format!(", {} MiB so far", bytes >> 20),
                    };
                    report.progress(&format!("{}{so_far}", self.what));
                }
            }
            Ok(said) => self.last = Some(said),
            Err(error) => self.last = failed(error.to_string()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        inside::end(&self.launched);
    }
}

/// What two children pass something through, or a child and a program of root's.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Trouble> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(io::Error::from)
        .map_err(Trouble::at("make", Path::new("a pipe")))
}

/// Wait until all of them have done their work; what each said last. If one fails, the others are ended.
pub(crate) fn finish(workers: &mut [Worker], report: &Report) -> Result<Vec<Said>, Trouble> {
    finish_beside(workers, report, || Ok(()))
}

/// The same, beside something that is looked after each time one of them says something, and every second.
pub(crate) fn finish_beside(
    workers: &mut [Worker],
    report: &Report,
    mut beside: impl FnMut() -> Result<(), Trouble>,
) -> Result<Vec<Said>, Trouble> {
    let until = Instant::now() + TIME_MAX;
    let mut told = Instant::now();
    let mut failed_at = None;
    while let Some(next) = workers.iter().position(|worker| worker.last.is_none()) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let what = workers.get(next).map_or("", |worker| &worker.what);
            return Err(Trouble::new(format!("{what} did not end within a day")));
        }
        let mut polled: Vec<PollFd<'_>> = workers
            .iter()
            .filter(|worker| worker.last.is_none())
            .map(|worker| PollFd::from_borrowed_fd(worker.launched.control.as_fd(), PollFlags::IN))
            .collect();
        let second = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        match poll(&mut polled, Some(&second)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Trouble::new(io::Error::from(error).to_string())),
        }
        for worker in workers.iter_mut().filter(|worker| worker.last.is_none()) {
            worker.hear(report, &mut told);
        }
        beside()?;
        // One that fails takes the other with it, whose words may be the better ones.
        if failed_at.is_none() && workers.iter().any(has_failed) {
            failed_at = Some(Instant::now());
        }
        if failed_at.is_some_and(|at| at.elapsed() >= LAST_WORDS_WITHIN) {
            break;
        }
    }
    if let Some(trouble) = failure(workers) {
        return Err(trouble);
    }
    Ok(workers
        .iter()
        .filter_map(|worker| worker.last.clone())
        .collect())
}

fn has_failed(worker: &Worker) -> bool {
    matches!(worker.last, Some(Said::Failed { .. }))
}

/// What those that failed said, all of them.
fn failure(workers: &[Worker]) -> Option<Trouble> {
    let said = workers.iter().filter_map(|worker| match &worker.last {
        Some(Said::Failed { words }) => {
            Some(format!("cannot {}: {}", worker.what, output::escape(words)))
        }
        Some(
            Said::Progress { .. } | Said::Looked { .. } | Said::Database { .. } | Said::Done { .. },
        )
        | None => None,
    });
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| {
        Trouble::new(said.join("; ")).hint(
            "nothing is lost: once the reason is gone, run the same command again and it goes on where this one ended",
        )
    })
}

/// Beyond any home that is worth copying.
const TIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// What one child still has to say when another has failed.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(2);
const TELL_EVERY: Duration = Duration::from_secs(1);
