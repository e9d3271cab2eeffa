//! What stands beside a home that is restored, and in it.
//!
//! Run as root, by names and owners alone, in a directory of root's.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hostel_config::Site;

use crate::site::trouble::Trouble;

/// What interrupted runs have left beside a home.
pub(super) struct Beside {
    /// Unpacked, whole, and of another backup than the one that is wanted now.
    pub(super) other_backups: Vec<PathBuf>,
    /// Homes that were there, and still are the site's user's.
    pub(super) not_taken: Vec<PathBuf>,
}

impl Beside {
    pub(super) fn look(site: &Site, whole: &Path) -> Result<Self, Trouble> {
        let home = Path::new(&site.home);
        let parent = home.parent().unwrap_or(Path::new("/"));
        let own_name = home.file_name().unwrap_or_default().to_string_lossy();
        let unpacked = format!(".{own_name}.{UNPACKED}");
        let replaced = format!(".{own_name}.{BEFORE}");
        let mut beside = Self {
            other_backups: Vec::new(),
            not_taken: Vec::new(),
        };
        let entries = fs::read_dir(parent).map_err(Trouble::at("read", parent))?;
        for entry in entries {
            let entry = entry.map_err(Trouble::at("read", parent))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                continue;
            };
            let path = entry.path();
            let is_id = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
            // Not a date that somebody has written by hand.
            let is_time = |text: &str| text.len() >= 10 && text.parse::<u64>().is_ok();
            let list = if name.strip_prefix(&unpacked).is_some_and(is_id) && path != whole {
                &mut beside.other_backups
            } else if name.strip_prefix(&replaced).is_some_and(is_time) {
                &mut beside.not_taken
            } else {
                continue;
            };
            let metadata = entry.metadata().map_err(Trouble::at("look at", &path))?;
            if metadata.is_dir() && metadata.uid() == site.user.uid.0 {
                list.push(path);
            }
        }
        beside.other_backups.sort();
        beside.not_taken.sort();
        Ok(beside)
    }
}

/// Another site, of whatever user, whose home is in that of this one: in a home of root's it may be.
pub(super) fn within<'s>(sites: &'s [Rc<Site>], site: &Site) -> Option<&'s Rc<Site>> {
    sites
        .iter()
        .find(|other| other.name != site.name && Path::new(&other.home).starts_with(&site.home))
}

/// After the home's name: unpacked and whole, before the number of the backup.
pub(super) const UNPACKED: &str = "hostel-restored-";
/// After the home's name: what was there, before the time.
pub(super) const BEFORE: &str = "before-";

#[cfg(test)]
mod tests {
    use super::*;
    use hostel_config::fixtures;
    use hostel_sys::cred::Uid;

    #[test]
    fn a_home_that_holds_that_of_another_site_stays_where_it_is() {
        let sites = ["blog", "blog2", "inner"].map(|name| {
            let mut site = fixtures::site(name, 1000);
            if name == "inner" {
                site.home = "/srv/blog/inner".to_owned();
            }
            Rc::new(site)
        });
        let found = |site: &Site| within(&sites, site).map(|other| other.name.clone());
        assert_eq!(found(&sites[0]).as_deref(), Some("inner"));
        assert_eq!(found(&sites[1]), None);
        assert_eq!(found(&sites[2]), None);
    }

    #[test]
    fn what_interrupted_runs_have_left_is_found_beside_the_home() {
        let parent = std::env::temp_dir().join(format!("hostel-beside-{}", std::process::id()));
        let at = |name: &str| parent.join(name);
        for name in [
            "blog",
            ".blog.hostel-restored-0123abcd",
            ".blog.hostel-restored-4567abcd",
            ".blog.before-1800000000",
            ".blog.before-1700000000",
            // A copy of somebody's, and what other sites have.
            ".blog.before-20270101",
            ".blog.before-the-relaunch",
            ".blog2.before-1700000000",
        ] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at(".blog.before-1600000000"), "no directory").unwrap();
        let mut site = fixtures::site("blog", Uid::effective().0);
        site.home = at("blog").display().to_string();
        let whole = at(".blog.hostel-restored-0123abcd");
        let beside = Beside::look(&site, &whole).unwrap();
        assert_eq!(beside.other_backups, [at(".blog.hostel-restored-4567abcd")]);
        let before = ["1700000000", "1800000000"];
        assert_eq!(
            beside.not_taken,
            before.map(|time| at(&format!(".blog.before-{time}")))
        );
        // Those of another owner were taken, or are not this site's.
        site.user.uid = Uid(Uid::effective().0 + 1);
        let beside = Beside::look(&site, &whole).unwrap();
        assert!(beside.other_backups.is_empty() && beside.not_taken.is_empty());
        fs::remove_dir_all(parent).unwrap();
    }
}
