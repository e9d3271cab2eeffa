//! Users and groups: sites that share one, and who else is in a site's group, as /etc/passwd and /etc/group list them.

use std::collections::BTreeSet;
use std::fs;

use hostel_config::{Server, Site};
use hostel_sys::cred::{Gid, group_name};

use super::checks::Check;
use super::finding::Finding;

/// What is wrong with the user and the group of a site.
pub(super) fn examine(server: &Server, site: &Site) -> Vec<Finding> {
    let mut findings = Vec::new();
    let others = server.sites.iter().filter(|other| other.name != site.name);
    let same_user: Vec<&str> = others
        .filter(|other| other.user.uid == site.user.uid)
        .map(|other| other.name.as_str())
        .collect();
    if !same_user.is_empty() {
        let (user, sites) = (&site.user.name, same_user.join(", "));
        let file = server.sites_directory.join(format!("{}.toml", site.name));
        let what =
            format!("user {user} is that of {sites} too: give 'user' in this file another one");
        findings.push(Finding::new(Check::UserShared, what).path(file.display().to_string()));
    }
    let members = other_members(site);
    if !members.is_empty() {
        let gid = site.user.gid;
        let group = name_of(gid);
        let (user, members) = (
            &site.user.name,
            members.into_iter().collect::<Vec<_>>().join(", "),
        );
        let what = format!("its group {group} has other members: {members}");
        // A group of its own; files beneath home that were the old group's stay with it, which a closed home makes harmless.
        let own = if group == *user {
            format!("{user}-own")
        } else {
            user.clone()
        };
        let command = format!("groupadd --force {own} && usermod --gid {own} {user}");
        findings.push(Finding::new(Check::PrimaryGroupShared, what).mend(command));
    }
    findings
}

/// Users besides the site's own and root that are members of the site's group, by listing or as their primary group.
pub(super) fn other_members(site: &Site) -> BTreeSet<String> {
    let read = |path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let passwd = read("/etc/passwd").unwrap_or_default();
    let group = read("/etc/group").unwrap_or_default();
    members(&passwd, &group, site.user.gid.0, &site.user.name)
}

fn members(passwd: &str, group: &str, gid: u32, own: &str) -> BTreeSet<String> {
    let field = |line: &str, place| line.split(':').nth(place).map(str::to_owned);
    let has_group = |line: &&str, place| field(line, place) == Some(gid.to_string());
    let primary = passwd.lines().filter(|line| has_group(line, 3));
    let primary = primary.filter_map(|line| field(line, 0));
    let listed = group.lines().filter(|line| has_group(line, 2));
    let listed = listed.filter_map(|line| field(line, 3)).collect::<Vec<_>>();
    let listed = listed.iter().flat_map(|names| names.split(','));
    let names = primary.chain(listed.map(str::to_owned));
    let is_other = |name: &String| !name.is_empty() && name != own && name != "root";
    names.filter(is_other).collect()
}

fn name_of(gid: Gid) -> String {
    group_name(gid)
        .ok()
        .flatten()
        .unwrap_or_else(|| gid.to_string())
}

#[cfg(test)]
mod tests {
    use super::members;

    #[test]
    fn members_are_listed_or_have_it_as_their_own() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\nblog:x:1000:1000::/:/bin/sh\nshop:x:1001:1000::/:/bin/sh\n";
        let group = "root:x:0:\nblog:x:1000:blog,www-data,root\nother:x:1002:cron\n";
        let found = members(passwd, group, 1000, "blog");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["shop", "www-data"]);
        assert!(members(passwd, group, 1003, "blog").is_empty());
    }
}
