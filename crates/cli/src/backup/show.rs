//! `hostel backup list`: what is in the repository.

use std::path::Path;

use serde_json::json;

use super::make::size;
use super::manifest::snapshots;
use super::open;
use super::options::Target;
use crate::output;
use crate::site::host::{Host, MayMiss};
use crate::site::report::Report;
use crate::site::trouble::Trouble;

pub(super) fn list(
    config: &Path,
    place: &Target,
    site: Option<&str>,
    report: &mut Report,
) -> Result<(), Trouble> {
    let host = Host::load(config, MayMiss::Everybody)?;
    let repository = open(&host, place)?;
    let mut found = snapshots(&repository, report)?;
    found.retain(|one| one.manifest.is_some());
    found.retain(|one| site.is_none_or(|site| site == one.site));
    found.retain(|one| place.host.as_ref().is_none_or(|host| *host == one.host));
    let bytes = |one: &super::manifest::Snapshot| one.manifest.map_or(0, |(_, bytes)| bytes);
    if report.is_json() {
        let documents = found.iter().map(|one| {
            json!({ "site": one.site, "backup": one.id, "time": one.time, "host": one.host, "bytes": bytes(one) })
        });
        report.value("backups", documents.collect::<Vec<_>>());
        return Ok(());
    }
    let mut rows = vec![
        ["SITE", "BACKUP", "TIME (UTC)", "HOST", "SIZE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for one in &found {
        rows.push(vec![
            output::escape(&one.site),
            output::escape(one.short_id()),
            one.short_time(),
            output::escape(&one.host),
            size(bytes(one)),
        ]);
    }
    output::table(&rows);
    Ok(())
}
