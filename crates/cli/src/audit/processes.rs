//! The server's running processes: whether each has what its role needs and nothing else, as /proc tells.
//!
//! The front says which keeper belongs to which site; everything beneath a keeper has to be that site's, without any privilege.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hostel_config::Server;
use hostel_sys::cred::User;
use serde_json::Value;

use super::checks::Check;
use super::finding::Finding;
use crate::commands::status;
use crate::processes::{self, Process};

/// What was found about processes.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) host: Vec<Finding>,
    sites: BTreeMap<String, Vec<Finding>>,
}

impl Running {
    /// Findings about one site's processes.
    pub(super) fn of_site(&self, name: &str) -> Vec<Finding> {
        self.sites.get(name).cloned().unwrap_or_default()
    }
}

/// Look at the monitor and everything beneath it.
pub(super) fn examine(config: &Path, server: &Server) -> Running {
    let mut found = Running::default();
    let status = match status::ask(config) {
        Ok(status) => status,
        Err(_) => {
            let what = "the server does not run: its processes were not looked at";
            let finding = Finding::new(Check::ServerNotRunning, what);
            found.host.push(finding.mend("systemctl start hostel"));
            return found;
        }
    };
    let all = processes::all();
    let pid = |value: &Value, pointer: &str| u32::try_from(value.pointer(pointer)?.as_u64()?).ok();
    let front = pid(&status, "/server/pid");
    let front = all.iter().find(|process| Some(process.pid) == front);
    let Some(front) = front else {
        let what = "the front's process is not in /proc: processes were not looked at";
        found.host.push(Finding::new(Check::NotExamined, what));
        return found;
    };
    let host = namespaces(front.parent);
    found.host.extend(judge(front, &server.user, None));
    for site in status
        .pointer("/sites")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let name = site
            .pointer("/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let known = server.sites.iter().find(|site| site.name == name);
        let (Some(keeper), Some(known)) = (pid(site, "/keeper"), known) else {
            continue;
        };
        let tree = processes::tree(&all, keeper);
        let findings = tree
            .iter()
            .filter_map(|one| judge(one, &known.user, Some(&host)));
        found
            .sites
            .entry(name.to_owned())
            .or_default()
            .extend(findings);
    }
    found
}

/// Everything that this process has and should not, in one finding.
fn judge(process: &Process, user: &User, host: Option<&Namespaces>) -> Option<Finding> {
    // A process may end at any moment: then there is nothing to say.
    let status = fs::read(format!("/proc/{}/status", process.pid)).ok()?;
    let mut faults = faults(&String::from_utf8_lossy(&status), user);
    if let Some(host) = host {
        let own = namespaces(process.pid);
        let shared = NAMESPACES.iter().zip(host.iter().zip(&own));
        let shared = shared.filter(|(_, (host, own))| own.is_some() && host == own);
        faults.extend(shared.map(|(name, _)| format!("shares the host's {name} namespace")));
    }
    if faults.is_empty() {
        return None;
    }
    let what = format!(
        "process {} ({}) {}",
        process.pid,
        process.name,
        faults.join(", ")
    );
    // Whatever it is, it was not started as this version starts things.
    Some(Finding::new(Check::ProcessPrivileges, what).mend("systemctl restart hostel"))
}

fn faults(status: &str, user: &User) -> Vec<String> {
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    };
    let mut faults = Vec::new();
    for (name, expected) in [("Uid", user.uid.0), ("Gid", user.gid.0)] {
        let numbers = field(name);
        let is_other = |number: &str| number != expected.to_string();
        if numbers.is_empty() || numbers.split_whitespace().any(is_other) {
            let numbers = numbers.split_whitespace().collect::<Vec<_>>().join(" ");
            faults.push(format!("has {name} {numbers} and not {expected}"));
        }
    }
    let groups = field("Groups");
    let is_own = |group: &str| group == user.gid.0.to_string();
    if !groups.split_whitespace().all(is_own) {
        faults.push(format!("is in groups {groups}"));
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let capabilities = field(set);
        if !capabilities.trim_start_matches('0').is_empty() {
            faults.push(format!("has capabilities ({set} {capabilities})"));
        }
    }
    for (name, expected, without) in [
        ("NoNewPrivs", "1", "is without no_new_privs"),
        ("Seccomp", "2", "is without a seccomp filter"),
    ] {
        if field(name) != expected {
            faults.push(without.to_owned());
        }
    }
    faults
}

/// What the links of /proc/PID/ns say, in the order of [`NAMESPACES`].
type Namespaces = Vec<Option<std::path::PathBuf>>;

fn namespaces(pid: u32) -> Namespaces {
    let link = |name| fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
    NAMESPACES.iter().map(link).collect()
}

/// Those of a sandbox.
const NAMESPACES: [&str; 5] = ["cgroup", "ipc", "mnt", "pid", "uts"];

#[cfg(test)]
mod tests {
    use super::*;
    use hostel_sys::cred::{Gid, Uid};

    const SOUND: &str = "Name:\tx\nUid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\nGroups:\t \nNoNewPrivs:\t1\nSeccomp:\t2\n\
        CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n\
        CapAmb:\t0000000000000000\n";

    fn user() -> User {
        User {
            name: "x".into(),
            uid: Uid(7),
            gid: Gid(8),
            home: "/".into(),
        }
    }

    #[test]
    fn a_process_without_privileges_is_fine() {
        assert!(faults(SOUND, &user()).is_empty());
    }

    #[test]
    fn whatever_is_more_is_a_fault() {
        for (from, to, expected) in [
            ("7\t7\t7\t7", "7\t7\t0\t7", "Uid"),
            ("8\t8\t8\t8", "8\t0\t8\t8", "Gid"),
            ("Groups:\t ", "Groups:\t4 8 ", "groups 4 8"),
            (
                "CapBnd:\t0000000000000000",
                "CapBnd:\t0000000000000400",
                "CapBnd",
            ),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "no_new_privs"),
            ("Seccomp:\t2", "Seccomp:\t0", "seccomp"),
        ] {
            let found = faults(&SOUND.replace(from, to), &user());
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(expected), "{found:?}");
        }
        assert!(
            !faults("", &user()).is_empty(),
            "what cannot be read is no proof"
        );
    }
}
