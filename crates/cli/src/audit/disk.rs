//! Whether anything bounds what a site can put on the disk.

use std::fs;
use std::path::Path;

use hostel_config::{Server, Site};

use super::checks::Check;
use super::finding::Finding;

/// Home, and the site's temporary files.
pub(super) fn examine(server: &Server, site: &Site) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some((place, kind)) = unbounded(Path::new(&site.home)) {
        let what = format!(
            "nothing bounds the home: {place} ({kind}) has no project quotas (mount option prjquota)"
        );
        findings.push(Finding::new(Check::DiskNotBounded, what).path(site.home.clone()));
    }
    if let Some((place, kind)) = unbounded(&server.state) {
        let what = format!(
            "nothing hard bounds its temporary files: {place} ({kind}) has no project quotas (mount option prjquota)"
        );
        findings.push(Finding::new(Check::TemporaryNotBounded, what));
    }
    findings
}

/// The mount point and kind of the file system that a path is on, if it has no project quotas.
pub(crate) fn unbounded(path: &Path) -> Option<(String, String)> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        Some((mount.split(' ').nth(4)?, source))
    });
    // The last of the longest: what was mounted later covers what was there.
    let (place, source) = mounts
        .filter(|(place, _)| path.starts_with(place))
        .max_by_key(|(place, _)| place.len())?;
    let mut fields = source.split(' ');
    let kind = fields.next().unwrap_or_default();
    let options = fields.nth(1).unwrap_or_default();
    let has_quota = options
        .split(',')
        .any(|option| ["prjquota", "pquota"].contains(&option));
    (!has_quota).then(|| (place.to_owned(), kind.to_owned()))
}
