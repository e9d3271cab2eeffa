//! A site to be made: its configuration and its files, owned by its user, in a home of mode 0700.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::user::User;

/// A site's files look so old, since OPcache takes none that was written in the last two seconds.
const AGE: Duration = Duration::from_secs(60);

/// A site to be made. By default: domain `NAME.test`, document root `public`.
#[derive(Debug, Clone)]
pub struct Site {
    pub(crate) name: String,
    user: User,
    domains: Vec<String>,
    toml: String,
    files: Vec<(String, Vec<u8>)>,
    copies: Vec<(PathBuf, String)>,
}

impl Site {
    /// A site of this name that runs as this user.
    pub fn new(name: &str, user: User) -> Self {
        Self {
            name: name.to_owned(),
            user,
            domains: vec![format!("{name}.test")],
            toml: String::new(),
            files: Vec::new(),
            copies: Vec::new(),
        }
    }

    /// Other domains than `NAME.test`.
    pub fn domains(mut self, domains: &[&str]) -> Self {
        self.domains = domains.iter().map(|&d| d.to_owned()).collect();
        self
    }

    /// Lines for its configuration. Keys of tables such as `[php.value]` must come last.
    pub fn toml(mut self, lines: &str) -> Self {
        self.toml.push_str(lines);
        self.toml.push('\n');
        self
    }

    /// A file, by its path beneath home, such as `public/index.php`.
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), content.into()));
        self
    }

    /// A directory with all that is in it, to a path beneath home.
    pub fn copy(mut self, from: &Path, to: &str) -> Self {
        self.copies.push((from.to_owned(), to.to_owned()));
        self
    }

    pub(crate) fn configuration(&self, home: &Path) -> String {
        format!(
            "domains = {:?}\nuser = {:?}\nhome = {home:?}\n{}",
            self.domains,
            self.user.name(),
            self.toml
        )
    }

    pub(crate) fn write(&self, home: &Path) {
        fs::create_dir_all(home.join("public")).expect("the instance's directory");
        for (from, to) in &self.copies {
            copy_tree(from, &home.join(to));
        }
        for (path, content) in &self.files {
            let path = home.join(path);
            fs::create_dir_all(path.parent().expect("beneath home")).expect("home");
            fs::write(&path, content).expect("home");
        }
        let age = SystemTime::now() - AGE;
        for_each_file(&home.join("public"), &|path| {
            let file = fs::File::options()
                .append(true)
                .open(path)
                .expect("just written");
            file.set_modified(age).expect("root may");
        });
        own(home, self.user);
        fs::set_permissions(home, fs::Permissions::from_mode(0o700)).expect("home is ours");
    }
}

/// Give a file, or a directory with all that is in it, to a user. Links are given, not followed.
pub fn own(path: &Path, user: User) {
    let (uid, gid) = user.ids();
    lchown(path, Some(uid), Some(gid)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if path.symlink_metadata().is_ok_and(|m| m.is_dir()) {
        for entry in fs::read_dir(path).expect("it was just made").flatten() {
            own(&entry.path(), user);
        }
    }
}

/// Write a file beneath a home and give it to the user.
pub fn write_as(user: User, path: &Path, content: impl AsRef<[u8]>) {
    let parent = path.parent().expect("beneath home");
    if !parent.exists() {
        fs::create_dir_all(parent).expect("home");
        own(parent, user);
    }
    fs::write(path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (uid, gid) = user.ids();
    chown(path, Some(uid), Some(gid)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// Make a symbolic link and give it to the user.
pub fn link_as(user: User, target: &Path, link: &Path) {
    symlink(target, link).unwrap_or_else(|e| panic!("{}: {e}", link.display()));
    let (uid, gid) = user.ids();
    lchown(link, Some(uid), Some(gid)).unwrap_or_else(|e| panic!("{}: {e}", link.display()));
}

fn for_each_file(directory: &Path, act: &dyn Fn(&Path)) {
    for entry in fs::read_dir(directory).expect("it was just made").flatten() {
        let metadata = entry.path().symlink_metadata().expect("just listed");
        if metadata.is_dir() {
            for_each_file(&entry.path(), act);
        } else if metadata.is_file() {
            act(&entry.path());
        }
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap_or_else(|e| panic!("{}: {e}", to.display()));
    let entries = fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    for entry in entries.flatten() {
        let target = to.join(entry.file_name());
        // What a link leads to is copied: Debian's packages link into /etc and /var, where a site cannot go.
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else if entry.path().exists() {
            fs::copy(entry.path(), &target).unwrap_or_else(|e| panic!("{}: {e}", target.display()));
        }
    }
}
