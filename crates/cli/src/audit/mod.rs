//! `hostel audit`: what of this host weakens a site, how much, and the command that mends it.
//!
//! Run by root. It changes nothing but what the start of a site does too: it makes the server's own directories where they are missing,
//! and sets the configured quotas. Homes are
//! walked by a child that already is the site's user in the site's sandbox (`walk`); what that says is bounded, checked and
//! escaped here. /proc, /etc and the server's own directories are read as root: no site can write them.
//!
//! - `checks`: every check with its severity and weight, and the score. `finding`: one of them, with its command.
//! - `sandbox`: starts a walk. `walk`: the child. `record`: what it says. `files`: what that means.
//! - `expected`: what `hostel site apply` would do, for what a site must have is said there.
//! - `accounts`, `disk`, `host`, `php`, `ports`, `processes`, `settings`: one kind of check each. `report`: the result.

mod accounts;
mod checks;
mod disk;
mod expected;
mod files;
mod finding;
mod host;
mod php;
mod ports;
mod processes;
mod record;
mod report;
mod sandbox;
mod settings;
mod shell;
pub(crate) mod walk;

use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use hostel_config::{Site, SystemUsers};
use hostel_sys::cred::Uid;

use crate::output;
use crate::site::host::Host;
use crate::site::record::Records;
use checks::Severity;
use report::{Report, SiteReport};
use sandbox::Sandboxes;

/// Status 0 if nothing severe was found, 1 otherwise.
pub(crate) fn run(config: &Path, site: Option<&str>, as_json: bool) -> ExitCode {
    let host = match examined(config, site) {
        Ok(host) => host,
        Err(text) => {
            output::error(&text);
            return ExitCode::FAILURE;
        }
    };
    let report = audit(&host, site);
    if as_json {
        output::json(&report.document());
    } else {
        report.print();
    }
    match report.worst() {
        Some(Severity::Severe) => ExitCode::FAILURE,
        Some(Severity::Warning | Severity::Information) | None => ExitCode::SUCCESS,
    }
}

fn examined(config: &Path, site: Option<&str>) -> Result<Host, String> {
    if Uid::effective() != Uid::ROOT {
        return Err(
            "hostel audit: only root can look at every site\n  hint: sudo hostel audit".into(),
        );
    }
    let server = hostel_config::load(config, &SystemUsers::read())
        .map_err(|errors| format!("hostel audit: the configuration has errors\n{errors}"))?;
    match site {
        Some(name) if !server.sites.iter().any(|site| site.name == name) => Err(format!(
            "hostel audit: there is no site '{}'\n  hint: sites are named after their files in {}",
            name.escape_debug(),
            server.sites_directory.display()
        )),
        _ => Ok(Host {
            config: config.to_owned(),
            server,
        }),
    }
}

fn audit(audited: &Host, only: Option<&str>) -> Report {
    let (config, server) = (&audited.config, &audited.server);
    let mut running = processes::examine(config, server);
    let mut host = host::examine(server);
    host.append(&mut running.host);
    host.extend(ports::examine(server));
    host.extend(settings::examine(config, server));
    host.extend(php::examine_host(server));
    let sandboxes = Sandboxes::open(server);
    let records = Records::look(server);
    let wanted = |site: &&Rc<Site>| only.is_none_or(|name| site.name == name);
    let sites = server.sites.iter().filter(wanted).map(|site| {
        let walk = sandboxes.walk(server, site);
        let lacks = expected::examine(audited, &records, site, &sandboxes);
        let mut findings = files::judge(site, &walk, lacks.closes_home.as_deref());
        // What is wrong with the home itself is why it could not be walked through.
        if walk.end.is_ok() {
            findings.extend(lacks.findings);
        }
        findings.extend(accounts::examine(server, site));
        findings.extend(settings::examine_site(server, site));
        findings.extend(php::examine(server, site));
        findings.extend(disk::examine(server, site));
        findings.extend(running.of_site(&site.name));
        SiteReport {
            name: site.name.clone(),
            files: walk.files(),
            findings,
        }
    });
    let sites = sites.collect();
    Report { host, sites }
}
