//! `hostel import`: site files from the configuration of another server, and a report of every directive.
//!
//! Files are read and written as whoever types it; the server and its configuration are not touched. What is written is new: a file
//! that is there already and says something else is left as it is, and nothing is written at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hostel_config::SystemUsers;
use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use crate::import::finish::SiteFile;
use crate::import::source::{Disk, ImportError};
use crate::import::{self, Imported, Server, report, verify};
use crate::output;
use crate::whole_file;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    server: Source,
}

#[derive(Debug, clap::Subcommand)]
enum Source {
    /// Server blocks of nginx, with the pools of php-fpm that they pass scripts to
    Nginx {
        /// nginx.conf, its directory, or files of single sites
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// php-fpm.conf, its directory, or files of single pools: users and PHP settings are in them
        #[arg(long, value_name = "PATH", num_args = 1..)]
        php_fpm: Vec<PathBuf>,
        #[command(flatten)]
        how: How,
    },
    /// Virtual hosts of Apache, with mpm-itk, suexec, suPHP, ruid2, or the pools of php-fpm
    Apache {
        /// apache2.conf, its directory, or files of single virtual hosts
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// php-fpm.conf, its directory, or files of single pools: users and PHP settings are in them
        #[arg(long, value_name = "PATH", num_args = 1..)]
        php_fpm: Vec<PathBuf>,
        #[command(flatten)]
        how: How,
    },
    /// Pools of php-fpm alone: a site for each, without its domains
    PhpFpm {
        /// php-fpm.conf, its directory, or files of single pools
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Debug, clap::Args)]
struct How {
    /// Write a file for each site into this directory, instead of printing them
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Write nothing; only tell which files --write would write
    #[arg(long, requires = "write")]
    dry_run: bool,
    /// Print one JSON document instead of the report
    #[arg(long)]
    json: bool,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("hostel import: {0}")]
    Import(#[from] ImportError),
    #[error("hostel import: {}: {source}", path.display())]
    Path { path: PathBuf, source: io::Error },
    #[error("hostel import: {} is not UTF-8, which a configuration's paths must be", .0.display())]
    NotText(PathBuf),
    #[error("hostel import: checking the files that came of it: {0}")]
    Check(io::Error),
    #[error(
        "hostel import: {} is there already and says something else; nothing was written\n  hint: compare it with what is printed without --write; move it away, or choose another directory", .0.display()
    )]
    Exists(PathBuf),
    #[error("hostel import: another run writes into {} now; nothing was written\n  hint: run the same command again when that one has ended", .0.display())]
    Busy(PathBuf),
    #[error("hostel import: writing {}: {source}{}", path.display(), again(source))]
    Write { path: PathBuf, source: io::Error },
}

/// Status 0 if site files came of it, 1 if not or if hostel-config does not take them.
pub(crate) fn run(options: Options) -> ExitCode {
    let (server, paths, php_fpm, how) = match options.server {
        Source::Nginx {
            paths,
            php_fpm,
            how,
        } => (Server::Nginx, paths, php_fpm, how),
        Source::Apache {
            paths,
            php_fpm,
            how,
        } => (Server::Apache, paths, php_fpm, how),
        Source::PhpFpm { paths, how } => (Server::PhpFpm, paths, Vec::new(), how),
    };
    match import(server, &paths, &php_fpm, &how) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            output::error(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Whether the files can be used as they are.
fn import(
    server: Server,
    paths: &[PathBuf],
    php_fpm: &[PathBuf],
    how: &How,
) -> Result<bool, Failure> {
    let whole = |paths: &[PathBuf]| {
        paths
            .iter()
            .map(|path| text(path))
            .collect::<Result<Vec<_>, _>>()
    };
    let users = SystemUsers::read();
    let imported = import::import(server, &whole(paths)?, &whole(php_fpm)?, &Disk, &users)?;
    let problems = verify::verify(&imported.sites, &users).map_err(Failure::Check)?;
    let mut written = Vec::new();
    if let Some(directory) = how.write.as_ref().filter(|_| problems.is_empty()) {
        written = planned(directory, &imported.sites)?;
        if !how.dry_run {
            write(directory, &written)?;
        }
    }
    if how.json {
        let mut document = report::document(&imported, &problems);
        let paths = written.iter().map(
            |file| json!({"path": file.path.display().to_string(), "is_new": file.text.is_some()}),
        );
        document["written"] = paths.collect();
        document["dry_run"] = how.dry_run.into();
        output::json(&document);
    } else {
        print(&imported, &written, how, &problems);
    }
    Ok(problems.is_empty() && !imported.sites.is_empty())
}

fn print(imported: &Imported, written: &[Planned<'_>], how: &How, problems: &[String]) {
    for file in written {
        let what = match (file.text.is_some(), how.dry_run) {
            (true, false) => "written",
            (true, true) => "would be written",
            (false, _) => "as it was",
        };
        let line = format!("{}: {what}", file.path.display());
        output::line(&output::escape(&line));
    }
    for site in imported.sites.iter().filter(|_| how.write.is_none()) {
        output::line(&format!("==> {}.toml", output::escape(&site.name)));
        for line in site.text.lines() {
            output::line(&output::escape(line));
        }
        output::line("");
    }
    for line in report::lines(imported) {
        output::line(&output::escape(&line));
    }
    for problem in problems {
        for line in problem.lines() {
            output::error(&output::escape(line));
        }
    }
    if !problems.is_empty() {
        output::error(
            "hostel import: hostel check would refuse these files as they are; nothing was written",
        );
    }
}

fn text(path: &Path) -> Result<String, Failure> {
    let whole = std::path::absolute(path).map_err(|source| Failure::Path {
        path: path.to_owned(),
        source,
    })?;
    whole
        .to_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::NotText(path.to_owned()))
}

/// A file that is to be there.
struct Planned<'a> {
    path: PathBuf,
    /// `None` where it is there already.
    text: Option<&'a str>,
}

/// What is not there yet. A file that says something else refuses all.
fn planned<'a>(directory: &Path, sites: &'a [SiteFile]) -> Result<Vec<Planned<'a>>, Failure> {
    let plan = |site: &'a SiteFile| {
        let path = directory.join(format!("{}.toml", site.name));
        match fs::read(&path) {
            Ok(bytes) if bytes == site.text.as_bytes() => Ok(Planned { path, text: None }),
            Ok(_) => Err(Failure::Exists(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Planned {
                path,
                text: Some(&site.text),
            }),
            Err(error) => Err(failed(&path)(error)),
        }
    };
    sites.iter().map(plan).collect()
}

/// Each file is there whole or not at all; a run after one that was interrupted writes the others.
fn write(directory: &Path, files: &[Planned<'_>]) -> Result<(), Failure> {
    fs::create_dir_all(directory).map_err(failed(directory))?;
    // Two runs would take each other's drafts for what was left behind.
    let lock = File::open(directory).map_err(failed(directory))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| Failure::Busy(directory.to_owned()))?;
    for file in files {
        if let Some(text) = file.text {
            // hostel-config refuses what others can write, whatever the umask is.
            whole_file::create(&file.path, text.as_bytes(), 0o644).map_err(failed(&file.path))?;
        }
    }
    Ok(())
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |source| Failure::Write { path, source }
}

fn again(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "\n  hint: make room, then run the same command again: it writes what is missing"
        }
        _ => "",
    }
}
