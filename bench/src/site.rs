//! Sites and their users: as many as a test wants, each a user of its own with a home and a few pages.
//!
//! Users are added and removed through `vipw` and `vigr`, which hold the system's lock on the files, all in one go: ten thousand
//! calls of useradd would take an hour.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, Result, Tried};
use crate::ground::{self, WORK};

/// Where the homes of these sites are.
pub(crate) const HOMES: &str = "/srv/hostel-bench/homes";
/// What a site's user is called: this and the site's name.
const USER_PREFIX: &str = "hostel-bench-";
/// User ids from here on, where they are free.
const UID_FIRST: u32 = 200_000;

/// A page of one line.
pub(crate) const HELLO: (&str, &str) = ("hello.php", "<?php echo \"Hello, world\\n\";\n");
/// Whose PHP this is, and whether OPcache is on.
pub(crate) const WHO: (&str, &str) = (
    "who.php",
    "<?php echo posix_geteuid(), ' ', (int) is_array(opcache_get_status(false));\n",
);
/// A page that waits 50 milliseconds, as for a database.
pub(crate) const SLOW: (&str, &str) = (
    "slow.php",
    "<?php usleep(50000); echo \"Hello, world\\n\";\n",
);
/// A file that is no script.
pub(crate) const STATIC: (&str, &str) = ("static.txt", "Hello, file\n");

/// One site.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// Its name.
    pub name: String,
    /// Its one domain.
    pub host: String,
    /// Its user's and group's name.
    pub user: String,
    /// The user's and the group's id.
    pub owner: (u32, u32),
    /// Its home; the document root is `public` in it.
    pub home: PathBuf,
}

impl Site {
    /// The document root.
    pub(crate) fn root(&self) -> PathBuf {
        self.home.join("public")
    }

    /// Write a file beneath the document root.
    pub(crate) fn page(&self, name: &str, text: &str) -> Result<()> {
        ground::file(&self.root().join(name), text, Some(self.owner), 0o644)
    }

    /// Copy a directory of the system's into the document root, links followed, as the site's own.
    pub(crate) fn copy(&self, from: &str, to: &str) -> Result<()> {
        let target = self.home.join(to);
        fs::create_dir_all(&target).tried(format!("make {}", target.display()))?;
        let target = target.to_string_lossy();
        ground::run("cp", &["-rL", "--", &format!("{from}/."), &target])?;
        Ok(())
    }

    /// Give everything in its home to its user.
    pub(crate) fn own_all(&self) -> Result<()> {
        let owner = format!("{}:{}", self.owner.0, self.owner.1);
        ground::run("chown", &["-R", &owner, &self.home.to_string_lossy()])?;
        ground::run("chmod", &["-R", "a+rX", &self.home.to_string_lossy()])?;
        Ok(())
    }
}

/// Make sites with these names, their users and their pages.
pub(crate) fn make(names: &[String], pages: &[(&str, &str)]) -> Result<Vec<Site>> {
    let ids = add_users(names)?;
    fs::create_dir_all(HOMES).tried(format!("make {HOMES}"))?;
    names
        .iter()
        .zip(ids)
        .map(|(name, id)| {
            let site = Site {
                name: name.clone(),
                host: format!("{name}.example"),
                user: format!("{USER_PREFIX}{name}"),
                owner: (id, id),
                home: Path::new(HOMES).join(name),
            };
            for directory in [site.home.clone(), site.root()] {
                let what = format!("make {}", directory.display());
                fs::create_dir(&directory).tried(&what)?;
                fs::set_permissions(&directory, Permissions::from_mode(0o755)).tried(&what)?;
                chown(&directory, Some(id), Some(id)).tried(&what)?;
            }
            for (page, text) in pages {
                site.page(page, text)?;
            }
            Ok(site)
        })
        .collect()
}

/// Names with a prefix and a number, from 0.
pub(crate) fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{prefix}{number}"))
        .collect()
}

fn add_users(names: &[String]) -> Result<Vec<u32>> {
    let used = used_ids()?;
    let free = (UID_FIRST..).filter(|id| !used.contains(id));
    let ids: Vec<u32> = free.take(names.len()).collect();
    let (mut passwd, mut group) = (String::new(), String::new());
    for (name, id) in names.iter().zip(&ids) {
        let _ = writeln!(
            passwd,
            "{USER_PREFIX}{name}:x:{id}:{id}::{HOMES}/{name}:/usr/sbin/nologin"
        );
        let _ = writeln!(group, "{USER_PREFIX}{name}:x:{id}:");
    }
    for (editor, lines) in [("vipw", passwd), ("vigr", group)] {
        append(editor, &lines)?;
    }
    Ok(ids)
}

fn used_ids() -> Result<HashSet<u32>> {
    let mut ids = HashSet::new();
    for file in ["/etc/passwd", "/etc/group"] {
        let text = fs::read_to_string(file).tried(format!("read {file}"))?;
        ids.extend(
            text.lines()
                .filter_map(|line| line.split(':').nth(2)?.parse::<u32>().ok()),
        );
    }
    Ok(ids)
}

/// Let an "editor" append the lines. It moves the time of the file too: vipw takes one of the same second for unchanged.
fn append(editor: &str, lines: &str) -> Result<()> {
    let (script, added) = (
        Path::new(WORK).join("append"),
        Path::new(WORK).join("added"),
    );
    ground::file(&added, lines, None, 0o600)?;
    let text = format!(
        "#!/bin/sh\ncat {} >> \"$1\" && touch -d '2 seconds' \"$1\"\n",
        added.display()
    );
    ground::file(&script, &text, None, 0o700)?;
    let status = Command::new(editor)
        .arg("-q")
        .env("VISUAL", &script)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .tried(format!("run {editor}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure(format!("{editor} failed: {status}")))
    }
}
