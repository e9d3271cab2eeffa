//! `hostel site`: sites are added, changed and removed while the server runs.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hostel_e2e::load::Connections;
use hostel_e2e::{Instance, Load, Request, Scene, Site, User, user, wait_until};

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
