//! What may be typed after `hostel site`. The doc comments are the help texts.

use std::path::PathBuf;

/// How a change is made and told.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct How {
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print one JSON document instead
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a site: its user, home, document root, state, logs and file; load it; visit it
    ///
    /// What is there already and right is left as it is, so that the same command may be run again, after it was interrupted
    /// too. The running server takes the site without a restart.
    Add(Add),
    /// Make users, homes, document roots, state and logs as the configuration says, where they are missing or not as they must be
    Apply {
        /// For this site alone; else for all
        #[arg(value_name = "NAME")]
        site: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Make a copy of a site as another user, such as for trying an update
    ///
    /// Files are copied, and the databases that the site's file names in [[database]]. Addresses, paths and names of databases that stand in
    /// the files stay as they are.
    Clone(Clone),
    /// Take a site off the server and keep all that is its own
    Disable {
        /// The site
        name: String,
        #[command(flatten)]
        how: How,
    },
    /// Change a site's file, keeping its comments
    Edit(Edit),
    /// Serve a site that was disabled or suspended
    Enable {
        /// The site
        name: String,
        #[command(flatten)]
        how: How,
    },
    /// List all sites
    List {
        /// Print one JSON document instead
        #[arg(long)]
        json: bool,
    },
    /// Remove a site with all that `site add` made for it, and keep an archive
    ///
    /// The archive stands in `state`/removed: what was in the home, the site's file, its logs. A home and a user that `site add` did not
    /// make are left as they are, unless --with-home is given.
    Remove {
        /// The site
        name: String,
        /// Keep no archive
        #[arg(long)]
        purge: bool,
        /// Remove the home too although `site add` did not make it
        #[arg(long)]
        with_home: bool,
        #[command(flatten)]
        how: How,
    },
    /// Give a site another name. Its user, its home and its domains stay
    Rename {
        /// The site
        name: String,
        /// Its name from now on
        new_name: String,
        #[command(flatten)]
        how: How,
    },
    /// Show one site
    Show {
        /// The site
        name: String,
        /// Print one JSON document instead
        #[arg(long)]
        json: bool,
    },
    /// Answer every visitor with a page of status 503 and run nothing of the site, until it is enabled
    Suspend {
        /// The site
        name: String,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// The site's name, and its user's unless --user is given
    pub(crate) name: String,
    /// A domain that leads to it; may be given several times
    #[arg(long = "domain", short, required = true, value_name = "DOMAIN")]
    pub(crate) domains: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// The document root, beneath home; default: public
    #[arg(long, value_name = "PATH")]
    pub(crate) root: Option<String>,
    /// A PHP setting, NAME=VALUE, that scripts may change
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) php_value: Vec<String>,
    /// A PHP setting, NAME=VALUE, that scripts may not change
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) php_admin_value: Vec<String>,
    /// Make it a database of its own, of this host's server, which the site's user alone can use; may be given for each kind
    #[arg(long = "database", value_name = "KIND")]
    pub(crate) databases: Vec<DatabaseKind>,
    #[command(flatten)]
    pub(crate) how: How,
}

/// Which server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DatabaseKind {
    /// MariaDB's or MySQL's.
    Mysql,
    /// PostgreSQL's.
    Postgresql,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// Run it as this user, who is made if there is none; one who exists must be named here
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Its home; default: /srv/NAME
    #[arg(long, value_name = "PATH")]
    pub(crate) home: Option<PathBuf>,
    /// Give a user that is made this login shell; default: none, nobody can log in
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) shell: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Clone {
    /// The site that is copied
    pub(crate) from: String,
    /// The copy's name
    pub(crate) name: String,
    /// A domain that leads to the copy; may be given several times
    #[arg(long = "domain", short, required = true, value_name = "DOMAIN")]
    pub(crate) domains: Vec<String>,
    /// Copy no databases, and name none in the copy's file
    #[arg(long)]
    pub(crate) no_databases: bool,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) how: How,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    /// The site
    pub(crate) name: String,
    /// One more domain; may be given several times
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) add_domain: Vec<String>,
    /// A domain less; may be given several times
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) remove_domain: Vec<String>,
    /// A key of the site's file and its value as TOML, such as workers_max=4 or 'index=["index.php"]'
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// A key that is to have its default again
    #[arg(long, value_name = "KEY")]
    pub(crate) unset: Vec<String>,
    /// A PHP setting, NAME=VALUE, that scripts may change
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) php_value: Vec<String>,
    /// A PHP setting, NAME=VALUE, that scripts may not change
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) php_admin_value: Vec<String>,
    /// A PHP setting that is to be php.ini's again
    #[arg(long, value_name = "NAME")]
    pub(crate) unset_php: Vec<String>,
    #[command(flatten)]
    pub(crate) how: How,
}

/// What a child inside of a site's sandbox does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Work {
    /// Write the home's content as an archive to the descriptor that it is sent.
    Archive,
    /// Write what is in a database to the descriptor that it is sent.
    DumpDatabase,
    /// Remove everything in the home and in the site's own directories.
    Empty,
    /// Remove everything in the home alone.
    EmptyHome,
    /// Remove everything in the site's own directories.
    EmptyState,
    /// Make the document root, and a welcome page in it where it is empty.
    Fill,
    /// Empty a database, and fill it from the descriptor that it is sent.
    LoadDatabase,
    /// Say what is in the home.
    Look,
    /// Say what is in a database.
    LookAtDatabase,
    /// Unpack the stream from the descriptor that it is sent.
    Receive,
    /// Write the home's content as a stream to the descriptor that it is sent.
    Send,
}
