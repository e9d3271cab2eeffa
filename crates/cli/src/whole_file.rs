//! Files that are there whole or not at all, wherever the run that writes them is killed, and however full the disk is.
//!
//! Each is written under a hidden name of its own, which whoever reads a configuration passes over, and then named. A run that was killed
//! leaves at most that draft, and the next one that writes the same file removes it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Put a file in its place all at once: whoever reads it finds the old or the new one.
pub(crate) fn replace(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    write(path, ("new", RenameFlags::empty()), text, mode)
}

/// The same, where there must be none yet: no other file's place is taken. No two runs may do it for one path at the same time.
pub(crate) fn create(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    write(path, ("created", RenameFlags::NOREPLACE), text, mode)
}

fn write(
    path: &Path,
    (ending, flags): (&str, RenameFlags),
    text: &[u8],
    mode: u32,
) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.{ending}"));
    let write = || {
        // What an interrupted run has left.
        match fs::remove_file(&draft) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut options = File::options();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&draft)?;
        file.set_permissions(PermissionsExt::from_mode(mode))?;
        file.write_all(text)?;
        file.sync_all()?;
        renameat_with(CWD, &draft, CWD, path, flags)?;
        sync_directory_of(path)
    };
    write().inspect_err(|_| {
        // So that a full disk is not made fuller.
        let _ = fs::remove_file(&draft);
    })
}

/// What was renamed in the directory of this file stays renamed.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> std::path::PathBuf {
        let own = format!("hostel-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(own);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let directory = directory("replace");
        let path = directory.join("x.toml");
        fs::write(directory.join(".x.toml.new"), "left by one who was killed").unwrap();
        replace(&path, b"one", 0o644).unwrap();
        replace(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_new_file_takes_no_others_place() {
        let directory = directory("create");
        let path = directory.join("x.toml");
        fs::write(
            directory.join(".x.toml.created"),
            "left by one who was killed",
        )
        .unwrap();
        create(&path, b"one", 0o644).unwrap();
        let refused = create(&path, b"two", 0o644).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(&directory).unwrap();
    }
}
