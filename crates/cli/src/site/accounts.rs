//! Users and groups of sites: what the system has, and making and deleting them with Debian's own programs.

use std::fs;
use std::time::{Duration, Instant};

use hostel_config::Server;
use hostel_sys::cred::{User, group};

use super::programs::{GROUPADD, GROUPDEL, USERADD, USERDEL, about_users};
use super::trouble::Trouble;

/// A user as the system has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: User,
    /// The comment, by which users that were made here are known.
    pub(crate) about: String,
    pub(crate) shell: String,
    /// Whether its primary group exists.
    pub(crate) has_group: bool,
}

impl Account {
    /// The user of this name, if there is one.
    pub(crate) fn find(name: &str) -> Result<Option<Self>, Trouble> {
        let user = User::by_name(name).map_err(|error| Trouble::of(&error))?;
        let Some(user) = user else { return Ok(None) };
        let has_group = group(user.gid).map_err(|error| Trouble::of(&error))?;
        // What another source than the file has of it is not known: such a user was not made here.
        let passwd = fs::read("/etc/passwd").unwrap_or_default();
        let passwd = String::from_utf8_lossy(&passwd);
        let line = passwd
            .lines()
            .find(|line| line.split(':').next() == Some(name));
        let field = |place| {
            let field = line.and_then(|line| line.split(':').nth(place));
            field.unwrap_or_default().to_owned()
        };
        Ok(Some(Self {
            user,
            about: field(4),
            shell: field(6),
            has_group: has_group.is_some(),
        }))
    }

    /// Whether `hostel site` has made it, as far as the system's own entry tells.
    pub(crate) fn was_made_here(&self) -> bool {
        self.about.starts_with(ABOUT)
    }

    /// Whether somebody can log in as it.
    pub(crate) fn can_log_in(&self) -> bool {
        let none = [
            "",
            "/usr/sbin/nologin",
            "/sbin/nologin",
            "/bin/false",
            "/usr/bin/false",
        ];
        !none.contains(&self.shell.as_str())
    }
}

/// Whether there is a group of this name.
pub(crate) fn is_group(name: &str) -> bool {
    let groups = fs::read("/etc/group").unwrap_or_default();
    let groups = String::from_utf8_lossy(&groups);
    groups
        .lines()
        .any(|line| line.split(':').next() == Some(name))
}

/// Make a user with a group of its own.
pub(super) fn make(
    server: &Server,
    site: &str,
    name: &str,
    home: &str,
    shell: Option<&str>,
) -> Result<(), Trouble> {
    let about = format!("{ABOUT} {site}");
    let uid_min = format!("UID_MIN={}", server.uid_min.max(PEOPLE_FIRST));
    let gid_min = format!("GID_MIN={}", server.gid_min.max(PEOPLE_FIRST));
    let made = about_users(
        USERADD,
        &[
            "--user-group",
            "--no-create-home",
            "--no-log-init",
            "--home-dir",
            home,
            "--shell",
            shell.unwrap_or("/usr/sbin/nologin"),
            "--comment",
            &about,
            "--key",
            &uid_min,
            "--key",
            &gid_min,
            // A site starts no containers.
            "--key",
            "SUB_UID_COUNT=0",
            "--key",
            "SUB_GID_COUNT=0",
            "--",
            name,
        ],
    );
    if made.is_ok() {
        return made;
    }
    // One that an interrupted run has started may have done it meanwhile, or be about to write the group.
    let begun = Instant::now();
    loop {
        match Account::find(name)? {
            Some(account) if !account.was_made_here() => return made,
            Some(account) if account.has_group => return Ok(()),
            Some(account) if begun.elapsed() >= GROUP_WITHIN => return make_group(&account.user),
            Some(_) => std::thread::sleep(Duration::from_millis(20)),
            None => return made,
        }
    }
}

/// Make the group that a user lacks whose making was interrupted.
pub(super) fn make_group(user: &User) -> Result<(), Trouble> {
    let gid = user.gid.to_string();
    let made = about_users(GROUPADD, &["--gid", &gid, "--", &user.name]);
    // A useradd that outlived its interrupted run may have made it meanwhile.
    match group(user.gid) {
        Ok(Some(group)) if group.name == user.name => Ok(()),
        Ok(_) | Err(_) => made,
    }
}

/// Delete a user, and its group. A userdel that outlived its interrupted run may do the same meanwhile.
pub(super) fn delete(name: &str) -> Result<(), Trouble> {
    if Account::find(name)?.is_some()
        && let Err(trouble) = about_users(USERDEL, &["--", name])
        && Account::find(name)?.is_some()
    {
        return Err(trouble);
    }
    // userdel has done it, unless the user is gone and the group was left by an interrupted run.
    if is_group(name)
        && let Err(trouble) = about_users(GROUPDEL, &["--", name])
        && is_group(name)
    {
        return Err(trouble);
    }
    Ok(())
}

/// How the comment of a user that was made here begins.
const ABOUT: &str = "Hostel site";
/// useradd writes the group right after the user.
const GROUP_WITHIN: Duration = Duration::from_secs(2);
/// The system's own users have lower numbers. There are too few of those for many sites.
const PEOPLE_FIRST: u32 = 1000;
