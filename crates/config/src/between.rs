//! What two sites may not share, and what no site may share with the server.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::errors::{Error, Fault};
use crate::site::CheckedSite;
use crate::table::Server;

/// Everything that collides.
pub(crate) fn check(server: &Server, sites: &[Rc<CheckedSite>]) -> Vec<Error> {
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

fn domains(sites: &[Rc<CheckedSite>], errors: &mut Vec<Error>) {
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

fn users(server: &Server, sites: &[Rc<CheckedSite>], errors: &mut Vec<Error>) {
    let servers = [
        ("the front", Some(&server.user)),
        (
            "the mail broker",
            server.mail.as_ref().map(|mail| &mail.user),
        ),
        ("backups", server.backup.as_ref().map(|backup| &backup.user)),
    ];
    let mut owners = HashMap::<u32, &CheckedSite>::new();
    for checked in sites {
        let user = &checked.site.user;
        if user.uid.0 == u32::MAX {
            continue; // there is no such user, which has been said
        }
        let line = checked.user_line;
        let servers = servers
            .iter()
            .filter_map(|(whose, other)| Some((whose, (*other)?)));
        for (whose, other) in servers {
            if user.uid == other.uid || user.gid == other.gid {
                let fault = Fault::new(format!(
                    "a site cannot run as '{}': it has the user or the group of {whose} ('{}')",
                    user.name, other.name
                ));
                let fault = fault.hint("give the site a user of its own");
                errors.push(at(checked, line, fault));
            }
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

fn homes(server: &Server, sites: &[Rc<CheckedSite>], errors: &mut Vec<Error>) {
    let of_server = OfServer::new(server);
    let mut by_home = HashMap::<&str, &CheckedSite>::with_capacity(sites.len());
    for checked in sites {
        let home = checked.site.home.as_str();
        let line = checked.home_line;
        if of_server.may_collide(home) {
            collisions(server, checked, errors);
        }
        let Some(other) = by_home.get(home) else {
            by_home.insert(home, checked);
            continue;
        };
        // Two sites of one user may share a home as they share everything else.
        if other.site.user.uid != checked.site.user.uid {
            let fault = Fault::new(format!(
                "the home {home} belongs to the site of {} already",
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
        for ancestor in above(home) {
            let Some(outer) = by_home.get(ancestor) else {
                continue;
            };
            let fault = Fault::new(format!(
                "the home {home} lies within {ancestor}, the home of the site of {}",
                name_of(&outer.file)
            ));
            let line = checked.home_line;
            errors.push(at(checked, line, fault.hint("put homes side by side")));
        }
    }
}

/// What is the server's, and no site may reach.
fn directories(server: &Server) -> [(&'static str, &Path); 5] {
    [
        ("the sites' configuration", &server.sites_directory),
        ("'state'", &server.state),
        ("'logs'", &server.logs),
        ("'run'", &server.run),
        // Whoever writes it decides what the PHP of every site runs.
        ("'php_ini'", Path::new(&server.php_ini_directory)),
    ]
}

fn collisions(server: &Server, checked: &CheckedSite, errors: &mut Vec<Error>) {
    let home = Path::new(&checked.site.home);
    for (what, directory) in directories(server) {
        if directory.starts_with(home) || home.starts_with(directory) {
            let fault = Fault::new(format!(
                "the home {} and {what} ({}) lie within each other",
                home.display(),
                directory.display()
            ));
            let fault = fault.hint("no site may reach what is the server's");
            errors.push(at(checked, checked.home_line, fault));
        }
    }
}

/// The server's directories, such that a home far from all of them is known for that at once: there may be ten thousand.
struct OfServer {
    directories: [PathBuf; 5],
    and_above: HashSet<Vec<u8>>,
}

impl OfServer {
    fn new(server: &Server) -> Self {
        // Without what means nothing in a path, such as a slash at its end.
        let whole = |(_, directory): (_, &Path)| directory.components().collect();
        let directories: [PathBuf; 5] = directories(server).map(whole);
        let and_above = directories.iter().flat_map(|one| one.ancestors());
        Self {
            and_above: and_above
                .map(|one| one.as_os_str().as_bytes().to_vec())
                .collect(),
            directories,
        }
    }

    fn may_collide(&self, home: &str) -> bool {
        let is_within = |directory: &PathBuf| {
            // Bytes first: a path is compared part by part, which takes long.
            let bytes = directory.as_os_str().as_bytes();
            home.as_bytes().starts_with(bytes) && Path::new(home).starts_with(directory)
        };
        self.and_above.contains(home.as_bytes()) || self.directories.iter().any(is_within)
    }
}

/// What a home lies in, from the outside inwards, without `/`, which is no home. A home has one slash between two names and none at its end.
fn above(home: &str) -> impl Iterator<Item = &str> {
    let ends = home.match_indices('/').skip(1);
    ends.filter_map(|(end, _)| home.get(..end))
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
