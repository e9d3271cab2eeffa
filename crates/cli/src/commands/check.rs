//! `hostel check`: everything that is wrong with the configuration, and what the machine lacks for it.

use std::path::Path;
use std::process::ExitCode;

use hostel_config::{Errors, Server, SystemUsers};
use serde_json::{Value, json};

use crate::host::{self, Finding, State};
use crate::output;

/// Status 0 if nothing is wrong or missing, 1 otherwise. What merely makes sites weaker is told.
pub(crate) fn run(config: &Path, as_json: bool) -> ExitCode {
    let loaded = hostel_config::load(config, &SystemUsers::read());
    let findings = host::examine(loaded.as_ref().ok());
    if as_json {
        output::json(&document(&loaded, &findings));
    } else {
        print(config, &loaded, &findings);
    }
    let missing = findings
        .iter()
        .any(|finding| finding.state == State::Missing);
    if loaded.is_err() || missing {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn print(config: &Path, loaded: &Result<Server, Errors>, findings: &[Finding]) {
    match loaded {
        Ok(server) => {
            let (count, plural) = counted(server.sites.len());
            output::line(&format!("{}: fine, {count} site{plural}", config.display()));
        }
        Err(errors) => {
            output::line(&errors.to_string());
            let (count, plural) = counted(errors.0.len());
            output::line(&format!("{count} error{plural}"));
        }
    }
    for finding in findings {
        let sign = match finding.state {
            State::Fine => continue,
            State::Missing => "missing",
            State::Weaker => "weaker",
            State::Unknown => "not examined",
        };
        output::line(&format!("{sign}: {}: {}", finding.what, finding.detail));
        if let Some(hint) = &finding.hint {
            output::line(&format!("  hint: {hint}"));
        }
    }
    let fine = findings
        .iter()
        .filter(|finding| finding.state == State::Fine)
        .count();
    output::line(&format!(
        "this machine: {fine} of {} things found",
        findings.len()
    ));
}

fn counted(count: usize) -> (usize, &'static str) {
    (count, if count == 1 { "" } else { "s" })
}

fn document(loaded: &Result<Server, Errors>, findings: &[Finding]) -> Value {
    let errors: Vec<Value> = loaded.as_ref().err().map_or(Vec::new(), |errors| {
        let error = |error: &hostel_config::Error| {
            json!({
                "file": error.file.display().to_string(),
                "line": error.line,
                "message": error.message,
                "hint": error.hint,
            })
        };
        errors.0.iter().map(error).collect()
    });
    let host: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({
                "what": finding.what,
                "state": match finding.state {
                    State::Fine => "fine",
                    State::Missing => "missing",
                    State::Weaker => "weaker",
                    State::Unknown => "unknown",
                },
                "detail": finding.detail,
                "hint": finding.hint,
            })
        })
        .collect();
    json!({
        "errors": errors,
        "sites": loaded.as_ref().map_or(Value::Null, |server| server.sites.len().into()),
        "host": host,
    })
}
