//! What runs as root stays small.

use std::path::Path;

/// Direct dependencies at most.
const DEPENDENCIES_MAX: usize = 5;
/// Lines of source without tests at most. It was 2,000 until root also put limits around sites, and handed the launching of a
/// sandbox to `hostel prove` as a documented library; and 2,600 until it answered an administrator on a socket, tried a changed site
/// before it took the place of the old one, went on as another program, ran commands in sandboxes, looked after helpers for jobs and mail,
/// and spoke to systemd's watchdog.
const LINES_MAX: usize = 4400;

pub(crate) fn dependencies() {
    let listed: Vec<&str> = include_str!("../../DEPENDENCIES")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let manifest = include_str!("../../Cargo.toml");
    let section = manifest.split("[dependencies]").nth(1).unwrap();
    let linked: Vec<&str> = section
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .collect();
    assert_eq!(listed, linked);
    assert!(linked.len() <= DEPENDENCIES_MAX);
}

pub(crate) fn lines() {
    let lines = count(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(lines > 500, "only {lines} lines found");
    assert!(lines <= LINES_MAX, "{lines} lines, at most {LINES_MAX}");
}

fn count(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            if path.is_dir() {
                return count(&path);
            }
            let text = std::fs::read_to_string(path).unwrap();
            text.lines()
                .take_while(|line| *line != "#[cfg(test)]")
                .count()
        })
        .sum()
}
