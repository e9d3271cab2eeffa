//! `hostel`: everything that an administrator types.
//!
//! Run by a person, mostly root; also as whoever just wants to check a configuration. It trusts the configuration files as
//! far as hostel-config does, and what the status socket and /proc say only as something to be shown: escaped, and
//! bounded. It serves nothing itself: `serve` becomes the monitor.
//!
//! - `arguments`: what may be typed. `commands`: one file each. `host`: what this machine has and lacks.
//! - `command`: `exec` and `shell`, which run a command in a site's sandbox.
//! - `audit`: what weakens a site. `prove`: the attack suite. `site`: sites are added, changed and removed.
//! - `backup`: sites go into a repository of backups, and come back.
//! - `import`: what other servers' configurations become.
//! - `inside`: starts this program in a site's sandbox, as the site's user.
//! - `control`: questions to the running server. `processes`: the processes of a site, from /proc. `output`: the only place that prints.

#![forbid(unsafe_code)]

mod arguments;
mod audit;
mod backup;
mod command;
mod commands;
mod control;
mod host;
mod import;
mod inside;
mod output;
mod processes;
mod prove;
mod site;
mod whole_file;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Audit { site, json } => audit::run(&arguments.config, site.as_deref(), json),
        Command::AuditWalk {
            open,
            groups,
            own_group,
            project,
        } => {
            let parents = audit::walk::Others {
                is_open: open,
                groups,
                own_group,
            };
            audit::walk::run(&parents, project)
        }
        Command::Backup(options) => backup::run(&arguments.config, &options),
        Command::Check { json } => commands::check::run(&arguments.config, json),
        Command::Documents { directory } => commands::documents::run(&directory),
        Command::Exec(options) => command::exec(&arguments.config, &options),
        Command::Firewall(options) => commands::firewall::run(&arguments.config, options),
        Command::Import(options) => commands::import::run(options),
        Command::Mail(options) => commands::mail::run(&arguments.config, &options),
        Command::Prove(options) => prove::run(&arguments.config, &options),
        Command::Reload { dry_run, json } => {
            commands::reload::run(&arguments.config, dry_run, json)
        }
        Command::Restore(options) => backup::restore(&arguments.config, &options),
        Command::Serve => commands::serve::run(&arguments.config),
        Command::Shell(options) => command::shell(&arguments.config, &options),
        Command::Site { command } => site::run(&arguments.config, &command),
        Command::Database(options) => site::database::command::run(&arguments.config, &options),
        Command::SiteWork { work, welcome } => site::work::run(work, welcome),
        Command::Status { json } => commands::status::run(&arguments.config, json),
        Command::Upgrade { dry_run, json } => {
            commands::upgrade::run(&arguments.config, dry_run, json)
        }
    }
}
