//! What the processes of a server hold: memory, descriptors, sockets.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

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
    pss_mb_of(&group.processes())
}

/// The memory of these processes.
pub(crate) fn pss_mb_of(processes: &[String]) -> f64 {
    let kilobytes = processes.iter().filter_map(|id| pss_kilobytes(id));
    kilobytes.sum::<f64>() * 1024.0 / 1e6
}

/// The memory of the group's processes, where files in memory that one of them has mapped count whole and once: PSS has only those of
/// their pages that somebody looked at through a mapping.
pub(crate) fn with_files_mb(group: &Group) -> f64 {
    let mut files: HashMap<(u64, u64), u64> = HashMap::new();
    let mut bytes = 0.0;
    for process in group.processes() {
        let Some(kilobytes) = pss_kilobytes(&process) else {
            continue;
        };
        let smaps = fs::read_to_string(format!("/proc/{process}/smaps")).unwrap_or_default();
        let mapped = files_in_memory(&smaps);
        bytes += (kilobytes - mapped.iter().map(|(_, kilobytes)| kilobytes).sum::<f64>()) * 1024.0;
        for (range, _) in mapped {
            // A mapping that is gone by now has no file to add.
            if let Ok(file) = fs::metadata(format!("/proc/{process}/map_files/{range}")) {
                files.insert((file.dev(), file.ino()), file.blocks() * 512);
            }
        }
    }
    (bytes + files.values().sum::<u64>() as f64) / 1e6
}

/// Of the text of an smaps: the range of each mapping of a file in memory, and its part of the PSS in kilobytes.
fn files_in_memory(smaps: &str) -> Vec<(&str, f64)> {
    let mut mapped = Vec::new();
    let mut range = None;
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if first == "Pss:" {
            let kilobytes = words.next().and_then(|word| word.parse().ok());
            mapped.extend(range.zip(kilobytes));
        } else if !first.ends_with(':') {
            range = line.contains(" /memfd:").then_some(first);
        }
    }
    mapped
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mappings_of_files_in_memory_are_taken_for_such() {
        let smaps = "5500-5600 rw-p 00000000 00:00 0      [heap]\nPss:    100 kB\nVmFlags: rd wr\n\
            7f00-7f10 r--s 00000000 00:01 77   /memfd:image (deleted)\nSize: 40 kB\nPss:  12 kB\nPss_Dirty: 3 kB\n\
            7f20-7f30 r-xp 00000000 08:01 78   /usr/lib/libphp.so\nPss:  50 kB\n";
        assert_eq!(files_in_memory(smaps), [("7f00-7f10", 12.0)]);
    }
}
