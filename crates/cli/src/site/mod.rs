//! `hostel site`: add, show, change and remove sites while the server runs.
//!
//! Run by root. What a site must have (`expect`), what is there (`inspect`), the difference in words (`diff`) and doing it (`apply`)
//! are one computation, by which `hostel audit` judges too: an interrupted command is completed by running it again. Root touches a home directory by descriptor and nothing beneath
//! it: that is done by a child that already is the site's user, in the site's sandbox (`sandbox` is root's side, `work` the child's).
//!
//! - `options`: what may be typed. `host`: the configuration, as it is and as it would be. `file`: the text of a site's file. `record`: what was made.
//! - `add`, `change`, `remove`, `show`: the commands. `live`: the running server. `report`, `trouble`: what is told.
//! - [`database`]: dumps of databases, and loading them. `accounts`, `programs`: users, and the programs of Debian's that are started. `said`: what a child says.

mod accounts;
pub(crate) mod add;
mod apply;
pub(crate) mod change;
pub(crate) mod database;
pub(crate) mod diff;
pub(crate) mod expect;
pub(crate) mod file;
pub(crate) mod host;
pub(crate) mod inspect;
pub(crate) mod live;
pub(crate) mod options;
pub(crate) mod programs;
pub(crate) mod record;
pub(crate) mod remove;
pub(crate) mod report;
pub(crate) mod said;
pub(crate) mod sandbox;
mod show;
pub(crate) mod trouble;
pub(crate) mod work;

use std::path::Path;
use std::process::ExitCode;

use hostel_sys::cred::Uid;

use crate::output;
use options::{Command, How};
use report::Report;
use trouble::Trouble;

/// Status 0 if all is as it was asked to be, 1 otherwise.
pub(crate) fn run(config: &Path, command: &Command) -> ExitCode {
    if Uid::effective() != Uid::ROOT {
        let trouble = Trouble::new("only root can make users and read every site's file");
        output::error(&trouble.hint("sudo hostel site …").to_string());
        return ExitCode::FAILURE;
    }
    match command {
        Command::List { json } => shown(show::list(config, *json)),
        Command::Show { name, json } => shown(show::show(config, name, *json)),
        Command::Add(options) => changed(&options.name, options.how, |report| {
            add::add(config, options, report)
        }),
        Command::Apply { site, how } => {
            let about = site.as_deref().unwrap_or("all sites");
            changed(about, *how, |report| {
                add::apply(config, site.as_deref(), report)
            })
        }
        Command::Clone(options) => changed(&options.name, options.how, |report| {
            add::clone(config, options, report)
        }),
        Command::Disable { name, how } => {
            changed(name, *how, |report| change::disable(config, name, report))
        }
        Command::Edit(options) => changed(&options.name, options.how, |report| {
            change::edit(config, options, report)
        }),
        Command::Enable { name, how } => {
            changed(name, *how, |report| change::enable(config, name, report))
        }
        Command::Remove {
            name,
            purge,
            with_home,
            how,
        } => changed(name, *how, |report| {
            remove::remove(config, name, (*purge, *with_home), report)
        }),
        Command::Rename {
            name,
            new_name,
            how,
        } => changed(name, *how, |report| {
            change::rename(config, (name, new_name), report)
        }),
        Command::Suspend { name, how } => {
            changed(name, *how, |report| change::suspend(config, name, report))
        }
    }
}

fn shown(result: Result<ExitCode, Trouble>) -> ExitCode {
    result.unwrap_or_else(|trouble| {
        output::error(&trouble.to_string());
        ExitCode::FAILURE
    })
}

fn changed(
    site: &str,
    how: How,
    change: impl FnOnce(&mut Report) -> Result<(), Trouble>,
) -> ExitCode {
    let mut report = Report::new(site, how);
    let done = change(&mut report);
    report.finish(done.as_ref().err());
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
