//! What may be typed after `hostel backup` and `hostel restore`. The doc comments are the help texts.

use std::path::PathBuf;

use crate::site::options::How;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) make: Make,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Make {
    /// The sites
    #[arg(value_name = "SITE", required_unless_present = "all")]
    pub(crate) sites: Vec<String>,
    /// All sites, disabled ones too
    #[arg(long, conflicts_with = "sites")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) place: Target,
    #[command(flatten)]
    pub(crate) how: How,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Look whether the repository is sound and every backup in it whole
    Check {
        /// Read all data, which for a remote repository means to transfer it
        #[arg(long)]
        read_data: bool,
        #[command(flatten)]
        place: Target,
        /// Print one JSON document instead
        #[arg(long)]
        json: bool,
    },
    /// Make the repository, and a password for it where there is none
    ///
    /// Without the password nothing can be restored: keep a copy of its file elsewhere.
    Init {
        #[command(flatten)]
        place: Target,
        #[command(flatten)]
        how: How,
    },
    /// List the backups
    List {
        /// Of one site alone
        site: Option<String>,
        #[command(flatten)]
        place: Target,
        /// Print one JSON document instead
        #[arg(long)]
        json: bool,
    },
}

/// Where the repository is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Target {
    /// The repository: an absolute path, or as restic names it; default: `to` in [backup] of hostel.toml
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) to: Option<String>,
    /// The file with its password; default: `password_file` in [backup]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Give up when the repository has made trouble for so many seconds, which restic alone would wait out for a quarter of an hour
    #[arg(long, value_name = "SECONDS", default_value = "180")]
    pub(crate) patience: u64,
    /// The name of the host whose backups are meant; default: this host's
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// The site that was kept
    pub(crate) site: String,
    /// Which backup, as `hostel backup list` shows it; default: the last
    #[arg(long, value_name = "BACKUP")]
    pub(crate) backup: Option<String>,
    /// Make another site of it, such as for a trial, and leave the first as it is
    #[arg(long = "as", value_name = "NAME", requires = "domains")]
    pub(crate) new_name: Option<String>,
    /// A domain that leads to that other site; may be given several times
    #[arg(long = "domain", short, value_name = "DOMAIN", requires = "new_name")]
    pub(crate) domains: Vec<String>,
    #[command(flatten)]
    pub(crate) site_place: crate::site::options::Place,
    /// Leave databases alone
    #[arg(long)]
    pub(crate) no_databases: bool,
    /// Put the settings of then back too, the site's file
    #[arg(long, conflicts_with = "new_name")]
    pub(crate) with_settings: bool,
    /// Do not keep what is replaced
    #[arg(long, conflicts_with = "new_name")]
    pub(crate) purge: bool,
    #[command(flatten)]
    pub(crate) place: Target,
    #[command(flatten)]
    pub(crate) how: How,
}
