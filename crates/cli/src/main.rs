//! `hostel`: everything that an administrator types.
//!
//! Run by a person, mostly root; also as whoever just wants to check a configuration. It trusts the configuration files as
//! far as hostel-config does, and what the status socket and /proc say only as something to be shown: escaped, and
//! bounded. It serves nothing itself: `serve` becomes the monitor.
//!
//! - `arguments`: what may be typed. `commands`: one file each. `host`: what this machine has and lacks.
//! - `audit`: what weakens a site. `prove`: the attack suite.
//! - `processes`: the processes of a site, from /proc. `output`: the only place that prints.

#![forbid(unsafe_code)]

mod arguments;
mod audit;
mod commands;
mod host;
mod output;
mod processes;
mod prove;

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
        Command::Check { json } => commands::check::run(&arguments.config, json),
        Command::Documents { directory } => commands::documents::run(&directory),
        Command::Firewall(options) => commands::firewall::run(&arguments.config, options),
        Command::Prove(options) => prove::run(&arguments.config, &options),
        Command::Serve => commands::serve::run(&arguments.config),
        Command::Status { json } => commands::status::run(&arguments.config, json),
    }
}
