//! From files to the table: every error is collected, and nothing half right is handed out.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use hostel_wire::limits;

use crate::between;
use crate::errors::{Error, Errors, Fault, Report};
use crate::files::{self, Print};
use crate::names;
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
    Loader::default().load(path, users)
}

/// What [`load`] would say if sites' files were other than they are: each name with its text, or with `None` for a file that is
/// not there. So a change is checked before it is made.
///
/// # Errors
/// Everything that would be wrong, in all files.
pub fn load_changed(
    path: &Path,
    users: &dyn UserLookUp,
    changes: &BTreeMap<String, Option<String>>,
) -> Result<Server, Errors> {
    let changes = changes.iter().map(|(site, text)| {
        let file = OsString::from(format!("{site}.toml"));
        (file, text.clone())
    });
    let mut loader = Loader {
        changes: changes.collect(),
        ..Loader::default()
    };
    loader.load(path, users)
}

/// The text of a file of the configuration, where it is one that may count.
///
/// # Errors
/// It is not there, or somebody else than root could have written it.
pub fn read_text(path: &Path) -> Result<String, Error> {
    Ok(files::read(path)?.0)
}

/// Whether a site may have this name.
///
/// # Errors
/// Why not, and what may be.
pub fn check_site_name(name: &str) -> Result<(), Error> {
    names::site(name)
        .map(drop)
        .map_err(|fault| fault.of(Path::new(name)))
}

/// Reads a configuration again and again. A site's file that is as it was is not parsed a second time; its user is looked up, and all sites
/// are compared with each other, as often as it is loaded, so that the answer is that of [`load`].
#[derive(Debug, Default)]
pub struct Loader {
    /// By the names of their files, all in one directory.
    known: HashMap<OsString, Known>,
    directory: PathBuf,
    /// What stands in the place of files, by their names.
    changes: BTreeMap<OsString, Option<String>>,
}

/// A file without an error.
#[derive(Debug)]
struct Known {
    /// `None` where it may change without a trace.
    print: Option<Print>,
    checked: Rc<CheckedSite>,
}

impl Loader {
    /// As [`load`] does. Sites that are as they were are the same values.
    ///
    /// # Errors
    /// Everything that is wrong, in all files.
    pub fn load(&mut self, path: &Path, users: &dyn UserLookUp) -> Result<Server, Errors> {
        let mut errors = Vec::new();
        // Where hostel.toml cannot be read, nobody knows where the sites are.
        let Some(mut server) = load_server(path, users, &mut errors) else {
            return Err(Errors(errors));
        };
        let bounds = IdBounds {
            uid_min: server.uid_min,
            gid_min: server.gid_min,
        };
        let sites = self.load_sites(&server.sites_directory, bounds, users, &mut errors);
        errors.extend(between::check(&server, &sites));
        if !errors.is_empty() {
            errors.sort();
            return Err(Errors(errors));
        }
        server.sites = sites
            .iter()
            .map(|checked| Rc::clone(&checked.site))
            .collect();
        server.jobs = sites.iter().filter_map(|checked| checked.jobs()).collect();
        let databases = sites.iter().filter_map(|checked| checked.databases());
        server.databases = databases.collect();
        Ok(server)
    }

    fn load_sites(
        &mut self,
        directory: &Path,
        bounds: IdBounds,
        users: &dyn UserLookUp,
        errors: &mut Vec<Error>,
    ) -> Vec<Rc<CheckedSite>> {
        let (opened, mut names) = match files::list(directory) {
            Ok(listed) => listed,
            Err(error) => {
                errors.push(error);
                return Vec::new();
            }
        };
        if !self.changes.is_empty() {
            names.retain(|name| !self.changes.contains_key(name));
            let new = self.changes.iter().filter(|(_, text)| text.is_some());
            names.extend(new.map(|(name, _)| name.clone()));
            names.sort();
        }
        if names.len() > limits::SITES_MAX {
            let (count, max) = (names.len(), limits::SITES_MAX);
            errors.push(
                Fault::new(format!("{count} sites; at most {max} are allowed")).of(directory),
            );
        }
        let mut before = std::mem::take(&mut self.known);
        if self.directory != directory {
            before.clear();
            self.directory = directory.to_owned();
        }
        self.known.reserve(names.len());
        let mut sites = Vec::with_capacity(names.len());
        for name in names {
            let print = Print::at(&opened, &name);
            match before.remove(&name) {
                Some(known) if known.is_as_it_was(print, bounds, users) => {
                    sites.push(Rc::clone(&known.checked));
                    self.known.insert(name, known);
                }
                known => sites.extend(self.load_site(name, known, bounds, users, errors)),
            }
        }
        sites
    }

    fn load_site(
        &mut self,
        name: OsString,
        before: Option<Known>,
        bounds: IdBounds,
        users: &dyn UserLookUp,
        errors: &mut Vec<Error>,
    ) -> Option<Rc<CheckedSite>> {
        let file = self.directory.join(&name);
        let now = SystemTime::now();
        let (text, print) = match self.changes.get(&name) {
            Some(text) => (text.clone().unwrap_or_default(), None),
            None => match files::read(&file) {
                Ok((text, print)) => (text, Some(print)),
                Err(error) => {
                    errors.push(error);
                    return None;
                }
            },
        };
        let (raw, mut report) = RawSite::read(&file, &text);
        let checked = raw.and_then(|raw| site::check(raw, bounds, users, &mut report));
        let same = before.filter(|before| checked.as_ref() == Some(&*before.checked));
        let checked = match same {
            Some(before) => Some(before.checked),
            None => checked.map(Rc::new),
        };
        if let Some(checked) = checked.as_ref().filter(|_| report.errors.is_empty()) {
            let known = Known {
                print: print.filter(|print| print.is_settled(now)),
                checked: Rc::clone(checked),
            };
            self.known.insert(name, known);
        }
        errors.append(&mut report.errors);
        checked
    }
}

impl Known {
    fn is_as_it_was(&self, now: Option<Print>, bounds: IdBounds, users: &dyn UserLookUp) -> bool {
        self.print.is_some() && self.print == now && self.checked.has_its_user(bounds, users)
    }
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

/// Where the server keeps its state, without looking at any site.
///
/// # Errors
/// hostel.toml cannot be read, is not TOML, or its `state` is wrong.
pub fn state_directory(path: &Path) -> Result<PathBuf, Errors> {
    let mut errors = Vec::new();
    let found = with_server_file(path, &mut errors, server::state_directory);
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
        .and_then(|path| Ok((files::read(&path)?.0, path)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use hostel_sys::cred::{Gid, LookUpError, Uid, User};

    /// Users `u0` and so on, of which one may be missing and one may have another number than usual.
    #[derive(Default)]
    struct Users {
        missing: Cell<u32>,
        moved: Cell<u32>,
    }

    impl UserLookUp for Users {
        fn by_name(&self, name: &str) -> Result<Option<User>, LookUpError> {
            let number = match name.strip_prefix('u').map(str::parse) {
                Some(Ok(number)) if number != self.missing.get() => number,
                _ if name == "hostel" => 90,
                _ => return Ok(None),
            };
            let more = if number == self.moved.get() { 1 } else { 0 };
            Ok(Some(User {
                name: name.to_owned(),
                uid: Uid(1000 + number + more),
                gid: Gid(1000 + number),
                home: PathBuf::new(),
            }))
        }
    }

    /// The same numbers in each run (xorshift).
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u32) -> u32 {
            for (left, shift) in [(true, 13), (false, 7), (true, 17)] {
                self.0 ^= if left {
                    self.0 << shift
                } else {
                    self.0 >> shift
                };
            }
            u32::try_from(self.0 % u64::from(bound)).unwrap()
        }
    }

    fn site_text(random: &mut Random) -> String {
        let domain = random.below(40);
        let (user, home) = (random.below(5), random.below(40));
        let home = match home {
            0 => "state".to_owned(),
            1 => "h1/within".to_owned(),
            _ => format!("h{home}"),
        };
        format!(
            "domains = [\"{}d{domain}.example\"]\nhome = \"/srv/{home}\"\nuser = \"u{user}\"\nshare_user = {}\n",
            if random.below(9) == 0 { "*." } else { "" },
            random.below(8) > 0,
        )
    }

    /// One change of the configuration or of the users.
    fn change(directory: &Path, users: &Users, random: &mut Random) {
        let file = |number: u32| directory.join(format!("sites.d/s{number}.toml"));
        let path = file(random.below(4));
        let write = |path: &Path, text: &str| {
            // A mode that others may write, or a link, may stand there.
            let _ = fs::remove_file(path);
            fs::write(path, text).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        };
        match random.below(24) {
            0 => drop(fs::remove_file(path)),
            1 => write(&path, "domains = ["),
            2 => drop(fs::set_permissions(path, Permissions::from_mode(0o666))),
            3 => drop(fs::set_permissions(path, Permissions::from_mode(0o644))),
            4 => drop(fs::rename(&path, file(random.below(4)))),
            5 => drop(symlink("s0.toml", path)),
            6 => users.missing.set(random.below(12)),
            7 => users.moved.set(random.below(12)),
            8 => write(
                &directory.join("hostel.toml"),
                &format!(
                    "state = \"/srv/state\"\nuid_min = {}\n",
                    1000 + random.below(8) / 7
                ),
            ),
            // In place, with the same number of bytes.
            9 => {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let digit = random.below(8).to_string();
                let changed = text.find(".example").map(|at| {
                    let mut text = text.clone();
                    text.replace_range(at - 1..at, &digit);
                    fs::write(&path, text)
                });
                changed.into_iter().for_each(|written| written.unwrap());
            }
            _ => write(&path, &site_text(random)),
        }
    }

    #[test]
    fn what_is_loaded_again_is_what_would_be_loaded_anew() {
        let name = format!("hostel-loader-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let sites = directory.join("sites.d");
        fs::create_dir_all(&sites).unwrap();
        for path in [&directory, &sites] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        let path = directory.join("hostel.toml");
        fs::write(&path, "state = \"/srv/state\"\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let (users, mut random) = (Users::default(), Random(0x2545_f491_4f6c_dd1d));
        users.missing.set(9);
        users.moved.set(9);
        let mut loader = Loader::default();
        let (mut good, mut bad, mut kept) = (0, 0, 0);
        for step in 0..600 {
            change(&directory, &users, &mut random);
            if random.below(8) == 0 {
                std::thread::sleep(std::time::Duration::from_millis(40));
            }
            let anew = load(&path, &users);
            let before: Vec<_> = loader.known.keys().cloned().collect();
            let settled = |file: &OsString| loader.known.get(file).and_then(|known| known.print);
            kept += before.iter().filter(|file| settled(file).is_some()).count();
            let again = loader.load(&path, &users);
            match &anew {
                Ok(_) => good += 1,
                Err(_) => bad += 1,
            }
            assert_eq!(again, anew, "step {step}");
        }
        fs::remove_dir_all(&directory).unwrap();
        // All of it has happened, and often.
        assert!(good > 50 && bad > 50 && kept > 100, "{good} {bad} {kept}");
    }

    #[test]
    fn a_file_that_is_as_it_was_is_the_same_site() {
        let name = format!("hostel-loader-same-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(directory.join("sites.d")).unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        };
        for path in [directory.clone(), directory.join("sites.d")] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        write("hostel.toml", "");
        write(
            "sites.d/s0.toml",
            "domains = [\"a.example\"]\nuser = \"u0\"\n",
        );
        write(
            "sites.d/s1.toml",
            "domains = [\"b.example\"]\nuser = \"u1\"\n",
        );
        let users = Users::default();
        users.missing.set(9);
        users.moved.set(9);
        let mut loader = Loader::default();
        let mut load = || loader.load(&directory.join("hostel.toml"), &users).unwrap();
        let first = load();
        write(
            "sites.d/s1.toml",
            "domains = [\"c.example\"]\nuser = \"u1\"\n",
        );
        let second = load();
        let same = |number: usize| Rc::ptr_eq(&first.sites[number], &second.sites[number]);
        assert_eq!([0, 1].map(same), [true, false]);
        assert_eq!(second.sites[1].domains, ["c.example"]);
        fs::remove_dir_all(&directory).unwrap();
    }
}
