//! Who links what, compared with what cargo would build.

use std::collections::BTreeSet;
use std::path::Path;

use super::read;
use crate::run::{Result, cargo, output};

/// Each crate, and which of ours it may depend on.
const TABLE: [(&str, &[&str]); 15] = [
    ("hostel-wire", &[]),
    ("hostel-sys", &[]),
    ("hostel-config", &["hostel-sys", "hostel-wire"]),
    (
        "hostel-monitor",
        &["hostel-config", "hostel-sys", "hostel-wire"],
    ),
    ("hostel-firewall", &["hostel-sys", "hostel-wire"]),
    ("hostel-front", &["hostel-sys", "hostel-wire"]),
    // It starts sandboxes at times, by the monitor's own code.
    (
        "hostel-jobs",
        &[
            "hostel-config",
            "hostel-monitor",
            "hostel-sys",
            "hostel-wire",
        ],
    ),
    ("hostel-keeper", &["hostel-sys", "hostel-wire"]),
    ("hostel-mail", &["hostel-sys", "hostel-wire"]),
    (
        "hostel-php",
        &["hostel-rewind", "hostel-sys", "hostel-wire"],
    ),
    ("hostel-probe", &[]),
    ("hostel-rewind", &[]),
    ("hostel-resolver", &["hostel-sys", "hostel-wire"]),
    ("hostel-sendmail", &["hostel-sys", "hostel-wire"]),
    // The command line starts sandboxes too, for `hostel prove`: by the monitor's own code, or it would prove something else.
    (
        "hostel-cli",
        &[
            "hostel-config",
            "hostel-firewall",
            "hostel-monitor",
            "hostel-sys",
            "hostel-wire",
        ],
    ),
];
/// The reviewed list of what the program that runs as root depends on.
const REVIEWED: &str = "crates/monitor/DEPENDENCIES";
/// No HTTP, TLS, async runtime or derive of parsers in root's program, not even by way of another crate.
const NOT_ROOTS: [&str; 10] = [
    "clap",
    "h2",
    "httparse",
    "hyper",
    "lettre",
    "mail-parser",
    "rustls",
    "serde",
    "serde_json",
    "tokio",
];

/// Neither in what starts jobs, which is root too. It writes JSON for `hostel status` and reads none.
const NOT_JOBS: [&str; 6] = [
    "clap",
    "h2",
    "hickory-resolver",
    "httparse",
    "rustls",
    "tokio",
];

/// Neither in the firewall, which is root too. It writes JSON for nft and reads none.
const NOT_FIREWALLS: [&str; 6] = [
    "clap",
    "h2",
    "hickory-resolver",
    "httparse",
    "tokio",
    "toml",
];

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for (name, allowed) in TABLE {
        for dependency in tree(name, &["--depth", "1"])? {
            let ours = dependency.starts_with("hostel-");
            if ours && !allowed.contains(&dependency.as_str()) {
                complaints.push(format!("{name} must not depend on {dependency}"));
            }
            if name == "hostel-wire" {
                complaints.push(format!(
                    "hostel-wire depends on std alone, not on {dependency}"
                ));
            }
        }
    }
    let reviewed: BTreeSet<String> = names(&read(&root.join(REVIEWED))?);
    let linked = tree("hostel-monitor", &["--depth", "1"])?;
    if reviewed != linked {
        complaints.push(format!(
            "{REVIEWED} lists {reviewed:?}, but cargo links {linked:?}"
        ));
    }
    for (program, forbidden) in [
        ("hostel-monitor", &NOT_ROOTS[..]),
        ("hostel-firewall", &NOT_FIREWALLS),
        ("hostel-jobs", &NOT_JOBS),
    ] {
        for name in tree(program, &[])? {
            if forbidden.contains(&name.as_str()) {
                complaints.push(format!(
                    "{name} is linked into {program}, which is root's; it must not be"
                ));
            }
        }
    }
    Ok(complaints)
}

/// What a crate links, without itself: no build scripts, no macros, no tests.
fn tree(name: &str, more: &[&str]) -> Result<BTreeSet<String>> {
    let edges = [
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "--format",
        "{lib}|{p}",
    ];
    let text = output(cargo(&["tree", "--package", name]).args(edges).args(more))?;
    let package = |line: &str| Some(line.split_once('|')?.1.split(' ').next()?.to_owned());
    let mut found: BTreeSet<String> = text.lines().filter_map(package).collect();
    found.remove(name);
    Ok(found)
}

/// The first word of each line that is not a comment.
fn names(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reviewed_list_has_one_name_a_line() {
        let found = names("# why\n\nlibc 0.2  C's types\nrustix\n");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["libc", "rustix"]);
    }
}
