//! What the processes of a server hold: memory, descriptors, sockets.

use std::fs;

use crate::cpu::Group;

/// What all processes of a server hold together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    /// Memory in megabytes (of 10^6 bytes), each shared page divided among those that share it.
    pub pss_mb: f64,
    /// How many processes.
    pub processes: u32,
    /// Open descriptors.
    pub descriptors: u32,
    /// Those of them that are sockets.
    pub sockets: u32,
}

/// Ask /proc about every process of the group; one that ends meanwhile holds nothing.
pub(crate) fn held(group: &Group) -> Held {
    let mut all = Held::default();
    for process in group.processes() {
        let Some(kilobytes) = pss_kilobytes(&process) else {
            continue;
        };
        all.processes += 1;
        all.pss_mb += kilobytes * 1024.0 / 1e6;
        for entry in fs::read_dir(format!("/proc/{process}/fd"))
            .into_iter()
            .flatten()
            .flatten()
        {
            all.descriptors += 1;
            let is_socket = fs::read_link(entry.path())
                .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"));
            all.sockets += u32::from(is_socket);
        }
    }
    all
}

/// Only the memory, which is quicker.
pub(crate) fn pss_mb(group: &Group) -> f64 {
    let processes = group.processes();
    let kilobytes = processes.iter().filter_map(|id| pss_kilobytes(id));
    kilobytes.sum::<f64>() * 1024.0 / 1e6
}

/// The processes of the group that have this name.
pub(crate) fn named(group: &Group, name: &str) -> Vec<String> {
    let mut processes = group.processes();
    processes.retain(|id| {
        fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|comm| comm.trim() == name)
    });
    processes
}

fn pss_kilobytes(process: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}
