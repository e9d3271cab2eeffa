//! `hostel database`: a site's databases are shown, dumped and loaded.
//!
//! Run as root. What is standard output or input here is given to the child in the site's sandbox, which writes or reads it; that is
//! why it must be no terminal, over which the child could speak to whoever sits there.

use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use hostel_config::database::Database;
use hostel_config::{Server, Site};
use hostel_sys::cred::Uid;
use serde_json::json;

use crate::inside::Inside;
use crate::output;
use crate::site::host::{Host, MayMiss, site_of};
use crate::site::options::How;
use crate::site::record::Records;
use crate::site::report::Report;
use crate::site::trouble::Trouble;

/// What is to be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Write what is in a database to standard output, a file or a pipe
    ///
    /// Ends with status 1 if the dump is not whole. MariaDB's is SQL, PostgreSQL's an archive for pg_restore, SQLite's a database file.
    Dump {
        #[command(flatten)]
        which: Which,
    },
    /// Show a site's databases, whether they answer, and how large they are
    List {
        /// The site
        site: String,
        /// Print one JSON document instead
        #[arg(long)]
        json: bool,
    },
    /// Empty a database, and load what `dump` has written from standard input
    ///
    /// What is in the database is lost. Where a load was interrupted, run it again.
    Load {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The site
    site: String,
    /// The database: its name or file, or its number in the site's file from 1; may be left out where there is only one
    database: Option<String>,
}

/// Status 0 if it was done, or if every database answers.
pub(crate) fn run(config: &Path, options: &Options) -> ExitCode {
    let done = match &options.action {
        _ if Uid::effective() != Uid::ROOT => {
            Err(Trouble::new("only root can start a site's sandbox"))
        }
        Action::Dump { which } => dump_out(config, which),
        Action::List { site, json } => list(config, site, *json),
        Action::Load { which, how } => load_in(config, which, *how),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            let text = trouble.to_string();
            output::error(&text.replacen("hostel site", "hostel database", 1));
            ExitCode::FAILURE
        }
    }
}

fn dump_out(config: &Path, which: &Which) -> Result<bool, Trouble> {
    let (server, site, number) = find(config, which)?;
    let to = std::io::stdout();
    if to.is_terminal() {
        let trouble = Trouble::new("a dump is not written to a terminal");
        return Err(trouble.hint(format!("hostel database dump {} > FILE", site.name)));
    }
    let report = Report::new(&site.name, JSON);
    let inside = open(&server)?;
    super::dump(&inside, (&server, &site), number, copy_of(&to)?, &report)?;
    Ok(true)
}

fn load_in(config: &Path, which: &Which, how: How) -> Result<bool, Trouble> {
    let (server, site, number) = find(config, which)?;
    let from = std::io::stdin();
    if from.is_terminal() {
        let trouble = Trouble::new("a dump is not read from a terminal");
        return Err(trouble.hint(format!("hostel database load {} < FILE", site.name)));
    }
    let mut report = Report::new(&site.name, how);
    let done = (|| {
        let inside = open(&server)?;
        // Two that load at the same time would mix.
        let _lock = (!how.dry_run).then(|| Records::open(&server)).transpose()?;
        let database = super::of_number(&server, &site, number)?;
        let words = match how.dry_run {
            true => {
                let seen = super::look(&inside, (&server, &site), number, &report)?;
                let kib = seen.bytes.div_ceil(1024);
                format!(
                    "empty the {database} of {} tables, {kib} KiB, and load the dump into it",
                    seen.objects
                )
            }
            false => {
                super::load(&inside, (&server, &site), number, copy_of(&from)?, &report)?;
                format!("empty the {database} and load the dump into it")
            }
        };
        report.step(words);
        Ok(true)
    })();
    report.finish(done.as_ref().err());
    // It was told.
    Ok(done.unwrap_or(false))
}

fn list(config: &Path, site: &str, json: bool) -> Result<bool, Trouble> {
    let host = Host::load(config, MayMiss::Nobody)?;
    let site = site_of(&host.server, site)?;
    let report = Report::new(&site.name, JSON);
    let databases = host.server.databases_of(&site.name);
    let inside = (!databases.is_empty())
        .then(|| open(&host.server))
        .transpose()?;
    let mut rows = vec![
        ["", "database", "tables", "KiB", ""]
            .map(str::to_owned)
            .into(),
    ];
    let mut documents = Vec::new();
    let mut all_answer = true;
    for (number, database) in databases.iter().enumerate() {
        let Some(inside) = &inside else { break };
        let seen = super::look(inside, (&host.server, &site), number, &report);
        all_answer &= seen.is_ok();
        let (objects, bytes) = match &seen {
            Ok(seen) => (Some(seen.objects), Some(seen.bytes)),
            Err(_) => (None, None),
        };
        let why = seen.as_ref().err().map(|trouble| trouble.what.clone());
        let text = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
        rows.push(vec![
            (number + 1).to_string(),
            output::escape(&database.to_string()),
            text(objects),
            text(bytes.map(|bytes| bytes.div_ceil(1024))),
            output::escape(why.as_deref().unwrap_or_default()),
        ]);
        documents.push(json!({
            "number": number + 1,
            "database": database.to_string(),
            "tables": objects,
            "bytes": bytes,
            "error": why,
        }));
    }
    if json {
        output::json(&json!({ "site": site.name, "databases": documents }));
    } else if databases.is_empty() {
        output::line(&format!("the file of '{}' names no database", site.name));
    } else {
        output::table(&rows);
    }
    Ok(all_answer)
}

fn find(config: &Path, which: &Which) -> Result<(Server, Rc<Site>, usize), Trouble> {
    let host = Host::load(config, MayMiss::Nobody)?;
    let site = site_of(&host.server, &which.site)?;
    let databases = host.server.databases_of(&site.name);
    let number = pick(databases, which.database.as_deref())
        .map_err(|what| Trouble::new(what).hint(format!("hostel database list {}", site.name)))?;
    Ok((host.server, site, number))
}

/// The place of the database that is meant.
fn pick(databases: &[Database], wanted: Option<&str>) -> Result<usize, String> {
    let Some(wanted) = wanted else {
        return match databases.len() {
            0 => Err("the site's file names no [[database]]".to_owned()),
            1 => Ok(0),
            count => Err(format!("the site has {count} databases: name one")),
        };
    };
    let is_meant = |(number, database): &(usize, &Database)| {
        (number + 1).to_string() == wanted
            || match database {
                Database::Served(served) => served.name == wanted,
                Database::Sqlite(file) => file == wanted,
            }
    };
    let mut meant = databases.iter().enumerate().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some((number, _)), None) => Ok(number),
        (Some(_), Some(_)) => Err(format!(
            "two databases are called '{wanted}': give its number"
        )),
        (None, _) => Err(format!("the site has no database '{wanted}'")),
    }
}

fn open(server: &Server) -> Result<Inside, Trouble> {
    Inside::open(server, "database").map_err(|text| Trouble::of_text(&text))
}

fn copy_of(stream: &impl AsFd) -> Result<OwnedFd, Trouble> {
    let copy = stream.as_fd().try_clone_to_owned();
    copy.map_err(|error| Trouble::new(error.to_string()))
}

/// Nothing is told on standard output.
const JSON: How = How {
    dry_run: false,
    json: true,
};

#[cfg(test)]
mod tests {
    use super::*;
    use hostel_config::database::{Kind, Place, Served};

    #[test]
    fn a_database_is_meant_by_its_name_or_number() {
        let served = |kind, name: &str| {
            Database::Served(Served {
                kind,
                name: name.to_owned(),
                user: "u".to_owned(),
                place: Place::Socket("/run/x".to_owned()),
                password_file: None,
            })
        };
        let databases = [
            served(Kind::Mysql, "blog"),
            served(Kind::Postgresql, "blog"),
            Database::Sqlite("/srv/a/app.db".to_owned()),
        ];
        let pick = |wanted| pick(&databases, wanted).ok();
        assert_eq!(pick(Some("2")), Some(1));
        assert_eq!(pick(Some("/srv/a/app.db")), Some(2));
        for wanted in [None, Some("blog"), Some("0"), Some("4"), Some("shop")] {
            assert_eq!(pick(wanted), None, "{wanted:?}");
        }
        assert_eq!(super::pick(&databases[..1], None), Ok(0));
        assert!(super::pick(&[], None).is_err());
    }
}
