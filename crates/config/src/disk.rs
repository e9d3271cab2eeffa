//! Which of a configuration's bounds on the disk no kernel holds, since the file systems have no project quotas: then the keeper
//! looks after temporary files, and nothing after a home. It asks the file systems, and looks at no file of a site.

use std::path::Path;

use hostel_sys::quota;

use crate::table::Server;

/// One line for each bound, with a hint at the mount option that changes it.
pub fn disk_warnings(server: &Server) -> Vec<String> {
    let mut texts = Vec::new();
    if !quota::is_enforced_at(&server.state) {
        let state = server.state.display();
        texts.push(format!(
            "temporary files of sites are bounded by removing the oldest once a minute: {state} has no project quotas ({QUOTA_HINT})"
        ));
    }
    for site in &server.sites {
        let is_bounded = site.limits.home_bytes_max.is_some();
        if is_bounded && !quota::is_enforced_at(Path::new(&site.home)) {
            let (name, home) = (&site.name, &site.home);
            texts.push(format!(
                "site {name}: nothing holds its home to 'home_bytes_max': {home} has no project quotas ({QUOTA_HINT})"
            ));
        }
    }
    texts
}

/// What to do about a file system without.
pub const QUOTA_HINT: &str = "hint: ext4 made with -O quota,project, or xfs, mounted with prjquota";
