//! The processes of a site, as the host's /proc shows them.
//!
//! Everything that runs in a site descends from its keeper: process 1 of the site's namespace adopts what loses its parent.

use std::collections::HashMap;
use std::fs;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// The effective user.
    pub(crate) uid: u32,
    /// As the kernel has it, at most 15 bytes, and as the process chose it: escaped.
    pub(crate) name: String,
    /// Resident memory in KiB; 0 for one that has ended but was not yet waited for.
    pub(crate) resident_kib: u64,
}

/// All processes of the host that can be seen.
pub(crate) fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| {
            // A process may end at any moment: then it is not one of them.
            let status = fs::read(format!("/proc/{pid}/status")).ok()?;
            parse(pid, &String::from_utf8_lossy(&status))
        })
        .collect()
}

/// `top` and everything beneath it, parents before children.
pub(crate) fn tree(all: &[Process], top: u32) -> Vec<Process> {
    let mut children = HashMap::<u32, Vec<&Process>>::new();
    for process in all {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found: Vec<Process> = all
        .iter()
        .filter(|process| process.pid == top)
        .cloned()
        .collect();
    let mut next = 0;
    while let Some(process) = found.get(next) {
        let below = children.remove(&process.pid).unwrap_or_default();
        found.extend(below.into_iter().cloned());
        next += 1;
    }
    found
}

fn parse(pid: u32, status: &str) -> Option<Process> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.strip_prefix(':')?.trim())
    };
    let numbers = |name: &str| field(name).map(|value| value.split_whitespace());
    Some(Process {
        pid,
        parent: field("PPid")?.parse().ok()?,
        uid: numbers("Uid")?.nth(1)?.parse().ok()?,
        name: field("Name")?.escape_debug().to_string(),
        resident_kib: numbers("VmRSS")
            .and_then(|mut numbers| numbers.next()?.parse().ok())
            .unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32) -> Process {
        Process {
            pid,
            parent,
            uid: 1000,
            name: "x".to_owned(),
            resident_kib: 1,
        }
    }

    #[test]
    fn this_test_is_a_process() {
        let me = std::process::id();
        let found = all().into_iter().find(|process| process.pid == me).unwrap();
        assert!(found.resident_kib > 0);
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        let text = "Name:\tevil\x1b[2J\nUmask:\t0022\nPPid:\t7\nUid:\t1\t2\t3\t4\n";
        let found = parse(9, text).unwrap();
        assert_eq!((found.parent, found.uid, found.resident_kib), (7, 2, 0));
        assert_eq!(found.name, "evil\\u{1b}[2J");
    }

    #[test]
    fn a_tree_is_everything_beneath() {
        let all = [
            process(1, 0),
            process(5, 1),
            process(7, 6),
            process(6, 5),
            process(8, 1),
        ];
        let pids: Vec<_> = tree(&all, 5).iter().map(|process| process.pid).collect();
        assert_eq!(pids, [5, 6, 7]);
        assert!(tree(&all, 99).is_empty());
    }
}
