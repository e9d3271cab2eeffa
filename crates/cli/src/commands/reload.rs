//! `hostel reload`: let the running server take what differs in its configuration, and tell what that was.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hostel_wire::admin::{Change, Outcome as Word, Question, Report};

use crate::control::{self, AskError};
use crate::output;

/// What a reload has changed.
pub(crate) type Outcome = Report;

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("{}", in_words(.0))]
    Refused(Box<Report>),
}

/// Let the server that runs with this configuration read it again, and wait until it serves by it. Sites that could not start with new
/// settings go on with the earlier ones: see [`control::kept`].
pub(crate) fn reload(config: &Path) -> Result<Outcome, ReloadError> {
    ask(config, false)
}

fn ask(config: &Path, is_dry_run: bool) -> Result<Outcome, ReloadError> {
    let report = control::ask(config, Question::Reload { is_dry_run }, LIMIT)?;
    match report.outcome {
        Word::Done | Word::WouldBeDone => Ok(report),
        Word::Refused => Err(ReloadError::Refused(Box::new(report))),
    }
}

/// Status 0 if everything is as the configuration says now, 1 otherwise.
pub(crate) fn run(config: &Path, is_dry_run: bool, as_json: bool) -> ExitCode {
    let asked = match is_dry_run {
        true => ask(config, true),
        false => reload(config),
    };
    let (report, is_done) = match asked {
        Ok(report) => {
            let is_done = control::kept(&report).is_empty();
            (report, is_done)
        }
        Err(ReloadError::Refused(report)) => (*report, false),
        Err(ReloadError::Ask(error)) => {
            output::error(&format!("hostel reload: {error}"));
            return ExitCode::FAILURE;
        }
    };
    if as_json {
        output::json(&control::document(&report));
    } else {
        print(&report);
    }
    if is_done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print(report: &Report) {
    control::print_problems(report);
    if report.outcome != Word::Refused {
        let is_dry_run = report.outcome == Word::WouldBeDone;
        let count = |is_meant| control::names(report, is_meant).len();
        output::line(&format!(
            "{}{} added, {} removed, {} changed, {} unchanged",
            if is_dry_run { "would be: " } else { "" },
            count(|change| *change == Change::Added),
            count(|change| *change == Change::Removed),
            count(|change| *change == Change::Changed),
            report.unchanged,
        ));
        for site in &report.sites {
            let word = match site.change {
                Change::Added => "added",
                Change::Removed => "removed",
                Change::Changed => "changed",
                Change::Kept(_) => continue,
            };
            output::line(&format!("  {word}: {}", site.name));
        }
    }
    for (name, reason) in control::kept(report) {
        output::error(&format!("{name} goes on as it was: {reason}"));
    }
    for note in &report.notes {
        output::error(note);
    }
}

fn in_words(report: &Report) -> String {
    let problems = report.problems.iter().map(|problem| match problem.line {
        0 => format!("{}: {}", problem.file, problem.message),
        line => format!("{}:{line}: {}", problem.file, problem.message),
    });
    let lines: Vec<String> = problems.chain(report.notes.iter().cloned()).collect();
    format!(
        "the server has refused; nothing was changed\n{}",
        lines.join("\n")
    )
}

/// Each changed site that is awake may take its time to start, some at once.
const LIMIT: Duration = Duration::from_secs(600);
