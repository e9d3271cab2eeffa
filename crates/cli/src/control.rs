//! Asking the running server: one question to the monitor's control socket, one report.
//!
//! Run by `reload`, `upgrade` and whatever changes a configuration, as root. The server is trusted: its socket stands in a directory
//! of root's. Its report is bounded all the same.

use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hostel_config::Errors;
use hostel_sys::{fdpass, memory_file, wait};
use hostel_wire::admin::{Change, Question, Report};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};
use serde_json::{Value, json};

use crate::output;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("the configuration does not tell where the server's socket is\n{0}")]
    Configuration(Errors),
    #[error("no server runs with this configuration: cannot connect to {}: {source}\n  hint: start it with: hostel serve --config FILE", socket.display())]
    NotRunning { socket: PathBuf, source: io::Error },
    #[error("not allowed to connect to {}: only root may change a running server\n  hint: type sudo before it", .0.display())]
    NotAllowed(PathBuf),
    #[error("the server did not answer on {}: {source}\n  hint: its log says how far it came", socket.display())]
    NoAnswer { socket: PathBuf, source: io::Error },
}

/// Ask the server that runs with this configuration, and wait for its report, but not longer than `limit`. What is waited for is said
/// on a terminal.
pub(crate) fn ask(config: &Path, question: Question, limit: Duration) -> Result<Report, AskError> {
    let run = hostel_config::run_directory(config).map_err(AskError::Configuration)?;
    let path = run.join("control.sock");
    let socket = match connected(&path) {
        Ok(socket) => socket,
        Err(Errno::ACCESS | Errno::PERM) => return Err(AskError::NotAllowed(path)),
        Err(error) => {
            let source = error.into();
            return Err(AskError::NotRunning {
                socket: path,
                source,
            });
        }
    };
    answer(&socket, question, limit).map_err(|source| AskError::NoAnswer {
        socket: path,
        source,
    })
}

fn connected(path: &Path) -> Result<OwnedFd, Errno> {
    let kind = SocketType::SEQPACKET;
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

fn answer(socket: &OwnedFd, question: Question, limit: Duration) -> io::Result<Report> {
    let begun = Instant::now();
    send(socket, &question.encode(), rustix::net::SendFlags::NOSIGNAL)?;
    let mut told = !io::stderr().is_terminal();
    loop {
        let mut polled = [PollFd::new(socket, PollFlags::IN)];
        let until = if told { limit } else { TOLD_AFTER };
        wait::wait(&mut polled, Some(begun + until))?;
        let [polled] = polled;
        if !polled.revents().is_empty() {
            break;
        }
        if begun.elapsed() >= limit {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if begun.elapsed() >= TOLD_AFTER && !told {
            output::error("waiting for the server …");
            told = true;
        }
    }
    let mut buffer = [0; Report::MESSAGE.len()];
    let mut received = fdpass::receive(socket, &mut buffer)?;
    let file = received.descriptors.pop();
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let Some(file) = file.filter(|_| buffer == Report::MESSAGE) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let bytes = memory_file::read(file, Report::BYTES_MAX)?;
    Report::decode(&bytes).map_err(io::Error::other)
}

/// A configuration's errors as `hostel check` prints them.
pub(crate) fn print_problems(report: &Report) {
    for problem in &report.problems {
        let line = match problem.line {
            0 => String::new(),
            line => format!(":{line}"),
        };
        output::error(&format!("{}{line}: {}", problem.file, problem.message));
        if !problem.hint.is_empty() {
            output::error(&format!("  hint: {}", problem.hint));
        }
    }
    if !report.problems.is_empty() {
        output::error(&match report.problems.len() {
            1 => "1 error; nothing was changed".to_owned(),
            count => format!("{count} errors; nothing was changed"),
        });
    }
}

/// The names of those sites of a report that differ in this.
pub(crate) fn names(report: &Report, is_meant: fn(&Change) -> bool) -> Vec<&str> {
    let meant = report.sites.iter().filter(|site| is_meant(&site.change));
    meant.map(|site| site.name.as_str()).collect()
}

/// Sites that were kept as they were, each with the reason.
pub(crate) fn kept(report: &Report) -> Vec<(&str, &str)> {
    let kept = report.sites.iter().filter_map(|site| match &site.change {
        Change::Kept(reason) => Some((site.name.as_str(), reason.as_str())),
        Change::Added | Change::Removed | Change::Changed => None,
    });
    kept.collect()
}

/// A report for programs.
pub(crate) fn document(report: &Report) -> Value {
    let errors = report.problems.iter().map(|problem| {
        json!({
            "file": problem.file,
            "line": (problem.line > 0).then_some(problem.line),
            "message": problem.message,
            "hint": (!problem.hint.is_empty()).then_some(&problem.hint),
        })
    });
    let kept = kept(report)
        .into_iter()
        .map(|(name, reason)| json!({"name": name, "reason": reason}));
    json!({
        "outcome": match report.outcome {
            hostel_wire::admin::Outcome::Done => "done",
            hostel_wire::admin::Outcome::WouldBeDone => "would be done",
            hostel_wire::admin::Outcome::Refused => "refused",
        },
        "added": names(report, |change| *change == Change::Added),
        "removed": names(report, |change| *change == Change::Removed),
        "changed": names(report, |change| *change == Change::Changed),
        "kept": kept.collect::<Vec<_>>(),
        "unchanged": report.unchanged,
        "errors": errors.collect::<Vec<_>>(),
        "notes": report.notes,
    })
}

/// Who looks at a terminal learns after so long that something is waited for.
const TOLD_AFTER: Duration = Duration::from_secs(1);
