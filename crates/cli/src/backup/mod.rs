//! `hostel backup` and `hostel restore`: sites go into a repository of restic's, and come back out of it.
//!
//! Run by root, which reads nothing of a site: its home is packed and unpacked, its databases dumped and loaded by a child that already is the site's user, in a
//! fresh sandbox (`site::work`). restic runs as a user of its own, beside that child; a pipe is all they share.
//!
//! - `options`: what may be typed. `restic`: the program. `manifest`: what a backup consists of. `stream`: from the sandbox to restic and back.
//! - `make`, `keep`: backups are made, and the oldest forgotten. `init`, `show`, `check`: the repository. `restore`, `replace`, `beside`: the way back.

mod beside;
mod check;
mod init;
mod keep;
mod make;
pub(crate) mod manifest;
pub(crate) mod options;
mod replace;
mod restic;
mod restore;
mod show;
mod stream;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hostel_config::{Backup, SystemUsers};
use hostel_sys::cred::Uid;

use crate::output;
use crate::site::host::Host;
use crate::site::report::Report;
use crate::site::trouble::Trouble;
use options::{Command, Options, Restore, Target};
use restic::Repository;

/// Status 0 if all is as it was asked to be, 1 otherwise.
pub(crate) fn run(config: &Path, options: &Options) -> ExitCode {
    let make = &options.make;
    match &options.command {
        None => {
            let about = match make.all {
                true => "all sites".to_owned(),
                false => make.sites.join(", "),
            };
            done(Report::new(&about, make.how), |report| {
                make::make(config, make, report)
            })
        }
        Some(Command::Check {
            read_data,
            place,
            json,
        }) => done(Report::of_a_look(ABOUT, *json), |report| {
            check::check(config, place, *read_data, report)
        }),
        Some(Command::Init { place, how }) => done(Report::new(ABOUT, *how), |report| {
            init::init(config, place, report)
        }),
        Some(Command::List { site, place, json }) => {
            done(Report::of_a_look(ABOUT, *json), |report| {
                show::list(config, place, site.as_deref(), report)
            })
        }
    }
}

/// `hostel restore`; the status as of [`run`].
pub(crate) fn restore(config: &Path, options: &Restore) -> ExitCode {
    let about = options.new_name.as_ref().unwrap_or(&options.site);
    done(Report::new(about, options.how), |report| {
        restore::restore(config, options, report)
    })
}

fn done(mut report: Report, act: impl FnOnce(&mut Report) -> Result<(), Trouble>) -> ExitCode {
    if Uid::effective() != Uid::ROOT {
        let trouble = Trouble::new(
            "only root can start every site's sandbox and read the repository's password",
        );
        output::error(&trouble.hint("sudo hostel backup …").to_string());
        return ExitCode::FAILURE;
    }
    let done = act(&mut report);
    report.finish(done.as_ref().err());
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What `[backup]` says, with what was typed in its place.
fn settings(host: &Host, place: &Target) -> Result<Backup, Trouble> {
    let mut backup = match (&host.server.backup, &place.to) {
        (Some(backup), _) => backup.clone(),
        (None, Some(to)) => {
            let base = host.config.parent().unwrap_or(Path::new("/"));
            hostel_config::backup::by_hand(to, base, &SystemUsers::read())
                .map_err(|error| Trouble::of_text(&error.to_string()))?
        }
        (None, None) => {
            let config = host.config.display();
            return Err(
                Trouble::new(format!("there is no [backup] in {config}, and no --to"))
                    .hint("write [backup] with to = \"/mnt/disk/backups\", or another repository"),
            );
        }
    };
    if let Some(to) = &place.to {
        if !hostel_config::backup::is_repository(to) {
            let trouble = Trouble::new(format!("--to {} is no repository", output::escape(to)));
            return Err(trouble.hint(hostel_config::backup::REPOSITORY_HINT));
        }
        backup.to.clone_from(to);
    }
    if let Some(file) = &place.password_file {
        let file = std::path::absolute(file).map_err(Trouble::at("find", file))?;
        backup.password_file = file;
    }
    Ok(backup)
}

fn open(host: &Host, place: &Target) -> Result<Repository, Trouble> {
    let patience = Duration::from_secs(place.patience);
    Repository::open(&host.server.state, &settings(host, place)?, patience)
}

/// The name of the host that backups are of.
fn host_name(place: &Target) -> String {
    match &place.host {
        Some(name) => name.clone(),
        None => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
    }
}

/// What messages of the repository are about.
const ABOUT: &str = "backup";
