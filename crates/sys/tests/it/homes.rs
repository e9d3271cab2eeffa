//! Which homes are refused, and what the refusal says.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use hostel_sys::cred::{Gid, Uid};
use hostel_sys::home::{close_home, look_at_home, make_home, open_home, remove_home};

/// A directory of root's beneath /srv that vanishes with its value.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/srv/hostel-sys-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn directory(&self, name: &str, owner: u32, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(&path).unwrap();
        chown(&path, Some(owner), Some(owner)).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

const USER: u32 = 61001;

fn refusal(home: &Path) -> String {
    open_home(home, Uid(USER), &[]).unwrap_err().to_string()
}

pub(crate) fn parents_are_roots() {
    let place = Place::new("parents");
    let home = place.directory("closed/home", USER, 0o700);
    open_home(&home, Uid(USER), &[]).unwrap();

    let parent = place.directory("closed", 0, 0o775);
    let message = refusal(&home);
    assert!(
        message.contains("written by others")
            && message.contains(&format!("chmod go-w {}", parent.display())),
        "{message}"
    );
    place.directory("closed", 0, 0o777);
    assert!(refusal(&home).contains("written by others"));
    place.directory("closed", 61002, 0o755);
    let message = refusal(&home);
    assert!(
        message.contains("belongs to user 61002") && message.contains("chown root"),
        "{message}"
    );
}

pub(crate) fn no_link_on_the_way() {
    let place = Place::new("links");
    place.directory("real/home", USER, 0o700);
    symlink("real", place.path().join("link")).unwrap();
    let message = refusal(&place.path().join("link/home"));
    assert!(
        message.contains("symbolic link") && message.contains("/link"),
        "{message}"
    );
    symlink("real/home", place.path().join("direct")).unwrap();
    assert!(refusal(&place.path().join("direct")).contains("symbolic link"));
}

pub(crate) fn belongs_to_its_user() {
    let place = Place::new("owner");
    let home = place.directory("home", 61002, 0o755);
    let message = refusal(&home);
    assert!(message.contains("belongs to user 61002"), "{message}");
    let reserved = place.directory("server", 0, 0o755);
    let inside = place.directory("server/site", USER, 0o755);
    assert!(
        open_home(&inside, Uid(USER), &[&reserved])
            .unwrap_err()
            .to_string()
            .contains("server's own")
    );
}

pub(crate) fn made_closed_and_removed() {
    let place = Place::new("made");
    let home = place.path().join("home");
    let mode = || look_at_home(&home, &[]).unwrap();
    assert_eq!(mode(), None);
    // What a killed call has left does not stand in the way.
    std::fs::create_dir(place.path().join(".home.hostel-new")).unwrap();
    make_home(&home, Uid(USER), Gid(USER), &[]).unwrap();
    assert_eq!(mode(), Some((Uid(USER), Gid(USER), 0o700)));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    let again = make_home(&home, Uid(USER), Gid(USER), &[]).unwrap_err();
    assert!(again.to_string().contains("cannot be made"), "{again}");

    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o755)).unwrap();
    close_home(&home, Uid(USER), 0o077, &[]).unwrap();
    assert_eq!(mode(), Some((Uid(USER), Gid(USER), 0o700)));
    let foreign = close_home(&home, Uid(61002), 0o077, &[]).unwrap_err();
    assert!(foreign.to_string().contains("belongs to user"), "{foreign}");

    std::fs::write(home.join("file"), "").unwrap();
    assert!(remove_home(&home, Uid(USER), &[]).is_err());
    std::fs::remove_file(home.join("file")).unwrap();
    assert!(remove_home(&home, Uid(61002), &[]).is_err());
    assert!(remove_home(&home, Uid(USER), &[]).unwrap());
    assert!(!remove_home(&home, Uid(USER), &[]).unwrap());
    // A link is neither made over nor followed.
    symlink("elsewhere", &home).unwrap();
    assert!(make_home(&home, Uid(USER), Gid(USER), &[]).is_err());
    assert!(remove_home(&home, Uid(USER), &[]).is_err());
    assert!(home.symlink_metadata().is_ok());
}
