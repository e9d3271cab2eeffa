//! `hostel backup check`: whether the repository is sound, and every backup in it whole.

use std::collections::HashMap;
use std::path::Path;

use super::manifest::snapshots;
use super::open;
use super::options::Target;
use crate::site::host::{Host, MayMiss};
use crate::site::report::Report;
use crate::site::trouble::Trouble;

pub(super) fn check(
    config: &Path,
    place: &Target,
    read_data: bool,
    report: &mut Report,
) -> Result<(), Trouble> {
    let host = Host::load(config, MayMiss::Everybody)?;
    let repository = open(&host, place)?;
    let arguments = ["check", "--quiet", "--read-data"];
    let arguments = if read_data {
        &arguments[..]
    } else {
        &arguments[..2]
    };
    repository.ask_alone(arguments, report)?;
    let all = snapshots(&repository, report)?;
    let mut parts = HashMap::<(&str, &str, &str), usize>::new();
    for one in all.iter().filter(|one| one.manifest.is_none()) {
        *parts.entry((&one.host, &one.site, &one.run)).or_default() += 1;
    }
    let mut broken = Vec::new();
    let mut whole = 0;
    for one in &all {
        let Some((expected, _)) = one.manifest else {
            continue;
        };
        let found = parts.get(&(one.host.as_str(), one.site.as_str(), one.run.as_str()));
        match found.copied().unwrap_or(0) {
            found if found >= expected => whole += 1,
            found => broken.push(format!(
                "{} of {}: {found} of {expected} parts are there",
                one.short_id(),
                one.site
            )),
        }
    }
    let data = if read_data {
        "all data was read"
    } else {
        "data was not read: --read-data"
    };
    report.note(format!(
        "{}: the repository is sound ({data}); {whole} backups are whole",
        repository.to
    ));
    report.value("whole", whole);
    report.value("broken", broken.clone());
    if broken.is_empty() {
        return Ok(());
    }
    Err(Trouble::new(broken.join("\n")).hint(
        "somebody has removed snapshots from the repository; the backups named cannot be restored",
    ))
}
