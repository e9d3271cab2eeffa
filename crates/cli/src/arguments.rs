//! What may be typed. The doc comments are the help texts.

use std::path::PathBuf;

/// A web server that runs each site as its own Linux user, in its own sandbox, with its own PHP.
///
/// The configuration is one file per server (hostel.toml) and one per site (sites.d/NAME.toml beside it).
#[derive(Debug, clap::Parser)]
#[command(
    name = "hostel",
    version,
    arg_required_else_help = true,
    after_help = "A site, /etc/hostel/sites.d/blog.toml:\n\n    domains = [\"blog.example\", \"www.blog.example\"]\n\n\
        It runs as the user blog, from /srv/blog/public."
)]
pub(crate) struct Arguments {
    /// The server's configuration file
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        default_value = "/etc/hostel/hostel.toml"
    )]
    pub(crate) config: PathBuf,
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Look for what weakens a site, and name the command that mends it
    ///
    /// Needs root, and changes nothing. Looks at the files of each home (as the site's own user, in its sandbox), users and
    /// groups, the server's processes, open ports, PHP's settings, and what this machine lacks. Each site gets a score from
    /// 0 (nothing found) to 10. Ends with status 1 if something severe was found. The commands are to be read before they are
    /// run: each says what it changes.
    Audit {
        /// Look at one site alone
        #[arg(long, value_name = "NAME")]
        site: Option<String>,
        /// Print one JSON document instead
        #[arg(long)]
        json: bool,
    },
    /// The walk through a home that `audit` starts in the site's sandbox
    #[command(hide = true)]
    AuditWalk {
        /// Everybody can get to home
        #[arg(long)]
        open: bool,
        /// Groups whose members can
        #[arg(long, value_delimiter = ',')]
        groups: Vec<u32>,
        /// The site's group, where nobody else is in it
        #[arg(long)]
        own_group: Option<u32>,
        /// The project that home's disk use is counted by
        #[arg(long)]
        project: Option<u32>,
    },
    /// Read the configuration and list every error, and what this machine lacks
    ///
    /// Changes nothing. Each error is told with its file and line and, where there is one, a hint. Ends with status 1 if
    /// anything is wrong. As another user than root, files of this user are read too, and homes are not examined.
    Check {
        /// Print one JSON document instead
        #[arg(long)]
        json: bool,
    },
    /// Write the manual pages and what completes a command line in bash, zsh and fish, for a package
    #[command(hide = true)]
    Documents {
        /// An existing directory
        directory: PathBuf,
    },
    /// Show the rules of who may connect where, or put those in force that close this host's other ports
    ///
    /// Where sites may connect to is kept in force by the running server. Which ports of this host are open to others is in force
    /// after `apply`, until `remove` or a restart of the host: look at `print` and `apply --dry-run` first. Both are tables
    /// of their own; other rules of this host are not touched, and what they close stays closed.
    Firewall(crate::commands::firewall::Options),
    /// Attack the server from inside of each site's sandbox, and tell what was stopped by what
    ///
    /// Needs root; the server may run or not. For each site a fresh sandbox is started just as the server does it, with attack scripts
    /// in it; another site, in a fresh sandbox too, is the victim. Success is judged from outside. Nothing is left
    /// behind. Ends with status 1 if an attack got through, with 2 if the suite could not be run.
    Prove(crate::prove::Options),
    /// Run the server, in the foreground
    ///
    /// Needs root. This process becomes the monitor. SIGTERM finishes running requests and ends everything; SIGHUP reads the
    /// configuration again (a broken one changes nothing); SIGUSR1 opens the logs again.
    Serve,
    /// Show the running server: its sites, their users, processes and requests
    ///
    /// Needs root. Ends with status 1 if the server does not run.
    Status {
        /// Print one JSON document instead
        #[arg(long)]
        json: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn config_may_stand_on_either_side() {
        for line in [
            ["hostel", "--config", "/x", "check"],
            ["hostel", "check", "--config", "/x"],
        ] {
            let arguments = Arguments::try_parse_from(line).unwrap();
            assert_eq!(arguments.config, PathBuf::from("/x"));
        }
    }
}
