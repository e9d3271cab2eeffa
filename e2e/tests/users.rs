//! Each site's PHP runs as its own user and reaches nothing of another site's or the server's: seen from inside by
//! `probe/probe.php`, and from outside by /proc.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use hostel_e2e::site::write_as;
use hostel_e2e::{Browser, Instance, Site, User};
use serde_json::Value;

const PROBE: &str = include_str!("../probe/probe.php");
const SECRET: &str = "the other's secret";

fn instance(name: &str) -> Instance {
    let site = |name, user| {
        Site::new(name, user)
            .file("public/probe.php", PROBE)
            .file("public/secret.txt", SECRET)
            .file("public/secret.php", "<?php $secret = 'the other\\'s secret'; session_id('theirs'); session_start(); $_SESSION['x'] = $secret; file_put_contents('/tmp/mine', $secret); file_put_contents('/dev/shm/mine', $secret); error_log($secret); echo 'set';")
            .file("private/key", SECRET)
    };
    Instance::new(name)
        .site(site("a", User::One))
        .site(site("b", User::Two))
        .start()
}

/// What the probe of site `a` says, having tried these paths and signals.
fn probe(instance: &Instance, tries: &[PathBuf], signals: &[i32]) -> Value {
    let paths: Vec<String> = tries.iter().map(|p| p.display().to_string()).collect();
    let pids: Vec<String> = signals.iter().map(ToString::to_string).collect();
    let fields: Vec<(&str, &str)> = paths
        .iter()
        .map(|path| ("try[]", path.as_str()))
        .chain(pids.iter().map(|pid| ("signal[]", pid.as_str())))
        .collect();
    let mut browser = Browser::new(instance.port(), "a.test");
    let answer = browser.post("/probe.php", &fields).expect("an answer");
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), instance.logs());
    serde_json::from_slice(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.text()))
}

#[test]
fn php_runs_as_the_sites_user_without_any_privilege() {
    let instance = instance("identity");
    let seen = probe(&instance, &[], &[]);
    let (uid, gid) = User::One.ids();
    let all = |value: &Value, id: u32| {
        let ids = value.as_array().expect("four ids");
        ids.len() == 4 && ids.iter().all(|v| v == id.to_string().as_str())
    };
    assert!(all(&seen["uids"], uid), "{}", seen["uids"]);
    assert!(all(&seen["gids"], gid), "{}", seen["gids"]);
    let groups = seen["groups"].as_str().expect("groups");
    assert!(
        groups.is_empty() || groups == gid.to_string(),
        "groups {groups:?}"
    );
    for set in seen["capabilities"].as_array().expect("five sets") {
        assert_eq!(set, "0000000000000000", "{}", seen["capabilities"]);
    }
    assert_eq!(seen["no_new_privs"], "1");
    // Every namespace is the site's own.
    let worker = instance.workers().remove(0);
    for kind in ["mnt", "pid", "ipc", "uts", "cgroup"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("/proc");
        assert_ne!(of("self"), of(&worker.pid.to_string()), "{kind}");
    }
}

#[test]
fn the_view_shows_the_site_and_the_system_alone() {
    let instance = instance("view");
    instance.get("b.test", "/secret.php");
    let seen = probe(&instance, &[], &[]);
    let (uid, _) = User::One.ids();
    let processes = seen["processes"].as_object().expect("a table");
    assert!(
        processes.contains_key("1"),
        "no process 1 of its own: {processes:?}"
    );
    assert!(
        processes.len() <= 12,
        "more processes than the site's: {processes:?}"
    );
    for (pid, owner) in processes {
        // Root owns the /proc entries of a process that is not dumpable.
        assert!(owner == uid || owner == 0, "process {pid} of {owner}");
    }
    let outside: Vec<i32> = instance.processes().iter().map(|p| p.pid).collect();
    assert!(
        processes.len() < outside.len(),
        "as many processes as outside"
    );

    let instance_directory = instance.path("").display().to_string();
    let home = instance.home("a").display().to_string();
    for line in seen["mounts"].as_array().expect("lines") {
        let line = line.as_str().expect("a line");
        let point = line.split(' ').nth(4).expect("a mount point");
        let foreign = point.starts_with(instance_directory.trim_end_matches('/'))
            && !point.starts_with(&home);
        assert!(!foreign, "mounted: {line}");
        assert!(!line.contains("/homes/b"), "mounted: {line}");
        let options = line.split(' ').nth(5).expect("options");
        let system = ["/usr", "/etc", "/run/hostel/bin"]
            .iter()
            .any(|p| point.starts_with(p));
        assert!(
            !system || options.split(',').any(|o| o == "ro"),
            "writable: {line}"
        );
        assert!(
            options.split(',').any(|o| o == "nosuid") || options.contains("ro"),
            "suid: {line}"
        );
    }
    let users = seen["passwd"].as_array().expect("names");
    let has = |name: &str| users.iter().any(|user| user == name);
    assert!(has(User::One.name()), "{users:?}");
    assert!(
        !has(User::Two.name()),
        "the other site's user is listed: {users:?}"
    );
    for (name, value) in seen["environment"].as_object().into_iter().flatten() {
        let harmless = [
            "HOME", "USER", "PATH", "PWD", "SHLVL", "_", "LANG", "TMPDIR",
        ];
        assert!(
            harmless.contains(&name.as_str()),
            "{name}={value} reached PHP"
        );
    }
}

#[test]
fn nothing_of_another_site_or_of_the_server_can_be_reached() {
    let instance = instance("reach");
    assert_eq!(instance.get("b.test", "/secret.php").text(), "set");
    let b = instance.home("b");
    // As careless as users are: the modes of the files allow everything, only home is closed.
    for open in [b.join("public"), b.join("public/secret.txt")] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o777)).expect("b's files");
    }
    let below = |path: &str| instance.path(path);
    let mut paths = vec![
        b.clone(),
        b.join("public"),
        b.join("public/secret.txt"),
        b.join("private/key"),
        below("state"),
        below("state/sites"),
        below("state/sites/b"),
        below("state/sites/b/sessions"),
        below("state/sites/b/sessions/sess_theirs"),
        below("state/sites/b/tmp"),
        below("state/sites/b/tmp/mine"),
        below("state/spill"),
        below("logs"),
        below("logs/b"),
        below("logs/b/access.log"),
        below("logs/b/error.log"),
        below("logs/server.log"),
        below("etc"),
        below("etc/hostel.toml"),
        below("etc/sites.d/b.toml"),
        below("run"),
        below("run/status.sock"),
        below("run/control.sock"),
        below("run/view"),
        PathBuf::from("/etc/shadow"),
        PathBuf::from("/root"),
        PathBuf::from("/boot"),
        PathBuf::from("/sys"),
        PathBuf::from("/var/lib/php/sessions/sess_theirs"),
        PathBuf::from("/tmp/mine"),
        PathBuf::from("/dev/shm/mine"),
        PathBuf::from("/usr/made-by-probe"),
        PathBuf::from("/etc/made-by-probe"),
        PathBuf::from("/run/hostel/bin/hostel-php"),
        instance.home("a").join("../b/public/secret.txt"),
    ];
    for pid in std::iter::once(1).chain(instance.processes().iter().map(|p| p.pid)) {
        paths.push(PathBuf::from(format!("/proc/{pid}/root{}", b.display())));
        paths.push(PathBuf::from(format!("/proc/{pid}/cwd/secret.txt")));
    }
    // Some of these are the site's own places, which it may make files in.
    let own = [
        "/tmp/mine",
        "/dev/shm/mine",
        "/var/lib/php/sessions/sess_theirs",
    ];
    let seen = probe(&instance, &paths, &[]);
    let attempts = seen["attempts"].as_object().expect("a table");
    assert_eq!(attempts.len(), paths.len());
    for (path, results) in attempts {
        let may_write = own.contains(&path.as_str());
        for (kind, result) in results.as_object().expect("results") {
            let text = result.to_string();
            assert!(!text.contains(SECRET), "{kind} {path}: {text}");
            let binary = path.ends_with("hostel-php") && (kind == "read" || kind == "exists");
            let reached = result != false && !(may_write && (kind == "write" || kind == "read"));
            // Directories above home must exist in the view for home to have the path that it has outside.
            let way = kind == "exists" || (kind == "list" && is_way_to_home(path, result));
            assert!(!reached || way || binary, "{kind} {path}: {text}");
        }
    }
    assert_eq!(
        fs::read_to_string(b.join("public/secret.txt")).expect("b's file"),
        SECRET
    );
    assert!(!b.join("public/made-by-probe").exists());
}

/// Whether a listing shows nothing but the one directory that leads to the site's own home.
fn is_way_to_home(path: &str, listed: &Value) -> bool {
    let names: Vec<&str> = listed
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    path.starts_with("/srv/")
        && names
            .iter()
            .all(|name| [".", "..", "homes", "a"].contains(name))
}

#[test]
fn no_process_outside_of_the_site_can_be_signalled() {
    let instance = instance("signals");
    instance.get("b.test", "/secret.php");
    // Ids outside of the site's namespace are larger than any inside of it.
    let outside: Vec<i32> = instance
        .processes()
        .iter()
        .map(|p| p.pid)
        .filter(|&pid| pid > 100)
        .collect();
    assert!(!outside.is_empty());
    let seen = probe(&instance, &[], &outside);
    for (pid, reached) in outside
        .iter()
        .zip(seen["signals"].as_array().expect("results"))
    {
        assert_eq!(reached, false, "process {pid} was reached");
    }
}

#[test]
fn every_process_of_a_site_has_its_user_and_only_its_descriptors() {
    let instance = instance("outside");
    instance.get("a.test", "/probe.php");
    instance.get("b.test", "/secret.php");
    let keepers = instance.running("hostel-keeper");
    assert_eq!(keepers.len(), 2, "{keepers:?}");
    let mut owners = Vec::new();
    for process in keepers.iter().chain(&instance.running("hostel-php")) {
        owners.push(process.uid);
        let mut expected = vec![User::One.ids().0, User::Two.ids().0];
        expected.retain(|&uid| uid == process.uid);
        assert_eq!(expected.len(), 1, "{process:?}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(
                process.status(set).as_deref(),
                Some("0000000000000000"),
                "{set} of {process:?}"
            );
        }
        assert_eq!(
            process.status("NoNewPrivs").as_deref(),
            Some("1"),
            "{process:?}"
        );
        for (number, target) in process.descriptors() {
            let foreign = target.contains("/logs/")
                || target.contains("/etc/hostel")
                || target.contains("status.sock");
            assert!(!foreign, "{process:?} holds {number} -> {target}");
            assert!(
                !target.contains("/homes/b") || process.uid == User::Two.ids().0,
                "{target}"
            );
        }
        assert!(
            process.descriptors().len() <= 24,
            "{process:?}: {:?}",
            process.descriptors()
        );
    }
    assert!(owners.contains(&User::One.ids().0) && owners.contains(&User::Two.ids().0));
    let front = instance.running("hostel-front").remove(0);
    assert_eq!(
        front.uid,
        hostel_e2e::user::ids(hostel_e2e::user::FRONT)
            .expect("the front's user")
            .0
    );
    assert_eq!(front.status("CapEff").as_deref(), Some("0000000000000000"));
}

#[test]
fn files_made_by_php_belong_to_the_sites_user() {
    let instance = instance("owner");
    let script = "<?php mkdir(__DIR__ . '/made'); file_put_contents(__DIR__ . '/made/file', 'x'); copy('/etc/hostname', __DIR__ . '/made/copy'); echo 'ok';";
    write_as(
        User::One,
        &instance.home("a").join("public/make.php"),
        script,
    );
    assert_eq!(instance.get("a.test", "/make.php").text().trim(), "ok");
    use std::os::unix::fs::MetadataExt;
    for name in ["made", "made/file"] {
        let metadata = instance
            .home("a")
            .join("public")
            .join(name)
            .metadata()
            .expect("made");
        assert_eq!((metadata.uid(), metadata.gid()), User::One.ids(), "{name}");
    }
}
