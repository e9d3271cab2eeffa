//! The processes of a sandbox by their part in it: `keeper`, `zygote`, `worker`, `sibling`, or a number.
//!
//! Started by PHP of a site, this program is a child of a worker, which is one of the zygote, which is one of the keeper.

use std::fs;

use crate::arguments::Arguments;
use crate::outcome::Outcome;

/// The process that the word at this place names. Never a group of them, never this one.
pub(crate) fn target(arguments: &Arguments<'_>, place: usize) -> Result<libc::pid_t, Outcome> {
    let missing = |name| Outcome::Impossible(format!("there is no {name} here"));
    let ancestors = ancestors();
    let [.., worker, zygote, KEEPER] = ancestors[..] else {
        return match arguments.text(place)? {
            "keeper" => Ok(KEEPER),
            "parent" => ancestors.first().copied().ok_or(missing("parent")),
            _ => numbered(arguments, place),
        };
    };
    match arguments.text(place)? {
        "keeper" => Ok(KEEPER),
        "zygote" => Ok(zygote),
        "worker" => Ok(worker),
        "parent" => Ok(ancestors[0]),
        "sibling" => {
            let is_sibling = |pid: &libc::pid_t| *pid != worker && parent(*pid) == Some(zygote);
            processes()
                .into_iter()
                .find(is_sibling)
                .ok_or(missing("sibling"))
        }
        _ => numbered(arguments, place),
    }
}

fn numbered(arguments: &Arguments<'_>, place: usize) -> Result<libc::pid_t, Outcome> {
    match arguments.number::<libc::pid_t>(place)? {
        // 0 and what is below mean many processes to the kernel.
        pid if pid > 0 && pid.cast_unsigned() != std::process::id() => Ok(pid),
        pid => Err(Outcome::Impossible(format!(
            "{pid} is not one other process"
        ))),
    }
}

/// The parent of this process, its parent, and so on.
fn ancestors() -> Vec<libc::pid_t> {
    let own = std::process::id().cast_signed();
    let known = std::iter::successors(parent(own), |pid| parent(*pid));
    known.take_while(|pid| *pid > 0).collect()
}

fn parent(pid: libc::pid_t) -> Option<libc::pid_t> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}

/// All that /proc shows.
fn processes() -> Vec<libc::pid_t> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Process 1 of a sandbox.
const KEEPER: libc::pid_t = 1;
