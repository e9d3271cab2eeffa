//! Rules for every document: one title, and what it names exists.

use std::path::Path;

use super::{files, read, shown};
use crate::run::Result;

/// How a path of the repository begins.
const PLACES: [&str; 9] = [
    "crates/",
    "docs/",
    "e2e/",
    "bench/",
    "xtask/",
    "examples/",
    "fuzz/",
    ".ci/",
    "vm/",
];

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for path in files(root, ".md")? {
        let (name, text) = (shown(root, &path), read(&path)?);
        let prose = without_blocks(&text);
        let titles = prose.lines().filter(|line| line.starts_with("# ")).count();
        if titles != 1 {
            complaints.push(format!("{name}: has {titles} titles (# …) instead of one"));
        }
        for cited in quoted(&prose).filter(|text| is_path(text)) {
            if !exists(root, cited) {
                complaints.push(format!("{name}: `{cited}` does not exist"));
            }
        }
        for link in links(&prose).filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap_or(link);
            let directory = path.parent().unwrap_or(root);
            if !directory.join(file).exists() {
                complaints.push(format!("{name}: the link to {link} leads nowhere"));
            }
        }
    }
    Ok(complaints)
}

/// Whether there is such a file, and in it the name that may stand behind `::`.
fn exists(root: &Path, cited: &str) -> bool {
    match cited.split_once("::") {
        Some((file, symbol)) => read(&root.join(file)).is_ok_and(|text| text.contains(symbol)),
        None => root.join(cited).exists(),
    }
}

/// The text without its code blocks.
fn without_blocks(text: &str) -> String {
    let mut inside = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// What stands between backticks.
fn quoted(prose: &str) -> impl Iterator<Item = &str> {
    prose.split('`').skip(1).step_by(2)
}

/// The targets of `[text](target)`.
fn links(prose: &str) -> impl Iterator<Item = &str> {
    let parts = prose.split("](").skip(1);
    parts.filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

/// A path of the repository, and no pattern or placeholder.
fn is_path(text: &str) -> bool {
    let is_pattern = text.contains(['*', '<', '{', ' ', '…']) || text.contains("NAME");
    PLACES.iter().any(|place| text.starts_with(place)) && !is_pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_links_are_found_in_prose_alone() {
        let text = "# A\n```\n# not a title `crates/none`\n```\nSee `crates/sys/src/lib.rs`, `x`, [b](docs/b.md#c).\n";
        let prose = without_blocks(text);
        let paths: Vec<_> = quoted(&prose).filter(|text| is_path(text)).collect();
        assert_eq!(paths, ["crates/sys/src/lib.rs"]);
        assert_eq!(links(&prose).collect::<Vec<_>>(), ["docs/b.md#c"]);
    }
}
