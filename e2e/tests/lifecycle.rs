//! Deaths, reloads and ends: nobody but the visitors of the killed process notices, and nothing is left behind.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use hostel_e2e::load::{Connections, Counts};
use hostel_e2e::{
    Instance, Leftovers, Load, Process, Request, Response, Signal, Site, User, patience, wait_until,
};

/// Requests of the load before something is killed, and in all.
const BEFORE: u32 = 60;
const IN_ALL: u32 = 200;
/// Service is back within this time of a death.
const RECOVERY_MAX: Duration = Duration::from_secs(1);
/// How many threads send the load: the most requests that can run in a process when it is killed.
const THREADS: u32 = 4;

/// A page that takes a few milliseconds and names the request that it answers.
const PAGE: &str = "<?php usleep(5000); echo 'answer ', $_GET['n'], ' by ', getmypid();";

fn site(name: &str, user: User) -> Site {
    Site::new(name, user)
        .file("public/index.php", PAGE)
        .file("public/cached.php", "<?php $s = opcache_get_status(true); echo isset($s['scripts'][__FILE__]) ? $s['scripts'][__FILE__]['hits'] : 'none';")
        .file("public/file.txt", "a file")
}

fn right(number: u32, response: &Response) -> bool {
    response.status == 200 && response.text().starts_with(&format!("answer {number} by "))
}

fn load(instance: &Instance, host: &'static str, connections: Connections) -> Load {
    let request = move |n: u32| Request::get(host, &format!("/?n={n}"));
    Load::start(instance.port(), THREADS, connections, request, right)
}

/// Kill what `choose` names while requests run, and count what became of them.
fn kill_under_load(name: &str, choose: fn(&Instance) -> Vec<Process>) -> (Counts, Duration) {
    let instance = Instance::new(name)
        .site(site("a", User::One))
        .site(site("b", User::Two))
        .start();
    for host in ["a.test", "b.test"] {
        assert!(right(1, &instance.get(host, "/?n=1")));
    }
    let load = load(&instance, "a.test", Connections::New);
    let neighbour = self::load(&instance, "b.test", Connections::New);
    load.wait_for(BEFORE);
    let victims = choose(&instance);
    assert!(!victims.is_empty(), "nothing to kill");
    let killed = Instant::now();
    for victim in &victims {
        victim.signal(Signal::KILL);
    }
    load.wait_for(IN_ALL);
    // Long enough for every failure that follows from the death to be seen.
    thread::sleep(Duration::from_millis(1500));
    let (counts, others) = (load.finish(), neighbour.finish());
    assert!(counts.wrong.is_empty(), "{:?}", counts.wrong);
    assert!(others.wrong.is_empty(), "{:?}", others.wrong);
    let last = counts
        .last_failure()
        .map_or(Duration::ZERO, |at| at.duration_since(killed));
    println!(
        "{name}: {} right, {} lost, the last {last:?} after the kill; neighbour {} right, {} lost",
        counts.right,
        counts.lost(),
        others.right,
        others.lost()
    );
    if victims
        .iter()
        .all(|victim| victim.program != "hostel-front")
    {
        assert_eq!(others.lost(), 0, "the neighbour lost requests: {others:?}");
    }
    assert!(
        last <= patience(RECOVERY_MAX),
        "not back within {RECOVERY_MAX:?}: {counts:?}"
    );
    assert!(right(7, &instance.get("a.test", "/?n=7")));
    (counts, last)
}

#[test]
fn a_killed_worker_costs_one_request() {
    let (counts, _) = kill_under_load("kill-worker", |instance| {
        let (uid, _) = User::One.ids();
        let workers = instance.workers().into_iter().filter(|p| p.uid == uid);
        workers.take(1).collect()
    });
    assert!(counts.lost() <= 1, "{counts:?}");
    assert!(
        counts.failed.iter().all(|(_, status)| *status == 502),
        "{counts:?}"
    );
}

#[test]
fn a_killed_zygote_costs_its_site_a_moment() {
    let (counts, _) = kill_under_load("kill-zygote", |instance| {
        let (uid, _) = User::One.ids();
        instance
            .zygotes()
            .into_iter()
            .filter(|p| p.uid == uid)
            .collect()
    });
    assert!(
        counts.broken.is_empty(),
        "a death behind the front must not break a connection: {counts:?}"
    );
    // Those that ran, and one more each that a worker took before the death reached it; all others have waited.
    assert!(counts.lost() <= 2 * THREADS as usize, "{counts:?}");
}

#[test]
fn a_killed_keeper_costs_its_site_a_moment() {
    let (counts, _) = kill_under_load("kill-keeper", |instance| {
        let (uid, _) = User::One.ids();
        instance
            .running("hostel-keeper")
            .into_iter()
            .filter(|p| p.uid == uid)
            .collect()
    });
    assert!(
        counts.broken.is_empty(),
        "a death behind the front must not break a connection: {counts:?}"
    );
    // Those that ran, and one more each that a worker took before the death reached it; all others have waited.
    assert!(counts.lost() <= 2 * THREADS as usize, "{counts:?}");
}

#[test]
fn a_killed_front_is_replaced_and_caches_stay_warm() {
    let instance = Instance::new("kill-front")
        .site(site("a", User::One))
        .start();
    assert!(right(1, &instance.get("a.test", "/?n=1")));
    let hits = || instance.get("a.test", "/cached.php").text().parse::<u32>();
    for _ in 0..3 {
        hits().expect("cached");
    }
    let before = hits().expect("cached");
    let (zygotes, keepers) = (instance.zygotes(), instance.running("hostel-keeper"));
    let load = load(&instance, "a.test", Connections::New);
    load.wait_for(BEFORE);
    let killed = Instant::now();
    instance.running("hostel-front")[0].signal(Signal::KILL);
    load.wait_for(IN_ALL);
    let counts = load.finish();
    assert!(counts.wrong.is_empty(), "{:?}", counts.wrong);
    let last = counts
        .last_failure()
        .map_or(Duration::ZERO, |at| at.duration_since(killed));
    assert!(
        last <= patience(RECOVERY_MAX),
        "not back within {RECOVERY_MAX:?}: {counts:?}"
    );
    println!(
        "kill-front: {} right, {} lost, the last {last:?} after the kill",
        counts.right,
        counts.lost()
    );
    // Requests that ran, and connections that the kernel had given to the dead front.
    assert!(counts.lost() <= 2 * THREADS as usize, "{counts:?}");
    assert_eq!(instance.zygotes(), zygotes, "PHP was started anew");
    assert_eq!(
        instance.running("hostel-keeper"),
        keepers,
        "the sandbox was made anew"
    );
    let after = hits().expect("still cached");
    assert!(
        after > before,
        "OPcache is cold: {before} hits before, {after} after"
    );
}

#[test]
fn a_reload_loses_nothing_and_changes_what_was_changed() {
    let mut instance = Instance::new("reload")
        .site(site("a", User::One))
        .site(site("gone", User::Three))
        .start();
    assert!(right(1, &instance.get("a.test", "/?n=1")));
    assert!(right(1, &instance.get("gone.test", "/?n=1")));
    let kept = load(&instance, "a.test", Connections::Kept);
    let new = load(&instance, "a.test", Connections::New);
    kept.wait_for(BEFORE);
    instance.add_site(site("b", User::Two));
    fs::remove_file(instance.site_file("gone")).expect("it was written");
    instance.reload();
    let served = |host| {
        wait_until(Duration::from_secs(5), || {
            right(2, &instance.get(host, "/?n=2"))
        })
    };
    assert!(
        served("b.test"),
        "the new site is not served\n{}",
        instance.logs()
    );
    assert!(wait_until(Duration::from_secs(5), || [404, 421]
        .contains(&instance.get("gone.test", "/?n=2").status)));
    // Its settings changed: the site is taken over by a new sandbox while requests run.
    let file = instance.site_file("a");
    let text = fs::read_to_string(&file).expect("written");
    fs::write(
        &file,
        format!("{text}\n[php.value]\nmemory_limit = \"99M\"\n"),
    )
    .expect("sites.d");
    fs::write(
        instance.home("a").join("public/limit.php"),
        "<?php echo ini_get('memory_limit');",
    )
    .expect("home");
    hostel_e2e::site::own(&instance.home("a").join("public/limit.php"), User::One);
    instance.reload();
    assert!(wait_until(Duration::from_secs(5), || instance
        .get("a.test", "/limit.php")
        .text()
        == "99M"));
    kept.wait_for(IN_ALL);
    for counts in [kept.finish(), new.finish()] {
        assert_eq!(counts.lost(), 0, "{counts:?}");
        assert!(counts.right > 40, "{counts:?}");
    }
    let (uid, _) = User::Three.ids();
    let gone = || instance.processes().iter().all(|p| p.uid != uid);
    assert!(
        wait_until(Duration::from_secs(10), gone),
        "processes of a removed site remain"
    );
}

#[test]
fn a_broken_configuration_changes_nothing_and_every_error_is_listed() {
    let mut instance = Instance::new("broken").site(site("a", User::One)).start();
    assert!(right(1, &instance.get("a.test", "/?n=1")));
    let lasting = || {
        let workers = instance.workers();
        let mut all = instance.lasting_processes();
        all.retain(|process| !workers.contains(process));
        all
    };
    let before = lasting();
    let good = fs::read_to_string(instance.site_file("a")).expect("written");
    fs::write(
        instance.site_file("a"),
        "domains = [\"other.test\"]\nuser = \"hostel-no-such-user\"\nworkers_max = 0\n",
    )
    .expect("sites.d");
    fs::write(instance.site_file("b"), "domains = \"not a list\"\n").expect("sites.d");
    instance.reload();
    let log = || {
        fs::read_to_string(instance.path("logs/server.log")).unwrap_or_default() + &instance.logs()
    };
    let listed = || {
        ["hostel-no-such-user", "workers_max", "b.toml"]
            .iter()
            .all(|part| log().contains(part))
    };
    assert!(wait_until(Duration::from_secs(5), listed), "{}", log());
    assert!(right(2, &instance.get("a.test", "/?n=2")));
    assert_eq!(lasting(), before, "something was restarted");
    fs::write(instance.site_file("a"), good).expect("sites.d");
    fs::remove_file(instance.site_file("b")).expect("written");
    instance.add_site(site("c", User::Three));
    instance.reload();
    assert!(wait_until(Duration::from_secs(5), || right(
        3,
        &instance.get("c.test", "/?n=3")
    )));
}

#[test]
fn sigterm_finishes_running_requests_and_leaves_nothing() {
    let slow = "<?php usleep(1500000); echo 'finished';";
    let mut instance = Instance::new("sigterm")
        .site(site("a", User::One).file("public/slow.php", slow))
        .start();
    assert!(right(1, &instance.get("a.test", "/?n=1")));
    let port = instance.port();
    let running: Vec<_> = (0..3)
        .map(|_| {
            thread::spawn(move || {
                hostel_e2e::http::exchange(port, &Request::get("a.test", "/slow.php"))
            })
        })
        .collect();
    let mut idle = instance.connect();
    assert!(right(
        2,
        &idle
            .exchange(&Request::get("a.test", "/?n=2"))
            .expect("an answer")
    ));
    thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    let left = instance.stop();
    assert!(
        begun.elapsed() < patience(Duration::from_secs(10)),
        "took {:?}",
        begun.elapsed()
    );
    for thread in running {
        let answer = thread
            .join()
            .expect("no panic")
            .expect("a running request is finished");
        assert_eq!(answer.text(), "finished");
    }
    assert!(idle.rest().expect("closed in order").is_empty());
    assert_eq!(left, Leftovers::default());
}

#[test]
fn sigterm_under_load_cuts_no_answer() {
    let mut instance = Instance::new("drain").site(site("a", User::One)).start();
    assert!(right(1, &instance.get("a.test", "/?n=1")));
    let (kept, new) = (
        load(&instance, "a.test", Connections::Kept),
        load(&instance, "a.test", Connections::New),
    );
    kept.wait_for(BEFORE);
    new.wait_for(BEFORE);
    let left = instance.stop();
    assert_eq!(left, Leftovers::default());
    for counts in [kept.finish(), new.finish()] {
        assert!(
            counts.wrong.is_empty() && counts.failed.is_empty(),
            "{counts:?}"
        );
        // After the end connections are refused; before it none may break after its request was taken.
        let cut: Vec<_> = counts
            .broken
            .iter()
            .filter(|(_, why)| !why.contains("refused") && !why.contains("reset"))
            .collect();
        assert!(cut.is_empty(), "{cut:?}");
    }
}

#[test]
fn a_killed_monitor_leaves_nothing_within_a_second() {
    // What runs in the background of a site must go too.
    let background = "<?php exec('sleep 300 > /dev/null 2>&1 &'); exec('setsid sleep 301 > /dev/null 2>&1 &'); echo 'started';";
    let site = site("a", User::One).file("public/background.php", background);
    let mut instance = Instance::new("sigkill").site(site).start();
    assert_eq!(instance.get("a.test", "/background.php").text(), "started");
    let sleeping = || instance.running("sleep").len() == 2;
    assert!(wait_until(Duration::from_secs(2), sleeping));
    let processes = instance.processes();
    instance.kill_monitor();
    let sockets = ["run/status.sock", "run/control.sock"].map(|name| instance.path(name));
    let nothing = || {
        let mut left = instance.leftovers(&processes);
        // Nobody is left who could remove the sockets' names; that nobody answers there is what counts.
        let is_dead = |name: &String| {
            let socket = sockets
                .iter()
                .find(|socket| socket.display().to_string() == *name);
            socket.is_some_and(|socket| !is_listened_on(socket))
        };
        left.sockets.retain(|name| !is_dead(name));
        left
    };
    let ended = wait_until(Duration::from_secs(1), || nothing() == Leftovers::default());
    assert!(ended, "{:?}", nothing());
    instance.serve();
    assert!(
        right(1, &instance.get("a.test", "/?n=1")),
        "the instance cannot be started again"
    );
}

#[test]
fn an_idle_site_sleeps_and_wakes() {
    let instance = Instance::new("idle")
        .site(site("a", User::One).toml("idle_seconds = 1"))
        .start();
    assert!(
        instance.running("hostel-keeper").is_empty(),
        "a site that nobody visits has a process"
    );
    assert!(right(1, &instance.get("a.test", "/?n=1")));
    assert_eq!(instance.running("hostel-keeper").len(), 1);
    assert!(
        wait_until(Duration::from_secs(5), || instance.workers().is_empty()),
        "idle workers remain"
    );
    assert!(
        wait_until(Duration::from_secs(20), || instance
            .running("hostel-keeper")
            .is_empty()),
        "the site does not sleep"
    );
    let begun = Instant::now();
    assert!(right(2, &instance.get("a.test", "/?n=2")));
    println!("woken and answered in {:?}", begun.elapsed());
    assert!(begun.elapsed() < patience(Duration::from_secs(2)));
}

#[test]
fn workers_are_recycled_between_requests() {
    let instance = Instance::new("recycle")
        .site(site("a", User::One).toml("workers_max = 1\nrequests_per_worker = 5"))
        .start();
    let mut pids = HashSet::new();
    for n in 0..30 {
        let answer = instance.get("a.test", &format!("/?n={n}"));
        assert!(right(n, &answer), "{}", answer.text());
        pids.insert(answer.text().rsplit(' ').next().expect("a pid").to_owned());
    }
    assert!(
        (6..=8).contains(&pids.len()),
        "{} workers for 30 requests",
        pids.len()
    );
}

/// A directory that is removed at the end.
struct Closed(PathBuf);

impl Drop for Closed {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_dir_all(&self.0) {
            println!("removing {}: {e}", self.0.display());
        }
    }
}

#[test]
fn programs_beneath_a_closed_directory_work() {
    use std::os::unix::fs::PermissionsExt;
    let closed = Closed(PathBuf::from(format!(
        "/root/hostel-test-{}",
        std::process::id()
    )));
    let programs = closed.0.join("clone/target/release");
    fs::create_dir_all(&programs).expect("/root");
    fs::set_permissions(&closed.0, fs::Permissions::from_mode(0o700)).expect("/root");
    for name in hostel_e2e::PROGRAMS {
        copy_program(&hostel_e2e::programs().join(name), &programs.join(name));
    }
    let mut instance = Instance::new("closed")
        .programs(&programs)
        .site(site("a", User::One))
        .start();
    assert!(right(1, &instance.get("a.test", "/?n=1")));
    assert_eq!(instance.get("a.test", "/file.txt").text(), "a file");
    assert_eq!(instance.stop(), Leftovers::default());
}

fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .arg("--reflink=auto")
        .args([from, to])
        .status();
    assert!(copied.expect("cp").success(), "copying {}", from.display());
}

#[test]
fn a_full_log_stops_and_goes_on_after_a_rotation() {
    let instance = Instance::new("full-log")
        .site(site("a", User::One).toml("log_bytes_max = \"64K\""))
        .start();
    let long = "x".repeat(4000);
    let path = instance.path("logs/a/access.log");
    let length = || fs::metadata(&path).map_or(0, |file| file.len());
    let full = || {
        for _ in 0..10 {
            assert_eq!(instance.get("a.test", &format!("/?n=1&{long}")).status, 200);
        }
        fs::read_to_string(&path).is_ok_and(|text| text.contains("has reached its bound"))
    };
    assert!(
        wait_until(Duration::from_secs(10), full),
        "{}",
        instance.logs()
    );
    let (before, line) = (length(), 200);
    assert!(before <= 65_536 + line, "{before}");
    for _ in 0..10 {
        instance.get("a.test", &format!("/?n=1&{long}"));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(length(), before);
    let log = fs::read_to_string(instance.path("logs/server.log")).expect("the log");
    let told = "site a: the access log has reached 65536 bytes ('log_bytes_max')";
    assert_eq!(log.matches(told).count(), 1, "{log}");

    fs::rename(&path, path.with_extension("1")).expect("root may");
    instance.signal(Signal::USR1);
    let goes_on = || {
        instance.get("a.test", "/?n=1&after");
        fs::read_to_string(&path).is_ok_and(|text| text.contains("after"))
    };
    assert!(
        wait_until(Duration::from_secs(10), goes_on),
        "{}",
        instance.logs()
    );
}

/// Whether anybody listens on a Unix socket, of any kind.
fn is_listened_on(path: &Path) -> bool {
    let text = fs::read_to_string("/proc/net/unix").expect("/proc");
    text.lines()
        .any(|line| line.ends_with(&path.display().to_string()))
}
