//! Every example is a good configuration.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hostel_config::UserLookUp;
use hostel_sys::cred::{Gid, LookUpError, Uid, User};

use super::{files, read, shown};
use crate::run::{Result, Tried};

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for entry in fs::read_dir(root.join("examples")).tried("examples")? {
        let directory = entry.tried("examples")?.path();
        if directory.is_dir() {
            let copy = Copy::of(&directory)?;
            let loaded = hostel_config::load(&copy.0.join("hostel.toml"), &Anybody::default());
            if let Err(errors) = loaded {
                complaints.push(format!("{}:\n{errors}", shown(root, &directory)));
            }
        }
    }
    Ok(complaints)
}

/// A copy that belongs to who runs this and that nobody else can write: a check-out need not be so.
struct Copy(PathBuf);

impl Copy {
    fn of(directory: &Path) -> Result<Self> {
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        let copy = Self(std::env::temp_dir().join(format!("hostel-{name}-{}", std::process::id())));
        for file in files(directory, ".toml")? {
            let target = copy.0.join(shown(directory, &file));
            let parent = target.parent().unwrap_or(&copy.0);
            fs::create_dir_all(parent).tried(parent.display())?;
            fs::write(&target, read(&file)?).tried(target.display())?;
            for (path, mode) in [(parent, 0o700), (&target, 0o600)] {
                fs::set_permissions(path, fs::Permissions::from_mode(mode))
                    .tried(path.display())?;
            }
        }
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("tidy: {} is still there: {error}", self.0.display());
        }
    }
}

/// Every user exists, with a number of its own in the order of asking.
#[derive(Default)]
struct Anybody(Cell<u32>);

impl UserLookUp for Anybody {
    fn by_name(&self, name: &str) -> std::result::Result<Option<User>, LookUpError> {
        let number = 1000 + self.0.replace(self.0.get() + 1);
        Ok(Some(User {
            name: name.to_owned(),
            uid: Uid(number),
            gid: Gid(number),
            home: PathBuf::new(),
        }))
    }
}
