//! Which backups are forgotten: those that `keep_daily` and the like in `[backup]` leave over, and what never became whole.
//!
//! restic decides by its own rules which manifests stay; a part stays while the manifest of its run does. A manifest goes before its parts, so that
//! what is interrupted here leaves parts without a manifest, which the next run forgets.

use std::collections::HashSet;

use super::make::machine;
use super::manifest::{Snapshot, snapshots};
use super::restic::Repository;
use crate::site::report::Report;
use crate::site::trouble::Trouble;

/// Of the backups of this host. Nobody else may be making one of it meanwhile.
pub(super) fn forget(
    repository: &Repository,
    host: &str,
    keep: &[(&'static str, u32)],
    report: &mut Report,
) -> Result<(), Trouble> {
    let all = snapshots(repository, report)?;
    let own: Vec<&Snapshot> = all.iter().filter(|one| one.host == host).collect();
    let old = match keep {
        [] => HashSet::new(),
        keep => removed(repository, host, keep, report)?,
    };
    let is_old = |one: &&&Snapshot| one.manifest.is_some() && old.contains(&one.id);
    let manifests: Vec<&Snapshot> = own.iter().filter(is_old).copied().collect();
    let whole = own
        .iter()
        .filter(|one| one.manifest.is_some() && !old.contains(&one.id));
    let whole: HashSet<(&str, &str)> = whole
        .map(|one| (one.site.as_str(), one.run.as_str()))
        .collect();
    // Another host of this name may be at work on a run of its own.
    let ours = format!("{}-", machine());
    let is_left = |one: &&&Snapshot| {
        one.manifest.is_none()
            && one.run.starts_with(&ours)
            && !whole.contains(&(one.site.as_str(), one.run.as_str()))
    };
    let parts: Vec<&Snapshot> = own.iter().filter(is_left).copied().collect();
    if manifests.is_empty() && parts.is_empty() {
        return Ok(());
    }
    for gone in [&manifests, &parts] {
        for some in gone.chunks(IDS_MAX) {
            let mut arguments = vec!["forget", "--quiet"];
            arguments.extend(some.iter().map(|one| one.id.as_str()));
            repository.ask_alone(&arguments, report)?;
        }
    }
    repository.ask_alone(&["prune", "--quiet"], report)?;
    let runs: HashSet<(&str, &str)> = parts
        .iter()
        .map(|one| (one.site.as_str(), one.run.as_str()))
        .collect();
    let half = runs.len().saturating_sub(manifests.len());
    let mut words = format!("forget {} older backups", manifests.len());
    if half > 0 {
        words.push_str(&format!(" and {half} that never became whole"));
    }
    report.step(words);
    report.value(
        "forgotten",
        manifests
            .iter()
            .map(|one| one.id.clone())
            .collect::<Vec<_>>(),
    );
    Ok(())
}

/// The manifests that restic would remove by these rules.
fn removed(
    repository: &Repository,
    host: &str,
    keep: &[(&'static str, u32)],
    report: &Report,
) -> Result<HashSet<String>, Trouble> {
    let mut arguments: Vec<String> = [
        "forget",
        "--dry-run",
        "--json",
        "--tag",
        "hostel",
        "--host",
        host,
    ]
    .map(str::to_owned)
    .to_vec();
    // The one file of a manifest is named by its site.
    arguments.extend(["--group-by", "paths"].map(str::to_owned));
    for (what, number) in keep {
        arguments.extend([format!("--keep-{what}"), number.to_string()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let groups = repository.ask_json(&arguments, report)?;
    let groups = groups.as_array().into_iter().flatten();
    let ids = groups
        .filter_map(|group| group["remove"].as_array())
        .flatten()
        .filter_map(|one| one["id"].as_str().map(str::to_owned));
    Ok(ids.collect())
}

/// The rules, for people.
pub(super) fn in_words(keep: &[(&'static str, u32)]) -> String {
    let rules = keep
        .iter()
        .map(|(what, number)| format!("the last {number} ({what})"));
    rules.collect::<Vec<_>>().join(", ")
}

/// A command line has room for more.
const IDS_MAX: usize = 500;
