//! What this machine lacks, as `hostel check` finds it, and two settings of the kernel that keep users' links apart.

use std::fs;

use hostel_config::Server;

use super::checks::Check;
use super::finding::Finding;
use crate::host::{self, State};

pub(super) fn examine(server: &Server) -> Vec<Finding> {
    let mut findings = Vec::new();
    for found in host::examine(Some(server)) {
        let check = match found.state {
            State::Fine => continue,
            State::Missing => Check::HostLacks,
            State::Weaker => Check::HostWeaker,
            State::Unknown => Check::NotExamined,
        };
        let finding = Finding::new(check, format!("{}: {}", found.what, found.detail));
        findings.push(match found.hint {
            Some(hint) => finding.mend(hint),
            None => finding,
        });
    }
    for name in ["protected_hardlinks", "protected_symlinks"] {
        let value = fs::read_to_string(format!("/proc/sys/fs/{name}")).unwrap_or_default();
        if value.trim() != "1" {
            let what = format!("fs.{name} is {} and not 1", value.trim());
            let finding = Finding::new(Check::LinksNotProtected, what);
            findings.push(finding.mend(format!("sysctl -w fs.{name}=1")));
        }
    }
    findings
}
