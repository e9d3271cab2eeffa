//! The /etc/passwd and /etc/group of a view: the system's entries and the site's user alone.
//!
//! Used by [`view`](crate::view) in the monitor. Pure text. It trusts the host's files (root's) and passes on only what a
//! program could need: no passwords, no members of groups, nobody who is another site's user.

use std::fmt::Write;

use crate::cred::User;

/// Numbers from here on are people, and sites.
const FIRST_PERSON: u32 = 1000;
/// The one number above that is the system's.
const NOBODY: u32 = 65534;

/// The text of /etc/passwd. `is_site` says whether a number belongs to a site.
pub(crate) fn passwd(host: &str, site: &User, is_site: &dyn Fn(u32) -> bool) -> String {
    let mut text = String::new();
    for line in host.lines().filter(|line| is_system(line, is_site)) {
        let fields: Vec<&str> = line.split(':').collect();
        if let [name, _, uid, gid, about, home, shell] = fields[..]
            && uid != site.uid.to_string()
            && name != site.name
        {
            line_of(&mut text, &[name, "x", uid, gid, about, home, shell]);
        }
    }
    let home = site.home.to_string_lossy();
    let (uid, gid) = (site.uid.to_string(), site.gid.to_string());
    line_of(
        &mut text,
        &[&site.name, "x", &uid, &gid, "", &home, "/bin/sh"],
    );
    text
}

/// The text of /etc/group; `group` is the name of the site's group.
pub(crate) fn group(host: &str, site: &User, group: &str, is_site: &dyn Fn(u32) -> bool) -> String {
    let mut text = String::new();
    for line in host.lines().filter(|line| is_system(line, is_site)) {
        let fields: Vec<&str> = line.split(':').collect();
        if let [name, _, gid, _] = fields[..]
            && gid != site.gid.to_string()
            && name != group
        {
            line_of(&mut text, &[name, "x", gid, ""]);
        }
    }
    line_of(&mut text, &[group, "x", &site.gid.to_string(), ""]);
    text
}

/// By the number of a line, of which most may be people's: those are taken apart no further.
fn is_system(line: &str, is_site: &dyn Fn(u32) -> bool) -> bool {
    let number = line.split(':').nth(2).map(str::parse);
    let is_system = |number: u32| (number < FIRST_PERSON || number == NOBODY) && !is_site(number);
    matches!(number, Some(Ok(number)) if is_system(number))
}

fn line_of(text: &mut String, fields: &[&str]) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", fields.join(":"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cred::{Gid, Uid};

    fn blog() -> User {
        User {
            name: "blog".into(),
            uid: Uid(1001),
            gid: Gid(998),
            home: "/srv/blog".into(),
        }
    }

    #[test]
    fn people_and_other_sites_do_not_appear() {
        let host = "root:x:0:0:root:/root:/bin/bash\n\
                    shop:x:997:997::/srv/shop:/bin/sh\n\
                    anna:x:1000:1000:Anna:/home/anna:/bin/bash\n\
                    blog:x:1001:998:somebody:/elsewhere:/bin/bash\n\
                    not a line\n\
                    nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
        let text = passwd(host, &blog(), &|uid| uid == 997);
        assert_eq!(
            text,
            "root:x:0:0:root:/root:/bin/bash\n\
             nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
             blog:x:1001:998::/srv/blog:/bin/sh\n"
        );
    }

    #[test]
    fn groups_have_no_members() {
        let host =
            "root:x:0:\nadm:x:4:anna,shop\nshop:x:997:shop\nanna:x:1000:\nsites:x:998:anna\n";
        let text = group(host, &blog(), "sites", &|gid| gid == 997);
        assert_eq!(text, "root:x:0:\nadm:x:4:\nsites:x:998:\n");
    }
}
