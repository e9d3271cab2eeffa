//! The server's running processes: whether each has what its role needs and nothing else, as /proc tells.
//!
//! What the monitor has started is the front, the firewall, and keepers; everything beneath a keeper has to be its site's,
//! without any privilege. The front says which keeper is whose; one that it does not name is known by its user.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hostel_config::Server;
use hostel_sys::capabilities::{MONITOR, mask};
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
    let Some(front) = all.iter().find(|process| Some(process.pid) == front) else {
        let what = "the front's process is not in /proc: processes were not looked at";
        found.host.push(Finding::new(Check::NotExamined, what));
        return found;
    };
    let sites = status.pointer("/sites").and_then(Value::as_array);
    let named = |keeper: u32| {
        let mut sites = sites.into_iter().flatten();
        let entry = sites.find(|site| pid(site, "/keeper") == Some(keeper))?;
        let name = entry.pointer("/name")?.as_str()?;
        server.sites.iter().find(|site| site.name == name)
    };
    let host = namespaces(front.parent);
    let monitor = all.iter().find(|process| process.pid == front.parent);
    found
        .host
        .extend(monitor.and_then(|monitor| judge(monitor, Role::Root, None)));
    for child in all.iter().filter(|process| process.parent == front.parent) {
        // A keeper that finishes its requests beside a newer one is not in the front's list any more.
        let by_user = || {
            server
                .sites
                .iter()
                .find(|site| site.user.uid.0 == child.uid)
        };
        let tree = processes::tree(&all, child.pid);
        if child.pid == front.pid {
            found
                .host
                .extend(judge(child, Role::User(&server.user), None));
        } else if let Some(site) = named(child.pid).or_else(by_user) {
            let role = Role::User(&site.user);
            let findings = tree.iter().filter_map(|one| judge(one, role, Some(&host)));
            found
                .sites
                .entry(site.name.clone())
                .or_default()
                .extend(findings);
        } else {
            found.host.extend(helper(child, &tree, server, &host));
        }
    }
    found
}

/// Neither front nor keeper: the firewall with what it starts, hostel-jobs with its sandboxes, or a child of the monitor on its way to be something else.
fn helper(child: &Process, tree: &[Process], server: &Server, host: &Namespaces) -> Vec<Finding> {
    let program = fs::read_link(format!("/proc/{}/exe", child.pid)).unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    match program.trim_end_matches(" (deleted)") {
        "" | "hostel-monitor" => Vec::new(),
        "hostel-firewall" => {
            let role = |one: &Process| {
                if one.uid == 0 {
                    Role::Root
                } else {
                    Role::Anybody
                }
            };
            tree.iter()
                .filter_map(|one| judge(one, role(one), None))
                .collect()
        }
        "hostel-jobs" => {
            let judge_one = |one: &Process| {
                let mut sites = server.sites.iter();
                match sites.find(|site| site.user.uid.0 == one.uid) {
                    Some(site) => judge(one, Role::User(&site.user), Some(host)),
                    // Itself; on their way to a sandbox its children are as it is.
                    None => judge(one, Role::Root, None),
                }
            };
            tree.iter().filter_map(judge_one).collect()
        }
        _ => {
            let what = format!(
                "process {} ({}) is a child of the monitor, of user {}, and neither front, firewall nor a site's",
                child.pid, child.name, child.uid
            );
            vec![Finding::new(Check::ProcessPrivileges, what).mend(RESTART)]
        }
    }
}

/// What a process may be.
#[derive(Debug, Clone, Copy)]
enum Role<'a> {
    /// Root, with no capability besides those of the monitor's list.
    Root,
    /// This user and its group, without any privilege.
    User(&'a User),
    /// Whoever it is, without any privilege.
    Anybody,
}

/// Everything that this process has and should not, in one finding.
fn judge(process: &Process, role: Role<'_>, host: Option<&Namespaces>) -> Option<Finding> {
    // A process may end at any moment: then there is nothing to say.
    let status = fs::read(format!("/proc/{}/status", process.pid)).ok()?;
    let mut faults = faults(&String::from_utf8_lossy(&status), role);
    if let Some(host) = host {
        let own = namespaces(process.pid);
        let shared = NAMESPACES.iter().zip(host.iter().zip(&own));
        let shared = shared.filter(|(_, (host, own))| own.is_some() && host == own);
        faults.extend(shared.map(|(name, _)| format!("shares the host's {name} namespace")));
    }
    if faults.is_empty() {
        return None;
    }
    let (pid, name) = (process.pid, &process.name);
    let what = format!("process {pid} ({name}) {}", faults.join(", "));
    Some(Finding::new(Check::ProcessPrivileges, what).mend(RESTART))
}

fn faults(status: &str, role: Role<'_>) -> Vec<String> {
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    };
    let capabilities = |set: &str| u64::from_str_radix(&field(set), 16).unwrap_or(u64::MAX);
    let mut faults = Vec::new();
    let allowed = match role {
        Role::Root => mask(MONITOR),
        Role::User(_) | Role::Anybody => 0,
    };
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let more = capabilities(set) & !allowed;
        if more != 0 {
            faults.push(format!("has capabilities ({set} {more:016x})"));
        }
    }
    if field("NoNewPrivs") != "1" {
        faults.push("is without no_new_privs".to_owned());
    }
    let Role::User(user) = role else {
        return faults;
    };
    if field("Seccomp") != "2" {
        faults.push("is without a seccomp filter".to_owned());
    }
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
    faults
}

/// What the links of /proc/PID/ns say, in the order of [`NAMESPACES`].
type Namespaces = Vec<Option<std::path::PathBuf>>;

fn namespaces(pid: u32) -> Namespaces {
    let link = |name| fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
    NAMESPACES.iter().map(link).collect()
}

/// Whatever it is, it was not started as this version starts things.
const RESTART: &str = "systemctl restart hostel";
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
        assert!(faults(SOUND, Role::User(&user())).is_empty());
    }

    #[test]
    fn root_may_have_what_the_monitor_uses_and_no_more() {
        let with =
            |set: u64| SOUND.replace("CapEff:\t0000000000000000", &format!("CapEff:\t{set:016x}"));
        assert!(faults(&with(mask(MONITOR)), Role::Root).is_empty());
        let all = faults(&with(u64::MAX), Role::Root);
        assert!(all.len() == 1 && all[0].contains("CapEff"), "{all:?}");
        assert_eq!(faults(&with(mask(MONITOR)), Role::Anybody).len(), 1);
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
            let found = faults(&SOUND.replace(from, to), Role::User(&user()));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(expected), "{found:?}");
        }
        assert!(
            !faults("", Role::Anybody).is_empty(),
            "what cannot be read is no proof"
        );
    }
}
