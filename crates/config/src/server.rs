//! hostel.toml, value by value.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hostel_wire::limits;

use crate::backup;
use crate::check::{at_most, fine};
use crate::defaults;
use crate::egress;
use crate::errors::{Fault, Report};
use crate::mail;
use crate::names;
use crate::paths;
use crate::raw::RawServer;
use crate::read::At;
use crate::site::within;
use crate::table::{LogLevel, Server};
use crate::users::{self, UserLookUp};

/// The server without its sites; `None` where a path is too wrong to go on. `base` is the directory of the file.
pub(crate) fn check(
    raw: RawServer,
    base: &Path,
    look_up: &dyn UserLookUp,
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
    let mut path = |key, given, default| path(key, given, default, base, report);
    let sites_directory = path("sites", raw.sites, defaults::SITES);
    let state = path("state", raw.state, defaults::STATE);
    let logs = path("logs", raw.logs, defaults::LOGS);
    let run = path("run", raw.run, defaults::RUN);
    let php_ini = path("php_ini", raw.php_ini, defaults::PHP_INI);

    let log_level = raw
        .log_level
        .unwrap_or_else(|| At::nowhere(defaults::LOG_LEVEL.to_owned()));
    let log_level = fine(level(&log_level.value), log_level.line, report);
    let mut id_min = |key, given: Option<At<i64>>| {
        let Some(given) = given else {
            return defaults::ID_MIN;
        };
        // 0 is root's, as user and as group.
        let value = within(key, given.value, 1, ID_MIN_MAX);
        fine(value, given.line, report).unwrap_or(defaults::ID_MIN)
    };
    let (uid_min, gid_min) = (
        id_min("uid_min", raw.uid_min),
        id_min("gid_min", raw.gid_min),
    );
    let user = raw
        .user
        .unwrap_or_else(|| At::nowhere(defaults::USER.to_owned()));
    let found = fine(
        users::server("front", &user.value, look_up),
        user.line,
        report,
    );
    Some(Server {
        http,
        sites_directory: sites_directory?,
        state: state?,
        logs: logs?,
        run: run?,
        // Sites are checked even where these two are wrong; nobody is handed this table then.
        user: found.unwrap_or_else(|| users::missing(&user.value)),
        log_level: log_level.unwrap_or(LogLevel::Information),
        php_ini_directory: fine(paths::text(&php_ini?), None, report)?,
        uid_min,
        gid_min,
        open_ports: egress::open_ports(raw.open_ports, report),
        mail: raw
            .mail
            .and_then(|given| mail::check(given, base, look_up, report)),
        backup: raw
            .backup
            .and_then(|given| backup::check(given, base, look_up, report)),
        sites: Vec::new(),
        jobs: Vec::new(),
        databases: Vec::new(),
    })
}

/// Where the status socket is, whatever else the file says.
pub(crate) fn run_directory(raw: RawServer, base: &Path, report: &mut Report) -> Option<PathBuf> {
    path("run", raw.run, defaults::RUN, base, report)
}

/// Where the state is, whatever else the file says.
pub(crate) fn state_directory(raw: RawServer, base: &Path, report: &mut Report) -> Option<PathBuf> {
    path("state", raw.state, defaults::STATE, base, report)
}

fn path(
    key: &str,
    given: Option<At<String>>,
    default: &str,
    base: &Path,
    report: &mut Report,
) -> Option<PathBuf> {
    let given = given.unwrap_or_else(|| At::nowhere(default.to_owned()));
    let path = paths::below_or_absolute(key, &given.value, base);
    fine(path.and_then(|path| fits(key, path)), given.line, report)
}

fn addresses(given: Option<At<Vec<At<String>>>>, report: &mut Report) -> Vec<SocketAddr> {
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
    let count = given.value.len();
    at_most(limits::LIST_MAX, "http", count, given.line, report);
    let mut found = Vec::new();
    for text in given.value {
        let Some(address) = fine(names::address(&text.value), text.line, report) else {
            continue;
        };
        if found.contains(&address) {
            let fault = Fault::new(format!("the address {address} is given twice"));
            report.add(text.line, fault);
        }
        found.push(address);
    }
    found
}

fn fits(key: &str, path: PathBuf) -> Result<PathBuf, Fault> {
    let bytes = path.as_os_str().len();
    if key == "run" && bytes > RUN_BYTES_MAX {
        return Err(Fault::new(format!(
            "'run' is {bytes} bytes long as a whole path; a socket's name has room for {RUN_BYTES_MAX}"
        )));
    }
    Ok(path)
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

/// Above stand `nobody` and numbers that mean "none".
const ID_MIN_MAX: u32 = 60_000;
/// The name of a Unix socket has 107 bytes; `/status.sock` has 12 of them.
const RUN_BYTES_MAX: usize = 95;
