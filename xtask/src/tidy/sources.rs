//! Rules for every Rust file.

use std::collections::BTreeMap;
use std::path::Path;

use super::{files, read, shown};
use crate::run::Result;

/// The only crates with `unsafe`. The probe is no part of the server: it is the attacker, and makes calls that no library offers.
const UNSAFE_CRATES: [&str; 4] = [
    "crates/sys/",
    "crates/php/",
    "crates/rewind/",
    "crates/probe/",
];
/// Programs are started by sys alone (as a site, after the drop), but for the one that becomes the monitor, for Debian's own
/// that make users (as root) and archives (as a site), and for the set-user-id program by which the probe tries to become root.
const STARTS_A_PROGRAM: [&str; 4] = [
    "crates/sys/src/",
    "crates/cli/src/commands/serve.rs",
    "crates/cli/src/site/programs.rs",
    "crates/probe/src/privileges.rs",
];
/// A longer file is one noun too many, unless it is listed in the ratchet.
const LINES_MAX: usize = 600;
/// Files that are longer, each with its length: `lines path`. It may only shrink.
const RATCHET: &str = "xtask/long-files";

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let mut long = ratchet(root)?;
    for path in files(root, ".rs")? {
        let (name, text) = (shown(root, &path), read(&path)?);
        if name.starts_with("fuzz/") {
            continue;
        }
        let is_test = name.contains("/tests/") || name.ends_with("tests.rs");
        if !is_test && !text.starts_with("//!") {
            complaints.push(format!("{name}: must begin with the module's doc (//!)"));
        }
        let may_be_unsafe = UNSAFE_CRATES.iter().any(|part| name.starts_with(part));
        if !may_be_unsafe && has_unsafe(&text) {
            complaints.push(format!(
                "{name}: `unsafe` belongs into crates/sys, crates/php, crates/rewind or crates/probe"
            ));
        }
        let is_root = name.ends_with("src/lib.rs") || name.ends_with("src/main.rs");
        let is_product = name.starts_with("crates/") || name.starts_with("xtask/");
        if is_root && is_product && !may_be_unsafe && !text.contains("#![forbid(unsafe_code)]") {
            complaints.push(format!(
                "{name}: this crate root must say #![forbid(unsafe_code)]"
            ));
        }
        let may_start = STARTS_A_PROGRAM.iter().any(|part| name.starts_with(part));
        let is_shipped = name.starts_with("crates/") && name.contains("/src/") && !is_test;
        if is_shipped && !may_start && text.contains("process::Command") {
            complaints.push(format!("{name}: programs are started by hostel-sys alone"));
        }
        complaints.extend(marks(&name, &text));
        let lines = text
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .count();
        let allowed = long.remove(&name);
        match allowed {
            None if lines > LINES_MAX && !is_test => complaints.push(format!(
                "{name}: {lines} lines without tests; over {LINES_MAX} is a question for review: split it, or list it in {RATCHET}"
            )),
            Some(allowed) if lines > allowed => complaints.push(format!(
                "{name}: has grown to {lines} lines; {RATCHET} allows {allowed}"
            )),
            Some(allowed) if lines < allowed => complaints.push(format!(
                "{name}: has shrunk to {lines} lines; say so in {RATCHET}, where it has {allowed}"
            )),
            _ => {}
        }
    }
    let gone = long
        .keys()
        .map(|name| format!("{RATCHET}: {name} does not exist"));
    complaints.extend(gone);
    Ok(complaints)
}

fn ratchet(root: &Path) -> Result<BTreeMap<String, usize>> {
    let path = root.join(RATCHET);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let text = read(&path)?;
    let entry = |line: &str| {
        let (lines, name) = line.split_once(' ')?;
        Some((name.to_owned(), lines.parse().ok()?))
    };
    Ok(text.lines().filter_map(entry).collect())
}

fn has_unsafe(text: &str) -> bool {
    let code = text
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with("//"));
    code.map(|line| line.replace("\\\"", ""))
        .map(|line| line.split('"').step_by(2).collect::<String>())
        .any(|line| {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            words.any(|word| word == "unsafe")
        })
}

/// Unfinished work and silenced tests name the issue in which they are finished.
fn marks(name: &str, text: &str) -> Vec<String> {
    let unfinished =
        ["TO", "FIX"].map(|start| format!("{start}{}", if start == "TO" { "DO" } else { "ME" }));
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| {
            let marked = unfinished.iter().any(|mark| line.contains(mark.as_str()));
            let ignored = line.trim_start().starts_with("#[ignore");
            (marked || ignored) && !line.contains('#') | (ignored && !line.contains("\"#"))
        })
        .map(|(number, _)| format!("{name}:{}: must name an issue (#123)", number + 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_code_is_seen_and_talk_of_it_is_not() {
        for code in [
            "unsafe { x() }",
            "    pub unsafe fn x() {}",
            "unsafe impl Send for X {}",
        ] {
            assert!(has_unsafe(code), "{code}");
        }
        for code in [
            "// unsafe { }",
            "/// unsafe",
            "let x = \"unsafe {\";",
            "#![forbid(unsafe_code)]",
        ] {
            assert!(!has_unsafe(code), "{code}");
        }
    }

    #[test]
    fn marks_name_an_issue() {
        let todo = format!("// {}{}: later", "TO", "DO");
        assert_eq!(marks("x", &todo).len(), 1);
        assert!(marks("x", &format!("{todo} (#12)")).is_empty());
        assert_eq!(marks("x", "#[ignore]").len(), 1);
        assert!(marks("x", "#[ignore = \"#12\"]").is_empty());
    }
}
