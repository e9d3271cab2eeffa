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
        default_value = CONFIG
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
    /// Keep sites in a repository of backups: files, databases and settings, encrypted, and only what is new
    ///
    /// Needs root; the server may run or not, and goes on meanwhile. A site's files are packed and its databases dumped as the site's user, in a
    /// sandbox; restic, which speaks to the repository, runs as a user of its own. What was interrupted does not count, and the
    /// next run does it anew. See backup.md.
    #[command(
        after_help = "Such as: hostel backup init --to /mnt/disk/backups; hostel backup --all"
    )]
    Backup(crate::backup::options::Options),
    /// Read the configuration and list every error, and what this machine lacks
    ///
    /// Changes nothing. Each error is told with its file and line and, where there is one, a hint. Ends with status 1 if
    /// anything is wrong. As another user than root, files of this user are read too, and homes are not examined.
    Check {
        /// Print one JSON document instead
        #[arg(long)]
        json: bool,
    },
    /// Show, dump and load the databases that a site's file names
    ///
    /// Needs root; the server may run or not. A program of the database's does it, as the site's user in a sandbox of the site, with what the
    /// site's file says of who it is there. See docs/databases.md.
    Database(crate::site::database::command::Options),
    /// Write the manual pages and what completes a command line in bash, zsh and fish, for a package
    #[command(hide = true)]
    Documents {
        /// An existing directory
        directory: PathBuf,
    },
    /// Run a command in a new sandbox of a site, as the site's user
    ///
    /// Needs root; the server may run or not. The sandbox is as the one that serves visitors: the same files, limits, filters. The
    /// command starts in the site's home with a clean environment; composer, git and PHP's command line work there. On a
    /// terminal it gets a pseudo-terminal of its own, else pipes. What it writes is passed on as it is. Ends with the
    /// command's status, 128 and the signal's number, 126 or 127 where it cannot be run, 125 where the sandbox was not started.
    #[command(after_help = "Such as: hostel exec blog -- composer install")]
    Exec(crate::command::ExecOptions),
    /// Show the rules of who may connect where, or put those in force that close this host's other ports
    ///
    /// Where sites may connect to is kept in force by the running server. Which ports of this host are open to others is in force
    /// after `apply`, until `remove` or a restart of the host: look at `print` and `apply --dry-run` first. Both are tables
    /// of their own; other rules of this host are not touched, and what they close stays closed.
    Firewall(crate::commands::firewall::Options),
    /// Make site files of the configuration of nginx, Apache or php-fpm
    ///
    /// Reads the files that are named, and those that they include; prints a file for each site, or writes them with --write; and tells of
    /// every directive with its file and line whether it was carried over, is not needed here and why, or is not supported and what to do.
    /// Changes nothing else. What it writes passes `hostel check` once the users are there that it names. See docs/importing.md.
    Import(crate::commands::import::Options),
    /// Show what of sites' mail waits for the mail server
    ///
    /// Needs root, and changes nothing. What became of each message stands in mail.log.
    Mail(crate::commands::mail::Options),
    /// Attack the server from inside of each site's sandbox, and tell what was stopped by what
    ///
    /// Needs root; the server may run or not. For each site a fresh sandbox is started just as the server does it, with attack scripts
    /// in it; another site, in a fresh sandbox too, is the victim. Success is judged from outside. Nothing is left
    /// behind. Ends with status 1 if an attack got through, with 2 if the suite could not be run.
    Prove(crate::prove::Options),
    /// Let the running server take what has changed in its configuration
    ///
    /// Needs root. Sites that have not changed keep their processes and connections. A changed one goes on as it was until its new
    /// sandbox works, and for good if it does not. With an error anywhere in the configuration nothing changes, and every
    /// error is told. Ends with status 1 if anything is not as the configuration says.
    Reload {
        /// Change nothing; only tell what would be changed
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON document instead
        #[arg(long)]
        json: bool,
    },
    /// Bring a site back from a backup: in its place, on a new host, or as another site for a trial
    ///
    /// Needs root; the server may run or not. The backup is unpacked first, as the site's user in its sandbox, while the site goes on; then the site
    /// is suspended while the homes change places. Its temporary files, sessions and compiled scripts go. What was there is
    /// kept beside it unless --purge is given. The same command completes what was interrupted. See backup.md.
    Restore(crate::backup::options::Restore),
    /// Run the server, in the foreground
    ///
    /// Needs root. This process becomes the monitor. SIGTERM finishes running requests and ends everything; SIGHUP reads the
    /// configuration again (a broken one changes nothing); SIGUSR1 opens the logs again.
    Serve,
    /// Open a shell in a new sandbox of a site, as the site's user
    ///
    /// As `exec`, with bash (or sh) as the command. Where it is asked for at no terminal, the shell reads its commands from standard
    /// input.
    Shell(crate::command::ShellOptions),
    /// Add, show, change and remove sites, while the server runs
    ///
    /// Needs root. What changes something shows with --dry-run what it would do; interrupted at any point, the same command completes what was begun.
    Site {
        /// What to do
        #[command(subcommand)]
        command: crate::site::options::Command,
    },
    /// What `site` has done with the files of a site, in its sandbox
    #[command(hide = true)]
    SiteWork {
        /// What is done
        work: crate::site::options::Work,
        /// Put a page into an empty document root
        #[arg(long)]
        welcome: bool,
    },
    /// Show the running server: its sites, their users, processes and requests
    ///
    /// Needs root. Ends with status 1 if the server does not run.
    Status {
        /// Print one JSON document instead
        #[arg(long)]
        json: bool,
    },
    /// Let the running server go on with the programs that are installed now
    ///
    /// Needs root. No connection is refused and no request is lost: the new front takes new connections, the old one finishes what
    /// it has begun. The new programs are tried first; where they do not work the old ones go on. Ends with status 1 then.
    Upgrade {
        /// Change nothing; only tell whether the installed programs could take over
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON document instead
        #[arg(long)]
        json: bool,
    },
}

/// Where the configuration is where nothing else is said.
pub(crate) const CONFIG: &str = "/etc/hostel/hostel.toml";

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
