//! Whether anything bounds what a site can put on the disk.

use std::path::Path;

use hostel_config::{QUOTA_HINT, Server, Site};
use hostel_sys::quota::{self, Tree, is_enforced_at};

use super::checks::Check;
use super::finding::Finding;

/// Home, and the site's temporary files.
pub(super) fn examine(server: &Server, site: &Site) -> Vec<Finding> {
    let mut findings = Vec::new();
    let home = &site.home;
    let unbounded = match (is_enforced_at(Path::new(home)), site.limits.home_bytes_max) {
        (false, _) => Some(format!(
            "its file system has no project quotas ({QUOTA_HINT})"
        )),
        (true, None) => Some("its file has no 'home_bytes_max'".to_owned()),
        (true, Some(_)) => None,
    };
    if let Some(why) = unbounded {
        let what = format!("nothing bounds the home: {why}");
        findings.push(Finding::new(Check::DiskNotBounded, what).path(home.clone()));
    }
    if !is_enforced_at(&server.state) {
        let what = format!(
            "nothing hard bounds its temporary files: the file system of 'state' has no project quotas ({QUOTA_HINT})"
        );
        let path = server.state.display().to_string();
        findings.push(Finding::new(Check::TemporaryNotBounded, what).path(path));
    }
    findings
}

/// The project that everything in a site's home belongs to, where the kernel holds it to a bound.
pub(super) fn home_project(site: &Site) -> Option<u32> {
    let is_bounded = site.limits.home_bytes_max.is_some() && is_enforced_at(Path::new(&site.home));
    is_bounded.then(|| quota::project(Tree::Home, site.user.uid))?
}
