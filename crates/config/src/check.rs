//! From files to the table: every value checked, every error collected, nothing half right handed out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hostel_sys::cred::User;
use hostel_wire::limits;

use crate::between;
use crate::defaults;
use crate::errors::{Error, Errors, Fault, Report};
use crate::files;
use crate::names;
use crate::paths;
use crate::php;
use crate::raw::{RawServer, RawSite};
use crate::read::{At, RawSize};
use crate::table::{Limits, LogLevel, Server, Site};
use crate::users::UserLookUp;

/// Read and check the configuration of an instance: the file at `path` and the sites that it names.
///
/// # Errors
/// Everything that is wrong, in all files.
pub fn load(path: &Path, users: &dyn UserLookUp) -> Result<Server, Errors> {
    let mut errors = Vec::new();
    let server = load_server(path, users, &mut errors);
    // Where hostel.toml cannot be read, nobody knows where the sites are.
    let Some(mut server) = server else {
        return Err(Errors(errors));
    };
    let sites = load_sites(&server, users, &mut errors);
    errors.extend(between::check(&server, &sites));
    if !errors.is_empty() {
        errors.sort();
        return Err(Errors(errors));
    }
    server.sites = sites.into_iter().map(|checked| checked.site).collect();
    Ok(server)
}

/// A site, with what is needed to compare it with others and to say where it stands.
#[derive(Debug)]
pub(crate) struct CheckedSite {
    pub(crate) file: PathBuf,
    pub(crate) site: Site,
    pub(crate) share_user: bool,
    /// The line of each domain; of `user` and `home` where they are given.
    pub(crate) domain_lines: Vec<u32>,
    pub(crate) user_line: Option<u32>,
    pub(crate) home_line: Option<u32>,
}

fn load_server(path: &Path, users: &dyn UserLookUp, errors: &mut Vec<Error>) -> Option<Server> {
    let read = std::path::absolute(path)
        .map_err(|error| Fault::new(format!("cannot be found: {error}")).of(path))
        .and_then(|path| Ok((files::read(&path)?, path)));
    let (text, path) = match read {
        Ok(read) => read,
        Err(error) => {
            errors.push(error);
            return None;
        }
    };
    let (raw, mut report) = RawServer::read(&path, &text);
    let base = path.parent().unwrap_or(Path::new("/"));
    let server = check_server(raw, base, users, &mut report);
    errors.append(&mut report.errors);
    server
}

/// The server without its sites; `None` where a value is too wrong to go on.
fn check_server(
    raw: RawServer,
    base: &Path,
    users: &dyn UserLookUp,
    report: &mut Report,
) -> Option<Server> {
    let http = addresses(raw.http, report);
    if let Some(https) = raw.https.filter(|https| !https.value.is_empty()) {
        report.add(
            https.line,
            Fault::new("'https' must be empty: this version has no TLS")
                .hint("remove the addresses; a proxy in front of Hostel can speak TLS for now"),
        );
    }
    let run_line = raw.run.as_ref().map(|run| run.line);
    let mut path = |key, given: Option<At<String>>, default: &str| {
        let given = given.unwrap_or(At {
            value: default.to_owned(),
            line: 1,
        });
        fine(
            paths::below_or_absolute(key, &given.value, base),
            given.line,
            report,
        )
    };
    let sites = path("sites", raw.sites, defaults::SITES);
    let state = path("state", raw.state, defaults::STATE);
    let logs = path("logs", raw.logs, defaults::LOGS);
    let run = path("run", raw.run, defaults::RUN);
    let php_ini = path("php_ini", raw.php_ini, defaults::PHP_INI);
    if let Some(long) = run
        .as_ref()
        .filter(|run| run.as_os_str().len() > RUN_BYTES_MAX)
    {
        let bytes = long.as_os_str().len();
        report.add(
            run_line.unwrap_or(1),
            Fault::new(format!(
                "'run' is {bytes} bytes long as a whole path; a socket's name has room for {RUN_BYTES_MAX}"
            )),
        );
    }
    let log_level = match raw.log_level {
        None => level(defaults::LOG_LEVEL).ok(),
        Some(name) => fine(level(&name.value), name.line, report),
    };
    let user_line = raw.user.as_ref().map_or(1, |user| user.line);
    let name = raw
        .user
        .map_or(defaults::USER.to_owned(), |user| user.value);
    let user = fine(front_user(&name, users), user_line, report);
    Some(Server {
        http,
        sites_directory: sites?,
        state: state?,
        logs: logs?,
        run: run?,
        // Sites are checked even where the front's user is not known; nobody is handed this table then.
        user: user.unwrap_or_else(|| missing_user(&name)),
        log_level: log_level.unwrap_or(LogLevel::Information),
        php_ini_directory: fine(paths::text(&php_ini?), 1, report)?,
        sites: Vec::new(),
    })
}

fn load_sites(
    server: &Server,
    users: &dyn UserLookUp,
    errors: &mut Vec<Error>,
) -> Vec<CheckedSite> {
    let files = match files::list(&server.sites_directory) {
        Ok(files) => files,
        Err(error) => {
            errors.push(error);
            return Vec::new();
        }
    };
    if files.len() > limits::SITES_MAX {
        let (count, max) = (files.len(), limits::SITES_MAX);
        let fault = Fault::new(format!("{count} sites; at most {max} are allowed"));
        errors.push(fault.of(&server.sites_directory));
    }
    let mut sites = Vec::with_capacity(files.len());
    for file in files {
        match files::read(&file) {
            Err(error) => errors.push(error),
            Ok(text) => {
                let (raw, mut report) = RawSite::read(&file, &text);
                sites.extend(check_site(raw, users, &mut report));
                errors.append(&mut report.errors);
            }
        }
    }
    sites
}

/// One site by itself; `None` where too little is known to compare it with others.
fn check_site(raw: RawSite, users: &dyn UserLookUp, report: &mut Report) -> Option<CheckedSite> {
    let limits = check_limits(&raw, report);
    let stem = report
        .file
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let name = match names::site(&stem) {
        Ok(name) => name,
        Err(fault) => {
            report.add_whole(fault);
            return None;
        }
    };
    let (domains, domain_lines) = domains(raw.domains, report);

    let user_line = raw.user.as_ref().map(|user| user.line);
    let user_name = raw.user.map_or(name.clone(), |user| user.value);
    let user = site_user(&user_name, user_line.is_none(), users);
    let user = fine(user, user_line.unwrap_or(1), report);

    let home_line = raw.home.as_ref().map(|home| home.line);
    let home = raw
        .home
        .map_or(format!("{}/{name}", defaults::HOMES), |home| home.value);
    let home = fine(check_home(&home), home_line.unwrap_or(1), report);
    let root_line = raw.root.as_ref().map_or(1, |root| root.line);
    let root = raw
        .root
        .map_or(defaults::ROOT.to_owned(), |root| root.value);
    let root = home
        .as_ref()
        .and_then(|home| fine(check_root(&root, home), root_line, report));

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
    let site = Site {
        name,
        domains,
        user: user.unwrap_or_else(|| missing_user(&user_name)),
        home: home?,
        root: root?,
        index,
        script_extensions,
        front_controller,
        limits,
        php_values,
    };
    Some(CheckedSite {
        file: report.file.clone(),
        site,
        share_user: raw.share_user.is_some_and(|share| share.value),
        domain_lines,
        user_line,
        home_line,
    })
}

fn check_limits(raw: &RawSite, report: &mut Report) -> Limits {
    let mut number = |key, given: &Option<At<i64>>, default, min, max| {
        let Some(given) = given else { return default };
        fine(within(key, given.value, min, max), given.line, report).unwrap_or(default)
    };
    let day = 86_400;
    let limits = Limits {
        workers_max: number(
            "workers_max",
            &raw.workers_max,
            defaults::WORKERS_MAX,
            1,
            limits::WORKERS_MAX,
        ),
        queue_max: number("queue_max", &raw.queue_max, defaults::QUEUE_MAX, 0, 100_000),
        queue_time_max: seconds(number(
            "queue_seconds_max",
            &raw.queue_seconds_max,
            defaults::QUEUE_SECONDS_MAX,
            1,
            3_600,
        )),
        request_time_max: seconds(number(
            "request_seconds_max",
            &raw.request_seconds_max,
            defaults::REQUEST_SECONDS_MAX,
            1,
            day,
        )),
        idle_time: seconds(number(
            "idle_seconds",
            &raw.idle_seconds,
            defaults::IDLE_SECONDS,
            1,
            day,
        )),
        requests_per_worker: number(
            "requests_per_worker",
            &raw.requests_per_worker,
            defaults::REQUESTS_PER_WORKER,
            0,
            u32::MAX,
        ),
        body_bytes_max: 0,
        answer_bytes_max: 0,
    };
    let mut bytes = |key, given: &Option<At<RawSize>>, default: &str, min| {
        let (size, line) = match given {
            None => (php::size(&RawSize::Text(default.to_owned())), 1),
            Some(given) => (sized(key, &given.value, min), given.line),
        };
        fine(size, line, report).unwrap_or_default()
    };
    Limits {
        body_bytes_max: bytes(
            "body_bytes_max",
            &raw.body_bytes_max,
            defaults::BODY_BYTES_MAX,
            0,
        ),
        answer_bytes_max: bytes(
            "answer_bytes_max",
            &raw.answer_bytes_max,
            defaults::ANSWER_BYTES_MAX,
            ANSWER_BYTES_MIN,
        ),
        ..limits
    }
}

fn addresses(given: Option<At<Vec<At<String>>>>, report: &mut Report) -> Vec<std::net::SocketAddr> {
    let Some(given) = given else {
        return defaults::HTTP.to_vec();
    };
    if given.value.is_empty() {
        report.add(
            given.line,
            Fault::new("'http' is empty, so nobody could visit")
                .hint("such as http = [\"0.0.0.0:80\", \"[::]:80\"]"),
        );
    }
    too_many(
        "http",
        given.value.len(),
        limits::LIST_MAX,
        given.line,
        report,
    );
    let mut found = Vec::new();
    for text in given.value {
        let Some(address) = fine(names::address(&text.value), text.line, report) else {
            continue;
        };
        if found.contains(&address) {
            report.add(
                text.line,
                Fault::new(format!("the address {address} is given twice")),
            );
        }
        found.push(address);
    }
    found
}

fn domains(given: Option<At<Vec<At<String>>>>, report: &mut Report) -> (Vec<String>, Vec<u32>) {
    let hint = "such as domains = [\"blog.example\", \"www.blog.example\"]";
    let Some(given) = given else {
        // A value of the wrong kind has been reported already.
        if report
            .errors
            .iter()
            .all(|error| !error.message.starts_with("'domains'"))
        {
            report.add_whole(Fault::new("has no 'domains'").hint(hint));
        }
        return (Vec::new(), Vec::new());
    };
    if given.value.is_empty() {
        let fault = Fault::new("'domains' is empty, so no visitor could reach this site");
        report.add(given.line, fault.hint(hint));
    }
    too_many(
        "domains",
        given.value.len(),
        limits::DOMAINS_MAX,
        given.line,
        report,
    );
    let checked = given.value.into_iter().filter_map(|text| {
        Some((
            fine(names::domain(&text.value), text.line, report)?,
            text.line,
        ))
    });
    checked.unzip()
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
    too_many(key, given.value.len(), limits::LIST_MAX, given.line, report);
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
        let default = defaults::FRONT_CONTROLLER;
        return if runs(default) {
            default.to_owned()
        } else {
            String::new()
        };
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
            let fault = Fault::new(format!(
                "'front_controller' = '{}' is not a file that PHP runs",
                given.value.escape_debug()
            ));
            Err(fault.hint("its extension must be one of 'script_extensions'"))
        });
    fine(path, given.line, report).unwrap_or_default()
}

fn check_home(given: &str) -> Result<String, Fault> {
    if !given.starts_with('/') {
        return Err(Fault::new(format!(
            "'home' = '{}' is not an absolute path",
            given.escape_debug()
        ))
        .hint("such as /srv/blog"));
    }
    let home = paths::below_or_absolute("home", given, Path::new("/"))?;
    paths::home(&home)?;
    paths::text(&home)
}

fn check_root(given: &str, home: &str) -> Result<String, Fault> {
    let root = paths::below_or_absolute("root", given, Path::new(home))?;
    if !root.starts_with(home) {
        return Err(Fault::new(format!(
            "the document root {} is outside of the home {home}",
            root.display()
        ))
        .hint("a site sees its home alone; move the root beneath it, or choose another home"));
    }
    paths::text(&root)
}

fn front_user(name: &str, users: &dyn UserLookUp) -> Result<User, Fault> {
    let user = look_up(name, users, || {
        format!(
            "create it: useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {name}"
        )
    })?;
    if user.uid.0 == 0 || user.gid.0 == 0 {
        return Err(Fault::new(format!(
            "the front cannot run as '{name}': it has root's user or group"
        ))
        .hint("it speaks to the network; give it a system user of its own"));
    }
    Ok(user)
}

fn site_user(name: &str, is_default: bool, users: &dyn UserLookUp) -> Result<User, Fault> {
    let user = look_up(name, users, || {
        let create = format!("create it: useradd --user-group --shell /usr/sbin/nologin {name}");
        if is_default {
            format!("{create}; or name another one with 'user' (its default is the site's name)")
        } else {
            create
        }
    })?;
    let wrong = |why: &str| Fault::new(format!("a site cannot run as '{name}': {why}"));
    if user.uid.0 == 0 {
        return Err(wrong("it is root").hint("give the site a user of its own"));
    }
    if user.uid.0 < SITE_UID_MIN {
        let why = format!(
            "its uid {} is below {SITE_UID_MIN}, as are those of the system's own users",
            user.uid
        );
        return Err(wrong(&why).hint("give the site a user of its own"));
    }
    if user.uid.0 == NOBODY {
        return Err(
            wrong("it stands for users that do not exist").hint("give the site a user of its own")
        );
    }
    if user.gid.0 == 0 {
        return Err(wrong("its group is root's").hint(format!("usermod --gid GROUP {name}")));
    }
    Ok(user)
}

fn look_up(
    name: &str,
    users: &dyn UserLookUp,
    hint: impl FnOnce() -> String,
) -> Result<User, Fault> {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let others = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_name = name.bytes().next().is_some_and(first)
        && name.bytes().all(others)
        && name.len() <= limits::USER_NAME_BYTES_MAX;
    if !is_name {
        return Err(Fault::new(format!(
            "'{}' is not the name of a user",
            name.escape_debug()
        ))
        .hint(format!(
            "letters, digits, '_', '-' and '.', starting with a letter or '_', at most {} of them",
            limits::USER_NAME_BYTES_MAX
        )));
    }
    match users.by_name(name) {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(Fault::new(format!("there is no user '{name}'")).hint(hint())),
        Err(error) => Err(Fault::new(format!(
            "{error}: {}",
            std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default()
        ))),
    }
}

fn level(name: &str) -> Result<LogLevel, Fault> {
    match name {
        "error" => Ok(LogLevel::Error),
        "warning" => Ok(LogLevel::Warning),
        "info" => Ok(LogLevel::Information),
        "debug" => Ok(LogLevel::Debugging),
        _ => Err(
            Fault::new(format!("'{}' is not a log level", name.escape_debug()))
                .hint("\"error\", \"warning\", \"info\" or \"debug\""),
        ),
    }
}

fn within(key: &str, value: i64, min: u32, max: u32) -> Result<u32, Fault> {
    u32::try_from(value)
        .ok()
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| Fault::new(format!("'{key}' must be {min} to {max}, but is {value}")))
}

fn sized(key: &str, raw: &RawSize, min: u64) -> Result<u64, Fault> {
    let size = php::size(raw)?;
    if !(min..=BYTES_MAX).contains(&size) {
        return Err(Fault::new(format!(
            "'{key}' must be {min} to {BYTES_MAX} bytes, but is {size}"
        )));
    }
    Ok(size)
}

fn too_many(key: &str, count: usize, max: usize, line: u32, report: &mut Report) {
    if count > max {
        let fault = Fault::new(format!(
            "'{key}' has {count} entries; at most {max} are allowed"
        ));
        report.add(line, fault);
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

/// The value, or a note of why there is none.
fn fine<T>(result: Result<T, Fault>, line: u32, report: &mut Report) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(fault) => {
            report.add(line, fault);
            None
        }
    }
}

/// Stands for a user that was refused, in a table that is refused for it. No user has this number.
fn missing_user(name: &str) -> User {
    User {
        name: name.to_owned(),
        uid: hostel_sys::cred::Uid(u32::MAX),
        gid: hostel_sys::cred::Gid(u32::MAX),
        home: PathBuf::new(),
    }
}

/// Below are the numbers that Debian itself hands out.
const SITE_UID_MIN: u32 = 100;
/// `nobody`: owns what has no owner, in user namespaces and on network file systems.
const NOBODY: u32 = 65_534;
/// The name of a Unix socket has 107 bytes; `/status.sock` has 12 of them.
const RUN_BYTES_MAX: usize = 95;
/// Less than this would stop a worker within one frame.
const ANSWER_BYTES_MIN: u64 = 64 * 1024;
/// A tebibyte: beyond, it is a mistake.
const BYTES_MAX: u64 = 1 << 40;
