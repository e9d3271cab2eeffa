//! Two users, two homes, the same for each server.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use hostel_e2e::{User, site};

use crate::attacks::ATTACKS;

pub(crate) const ATTACKER: User = User::One;
pub(crate) const VICTIM: User = User::Two;

/// The homes of both sites. Removed when dropped.
pub(crate) struct Ground {
    pub(crate) place: PathBuf,
    pub(crate) secret: String,
}

impl Ground {
    /// Make them; `reader` is the group that the web server reads static files by, where it needs one.
    pub(crate) fn new(word: &str, reader: Option<u32>) -> Self {
        let id = std::process::id();
        let ground = Self {
            place: PathBuf::from(format!("/srv/hostel-comparison-{id}-{word}")),
            secret: format!("secret-{word}-{id}"),
        };
        for (name, user) in [("attacker", ATTACKER), ("victim", VICTIM)] {
            let home = ground.home(name);
            fs::create_dir_all(home.join("public")).expect("/srv can be written by root");
            fs::create_dir_all(home.join("private")).expect("home");
            for attack in ATTACKS {
                let script = match name {
                    "attacker" => attack.attacker,
                    _ => attack.victim,
                };
                let path = home.join(format!("public/{}.php", attack.id));
                fs::write(path, format!("<?php {PRELUDE} {script}")).expect("home");
            }
            site::own(&home, user);
            mode(&home, 0o711);
            mode(&home.join("private"), 0o700);
        }
        let home = ground.home("victim");
        let secret = |path: &str, bits| {
            let path = home.join(path);
            site::write_as(VICTIM, &path, &ground.secret);
            mode(&path, bits);
        };
        secret("private/secret.txt", 0o600);
        secret("public/readme.txt", 0o644);
        secret("public/members.txt", 0o640);
        if let Some(group) = reader {
            chown(home.join("public/members.txt"), None, Some(group)).expect("root may");
        }
        let script = home.join("public/cached.php");
        site::write_as(
            VICTIM,
            &script,
            format!("<?php return '{}';", ground.secret),
        );
        mode(&script, 0o600);
        site::link_as(
            ATTACKER,
            &home.join("public/members.txt"),
            &ground.home("attacker").join("public/link.txt"),
        );
        let helper = ground.home("attacker").join("touch");
        fs::copy("/usr/bin/touch", &helper).expect("coreutils");
        mode(&helper, 0o4755);
        age(&ground.place);
        ground
    }

    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.place.join("homes").join(name)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.place);
    }
}

fn mode(path: &Path, bits: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).expect("just made");
}

/// OPcache takes no file that was written in the last two seconds.
fn age(place: &Path) {
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    for entry in fs::read_dir(place).expect("just made").flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("just made");
        if kind.is_dir() {
            age(&path);
        } else if kind.is_file() {
            let file = fs::File::options().write(true).open(&path).expect("root");
            file.set_modified(old).expect("root may");
        }
    }
}

/// What each script finds: the secret, the victim's home, its peer's process id or port.
const PRELUDE: &str = "$secret = $_GET['secret'] ?? ''; $victim = $_GET['victim'] ?? ''; $place = $_GET['place'] ?? ''; \
     $said = $_GET['said'] ?? ''; ignore_user_abort(true); \
     function say($text) { $f = dirname(__DIR__) . '/private/said'; file_put_contents(\"$f.new\", $text); rename(\"$f.new\", $f); }";
