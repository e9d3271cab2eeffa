//! What all servers share: the site's user, its pages, and a directory for the servers' own files.
//!
//! Everything has a fixed name. A shell of few lines clears it all away when the run ends, even by a signal.
//! The site stands beneath /var/www because Debian's suexec runs programs from nowhere else.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::cpu;
use crate::failure::{Failure, Result, Tried};
use crate::probe::HOST;
use crate::site::{HELLO, Site, WHO};

/// The site's user and group.
pub(crate) const USER: &str = "hostel-bench";
/// The site's home.
pub(crate) const HOME: &str = "/var/www/hostel-bench";
/// The site's document root.
pub(crate) const ROOT: &str = "/var/www/hostel-bench/public";
/// Configuration, logs, sockets and state of the servers.
pub(crate) const WORK: &str = "/srv/hostel-bench";
/// The php.ini and modules of every server: those that Debian's packages manage for the embedded PHP.
pub(crate) const PHP_INI: &str = "/etc/php/8.2/embed";
/// The user of Apache and of the fronts of nginx and Hostel.
pub(crate) const WEB_USER: &str = "www-data";

/// One run at a time.
const LOCK: &str = "/run/hostel-bench.lock";

/// The user and the directories, from creation to the end of the run.
#[derive(Debug)]
pub(crate) struct Ground {
    /// The site's user and group id.
    pub user: (u32, u32),
    cleaner: Child,
    /// Held as long as everything else is: all names are fixed, so a second run would clear the first one away.
    _lock: File,
}

/// Clears away when its standard input ends: when the run is over, or was interrupted in whatever way.
const CLEANER: &str = r#"
cat > /dev/null
groups=$(find "$0" -maxdepth 1 -name 'hostel-bench-*')
for group in $groups; do echo 1 > "$group/cgroup.kill"; done
for group in $groups; do
    while grep -q 'populated 1' "$group/cgroup.events"; do sleep 0.1; done
    find "$group" -depth -type d -exec rmdir {} +
done
rm -rf "$1" "$2"
# The time is moved because vipw takes a file of the same second for unchanged.
editor=$(mktemp)
printf '#!/bin/sh\nsed -i /^%s/d "$1" && touch -d "2 seconds" "$1"\n' "$3" > "$editor"
chmod 0700 "$editor"
for file in vipw vigr "vipw -s" "vigr -s"; do
    VISUAL=$editor $file -q
done
rm "$editor"
"#;

impl Ground {
    /// Make the user, the pages and an empty directory for the servers.
    pub(crate) fn prepare() -> Result<Self> {
        let lock = File::create(LOCK).tried(format!("make {LOCK}"))?;
        lock.try_lock()
            .map_err(|_| Failure(format!("another bench runs: it holds {LOCK}")))?;
        // What an interrupted run left behind, if even its cleaner was killed.
        clean_up(cleaner()?)?;
        let cleaner = cleaner()?;
        run(
            "useradd",
            &[
                "--no-create-home",
                "--user-group",
                "--shell",
                "/usr/sbin/nologin",
                USER,
            ],
        )?;
        let user = look_up(USER)?;
        let ground = Self {
            user,
            cleaner,
            _lock: lock,
        };
        directory(WORK, None, 0o755)?;
        directory(HOME, Some(user), 0o755)?;
        directory(ROOT, Some(user), 0o755)?;
        directory(&format!("{HOME}/php-bin"), Some(user), 0o755)?;
        for (name, text) in [
            HELLO,
            WHO,
            ("info.php", "<?php phpinfo();\n"),
            (
                "post.php",
                "<?php echo strlen(file_get_contents('php://input')), \"\\n\";\n",
            ),
            ("1k.txt", &letters(1024)),
            ("1m.txt", &letters(1 << 20)),
        ] {
            file(&Path::new(ROOT).join(name), text, Some(user), 0o644)?;
        }
        Ok(ground)
    }

    /// The site at which one-page tests ask.
    pub(crate) fn site(&self) -> Site {
        Site {
            name: "bench".to_owned(),
            host: HOST.to_owned(),
            user: USER.to_owned(),
            owner: self.user,
            home: HOME.into(),
        }
    }

    /// A directory of one server's own.
    pub(crate) fn server_directory(&self, name: &str) -> Result<PathBuf> {
        let path = format!("{WORK}/{name}");
        directory(&path, None, 0o755)?;
        Ok(path.into())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        drop(self.cleaner.stdin.take());
        // A failure leaves something behind, which the next run clears away.
        let _ = self.cleaner.wait();
    }
}

/// Start the cleaner, out of reach of a Ctrl-C at the terminal.
fn cleaner() -> Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", CLEANER])
        .arg(cpu::mount_point()?)
        .args([HOME, WORK, USER])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .tried("start the shell that clears away")
}

fn clean_up(mut cleaner: Child) -> Result<()> {
    drop(cleaner.stdin.take());
    cleaner
        .wait()
        .tried("clear away what an earlier run left")?;
    Ok(())
}

/// So many bytes that look like nothing that is cheap to send.
pub(crate) fn letters(count: usize) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'a' + u8::try_from(state % 26).unwrap_or_default())
        })
        .collect()
}

/// Write a file with its owner (root if none) and mode.
pub(crate) fn file(path: &Path, text: &str, owner: Option<(u32, u32)>, mode: u32) -> Result<()> {
    let what = format!("write {}", path.display());
    fs::write(path, text).tried(&what)?;
    owned(path, owner, mode).tried(&what)
}

fn directory(path: &str, owner: Option<(u32, u32)>, mode: u32) -> Result<()> {
    let what = format!("make the directory {path}");
    fs::create_dir(path).tried(&what)?;
    owned(Path::new(path), owner, mode).tried(&what)
}

fn owned(path: &Path, owner: Option<(u32, u32)>, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    match owner {
        Some((user, group)) => chown(path, Some(user), Some(group)),
        None => Ok(()),
    }
}

/// The user's and its group's id.
pub(crate) fn look_up(user: &str) -> Result<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").tried("read /etc/passwd")?;
    passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&user))
        .and_then(|fields| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))
        .ok_or_else(|| Failure(format!("no user {user} in /etc/passwd")))
}

/// Run a command to its end and give its standard output.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let what = format!("run {program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .output()
        .tried(&what)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Failure(format!("cannot {what}: {} {why}", output.status)))
    }
}
