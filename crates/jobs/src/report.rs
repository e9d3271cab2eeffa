//! What `hostel status` shows of jobs: a file of root's in the instance's `run` directory, replaced as a whole.
//!
//! Everything in it is the configuration's or the kernel's; nothing comes from a site.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use hostel_sys::clock::text;
use serde_json::{Value, json};

use crate::run::Run;
use crate::schedule::{Entry, Outcome, Why};

/// The file, removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Report {
    path: PathBuf,
    new: PathBuf,
}

impl Report {
    pub(crate) fn new(run: &Path) -> Self {
        Self {
            path: run.join("jobs.json"),
            new: run.join("jobs.json.new"),
        }
    }

    /// Replace it.
    pub(crate) fn write<'a>(
        &self,
        entries: impl Iterator<Item = (&'a Entry, Option<&'a Run>)>,
    ) -> io::Result<()> {
        let jobs: Vec<Value> = entries.map(|(entry, run)| describe(entry, run)).collect();
        let document = json!({ "pid": std::process::id(), "jobs": jobs }).to_string();
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&self.new)?.write_all(document.as_bytes())?;
        fs::rename(&self.new, &self.path)
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        // What is left is replaced by the next one.
        let _ = fs::remove_file(&self.path);
    }
}

fn describe(entry: &Entry, run: Option<&Run>) -> Value {
    let state = match run {
        Some(_) if entry.is_stopping() => "stopping",
        Some(_) => "running",
        None => "waiting",
    };
    json!({
        "site": entry.site.name,
        "name": entry.job.name(),
        "kind": entry.job.kind(),
        "state": state,
        "pid": run.map(Run::pid),
        "since": entry.running_since().map(time),
        "next": entry.next.map(|seconds| time(seconds.saturating_mul(1000))),
        "last": entry.last.as_ref().map(|last| json!({
            "started": time(last.started),
            "ms": u64::try_from(last.took.as_millis()).unwrap_or(u64::MAX),
            "status": match last.outcome {
                Outcome::Ended(status, _) => Some(status),
                Outcome::NotStarted(_) => None,
            },
            "result": match &last.outcome {
                Outcome::Ended(0, None) => "ended".to_owned(),
                Outcome::Ended(_, None) => "failed".to_owned(),
                Outcome::Ended(_, Some(why)) => in_words(*why).to_owned(),
                Outcome::NotStarted(why) => format!("not started: {why}"),
            },
        })),
        "runs": entry.counts.runs,
        "failed": entry.counts.failed,
        "skipped": entry.counts.skipped,
        "missed": entry.counts.missed,
    })
}

fn in_words(why: Why) -> &'static str {
    match why {
        Why::Timeout => "timeout",
        Why::Replaced => "replaced by the next run",
        Why::Changed => "ended for a change of the configuration",
        Why::Removed => "removed from the configuration",
    }
}

fn time(millis: i64) -> String {
    text(UNIX_EPOCH + Duration::from_millis(millis.max(0).unsigned_abs()))
}
