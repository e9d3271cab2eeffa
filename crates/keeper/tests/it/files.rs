//! Files, as far as a second user matters. All the rest about paths is tested beside `files.rs`.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::symlink;

use hostel_wire::front_keeper::{FileIdentity, Resolution};

use crate::sandbox::{OTHER, Sandbox, USER, own, write};

fn read(sandbox: &Sandbox, path: &str) -> (String, FileIdentity) {
    let (Resolution::File { identity, .. }, Some(file)) = sandbox.resolve(path, None) else {
        panic!("{path} is not a file");
    };
    let mut text = String::new();
    File::from(file).read_to_string(&mut text).unwrap();
    (text, identity)
}

fn at(sandbox: &Sandbox, path: &str) -> Resolution {
    sandbox.resolve(path, None).0
}

pub(crate) fn a_closed_home_is_served() {
    let sandbox = Sandbox::new(|dir| {
        write(&dir.join("home/public/a.css"), "css", USER, 0o600);
        write(&dir.join("home/public/root.css"), "root's", 0, 0o644);
        write(&dir.join("home/public/run.php"), "<?php", USER, 0o600);
    });
    assert_eq!(read(&sandbox, "/a.css").0, "css");
    assert_eq!(read(&sandbox, "/root.css").0, "root's");
    let path = b"/run.php".to_vec();
    assert_eq!(at(&sandbox, "/run.php"), Resolution::Script { path });
    assert_eq!(at(&sandbox, "/nothing"), Resolution::NotFound);
}

pub(crate) fn another_users_files_are_not() {
    let sandbox = Sandbox::new(|dir| {
        write(
            &dir.join("other/open"),
            "closed by its directory",
            OTHER,
            0o644,
        );
        let public = dir.join("home/public");
        symlink(dir.join("other/open"), public.join("link")).unwrap();
        symlink(dir.join("other"), public.join("directory")).unwrap();
        std::fs::hard_link(dir.join("other/open"), public.join("hard-link")).unwrap();
        write(&public.join("given"), "another's, readable", OTHER, 0o644);
        write(&public.join("roots-own"), "root's, closed", 0, 0o600);
        write(&public.join("given.php"), "<?php", OTHER, 0o644);
        // Even a directory that is open to all is another site's.
        std::fs::create_dir(dir.join("neighbour")).unwrap();
        write(&dir.join("neighbour/file"), "open to all", USER, 0o644);
        symlink(dir.join("neighbour/file"), public.join("neighbour")).unwrap();
    });
    for path in [
        "/link",
        "/directory/",
        "/directory/open",
        "/hard-link",
        "/given",
        "/given.php",
        "/roots-own",
        "/neighbour",
    ] {
        assert_eq!(at(&sandbox, path), Resolution::Forbidden, "{path}");
    }
}

pub(crate) fn a_directory_closed_while_hot() {
    let sandbox = Sandbox::new(|dir| {
        std::fs::create_dir_all(dir.join("home/public/a/b")).unwrap();
        own(&dir.join("home/public/a"), USER, 0o755);
        own(&dir.join("home/public/a/b"), USER, 0o755);
        write(&dir.join("home/public/a/b/file"), "text", USER, 0o644);
    });
    let (_, identity) = read(&sandbox, "/a/b/file");
    let hot = |expected| {
        let (resolution, file) = sandbox.resolve("/a/b/file", Some(identity));
        assert_eq!((resolution, file.is_none()), (expected, true));
    };
    hot(Resolution::Unchanged);
    // What inotify on the file and its directory would not see.
    own(&sandbox.path("home/public/a"), USER, 0o000);
    hot(Resolution::Forbidden);
    own(&sandbox.path("home/public/a"), USER, 0o755);
    hot(Resolution::Unchanged);
    own(&sandbox.path("home/public/a/b/file"), USER, 0o000);
    hot(Resolution::Forbidden);
    std::fs::rename(sandbox.path("home/public/a"), sandbox.path("home/public/c")).unwrap();
    hot(Resolution::NotFound);
}
