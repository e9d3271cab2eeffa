//! A site's file, value by value.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use hostel_wire::limits;

use crate::check::{at_most, fine};
use crate::database::{self, Database, SiteDatabases};
use crate::defaults;
use crate::egress;
use crate::errors::{Fault, Report};
use crate::jobs::{self, Cron, Daemon, SiteJobs};
use crate::mail;
use crate::names;
use crate::paths;
use crate::php;
use crate::raw::RawSite;
use crate::read::{At, RawSize};
use crate::resources;
use crate::table::{Limits, Site};
use crate::users::{self, IdBounds, UserLookUp};

/// A site, with what is needed to compare it with others and to say where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CheckedSite {
    pub(crate) file: PathBuf,
    pub(crate) site: Rc<Site>,
    cron: Vec<Cron>,
    daemons: Vec<Daemon>,
    databases: Vec<Database>,
    /// As it was given, or the site's name.
    user: String,
    pub(crate) share_user: bool,
    /// Where each domain stands; where `user` and `home` do, if they are given.
    pub(crate) domain_lines: Vec<Option<u32>>,
    pub(crate) user_line: Option<u32>,
    pub(crate) home_line: Option<u32>,
}

impl CheckedSite {
    /// What runs beside the web, if anything does: nothing of a site that is suspended.
    pub(crate) fn jobs(&self) -> Option<SiteJobs> {
        let has_any = !self.cron.is_empty() || !self.daemons.is_empty();
        (has_any && !self.site.suspended).then(|| SiteJobs {
            site: Rc::clone(&self.site),
            cron: self.cron.clone(),
            daemons: self.daemons.clone(),
        })
    }

    /// Its databases, if it has any.
    pub(crate) fn databases(&self) -> Option<SiteDatabases> {
        (!self.databases.is_empty()).then(|| SiteDatabases {
            site: self.site.name.clone(),
            databases: self.databases.clone(),
        })
    }

    /// Whether the database of users still has what was found in it.
    pub(crate) fn has_its_user(&self, bounds: IdBounds, look_up: &dyn UserLookUp) -> bool {
        let found = users::site(&self.user, self.user_line.is_none(), bounds, look_up);
        found.is_ok_and(|user| user == self.site.user)
    }
}

/// One site by itself; `None` where too little is known to compare it with others.
pub(crate) fn check(
    raw: RawSite,
    bounds: IdBounds,
    look_up: &dyn UserLookUp,
    report: &mut Report,
) -> Option<CheckedSite> {
    let limits = check_limits(&raw, report);
    let mail = mail::rate(&raw, report);
    let stem = report.file.file_stem().unwrap_or_default();
    let name = names::site(&stem.to_string_lossy());
    let name = fine(name, None, report)?;
    let (domains, domain_lines) = domains(raw.domains, report);

    let user = raw.user.unwrap_or_else(|| At::nowhere(name.clone()));
    let found = users::site(&user.value, user.line.is_none(), bounds, look_up);
    let found = fine(found, user.line, report);

    let home = raw
        .home
        .unwrap_or_else(|| At::nowhere(format!("{}/{name}", defaults::HOMES)));
    let home_line = home.line;
    let home = fine(check_home(&home.value), home_line, report);
    let root = raw
        .root
        .unwrap_or_else(|| At::nowhere(defaults::ROOT.to_owned()));
    let root = home
        .as_ref()
        .and_then(|home| fine(check_root(&root.value, home), root.line, report));

    let index = list("index", raw.index, &defaults::INDEX, names::index, report);
    let script_extensions = list(
        "script_extensions",
        raw.script_extensions,
        &defaults::SCRIPT_EXTENSIONS,
        names::extension,
        report,
    );
    let front_controller = front_controller(raw.front_controller, &script_extensions, report);
    let php_values = raw
        .php
        .map(|php| php::settings(php.value, report))
        .unwrap_or_default();
    let (cron, daemons) = jobs::check(raw.cron, raw.daemon, report);
    let site = Site {
        name,
        domains,
        user: found.unwrap_or_else(|| users::missing(&user.value)),
        home: home?,
        root: root?,
        index,
        script_extensions,
        front_controller,
        foreign_owners: raw.foreign_owners.is_some_and(|allow| allow.value),
        fresh: resources::fresh(raw.fresh.as_ref(), report),
        suspended: raw.suspended.is_some_and(|suspended| suspended.value),
        egress: egress::egress(raw.egress, report),
        services: egress::services(raw.services, report),
        limits,
        mail,
        php_values,
    };
    let databases = database::check(raw.database, &site, report);
    Some(CheckedSite {
        file: report.file.clone(),
        site: Rc::new(site),
        cron,
        daemons,
        databases,
        user: user.value,
        share_user: raw.share_user.is_some_and(|share| share.value),
        domain_lines,
        user_line: user.line,
        home_line,
    })
}

fn check_limits(raw: &RawSite, report: &mut Report) -> Limits {
    use defaults as d;
    let mut number = |key, given: &Option<At<i64>>, default: u32, min, max| {
        let Some(given) = given else { return default };
        fine(within(key, given.value, min, max), given.line, report).unwrap_or(default)
    };
    let (hour, day, most) = (3_600, 86_400, u32::MAX);
    let workers_max = number(
        "workers_max",
        &raw.workers_max,
        d::WORKERS_MAX,
        1,
        limits::WORKERS_MAX,
    );
    let queue_max = number("queue_max", &raw.queue_max, d::QUEUE_MAX, 0, 100_000);
    let queue = number(
        "queue_seconds_max",
        &raw.queue_seconds_max,
        d::QUEUE_SECONDS_MAX,
        1,
        hour,
    );
    let request = number(
        "request_seconds_max",
        &raw.request_seconds_max,
        d::REQUEST_SECONDS_MAX,
        1,
        day,
    );
    let idle = number("idle_seconds", &raw.idle_seconds, d::IDLE_SECONDS, 1, day);
    let requests_per_worker = number(
        "requests_per_worker",
        &raw.requests_per_worker,
        d::REQUESTS_PER_WORKER,
        0,
        most,
    );
    let mut bytes = |key, given: &Option<At<RawSize>>, default: &str, min| {
        let default = At::nowhere(RawSize::Text(default.to_owned()));
        let given = given.as_ref().unwrap_or(&default);
        fine(sized(key, &given.value, min), given.line, report).unwrap_or_default()
    };
    let disk_bytes = [
        ("spill_bytes_max", &raw.spill_bytes_max, d::SPILL_BYTES_MAX),
        ("log_bytes_max", &raw.log_bytes_max, d::LOG_BYTES_MAX),
    ]
    .map(|(key, given, default)| bytes(key, given, default, DISK_BYTES_MIN));
    Limits {
        workers_max,
        queue_max,
        queue_time_max: Duration::from_secs(queue.into()),
        request_time_max: Duration::from_secs(request.into()),
        body_bytes_max: bytes("body_bytes_max", &raw.body_bytes_max, d::BODY_BYTES_MAX, 0),
        answer_bytes_max: bytes(
            "answer_bytes_max",
            &raw.answer_bytes_max,
            d::ANSWER_BYTES_MAX,
            DISK_BYTES_MIN,
        ),
        spill_bytes_max: disk_bytes[0],
        idle_time: Duration::from_secs(idle.into()),
        requests_per_worker,
        memory_max: resources::memory_max(raw.memory_max.as_ref(), report),
        cpu_weight: resources::weight("cpu_weight", raw.cpu_weight.as_ref(), report),
        cpu_max: resources::cpu_max(raw.cpu_max.as_ref(), report),
        io_weight: resources::weight("io_weight", raw.io_weight.as_ref(), report),
        processes_max: resources::processes_max(raw.processes_max.as_ref(), report),
        temporary_bytes_max: resources::temporary_bytes_max(&raw.temporary_bytes_max, report),
        home_bytes_max: resources::home_bytes_max(&raw.home_bytes_max, report),
        log_bytes_max: disk_bytes[1],
    }
}

fn domains(
    given: Option<At<Vec<At<String>>>>,
    report: &mut Report,
) -> (Vec<String>, Vec<Option<u32>>) {
    let hint = "such as domains = [\"blog.example\", \"www.blog.example\"]";
    let Some(given) = given else {
        // A value of the wrong kind has been reported already.
        let is_new = |error: &crate::Error| !error.message.starts_with("'domains'");
        if report.errors.iter().all(is_new) {
            report.add(None, Fault::new("has no 'domains'").hint(hint));
        }
        return (Vec::new(), Vec::new());
    };
    if given.value.is_empty() {
        let fault = Fault::new("'domains' is empty, so no visitor could reach this site");
        report.add(given.line, fault.hint(hint));
    }
    let count = given.value.len();
    at_most(limits::DOMAINS_MAX, "domains", count, given.line, report);
    let mut checked = (Vec::new(), Vec::new());
    for text in given.value {
        let Some(domain) = fine(names::domain(&text.value), text.line, report) else {
            continue;
        };
        if checked.0.contains(&domain) {
            let fault = Fault::new(format!("the domain '{domain}' is given twice"));
            report.add(text.line, fault);
            continue;
        }
        checked.0.push(domain);
        checked.1.push(text.line);
    }
    checked
}

fn list(
    key: &str,
    given: Option<At<Vec<At<String>>>>,
    defaults: &[&str],
    check: fn(&str) -> Result<String, Fault>,
    report: &mut Report,
) -> Vec<String> {
    let Some(given) = given else {
        return defaults.iter().map(ToString::to_string).collect();
    };
    let count = given.value.len();
    at_most(limits::LIST_MAX, key, count, given.line, report);
    given
        .value
        .into_iter()
        .filter_map(|text| fine(check(&text.value), text.line, report))
        .collect()
}

fn front_controller(
    given: Option<At<String>>,
    extensions: &[String],
    report: &mut Report,
) -> String {
    let runs = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        let extension = name.rsplit_once('.').map(|(_, extension)| extension);
        extension.is_some_and(|extension| extensions.iter().any(|one| one == extension))
    };
    let Some(given) = given else {
        let default = Some(defaults::FRONT_CONTROLLER).filter(|path| runs(path));
        return default.unwrap_or_default().to_owned();
    };
    if given.value.is_empty() {
        return String::new();
    }
    let path = paths::below_or_absolute("front_controller", &given.value, Path::new("/"))
        .and_then(|path| paths::text(&path))
        .and_then(|path| {
            if runs(&path) {
                return Ok(path);
            }
            let written = given.value.escape_debug();
            let message = format!("'front_controller' = '{written}' is not a file that PHP runs");
            Err(Fault::new(message).hint("its extension must be one of 'script_extensions'"))
        });
    fine(path, given.line, report).unwrap_or_default()
}

fn check_home(given: &str) -> Result<String, Fault> {
    if !given.starts_with('/') {
        let message = format!(
            "'home' = '{}' is not an absolute path",
            given.escape_debug()
        );
        return Err(Fault::new(message).hint("such as /srv/blog"));
    }
    let home = paths::below_or_absolute("home", given, Path::new("/"))?;
    paths::home(&home)?;
    paths::text(&home)
}

fn check_root(given: &str, home: &str) -> Result<String, Fault> {
    let root = paths::below_or_absolute("root", given, Path::new(home))?;
    if !root.starts_with(home) {
        let root = root.display();
        let message = format!("the document root {root} is outside of the home {home}");
        return Err(Fault::new(message)
            .hint("a site sees its home alone; move the root beneath it, or choose another home"));
    }
    paths::text(&root)
}

pub(crate) fn within(key: &str, value: i64, min: u32, max: u32) -> Result<u32, Fault> {
    u32::try_from(value)
        .ok()
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| Fault::new(format!("'{key}' must be {min} to {max}, but is {value}")))
}

pub(crate) fn sized(key: &str, raw: &RawSize, min: u64) -> Result<u64, Fault> {
    let size = php::size(key, raw)?;
    if !(min..=BYTES_MAX).contains(&size) {
        return Err(Fault::new(format!(
            "'{key}' must be {min} to {BYTES_MAX} bytes, but is {size}"
        )));
    }
    Ok(size)
}

/// With less a worker would stop within one frame, and a log within one burst.
const DISK_BYTES_MIN: u64 = 64 * 1024;
/// A tebibyte: beyond, it is a mistake.
const BYTES_MAX: u64 = 1 << 40;
