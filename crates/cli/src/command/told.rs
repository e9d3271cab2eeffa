//! What is told of a command for programs, and what is told in place of running it.

use std::ffi::OsString;
use std::time::Duration;

use hostel_config::Site;
use hostel_sys::cgroup::memory_max_default;
use hostel_sys::signal::Ending;
use serde_json::{Value, json};

use super::CommandError;
use super::keep::Kept;
use super::session::Outcome;
use crate::output;

/// As whom, where and within which limits it would run.
pub(super) fn plan(site: &Site, words: &[OsString]) -> Value {
    let limits = &site.limits;
    let mut document = command(site, words);
    document["dry_run"] = true.into();
    document["limits"] = json!({
        "memory_bytes_max": limits.memory_max.unwrap_or_else(memory_max_default),
        "processes_max": limits.processes_max,
        "cpu_weight": limits.cpu_weight,
        "temporary_bytes_max": limits.temporary_bytes_max,
        "home_bytes_max": limits.home_bytes_max,
    });
    document
}

/// The same in words.
pub(super) fn print(site: &Site, words: &[OsString]) {
    let (limits, user) = (&site.limits, &site.user);
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let memory = limits.memory_max.unwrap_or_else(memory_max_default) >> 20;
    for line in [
        "nothing was started; it would be:".to_owned(),
        format!("  command    {}", words.join(" ")),
        format!(
            "  user       {} (uid {}, gid {})",
            user.name, user.uid, user.gid
        ),
        format!("  directory  {}", site.home),
        format!("  sandbox    a new one of the site {}", site.name),
        format!(
            "  limits     {memory} MiB of memory, {} processes, cpu_weight {}",
            limits.processes_max, limits.cpu_weight
        ),
    ] {
        output::line(&output::escape(&line));
    }
}

/// What came of it.
pub(super) fn outcome(site: &Site, words: &[OsString], outcome: &Outcome, took: Duration) -> Value {
    let (status, signal) = match outcome.ending {
        Ending::Exited(status) => (Some(status), None),
        Ending::Signalled(signal) => (None, Some(signal)),
    };
    let mut document = command(site, words);
    document["dry_run"] = false.into();
    document["status"] = json!(status);
    document["signal"] = json!(signal);
    document["ms"] = json!(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    document["output"] = kept(&outcome.output);
    document["errors"] = kept(&outcome.errors);
    document
}

/// Why nothing was run.
pub(super) fn failure(site: &str, error: &CommandError) -> Value {
    json!({ "site": site, "error": hostel_sys::causes::with_causes(error) })
}

fn command(site: &Site, words: &[OsString]) -> Value {
    let words = words.iter().map(|word| word.to_string_lossy());
    json!({
        "site": site.name,
        "user": site.user.name,
        "uid": site.user.uid.0,
        "gid": site.user.gid.0,
        "directory": site.home,
        "command": words.collect::<Vec<_>>(),
    })
}

/// What is no text stands as the replacement character.
fn kept(kept: &Kept) -> Value {
    json!({
        "text": String::from_utf8_lossy(&kept.bytes),
        "bytes": kept.of,
        "is_cut": kept.of > kept.bytes.len() as u64,
    })
}
