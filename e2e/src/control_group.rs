//! Whether this kernel can bound a site as a whole, and the groups with which it does.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::Process;

/// Where control groups are mounted.
pub const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Whether there is cgroup v2 with all controllers that Hostel uses. HOSTEL_EXPECT_CGROUP=2 demands it: then it is an error that
/// there is not.
pub fn has_control_groups() -> bool {
    let controllers = fs::read_to_string(Path::new(CONTROL_GROUPS).join("cgroup.controllers"));
    let controllers = controllers.unwrap_or_default();
    let has = |name| controllers.split_whitespace().any(|one| one == name);
    let all = ["memory", "cpu", "pids", "io"].into_iter().all(has);
    if let Ok(expected) = std::env::var("HOSTEL_EXPECT_CGROUP") {
        assert_eq!(expected, "2", "HOSTEL_EXPECT_CGROUP is 2 or not set");
        assert!(
            all,
            "{CONTROL_GROUPS} has no cgroup v2 with memory, cpu, pids and io"
        );
    }
    println!("control groups: {all}");
    all
}

/// The control group of a process.
pub fn group_of(process: &Process) -> PathBuf {
    let file = format!("/proc/{}/cgroup", process.pid);
    let text = fs::read_to_string(file).expect("/proc");
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    Path::new(CONTROL_GROUPS).join(path.expect("a group of version 2"))
}

/// The groups of sandboxes in that of an instance.
pub fn site_groups(base: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| path.to_string_lossy().contains("/site-"))
        .collect()
}
