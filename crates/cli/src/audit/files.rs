//! What a walk has seen, as findings: one for each kind, however many files it is about.
//!
//! Commands that touch what a site can rename run as the site's user. Those that only root can run name home itself, whose
//! parents are root's, or walk with find's -execdir and change only what belongs to the foreign owner.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hostel_config::Site;

use super::checks::Check;
use super::disk;
use super::finding::Finding;
use super::record::{Kind, Seen};
use super::sandbox::Walked;
use super::shell;

/// All findings of a walk. `closes_home` is the command of `hostel site` that keeps others out, where it would.
pub(super) fn judge(site: &Site, walked: &Walked, closes_home: Option<&str>) -> Vec<Finding> {
    let end = match &walked.end {
        Ok(end) => end,
        Err(reason) => {
            let what = format!("the files of {} were not looked at: {reason}", site.home);
            return vec![Finding::new(Check::NotExamined, what)];
        }
    };
    let mut findings = Vec::new();
    for kind in Kind::ALL {
        let count = end.counts.get(kind.place()).copied().unwrap_or(0);
        let seen: Vec<&Seen> = walked
            .seen
            .iter()
            .filter(|seen| seen.kind == kind)
            .collect();
        if let (Some(first), true) = (seen.first(), count > 0) {
            let count = count.max(seen.len() as u64);
            let mut found = finding(site, kind, count, first, &seen);
            if matches!(kind, Kind::Readable | Kind::Writable) {
                let command = closes_home.map_or_else(|| close_home(site), str::to_owned);
                found.mend = Some(command);
            }
            findings.push(found);
        }
    }
    if !end.stopped.is_empty() {
        let what = format!("only {} files were looked at: {}", end.files, end.stopped);
        findings.push(Finding::new(Check::NotExamined, what).path(site.home.clone()));
    }
    findings
}

fn finding(site: &Site, kind: Kind, count: u64, first: &Seen, seen: &[&Seen]) -> Finding {
    let (check, one, many) = words(kind);
    let mut what = match count {
        1 => one.to_owned(),
        _ => format!("{count} {many}"),
    };
    if !first.text.is_empty() {
        let text = String::from_utf8_lossy(&first.text);
        what.push_str(&format!(", the first: {text}"));
    }
    let shown = |seen: &&Seen| String::from_utf8_lossy(&whole(site, seen)).into_owned();
    Finding {
        check,
        what,
        count,
        paths: seen.iter().take(PATHS_SHOWN).map(shown).collect(),
        mend: mend(site, kind, seen),
    }
}

/// The check of a kind, and what one and several of it are called.
#[rustfmt::skip]
fn words(kind: Kind) -> (Check, &'static str, &'static str) {
    match kind {
        Kind::Acl => (Check::Acl, "an access list lets somebody in", "access lists let somebody in"),
        Kind::Closed => (Check::ClosedDirectory, "a directory that its site cannot read", "directories that their site cannot read"),
        Kind::HardLink => (Check::HardLink, "a hard link to another user's file", "hard links to other users' files"),
        Kind::LinkOut => (Check::LinkLeadsOut, "a link leads out of home", "links lead out of home"),
        Kind::LinkSystem => (Check::LinkToSystem, "a link to a file of the system", "links to files of the system"),
        Kind::LogWritable => (Check::LogWritable, "a log that others can write", "logs that others can write"),
        Kind::NotCounted => (Check::NotCounted, "a directory that home_bytes_max does not count", "directories that home_bytes_max does not count"),
        Kind::Readable => (Check::ReadableByOthers, "a file or directory that others can read", "files and directories that others can read"),
        Kind::SecretReadable => (Check::SecretReadable, "a secret that others can read", "secrets that others can read"),
        Kind::SecretServed => (Check::SecretServed, "a secret beneath the document root", "secrets beneath the document root"),
        Kind::SetIdForeign => (Check::SetIdForeign, "another user's set-id program", "other users' set-id programs"),
        Kind::SetIdOwn => (Check::SetIdOwn, "a set-id program of the site's own", "set-id programs of the site's own"),
        Kind::Writable => (Check::WritableByOthers, "a file or directory that others can write", "files and directories that others can write"),
        Kind::WrongOwner => (Check::WrongOwner, "a file of another user", "files of other users"),
    }
}

fn mend(site: &Site, kind: Kind, seen: &[&Seen]) -> Option<String> {
    let paths: Vec<Vec<u8>> = seen.iter().map(|seen| whole(site, seen)).collect();
    let paths = shell::words(paths.iter().map(Vec::as_slice));
    let as_user = |command: &str| format!("runuser -u {} -- {command} -- {paths}", site.user.name);
    let home = shell::word(site.home.as_bytes());
    match kind {
        Kind::SecretReadable => Some(as_user("chmod go-rwx")),
        Kind::LogWritable => Some(as_user("chmod go-w")),
        // Home itself may be root's.
        Kind::Acl if seen.iter().any(|seen| seen.path.is_empty()) => {
            Some(format!("setfacl -b {home}"))
        }
        Kind::Acl => Some(as_user("setfacl -b")),
        Kind::SetIdOwn => Some(as_user("chmod ug-s")),
        Kind::HardLink | Kind::LinkOut => Some(as_user("rm -f")),
        Kind::SecretServed => Some(format!(
            "runuser -u {user} -- mkdir -p -m 0700 {home}/.private && runuser -u {user} -- mv -n -t {home}/.private -- {paths}",
            user = site.user.name
        )),
        // chown takes set-id bits away.
        Kind::SetIdForeign => Some(take_over(site, seen, "-type f -perm /6000 ")),
        Kind::WrongOwner => Some(take_over(site, seen, "")),
        Kind::NotCounted => disk::home_project(site).map(|project| count(site, project)),
        Kind::Closed | Kind::LinkSystem | Kind::Readable | Kind::Writable => None,
    }
}

/// Give what belongs to the foreign owners to the site: by root, who alone can. find stands in the directory of each file and
/// chown follows no link, so nothing that the site renames meanwhile leads elsewhere.
fn take_over(site: &Site, seen: &[&Seen], which: &str) -> String {
    let owners: BTreeSet<u32> = seen.iter().map(|seen| seen.uid).collect();
    let (home, user) = (shell::word(site.home.as_bytes()), &site.user.name);
    let commands: Vec<String> = owners
        .iter()
        .map(|uid| {
            format!("find -P {home} -xdev {which}-uid {uid} -execdir chown -h --from={uid} {user}: '{{}}' +")
        })
        .collect();
    commands.join(" && ")
}

/// Put everything that the site owns in its home into its project: as the site's user, outside of its sandbox, where that is allowed.
fn count(site: &Site, project: u32) -> String {
    let home = shell::word(site.home.as_bytes());
    let find = format!(
        "runuser -u {} -- find -P {home} -xdev -user {0}",
        site.user.name
    );
    format!(
        "{find} -type d -exec chattr -f +P -p {project} '{{}}' + ; {find} -type f -exec chattr -f -p {project} '{{}}' +"
    )
}

/// What `hostel site` does not do: members of the site's own group are let in on purpose, perhaps, and root's own home is an administrator's choice.
fn close_home(site: &Site) -> String {
    let home = shell::word(site.home.as_bytes());
    let (uid, gid) = (site.user.uid.0, site.user.gid.0);
    match Path::new(&site.home).symlink_metadata() {
        Ok(metadata) if metadata.uid() == uid => format!("chmod go-rwx {home}"),
        // Root's own, which the site comes into by its group.
        Ok(metadata) if metadata.gid() == gid && metadata.mode() & 0o010 != 0 => {
            format!("chmod o-rwx {home}")
        }
        _ => format!("chown {}: {home} && chmod 0700 {home}", site.user.name),
    }
}

fn whole(site: &Site, seen: &Seen) -> Vec<u8> {
    if seen.path.is_empty() {
        return site.home.clone().into_bytes();
    }
    [site.home.as_bytes(), b"/", &seen.path].concat()
}

/// Paths of one finding that are listed; its command names all that were sent.
const PATHS_SHOWN: usize = 10;
