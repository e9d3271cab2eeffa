//! What runs beside the web for a site: `[[cron]]` and `[[daemon]]`.
//!
//! Read by monitor, command line and hostel-jobs, as root; pure. Commands are the administrator's words for the site's shell, and
//! are not looked into.

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use hostel_wire::limits::{COMMAND_BYTES_MAX, JOB_NAME_BYTES_MAX, JOBS_MAX};

use crate::calendar::{self, Calendar};
use crate::check::fine;
use crate::defaults;
use crate::entries::{Fields, numbered};
use crate::errors::{Fault, Report};
use crate::read::{At, RawEntries};
use crate::site::within;
use crate::table::Site;

/// A site that has jobs, with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteJobs {
    /// The site.
    pub site: Rc<Site>,
    /// In the order of the file, as is the next; no two of all have the same name.
    pub cron: Vec<Cron>,
    /// What always runs.
    pub daemons: Vec<Daemon>,
}

/// A command that runs at times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    /// Its name: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// When it runs.
    pub at: Calendar,
    /// For a shell.
    pub command: String,
    /// What happens when the last run is still under way.
    pub overlap: Overlap,
    /// The longest run: 1 second to a week.
    pub timeout: Duration,
}

/// What happens when a run is due while the last one is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// The new one is left out.
    Skip,
    /// The new one begins when the last has ended; however many were due meanwhile, it is one.
    Wait,
    /// The last one is ended, then the new one begins.
    Kill,
}

/// A command that is started again when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// Its name.
    pub name: String,
    /// For a shell.
    pub command: String,
}

/// The jobs of one site; what is wrong with them goes to the report.
pub(crate) fn check(
    cron: Option<At<RawEntries>>,
    daemons: Option<At<RawEntries>>,
    report: &mut Report,
) -> (Vec<Cron>, Vec<Daemon>) {
    let mut names = HashSet::new();
    let mut checked = (Vec::new(), Vec::new());
    for (number, entry) in numbered(JOBS_MAX, "cron", cron, report) {
        let mut fields = Fields::new("cron", &CRON_KEYS, entry, report);
        let name = own_name(&mut fields, number, &mut names);
        let at = fields.needed("at", calendar::parse);
        let command = fields.needed("command", command);
        let overlap = fields.text("overlap", overlap).unwrap_or(Overlap::Skip);
        let timeout = timeout(&mut fields);
        if let (Some(name), Some(at), Some(command)) = (name, at, command) {
            checked.0.push(Cron {
                name,
                at,
                command,
                overlap,
                timeout,
            });
        }
    }
    for (number, entry) in numbered(JOBS_MAX, "daemon", daemons, report) {
        let mut fields = Fields::new("daemon", &DAEMON_KEYS, entry, report);
        let name = own_name(&mut fields, number, &mut names);
        if let (Some(name), Some(command)) = (name, fields.needed("command", command)) {
            checked.1.push(Daemon { name, command });
        }
    }
    checked
}

/// The name that an entry has, or gets by its number; none is there twice.
fn own_name(fields: &mut Fields<'_>, number: usize, names: &mut HashSet<String>) -> Option<String> {
    let line = fields.line_of("name");
    let name = match fields.has("name") {
        true => fields.text("name", name)?,
        false => format!("{}-{number}", fields.key),
    };
    if !names.insert(name.clone()) {
        let fault = Fault::new(format!("the name '{name}' is given twice"));
        let hint = "each [[cron]] and [[daemon]] of a site has a name of its own";
        fields.report.add(line, fault.hint(hint));
    }
    Some(name)
}

fn timeout(fields: &mut Fields<'_>) -> Duration {
    let seconds = fields.take("timeout_seconds").and_then(|field| {
        let checked = match field.number {
            Some(number) => within("timeout_seconds", number, 1, TIMEOUT_SECONDS_MAX),
            None => Err(Fault::new("'timeout_seconds' must be a whole number")),
        };
        fine(checked, Some(field.line), fields.report)
    });
    Duration::from_secs(seconds.unwrap_or(defaults::JOB_TIMEOUT_SECONDS).into())
}

fn name(text: &str) -> Result<String, Fault> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=JOB_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_letter) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(format!(
        "'{}' cannot be the name of a job",
        text.escape_debug()
    ))
    .hint(format!(
        "letters, digits, '-', '_' and '.', at most {JOB_NAME_BYTES_MAX} of them"
    )))
}

fn command(text: &str) -> Result<String, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new("'command' is empty"));
    }
    if text.contains('\0') {
        return Err(Fault::new("'command' holds a NUL character"));
    }
    if text.len() > COMMAND_BYTES_MAX {
        return Err(Fault::new(format!(
            "'command' has {} bytes; at most {COMMAND_BYTES_MAX} are allowed",
            text.len()
        ))
        .hint("put it into a script in the site's home"));
    }
    Ok(text.to_owned())
}

fn overlap(text: &str) -> Result<Overlap, Fault> {
    match text {
        "skip" => Ok(Overlap::Skip),
        "wait" => Ok(Overlap::Wait),
        "kill" => Ok(Overlap::Kill),
        _ => Err(
            Fault::new(format!("'overlap' = '{}' is unknown", text.escape_debug()))
                .hint("\"skip\", \"wait\" or \"kill\""),
        ),
    }
}

const CRON_KEYS: [&str; 5] = ["name", "at", "command", "overlap", "timeout_seconds"];
const DAEMON_KEYS: [&str; 2] = ["name", "command"];
/// A week.
const TIMEOUT_SECONDS_MAX: u32 = 7 * 86_400;
