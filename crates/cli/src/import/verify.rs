//! That hostel-config takes the files: they are loaded as a server would, from a private directory, before anybody gets them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hostel_config::UserLookUp;
use hostel_sys::cred::{Gid, LookUpError, Uid, User};

use super::finish::SiteFile;

/// What is wrong with them, as `hostel check` says it.
///
/// # Errors
/// The directory for them cannot be made.
pub(crate) fn verify(sites: &[SiteFile], users: &dyn UserLookUp) -> io::Result<Vec<String>> {
    let directory = Directory::new()?;
    let write = |name: &str, text: &str| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options
            .open(directory.0.join(name))?
            .write_all(text.as_bytes())
    };
    write("hostel.toml", "")?;
    DirBuilder::new()
        .mode(0o700)
        .create(directory.0.join("sites.d"))?;
    for site in sites {
        write(&format!("sites.d/{}.toml", site.name), &site.text)?;
    }
    let users = WithMissing {
        users,
        made: RefCell::default(),
    };
    let Err(errors) = hostel_config::load(&directory.0.join("hostel.toml"), &users) else {
        return Ok(Vec::new());
    };
    let prefix = format!("{}/sites.d/", directory.0.display());
    Ok(errors
        .0
        .iter()
        .map(|error| error.to_string().replace(&prefix, ""))
        .collect())
}

/// Users that are still to be created are taken as if they were there: a report tells which.
struct WithMissing<'u> {
    users: &'u dyn UserLookUp,
    made: RefCell<BTreeMap<String, u32>>,
}

impl UserLookUp for WithMissing<'_> {
    fn by_name(&self, name: &str) -> Result<Option<User>, LookUpError> {
        if let Some(user) = self.users.by_name(name)? {
            return Ok(Some(user));
        }
        let mut made = self.made.borrow_mut();
        let next = FIRST + u32::try_from(made.len()).unwrap_or(0);
        let number = *made.entry(name.to_owned()).or_insert(next);
        Ok(Some(User {
            name: name.to_owned(),
            uid: Uid(number),
            gid: Gid(number),
            home: PathBuf::from("/nonexistent"),
        }))
    }
}

/// A directory of one's own, removed when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> io::Result<Self> {
        for number in 0..TRIES {
            let name = format!("hostel-import-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::from(io::ErrorKind::AlreadyExists))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Nothing depends on it; the system empties its temporary directory by itself.
        let _ = remove(&self.0);
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    fs::remove_dir_all(directory)
}

/// Far from those that a host gives out.
const FIRST: u32 = 2_000_000_000;
/// Others may have taken names like ours.
const TRIES: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hostel_check_would_say_is_said() {
        let file = |name: &str, text: &str| SiteFile {
            name: name.to_owned(),
            user: String::new(),
            user_is_missing: true,
            domains: Vec::new(),
            home: String::new(),
            text: text.to_owned(),
        };
        let users = hostel_config::SystemUsers::read();
        let good = file("import-test-a", "domains = [\"a.example\"]\n");
        assert_eq!(
            verify(std::slice::from_ref(&good), &users).unwrap(),
            Vec::<String>::new()
        );
        let bad = file("import-test-b", "domains = [\"a.example\"]\n");
        let said = verify(&[good, bad], &users).unwrap();
        assert!(
            said[0].contains("import-test-b.toml:1: the domain 'a.example' belongs to"),
            "{said:?}"
        );
    }
}
