//! The server's own files: configuration, directories, logs. All of them are root's, in directories of root's.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hostel_config::{Server, Site};
use hostel_sys::cred::{Gid, Uid};

use super::checks::Check;
use super::finding::Finding;
use super::shell;
use crate::site::expect;
use crate::site::inspect::Wrong;

/// hostel.toml, the directories of the instance, its log.
pub(super) fn examine(config: &Path, server: &Server) -> Vec<Finding> {
    let mut findings: Vec<Finding> = readable(config).into_iter().collect();
    for (path, forbidden) in [
        (server.sites_directory.as_path(), 0o022),
        (&server.state, 0o022),
        (&server.logs, 0o022),
        (&server.run, 0o022),
        (&server.state.join("sites"), 0o066),
        (&server.run.join("status.sock"), 0o177),
        (&server.logs.join("server.log"), 0o137),
    ] {
        findings.extend(open(path, forbidden, Uid::ROOT, None));
    }
    findings
}

/// The site's file, and its logs. Its directories are what `hostel site` says that a site must have.
pub(super) fn examine_site(server: &Server, site: &Site) -> Vec<Finding> {
    let mut findings = Vec::new();
    let file = server.sites_directory.join(format!("{}.toml", site.name));
    findings.extend(readable(&file));
    let logs = expect::logs(server, &site.name);
    for name in ["access.log", "error.log"] {
        findings.extend(open(
            &logs.join(name),
            0o137,
            Uid::ROOT,
            Some(site.user.gid),
        ));
    }
    findings
}

/// A file of the configuration that everybody can read. That nobody else can write it, reading it has made sure of.
fn readable(path: &Path) -> Option<Finding> {
    let metadata = path.symlink_metadata().ok()?;
    (metadata.mode() & 0o004 != 0).then(|| {
        let what = format!("everybody can read {}", path.display());
        let word = word(path);
        Finding::new(Check::SettingsReadable, what)
            .mend(format!("chmod o-rwx {word}"))
            .path(path.display().to_string())
    })
}

/// Something that has bits of `forbidden`, or another owner or group than it should. What is not there is not open.
fn open(path: &Path, forbidden: u32, owner: Uid, group: Option<Gid>) -> Option<Finding> {
    let wrong = Wrong::of(path, owner, group, forbidden)?;
    let (word, mut commands) = (word(path), Vec::new());
    if let Some(owner) = wrong.owner {
        commands.push(format!("chown -h {owner} {word}"));
    }
    if let Some(group) = wrong.group {
        commands.push(format!("chgrp -h {group} {word}"));
    }
    if wrong.bits != 0 {
        commands.push(format!("chmod -{:04o} {word}", wrong.bits));
    }
    let what = format!("{} {}", path.display(), wrong.faults);
    let finding = Finding::new(Check::ServerFileOpen, what).mend(commands.join(" && "));
    Some(finding.path(path.display().to_string()))
}

fn word(path: &Path) -> String {
    shell::word(path.as_os_str().as_encoded_bytes())
}
