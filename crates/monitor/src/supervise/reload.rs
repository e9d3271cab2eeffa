//! What the monitor does about a new configuration, and whoever asks for it: all of it, or nothing.
//!
//! Sites that have changed and are awake are tried first: the front starts them beside the old ones and says whether PHP came up.
//! When all have been tried the table changes at once; a site that did not start stays in it as it was.

use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_config::{Errors, Mail, Server, Site, SystemUsers};
use hostel_wire::admin::{Change, Outcome, Problem, Question, Report};
use hostel_wire::front_monitor::{SiteId, ToFront};

use super::Monitor;
use crate::front::Front;
use crate::log::say;
use crate::reload::{Difference, changes_all_sites, difference, needs_restart};
use crate::requests::Phase;

/// A reload that is under way.
#[derive(Debug)]
pub(crate) struct Reload {
    report: Report,
    gone: Vec<SiteId>,
    new: Vec<Rc<Site>>,
    trials: Vec<Trial>,
    /// Whether an administrator waits for the report.
    is_asked: bool,
}

/// A changed site whose old sandbox runs.
#[derive(Debug)]
struct Trial {
    site: Rc<Site>,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting,
    /// Until this time.
    Running(SiteId, Instant),
    Works(SiteId),
    Fails(SiteId, String),
}

impl Monitor {
    /// Take up the question that waits, as soon as nothing else is under way.
    pub(super) fn take_question(&mut self, now: Instant) {
        if self.reload.is_some() || self.report.is_some() || self.upgrade.is_some() {
            return;
        }
        let is_early =
            matches!(self.question, Some(Question::Upgrade { .. })) && !self.is_settled(now);
        if is_early && self.phase == Phase::Serving {
            return;
        }
        match self.question.take() {
            Some(Question::Reload { is_dry_run }) => self.reload(is_dry_run, true, now),
            Some(Question::Upgrade { .. }) if self.phase != Phase::Serving => {
                self.control.answer(&refusal(STOPPING));
            }
            Some(Question::Upgrade { is_dry_run }) => self.begin_upgrade(is_dry_run, now),
            None if std::mem::take(&mut self.is_reload_due) => self.reload(false, false, now),
            None => {}
        }
    }

    /// Read the configuration again. With an error in it nothing changes, and every error is told.
    fn reload(&mut self, is_dry_run: bool, is_asked: bool, now: Instant) {
        let report = if self.phase != Phase::Serving {
            Err(refusal(STOPPING))
        } else {
            self.read(is_dry_run)
        };
        match report {
            Ok((next, report)) => self.begin_reload(next, report, is_asked, now),
            Err(report) if is_asked => self.control.answer(&report),
            Err(_) => {}
        }
    }

    fn read(&mut self, is_dry_run: bool) -> Result<(Server, Report), Report> {
        let next = match self.loader.load(&self.path, &SystemUsers::read()) {
            Ok(next) => next,
            Err(errors) if is_dry_run => return Err(problems(&errors)),
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
                return Err(problems(&errors));
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
        Ok((next, report))
    }

    fn begin_reload(&mut self, next: Server, mut report: Report, is_asked: bool, now: Instant) {
        let is_all_new = changes_all_sites(&self.server, &next);
        let running = self.sites.listed().map(|(id, site)| (id, &site.config));
        let found: Difference<SiteId> = difference(running, &next, is_all_new);
        (report.sites, report.unchanged) = (found.told, found.unchanged);
        if report.outcome == Outcome::WouldBeDone {
            return self.control.answer(&report);
        }
        let (mut gone, mut new, mut trials) = (Vec::new(), Vec::new(), Vec::new());
        for (id, site) in found.changed {
            let is_awake = self.sites.of(id).is_some_and(|old| old.sandbox.is_some());
            // Of a site that is suspended nothing is started that could fail.
            if is_awake && !site.suspended {
                let state = State::Waiting;
                trials.push(Trial { site, state });
            } else {
                gone.push(id);
                new.push(site);
            }
        }
        gone.extend(found.removed);
        new.extend(found.added);
        self.change_rules(next.egress(), now);
        // What is tried starts by it.
        self.server.sites = next.sites;
        self.server.jobs = next.jobs;
        self.jobs.is_stale = true;
        self.server.sites_directory = next.sites_directory;
        self.server.php_ini_directory = next.php_ini_directory;
        self.change_mail(next.mail);
        self.reload = Some(Reload {
            report,
            gone,
            new,
            trials,
            is_asked,
        });
    }

    /// When a trial has taken too long.
    pub(super) fn reload_deadline(&self) -> Option<Instant> {
        let trials = self.reload.iter().flat_map(|reload| &reload.trials);
        let until = |trial: &Trial| match trial.state {
            State::Running(_, until) => Some(until),
            State::Waiting | State::Works(_) | State::Fails(..) => None,
        };
        trials.filter_map(until).min()
    }

    /// Begin trials, some at once; end those that take too long; and the reload, when all are over.
    pub(super) fn go_on_with_reload(&mut self, now: Instant) {
        // Whoever hears that it is done may rely on it: the front has taken the table, or there is none.
        let is_taken = |front: &Front| front.untaken == 0;
        if self.front.as_ref().is_none_or(is_taken)
            && let Some(report) = self.report.take()
        {
            self.control.answer(&report);
        }
        let Some(mut reload) = self.reload.take() else {
            return;
        };
        let mut running = 0;
        for trial in &mut reload.trials {
            match trial.state {
                State::Running(id, until) if until <= now => {
                    let text = format!("it took longer than {TRIAL_MAX:?} to start");
                    trial.state = State::Fails(id, text);
                }
                State::Running(..) => running += 1,
                State::Waiting | State::Works(_) | State::Fails(..) => {}
            }
        }
        let waiting = |trial: &&mut Trial| matches!(trial.state, State::Waiting);
        for trial in reload.trials.iter_mut().filter(waiting) {
            if running == TRIALS_AT_ONCE || self.front.is_none() {
                break;
            }
            let id = self.sites.try_out(Rc::clone(&trial.site), now);
            self.tell_trial(id);
            trial.state = State::Running(id, now + TRIAL_MAX);
            running += 1;
        }
        let is_over = |trial: &Trial| matches!(trial.state, State::Works(_) | State::Fails(..));
        if self.phase != Phase::Serving || reload.trials.iter().all(is_over) {
            return self.end_reload(reload, now);
        }
        self.reload = Some(reload);
    }

    pub(super) fn tell_trial(&mut self, id: SiteId) {
        if let (Some(front), Some(site)) = (&mut self.front, self.sites.of(id)) {
            front.tell(&ToFront::Trial(vec![site.entry(id)]), &[]);
        }
    }

    /// The sites that another front has to try, or to know: those that have come through, too.
    pub(super) fn tried(&self) -> Vec<SiteId> {
        let trials = self.reload.iter().flat_map(|reload| &reload.trials);
        let tried = trials.filter_map(|trial| match trial.state {
            State::Running(id, _) | State::Works(id) => Some(id),
            State::Waiting | State::Fails(..) => None,
        });
        tried.collect()
    }

    /// What came of a trial, if one of this site is running.
    pub(super) fn trial_ended(&mut self, id: SiteId, outcome: Result<(), &str>) {
        let trials = self.reload.iter_mut().flat_map(|reload| &mut reload.trials);
        for trial in trials {
            if matches!(trial.state, State::Running(tried, _) if tried == id) {
                trial.state = match outcome {
                    Ok(()) => State::Works(id),
                    Err(text) => State::Fails(id, text.to_owned()),
                };
            }
        }
    }

    /// Change the table, all at once, and tell whoever has asked.
    fn end_reload(&mut self, reload: Reload, now: Instant) {
        let (mut gone, mut report) = (reload.gone, reload.report);
        let mut tried = Vec::new();
        for trial in reload.trials {
            let name = &trial.site.name;
            match trial.state {
                State::Works(id) => {
                    gone.extend(self.sites.listed_as(name));
                    tried.push(id);
                }
                State::Fails(id, why) => {
                    gone.push(id);
                    self.log.error(format_args!(
                        "reload: site {name} goes on as it was, for with its new settings {why}"
                    ));
                    let told = report.sites.iter_mut().find(|one| one.name == *name);
                    let told = told.map(|one| &mut one.change);
                    told.into_iter()
                        .for_each(|change| *change = Change::Kept(why.clone()));
                }
                // The server is being stopped.
                State::Waiting => {}
                State::Running(id, _) => gone.push(id),
            }
        }
        self.change_table(&gone, reload.new, &tried, now);
        let listed = self.sites.listed().map(|(_, site)| Rc::clone(&site.config));
        self.server.sites = listed.collect();
        self.change_rules(self.server.egress(), now);
        let count = |meant: fn(&Change) -> bool| {
            let sites = report.sites.iter();
            sites.filter(|site| meant(&site.change)).count()
        };
        self.log.information(format_args!(
            "reloaded: {} sites are new, {} changed, {} gone, {} could not be changed, {} are as before",
            count(|change| *change == Change::Added),
            count(|change| *change == Change::Changed),
            count(|change| *change == Change::Removed),
            count(|change| matches!(change, Change::Kept(_))),
            report.unchanged,
        ));
        if reload.is_asked {
            self.report = Some(report);
        }
    }

    /// Its user stays until a restart: the queue is that user's.
    fn change_mail(&mut self, next: Option<Mail>) {
        let user = self.server.mail.take().map(|mail| mail.user);
        self.server.mail = next.map(|next| Mail {
            user: user.unwrap_or(next.user),
            ..next
        });
        self.tell_mail_policy();
    }
}

pub(super) fn refusal(why: &str) -> Report {
    let mut report = Report::new(Outcome::Refused);
    report.notes.push(why.to_owned());
    report
}

pub(super) fn problems(errors: &Errors) -> Report {
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

const STOPPING: &str = "the server is being stopped";
/// What the front has to say of a site whose PHP does not come up.
pub(super) const PHP_FAILED: &str =
    "PHP did not start (its own words are in the site's error.log, the sandbox's in server.log)";
/// From the start of a sandbox to the first worker: a fraction of a second, more where everything is slow.
const TRIAL_MAX: Duration = Duration::from_secs(30);
/// Sandboxes that are started at once beside those that serve.
const TRIALS_AT_ONCE: usize = 8;
