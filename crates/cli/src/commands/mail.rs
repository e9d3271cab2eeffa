//! `hostel mail queue`: what waits for the mail server, by site.
//!
//! The names in the queue's directory tell it; nothing that a site has written is read. Changes nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::output;

/// What is to be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show how many messages of each site wait for the mail server, and since when
    Queue {
        /// Print one JSON document instead
        #[arg(long)]
        json: bool,
    },
}

/// What waits of one site.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    messages: usize,
    bytes: u64,
    oldest: Duration,
}

impl Waiting {
    /// For programs; `hostel status` has it, too.
    pub(crate) fn document(&self) -> Value {
        json!({
            "messages": self.messages,
            "bytes": self.bytes,
            "oldest_seconds": self.oldest.as_secs(),
        })
    }
}

/// Status 1 if the queue cannot be looked at.
pub(crate) fn run(config: &Path, options: &Options) -> ExitCode {
    let Action::Queue { json } = options.action;
    let server = match hostel_config::load(config, &hostel_config::SystemUsers::read()) {
        Ok(server) => server,
        Err(errors) => {
            output::error(&format!(
                "hostel mail: the configuration has errors\n{errors}"
            ));
            return ExitCode::FAILURE;
        }
    };
    if server.mail.is_none() {
        output::error(&format!(
            "hostel mail: there is no [mail] in {}: sites cannot send any",
            config.display()
        ));
        return ExitCode::FAILURE;
    }
    let directory = server.state.join(QUEUE);
    match look(&directory) {
        Ok(found) if json => show_json(&found),
        Ok(found) => show(&found),
        Err(error) => {
            output::error(&format!(
                "hostel mail: cannot list {}: {error}\n  hint: as root; the queue is there once the server has run with [mail]",
                directory.display()
            ));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// What waits of each site that has something waiting; `None` where there is no queue that could be looked at.
pub(crate) fn waiting(state: &Path) -> Option<BTreeMap<String, Waiting>> {
    look(&state.join(QUEUE)).ok()
}

fn look(directory: &Path) -> io::Result<BTreeMap<String, Waiting>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        names.push(entry?.path());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    // One that was delivered meanwhile has no size any more.
    let size = |path: &PathBuf| std::fs::symlink_metadata(path).map_or(0, |found| found.len());
    Ok(count(&names, now.unwrap_or_default(), size))
}

/// By names of the form `TIME.SITE.envelope`, each with a text beside it.
fn count(
    paths: &[PathBuf],
    now: Duration,
    size: impl Fn(&PathBuf) -> u64,
) -> BTreeMap<String, Waiting> {
    let mut found = BTreeMap::<String, Waiting>::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let parts = name
            .strip_suffix(".envelope")
            .and_then(|name| name.split_once('.'));
        let Some((time, site)) = parts else { continue };
        let Ok(nanoseconds) = u64::from_str_radix(time, 16) else {
            continue;
        };
        let waiting = found.entry(site.to_owned()).or_default();
        waiting.messages += 1;
        waiting.bytes += size(&path.with_extension("mail"));
        let age = now.saturating_sub(Duration::from_nanos(nanoseconds));
        waiting.oldest = waiting.oldest.max(age);
    }
    found
}

fn show(found: &BTreeMap<String, Waiting>) {
    if found.is_empty() {
        return output::line("nothing waits for the mail server");
    }
    let head = ["site", "messages", "KiB", "oldest (minutes)"].map(str::to_owned);
    let rows = found.iter().map(|(site, waiting)| {
        vec![
            output::escape(site),
            waiting.messages.to_string(),
            waiting.bytes.div_ceil(1024).to_string(),
            (waiting.oldest.as_secs() / 60).to_string(),
        ]
    });
    output::table(&[head.into()].into_iter().chain(rows).collect::<Vec<_>>());
}

fn show_json(found: &BTreeMap<String, Waiting>) {
    let sites = found.iter().map(|(site, waiting)| {
        let mut document = waiting.document();
        document["site"] = json!(site);
        document
    });
    output::json(&json!({ "sites": sites.collect::<Vec<_>>() }));
}

/// The queue's directory in `state`.
const QUEUE: &str = "mail";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_waits() {
        let names = [
            "0000000000000001.a.b.envelope",
            "0000000000000001.a.b.mail",
            "0000000000000002.a.b.envelope",
            "0000000000000002.a.b.new",
            "0000000000000003.c.mail",
            "0000000000000004.d.envelope",
            "x.e.envelope",
            "README",
        ];
        let paths: Vec<_> = names
            .iter()
            .map(|name| Path::new("/q").join(name))
            .collect();
        let found = count(&paths, Duration::from_nanos(10), |path| {
            u64::from(path.ends_with("0000000000000001.a.b.mail")) * 7
        });
        let waiting = |messages, bytes, nanoseconds| Waiting {
            messages,
            bytes,
            oldest: Duration::from_nanos(nanoseconds),
        };
        assert_eq!(found.len(), 2);
        assert_eq!(found["a.b"], waiting(2, 7, 9));
        assert_eq!(found["d"], waiting(1, 0, 6));
    }
}
