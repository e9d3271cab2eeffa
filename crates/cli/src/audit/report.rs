//! The result, for people and for programs. Everything that a site could have chosen is escaped here.

use serde_json::{Value, json};

use super::checks::{Severity, in_a_word, score};
use super::finding::Finding;
use crate::output::{self, escape};

/// Everything that was found.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) host: Vec<Finding>,
    pub(super) sites: Vec<SiteReport>,
}

/// What was found about one site.
#[derive(Debug)]
pub(super) struct SiteReport {
    pub(super) name: String,
    /// How many files were looked at, if they were.
    pub(super) files: Option<u64>,
    pub(super) findings: Vec<Finding>,
}

impl Report {
    /// The worst severity of all.
    pub(super) fn worst(&self) -> Option<Severity> {
        let sites = self.sites.iter().flat_map(|site| &site.findings);
        sites
            .chain(&self.host)
            .map(|finding| finding.check.rule().severity)
            .max()
    }

    pub(super) fn print(&self) {
        print_part("host", &self.host);
        for site in &self.sites {
            let files = site
                .files
                .map_or_else(String::new, |files| format!(", {files} files"));
            print_part(&format!("site {}{files}", site.name), &site.findings);
        }
        let mut rows = vec![
            ["", "SCORE", "IN A WORD", "SEVERE", "WARNINGS"]
                .map(str::to_owned)
                .to_vec(),
        ];
        rows.push(row("host", &self.host));
        rows.extend(
            self.sites
                .iter()
                .map(|site| row(&site.name, &site.findings)),
        );
        output::table(&rows);
    }

    pub(super) fn document(&self) -> Value {
        let sites: Vec<Value> = self
            .sites
            .iter()
            .map(|site| {
                let mut part = part(&site.findings);
                if let Some(part) = part.as_object_mut() {
                    part.insert("name".into(), site.name.clone().into());
                    part.insert("files".into(), site.files.into());
                }
                part
            })
            .collect();
        json!({ "host": part(&self.host), "sites": sites })
    }
}

fn print_part(head: &str, findings: &[Finding]) {
    let score = points(findings);
    output::line(&format!("{head}: {score} of 10"));
    for finding in by_severity(findings) {
        let rule = finding.check.rule();
        let severity = rule.severity.in_words();
        output::line(&format!(
            "  {severity}: {} [{}]",
            escape(&finding.what),
            rule.name
        ));
        if rule.severity > Severity::Information {
            output::line(&format!("    why: {}", rule.meaning));
        }
        for path in &finding.paths {
            output::line(&format!("    {}", escape(path)));
        }
        let more = finding.count.saturating_sub(finding.paths.len() as u64);
        if more > 0 && !finding.paths.is_empty() {
            output::line(&format!("    and {more} more"));
        }
        if let Some(command) = &finding.mend {
            output::line(&format!("    mend: {}", escape(command)));
        }
    }
    output::line("");
}

fn row(name: &str, findings: &[Finding]) -> Vec<String> {
    let count = |severity| {
        let of_it = |finding: &&Finding| finding.check.rule().severity == severity;
        findings.iter().filter(of_it).count().to_string()
    };
    let word = in_a_word(score(findings.iter().map(|finding| finding.check)));
    vec![
        name.to_owned(),
        points(findings),
        word.to_owned(),
        count(Severity::Severe),
        count(Severity::Warning),
    ]
}

fn part(findings: &[Finding]) -> Value {
    let score = score(findings.iter().map(|finding| finding.check));
    let findings: Vec<Value> = by_severity(findings)
        .into_iter()
        .map(|finding| {
            let rule = finding.check.rule();
            json!({
                "check": rule.name,
                "severity": rule.severity.in_words(),
                "weight": f64::from(rule.weight) / 10.0,
                "what": escape(&finding.what),
                "why": rule.meaning,
                "count": finding.count,
                "paths": finding.paths.iter().map(|path| escape(path)).collect::<Vec<_>>(),
                "mend": finding.mend.as_deref().map(escape),
            })
        })
        .collect();
    json!({ "score": f64::from(score) / 10.0, "in_a_word": in_a_word(score), "findings": findings })
}

fn by_severity(findings: &[Finding]) -> Vec<&Finding> {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.check.rule().severity));
    sorted
}

fn points(findings: &[Finding]) -> String {
    let score = score(findings.iter().map(|finding| finding.check));
    format!("{}.{}", score / 10, score % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::checks::Check;

    #[test]
    fn the_worst_of_all_decides() {
        let report = |checks: &[Check]| Report {
            host: Vec::new(),
            sites: vec![SiteReport {
                name: "a".into(),
                files: Some(1),
                findings: checks
                    .iter()
                    .map(|check| Finding::new(*check, "x"))
                    .collect(),
            }],
        };
        assert_eq!(report(&[]).worst(), None);
        assert_eq!(
            report(&[Check::ReadableByOthers]).worst(),
            Some(Severity::Warning)
        );
        let severe = report(&[Check::ReadableByOthers, Check::SecretReadable]);
        assert_eq!(severe.worst(), Some(Severity::Severe));
        assert_eq!(
            severe.document()["sites"][0]["findings"][0]["check"],
            "secret-readable"
        );
    }
}
