//! The server's own files: configuration, directories, logs. All of them are root's, in directories of root's.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hostel_config::{Server, Site};

use super::checks::Check;
use super::finding::Finding;
use super::shell;

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
        findings.extend(open(path, forbidden, 0, None));
    }
    findings
}

/// The site's file, its own directories in the server's state, its logs.
pub(super) fn examine_site(server: &Server, site: &Site) -> Vec<Finding> {
    let mut findings = Vec::new();
    let file = server.sites_directory.join(format!("{}.toml", site.name));
    findings.extend(readable(&file));
    let state = server.state.join("sites").join(&site.name);
    findings.extend(open(&state, 0o066, 0, None));
    for name in ["tmp", "var-tmp", "sessions", "opcache"] {
        findings.extend(open(&state.join(name), 0o077, site.user.uid.0, None));
    }
    let logs = server.logs.join(&site.name);
    let gid = Some(site.user.gid.0);
    findings.extend(open(&logs, 0o027, 0, gid));
    for name in ["access.log", "error.log"] {
        findings.extend(open(&logs.join(name), 0o137, 0, gid));
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
fn open(path: &Path, forbidden: u32, uid: u32, gid: Option<u32>) -> Option<Finding> {
    let metadata = path.symlink_metadata().ok()?;
    let (faults, command) = faults(&metadata, path, forbidden, uid, gid);
    if faults.is_empty() {
        return None;
    }
    let what = format!("{} {}", path.display(), faults.join(" and "));
    let finding = Finding::new(Check::ServerFileOpen, what).mend(command.join(" && "));
    Some(finding.path(path.display().to_string()))
}

fn faults(
    metadata: &Metadata,
    path: &Path,
    forbidden: u32,
    uid: u32,
    gid: Option<u32>,
) -> (Vec<String>, Vec<String>) {
    let (mut faults, mut commands) = (Vec::new(), Vec::new());
    let (mode, word) = (metadata.mode() & 0o7777, word(path));
    if metadata.uid() != uid {
        faults.push(format!(
            "belongs to user {} and not to {uid}",
            metadata.uid()
        ));
        commands.push(format!("chown -h {uid} {word}"));
    }
    if let Some(gid) = gid.filter(|gid| *gid != metadata.gid()) {
        faults.push(format!(
            "belongs to group {} and not to {gid}",
            metadata.gid()
        ));
        commands.push(format!("chgrp -h {gid} {word}"));
    }
    if mode & forbidden != 0 {
        faults.push(format!("has mode {mode:04o}"));
        commands.push(format!("chmod {:04o} {word}", mode & !forbidden));
    }
    (faults, commands)
}

fn word(path: &Path) -> String {
    shell::word(path.as_os_str().as_encoded_bytes())
}
