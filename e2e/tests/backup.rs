//! `hostel backup` and `hostel restore`: what was kept comes back; a destination that dies, a full disk, a killed command, a hostile tenant.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hostel_e2e::process::killed_after;
use hostel_e2e::{
    Instance, Signal, Site, SmallDisk, User, free_port, patience, process, user, wait_until,
};
use serde_json::Value;

/// What a command said with `--json`.
struct Outcome {
    fine: bool,
    document: Value,
    errors: String,
}

impl Outcome {
    #[track_caller]
    fn fine(self) -> Self {
        assert!(self.fine, "{}\n{:#}", self.errors, self.document);
        self
    }

    #[track_caller]
    fn refused(self, text: &str) -> Self {
        assert!(!self.fine, "{:#}", self.document);
        assert!(self.errors.contains(text), "{text}: {}", self.errors);
        assert!(self.document["error"].is_object(), "{:#}", self.document);
        self
    }

    /// Those of `backup list`, of this site.
    fn backups(&self, site: &str) -> Vec<String> {
        let all = self.document["backups"].as_array().expect("a list");
        let own = all.iter().filter(|one| one["site"] == site);
        own.map(|one| one["backup"].as_str().expect("a number").to_owned())
            .collect()
    }
}

trait Commands {
    fn json(&self, words: &[&str]) -> Outcome;
    fn begun(&self, words: &[&str]) -> Command;
    fn started(&self, words: &[&str]) -> Child;
}

impl Commands for Instance {
    fn json(&self, words: &[&str]) -> Outcome {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        let (fine, output, errors) = self.command(&words);
        Outcome {
            fine,
            document: serde_json::from_str(&output).unwrap_or(Value::Null),
            errors,
        }
    }

    fn begun(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.program("hostel"));
        command
            .args(words)
            .arg("--config")
            .arg(self.configuration());
        command
    }

    fn started(&self, words: &[&str]) -> Child {
        let mut command = self.begun(words);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let command = command.stderr(Stdio::piped());
        command.spawn().expect("hostel can be started")
    }
}

/// Waits for its end; whether it was a good one, and what it said.
fn ended(child: &mut Child) -> (bool, String) {
    let mut errors = String::new();
    let mut from = child.stderr.take().expect("it is piped");
    from.read_to_string(&mut errors).expect("text");
    (child.wait().expect("it ends").success(), errors)
}

const PAGE: &str = "<?php echo 'as it was';";

/// An instance with the sites one and two, and a repository of its own on this disk.
fn instance(name: &str) -> Instance {
    let site = |name: &str, user| Site::new(name, user).file("public/index.php", PAGE);
    let instance = Instance::new(name);
    let to = instance.path("repository").display().to_string();
    let instance = instance
        .settings(&format!("[backup]\nto = {to:?}\nkeep_last = 2"))
        .site(site("one", User::One))
        .site(site("two", User::Two))
        .start();
    instance.json(&["backup", "init"]).fine();
    instance
}

/// Give a file to a site's user.
fn write(instance: &Instance, site: &str, user: User, path: &str, content: &[u8]) {
    hostel_e2e::site::write_as(user, &instance.home(site).join(path), content);
}

/// Every file of a home by its path: kind, mode, owner and content.
fn tree(home: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(home: &Path, below: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(home.join(below)).unwrap().flatten() {
            let path = below.join(entry.file_name());
            let metadata = entry.path().symlink_metadata().unwrap();
            let kind = if metadata.is_dir() {
                walk(home, &path, found);
                "directory".to_owned()
            } else if metadata.is_symlink() {
                format!("link to {:?}", fs::read_link(entry.path()).unwrap())
            } else if !metadata.is_file() {
                "something else".to_owned()
            } else {
                let content = fs::read(entry.path()).unwrap();
                let sum = content
                    .iter()
                    .fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte));
                format!("{} bytes {sum}", content.len())
            };
            let mode = if metadata.is_symlink() {
                0
            } else {
                metadata.mode() & 0o7777
            };
            found.insert(
                path,
                format!("{kind} {mode:o} {} {}", metadata.uid(), metadata.mtime()),
            );
        }
    }
    let mut found = BTreeMap::new();
    walk(home, Path::new(""), &mut found);
    found
}

/// What is in the directory of the homes beside those of the sites.
fn left_beside(instance: &Instance) -> Vec<String> {
    let entries = fs::read_dir(instance.path("homes")).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.')).collect()
}

/// Users that a test had made; they are deleted with this.
struct MadeUser(&'static str);

impl Drop for MadeUser {
    fn drop(&mut self) {
        let _ = Command::new("/usr/sbin/userdel")
            .args(["--force", self.0])
            .output();
    }
}

#[test]
fn what_was_kept_comes_back_as_it_was_and_what_was_planted_is_gone() {
    let instance = instance("kept");
    let home = instance.home("one");
    let (uid, _) = User::One.ids();
    write(&instance, "one", User::One, "private/two\nlines", b"named");
    write(
        &instance,
        "one",
        User::One,
        "private/-rf",
        b"named like an option",
    );
    write(
        &instance,
        "one",
        User::One,
        "private/large",
        &vec![7; 3 << 20],
    );
    symlink("/etc/passwd", home.join("link")).unwrap();
    std::os::unix::fs::lchown(home.join("link"), Some(uid), None).unwrap();
    fs::set_permissions(home.join("private/-rf"), PermissionsExt::from_mode(0o600)).unwrap();
    let before = tree(&home);
    assert_eq!(instance.get("one.test", "/").text(), "as it was");
    let shown = instance.json(&["backup", "--all", "--dry-run"]).fine();
    assert_eq!(shown.document["steps"].as_array().unwrap().len(), 3);
    let made = instance.json(&["backup", "--all"]).fine();
    assert_eq!(made.document["backups"].as_array().unwrap().len(), 2);

    // A break-in: a page that is changed, one that is planted, and what would outlive a cleaned home.
    write(
        &instance,
        "one",
        User::One,
        "public/index.php",
        b"<?php echo 'changed';",
    );
    write(
        &instance,
        "one",
        User::One,
        "public/shell.php",
        b"<?php echo 'planted';",
    );
    fs::remove_file(home.join("private/large")).unwrap();
    let state = instance.path("state/sites/one");
    for planted in [
        "opcache/planted.bin",
        "sessions/sess_planted",
        "tmp/planted",
    ] {
        hostel_e2e::site::write_as(User::One, &state.join(planted), "planted");
    }
    let keepers = instance.running("hostel-keeper");
    let two = keepers
        .iter()
        .find(|keeper| keeper.uid == User::Two.ids().0);
    let shown = instance.json(&["restore", "one", "--dry-run"]).fine();
    assert_ne!(tree(&home), before);
    let restored = instance.json(&["restore", "one"]).fine();
    assert_eq!(
        restored.document["steps"].as_array().unwrap().len(),
        shown.document["steps"].as_array().unwrap().len()
    );
    assert_eq!(tree(&home), before);
    assert_eq!(home.metadata().unwrap().uid(), uid);
    assert_eq!(home.metadata().unwrap().mode() & 0o7777, 0o700);
    assert_eq!(instance.get("one.test", "/").text(), "as it was");
    // The front controller answers for what is not there.
    assert_eq!(instance.get("one.test", "/shell.php").text(), "as it was");
    for planted in [
        "opcache/planted.bin",
        "sessions/sess_planted",
        "tmp/planted",
    ] {
        assert!(!state.join(planted).exists(), "{planted}");
    }
    assert!(
        two.is_none_or(hostel_e2e::Process::runs),
        "another site was touched"
    );

    // What was there is root's, and whole.
    let kept = PathBuf::from(restored.document["kept"][0].as_str().unwrap());
    let metadata = kept.metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o700));
    assert_eq!(
        fs::read_to_string(kept.join("public/shell.php")).unwrap(),
        "<?php echo 'planted';"
    );
    fs::remove_dir_all(kept).unwrap();
    instance.json(&["restore", "one", "--purge"]).fine();
    assert_eq!(left_beside(&instance), [""; 0]);
    instance.json(&["backup", "check", "--read-data"]).fine();
}

#[test]
fn a_backup_becomes_another_site_for_a_trial_and_comes_back_where_the_site_is_gone() {
    let instance = instance("trial");
    let trial = MadeUser("hostel-trial");
    instance.json(&["backup", "one"]).fine();
    let home = instance.home("trial").display().to_string();
    let words = [
        "restore",
        "one",
        "--as",
        "trial",
        "--domain",
        "trial.test",
        "--user",
        trial.0,
        "--home",
        &home,
    ];
    instance.json(&words).fine();
    assert_eq!(instance.get("trial.test", "/").text(), "as it was");
    assert_eq!(instance.get("one.test", "/").text(), "as it was");
    let (uid, _) = user::ids(trial.0).expect("it was made");
    assert!(
        tree(Path::new(&home))
            .values()
            .all(|file| file.contains(&format!(" {uid} ")))
    );
    let again = instance.json(&words).fine();
    assert_eq!(again.document["changed"], false, "{:#}", again.document);
    instance
        .json(&["site", "remove", "trial", "--purge"])
        .fine();

    // A host that has lost the site: its file and its home.
    let text = fs::read_to_string(instance.site_file("one")).unwrap();
    fs::remove_file(instance.site_file("one")).unwrap();
    instance.json(&["reload"]).fine();
    fs::remove_dir_all(instance.home("one")).unwrap();
    assert_eq!(instance.get("one.test", "/").status, 421);
    let user = User::One.name();
    instance.json(&["restore", "one"]).refused("exists already");
    instance.json(&["restore", "one", "--user", user]).fine();
    assert_eq!(instance.get("one.test", "/").text(), "as it was");
    assert_eq!(fs::read_to_string(instance.site_file("one")).unwrap(), text);
    drop(trial);
}

#[test]
fn the_settings_of_then_come_back_on_request_alone() {
    let instance = instance("settings");
    instance.json(&["backup", "one"]).fine();
    instance
        .json(&["site", "edit", "one", "--add-domain", "more.test"])
        .fine();
    let restored = instance.json(&["restore", "one", "--purge"]).fine();
    assert!(
        restored.document["notes"]
            .to_string()
            .contains("--with-settings")
    );
    assert_eq!(instance.get("more.test", "/").status, 200);
    instance
        .json(&["restore", "one", "--purge", "--with-settings"])
        .fine();
    assert_eq!(instance.get("more.test", "/").status, 421);
    assert_eq!(instance.get("one.test", "/").text(), "as it was");
    // A site that was suspended stays so.
    instance.json(&["site", "suspend", "one"]).fine();
    instance.json(&["restore", "one", "--purge"]).fine();
    assert_eq!(instance.get("one.test", "/").status, 503);
    instance.json(&["site", "enable", "one"]).fine();
    assert_eq!(instance.get("one.test", "/").text(), "as it was");
}

#[test]
fn restic_runs_as_a_user_of_its_own_and_no_site_sees_the_password() {
    let instance = instance("own-user");
    write(&instance, "one", User::One, "large", &noise(48 << 20));
    write(
        &instance,
        "one",
        User::One,
        "public/look.php",
        b"<?php foreach (glob('/proc/[0-9]*/environ') as $f) echo @file_get_contents($f); echo @file_get_contents($_GET['f']), 'looked';",
    );
    let password = instance.path("etc/backup.password");
    assert_eq!(password.metadata().unwrap().mode() & 0o7777, 0o600);
    let secret = fs::read_to_string(&password).unwrap();
    let mut backup = instance.started(&["backup", "one"]);
    let (uid, gid) = user::ids(user::BACKUP).expect("the user of backups");
    let mut seen = 0;
    let until = Instant::now() + patience(Duration::from_secs(60));
    while backup.try_wait().unwrap().is_none() && Instant::now() < until {
        let restic = process::descendants(i32::try_from(backup.id()).unwrap());
        for one in restic.iter().filter(|one| one.program == "restic") {
            let status = |name| one.status(name).unwrap_or_default();
            let ids = format!("{uid}\t{uid}\t{uid}\t{uid}");
            // It may have ended between two looks.
            if status("Uid").is_empty() || status("NoNewPrivs").is_empty() {
                continue;
            }
            assert_eq!(status("Uid"), ids);
            assert_eq!(status("Gid"), format!("{gid}\t{gid}\t{gid}\t{gid}"));
            assert_eq!(status("Groups").trim(), "");
            for set in ["CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb"] {
                assert_eq!(status(set), "0000000000000000", "{set}");
            }
            assert_eq!(status("NoNewPrivs"), "1");
            let line = fs::read(format!("/proc/{}/cmdline", one.pid)).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&line).contains(secret.trim()));
            seen += 1;
        }
        if seen == 1 {
            let target = format!("/look.php?f={}", password.display());
            let looked = instance.get("one.test", &target).text();
            assert!(
                looked.ends_with("looked") && !looked.contains(secret.trim()),
                "{looked}"
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(backup.wait().unwrap().success());
    assert!(seen > 0, "restic was never seen");
}

/// What does not pack.
fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    fs::File::open("/dev/urandom")
        .unwrap()
        .read_exact(&mut noise)
        .unwrap();
    noise
}

#[test]
fn a_backup_that_was_killed_never_counts_and_the_next_one_is_whole() {
    let instance = instance("killed");
    write(&instance, "one", User::One, "large", &noise(8 << 20));
    let mut killed = 0;
    for delay in [300, 1200, 2000, 2800] {
        let before = instance
            .json(&["backup", "list"])
            .fine()
            .backups("one")
            .len();
        let mut command = instance.begun(&["backup", "one"]);
        killed += usize::from(killed_after(&mut command, Duration::from_millis(delay)));
        let after = instance
            .json(&["backup", "list"])
            .fine()
            .backups("one")
            .len();
        assert!(after <= before + 1);
        instance.json(&["backup", "check"]).fine();
    }
    assert!(killed >= 3, "only {killed} were still at work");
    instance.json(&["backup", "one"]).fine();
    let made = instance.json(&["backup", "one"]).fine();
    let all = instance.json(&["backup", "list"]).fine().backups("one");
    assert_eq!(all.len(), 2, "keep_last = 2");
    assert!(all[1].starts_with(made.document["backups"][0]["backup"].as_str().unwrap()));
    // Nothing is left of those that never became whole: two manifests, two homes.
    let snapshots = fs::read_dir(instance.path("repository/snapshots"))
        .unwrap()
        .count();
    assert_eq!(snapshots, 4);
    assert_eq!(instance.get("one.test", "/").text(), "as it was");
}

#[test]
fn a_backup_waits_while_another_host_has_the_repository_for_itself() {
    let instance = instance("shared-repository");
    let repository = instance.path("repository");
    let secret = fs::read_to_string(instance.path("etc/backup.password")).unwrap();
    let mut other = Command::new("setpriv")
        .args(["--reuid=hostel-backup", "--regid=hostel-backup"])
        .args(["--clear-groups", "restic", "--no-cache", "check", "-r"])
        .arg(&repository)
        .env("RESTIC_PASSWORD", secret.trim())
        .stdout(Stdio::null())
        .spawn()
        .expect("restic");
    // One that is being written has a longer name.
    let is_lock = |entry: fs::DirEntry| entry.file_name().len() == 64;
    let is_locked = || {
        let mut locks = fs::read_dir(repository.join("locks")).unwrap().flatten();
        locks.any(is_lock)
    };
    while !is_locked() {
        assert!(other.try_wait().unwrap().is_none(), "it has ended");
        std::thread::sleep(Duration::from_millis(2));
    }
    let number = i32::try_from(other.id()).unwrap();
    process::signal_by_id(number, Signal::STOP);
    let mut waiting = instance.started(&["backup", "one"]);
    std::thread::sleep(Duration::from_secs(8));
    let ended = waiting.try_wait().unwrap();
    process::signal_by_id(number, Signal::CONT);
    assert!(other.wait().unwrap().success());
    assert!(ended.is_none(), "it did not wait: {ended:?}");
    assert!(waiting.wait().unwrap().success());
    let list = instance.json(&["backup", "list"]).fine();
    assert_eq!(list.backups("one").len(), 1);
}

#[test]
fn a_restore_that_was_killed_is_completed_by_the_next_run() {
    let instance = instance("killed-restore");
    write(&instance, "one", User::One, "large", &noise(8 << 20));
    let before = tree(&instance.home("one"));
    instance.json(&["backup", "one"]).fine();
    let mut killed = 0;
    for delay in [400, 1000, 1400, 1800, 2200] {
        write(
            &instance,
            "one",
            User::One,
            "public/index.php",
            b"<?php echo 'changed';",
        );
        let mut command = instance.begun(&["restore", "one", "--purge"]);
        killed += usize::from(killed_after(&mut command, Duration::from_millis(delay)));
        let answer = instance.get("one.test", "/");
        assert!([200, 503].contains(&answer.status), "{}", answer.status);
        instance.json(&["restore", "one", "--purge"]).fine();
        assert_eq!(
            instance.get("one.test", "/").text(),
            "as it was",
            "killed after {delay} ms"
        );
        assert_eq!(tree(&instance.home("one")), before);
        assert_eq!(left_beside(&instance), [""; 0], "after {delay} ms");
    }
    assert!(killed >= 3, "only {killed} were still at work");
}

/// A repository behind HTTP: rclone's server.
struct Remote {
    port: u16,
    directory: PathBuf,
    child: Option<Child>,
}

impl Remote {
    fn new(directory: PathBuf) -> Self {
        let mut remote = Self {
            port: free_port(),
            directory,
            child: None,
        };
        remote.start();
        remote
    }

    fn start(&mut self) {
        let child = Command::new("rclone")
            .args([
                "serve",
                "restic",
                "--user",
                "me",
                "--pass",
                "secret",
                "--config",
                "/dev/null",
            ])
            .args(["--addr", &format!("127.0.0.1:{}", self.port)])
            .arg(&self.directory)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("rclone can be started (cargo xtask setup test)");
        self.child = Some(child);
        let answers = || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        assert!(wait_until(patience(Duration::from_secs(20)), answers));
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn bytes(&self) -> u64 {
        let output = Command::new("du")
            .arg("-sb")
            .arg(&self.directory)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn a_remote_repository_that_dies_half_way_loses_nothing() {
    let instance = Instance::new("remote");
    let mut remote = Remote::new(instance.path("remote"));
    let to = format!("rest:http://me:secret@127.0.0.1:{}/", remote.port);
    let mut instance = instance
        .settings(&format!("[backup]\nto = {to:?}"))
        .site(Site::new("one", User::One).file("public/index.php", PAGE))
        .start();
    instance.json(&["backup", "init"]).fine();
    instance.json(&["backup", "one"]).fine();
    write(&instance, "one", User::One, "large", &noise(64 << 20));
    let before = tree(&instance.home("one"));

    // It dies in the middle, and stays away.
    let begun = remote.bytes();
    let mut backup = instance.started(&["backup", "one", "--patience", "5"]);
    let grown = || remote.bytes() > begun + (8 << 20);
    assert!(wait_until(patience(Duration::from_secs(60)), grown));
    remote.kill();
    let (fine, errors) = ended(&mut backup);
    assert!(!fine);
    assert!(
        errors.contains("was given up") && errors.contains("refused"),
        "{errors}"
    );
    assert!(errors.contains("hint: nothing is lost"), "{errors}");
    assert!(!errors.contains("secret"), "{errors}");
    assert_eq!(instance.get("one.test", "/").text(), "as it was");
    remote.start();
    assert_eq!(
        instance
            .json(&["backup", "list"])
            .fine()
            .backups("one")
            .len(),
        1
    );

    // It dies for a moment: the same run goes on.
    let begun = remote.bytes();
    let mut backup = instance.started(&["backup", "one"]);
    let grown = || remote.bytes() > begun + (1 << 20);
    assert!(wait_until(patience(Duration::from_secs(60)), grown));
    remote.kill();
    std::thread::sleep(Duration::from_secs(1));
    remote.start();
    let (fine, errors) = ended(&mut backup);
    assert!(fine, "{errors}");
    assert_eq!(
        instance
            .json(&["backup", "list"])
            .fine()
            .backups("one")
            .len(),
        2
    );
    instance.json(&["backup", "check"]).fine();
    fs::remove_file(instance.home("one").join("large")).unwrap();
    instance.json(&["restore", "one", "--purge"]).fine();
    assert_eq!(tree(&instance.home("one")), before);
    let _ = instance.stop();
}

#[test]
fn full_disks_are_said_and_the_next_run_completes() {
    let instance = instance("full");
    let large = noise(12 << 20);
    // The repository's.
    let disk = SmallDisk::empty_of(instance.path("small"), 8);
    let to = disk.path().join("repository").display().to_string();
    instance.json(&["backup", "init", "--to", &to]).fine();
    instance.json(&["backup", "one", "--to", &to]).fine();
    write(&instance, "one", User::One, "large", &large);
    let before = tree(&instance.home("one"));
    instance
        .json(&["backup", "one", "--to", &to])
        .refused("no space left on device");
    assert_eq!(
        instance
            .json(&["backup", "list", "--to", &to])
            .fine()
            .backups("one")
            .len(),
        1
    );
    disk.resize(128);
    instance.json(&["backup", "one", "--to", &to]).fine();
    assert_eq!(
        instance
            .json(&["backup", "list", "--to", &to])
            .fine()
            .backups("one")
            .len(),
        2
    );
    instance
        .json(&["backup", "check", "--to", &to, "--read-data"])
        .fine();

    // The homes'.
    let homes = SmallDisk::empty_of(instance.path("small-homes"), 16);
    let home = homes.path().join("full").display().to_string();
    let trial = MadeUser("hostel-full");
    let words = [
        "restore",
        "one",
        "--to",
        &to,
        "--as",
        "full",
        "--domain",
        "full.test",
        "--user",
        trial.0,
        "--home",
        &home,
    ];
    instance.json(&words).fine();
    write_changed(&home, trial.0);
    let restored = ["restore", "full", "--to", &to];
    // There is no room for it beside what is there.
    homes.resize(14);
    instance.json(&["backup", "full", "--to", &to]).fine();
    instance.json(&restored).refused("No space left on device");
    assert_eq!(
        instance.get("full.test", "/").text(),
        "changed",
        "it goes on as it was"
    );
    assert_eq!(
        fs::read_dir(homes.path()).unwrap().count(),
        1,
        "half of it is left"
    );
    homes.resize(128);
    instance.json(&restored).fine();
    assert_eq!(instance.get("full.test", "/").text(), "changed");
    assert_eq!(tree(&instance.home("one")), before);
    instance.json(&["site", "remove", "full", "--purge"]).fine();
    drop(trial);
}

fn write_changed(home: &str, user: &str) {
    let (uid, gid) = user::ids(user).expect("it was made");
    let page = Path::new(home).join("public/index.php");
    fs::write(&page, "<?php echo 'changed';").unwrap();
    chown(&page, Some(uid), Some(gid)).unwrap();
}

#[test]
fn a_hostile_tenant_leads_a_backup_nowhere() {
    let instance = instance("hostile");
    let (uid, gid) = User::One.ids();
    let outside = instance.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("canary"), "root's alone").unwrap();
    let home = instance.home("one");
    symlink(outside.join("canary"), home.join("public/canary.txt")).unwrap();
    symlink(&outside, home.join("way")).unwrap();
    fs::write(home.join("set-id"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(home.join("set-id"), PermissionsExt::from_mode(0o4755)).unwrap();
    let fifo = Command::new("mkfifo")
        .arg(home.join("fifo"))
        .status()
        .unwrap();
    assert!(fifo.success());
    let script = "cd \"$1\" || exit; while :; do mkdir -p real; echo x >real/canary; ln -sfn \"$2\" swap; ln -f \"$2/canary\" hard 2>/dev/null; \
        rm -f swap; mv real swap 2>/dev/null; mv swap real 2>/dev/null; done";
    let mut tenant = Command::new("setpriv")
        .args([
            &format!("--reuid={uid}"),
            &format!("--regid={gid}"),
            "--clear-groups",
        ])
        .args(["sh", "-c", script, "sh"])
        .args([&home, &outside])
        .stderr(Stdio::null())
        .spawn()
        .expect("setpriv (package util-linux)");
    for _ in 0..2 {
        instance.json(&["backup", "one"]).fine();
    }
    let restored = instance.json(&["restore", "one", "--purge"]);
    process::signal_by_id(i32::try_from(tenant.id()).unwrap(), Signal::KILL);
    tenant.wait().unwrap();
    if !restored.fine {
        println!("while the tenant raced: {}", restored.errors);
        instance.json(&["restore", "one", "--purge"]).fine();
    }
    assert_eq!(
        fs::read_to_string(outside.join("canary")).unwrap(),
        "root's alone"
    );
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(outside.join("canary").metadata().unwrap().nlink(), 1);
    for (path, file) in tree(&home) {
        assert!(file.contains(&format!(" {uid} ")), "{path:?}: {file}");
        assert!(
            !file.contains(" 4755 ") && !file.contains(" 6755 "),
            "{path:?}: {file}"
        );
        if file.contains(" bytes ") {
            let content = fs::read_to_string(home.join(&path)).unwrap_or_default();
            assert!(!content.contains("root's alone"), "{path:?}");
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let instance = instance("wrong");
    instance
        .json(&["backup", "none"])
        .refused("there is no site 'none'");
    instance
        .json(&["restore", "one"])
        .refused("there is no backup of 'one'");
    instance.json(&["backup", "one"]).fine();
    instance
        .json(&["restore", "one", "--backup", "ffffffff"])
        .refused("there is no backup 'ffffffff'");
    instance
        .json(&["backup", "list", "--to", "relative"])
        .refused("no repository");
    let missing = instance.path("missing").display().to_string();
    instance
        .json(&["backup", "one", "--to", &missing])
        .refused("hostel backup init");
    let inside = instance
        .home("one")
        .join("repository")
        .display()
        .to_string();
    instance
        .json(&["backup", "init", "--to", &inside])
        .refused("could change or remove it");
    // Nor where the site has made one first.
    write(&instance, "one", User::One, "repository/x", b"");
    instance
        .json(&["backup", "init", "--to", &inside])
        .refused("could change or remove it");
    // A second host, which has a password of its own.
    let other = instance.path("other-password").display().to_string();
    instance
        .json(&["backup", "init", "--password-file", &other])
        .refused("with another password");
    let unmounted = instance.path("unmounted/repository").display().to_string();
    instance
        .json(&["backup", "init", "--to", &unmounted])
        .refused("No such file or directory");
    assert!(!instance.path("unmounted").exists());

    let password = instance.path("etc/backup.password");
    let right = fs::read(&password).unwrap();
    fs::set_permissions(&password, PermissionsExt::from_mode(0o644)).unwrap();
    instance.json(&["backup", "one"]).refused("chmod 0600");
    fs::set_permissions(&password, PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(&password, "another\n").unwrap();
    instance.json(&["backup", "one"]).refused("wrong password");
    fs::remove_file(&password).unwrap();
    instance
        .json(&["backup", "list"])
        .refused("backup.password is missing");
    let mut file = fs::File::create(&password).unwrap();
    file.set_permissions(PermissionsExt::from_mode(0o600))
        .unwrap();
    file.write_all(&right).unwrap();
    instance.json(&["backup", "list"]).fine();

    // A site that fails keeps no other from being kept.
    let broken = instance.site_file("three");
    fs::write(
        &broken,
        "domains = [\"three.test\"]\nuser = \"hostel-nobody-such\"\nhome = \"/srv/hostel-none\"\n",
    )
    .unwrap();
    let made = instance
        .json(&["backup", "--all"])
        .refused("hostel-nobody-such");
    assert_eq!(made.document["backups"].as_array().unwrap().len(), 2);
    let broken = broken.with_file_name("four.toml.disabled");
    fs::write(&broken, "domains = nonsense\n").unwrap();
    let made = instance.json(&["backup", "--all"]).refused("four");
    assert_eq!(made.document["backups"].as_array().unwrap().len(), 2);
}
