//! From files to the table: every error is collected, and nothing half right is handed out.

use std::path::{Path, PathBuf};

use hostel_wire::limits;

use crate::between;
use crate::errors::{Error, Errors, Fault, Report};
use crate::files;
use crate::raw::{RawServer, RawSite};
use crate::server;
use crate::site::{self, CheckedSite};
use crate::table::Server;
use crate::users::{IdBounds, UserLookUp};

/// Read and check the configuration of an instance: the file at `path` and the sites that it names.
///
/// # Errors
/// Everything that is wrong, in all files.
pub fn load(path: &Path, users: &dyn UserLookUp) -> Result<Server, Errors> {
    let mut errors = Vec::new();
    // Where hostel.toml cannot be read, nobody knows where the sites are.
    let Some(mut server) = load_server(path, users, &mut errors) else {
        return Err(Errors(errors));
    };
    let bounds = IdBounds {
        uid_min: server.uid_min,
        gid_min: server.gid_min,
    };
    let sites = load_sites(&server.sites_directory, bounds, users, &mut errors);
    errors.extend(between::check(&server, &sites));
    if !errors.is_empty() {
        errors.sort();
        return Err(Errors(errors));
    }
    server.sites = sites.into_iter().map(|checked| checked.site).collect();
    Ok(server)
}

/// The directory of the status socket: what `hostel status` needs to know, even while the rest of the configuration is broken.
///
/// # Errors
/// hostel.toml cannot be read, is not TOML, or its `run` is wrong.
pub fn run_directory(path: &Path) -> Result<PathBuf, Errors> {
    let mut errors = Vec::new();
    let found = with_server_file(path, &mut errors, server::run_directory);
    found.ok_or(Errors(errors))
}

fn load_server(path: &Path, users: &dyn UserLookUp, errors: &mut Vec<Error>) -> Option<Server> {
    with_server_file(path, errors, |raw, base, report| {
        server::check(raw, base, users, report)
    })
}

/// Read hostel.toml and check something of it; relative paths in it are relative to `base`.
fn with_server_file<T>(
    path: &Path,
    errors: &mut Vec<Error>,
    check: impl FnOnce(RawServer, &Path, &mut Report) -> Option<T>,
) -> Option<T> {
    let read = std::path::absolute(path)
        .map_err(|error| Fault::new(format!("cannot be found: {error}")).of(path))
        .and_then(|path| Ok((files::read(&path)?, path)));
    let (text, path) = match read {
        Ok(read) => read,
        Err(error) => {
            errors.push(error);
            return None;
        }
    };
    let (raw, mut report) = RawServer::read(&path, &text);
    let base = path.parent().unwrap_or(Path::new("/"));
    let found = raw.and_then(|raw| check(raw, base, &mut report));
    errors.append(&mut report.errors);
    found
}

fn load_sites(
    directory: &Path,
    bounds: IdBounds,
    users: &dyn UserLookUp,
    errors: &mut Vec<Error>,
) -> Vec<CheckedSite> {
    let files = match files::list(directory) {
        Ok(files) => files,
        Err(error) => {
            errors.push(error);
            return Vec::new();
        }
    };
    if files.len() > limits::SITES_MAX {
        let (count, max) = (files.len(), limits::SITES_MAX);
        errors.push(Fault::new(format!("{count} sites; at most {max} are allowed")).of(directory));
    }
    let mut sites = Vec::with_capacity(files.len());
    for file in files {
        match files::read(&file) {
            Err(error) => errors.push(error),
            Ok(text) => {
                let (raw, mut report) = RawSite::read(&file, &text);
                sites.extend(raw.and_then(|raw| site::check(raw, bounds, users, &mut report)));
                errors.append(&mut report.errors);
            }
        }
    }
    sites
}

/// The value, or a note of why there is none.
pub(crate) fn fine<T>(
    result: Result<T, Fault>,
    line: Option<u32>,
    report: &mut Report,
) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(fault) => {
            report.add(line, fault);
            None
        }
    }
}

/// Note that a list is longer than it may be.
pub(crate) fn at_most(max: usize, key: &str, count: usize, line: Option<u32>, report: &mut Report) {
    if count > max {
        let message = format!("'{key}' has {count} entries; at most {max} are allowed");
        report.add(line, Fault::new(message));
    }
}
