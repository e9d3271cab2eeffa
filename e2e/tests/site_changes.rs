//! `hostel site` where something comes in between: it is killed, raced by a hostile tenant, finds the disk full.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hostel_e2e::{Scene, Signal, SmallDisk, process, user};

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
    // How long each takes on this machine, where nobody ends it: the times to kill at are spread over that.
    let whole = |words: &[&str]| {
        let start = Instant::now();
        scene.site(words).fine();
        start.elapsed()
    };
    let (adding, cloning) = (whole(&add), whole(&clone));
    let removing = whole(&["remove", &copy, "--purge"]).min(whole(&["remove", &name]));
    let mut killed = 0;
    for step in 0..9 {
        let part = |of: Duration| of * (2 * step + 1) / 18;
        killed += u32::from(scene.killed(&add, part(adding)));
        scene.site(&add).fine();
        let (uid, _) = user::ids(&name).unwrap();
        scene.write("k", "public/uid.php", "<?php echo getmyuid();");
        scene.write("k", "big", &"x".repeat(4 << 20));
        assert_eq!(
            scene.instance.get("k.test", "/uid.php").text(),
            uid.to_string()
        );

        killed += u32::from(scene.killed(&clone, part(cloning)));
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
            killed += u32::from(scene.killed(&words, part(removing)));
            let again = scene.site(&words);
            let is_over = again.errors.contains("there is no site");
            assert!(again.fine || is_over, "{}", again.errors);
            assert_eq!(scene.traces(short), [""; 0], "step {step}");
        }
    }
    println!("{killed} commands were killed on their way");
    assert!(killed >= 18, "too few were killed on their way: {killed}");
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
    let home = disk.path().join(&name).display().to_string();
    let words = ["add", &name, "--domain", "g.test", "--home", &home];
    scene.site(&words).refused("No space left on device");
    disk.make_room();
    scene.site(&words).fine();
    assert_eq!(scene.instance.get("g.test", "/").status, 200);
    scene.add("h").fine();
    scene.write("h", "large", &"y".repeat(1 << 20));
    let copy = scene.name("i");
    let copy_home = disk.path().join(&copy).display().to_string();
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
