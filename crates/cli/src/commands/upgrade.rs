//! `hostel upgrade`: let the running server go on with the programs that are installed now.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hostel_wire::admin::{Outcome, Question};

use crate::control;
use crate::output;

/// Status 0 once the new programs serve, or would; 1 where the old ones go on.
pub(crate) fn run(config: &Path, is_dry_run: bool, as_json: bool) -> ExitCode {
    let report = match control::ask(config, Question::Upgrade { is_dry_run }, LIMIT) {
        Ok(report) => report,
        Err(error) => {
            output::error(&format!("hostel upgrade: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let is_done = report.outcome != Outcome::Refused;
    if as_json {
        output::json(&control::document(&report));
    } else {
        control::print_problems(&report);
        if report.outcome == Outcome::WouldBeDone {
            output::line(
                "would be: upgraded; the installed programs can serve with this configuration",
            );
        }
        for note in &report.notes {
            match is_done {
                true => output::line(note),
                false => output::error(&format!("hostel upgrade: {note}")),
            }
        }
        for site in &report.sites {
            output::error(&format!("  {}", site.name));
        }
    }
    if is_done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What is under way is waited for: the requests of sites that have changed, the old front of the upgrade before, a look of the new
/// programs at themselves, the new front.
const LIMIT: Duration = Duration::from_secs(300);
