//! What the monitor does about a new configuration, and whoever asks for it: all of it, or nothing.

use std::time::Instant;

use hostel_config::{Errors, Server, SystemUsers};
use hostel_wire::admin::{Outcome, Problem, Question, Report};

use super::Monitor;
use crate::log::say;
use crate::reload::{Difference, changes_all_sites, difference, needs_restart};
use crate::requests::Phase;

impl Monitor {
    /// Let an administrator in, or hear and answer the question.
    pub(super) fn hear_control(&mut self, now: Instant) {
        if let Some(question) = self.control.hear(now) {
            let report = match question {
                Question::Reload { is_dry_run } => self.reload(is_dry_run),
                Question::Upgrade => refusal("not known yet"),
            };
            self.control.answer(&report);
        }
    }

    /// Read the configuration again. With an error in it nothing changes, and every error is told.
    pub(super) fn reload(&mut self, is_dry_run: bool) -> Report {
        if self.phase != Phase::Serving {
            return refusal("the server is being stopped");
        }
        let next = match self.loader.load(&self.path, &SystemUsers::read()) {
            Ok(next) => next,
            Err(errors) if is_dry_run => return problems(&errors),
            Err(errors) => {
                let count = errors.0.len();
                let text = format!(
                    "reload: nothing was changed, for the configuration has errors: {count}"
                );
                say(&format!("hostel: {text}\n{errors}"));
                self.log.error(format_args!("{text}"));
                for error in &errors.0 {
                    self.log.error(format_args!("reload: {error}"));
                }
                return problems(&errors);
            }
        };
        let mut report = Report::new(match is_dry_run {
            true => Outcome::WouldBeDone,
            false => Outcome::Done,
        });
        for key in needs_restart(&self.server, &next) {
            let text = format!("'{key}' of hostel.toml has changed, which takes a restart");
            if !is_dry_run {
                say(&format!("hostel: reload: {text}"));
                self.log.warning(format_args!("reload: {text}"));
            }
            report.notes.push(text);
        }
        self.change_sites(next, report, Instant::now())
    }

    fn change_sites(&mut self, next: Server, mut report: Report, now: Instant) -> Report {
        let is_all_new = changes_all_sites(&self.server, &next);
        let running = self.sites.listed().map(|(id, site)| (id, &site.config));
        let Difference {
            mut removed,
            changed,
            mut added,
            told,
            unchanged,
        } = difference(running, &next, is_all_new);
        (report.sites, report.unchanged) = (told, unchanged);
        if report.outcome == Outcome::WouldBeDone {
            return report;
        }
        self.log.information(format_args!(
            "reloaded: {} sites are new, {} changed, {} gone, {unchanged} as before",
            added.len(),
            changed.len(),
            removed.len(),
        ));
        let (mut gone, mut new): (Vec<_>, Vec<_>) = changed.into_iter().unzip();
        gone.append(&mut removed);
        new.append(&mut added);
        self.server.sites = next.sites;
        self.server.sites_directory = next.sites_directory;
        self.server.php_ini_directory = next.php_ini_directory;
        self.change_table(&gone, new, now);
        self.change_rules(now);
        report
    }
}

fn refusal(why: &str) -> Report {
    let mut report = Report::new(Outcome::Refused);
    report.notes.push(why.to_owned());
    report
}

fn problems(errors: &Errors) -> Report {
    let mut report = Report::new(Outcome::Refused);
    let problem = |error: &hostel_config::Error| Problem {
        file: error.file.display().to_string(),
        line: error.line.unwrap_or(0),
        message: error.message.clone(),
        hint: error.hint.clone().unwrap_or_default(),
    };
    report.problems = errors.0.iter().map(problem).collect();
    report
}
