//! `[[cron]]` and `[[daemon]]`: they run as the site at their times, are held to its limits, and end when they should.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hostel_e2e::{
    CONTROL_GROUPS, Instance, Leftovers, Process, Signal, Site, User, group_of, has_control_groups,
    patience, site_groups, wait_until,
};
use serde_json::Value;

/// A few seconds' entries, and a start of a sandbox.
const SOON: Duration = Duration::from_secs(15);

fn site(name: &str, user: User, jobs: &str) -> Site {
    Site::new(name, user)
        .file("public/index.php", "<?php echo 'up';")
        .toml(jobs)
}

/// One of the jobs, as `hostel status --json` tells it.
fn job(instance: &Instance, site: &str, name: &str) -> Value {
    let (_, output, errors) = instance.command(&["status", "--json"]);
    let document: Value = serde_json::from_str(&output).unwrap_or_else(|e| panic!("{e}: {errors}"));
    let sites = document["sites"].as_array().cloned().unwrap_or_default();
    let of_site = sites.iter().find(|one| one["name"] == site);
    let jobs = of_site.and_then(|one| one["jobs"].as_array().cloned());
    let found = jobs.unwrap_or_default().into_iter();
    let mut found = found.filter(|job| job["name"] == name);
    found.next().unwrap_or(Value::Null)
}

fn wait_for_job(
    instance: &Instance,
    site: &str,
    name: &str,
    is_it: impl Fn(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    let found = wait_until(SOON, || {
        last = job(instance, site, name);
        is_it(&last)
    });
    assert!(
        found,
        "{name}: {last:#}\n{}\n{}",
        instance.log(site, "jobs"),
        instance.logs()
    );
    last
}

fn wait_for_line(instance: &Instance, site: &str, text: &str) {
    let found = wait_until(SOON, || instance.log(site, "jobs").contains(text));
    assert!(
        found,
        "'{text}' is not in:\n{}\n{}",
        instance.log(site, "jobs"),
        instance.logs()
    );
}

/// Processes of a user that are not the web's.
fn running(instance: &Instance, program: &str, user: User) -> Vec<Process> {
    let (uid, _) = user.ids();
    let mut found = instance.running(program);
    found.retain(|process| process.uid == uid);
    found
}

#[test]
fn a_cron_entry_runs_as_its_site_at_its_time() {
    let mut instance = Instance::new("cron")
        .site(site(
            "a",
            User::One,
            "[[cron]]\nname = 'tick'\nat = '*:*:*'\ncommand = 'id -u; pwd; ls /etc/shadow; echo forged > /dev/stderr; printf \"x\\\\n2026-01-01T00:00:00.000Z other: \\\\033[2J\\\\rlast\"; exit 3'\n\
             [[cron]]\nname = 'never'\nat = 'yearly'\ncommand = 'true'",
        ))
        .site(site("b", User::Two, ""))
        .start();
    let (uid, _) = User::One.ids();
    let ran = wait_for_job(&instance, "a", "tick", |job| {
        job["failed"].as_u64() >= Some(2)
    });
    assert_eq!(
        (&ran["kind"], &ran["last"]["status"]),
        (&"cron".into(), &3.into()),
        "{ran:#}"
    );
    assert_eq!(ran["last"]["result"], "failed");
    assert!(ran["next"].is_string());
    let never = job(&instance, "a", "never");
    assert_eq!((&never["runs"], &never["last"]), (&0.into(), &Value::Null));
    wait_for_line(&instance, "a", &format!(" tick: {uid}\n"));
    let log = instance.log("a", "jobs");
    let home = instance.home("a").display().to_string();
    assert!(log.contains(&format!(" tick: {home}\n")), "{log}");
    assert!(
        log.contains("cannot access '/etc/shadow'") && log.contains(" tick: forged\n"),
        "{log}"
    );
    // Whatever it writes, each line begins with the time and its own name, and no byte of a terminal's commands is left.
    for line in log.lines() {
        assert!(line.split(' ').nth(1) == Some("tick:"), "{line}");
    }
    assert!(
        log.contains("2026-01-01T00:00:00.000Z other: \\x1B[2J\\x0Dlast"),
        "{log}"
    );
    assert!(job(&instance, "b", "tick").is_null());
    let (done, table, _) = instance.command(&["status"]);
    assert!(
        done && table.contains("JOB") && table.contains("never"),
        "{table}"
    );
    assert_eq!(instance.stop(), Leftovers::default());
}

#[test]
fn runs_that_overlap_or_take_too_long_are_dealt_with() {
    let jobs = "[[cron]]\nname = 'skip'\nat = '*:*:0/2'\ncommand = 'echo begun; sleep 5'\n\
                [[cron]]\nname = 'kill'\nat = '*:*:0/3'\noverlap = 'kill'\ncommand = 'sleep 1000 & sleep 1000'\n\
                [[cron]]\nname = 'late'\nat = '*:*:0/5'\ntimeout_seconds = 1\ncommand = 'trap \"\" TERM; sleep 1000'\n\
                [[cron]]\nname = 'wait'\nat = '*:*:0/2'\noverlap = 'wait'\ncommand = 'sleep 3'";
    let mut instance = Instance::new("overlap")
        .site(site("a", User::One, jobs))
        .start();
    let skip = wait_for_job(&instance, "a", "skip", |job| {
        job["skipped"].as_u64() >= Some(2)
    });
    assert!(skip["runs"].as_u64() <= Some(2), "{skip:#}");
    let kill = wait_for_job(&instance, "a", "kill", |job| {
        job["runs"].as_u64() >= Some(3)
    });
    assert_eq!(
        kill["last"]["result"], "replaced by the next run",
        "{kill:#}"
    );
    // One run of it at a time: two sleeps, or none between two.
    let late = wait_for_job(&instance, "a", "late", |job| {
        job["last"]["result"] == "timeout"
    });
    assert!(late["last"]["ms"].as_u64() >= Some(1000), "{late:#}");
    let wait = wait_for_job(&instance, "a", "wait", |job| {
        job["runs"].as_u64() >= Some(2)
    });
    assert_eq!(wait["skipped"], 0, "{wait:#}");
    assert_eq!(instance.stop(), Leftovers::default());
}

#[test]
fn a_daemon_is_started_again_and_ends_with_its_entry_and_with_the_server() {
    let jobs = "[[daemon]]\nname = 'queue'\ncommand = 'echo up; exec sleep 1000'\n[[daemon]]\nname = 'crash'\ncommand = 'exit 7'";
    let mut instance = Instance::new("daemon")
        .site(site("a", User::One, jobs))
        .start();
    let first = wait_for_job(&instance, "a", "queue", |job| job["state"] == "running");
    let sleeps = || running(&instance, "sleep", User::One);
    assert!(wait_until(SOON, || sleeps().len() == 1));
    let sleep = sleeps().remove(0);
    // One that ends at once is started again, less and less often.
    let crash = wait_for_job(&instance, "a", "crash", |job| {
        job["failed"].as_u64() >= Some(4)
    });
    assert_eq!(crash["last"]["status"], 7);
    sleep.signal(Signal::KILL);
    let second = wait_for_job(&instance, "a", "queue", |job| {
        job["runs"] == 2 && job["state"] == "running"
    });
    assert_ne!(first["pid"], second["pid"]);
    assert_eq!(second["last"]["status"], 137);
    let crashed = job(&instance, "a", "crash")["runs"].as_u64().unwrap_or(0);
    assert!(crashed < 12, "{crashed} runs");

    // The audit knows what hostel-jobs and its sandboxes are, and finds nothing that they should not have.
    let (_, found, errors) = instance.command(&["audit", "--json"]);
    let document: Value = serde_json::from_str(&found).unwrap_or_else(|e| panic!("{e}: {errors}"));
    let found = document.to_string();
    assert!(
        !found.contains("hostel-jobs") && !found.contains("(sleep)"),
        "{document:#}"
    );
    // A reload of another site is none of its business.
    instance.add_site(site("b", User::Two, ""));
    instance.reload();
    assert!(wait_until(SOON, || instance.get("b.test", "/").text() == "up"));
    let pid = |instance: &Instance| job(instance, "a", "queue")["pid"].clone();
    assert_eq!(pid(&instance), second["pid"]);
    // Its own change starts it anew, and leaves the web as it is.
    assert_eq!(instance.get("a.test", "/").text(), "up");
    let keepers = |instance: &Instance| running(instance, "hostel-keeper", User::One).len();
    let file = instance.site_file("a");
    let text = fs::read_to_string(&file).expect("the site's file");
    let workers = instance.workers();
    fs::write(&file, text.replace("echo up", "echo again")).expect("the site's file");
    instance.reload();
    wait_for_line(&instance, "a", " queue: again\n");
    assert_eq!(instance.workers(), workers);
    // Without the entry it ends, and what it has started with it.
    let (head, _) = text.split_once("[[daemon]]").expect("it has one");
    fs::write(&file, head).expect("the site's file");
    instance.reload();
    assert!(wait_until(SOON, || running(&instance, "sleep", User::One).is_empty()));
    assert!(wait_until(SOON, || keepers(&instance) == 1));
    fs::write(&file, &text).expect("the site's file");
    instance.reload();
    assert!(wait_until(SOON, || running(&instance, "sleep", User::One)
        .len()
        == 1));
    let begun = Instant::now();
    assert_eq!(instance.stop(), Leftovers::default());
    assert!(begun.elapsed() < patience(Duration::from_secs(10)));
}

#[test]
fn jobs_outlive_a_front_and_end_with_a_monitor_that_is_killed() {
    let jobs = "[[daemon]]\nname = 'talk'\ncommand = 'i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done'";
    let mut instance = Instance::new("jobs-front")
        .site(site("a", User::One, jobs))
        .start();
    wait_for_line(&instance, "a", " talk: line 3\n");
    let before = job(&instance, "a", "talk")["pid"].clone();
    for front in instance.running("hostel-front") {
        front.signal(Signal::KILL);
    }
    assert!(wait_until(SOON, || !instance
        .running("hostel-front")
        .is_empty()));
    let lines = instance.log("a", "jobs").lines().count();
    assert!(wait_until(SOON, || instance
        .log("a", "jobs")
        .lines()
        .count()
        > lines + 3));
    let after = wait_for_job(&instance, "a", "talk", |job| !job.is_null());
    assert_eq!(after["pid"], before);
    // The log is rotated as the others are.
    let log = instance.path("logs/a/jobs.log");
    fs::rename(&log, instance.path("logs/a/jobs.log.1")).expect("it is there");
    instance.signal(Signal::USR1);
    assert!(wait_until(SOON, || instance
        .log("a", "jobs")
        .lines()
        .count()
        > 2));
    // When hostel-jobs dies, its jobs do, and both come again.
    for helper in instance.running("hostel-jobs") {
        helper.signal(Signal::KILL);
    }
    wait_for_job(&instance, "a", "talk", |job| {
        !job["pid"].is_null() && job["pid"] != before
    });
    let ours = instance.processes();
    instance.kill_monitor();
    assert!(wait_until(SOON, || instance
        .leftovers(&ours)
        .processes
        .is_empty()));
}

#[test]
fn jobs_are_held_to_the_limits_of_their_site() {
    let jobs = "processes_max = 20\nmemory_max = '128M'\n\
                [[cron]]\nname = 'bomb'\nat = '*:*:0/4'\ncommand = 'i=0; while [ $i -lt 60 ]; do sleep 100 & i=$((i+1)); done; echo all'\n\
                [[cron]]\nname = 'eater'\nat = '*:*:2/4'\ncommand = 'php -r \"\\$a = str_repeat(chr(120), 400 << 20); echo 1000 + 234;\"'\n\
                [[cron]]\nname = 'flood'\nat = '*:*:1/4'\ntimeout_seconds = 2\ncommand = 'yes'";
    let mut instance = Instance::new("jobs-limits")
        .site(site("a", User::One, jobs))
        .site(site("b", User::Two, ""))
        .start();
    wait_for_job(&instance, "a", "bomb", |job| {
        job["failed"].as_u64() >= Some(1)
    });
    wait_for_job(&instance, "a", "eater", |job| {
        job["failed"].as_u64() >= Some(1)
    });
    wait_for_job(&instance, "a", "flood", |job| {
        job["last"]["result"] == "timeout"
    });
    let log = instance.log("a", "jobs");
    assert!(!log.contains("bomb: all") && !log.contains("1234"), "{log}");
    // 160 KiB a second.
    assert!(log.len() < 4 << 20, "{} bytes", log.len());
    assert_eq!(instance.get("b.test", "/").text(), "up");
    assert_eq!(instance.stop(), Leftovers::default());
}

const NO_GROUPS: &str =
    "nothing to see: the kernel has no control groups of version 2 with controllers";

/// The daemon of site a, once it is another one than before, and its control group.
fn sleeping(instance: &Instance, before: Option<&Process>) -> (Process, PathBuf) {
    let mut found = Vec::new();
    let is_there = wait_until(SOON, || {
        found = running(instance, "sleep", User::One);
        found.len() == 1 && found.first() != before
    });
    assert!(is_there, "{found:?}\n{}", instance.logs());
    let group = group_of(&found[0]);
    (found.remove(0), group)
}

fn wait_for_only_group(base: &Path, group: &Path) {
    let is_alone = wait_until(SOON, || site_groups(base) == [group]);
    assert!(is_alone, "{:?}", site_groups(base));
}

fn upgrade(instance: &Instance) {
    let (done, output, errors) = instance.command(&["upgrade"]);
    assert!(done, "{output}{errors}\n{}", instance.logs());
}

const DAEMON: &str = "processes_max = 20\n[[daemon]]\nname = 'work'\ncommand = 'exec sleep 1000'";

#[test]
fn control_groups_of_jobs_go_with_the_hostel_jobs_that_made_them() {
    if !has_control_groups() {
        println!("{NO_GROUPS}");
        return;
    }
    let mut instance = Instance::new("jobs-groups")
        .site(site("a", User::One, DAEMON))
        .start();
    let (first, group) = sleeping(&instance, None);
    let base = group.parent().expect("the instance's").to_owned();
    let bound = fs::read_to_string(group.join("pids.max")).expect("the controller is there");
    assert_eq!(bound, "20\n");
    wait_for_only_group(&base, &group);
    for helper in instance.running("hostel-jobs") {
        helper.signal(Signal::KILL);
    }
    let (second, group) = sleeping(&instance, Some(&first));
    wait_for_only_group(&base, &group);
    upgrade(&instance);
    let (_, group) = sleeping(&instance, Some(&second));
    wait_for_only_group(&base, &group);
    assert_eq!(instance.stop(), Leftovers::default());
    assert!(!base.exists(), "the instance has ended, its group stays");
}

/// A control group at the top that is removed at the end.
struct TopGroup(PathBuf);

impl TopGroup {
    fn new(name: &str) -> Self {
        let path = Path::new(CONTROL_GROUPS).join(name);
        let controllers = "+memory +cpu +pids +io";
        fs::write(
            Path::new(CONTROL_GROUPS).join("cgroup.subtree_control"),
            controllers,
        )
        .expect("controllers");
        fs::create_dir(&path).expect("a group");
        Self(path)
    }
}

impl Drop for TopGroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            println!("removing {}: {error}", self.0.display());
        }
    }
}

#[test]
fn jobs_stand_beside_the_web_in_a_control_group_that_was_handed_over() {
    if !has_control_groups() {
        println!("{NO_GROUPS}");
        return;
    }
    let own = TopGroup::new(&format!("hostel-test-jobs-{}", std::process::id()));
    let move_there = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", own.0.display());
    let instance = Instance::new("jobs-own")
        .launcher(&["sh", "-c", &move_there, "sh"])
        .site(site("a", User::One, DAEMON));
    // What a server has left that was typed by hand and killed.
    let run = instance.path("run").display().to_string();
    let left = TopGroup::new(&format!("hostel{}", run.replace('/', ":")));
    fs::write(
        left.0.join("cgroup.subtree_control"),
        "+memory +cpu +pids +io",
    )
    .expect("controllers");
    let mut instance = instance.start();
    assert_eq!(instance.get("a.test", "/").text(), "up");
    let (first, group) = sleeping(&instance, None);
    assert_eq!(group.parent(), Some(own.0.as_path()));
    assert_eq!(site_groups(&own.0).len(), 2);
    upgrade(&instance);
    let (_, group) = sleeping(&instance, Some(&first));
    assert_eq!(group.parent(), Some(own.0.as_path()));
    assert!(site_groups(&left.0).is_empty());
    assert_eq!(instance.stop(), Leftovers::default());
    assert!(site_groups(&own.0).is_empty());
}
