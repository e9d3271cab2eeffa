//! A site that wants all memory, all processes and all processor time gets its share, and the others get theirs.
//!
//! Where the kernel has cgroup v2 with its controllers, groups bound a site as a whole; else single processes are bounded, and the
//! server says so. The tests ask the kernel which it is and then demand just that; HOSTEL_EXPECT_CGROUP=2 demands groups.
//! Every attack is bounded by itself too.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hostel_e2e::process::Process;
use hostel_e2e::{
    CONTROL_GROUPS, Instance, Leftovers, Request, Response, Site, User, group_of,
    has_control_groups, site_groups, wait_until,
};
use serde_json::Value;

const TAKE: &str = include_str!("../probe/take.php");
const START: &str = include_str!("../probe/start.php");
const LOOP: &str = include_str!("../probe/loop.php");
/// What the worker is held to, as it sees it itself.
const SELF: &str = "<?php echo file_get_contents('/proc/self/cgroup'), file_get_contents('/proc/self/limits'), \
    file_get_contents('/proc/self/oom_score_adj');";

fn site(name: &str, user: User, toml: &str) -> Site {
    Site::new(name, user)
        .toml(toml)
        .file("public/index.php", "<?php echo 'here';")
        .file("public/take.php", TAKE)
        .file("public/start.php", START)
        .file("public/loop.php", LOOP)
        .file("public/self.php", SELF)
}

fn one(name: &str, toml: &str) -> Instance {
    Instance::new(name).site(site("a", User::One, toml)).start()
}

fn number(answer: &Response) -> u32 {
    let text = answer.text();
    text.parse()
        .unwrap_or_else(|_| panic!("{}: {text}", answer.status))
}

/// The groups of instances that stand at the top.
fn instance_groups() -> Vec<PathBuf> {
    let entries = fs::read_dir(CONTROL_GROUPS)
        .expect(CONTROL_GROUPS)
        .flatten();
    let is_ours = |path: &PathBuf| path.to_string_lossy().contains("/hostel:srv:hostel-test");
    entries.map(|entry| entry.path()).filter(is_ours).collect()
}

fn read(group: &Path, file: &str) -> String {
    let path = group.join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.trim().to_owned()
}

fn logged(instance: &Instance, words: &str) -> bool {
    wait_until(Duration::from_secs(15), || {
        instance.log("a", "error").contains(words)
    })
}

fn usage(instance: &Instance) -> Value {
    let (ok, output, errors) = instance.command(&["status", "--json"]);
    assert!(ok, "{errors}");
    let status: Value = serde_json::from_str(&output).expect("JSON");
    status["sites"][0]["usage"].clone()
}

#[test]
fn what_bounds_a_site_is_said() {
    let instance = one(
        "said",
        "memory_max = \"128M\"\nprocesses_max = 24\nworkers_max = 1",
    );
    let seen = instance.get("a.test", "/self.php").text();
    let (ok, output, errors) = instance.command(&["check"]);
    assert!(ok, "{output}{errors}");
    let log = fs::read_to_string(instance.path("logs/server.log")).expect("the log");
    assert!(seen.ends_with("200\n"), "{seen}");
    let limit = |name: &str| {
        let line = seen.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name}: {seen}"));
        let words = line.split_whitespace().rev();
        words
            .filter(|word| word.bytes().all(|b| b.is_ascii_digit()))
            .map(str::to_owned)
            .next()
    };
    assert_eq!(limit("Max core file size").as_deref(), Some("0"));
    if !has_control_groups() {
        assert!(log.contains("warning: limits of sites: "), "{log}");
        assert!(log.contains("hint: "), "{log}");
        assert!(output.contains("weaker: control groups: "), "{output}");
        assert_eq!(limit("Max processes").as_deref(), Some("24"));
        assert_eq!(limit("Max data size").as_deref(), Some("134217728"));
        assert!(usage(&instance).is_null());
        return;
    }
    assert!(!log.contains("limits of sites"), "{log}");
    assert!(!output.contains("control groups"), "{output}");
    assert!(seen.starts_with("0::/\n"), "{seen}");
    let group = group_of(&instance.running("hostel-keeper")[0]);
    let name = group.file_name().expect("a name").to_string_lossy();
    assert!(name.starts_with("site-a."), "{name}");
    for process in instance.running("hostel-php") {
        assert_eq!(group_of(&process), group);
    }
    let front = group_of(&instance.running("hostel-front")[0]);
    assert!(front.ends_with("server"), "{}", front.display());
    for (file, value) in [
        ("memory.max", "134217728"),
        ("memory.high", "130023424"),
        ("memory.oom.group", "0"),
        ("cpu.weight", "100"),
        ("cpu.max", "max 100000"),
        ("pids.max", "24"),
    ] {
        assert_eq!(read(&group, file), value, "{file}");
    }
    let usage = usage(&instance);
    assert_eq!(usage["memory_kib_max"], 131_072);
    assert_eq!(usage["processes"], 3, "{usage}");
    assert_eq!(usage["processes_max"], 24);
    for key in ["memory_kib", "cpu_ms"] {
        assert!(usage[key].as_u64() > Some(0), "{usage}");
    }
}

#[test]
fn processes_are_bounded() {
    let instance = one("processes", "processes_max = 20\nworkers_max = 1");
    let started = number(&instance.get("a.test", "/start.php?n=100"));
    // Keeper, zygote and worker are among the twenty.
    assert!((1..=17).contains(&started), "{started}");
    assert_eq!(instance.get("a.test", "/").text(), "here");
    if has_control_groups() {
        assert_eq!(started, 17);
        let notice = "were refused, since this site had processes_max (20) of them";
        assert!(logged(&instance, notice), "{}", instance.log("a", "error"));
        assert!(usage(&instance)["processes_refused"].as_u64() > Some(0));
    }
}

#[test]
fn memory_is_bounded() {
    let instance = one("memory", "memory_max = \"96M\"\nworkers_max = 4");
    assert_eq!(instance.get("a.test", "/").text(), "here");
    let keeper = instance.running("hostel-keeper").remove(0);
    // A hog ends alone: who works beside it goes on.
    let port = instance.port();
    let beside = std::thread::spawn(move || {
        let request = Request::get("a.test", "/take.php?mib=2&ms=3000");
        hostel_e2e::http::exchange(port, &request).expect("an answer")
    });
    std::thread::sleep(Duration::from_millis(500));
    let hog = instance.get("a.test", "/take.php?mib=400");
    assert!(hog.status >= 500, "{}: {}", hog.status, hog.text());
    let beside = beside.join().expect("no panic");
    assert_eq!((beside.status, beside.text().as_str()), (200, "2"));
    assert_eq!(instance.get("a.test", "/").text(), "here");
    assert!(keeper.runs(), "the keeper was ended");
    // Three that each have enough, and together have not.
    let three: Vec<_> = (0..3)
        .map(|_| {
            std::thread::spawn(move || {
                let request = Request::get("a.test", "/take.php?mib=50&ms=2000");
                hostel_e2e::http::exchange(port, &request)
                    .expect("an answer")
                    .status
            })
        })
        .collect();
    let three: Vec<u16> = three
        .into_iter()
        .map(|one| one.join().expect("a status"))
        .collect();
    let lost = three.iter().filter(|status| **status != 200).count();
    if !has_control_groups() {
        assert_eq!(lost, 0, "each process is bounded by itself: {three:?}");
        assert!(
            logged(&instance, "Out of memory"),
            "{}",
            instance.log("a", "error")
        );
        return;
    }
    assert!((1..=2).contains(&lost), "{three:?}");
    let notice = "together they had reached memory_max (96 MiB)";
    assert!(logged(&instance, notice), "{}", instance.log("a", "error"));
    let log = fs::read_to_string(instance.path("logs/server.log")).expect("the log");
    assert!(log.contains("site a: reached its memory_max"), "{log}");
    assert!(usage(&instance)["ended_without_memory"].as_u64() >= Some(2));
}

#[test]
fn processor_time_is_bounded() {
    let instance = one("processor", "cpu_max = \"20%\"\nworkers_max = 2");
    assert_eq!(instance.get("a.test", "/").text(), "here");
    let begun = Instant::now();
    let had = f64::from(number(&instance.get("a.test", "/loop.php?ms=4000")));
    let share = had / begun.elapsed().as_secs_f64() / 1000.0;
    println!("{share:.3} of a core");
    if has_control_groups() {
        assert!((0.05..0.25).contains(&share), "{share}");
        let group = group_of(&instance.running("hostel-keeper")[0]);
        assert!(!read(&group, "cpu.stat").contains("nr_throttled 0"));
    }
}

#[test]
fn limits_that_a_reload_changes_hold() {
    let instance = one("reload", "processes_max = 20\nworkers_max = 1");
    let before = number(&instance.get("a.test", "/start.php?n=100"));
    let file = instance.site_file("a");
    let text = fs::read_to_string(&file).expect("the site's file");
    fs::write(&file, text.replace("= 20", "= 12")).expect("the site's file");
    instance.reload();
    let has_groups = has_control_groups();
    let mut now = before;
    let changed = wait_until(Duration::from_secs(10), || {
        now = number(&instance.get("a.test", "/start.php?n=100"));
        // The old sandbox can have room for fewer too, while what the request before has started is not gone.
        match has_groups {
            true => now == 9,
            false => now < before,
        }
    });
    assert!(changed, "{before} processes before, {now} after");
    if has_groups {
        assert_eq!(before, 17);
        // The old sandbox's group goes with it.
        let group = group_of(&instance.running("hostel-keeper")[0]);
        let base = group.parent().expect("the instance's").to_owned();
        let alone = wait_until(Duration::from_secs(10), || site_groups(&base).len() == 1);
        assert!(alone, "{:?}", site_groups(&base));
    }
}

#[test]
fn groups_go_with_what_was_in_them() {
    if !has_control_groups() {
        println!("nothing to see: the kernel has no control groups of version 2 with controllers");
        return;
    }
    let mut instance = one("groups", "idle_seconds = 1\nworkers_max = 1");
    assert_eq!(instance.get("a.test", "/").text(), "here");
    let group = group_of(&instance.running("hostel-keeper")[0]);
    let base = group.parent().expect("the instance's").to_owned();
    assert!(instance_groups().contains(&base), "{}", base.display());
    assert!(
        wait_until(Duration::from_secs(30), || !group.exists()),
        "it sleeps, its group stays"
    );
    // A monitor that was killed leaves groups; the next one removes them, with whatever is in them.
    assert_eq!(instance.get("a.test", "/").text(), "here");
    let processes = instance.processes();
    instance.kill_monitor();
    let ended = wait_until(Duration::from_secs(10), || {
        instance.leftovers(&processes).processes.is_empty()
    });
    assert!(ended, "{:?}", instance.leftovers(&processes));
    assert_eq!(site_groups(&base).len(), 1);
    let left = base.join("site-left.99");
    fs::create_dir(&left).expect("a group");
    let mut stray = std::process::Command::new("sleep")
        .arg("100")
        .spawn()
        .expect("sleep");
    fs::write(left.join("cgroup.procs"), stray.id().to_string()).expect("a process in it");
    instance.serve();
    assert!(site_groups(&base).is_empty(), "{:?}", site_groups(&base));
    assert!(!stray.wait().expect("it ends").success());
    assert_eq!(instance.get("a.test", "/").text(), "here");
    assert_eq!(instance.stop(), Leftovers::default());
    assert!(!base.exists(), "the instance has ended, its group stays");
}

#[test]
fn a_group_that_was_handed_over_is_used_and_given_back() {
    if !has_control_groups() {
        println!("nothing to see: the kernel has no control groups of version 2 with controllers");
        return;
    }
    let own = Path::new(CONTROL_GROUPS).join(format!("hostel-test-own-{}", std::process::id()));
    fs::create_dir(&own).expect("a group");
    fs::write(
        Path::new(CONTROL_GROUPS).join("cgroup.subtree_control"),
        "+memory +cpu +pids +io",
    )
    .expect("controllers");
    let move_there = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", own.display());
    let mut instance = Instance::new("own")
        .launcher(&["sh", "-c", &move_there, "sh"])
        .site(site("a", User::One, "processes_max = 20\nworkers_max = 1"))
        .start();
    assert_eq!(number(&instance.get("a.test", "/start.php?n=100")), 17);
    let group = group_of(&instance.running("hostel-keeper")[0]);
    assert_eq!(group.parent(), Some(own.as_path()));
    let monitor = Process::find(instance.monitor_pid()).expect("it runs");
    let front = instance.running("hostel-front").remove(0);
    for process in [monitor, front] {
        assert_eq!(group_of(&process), own.join("server"));
    }
    assert_eq!(instance.stop(), Leftovers::default());
    let left = fs::read_dir(&own).expect("the group").flatten();
    let left: Vec<_> = left
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(read(&own, "cgroup.subtree_control"), "");
    fs::remove_dir(&own).expect("it is empty");
}
