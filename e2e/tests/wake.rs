//! A site that slept: it runs what it had compiled, never what is stale, and its directory of compiled scripts is its own or is not used.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use hostel_e2e::site::write_as;
use hostel_e2e::{Instance, Site, User, wait_until};

/// Its checksums are not looked at, so that a compiled script can be tampered with: what it says then shows that it was run.
const SETTINGS: &str =
    "idle_seconds = 1\n[php.admin_value]\n\"opcache.file_cache_consistency_checks\" = false";
/// Reads what is where compiled scripts are kept, here and at the path of another site's.
const SPY: &str = "<?php foreach ([$_GET['path'], '/var/lib/php/opcache'] as $path) { $seen = []; foreach (@scandir($path) ?: ['closed'] as $name) \
    if ($name[0] != '.') $seen[] = $name; echo implode(' ', $seen), \"\\n\"; }";

fn instance(name: &str) -> Instance {
    let site = |name, user| {
        Site::new(name, user)
            .toml(SETTINGS)
            .file("public/word.php", "<?php echo 'as written';")
            .file("public/spy.php", SPY)
    };
    Instance::new(name)
        .settings("log_level = \"debug\"")
        .site(site("a", User::One))
        .site(site("b", User::Two))
        .start()
}

fn word(instance: &Instance) -> String {
    instance.get("a.test", "/word.php").text()
}

/// Wait until nothing of any site runs.
fn sleep(instance: &Instance) {
    let is_asleep = || instance.running("hostel-keeper").is_empty();
    let slept = wait_until(Duration::from_secs(30), is_asleep);
    assert!(slept, "a site does not sleep\n{}", instance.logs());
}

/// Where the site keeps what it has compiled.
fn kept(instance: &Instance, site: &str) -> PathBuf {
    instance.path("state/sites").join(site).join("opcache")
}

/// The compiled form of word.php.
fn compiled(instance: &Instance) -> PathBuf {
    let mut found = Vec::new();
    find(&kept(instance, "a"), &mut found);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn find(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("root may").flatten() {
        if entry.path().is_dir() {
            find(&entry.path(), found);
        } else if entry.file_name() == "word.php.bin" {
            found.push(entry.path());
        }
    }
}

/// Make a compiled script say something else.
fn tamper(compiled: &Path) {
    let mut bytes = fs::read(compiled).expect("it is there");
    let at = bytes.windows(7).position(|part| part == b"written");
    let at = at.expect("the text of the script");
    bytes[at..at + 7].copy_from_slice(b"planted");
    fs::write(compiled, bytes).expect("root may");
}

#[test]
fn a_site_that_wakes_runs_what_it_had_compiled() {
    let instance = instance("wake-compiled");
    assert_eq!(word(&instance), "as written");
    let own = compiled(&instance);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o7777;
    assert_eq!(mode(&kept(&instance, "a")), 0o700);
    assert_eq!(mode(&own), 0o600);
    sleep(&instance);
    // The margin in which a script may have changed while it was compiled.
    thread::sleep(Duration::from_secs(2));
    tamper(&own);
    assert_eq!(
        word(&instance),
        "as planted",
        "it was compiled anew\n{}",
        instance.logs()
    );
    let log = || fs::read_to_string(instance.path("logs/server.log")).unwrap_or_default();
    assert_eq!(log().matches("site a woke in ").count(), 2, "{}", log());
    let (_, status, _) = instance.command(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let sites = status["sites"].as_array().expect("sites");
    let site = sites.iter().find(|site| site["name"] == "a");
    assert!(
        site.is_some_and(|site| site["woke"]["php_ms"].as_f64() > Some(0.0)),
        "{status}"
    );
}

#[test]
fn a_script_that_changed_while_its_site_slept_is_noticed() {
    let instance = instance("wake-changed");
    let path = instance.home("a").join("public/word.php");
    let written = fs::metadata(&path)
        .and_then(|found| found.modified())
        .expect("a time");
    assert_eq!(word(&instance), "as written");
    sleep(&instance);
    thread::sleep(Duration::from_secs(2));
    tamper(&compiled(&instance));
    // With its time and size as before: OPcache by itself would not see it.
    write_as(User::One, &path, "<?php echo 'as changed';");
    let file = File::options().append(true).open(&path).expect("root may");
    file.set_times(FileTimes::new().set_modified(written))
        .expect("root may");
    assert_eq!(word(&instance), "as changed");
    sleep(&instance);
    write_as(User::One, &path, "<?php echo 'as changed again';");
    let minute_ago = SystemTime::now() - Duration::from_secs(60);
    let file = File::options().append(true).open(&path).expect("root may");
    file.set_times(FileTimes::new().set_modified(minute_ago))
        .expect("root may");
    assert_eq!(word(&instance), "as changed again");
    sleep(&instance);
    fs::remove_file(&path).expect("root may");
    assert_eq!(instance.get("a.test", "/word.php").status, 404);
}

#[test]
fn a_directory_that_is_not_the_site_s_own_is_refused_and_told() {
    let instance = instance("wake-refused");
    assert_eq!(word(&instance), "as written");
    let directory = kept(&instance, "a");
    let (other, _) = User::Two.ids();
    let (own, group) = User::One.ids();
    let elsewhere = instance.path("elsewhere");
    fs::create_dir(&elsewhere).expect("the instance's directory");
    chown(&elsewhere, Some(own), Some(group)).expect("root may");
    let spoil: [(&str, &str, &dyn Fn()); 3] = [
        ("has mode 0755, not 0700", "", &|| {
            fs::set_permissions(&directory, Permissions::from_mode(0o755)).expect("root may");
        }),
        (
            "cannot open /var/lib/php/opcache",
            "belongs to user",
            &|| {
                fs::set_permissions(&directory, Permissions::from_mode(0o700)).expect("root may");
                chown(&directory, Some(other), None).expect("root may");
            },
        ),
        ("cannot open /var/lib/php/opcache", "cannot open", &|| {
            fs::remove_dir_all(&directory).expect("root may");
            symlink(&elsewhere, &directory).expect("root may");
        }),
    ];
    for (site_log, server_log, spoil) in spoil {
        sleep(&instance);
        for kind in ["logs/a/error.log", "logs/server.log"] {
            fs::write(instance.path(kind), "").expect("root may");
        }
        spoil();
        assert_eq!(word(&instance), "as written", "{}", instance.logs());
        let told = || instance.log("a", "error").contains(site_log);
        assert!(
            wait_until(Duration::from_secs(5), told),
            "{}",
            instance.logs()
        );
        let log = fs::read_to_string(instance.path("logs/server.log")).unwrap_or_default();
        assert!(log.contains(server_log), "{log}");
        let in_it = fs::read_dir(&elsewhere).expect("root may").count();
        assert_eq!(in_it, 0, "a link was followed");
    }
}

#[test]
fn another_site_does_not_reach_what_was_compiled() {
    let instance = instance("wake-other");
    assert_eq!(word(&instance), "as written");
    for spied in [
        kept(&instance, "a"),
        compiled(&instance).parent().expect("beneath").into(),
    ] {
        let path = format!("/spy.php?path={}", spied.display());
        let text = instance.get("b.test", &path).text();
        let (foreign, own) = text.split_once('\n').expect("two lines");
        assert_eq!(foreign, "closed");
        assert_eq!(
            own.split_whitespace().count(),
            1,
            "its own generation: {text}"
        );
    }
}
