//! Paths on a directory of the test's own. What needs a second user is tested with the real keeper, in `tests/it`.

use super::*;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A home with a document root, removed at the end.
struct Home {
    path: PathBuf,
}

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hostel-files-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("home/public")).unwrap();
        Self { path }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join("home").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.path(name)).unwrap();
    }

    fn files_of(&self, user: Uid, root: &str) -> Files {
        let text = |path: PathBuf| path.into_os_string().into_string().unwrap();
        let settings = SiteSettings {
            name: "blog".into(),
            user: "blog".into(),
            home: text(self.path.join("home")),
            root: text(self.path(root)),
            index: vec!["index.php".into(), "index.html".into()],
            script_extensions: vec!["php".into()],
            front_controller: "/index.php".into(),
            foreign_owners: false,
            group_is_own: true,
            php_ini_directory: "/etc/php/8.2/embed".into(),
            requests_per_worker: 0,
            fresh: hostel_wire::fresh::Fresh::Off,
            temporary_bytes_max: 0,
            php_values: Vec::new(),
        };
        Files::of_user(&settings, user).unwrap()
    }

    fn files(&self) -> Files {
        self.files_of(Uid::effective(), "public")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.path).unwrap();
    }
}

fn at(files: &Files, path: &str) -> Resolution {
    let (resolution, descriptor) = files.resolve(path.as_bytes(), None);
    let is_file = matches!(resolution, Resolution::File { .. });
    assert_eq!(is_file, descriptor.is_some(), "{path}");
    resolution
}

/// The text of the file at `path` and the name it is served by.
fn read(files: &Files, path: &str) -> (String, String) {
    let (resolution, descriptor) = files.resolve(path.as_bytes(), None);
    let Resolution::File { identity, name } = resolution else {
        panic!("{path}: {resolution:?}");
    };
    let mut file = File::from(descriptor.unwrap());
    let mut text = String::new();
    io::Read::read_to_string(&mut file, &mut text).unwrap();
    assert_eq!(identity.size, text.len() as u64);
    (text, String::from_utf8(name).unwrap())
}

fn script_at(path: &str) -> Resolution {
    let path = path.as_bytes().to_vec();
    Resolution::Script { path }
}

#[test]
fn files_scripts_directories_and_nothing() {
    let home = Home::new("kinds");
    home.write("public/a/style.css", "css");
    home.write("public/a/run.php", "<?php");
    home.write("public/b/index.html", "index");
    home.write("public/c/index.php", "<?php");
    home.write("public/c/index.html", "not the first");
    home.write("public/d/index.php/x", "a directory is no index");
    home.write("public/d/index.html", "index of d");
    let files = home.files();

    assert_eq!(
        read(&files, "/a/style.css"),
        ("css".into(), "style.css".into())
    );
    assert_eq!(at(&files, "/a/run.php"), script_at("/a/run.php"));
    assert_eq!(at(&files, "/b"), Resolution::Directory);
    assert_eq!(read(&files, "/b/"), ("index".into(), "index.html".into()));
    assert_eq!(at(&files, "/c/"), script_at("/c/index.php"));
    assert_eq!(read(&files, "/d/").0, "index of d");
    assert_eq!(at(&files, "/a/"), Resolution::Forbidden);
    assert_eq!(at(&files, "/"), Resolution::Forbidden);
    for nothing in [
        "/nothing",
        "/a/style.css/",
        "/a/style.css/x",
        "/a/run.php/",
        "/a/run.php/info",
        "/nothing.php",
        &format!("/{}", "x".repeat(300)),
    ] {
        assert_eq!(at(&files, nothing), Resolution::NotFound, "{nothing}");
    }
}

#[test]
fn nothing_goes_to_the_front_controller_where_there_is_one() {
    let home = Home::new("controller");
    home.write("public/index.php", "<?php");
    home.write("public/image.jpg", "jpg");
    let files = home.files();
    for path in ["/hello/world", "/missing.php", "/image.jpg/x.php"] {
        assert_eq!(at(&files, path), script_at("/index.php"), "{path}");
    }
    assert_eq!(at(&files, "/"), script_at("/index.php"));
    assert_eq!(at(&files, "/image.jpg.php"), script_at("/index.php"));
    assert_eq!(read(&files, "/image.jpg").0, "jpg");
}

#[test]
fn hidden_files_and_editors_copies_are_refused() {
    let home = Home::new("hidden");
    for name in [
        ".env",
        ".git/config",
        "a/.htaccess",
        "config.php~",
        "config.php.bak",
        ".config.php.swp",
        "#config.php#",
        "a/.well-known/x",
    ] {
        home.write(&format!("public/{name}"), "secret");
        let path = format!("/{name}");
        assert_eq!(at(&home.files(), &path), Resolution::Forbidden, "{name}");
    }
    home.write("public/.well-known/security.txt", "contact");
    let files = home.files();
    assert_eq!(read(&files, "/.well-known/security.txt").0, "contact");
    assert_eq!(at(&files, "/.well-known"), Resolution::Directory);
    for path in [
        "/../public/x",
        "/a/..",
        "/a/./b",
        "a",
        "",
        "/a\0b",
        "/.well-known/..",
    ] {
        assert_eq!(at(&files, path), Resolution::Forbidden, "{path}");
    }
}

#[test]
fn a_file_that_the_front_knows_is_unchanged_until_it_changes() {
    let home = Home::new("known");
    home.write("public/a.txt", "one");
    let files = home.files();
    let (Resolution::File { identity, .. }, Some(_)) = files.resolve(b"/a.txt", None) else {
        panic!("no file");
    };
    let (again, descriptor) = files.resolve(b"/a.txt", Some(identity));
    assert_eq!((again, descriptor.is_none()), (Resolution::Unchanged, true));

    // The same size; another inode.
    home.write("public/new.txt", "two");
    std::fs::rename(home.path("public/new.txt"), home.path("public/a.txt")).unwrap();
    let (changed, descriptor) = files.resolve(b"/a.txt", Some(identity));
    assert!(matches!(changed, Resolution::File { .. }) && descriptor.is_some());

    std::fs::remove_file(home.path("public/a.txt")).unwrap();
    let (gone, _) = files.resolve(b"/a.txt", Some(identity));
    assert_eq!(gone, Resolution::NotFound);
}

#[test]
fn links_lead_anywhere_beneath_home_and_to_the_systems_files() {
    let home = Home::new("links");
    home.write("storage/app/photo.jpg", "photo");
    home.write("secret-of-another", "outside of the root, inside of home");
    home.link(home.path("storage/app"), "public/storage");
    home.link("../storage/app/photo.jpg", "public/relative.jpg");
    home.link("/usr/bin/env", "public/env.bin");
    let files = home.files();
    assert_eq!(read(&files, "/storage/photo.jpg").0, "photo");
    assert_eq!(
        read(&files, "/relative.jpg"),
        ("photo".into(), "relative.jpg".into())
    );
    assert!(matches!(at(&files, "/env.bin"), Resolution::File { .. }));
}

#[test]
fn links_lead_nowhere_else() {
    let home = Home::new("outside");
    std::fs::create_dir(home.path.join("other")).unwrap();
    std::fs::write(home.path.join("other/file"), "another site's").unwrap();
    home.link(home.path.join("other/file"), "public/file");
    home.link(home.path.join("other"), "public/directory");
    home.link("/proc/self/status", "public/status");
    home.link("/proc/self/root/etc/passwd", "public/magic");
    home.link("/dev/null", "public/null");
    home.link("loop-b", "public/loop-a");
    home.link("loop-a", "public/loop-b");
    let files = home.files();
    for path in [
        "/file",
        "/directory",
        "/directory/",
        "/directory/file",
        "/status",
        "/null",
    ] {
        assert_eq!(at(&files, path), Resolution::Forbidden, "{path}");
    }
    // A name that is like home's and longer is another place.
    let sibling = home.path.join("home-of-another");
    std::fs::create_dir(&sibling).unwrap();
    std::fs::write(sibling.join("x"), "x").unwrap();
    home.link(sibling.join("x"), "public/sibling");
    assert_eq!(at(&files, "/sibling"), Resolution::Forbidden);
    for path in ["/loop-a", "/magic"] {
        assert_eq!(at(&files, path), Resolution::NotFound, "{path}");
    }
}

#[test]
fn the_switch_of_the_root_is_seen_at_once() {
    let home = Home::new("switch");
    home.write("releases/1/public/version", "1");
    home.write("releases/2/public/version", "2");
    home.link("releases/1", "current");
    let files = home.files_of(Uid::effective(), "current/public");
    assert_eq!(read(&files, "/version").0, "1");
    home.link("releases/2", "next");
    std::fs::rename(home.path("next"), home.path("current")).unwrap();
    assert_eq!(read(&files, "/version").0, "2");
    std::fs::remove_file(home.path("current")).unwrap();
    assert_eq!(at(&files, "/version"), Resolution::NotFound);
}

#[test]
fn only_regular_files_of_the_user_or_root_are_served() {
    let home = Home::new("owner");
    home.write("public/own.txt", "own");
    let fifo = home.path("public/fifo");
    let fifo = std::ffi::CString::new(fifo.as_os_str().as_bytes()).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(home.path("public/socket")).unwrap();
    for path in ["/fifo", "/socket"] {
        assert_eq!(at(&home.files(), path), Resolution::Forbidden, "{path}");
    }
    // As if a third user asked: the file is root's only where root runs this test.
    let other = home.files_of(Uid(Uid::effective().0 + 1), "public");
    if Uid::effective() == Uid::ROOT {
        std::os::unix::fs::chown(home.path("public/own.txt"), Some(4711), None).unwrap();
    }
    assert_eq!(at(&other, "/own.txt"), Resolution::Forbidden);
}

#[test]
fn a_descriptor_is_for_reading_and_closed_at_exec() {
    let home = Home::new("flags");
    home.write("public/a", "a");
    std::fs::set_permissions(
        home.path("public/a"),
        std::fs::Permissions::from_mode(0o666),
    )
    .unwrap();
    let (_, file) = home.files().resolve(b"/a", None);
    let file = file.unwrap();
    let flags = rustix::fs::fcntl_getfl(&file).unwrap();
    assert!(!flags.intersects(
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::RDWR | rustix::fs::OFlags::WRONLY
    ));
    let closed = rustix::io::fcntl_getfd(&file).unwrap();
    assert!(closed.contains(rustix::io::FdFlags::CLOEXEC));
}
