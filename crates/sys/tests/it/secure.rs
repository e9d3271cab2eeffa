//! Directories that root alone can change: what is made, and what is refused.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use hostel_sys::cred::{Gid, Uid};
use hostel_sys::secure::Directory;

use crate::homes::Place;

pub(crate) fn made_as_asked() {
    let place = Place::new("made");
    let directory = Directory::open(&place.path().join("new/state")).unwrap();
    directory
        .beneath("tmp", Uid(61001), Gid(61002), 0o700)
        .unwrap();
    let status = std::fs::metadata(directory.path().join("tmp")).unwrap();
    assert_eq!(
        (status.uid(), status.gid(), status.mode() & 0o7777),
        (61001, 61002, 0o700)
    );

    for text in ["one\n", "two\n"] {
        let file = directory.append_to("log", Gid(61002)).unwrap();
        std::fs::File::from(file)
            .write_all(text.as_bytes())
            .unwrap();
    }
    let path = directory.path().join("log");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    let status = std::fs::metadata(path).unwrap();
    assert_eq!(
        (status.uid(), status.gid(), status.mode() & 0o7777),
        (0, 61002, 0o640)
    );
}

/// Whoever makes one may be killed before it is given away.
pub(crate) fn left_half_made() {
    let place = Place::new("half-made");
    let directory = Directory::open(&place.path().join("state")).unwrap();
    let beneath = || directory.beneath("tmp", Uid(61001), Gid(61001), 0o700);
    place.directory("state/tmp", 0, 0o700);
    beneath().unwrap();
    let status = std::fs::metadata(directory.path().join("tmp")).unwrap();
    assert_eq!((status.uid(), status.gid()), (61001, 61001));
    // What has something in it is somebody's.
    std::fs::remove_dir(directory.path().join("tmp")).unwrap();
    place.directory("state/tmp", 0, 0o700);
    std::fs::write(directory.path().join("tmp/file"), "").unwrap();
    let message = beneath().unwrap_err().to_string();
    assert!(
        message.contains("belongs to user 0, not to 61001"),
        "{message}"
    );
}

pub(crate) fn refused() {
    let place = Place::new("refused");
    let open = |name: &str| Directory::open(&place.path().join(name));
    place.directory("open", 0, 0o777);
    let message = open("open").unwrap_err().to_string();
    assert!(
        message.contains("can be written by others (mode 0777"),
        "{message}"
    );
    place.directory("foreign", 61001, 0o755);
    let message = open("foreign").unwrap_err().to_string();
    assert!(
        message.contains("belongs to user 61001, not to 0"),
        "{message}"
    );
    symlink("/etc", place.path().join("link")).unwrap();
    assert!(open("link").is_err());

    // Somebody else's directory is not taken over, and a link in a log's place is not followed.
    let directory = open("state").unwrap();
    directory
        .beneath("a", Uid(61001), Gid(61001), 0o700)
        .unwrap();
    let message = directory
        .beneath("a", Uid(61002), Gid(61002), 0o700)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("belongs to user 61001, not to 61002"),
        "{message}"
    );
    symlink("/etc/passwd", directory.path().join("access.log")).unwrap();
    assert!(directory.append_to("access.log", Gid(0)).is_err());
    rustix::fs::mkfifoat(&directory, "fifo", rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    assert!(directory.append_to("fifo", Gid(0)).is_err());
}

pub(crate) fn one_lock() {
    let place = Place::new("lock");
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    chown(place.path(), Some(0), Some(0)).unwrap();
    let first = Directory::open(place.path()).unwrap();
    first.lock().unwrap();
    let second = Directory::open(place.path()).unwrap();
    let message = second.lock().unwrap_err().to_string();
    assert!(message.contains("another instance runs with"), "{message}");
    drop(first);
    second.lock().unwrap();
}
