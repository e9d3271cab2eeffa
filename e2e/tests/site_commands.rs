//! `hostel site`: sites are added, changed and removed while the server runs; interrupted, raced by a hostile tenant, on a full disk.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hostel_e2e::load::Connections;
use hostel_e2e::{
    Instance, Load, Request, Signal, Site, User, patience, process, user, wait_until,
};
use serde_json::Value;

/// An instance, and sites that are made by the command under test. Users that are left at the end are deleted.
struct Scene {
    instance: Instance,
    prefix: String,
}

impl Scene {
    fn new(name: &str) -> Self {
        Self::of(Instance::new(name).start())
    }

    fn of(instance: Instance) -> Self {
        Self {
            instance,
            prefix: format!("sc{}", std::process::id()),
        }
    }

    /// The name of a site, and of its user.
    fn name(&self, short: &str) -> String {
        format!("{}{short}", self.prefix)
    }

    fn home(&self, short: &str) -> PathBuf {
        self.instance.home(&self.name(short))
    }

    /// Run `hostel site …`; what a document of it says.
    fn site(&self, words: &[&str]) -> Outcome {
        let words: Vec<&str> = ["site"]
            .iter()
            .chain(words)
            .copied()
            .chain(["--json"])
            .collect();
        let (fine, output, errors) = self.instance.command(&words);
        let document = serde_json::from_str(&output).unwrap_or(Value::Null);
        Outcome {
            fine,
            document,
            errors,
        }
    }

    /// The words that add a site with its home in the instance's directory.
    fn add_words(&self, short: &str) -> Vec<String> {
        let home = self.home(short).display().to_string();
        let (name, domain) = (self.name(short), format!("{short}.test"));
        ["add", &name, "--domain", &domain, "--home", &home]
            .map(str::to_owned)
            .to_vec()
    }

    fn add(&self, short: &str) -> Outcome {
        let words = self.add_words(short);
        self.site(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Start a command and kill it after so long; whether it had not ended by itself.
    fn killed(&self, words: &[&str], after: Duration) -> bool {
        let program = hostel_e2e::programs().join("hostel");
        let mut child = Command::new(program)
            .arg("site")
            .args(words)
            .arg("--config")
            .arg(self.instance.configuration())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("hostel can be started");
        std::thread::sleep(after);
        let killed = matches!(child.try_wait(), Ok(None));
        // Only a child that was waited for before cannot be killed.
        let _ = child.kill();
        let _ = child.wait();
        killed
    }

    /// Give a file to the site's user.
    fn write(&self, short: &str, path: &str, content: &str) {
        let (uid, gid) = user::ids(&self.name(short)).expect("the site's user");
        let path = self.home(short).join(path);
        let parent = path.parent().expect("beneath home");
        if !parent.exists() {
            fs::create_dir_all(parent).unwrap();
            chown(parent, Some(uid), Some(gid)).unwrap();
        }
        fs::write(&path, content).unwrap();
        chown(&path, Some(uid), Some(gid)).unwrap();
    }

    /// What is left of a site anywhere.
    fn traces(&self, short: &str) -> Vec<String> {
        let name = self.name(short);
        let mut traces = Vec::new();
        for path in [
            self.home(short),
            self.instance.path("state/sites").join(&name),
            self.instance.path("logs").join(&name),
            self.instance
                .path("state/records")
                .join(format!("{name}.json")),
        ] {
            if path.symlink_metadata().is_ok() {
                traces.push(path.display().to_string());
            }
        }
        for directory in [
            self.instance.path("etc/sites.d"),
            self.instance.path("homes"),
        ] {
            for entry in fs::read_dir(directory).unwrap().flatten() {
                let file = entry.file_name().to_string_lossy().into_owned();
                if file
                    .trim_start_matches('.')
                    .starts_with(&format!("{name}."))
                {
                    traces.push(file);
                }
            }
        }
        let groups = fs::read_to_string("/etc/group").unwrap();
        if user::ids(&name).is_some() || groups.lines().any(|l| l.starts_with(&format!("{name}:")))
        {
            traces.push(format!("user or group {name}"));
        }
        traces
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let names = passwd.lines().filter_map(|line| line.split(':').next());
        let ours: Vec<&str> = names
            .filter(|name| name.starts_with(&self.prefix))
            .collect();
        if ours.is_empty() {
            return;
        }
        // userdel refuses while something of them runs.
        let _ = self.instance.stop();
        for name in ours {
            let _ = Command::new("/usr/sbin/userdel")
                .args(["--force", name])
                .output();
        }
    }
}

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
        assert!(self.document["error"].is_object());
        self
    }

    fn steps(&self) -> Vec<String> {
        let steps = self.document["steps"].as_array();
        let steps = steps.into_iter().flatten().filter_map(Value::as_str);
        steps.map(str::to_owned).collect()
    }

    fn notes(&self) -> String {
        self.document["notes"].to_string()
    }
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

#[test]
fn a_site_from_its_first_to_its_last_day() {
    let scene = Scene::new("life");
    let (a, b) = (scene.name("a"), scene.name("b"));

    // Shown first, and nothing is changed by showing.
    let mut words = scene.add_words("a");
    words.extend(["--php-value".to_owned(), "memory_limit=77M".to_owned()]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let dry: Vec<&str> = words.iter().copied().chain(["--dry-run"]).collect();
    let shown = scene.site(&dry).fine();
    assert_eq!(shown.steps().len(), 6, "{:?}", shown.steps());
    assert!(scene.traces("a").is_empty(), "{:?}", scene.traces("a"));

    // Added, and what answered is said.
    let added = scene.site(&words).fine();
    assert_eq!(added.steps(), shown.steps());
    let (uid, gid) = user::ids(&a).expect("its user");
    assert_eq!(
        added.document["visit"]["status"], 200,
        "{:#}",
        added.document
    );
    assert_eq!(added.document["visit"]["uids"], serde_json::json!([uid]));
    assert_ne!(uid, 0);
    let page = scene.instance.get("a.test", "/");
    assert!(
        page.text().contains(&format!("runs as user {uid}")),
        "{}",
        page.text()
    );
    let home = scene.home("a");
    for (path, expected) in [
        (home.clone(), 0o700),
        (home.join("public/index.php"), 0o644),
    ] {
        let metadata = path.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (uid, gid), "{path:?}");
        assert_eq!(mode(&path), expected, "{path:?}");
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd
        .lines()
        .find(|line| line.starts_with(&format!("{a}:")))
        .unwrap();
    assert!(line.ends_with(":/usr/sbin/nologin"), "{line}");

    // Again: nothing.
    let again = scene.site(&words).fine();
    assert_eq!(again.document["changed"], false, "{:?}", again.steps());

    // Listed and shown.
    let listed = scene.site(&["list"]).fine();
    assert_eq!(listed.document["sites"][0]["name"], *a);
    let shown = scene.site(&["show", &a]).fine();
    assert_eq!(shown.document["uid"], uid);
    assert_eq!(shown.document["state"], "enabled");
    assert_eq!(shown.document["php"][0], "value memory_limit=77M");

    // Edited: the new setting holds, a comment stays, and a bad one changes nothing.
    scene.write(
        "a",
        "public/limit.php",
        "<?php echo ini_get('memory_limit'), ' ', getmyuid();",
    );
    assert_eq!(
        scene.instance.get("a.test", "/limit.php").text(),
        format!("77M {uid}")
    );
    let file = scene.instance.site_file(&a);
    let text = format!("# kept\n{}", fs::read_to_string(&file).unwrap());
    fs::write(&file, text).unwrap();
    let change = [
        "edit",
        &a,
        "--add-domain",
        "www.a.test",
        "--php-value",
        "memory_limit=88M",
    ];
    scene.site(&change).fine();
    assert_eq!(
        scene.instance.get("www.a.test", "/limit.php").text(),
        format!("88M {uid}")
    );
    let edited = fs::read_to_string(&file).unwrap();
    assert!(edited.starts_with("# kept\n"), "{edited}");
    scene
        .site(&["edit", &a, "--set", "workers_max=none"])
        .refused("workers_max");
    assert_eq!(fs::read_to_string(&file).unwrap(), edited);
    assert_eq!(scene.site(&change).fine().document["changed"], false);

    disabled_suspended_renamed(&scene, &a, &b, uid);
    copied_and_removed(&scene, uid);
}

fn disabled_suspended_renamed(scene: &Scene, a: &str, b: &str, uid: u32) {
    scene.site(&["disable", a]).fine();
    assert_eq!(scene.instance.get("a.test", "/").status, 421);
    assert_eq!(
        scene.site(&["list"]).document["sites"][0]["state"],
        "disabled"
    );
    assert_eq!(
        scene.site(&["disable", a]).fine().document["changed"],
        false
    );
    let enabled = scene.site(&["enable", a]).fine();
    assert_eq!(enabled.document["visit"]["status"], 200);

    scene.site(&["suspend", a]).fine();
    let page = scene.instance.get("a.test", "/limit.php");
    assert_eq!(page.status, 503);
    assert!(page.text().contains("suspended"), "{}", page.text());
    assert!(
        wait_until(Duration::from_secs(10), || scene
            .instance
            .running("hostel-keeper")
            .is_empty()),
        "nothing of a suspended site runs"
    );
    assert_eq!(
        scene.site(&["suspend", a]).fine().document["changed"],
        false
    );
    assert_eq!(
        scene.site(&["list"]).document["sites"][0]["state"],
        "suspended"
    );
    scene.site(&["enable", a]).fine();
    assert_eq!(
        scene.instance.get("a.test", "/limit.php").text(),
        format!("88M {uid}")
    );

    scene.site(&["rename", a, b]).fine();
    assert_eq!(
        scene.instance.get("a.test", "/limit.php").text(),
        format!("88M {uid}")
    );
    let shown = scene.site(&["show", b]).fine();
    assert_eq!(shown.document["user"], a);
    assert_eq!(
        shown.document["home"],
        *scene.home("a").display().to_string()
    );
    let log = scene.instance.log(b, "access");
    assert!(log.contains("/limit.php"), "the log came along: {log}");
    scene.site(&["show", a]).fine_or("there is no site");
    scene.site(&["rename", b, a]).fine();
}

impl Outcome {
    #[track_caller]
    fn fine_or(self, text: &str) {
        assert!(!self.fine && self.errors.contains(text), "{}", self.errors);
    }
}

fn copied_and_removed(scene: &Scene, uid: u32) {
    let (a, c) = (scene.name("a"), scene.name("c"));
    let home = scene.home("c").display().to_string();
    let words = ["clone", &a, &c, "--domain", "c.test", "--home", &home];
    let copied = scene.site(&words).fine();
    assert!(
        copied.notes().contains("no database was copied"),
        "{}",
        copied.notes()
    );
    let (copy_uid, _) = user::ids(&c).expect("the copy's user");
    assert_ne!(copy_uid, uid);
    assert_eq!(
        scene.instance.get("c.test", "/limit.php").text(),
        format!("88M {copy_uid}")
    );
    assert_eq!(
        scene.instance.get("a.test", "/limit.php").text(),
        format!("88M {uid}")
    );
    assert_eq!(mode(&scene.home("c")), 0o700);
    assert_eq!(scene.site(&words).fine().document["changed"], false);

    // Removed, with an archive of root's alone in which all is.
    let dry = scene.site(&["remove", &a, "--dry-run"]).fine();
    assert!(dry.steps().len() > 5, "{:?}", dry.steps());
    assert_eq!(scene.instance.get("a.test", "/limit.php").status, 200);
    let removed = scene.site(&["remove", &a]).fine();
    assert_eq!(scene.traces("a"), [""; 0]);
    assert_eq!(scene.instance.get("a.test", "/").status, 421);
    let archive = PathBuf::from(removed.document["archive"].as_str().expect("an archive"));
    let tar = archive.join("home.tar.gz");
    assert_eq!((mode(&tar), tar.metadata().unwrap().uid()), (0o600, 0));
    assert_eq!(mode(&archive), 0o700);
    let listed = Command::new("tar").arg("-tzf").arg(&tar).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("./public/limit.php"), "{listed}");
    let kept = fs::read_to_string(archive.join(format!("{a}.toml"))).unwrap();
    assert!(kept.contains("www.a.test"), "{kept}");
    let log = fs::read_to_string(archive.join("access.log")).unwrap();
    assert!(log.contains("/limit.php"), "{log}");

    // Purged: nothing is kept.
    let archives = || {
        fs::read_dir(scene.instance.path("state/removed"))
            .unwrap()
            .count()
    };
    let before = archives();
    scene.site(&["remove", &c, "--purge"]).fine();
    assert_eq!(scene.traces("c"), [""; 0]);
    assert_eq!(archives(), before);
    scene.site(&["remove", &c]).fine_or("there is no site");
}

#[test]
fn what_belongs_to_others_is_refused() {
    let instance = Instance::new("refusals")
        .site(Site::new("one", User::One).file("public/index.html", "one"))
        .start();
    let scene = Scene::of(instance);
    let name = scene.name("r");
    let home = scene.home("r").display().to_string();
    let add = |more: &[&str]| {
        let words: Vec<&str> = ["add"].iter().chain(more).copied().collect();
        scene.site(&words)
    };
    for bad in ["Blog", "../etc/x", "a b", "-x", "server.log", "a\nb", ""] {
        let output = add(&["--domain", "r.test", "--home", &home, "--", bad]);
        assert!(!output.fine && !output.errors.is_empty(), "{bad:?}");
    }
    add(&[&name, "--domain", "one.test", "--home", &home]).refused("belongs to the site 'one'");
    add(&[&name, "--domain", "http://r.test", "--home", &home])
        .refused("is an address, not a domain");
    add(&["games", "--domain", "r.test", "--home", &home]).refused("'games'");
    add(&[
        &name, "--domain", "r.test", "--home", &home, "--user", "www-data",
    ])
    .refused("below 100");
    add(&[
        &name, "--domain", "r.test", "--home", &home, "--user", "root",
    ])
    .refused("it is root");
    // Another site's user is named on purpose by both.
    let shared = add(&[
        &name,
        "--domain",
        "r.test",
        "--home",
        &home,
        "--user",
        User::One.name(),
    ]);
    shared.refused("share_user");
    add(&[&name, "--domain", "r.test", "--home", "/etc/r"]).refused("the system's");
    add(&[
        &name,
        "--domain",
        "r.test",
        "--home",
        &home,
        "--php-value",
        "x",
    ])
    .refused("has no '='");

    // A user who exists, and a home.
    let made = Command::new("/usr/sbin/useradd")
        .args(["--no-create-home", "--shell", "/bin/bash", &name])
        .status();
    assert!(made.unwrap().success());
    let refused = add(&[&name, "--domain", "r.test", "--home", &home]);
    refused.refused("it is a person's, who logs in with /bin/bash");
    fs::create_dir(&home).unwrap();
    let words: [&str; 7] = [
        &name, "--domain", "r.test", "--home", &home, "--user", &name,
    ];
    add(&words).refused("exists already and belongs to user 0");
    let (uid, gid) = user::ids(&name).unwrap();
    chown(&home, Some(uid), Some(gid)).unwrap();
    fs::write(Path::new(&home).join("foreign"), "").unwrap();
    chown(Path::new(&home).join("foreign"), Some(33), Some(33)).unwrap();
    // What is in it is looked at once a sandbox can be made, and before anything is written.
    add(&words).refused("one of them to user 33");
    let site_file = scene.instance.site_file(&name);
    assert!(
        !site_file.exists(),
        "a home with files of others became a site's"
    );
    fs::remove_file(Path::new(&home).join("foreign")).unwrap();
    fs::write(Path::new(&home).join("own"), "stays").unwrap();
    chown(Path::new(&home).join("own"), Some(uid), Some(gid)).unwrap();
    add(&words).fine();

    // What `add` did not make stays.
    let removed = scene.site(&["remove", &name]).fine();
    assert!(removed.notes().contains("stays"), "{}", removed.notes());
    assert_eq!(
        fs::read_to_string(Path::new(&home).join("own")).unwrap(),
        "stays"
    );
    assert!(user::ids(&name).is_some());
    assert_eq!(scene.instance.get("one.test", "/").text(), "one");
}

#[test]
fn killed_at_any_point_the_next_run_completes() {
    let scene = Scene::new("killed");
    let add = scene.add_words("k");
    let add: Vec<&str> = add.iter().map(String::as_str).collect();
    let name = scene.name("k");
    let copy = scene.name("l");
    let copy_home = scene.home("l").display().to_string();
    let clone = [
        "clone", &name, &copy, "--domain", "l.test", "--home", &copy_home,
    ];
    let mut killed = 0;
    for step in 0..9 {
        let after = patience(Duration::from_millis(8 + step * 29));
        killed += u32::from(scene.killed(&add, after));
        scene.site(&add).fine();
        let (uid, _) = user::ids(&name).unwrap();
        scene.write("k", "public/uid.php", "<?php echo getmyuid();");
        scene.write("k", "big", &"x".repeat(4 << 20));
        assert_eq!(
            scene.instance.get("k.test", "/uid.php").text(),
            uid.to_string()
        );

        killed += u32::from(scene.killed(&clone, after));
        scene.site(&clone).fine();
        let (copy_uid, _) = user::ids(&copy).unwrap();
        assert_eq!(
            scene.instance.get("l.test", "/uid.php").text(),
            copy_uid.to_string()
        );
        assert_eq!(
            scene.home("l").join("big").metadata().unwrap().len(),
            4 << 20
        );

        for (site, short) in [(&copy, "l"), (&name, "k")] {
            let purge: &[&str] = if step % 2 == 0 { &["--purge"] } else { &[] };
            let words: Vec<&str> = ["remove", site].iter().chain(purge).copied().collect();
            killed += u32::from(scene.killed(&words, after));
            let again = scene.site(&words);
            let is_over = again.errors.contains("there is no site");
            assert!(again.fine || is_over, "{}", again.errors);
            assert_eq!(scene.traces(short), [""; 0], "after {after:?}");
        }
    }
    println!("{killed} commands were killed on their way");
    assert!(killed >= 12, "too few were killed on their way: {killed}");
    let archives = scene.instance.path("state/removed");
    for entry in fs::read_dir(archives).unwrap().flatten() {
        assert!(
            entry.path().join("home.tar.gz").exists(),
            "{:?} is half an archive",
            entry.path()
        );
        assert!(!entry.path().join("home.tar.gz.part").exists());
    }
}

/// A tenant who swaps a directory and a link to `outside` as fast as it can.
fn swapper(scene: &Scene, short: &str, outside: &Path) -> Child {
    let (uid, gid) = user::ids(&scene.name(short)).unwrap();
    let script = "cd \"$1\" || exit; mkdir -p real; echo x >real/file\n\
        while :; do ln -sfn \"$2\" swap; ln -f \"$2/canary\" hard 2>/dev/null; mkdir -p real; echo x >real/file; rm -f swap; mv real swap 2>/dev/null; mv swap real 2>/dev/null; done";
    Command::new("setpriv")
        .args([
            &format!("--reuid={uid}"),
            &format!("--regid={gid}"),
            "--clear-groups",
        ])
        .args(["sh", "-c", script, "sh"])
        .args([&scene.home(short), outside])
        .stderr(Stdio::null())
        .spawn()
        .expect("setpriv (package util-linux)")
}

#[test]
fn a_hostile_tenant_leads_root_nowhere() {
    let scene = Scene::new("hostile");
    scene.add("h").fine();
    let (name, home) = (scene.name("h"), scene.home("h"));
    let (uid, gid) = user::ids(&name).unwrap();
    let outside = scene.instance.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("canary"), "root's").unwrap();
    fs::set_permissions(outside.join("canary"), PermissionsExt::from_mode(0o644)).unwrap();
    let before = outside.join("canary").metadata().unwrap();

    // What a tenant may leave in its home.
    scene.write("h", "two\nlines\x1b[2J", "named");
    scene.write("h", "-rf", "named like an option");
    scene.write("h", "set-id", "#!/bin/sh\n");
    fs::set_permissions(home.join("set-id"), PermissionsExt::from_mode(0o6755)).unwrap();
    symlink(&outside, home.join("link")).unwrap();
    symlink("/etc/shadow", home.join("shadow")).unwrap();
    symlink(outside.join("canary"), home.join("public/canary.txt")).unwrap();
    fs::create_dir_all(home.join("closed/in")).unwrap();
    for path in ["closed/in", "closed"] {
        chown(home.join(path), Some(uid), Some(gid)).unwrap();
        fs::set_permissions(home.join(path), PermissionsExt::from_mode(0o000)).unwrap();
    }
    let fifo = Command::new("mkfifo")
        .arg(home.join("fifo"))
        .status()
        .unwrap();
    assert!(fifo.success());
    // Root's own set-id program that somebody has put into the home.
    fs::write(home.join("roots"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(home.join("roots"), PermissionsExt::from_mode(0o4755)).unwrap();

    let mut tenant = swapper(&scene, "h", &outside);
    for round in 0..3 {
        let copy = format!("c{round}");
        let copy_home = scene.home(&copy).display().to_string();
        let domain = format!("c{round}.test");
        let words = [
            "clone",
            &name,
            &scene.name(&copy),
            "--domain",
            &domain,
            "--home",
            &copy_home,
        ];
        let copied = scene.site(&words).fine();
        assert!(
            !copied.errors.contains('\x1b'),
            "what a site named is escaped"
        );
        let (copy_uid, _) = user::ids(&scene.name(&copy)).unwrap();
        let mut seen = BTreeSet::new();
        each(Path::new(&copy_home), &mut |path| {
            let metadata = path.symlink_metadata().unwrap();
            assert_eq!(metadata.uid(), copy_uid, "{path:?}");
            assert!(
                metadata.is_symlink() || metadata.mode() & 0o6000 == 0,
                "{path:?}"
            );
            seen.insert(path.file_name().unwrap().to_owned());
        });
        for file in [
            "two\nlines\x1b[2J",
            "-rf",
            "set-id",
            "roots",
            "fifo",
            "link",
        ] {
            assert!(
                seen.contains(std::ffi::OsStr::new(file)),
                "{file:?} is missing"
            );
        }
    }
    let removed = scene.site(&["remove", &name]);
    println!(
        "while the tenant raced: {} {}",
        removed.fine, removed.errors
    );
    process::signal_by_id(i32::try_from(tenant.id()).unwrap(), Signal::KILL);
    tenant.wait().unwrap();
    let again = scene.site(&["remove", &name]);
    assert!(again.fine || removed.fine, "{}", again.errors);
    assert_eq!(scene.traces("h"), [""; 0]);

    let after = outside.join("canary").metadata().unwrap();
    assert_eq!(
        fs::read_to_string(outside.join("canary")).unwrap(),
        "root's"
    );
    assert_eq!(
        (before.uid(), before.mode(), before.ino()),
        (after.uid(), after.mode(), after.ino())
    );
    for round in 0..3 {
        scene
            .site(&["remove", &scene.name(&format!("c{round}")), "--purge"])
            .fine();
    }
}

fn each(directory: &Path, act: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        act(&entry.path());
        if entry.path().symlink_metadata().unwrap().is_dir() {
            each(&entry.path(), act);
        }
    }
}

/// A small disk, full at first.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(path: PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k,mode=0755", "tmpfs"])
            .arg(&path)
            .status();
        assert!(mounted.unwrap().success(), "a tmpfs at {}", path.display());
        let disk = Self(path);
        let mut filler = fs::File::create(disk.0.join("filler")).unwrap();
        while filler.write_all(&[b'x'; 4096]).is_ok() {}
        disk
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }

    fn grow(&self) {
        let grown = Command::new("mount")
            .args(["-o", "remount,size=64m"])
            .arg(&self.0)
            .status();
        assert!(grown.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_said_and_the_next_run_completes() {
    let scene = Scene::new("full");
    // Where the sites' files are.
    {
        let disk = SmallDisk::new(scene.instance.path("etc/sites.d"));
        scene.add("f").refused("No space left on device");
        assert!(!scene.instance.site_file(&scene.name("f")).exists());
        disk.make_room();
        let added = scene.add("f").fine();
        assert_eq!(added.steps(), ["write its file"]);
        assert_eq!(scene.instance.get("f.test", "/").status, 200);
        scene.site(&["remove", &scene.name("f"), "--purge"]).fine();
        assert_eq!(scene.traces("f"), [""; 0]);
    }
    // Where its home is, and the copy's.
    let disk = SmallDisk::new(scene.instance.path("small"));
    let name = scene.name("g");
    let home = disk.0.join(&name).display().to_string();
    let words = ["add", &name, "--domain", "g.test", "--home", &home];
    scene.site(&words).refused("No space left on device");
    disk.make_room();
    scene.site(&words).fine();
    assert_eq!(scene.instance.get("g.test", "/").status, 200);
    scene.add("h").fine();
    scene.write("h", "large", &"y".repeat(1 << 20));
    let copy = scene.name("i");
    let copy_home = disk.0.join(&copy).display().to_string();
    let words = [
        "clone",
        &scene.name("h"),
        &copy,
        "--domain",
        "i.test",
        "--home",
        &copy_home,
    ];
    scene.site(&words).refused("No space left on device");
    assert_eq!(scene.instance.get("i.test", "/").status, 421);
    disk.grow();
    scene.site(&words).fine();
    assert_eq!(
        Path::new(&copy_home)
            .join("large")
            .metadata()
            .unwrap()
            .len(),
        1 << 20
    );
    assert_eq!(scene.instance.get("i.test", "/").status, 200);
    for name in [&name, &copy, &scene.name("h")] {
        scene.site(&["remove", name, "--purge"]).fine();
    }
    // Where the archive would be.
    let disk = SmallDisk::new(scene.instance.path("state/removed"));
    scene.add("j").fine();
    scene.write("j", "file", "precious");
    scene
        .site(&["remove", &scene.name("j")])
        .refused("No space left on device");
    assert!(scene.home("j").join("file").exists(), "nothing is lost");
    disk.make_room();
    let removed = scene.site(&["remove", &scene.name("j")]).fine();
    let archive = Path::new(removed.document["archive"].as_str().unwrap()).join("home.tar.gz");
    assert!(archive.exists());
    assert_eq!(scene.traces("j"), [""; 0]);
}

#[test]
fn others_lose_no_request_while_twenty_sites_come_and_go() {
    let site = |name: &str, user| {
        Site::new(name, user).file(
            "public/index.php",
            "<?php usleep(2000); echo 'n', $_GET['n'];",
        )
    };
    let instance = Instance::new("come-and-go")
        .site(site("one", User::One))
        .site(site("two", User::Two))
        .start();
    let scene = Scene::of(instance);
    let hosts = ["one.test", "two.test"];
    for host in hosts {
        assert_eq!(scene.instance.get(host, "/?n=0").text(), "n0");
    }
    let keepers = scene.instance.running("hostel-keeper");
    let load = Load::start(
        scene.instance.port(),
        3,
        Connections::New,
        move |n| Request::get(hosts[n as usize % 2], &format!("/?n={n}")),
        |n, response| response.status == 200 && response.text() == format!("n{n}"),
    );
    load.wait_for(50);
    for number in 0..20 {
        let added = scene.add(&format!("x{number}")).fine();
        assert_eq!(added.document["visit"]["status"], 200);
    }
    for number in 0..20 {
        scene
            .site(&["remove", &scene.name(&format!("x{number}")), "--purge"])
            .fine();
    }
    let counts = load.finish();
    println!("{} right, slowest {:?}", counts.right, counts.slowest);
    assert!(counts.right > 200, "{counts:?}");
    assert_eq!((counts.lost(), counts.wrong.len()), (0, 0), "{counts:?}");
    assert!(
        keepers.iter().all(|keeper| keeper.runs()),
        "other sites kept their processes"
    );
}

#[test]
fn the_host_is_brought_to_what_the_configuration_says() {
    let scene = Scene::new("apply");
    let (name, home) = (scene.name("p"), scene.home("p"));
    let file = scene.instance.site_file(&name);
    let text = format!("domains = [\"p.test\"]\nhome = {home:?}\n");
    fs::write(&file, text).unwrap();
    let shown = scene.site(&["apply", "--dry-run"]).fine();
    assert_eq!(shown.steps().len(), 6, "{:?}", shown.steps());
    assert!(!home.exists() && user::ids(&name).is_none());
    let done = scene.site(&["apply"]).fine();
    assert_eq!(done.steps(), shown.steps());
    assert_eq!(scene.instance.get("p.test", "/").status, 403);
    scene.write("p", "public/index.php", "<?php echo getmyuid();");
    let (uid, _) = user::ids(&name).unwrap();
    assert!(wait_until(Duration::from_secs(5), || {
        scene.instance.get("p.test", "/").text() == uid.to_string()
    }));
    assert_eq!(scene.site(&["apply"]).fine().document["changed"], false);
    scene.site(&["remove", &name, "--purge"]).fine();
    assert_eq!(scene.traces("p"), [""; 0]);
}

#[test]
fn without_a_server_all_else_is_done() {
    let instance = Instance::new("no-server");
    instance.write_configuration();
    let mut scene = Scene::of(instance);
    let added = scene.add("n").fine();
    assert!(
        added.notes().contains("no server runs"),
        "{}",
        added.notes()
    );
    assert_eq!(added.document["server"], "not running");
    scene.instance.serve();
    assert_eq!(scene.instance.get("n.test", "/").status, 200);
    let _ = scene.instance.stop();
    scene.site(&["remove", &scene.name("n"), "--purge"]).fine();
    assert_eq!(scene.traces("n"), [""; 0]);
}
