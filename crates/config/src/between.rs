//! What two sites may not share, and what no site may share with the server.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::errors::{Error, Fault};
use crate::site::CheckedSite;
use crate::table::Server;

/// Everything that collides.
pub(crate) fn check(server: &Server, sites: &[CheckedSite]) -> Vec<Error> {
    let mut errors = Vec::new();
    domains(sites, &mut errors);
    users(server, sites, &mut errors);
    homes(server, sites, &mut errors);
    errors
}

/// What is no error and yet weaker than it looks, one line each.
///
/// Users with one primary group reach each other's files wherever something of theirs runs outside of Hostel (a shell, cron):
/// what is group-readable, the logs among it. Inside of a site's view there is no file of another.
pub fn warnings(server: &Server) -> Vec<String> {
    let mut groups = BTreeMap::<u32, BTreeMap<u32, &str>>::new();
    for site in &server.sites {
        let users = groups.entry(site.user.gid.0).or_default();
        users.entry(site.user.uid.0).or_insert(&site.name);
    }
    groups.retain(|_, users| users.len() > 1);
    let warning = |(gid, users): (u32, BTreeMap<u32, &str>)| {
        let count = users.len();
        let mut names: Vec<_> = users.values().map(|name| format!("'{name}'")).collect();
        names.truncate(NAMES_MAX);
        let more = if count > NAMES_MAX { ", …" } else { "" };
        format!(
            "the users of {count} sites ({}{more}) share the primary group {gid}: outside of Hostel each can read what the others' groups may, logs too (hint: give each a group of its own, as useradd --user-group does)",
            names.join(" and ")
        )
    };
    groups.into_iter().map(warning).collect()
}

fn domains(sites: &[CheckedSite], errors: &mut Vec<Error>) {
    let mut owners = HashMap::<&str, (&CheckedSite, Option<u32>)>::new();
    for checked in sites {
        for (domain, line) in checked.site.domains.iter().zip(&checked.domain_lines) {
            let Some((owner, first)) = owners.get(domain.as_str()) else {
                owners.insert(domain, (checked, *line));
                continue;
            };
            let fault = Fault::new(format!(
                "the domain '{domain}' belongs to {}:{} already",
                name_of(&owner.file),
                first.unwrap_or_default()
            ));
            let fault = fault.hint("remove it from one of the two places");
            errors.push(at(checked, *line, fault));
        }
    }
}

fn users(server: &Server, sites: &[CheckedSite], errors: &mut Vec<Error>) {
    let mut owners = HashMap::<u32, &CheckedSite>::new();
    for checked in sites {
        let user = &checked.site.user;
        if user.uid.0 == u32::MAX {
            continue; // there is no such user, which has been said
        }
        let line = checked.user_line;
        if user.uid == server.user.uid || user.gid == server.user.gid {
            let fault = Fault::new(format!(
                "a site cannot run as '{}': it has the user or the group of the front ('{}')",
                user.name, server.user.name
            ));
            errors.push(at(
                checked,
                line,
                fault.hint("give the site a user of its own"),
            ));
        }
        let Some(owner) = owners.get(&user.uid.0) else {
            owners.insert(user.uid.0, checked);
            continue;
        };
        if !(owner.share_user && checked.share_user) {
            let fault = Fault::new(format!(
                "the user '{}' belongs to the site of {} already; the two could read and change each other",
                user.name,
                name_of(&owner.file)
            ));
            let hint =
                "give each site a user of its own, or write 'share_user = true' in both files";
            errors.push(at(checked, line, fault.hint(hint)));
        }
    }
}

fn homes(server: &Server, sites: &[CheckedSite], errors: &mut Vec<Error>) {
    let mut by_home = BTreeMap::<&Path, &CheckedSite>::new();
    for checked in sites {
        let home = Path::new(&checked.site.home);
        let line = checked.home_line;
        for (what, directory) in [
            ("the sites' configuration", server.sites_directory.as_path()),
            ("'state'", &server.state),
            ("'logs'", &server.logs),
            ("'run'", &server.run),
            // Whoever writes it decides what the PHP of every site runs.
            ("'php_ini'", Path::new(&server.php_ini_directory)),
        ] {
            if directory.starts_with(home) || home.starts_with(directory) {
                let fault = Fault::new(format!(
                    "the home {} and {what} ({}) lie within each other",
                    home.display(),
                    directory.display()
                ));
                errors.push(at(
                    checked,
                    line,
                    fault.hint("no site may reach what is the server's"),
                ));
            }
        }
        let Some(other) = by_home.get(home) else {
            by_home.insert(home, checked);
            continue;
        };
        // Two sites of one user may share a home as they share everything else.
        if other.site.user.uid != checked.site.user.uid {
            let fault = Fault::new(format!(
                "the home {} belongs to the site of {} already",
                home.display(),
                name_of(&other.file)
            ));
            errors.push(at(
                checked,
                line,
                fault.hint("give each site a home of its own"),
            ));
        }
    }
    for (home, checked) in &by_home {
        for ancestor in home.ancestors().skip(1) {
            let Some(outer) = by_home.get(ancestor) else {
                continue;
            };
            let fault = Fault::new(format!(
                "the home {} lies within {}, the home of the site of {}",
                home.display(),
                ancestor.display(),
                name_of(&outer.file)
            ));
            let line = checked.home_line;
            errors.push(at(checked, line, fault.hint("put homes side by side")));
        }
    }
}

fn at(checked: &CheckedSite, line: Option<u32>, fault: Fault) -> Error {
    Error {
        line,
        ..fault.of(&checked.file)
    }
}

fn name_of(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// So many names stand in one line.
const NAMES_MAX: usize = 8;
