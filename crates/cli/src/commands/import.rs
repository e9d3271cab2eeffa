//! `hostel import`: site files from the configuration of another server, and a report of every directive.
//!
//! Files are read and written as whoever types it; the server and its configuration are not touched. What is written is new: a file
//! that is there already and says something else is left as it is, and nothing is written at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hostel_config::SystemUsers;
use serde_json::json;

use crate::import::finish::SiteFile;
use crate::import::source::{Disk, ImportError};
use crate::import::{self, Imported, Server, report, verify};
use crate::output;

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
    #[error("hostel import: writing {}: {source}", path.display())]
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
        written = write(directory, &imported.sites)?;
    }
    if how.json {
        let mut document = report::document(&imported, &problems);
        let paths = written
            .iter()
            .map(|(path, is_new)| json!({"path": path.display().to_string(), "is_new": is_new}));
        document["written"] = paths.collect();
        output::json(&document);
    } else {
        print(&imported, &written, how.write.is_some(), &problems);
    }
    Ok(problems.is_empty() && !imported.sites.is_empty())
}

fn print(imported: &Imported, written: &[(PathBuf, bool)], is_written: bool, problems: &[String]) {
    for (path, is_new) in written {
        let what = if *is_new { "written" } else { "as it was" };
        output::line(&output::escape(&format!("{}: {what}", path.display())));
    }
    for site in imported.sites.iter().filter(|_| !is_written) {
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

/// Write what is not there yet; each path, and whether it is new. Each file is there whole or not at all.
fn write(directory: &Path, sites: &[SiteFile]) -> Result<Vec<(PathBuf, bool)>, Failure> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Failure::Write { path, source }
    };
    fs::create_dir_all(directory).map_err(failed(directory))?;
    let mut planned = Vec::new();
    for site in sites {
        let path = directory.join(format!("{}.toml", site.name));
        match fs::read(&path) {
            Ok(bytes) if bytes == site.text.as_bytes() => planned.push((path, None)),
            Ok(_) => return Err(Failure::Exists(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                planned.push((path, Some(site.text.as_bytes())))
            }
            Err(error) => return Err(failed(&path)(error)),
        }
    }
    let mut written = Vec::new();
    for (path, bytes) in planned {
        if let Some(bytes) = bytes {
            write_new(&path, bytes).map_err(failed(&path))?;
        }
        written.push((path, bytes.is_some()));
    }
    Ok(written)
}

/// By a hidden name that hostel-config passes over, and then by its own, if nobody has taken that meanwhile.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hidden = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        // hostel-config refuses what others can write, whatever the umask is.
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&hidden)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // A link, unlike a new name, takes no other file's place.
        fs::hard_link(&hidden, path)
    })();
    let removed = fs::remove_file(&hidden);
    written.and(removed)
}
