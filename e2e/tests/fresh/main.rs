//! A site whose requests are fresh: what a script does to its process is not there for the next one.
//!
//! `scripts.rs` is a rota of scripts that each leave state, with what a probe looks for afterwards. They run in an order by chance,
//! whose seed is printed and can be given by HOSTEL_SEED. The same rota must be noticed where workers are used again, or it would prove
//! nothing. Shared on purpose, and so not looked at: files, sessions, OPcache's memory.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use hostel_e2e::http::Connection;
use hostel_e2e::process::wait_until;
use hostel_e2e::{Instance, Request, Site, User};

mod random;
mod scripts;

use scripts::{COMMON, SCRIPTS};

/// Scripts of the rota that run one after the other, each followed by the probe.
const ROUNDS: usize = 200;
/// What one worker may hold more than another: what it takes to compile the script that looks, where OPcache has just been emptied; and
const KIB_TOLERANCE: u64 = 1024;

fn site(name: &str, fresh: &str) -> Site {
    let mut site = Site::new(name, User::One)
        .toml(&format!("fresh = {fresh}\nworkers_max = 2"))
        .file("public/common.php", COMMON)
        .file("public/probe.php", scripts::probe())
        .file("public/measure.php", scripts::MEASURE)
        .file("public/slow.php", "<?php usleep(200000); echo getmypid();")
        .file("public/pid.php", "<?php echo getmypid();");
    for script in SCRIPTS {
        let text = format!("<?php require 'common.php'; echo 'begun'; {}", script.leak);
        site = site.file(&format!("public/{}.php", script.name), text);
    }
    site.toml("[php.admin_value]\n\"ffi.enable\" = true\ndisplay_errors = false\nopcache.jit_buffer_size = 0")
}

/// Numbers by chance, from a seed that is told.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let clock = SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("a clock")
            .as_nanos();
        let given = std::env::var("HOSTEL_SEED").ok();
        let seed = given.map_or(u64::try_from(clock & 0xffff_ffff).unwrap_or(1), |seed| {
            seed.parse().expect("HOSTEL_SEED is a number")
        });
        println!("HOSTEL_SEED={seed}");
        Self(seed | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("below the bound")
    }
}

/// What the probe finds, by the scripts' names.
fn found(connection: &mut Connection, host: &str) -> BTreeSet<String> {
    let answer = connection
        .exchange(&Request::get(host, "/probe.php"))
        .expect("an answer of the probe");
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_str(&answer.text()).unwrap_or_else(|_| panic!("{}", answer.text()))
}

/// KiB of address space, mappings, descriptors, threads.
fn measured(connection: &mut Connection, host: &str) -> [u64; 4] {
    let answer = connection
        .exchange(&Request::get(host, "/measure.php"))
        .expect("an answer");
    serde_json::from_str(&answer.text()).unwrap_or_else(|_| panic!("{}", answer.text()))
}

fn leak(connection: &mut Connection, host: &str, name: &str) {
    let answer = connection
        .exchange(&Request::get(host, &format!("/{name}.php")))
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    // Those that end in an error end so each time.
    assert!(matches!(answer.status, 200 | 500), "{name}: {answer:?}");
}

/// Every script of the rota, and then some by chance, each followed by the probe and a look at what the process holds.
fn nothing_survives(fresh: &str) -> Instance {
    let instance = Instance::new("fresh").site(site("a", fresh)).start();
    let mut random = Random::new();
    let mut connection = instance.connect();
    let at_first = found(&mut connection, "a.test");
    assert_eq!(at_first, BTreeSet::new(), "a first request");
    if fresh == "true" {
        is_put_back(&instance, &mut connection);
    }
    // Twice: the first time its script is read from a file that is open meanwhile.
    measured(&mut connection, "a.test");
    let first = measured(&mut connection, "a.test");
    for round in 0..ROUNDS {
        // All of them at least once.
        let any = &SCRIPTS[random.below(SCRIPTS.len())];
        let script = SCRIPTS.get(round).unwrap_or(any);
        leak(&mut connection, "a.test", script.name);
        let found = found(&mut connection, "a.test");
        let name = script.name;
        assert_eq!(found, BTreeSet::new(), "after {name} in round {round}");
        let now = measured(&mut connection, "a.test");
        assert!(now[0] <= first[0] + KIB_TOLERANCE, "{first:?} {now:?}");
        assert!(now[1] <= first[1] + 2, "{first:?} {now:?}");
        // One more where the script was compiled, and so read, anew.
        assert!(now[2] <= first[2] + 1, "{first:?} {now:?}");
        assert_eq!(now[3], 1, "threads");
    }
    // The log is written a few times in a second.
    std::thread::sleep(Duration::from_millis(500));
    let log = instance.log("a", "error");
    assert!(!log.contains("was ended by signal"), "{log}");
    assert!(!log.contains("ended with status"), "{log}");
    instance
}

/// Ask until workers are put back: until it is known that they may be, each serves one request.
fn is_put_back(instance: &Instance, connection: &mut Connection) {
    let put_back = wait_until(Duration::from_secs(10), || {
        found(connection, "a.test");
        status(instance)["fresh"] == "rewind"
    });
    assert!(put_back, "{}", instance.log("a", "error"));
}

/// What `hostel status` says of the site.
fn status(instance: &Instance) -> serde_json::Value {
    let (is_well, text, errors) = instance.command(&["status", "--json"]);
    assert!(is_well, "{errors}");
    let mut status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    status["sites"][0].take()
}

#[test]
fn no_state_of_a_request_survives_it_in_a_process_of_its_own() {
    let instance = nothing_survives("\"fork\"");
    // The process that all of them are copies of has not grown, and none of them is left.
    // (What a script has forked is PHP too, for a second.)
    assert!(wait_until(Duration::from_secs(5), || instance
        .zygotes()
        .len()
        == 1));
    let zygotes = instance.zygotes();
    let descriptors = zygotes[0].descriptors().len();
    assert!(descriptors < 20, "{:?}", zygotes[0].descriptors());
    let is_left = || instance.workers().len() > 2;
    assert!(wait_until(Duration::from_secs(5), || !is_left()));
    assert_eq!(status(&instance)["fresh"], "fork");
}

#[test]
fn no_state_of_a_request_survives_it_in_a_process_that_is_put_back() {
    let instance = nothing_survives("true");
    let status = status(&instance);
    assert_eq!(status["fresh"], "rewind", "{status}");
    // It was put back, and not replaced each time.
    let started = status["workers"]["started"].as_u64().expect("a number");
    let requests = status["requests"].as_u64().expect("a number");
    assert!(started * 10 < requests, "{started} for {requests}");
    println!("{started} workers for {requests} requests");
}

#[test]
fn where_workers_are_used_again_the_rota_is_noticed() {
    let instance = Instance::new("fresh").site(site("a", "false")).start();
    for script in SCRIPTS.iter().filter(|script| script.sticks) {
        // Each on a worker of its own: some of them spoil it for what follows.
        for worker in instance.workers() {
            worker.signal(hostel_e2e::process::Signal::KILL);
        }
        assert!(wait_until(Duration::from_secs(5), || instance
            .workers()
            .is_empty()));
        let mut connection = instance.connect();
        leak(&mut connection, "a.test", script.name);
        let found = found(&mut connection, "a.test");
        assert!(found.contains(script.name), "{}: {found:?}", script.name);
    }
    let sticking = SCRIPTS.iter().filter(|script| script.sticks).count();
    assert!(
        sticking >= 15,
        "{sticking} of {} are noticed",
        SCRIPTS.len()
    );
}

#[test]
fn the_next_worker_is_forked_while_a_request_runs() {
    let instance = Instance::new("fresh").site(site("a", "\"fork\"")).start();
    let mut connection = instance.connect();
    let pid = |connection: &mut Connection, path: &str| {
        let answer = connection.exchange(&Request::get("a.test", path));
        answer.expect("an answer").text()
    };
    let first = pid(&mut connection, "/pid.php");
    let second = pid(&mut connection, "/pid.php");
    assert_ne!(first, second, "one process has answered two requests");
    let slow = std::thread::scope(|scope| {
        let slow = scope.spawn(|| pid(&mut instance.connect(), "/slow.php"));
        // One runs and the next one waits for its request.
        assert!(wait_until(Duration::from_secs(5), || instance
            .workers()
            .len()
            == 2));
        slow.join().expect("an answer")
    });
    assert_ne!(slow, second);
    assert!(wait_until(Duration::from_secs(5), || instance
        .workers()
        .len()
        == 1));
    assert_ne!(pid(&mut connection, "/pid.php"), slow);
}

/// A module of PHP under a name that nobody has heard of: Debian's ctype, whose name was written over in its file.
fn unknown_module() -> Vec<u8> {
    let mut module =
        std::fs::read("/usr/lib/php/20220829/ctype.so").expect("Debian's module ctype");
    let (theirs, ours) = (b"\0ctype\0", b"\0owned\0");
    let places: Vec<usize> = (0..module.len() - theirs.len())
        .filter(|at| module[*at..].starts_with(theirs))
        .collect();
    for at in places {
        module[at..at + ours.len()].copy_from_slice(ours);
    }
    module
}

#[test]
fn a_module_that_nobody_knows_is_served_by_fork_as_status_and_the_log_say() {
    let instance = Instance::new("fresh");
    let ini = instance.path("ini");
    std::fs::create_dir_all(ini.join("conf.d")).expect("a directory");
    std::fs::write(ini.join("php.ini"), "").expect("a file");
    // Nothing of PHP's own settings can be run in a sandbox; a home can.
    let own = instance.home("a").join("own.so");
    let modules = format!("zend_extension = opcache\nextension = {}\n", own.display());
    std::fs::write(ini.join("conf.d/10-modules.ini"), modules).expect("a file");
    let site = Site::new("a", User::One).toml("fresh = true").file(
        "public/index.php",
        "<?php echo ctype_digit('1') ? getmypid() : '';",
    );
    let instance = instance
        .settings(&format!("php_ini = {:?}", ini.display().to_string()))
        .site(site)
        .start();
    std::fs::write(own, unknown_module()).expect("a file");
    let pids: BTreeSet<String> = (0..4).map(|_| instance.get("a.test", "/").text()).collect();
    assert_eq!(pids.len(), 4, "a process for each: {pids:?}");
    assert_eq!(status(&instance)["fresh"], "fork");
    let said = "fresh = true is served by fork, as the module owned is not known to leave nothing";
    let once = || instance.log("a", "error").matches(said).count() == 1;
    assert!(
        wait_until(Duration::from_secs(5), once),
        "{}",
        instance.log("a", "error")
    );
}
