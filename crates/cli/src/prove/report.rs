//! What `hostel prove` prints: a table for people, a document for programs.

use hostel_config::Site;
use serde_json::{Value, json};

use super::attack::{Attack, Group};
use super::attacks;
use super::outcome::Outcome;
use super::scene::Verdict;
use crate::output;

/// What one site's attacks came to.
pub(crate) struct SiteReport {
    pub(crate) site: String,
    pub(crate) victim: Option<String>,
    pub(crate) attacks: Vec<(&'static Attack, Verdict)>,
}

impl SiteReport {
    pub(crate) fn new(site: &Site, victim: Option<&Site>) -> Self {
        Self {
            site: site.name.clone(),
            victim: victim.map(|victim| victim.name.clone()),
            attacks: Vec::new(),
        }
    }

    fn count(&self, is_counted: impl Fn(&Outcome) -> bool) -> usize {
        let outcomes = self.attacks.iter().map(|(_, verdict)| &verdict.outcome);
        outcomes.filter(|outcome| is_counted(outcome)).count()
    }
}

/// Whether anything got through.
pub(crate) fn has_got_through(reports: &[SiteReport]) -> bool {
    let through = |outcome: &Outcome| *outcome == Outcome::GotThrough;
    reports.iter().any(|report| report.count(through) > 0)
}

/// For programs.
pub(crate) fn document(reports: &[SiteReport]) -> Value {
    let sites: Vec<Value> = reports
        .iter()
        .map(|report| {
            let attacks: Vec<Value> = report
                .attacks
                .iter()
                .map(|(attack, verdict)| attack_document(attack, verdict))
                .collect();
            json!({ "site": report.site, "victim": report.victim, "attacks": attacks })
        })
        .collect();
    let counts: serde_json::Map<String, Value> = OUTCOMES
        .iter()
        .map(|name| {
            let of_name = |outcome: &Outcome| outcome.name() == *name;
            let count: usize = reports.iter().map(|report| report.count(of_name)).sum();
            ((*name).to_owned(), count.into())
        })
        .collect();
    json!({ "sites": sites, "counts": counts })
}

/// The table, for programs.
pub(crate) fn list() -> Value {
    let attacks = attacks::all().map(|attack| {
        json!({
            "id": attack.id,
            "group": attack.group.name(),
            "title": attack.title,
            "layers": stoppers(attack),
        })
    });
    attacks.collect()
}

/// What stands in an attack's way, by name.
pub(crate) fn stoppers(attack: &Attack) -> Vec<&'static str> {
    let stoppers = attack.stoppers.iter();
    stoppers.map(|stopper| stopper.name()).collect()
}

/// An attack as the table has it and how it went.
pub(crate) fn attack_document(attack: &Attack, verdict: &Verdict) -> Value {
    json!({
        "id": attack.id,
        "group": attack.group.name(),
        "title": attack.title,
        "outcome": verdict.outcome.name(),
        "why": verdict.outcome.why(),
        "layers": stoppers(attack),
        "evidence": verdict.evidence,
        "seconds": (verdict.duration.as_secs_f64() * 1000.0).round() / 1000.0,
    })
}

/// For people: what was not stopped, one by one; then the counts.
pub(crate) fn print(reports: &[SiteReport]) {
    for report in reports {
        let heading = match &report.victim {
            Some(victim) => format!("{} attacks {victim} and the server", report.site),
            None => format!("{} attacks the server; there is no other site", report.site),
        };
        output::line(&heading);
        let unusual = report
            .attacks
            .iter()
            .filter(|(_, verdict)| verdict.outcome != Outcome::Stopped);
        for (attack, verdict) in unusual {
            let why = verdict.outcome.why().unwrap_or(&verdict.evidence);
            output::line(&format!(
                "  {}: {} ({}): {why}",
                verdict.outcome.name(),
                attack.title,
                attack.id
            ));
        }
        output::line("");
    }
    let mut rows = vec![
        ["GROUP", "ATTACKS"]
            .into_iter()
            .map(str::to_owned)
            .chain(OUTCOMES.map(str::to_uppercase))
            .collect::<Vec<_>>(),
    ];
    for group in Group::ALL {
        rows.push(row(reports, group.name(), |attack| attack.group == group));
    }
    rows.push(row(reports, "all", |_| true));
    output::table(&rows);
}

fn row(reports: &[SiteReport], name: &str, is_of: impl Fn(&Attack) -> bool) -> Vec<String> {
    let of_group = || {
        reports
            .iter()
            .flat_map(|report| &report.attacks)
            .filter(|(attack, _)| is_of(attack))
    };
    let count = |name: &&str| {
        let of_name = of_group().filter(|(_, verdict)| verdict.outcome.name() == *name);
        of_name.count().to_string()
    };
    [name.to_owned(), of_group().count().to_string()]
        .into_iter()
        .chain(OUTCOMES.iter().map(count))
        .collect()
}

/// By name, the good one first.
const OUTCOMES: [&str; 4] = ["stopped", "got through", "not stopped here", "not tried"];
