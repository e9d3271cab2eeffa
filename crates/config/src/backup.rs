//! The table `[backup]` of hostel.toml: where backups go, and how long they are kept.
//!
//! Read by `hostel backup` and `hostel restore`, as root. What the files that it names hold is read when it is needed, by them alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hostel_sys::cred::User;

use crate::check::fine;
use crate::defaults;
use crate::errors::{Error, Fault, Report};
use crate::paths;
use crate::read::{At, RawEntry, RawField};
use crate::site::within;
use crate::users::{self, UserLookUp};

/// Where backups go, and how long they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// A repository as restic names it, or an absolute path.
    pub to: String,
    /// The file with the repository's password.
    pub password_file: PathBuf,
    /// A file of lines NAME=VALUE, with what a remote repository wants to know (`AWS_ACCESS_KEY_ID`, …).
    pub environment_file: Option<PathBuf>,
    /// How `sftp:` repositories are connected to, where not as restic would.
    pub sftp_command: Option<String>,
    /// Who speaks to the repository; neither root nor a site's user.
    pub user: User,
    /// How long a site may let a backup wait for it.
    pub site_time_max: Duration,
    /// How many backups of each site are kept, by restic's word for it (`daily`, …). Empty: all.
    pub keep: Vec<(&'static str, u32)>,
}

/// The checked table; `None` where it is too wrong, which the report then says.
pub(crate) fn check(
    raw: At<RawEntry>,
    base: &Path,
    look_up: &dyn UserLookUp,
    report: &mut Report,
) -> Option<Backup> {
    let mut fields = raw.value.fields;
    for field in &fields {
        let is_known = known().any(|known| known == field.key);
        if !is_known {
            let fault = Fault::new(format!(
                "unknown key '{}' in [backup]",
                field.key.escape_debug()
            ));
            let known: Vec<&str> = known().collect();
            let hint = format!("the keys are: {}", known.join(", "));
            report.add(field.line, fault.hint(hint));
        }
    }
    let keep = keep(&mut fields, report);
    let minutes = number(&mut fields, "site_minutes_max", MINUTES_MAX, report);
    let minutes = minutes.unwrap_or(defaults::BACKUP_SITE_MINUTES);
    let mut text = |key: &str| {
        let field = take(&mut fields, key)?;
        let text = match field.text {
            Some(text) if text.is_empty() => Err(Fault::new(format!("'{key}' is empty"))),
            // Each of them becomes a word of a command line or of an environment.
            Some(text) if text.contains(['\0', '\n']) => Err(Fault::new(format!(
                "'{key}' holds a NUL character or more than one line"
            ))),
            Some(text) => Ok(text),
            None => Err(Fault::new(format!("'{key}' must be a string"))),
        };
        Some(At {
            value: fine(text, Some(field.line), report)?,
            line: Some(field.line),
        })
    };
    let (to, user) = (text("to"), text("user"));
    let (password, environment) = (text("password_file"), text("environment_file"));
    let sftp_command = text("sftp_command").map(|at| at.value);
    if to.is_none() && report.errors.is_empty() {
        let fault = Fault::new("[backup] has no 'to': there is nowhere to put backups");
        let hint = "such as to = \"/mnt/disk/backups\" or to = \"sftp:host:/backups\"";
        report.add(raw.line, fault.hint(hint));
    }
    let mut path = |key: &str, given: At<String>| {
        let path = paths::below_or_absolute(key, &given.value, base);
        fine(path, given.line, report)
    };
    let password = password.unwrap_or_else(|| At::nowhere(defaults::BACKUP_PASSWORD.to_owned()));
    let password_file = path("password_file", password);
    let environment_file = environment.map(|given| path("environment_file", given));
    let user = user.unwrap_or_else(|| At::nowhere(defaults::BACKUP_USER.to_owned()));
    let found = users::server("backup", &user.value, look_up);
    let found = fine(found, user.line.or(raw.line), report);
    let repository = to.and_then(|to| fine(repository(to.value), to.line, report));
    Some(Backup {
        to: repository?,
        password_file: password_file?,
        environment_file: match environment_file {
            Some(path) => Some(path?),
            None => None,
        },
        sftp_command,
        user: found?,
        site_time_max: minutes_of(minutes),
        keep,
    })
}

/// Whether this names a repository of restic's: an absolute path, or KIND:PLACE.
pub fn is_repository(text: &str) -> bool {
    let is_remote = text.split_once(':').is_some_and(|(kind, place)| {
        !place.is_empty() && !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    is_remote || Path::new(text).is_absolute()
}

fn number(fields: &mut Vec<RawField>, key: &str, max: u32, report: &mut Report) -> Option<u32> {
    let field = take(fields, key)?;
    let number = match field.number {
        Some(number) => within(key, number, 1, max),
        None => Err(Fault::new(format!("'{key}' must be a whole number"))),
    };
    fine(number, Some(field.line), report)
}

/// How many are kept, by each rule that is given.
fn keep(fields: &mut Vec<RawField>, report: &mut Report) -> Vec<(&'static str, u32)> {
    let mut keep = Vec::new();
    for key in KEEP {
        if let Some(number) = number(fields, key, KEEP_MAX, report) {
            keep.push((key.trim_start_matches("keep_"), number));
        }
    }
    keep
}

/// What there is where hostel.toml has no `[backup]`: a repository that was named, and defaults. `base` is the directory of hostel.toml.
///
/// # Errors
/// There is no user for it, or `to` is no repository.
pub fn by_hand(to: &str, base: &Path, look_up: &dyn UserLookUp) -> Result<Backup, Error> {
    let made = || {
        Ok(Backup {
            to: repository(to.to_owned())?,
            password_file: base.join(defaults::BACKUP_PASSWORD),
            environment_file: None,
            sftp_command: None,
            user: users::server("backup", defaults::BACKUP_USER, look_up)?,
            site_time_max: minutes_of(defaults::BACKUP_SITE_MINUTES),
            keep: Vec::new(),
        })
    };
    made().map_err(|fault: Fault| fault.of(base))
}

fn repository(text: String) -> Result<String, Fault> {
    if is_repository(&text) {
        return Ok(text);
    }
    let fault = format!("'to' = '{}' is no repository", text.escape_debug());
    Err(Fault::new(fault).hint(REPOSITORY_HINT))
}

fn minutes_of(minutes: u32) -> Duration {
    Duration::from_secs(60 * u64::from(minutes))
}

fn take(fields: &mut Vec<RawField>, key: &str) -> Option<RawField> {
    let place = fields.iter().position(|field| field.key == key)?;
    Some(fields.swap_remove(place))
}

/// What may be written instead of what is none.
pub const REPOSITORY_HINT: &str = "an absolute path, or a repository as restic names it: \"sftp:user@host:/path\", \"rest:https://host/path\", \"s3:https://host/bucket\"";
fn known() -> impl Iterator<Item = &'static str> {
    TEXTS.into_iter().chain(["site_minutes_max"]).chain(KEEP)
}

const TEXTS: [&str; 5] = [
    "to",
    "password_file",
    "environment_file",
    "sftp_command",
    "user",
];
const KEEP: [&str; 6] = [
    "keep_last",
    "keep_hourly",
    "keep_daily",
    "keep_weekly",
    "keep_monthly",
    "keep_yearly",
];
const KEEP_MAX: u32 = 10_000;
/// A week.
const MINUTES_MAX: u32 = 7 * 24 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_an_absolute_path_or_one_of_restics() {
        for right in [
            "/mnt/backups",
            "sftp:user@host:/backups",
            "rest:http://127.0.0.1:8000/",
            "s3:https://host/bucket",
        ] {
            assert!(is_repository(right), "{right}");
        }
        for wrong in ["backups", "./backups", ":x", "sftp:", "../x:y"] {
            assert!(!is_repository(wrong), "{wrong}");
        }
    }
}
