//! What a site must have and has not: what `hostel site apply` would do, as findings.
//!
//! What a site must have, what is there and what follows is said by `crate::site`, which also does it. Here it is only named: how severe it is, and the command.

use std::path::Path;

use hostel_config::Site;

use super::accounts;
use super::checks::Check;
use super::finding::Finding;
use super::sandbox::Sandboxes;
use super::shell;
use crate::site::diff::{self, Step};
use crate::site::expect::Expected;
use crate::site::host::Host;
use crate::site::inspect::{self, Found, Home};
use crate::site::options::How;
use crate::site::record::Records;
use crate::site::report::Report;
use crate::site::trouble::Trouble;

/// What `hostel site` would do for one site.
pub(super) struct Difference {
    pub(super) findings: Vec<Finding>,
    /// The command that keeps all others out of the home, where the home is open.
    pub(super) closes_home: Option<String>,
}

/// Look as `hostel site apply` does.
pub(super) fn examine(
    host: &Host,
    records: &Records,
    site: &std::rc::Rc<Site>,
    sandboxes: &Sandboxes,
) -> Difference {
    let expected = Expected::of_site(site);
    let found = look(host, records, site, sandboxes);
    let steps = found.and_then(|found| {
        let steps = diff::to_have(&expected, &found)?;
        Ok((found, steps))
    });
    let command = apply_command(&host.config, &site.name);
    match steps {
        Ok((found, steps)) => Difference {
            closes_home: steps
                .iter()
                .any(|step| closes_all(site, &found, step))
                .then(|| command.clone()),
            findings: findings(&found, steps, &command)
                .chain(interrupted(site, &found))
                .collect(),
        },
        Err(trouble) => {
            let finding = Finding::new(Check::Incomplete, trouble.what);
            Difference {
                findings: vec![finding.path(site.home.clone())],
                closes_home: None,
            }
        }
    }
}

fn look(
    host: &Host,
    records: &Records,
    site: &Site,
    sandboxes: &Sandboxes,
) -> Result<Found, Trouble> {
    let mut found = inspect::outside(host, records, site)?;
    if let Some(inside) = sandboxes.opened().filter(|_| found.has_a_sandbox(site)) {
        let quiet = How {
            dry_run: true,
            json: true,
        };
        let report = Report::new(&site.name, quiet);
        found.content = Some(inspect::look(&host.server, site, inside, &report)?);
    }
    Ok(found)
}

fn findings<'f>(
    found: &'f Found,
    steps: Vec<Step>,
    command: &'f str,
) -> impl Iterator<Item = Finding> + 'f {
    steps.into_iter().filter_map(move |step| {
        let finding = match &step {
            // What is open in it, and how badly, the walk tells.
            Step::CloseHome { .. } => return None,
            // Nothing could be looked at, which the walk tells.
            Step::FillRoot { .. } if found.content.is_none() => return None,
            Step::Mend(wrong) => {
                let path = wrong.path.display().to_string();
                let what = format!("{path} {}", wrong.faults);
                Finding::new(Check::ServerFileOpen, what).path(path)
            }
            Step::MakeState | Step::MakeLogs => Finding::new(Check::NotMade, in_words(&step)),
            _ => Finding::new(Check::Incomplete, in_words(&step)),
        };
        Some(finding.mend(command))
    })
}

fn in_words(step: &Step) -> String {
    format!("what lacks to be made: {}", step.in_words())
}

/// Whether nobody but the site comes into the home after this step: its own group's members may.
fn closes_all(site: &Site, found: &Found, step: &Step) -> bool {
    match (step, &found.home) {
        (Step::CloseHome { bits, .. }, Home::There { mode, .. }) => {
            mode & !bits & 0o077 == 0 || accounts::other_members(site).is_empty()
        }
        _ => false,
    }
}

/// What a command of `hostel site` has begun.
fn interrupted(site: &Site, found: &Found) -> Option<Finding> {
    let name = &site.name;
    let (what, command) = if found.record.removing.is_some() {
        ("its removal", format!("hostel site remove {name}"))
    } else if let Some(new) = &found.record.renaming {
        ("its renaming", format!("hostel site rename {name} {new}"))
    } else {
        return None;
    };
    let what = format!("{what} was interrupted");
    Some(Finding::new(Check::Incomplete, what).mend(command))
}

/// As root types it.
fn apply_command(config: &Path, site: &str) -> String {
    let config = match config == Path::new(crate::arguments::CONFIG) {
        true => String::new(),
        false => format!(
            " --config {}",
            shell::word(config.as_os_str().as_encoded_bytes())
        ),
    };
    format!("hostel site apply {site}{config}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_a_configuration_that_is_not_the_usual_one() {
        let usual = apply_command(Path::new("/etc/hostel/hostel.toml"), "a");
        assert_eq!(usual, "hostel site apply a");
        assert_eq!(
            apply_command(Path::new("/a b/x.toml"), "a"),
            "hostel site apply a --config '/a b/x.toml'"
        );
    }
}
