//! Commands that change something are killed at every point of their way, and meet full disks: what was there still works, the next run
//! completes, and no file is there by half. `hostel site` is tried so in site_changes.rs, mail in mail.rs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hostel_e2e::load::Connections;
use hostel_e2e::network::{inside, run, tables, user_connects};
use hostel_e2e::{Instance, Load, Request, Site, SmallDisk, User, killed_after, wait_until};

/// Sites of an Apache whose configuration is imported.
const HOSTS: usize = 40;
/// How often a command is killed.
const KILLS: u32 = 12;

fn site(name: &str, user: User) -> Site {
    Site::new(name, user).file("public/index.php", "<?php echo 'n', $_GET['n'] ?? '';")
}

/// What a command says, and whether it has done what it was asked.
#[track_caller]
fn done(instance: &Instance, words: &[&str]) -> String {
    let (success, output, errors) = instance.command(words);
    assert!(success, "{words:?}: {output}{errors}\n{}", instance.logs());
    output
}

/// Kill a command at points that lie ever later; after each, `next` looks whether the next run completes. How many were killed on their way.
fn killed_all_along(
    program: &Path,
    words: &[&str],
    step: Duration,
    mut next: impl FnMut(u32),
) -> u32 {
    let mut killed = 0;
    for round in 0..KILLS {
        let mut command = Command::new(program);
        killed += u32::from(killed_after(command.args(words), step * round));
        next(round);
    }
    killed
}

/// Virtual hosts of one Apache, one for each site.
fn apache(directory: &Path) {
    let mut text = String::new();
    for number in 0..HOSTS {
        let root = directory.join(format!("homes/s{number}/public"));
        fs::create_dir_all(&root).expect("the test's directory");
        text.push_str(&format!(
            "<VirtualHost *:80>\n  ServerName s{number}.test\n  DocumentRoot {}\n  AssignUserId {user} {user}\n  php_admin_value memory_limit {}M\n</VirtualHost>\n",
            root.display(),
            100 + number,
            user = User::One.name(),
        ));
    }
    fs::write(directory.join("apache.conf"), text).expect("the test's directory");
}

/// The files of an import, each with its text, and whatever else is there.
fn imported(directory: &Path) -> (BTreeSet<(String, String)>, Vec<String>) {
    let (mut files, mut others) = (BTreeSet::new(), Vec::new());
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") && !name.starts_with('.') {
            files.insert((name, fs::read_to_string(entry.path()).expect("written")));
        } else if !name.starts_with("filler") {
            others.push(name);
        }
    }
    (files, others)
}

#[test]
fn an_import_that_is_killed_or_finds_the_disk_full_leaves_no_half_file_and_the_next_completes() {
    let scene = Instance::new("import");
    let directory = scene.path("");
    apache(&directory);
    let configuration = directory.join("apache.conf").display().to_string();
    let program = scene.program("hostel");
    let import = |target: &Path, more: &[&str]| {
        let output = Command::new(&program)
            .args(["import", "apache", &configuration, "--write"])
            .arg(target)
            .args(more)
            .stdin(Stdio::null())
            .output()
            .expect("hostel can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&output.stdout);
        (output.status.success(), said, text(&output.stderr))
    };
    let fine = |target: &Path, more: &[&str]| {
        let (success, said, errors) = import(target, more);
        assert!(success, "{said}{errors}");
        said
    };
    let whole = scene.path("whole");
    let said = fine(&whole, &["--dry-run"]);
    assert_eq!(said.matches(": would be written").count(), HOSTS, "{said}");
    assert!(!whole.exists(), "a dry run has written");
    fine(&whole, &[]);
    let (expected, others) = imported(&whole);
    assert_eq!((expected.len(), others.len()), (HOSTS, 0));

    let mut partly = 0;
    let mut target = scene.path("killed-0");
    let killed = (0..KILLS)
        .map(|round| {
            target = scene.path(&format!("killed-{round}"));
            let mut command = Command::new(&program);
            command
                .args(["import", "apache", &configuration, "--write"])
                .arg(&target);
            // Most of the time goes by before the first file.
            let killed = killed_after(&mut command, Duration::from_micros(u64::from(round) * 2500));
            let (files, _) = imported(&target);
            assert!(files.is_subset(&expected), "half a file after {round}");
            partly += u32::from((1..HOSTS).contains(&files.len()));
            fine(&target, &[]);
            assert_eq!(imported(&target), (expected.clone(), Vec::new()));
            let again = fine(&target, &[]);
            assert_eq!(again.matches(": as it was").count(), HOSTS, "{again}");
            u32::from(killed)
        })
        .sum::<u32>();
    println!("{killed} imports were killed on their way, {partly} between two files");
    assert!(killed >= 3, "too few were killed on their way: {killed}");

    let disk = SmallDisk::new(scene.path("small"));
    let (success, said, errors) = import(disk.path(), &[]);
    assert!(
        !success && errors.contains("No space left on device") && errors.contains("make room"),
        "{said}{errors}"
    );
    let (files, others) = imported(disk.path());
    assert!(
        files.is_empty() && others.is_empty(),
        "{files:?} {others:?}"
    );
    // Room for some of them.
    disk.make_room_for(10);
    let (success, _, errors) = import(disk.path(), &[]);
    assert!(!success && errors.contains("No space left"), "{errors}");
    let (files, others) = imported(disk.path());
    assert!(!files.is_empty() && files.is_subset(&expected), "{files:?}");
    assert_eq!(others, [""; 0]);
    disk.grow();
    fine(disk.path(), &[]);
    assert_eq!(imported(disk.path()), (expected, Vec::new()));
}

/// Requests that must all be answered rightly.
fn visitors(instance: &Instance) -> Load {
    Load::start(
        instance.port(),
        2,
        Connections::New,
        |n| Request::get("a.test", &format!("/?n={n}")),
        |n, response| response.status == 200 && response.text() == format!("n{n}"),
    )
}

#[track_caller]
fn none_was_lost(load: Load) {
    let counts = load.finish();
    println!("{} right, slowest {:?}", counts.right, counts.slowest);
    assert!(counts.right > 50, "{counts:?}");
    assert_eq!((counts.lost(), counts.wrong.len()), (0, 0), "{counts:?}");
}

#[test]
fn a_reload_or_an_upgrade_whose_client_is_killed_goes_on_without_it() {
    let instance = Instance::new("client")
        .site(site("a", User::One))
        .site(site("b", User::Two).file("public/limit.php", "<?php echo ini_get('memory_limit');"))
        .start();
    for host in ["a.test", "b.test"] {
        assert_eq!(instance.get(host, "/?n=0").text(), "n0");
    }
    let original = fs::read_to_string(instance.site_file("b")).expect("written");
    let configuration = instance.configuration().display().to_string();
    let program = instance.program("hostel");
    let load = visitors(&instance);

    let reload = ["reload", "--config", &configuration];
    let set = |megabytes: u32| {
        let text = format!("{original}\n[php.value]\nmemory_limit = \"{megabytes}M\"\n");
        fs::write(instance.site_file("b"), text).expect("sites.d");
    };
    set(100);
    let killed = killed_all_along(&program, &reload, Duration::from_millis(7), |round| {
        done(&instance, &["reload"]);
        let limit = instance.get("b.test", "/limit.php").text();
        assert_eq!(limit, format!("{}M", 100 + round), "{}", instance.logs());
        set(101 + round);
    });
    println!("{killed} reloads were killed on their way");
    assert!(killed >= 3, "too few were killed: {killed}");

    done(&instance, &["reload"]);
    let fronts = || {
        let all = instance.running("hostel-front");
        all.iter().map(|front| front.pid).collect::<BTreeSet<_>>()
    };
    let before = fronts();
    let said = done(&instance, &["upgrade", "--dry-run"]);
    assert!(said.contains("would be: upgraded"), "{said}");
    assert_eq!(fronts(), before, "a dry run has upgraded");
    let monitor = instance.monitor_pid();
    for after in [4, 12, 25, 60] {
        let mut command = Command::new(&program);
        command.args(["upgrade", "--config", &configuration]);
        killed_after(&mut command, Duration::from_millis(after));
        // Of the questions before it this one has to wait for.
        done(&instance, &["reload"]);
    }
    let before = fronts();
    done(&instance, &["upgrade"]);
    assert!(!fronts().is_subset(&before), "no new front");
    none_was_lost(load);
    assert_eq!(instance.monitor_pid(), monitor);
    let processes = instance.running("hostel-monitor");
    assert_eq!(processes.len(), 1, "a look of the new program is left");
}

#[test]
fn a_reload_and_an_upgrade_on_full_disks_keep_what_serves_and_are_completed_when_there_is_room() {
    let instance = Instance::new("full-disks");
    let full = ["state", "logs", "run"].map(|name| {
        let disk = SmallDisk::new(instance.path(name));
        disk.make_room();
        disk
    });
    let mut instance = instance.site(site("a", User::One)).start();
    assert_eq!(instance.get("a.test", "/?n=0").text(), "n0");
    for disk in &full {
        disk.fill();
    }
    let load = visitors(&instance);
    instance.add_site(site("b", User::Two));
    let said = done(&instance, &["reload"]);
    assert!(said.contains("added: b"), "{said}");
    done(&instance, &["upgrade"]);
    let new = instance.get("b.test", "/?n=1");
    assert_eq!(
        new.status,
        503,
        "its directories cannot be made: {}",
        new.text()
    );
    load.wait_for(100);
    none_was_lost(load);
    for disk in &full {
        disk.make_room();
    }
    done(&instance, &["reload"]);
    done(&instance, &["upgrade"]);
    let serves = wait_until(hostel_e2e::patience(Duration::from_secs(20)), || {
        instance.get("b.test", "/?n=2").text() == "n2"
    });
    assert!(serves, "{}", instance.logs());
    assert_eq!(instance.get("a.test", "/?n=3").text(), "n3");
    assert!(wait_until(
        hostel_e2e::patience(Duration::from_secs(5)),
        || { instance.log("a", "access").contains("/?n=3") }
    ));
    // What is mounted there is in the way of the directory's removal.
    let _ = instance.stop();
    drop(full);
}

#[test]
fn rules_whose_making_or_removal_is_killed_are_whole_after_the_next_run() {
    inside(
        "rules_whose_making_or_removal_is_killed_are_whole_after_the_next_run",
        |_| {
            let instance = Instance::new("rules").site(site("a", User::One));
            instance.write_configuration();
            let configuration = instance.configuration().display().to_string();
            let program = instance.program("hostel");
            let _service = hostel_e2e::network::Server::of(0, &["tcp://127.0.0.1:9200"]);
            let (uid, _) = User::One.ids();
            let step = Duration::from_millis(3);
            let apply = ["firewall", "apply", "--config", &configuration];
            let remove = ["firewall", "remove", "--config", &configuration];
            let is_whole = || {
                done(&instance, &["firewall", "apply"]);
                assert_eq!(tables().len(), 2, "{:?}", tables());
                assert!(
                    !user_connects(uid, "127.0.0.1:9200"),
                    "the table lets all through"
                );
            };
            let is_gone = || {
                done(&instance, &["firewall", "remove"]);
                assert_eq!(tables(), [""; 0]);
                assert!(user_connects(uid, "127.0.0.1:9200"));
            };
            let mut killed = killed_all_along(&program, &apply, step, |_| {
                is_whole();
                is_gone();
            });
            done(&instance, &["firewall", "apply"]);
            killed += killed_all_along(&program, &remove, step, |_| {
                is_gone();
                done(&instance, &["firewall", "apply"]);
            });
            println!("{killed} commands were killed on their way");
            assert!(killed >= 8, "too few were killed: {killed}");
            // Between its two steps the table is there and lets all through.
            let table = tables().into_iter().find(|name| name.contains("egress"));
            let table = table.expect("the table of sites");
            run(&format!(
                "nft flush table inet {table}; nft add table inet {}",
                table.replace("egress", "standin")
            ));
            assert!(user_connects(uid, "127.0.0.1:9200"));
            is_whole();
            run(&format!(
                "nft add table inet {}",
                table.replace("egress", "standin")
            ));
            is_gone();
        },
    );
}
