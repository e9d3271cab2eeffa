//! `hostel status`: what the front says of itself and its sites, with the processes of each site.
//!
//! The front writes one JSON document to whoever connects to its socket. It is shown, never acted upon.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use hostel_config::Errors;
use hostel_sys::cgroup::Usage;
use serde_json::{Value, json};

use crate::commands::mail::{self, Waiting};
use crate::output;
use crate::processes::{self, Process};

#[derive(Debug, thiserror::Error)]
pub(crate) enum StatusError {
    #[error("hostel status: the configuration does not tell where the server's socket is\n{0}")]
    Configuration(Errors),
    #[error("hostel status: no server runs with this configuration: cannot connect to {}: {source}\n  hint: start it with: hostel serve --config FILE", socket.display())]
    NotRunning { socket: PathBuf, source: io::Error },
    #[error("hostel status: not allowed to connect to {}\n  hint: sudo hostel status", .0.display())]
    NotAllowed(PathBuf),
    #[error("hostel status: the server did not answer on {}: {source}\n  hint: is it starting, or very busy? try again", socket.display())]
    NoAnswer { socket: PathBuf, source: io::Error },
    #[error("hostel status: what came from {} is not a status: {source}\n  hint: the server and this program must be of one version", socket.display())]
    NotStatus {
        socket: PathBuf,
        source: serde_json::Error,
    },
}

/// Status 1 if there is nothing to show.
pub(crate) fn run(config: &Path, as_json: bool) -> ExitCode {
    let mut document = match ask(config) {
        Ok(document) => document,
        Err(error) => {
            output::error(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    add_processes(&mut document, &processes::all());
    add_jobs(&mut document, config);
    add_mail(&mut document, config);
    if as_json {
        output::json(&document);
    } else {
        print(&document);
    }
    ExitCode::SUCCESS
}

pub(crate) fn ask(config: &Path) -> Result<Value, StatusError> {
    let run = hostel_config::run_directory(config).map_err(StatusError::Configuration)?;
    let socket = run.join("status.sock");
    let mut stream = match UnixStream::connect(&socket) {
        Ok(stream) => stream,
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            return Err(StatusError::NotAllowed(socket));
        }
        Err(source) => return Err(StatusError::NotRunning { socket, source }),
    };
    let read = |stream: &mut UnixStream| {
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        let mut bytes = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = match read(&mut stream) {
        Ok(bytes) => bytes,
        Err(source) => return Err(StatusError::NoAnswer { socket, source }),
    };
    serde_json::from_slice(&bytes).map_err(|source| StatusError::NotStatus { socket, source })
}

/// Give the server the number of its monitor, the front's parent, and each site that is awake the list of its processes.
fn add_processes(document: &mut Value, all: &[Process]) {
    let front = number(document, "/server/pid");
    let monitor = all.iter().find(|process| Some(process.pid) == front);
    if let Some(server) = document.get_mut("server").and_then(Value::as_object_mut) {
        let monitor = monitor.map(|front| front.parent);
        server.insert("monitor".to_owned(), monitor.into());
    }
    let sites = document.get_mut("sites").and_then(Value::as_array_mut);
    for site in sites.into_iter().flatten() {
        let keeper = number(site, "/keeper");
        let tree = keeper.map(|pid| processes::tree(all, pid));
        let tree: Vec<Value> = tree.iter().flatten().map(process_document).collect();
        let usage = keeper.and_then(Usage::of_process);
        if let Some(site) = site.as_object_mut() {
            site.insert("processes".to_owned(), tree.into());
            site.insert(
                "usage".to_owned(),
                usage.map_or(Value::Null, usage_document),
            );
        }
    }
}

/// Give each site that has them its cron entries and daemons, as hostel-jobs has written them down.
fn add_jobs(document: &mut Value, config: &Path) {
    // Without entries there is no such file.
    let Some(jobs) = hostel_config::run_directory(config).ok().and_then(|run| {
        let file = File::open(run.join("jobs.json")).ok()?;
        let mut bytes = Vec::new();
        file.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()
    }) else {
        return;
    };
    let jobs = jobs.get("jobs").and_then(Value::as_array);
    let jobs = jobs.map(Vec::as_slice).unwrap_or_default();
    let sites = document.get_mut("sites").and_then(Value::as_array_mut);
    for site in sites.into_iter().flatten() {
        let name = site.get("name").cloned();
        let own = jobs.iter().filter(|job| job.get("site") == name.as_ref());
        let own: Vec<Value> = own.cloned().collect();
        if let Some(site) = site.as_object_mut() {
            site.insert("jobs".to_owned(), own.into());
        }
    }
}

/// Give each site what of its mail waits for the mail server, where there is a queue.
fn add_mail(document: &mut Value, config: &Path) {
    let state = hostel_config::state_directory(config).ok();
    let Some(waiting) = state.and_then(|state| mail::waiting(&state)) else {
        return;
    };
    let sites = document.get_mut("sites").and_then(Value::as_array_mut);
    for site in sites.into_iter().flatten().filter_map(Value::as_object_mut) {
        let name = site.get("name").and_then(Value::as_str).unwrap_or_default();
        let own = waiting
            .get(name)
            .map_or_else(|| Waiting::default().document(), Waiting::document);
        site.insert("mail".to_owned(), own);
    }
}

/// What a site's control group counts; without one there is nothing that counts a site as a whole.
fn usage_document(usage: Usage) -> Value {
    json!({
        "memory_kib": usage.memory_bytes >> 10,
        "memory_kib_max": usage.memory_bytes_max >> 10,
        "processes": usage.processes,
        "processes_max": usage.processes_max,
        "cpu_ms": usage.cpu_time.as_millis(),
        "ended_without_memory": usage.events.killed,
        "processes_refused": usage.events.refused,
    })
}

fn number(value: &Value, pointer: &str) -> Option<u32> {
    u32::try_from(value.pointer(pointer)?.as_u64()?).ok()
}

fn process_document(process: &Process) -> Value {
    json!({
        "pid": process.pid,
        "parent": process.parent,
        "uid": process.uid,
        "name": process.name,
        "resident_kib": process.resident_kib,
    })
}

fn print(document: &Value) {
    let server = |key: &str| text(document, &format!("/server/{key}"));
    output::line(&format!(
        "Hostel {}: monitor {}, front {}, {} connections, {} requests",
        server("version"),
        server("monitor"),
        server("pid"),
        server("connections/open"),
        server("requests"),
    ));
    let sites = document.get("sites").and_then(Value::as_array);
    let sites = sites.map(Vec::as_slice).unwrap_or_default();
    if sites.is_empty() {
        return;
    }
    output::line("");
    let mut rows = vec![SITE_COLUMNS.map(|(head, _)| head.to_owned()).to_vec()];
    for site in sites {
        rows.push(
            SITE_COLUMNS
                .map(|(_, pointer)| text(site, pointer))
                .to_vec(),
        );
    }
    output::table(&rows);
    print_jobs(sites);
    print_mail(sites);
    let mut rows = vec![PROCESS_COLUMNS.map(|(head, _)| head.to_owned()).to_vec()];
    for site in sites {
        let processes = site.get("processes").and_then(Value::as_array);
        for process in processes.into_iter().flatten() {
            let of = |pointer| {
                if pointer == "/site" {
                    text(site, "/name")
                } else {
                    text(process, pointer)
                }
            };
            rows.push(PROCESS_COLUMNS.map(|(_, pointer)| of(pointer)).to_vec());
        }
    }
    if rows.len() > 1 {
        output::line("");
        output::table(&rows);
    }
}

fn print_jobs(sites: &[Value]) {
    let mut rows = vec![JOB_COLUMNS.map(|(head, _)| head.to_owned()).to_vec()];
    for site in sites {
        let jobs = site.get("jobs").and_then(Value::as_array);
        for job in jobs.into_iter().flatten() {
            rows.push(JOB_COLUMNS.map(|(_, pointer)| text(job, pointer)).to_vec());
        }
    }
    if rows.len() > 1 {
        output::line("");
        output::table(&rows);
    }
}

/// Only of sites that have mail waiting: with none there is nothing to look after.
fn print_mail(sites: &[Value]) {
    let mut rows = vec![MAIL_COLUMNS.map(|(head, _)| head.to_owned()).to_vec()];
    let waits = |site: &&Value| site.pointer("/mail/messages").and_then(Value::as_u64) > Some(0);
    for site in sites.iter().filter(waits) {
        rows.push(
            MAIL_COLUMNS
                .map(|(_, pointer)| text(site, pointer))
                .to_vec(),
        );
    }
    if rows.len() > 1 {
        output::line("");
        output::table(&rows);
    }
}

/// A value as it may be shown: what a site could have chosen is escaped.
fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.escape_debug().to_string(),
        Some(value) => value.to_string(),
    }
}

/// Columns of the sites' table, and where the front's document has them.
const SITE_COLUMNS: [(&str, &str); 13] = [
    ("SITE", "/name"),
    ("USER", "/user"),
    ("STATE", "/state"),
    ("IDLE", "/workers/idle"),
    ("BUSY", "/workers/busy"),
    ("MAX", "/workers/max"),
    ("FRESH", "/fresh"),
    ("WAITING", "/queue/length"),
    ("REQUESTS", "/requests"),
    ("ERRORS", "/errors"),
    ("KIB", "/usage/memory_kib"),
    ("PROCESSES", "/usage/processes"),
    ("CPU MS", "/usage/cpu_ms"),
];
/// Columns of the table of what runs beside the web; times are in UTC.
const JOB_COLUMNS: [(&str, &str); 11] = [
    ("SITE", "/site"),
    ("JOB", "/name"),
    ("KIND", "/kind"),
    ("STATE", "/state"),
    ("SINCE", "/since"),
    ("LAST", "/last/started"),
    ("MS", "/last/ms"),
    ("STATUS", "/last/status"),
    ("RESULT", "/last/result"),
    ("NEXT", "/next"),
    ("RUNS", "/runs"),
];
/// Columns of the table of mail that waits for the mail server.
const MAIL_COLUMNS: [(&str, &str); 4] = [
    ("SITE", "/name"),
    ("MAIL WAITING", "/mail/messages"),
    ("BYTES", "/mail/bytes"),
    ("OLDEST, SECONDS", "/mail/oldest_seconds"),
];
/// Columns of the processes' table.
const PROCESS_COLUMNS: [(&str, &str); 5] = [
    ("SITE", "/site"),
    ("PID", "/pid"),
    ("UID", "/uid"),
    ("KIB", "/resident_kib"),
    ("PROGRAM", "/name"),
];
/// The front writes at once; it may be busy for a moment.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// 20,000 sites of 400 bytes, and room.
const ANSWER_BYTES_MAX: u64 = 32 * 1024 * 1024;
