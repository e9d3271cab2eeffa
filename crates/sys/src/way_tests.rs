//! Ways in a directory of the test's own. Root makes files of others there; without root those parts are not tried.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use super::*;

/// A home of a user that nobody is, with a document root. Removed at the end.
struct Home(PathBuf);

const USER: u32 = 61001;
const OTHER: u32 = 61002;

impl Home {
    fn new(name: &str) -> Self {
        let home =
            Self(std::env::temp_dir().join(format!("hostel-way-{name}-{}", std::process::id())));
        home.directory("", 0o755);
        home.directory("public", 0o755);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A directory of the user's.
    fn directory(&self, name: &str, mode: u32) {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        chown(&path, Some(USER), Some(USER)).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn link(&self, target: impl AsRef<Path>, name: &str, owner: u32) {
        symlink(target, self.path(name)).unwrap();
        lchown(self.path(name), Some(owner), Some(owner)).unwrap();
    }

    fn ways(&self) -> Ways {
        self.ways_of(Owner {
            user: Uid(USER),
            group: Gid(USER),
            group_is_own: true,
            trusts_all: false,
        })
    }

    fn ways_of(&self, owner: Owner) -> Ways {
        Ways::new(self.0.as_os_str().as_bytes(), owner).unwrap()
    }

    fn walk(&self, name: &str) -> io::Result<End> {
        self.ways().walk(self.path(name).as_os_str().as_bytes())
    }

    fn foreign(&self, name: &str) -> Option<(PathBuf, By)> {
        let foreign = self.walk(name).unwrap().foreign;
        foreign.map(|foreign| (foreign.directory, foreign.by))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Whether this process can make files of others.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: only root can make files of others");
    }
    is_root
}

#[test]
fn what_others_can_write_is_found_where_they_get_there() {
    if !is_root() {
        return;
    }
    let home = Home::new("modes");
    let public = || Some(home.path("public"));
    // Home, root, and who is found to write the root.
    for (home_mode, root_mode, expected) in [
        (0o755, 0o755, None),
        (0o700, 0o777, None),
        (0o750, 0o777, None),
        (0o711, 0o777, Some(By::Everybody)),
        (0o755, 0o1777, Some(By::Everybody)),
        (0o755, 0o775, None), // the group is the user's own
        (0o755, 0o776, None), // nobody else can search it
        (0o755, 0o773, Some(By::Everybody)),
    ] {
        home.directory("", home_mode);
        home.directory("public", root_mode);
        let expected = expected.map(|by| (public().unwrap(), by));
        assert_eq!(
            home.foreign("public"),
            expected,
            "{home_mode:o} {root_mode:o}"
        );
    }
    // It is found for all that is beneath, and not for what is beside.
    home.directory("public", 0o777);
    home.directory("public/deep/deeper", 0o755);
    assert_eq!(
        home.foreign("public/deep/deeper"),
        Some((public().unwrap(), By::Everybody))
    );
    home.directory("private", 0o755);
    assert_eq!(home.foreign("private"), None);
}

#[test]
fn groups_and_owners_that_are_not_the_sites_are_found() {
    if !is_root() {
        return;
    }
    let home = Home::new("groups");
    home.directory("public", 0o775);
    let path = home.path("public");
    chown(&path, None, Some(OTHER)).unwrap();
    assert_eq!(
        home.foreign("public"),
        Some((path.clone(), By::Group(OTHER)))
    );
    chown(&path, None, Some(0)).unwrap();
    assert_eq!(home.foreign("public"), None, "root's group");
    chown(&path, None, Some(USER)).unwrap();
    let shared = Owner {
        user: Uid(USER),
        group: Gid(USER),
        group_is_own: false,
        trusts_all: false,
    };
    let foreign = |owner| {
        let path = path.as_os_str().as_bytes();
        home.ways_of(owner)
            .walk(path)
            .unwrap()
            .foreign
            .map(|foreign| foreign.by)
    };
    assert_eq!(foreign(shared), Some(By::Group(USER)));
    chown(&path, Some(OTHER), None).unwrap();
    assert_eq!(
        foreign(Owner {
            group_is_own: true,
            ..shared
        }),
        Some(By::Owner(OTHER))
    );
    assert_eq!(
        foreign(Owner {
            trusts_all: true,
            ..shared
        }),
        None
    );
    // A directory of somebody else's to which nobody else gets is of no use to him.
    home.directory("", 0o700);
    assert_eq!(home.foreign("public"), None);
}

#[test]
fn links_lead_on_if_they_are_the_sites() {
    if !is_root() {
        return;
    }
    let home = Home::new("links");
    home.directory("releases/1/public", 0o755);
    home.directory("open", 0o777);
    std::fs::write(home.path("releases/1/public/file"), "x").unwrap();
    home.link("releases/1", "current", USER);
    home.link(home.path("current/public"), "absolute", 0);
    let place = |name: &str| beneath::place(home.walk(name)?.handle);
    let file = home.path("releases/1/public/file");
    for name in [
        "current/public/file",
        "absolute/file",
        "absolute/../public//./file",
    ] {
        assert_eq!(place(name).unwrap(), file, "{name}");
        assert_eq!(home.foreign(name), None, "{name}");
    }
    // Somebody else's link could be put where he can write, and lead to what is private.
    home.link(&file, "open/theirs", OTHER);
    home.link(&file, "open/own", USER);
    let denied = |name: &str| home.walk(name).unwrap_err().kind();
    assert_eq!(denied("open/theirs"), io::ErrorKind::PermissionDenied);
    // And his own link could be exchanged there for another of his.
    home.link("../releases/1/public", "open/root", USER);
    let open = Some((home.path("open"), By::Everybody));
    assert_eq!(home.foreign("open/own"), open);
    assert_eq!(home.foreign("open/root/file"), open);
    home.link("loop", "loop", USER);
    assert!(
        home.walk("loop")
            .is_err_and(|error| error.raw_os_error() == Some(libc::ELOOP))
    );
    for (name, kind) in [
        ("nothing", io::ErrorKind::NotFound),
        ("absolute/file/more", io::ErrorKind::NotADirectory),
        ("absolute/file/", io::ErrorKind::NotADirectory),
        ("absolute/file/..", io::ErrorKind::NotADirectory),
    ] {
        assert_eq!(denied(name), kind, "{name}");
    }
}

#[test]
fn a_magic_link_is_an_error() {
    let home = Home(std::env::temp_dir());
    let ways = home.ways();
    std::mem::forget(home);
    for path in [
        "/proc/self/cwd",
        "/proc/self/root/etc/passwd",
        "/proc/thread-self/exe",
    ] {
        let error = ways.walk(path.as_bytes()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP), "{path}");
    }
    assert!(ways.walk(b"/proc/self/status").is_ok());
}

#[test]
fn a_list_is_read_as_the_kernel_gives_it() {
    let entry = |tag: u16, bits: u16, id: u32| {
        [
            &tag.to_le_bytes()[..],
            &bits.to_le_bytes(),
            &id.to_le_bytes(),
        ]
        .concat()
    };
    let none = u32::MAX;
    let bytes = [
        2_u32.to_le_bytes().to_vec(),
        entry(1, 7, none),
        entry(2, 6, OTHER),
        entry(4, 5, none),
        entry(8, 3, 33),
        entry(0x10, 7, none),
        entry(0x20, 5, none),
    ]
    .concat();
    let list = parse(&bytes).unwrap();
    assert_eq!(
        (&list.users[..], &list.groups[..]),
        (&[(OTHER, 6)][..], &[(33, 3)][..])
    );
    assert_eq!((list.group, list.mask), (5, 7));
    assert_eq!(parse(&bytes[..bytes.len() - 1]), None);
    assert_eq!(parse(&[3, 0, 0, 0]), None);
    assert_eq!(parse(&[2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]), None);
}

#[test]
fn a_list_that_names_others_is_found() {
    if !is_root() {
        return;
    }
    let home = Home::new("lists");
    let set = |entries: &[(u16, u16, u32)]| {
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, bits, id) in entries {
            bytes.extend(
                [
                    &tag.to_le_bytes()[..],
                    &bits.to_le_bytes(),
                    &id.to_le_bytes(),
                ]
                .concat(),
            );
        }
        let (path, flags) = (home.path("public"), rustix::fs::XattrFlags::empty());
        rustix::fs::setxattr(path, "system.posix_acl_access", &bytes, flags)
    };
    let none = u32::MAX;
    let with = |named: (u16, u16, u32), mask: u16| {
        [
            (1, 7, none),
            named,
            (4, 5, none),
            (0x10, mask, none),
            (0x20, 5, none),
        ]
    };
    let sorted = |mut entries: [(u16, u16, u32); 5]| {
        entries.sort_by_key(|(tag, ..)| *tag);
        entries
    };
    match set(&with((2, 7, OTHER), 7)) {
        Err(Errno::OPNOTSUPP) => {
            eprintln!("skipped: the file system of temporary files has no ACLs");
            return;
        }
        outcome => outcome.unwrap(),
    }
    let by = || home.foreign("public").map(|(_, by)| by);
    assert_eq!(by(), Some(By::ListedUser(OTHER)));
    set(&with((2, 7, OTHER), 5)).unwrap();
    assert_eq!(by(), None, "the mask takes it away");
    set(&with((2, 7, USER), 7)).unwrap();
    assert_eq!(by(), None, "the site's own user");
    set(&sorted(with((8, 7, OTHER), 7))).unwrap();
    assert_eq!(by(), Some(By::ListedGroup(OTHER)));
}
