//! The three lists as text, and as a document for programs.

use serde_json::{Value, json};

use super::Imported;
use super::ledger::List;

/// The lists and what else there is to do, line by line.
pub(crate) fn lines(imported: &Imported) -> Vec<String> {
    let mut lines = Vec::new();
    for list in List::ALL {
        let entries: Vec<_> = imported.ledger.of(list).collect();
        if entries.is_empty() {
            continue;
        }
        lines.push(format!("{}:", title(list)));
        for (place, entry) in entries {
            lines.push(format!(
                "  {}:{}: {}",
                place.file, place.line, entry.directive
            ));
            lines.push(format!("      {}", entry.text));
        }
        lines.push(String::new());
    }
    if !imported.ledger.advice().is_empty() {
        lines.push("before the sites can start:".to_owned());
        lines.extend(
            imported
                .ledger
                .advice()
                .iter()
                .map(|text| format!("  {text}")),
        );
        lines.push(String::new());
    }
    lines.push(summary(imported));
    lines
}

/// One line.
pub(crate) fn summary(imported: &Imported) -> String {
    let count = |list| imported.ledger.of(list).count();
    let all = imported.ledger.entries().count();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    format!(
        "{} site{}; {all} directive{}: {} carried over, {} not needed here, {} not supported",
        imported.sites.len(),
        plural(imported.sites.len()),
        plural(all),
        count(List::Carried),
        count(List::NotNeeded),
        count(List::NotSupported),
    )
}

/// The same for programs; `problems` is what hostel-config says against the files.
pub(crate) fn document(imported: &Imported, problems: &[String]) -> Value {
    let list = |list| -> Vec<Value> {
        let entries = imported.ledger.of(list);
        entries
            .map(|(place, entry)| {
                json!({
                    "file": &*place.file,
                    "line": place.line,
                    "directive": entry.directive,
                    "text": entry.text,
                })
            })
            .collect()
    };
    let sites: Vec<Value> = imported
        .sites
        .iter()
        .map(|site| {
            json!({
                "name": site.name,
                "user": site.user,
                "user_exists": !site.user_is_missing,
                "domains": site.domains,
                "home": site.home,
                "toml": site.text,
            })
        })
        .collect();
    json!({
        "sites": sites,
        "carried_over": list(List::Carried),
        "not_needed": list(List::NotNeeded),
        "not_supported": list(List::NotSupported),
        "to_do": imported.ledger.advice(),
        "problems": problems,
    })
}

fn title(list: List) -> &'static str {
    match list {
        List::Carried => "carried over",
        List::NotNeeded => "not needed here",
        List::NotSupported => "not supported",
    }
}
