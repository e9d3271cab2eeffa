//! A site whose requests are fresh: what a script does to its process is not there for the next one.
//!
//! `scripts.rs` is a rota of scripts that each leave state, with what a probe looks for afterwards. They run in an order by chance, whose
//! seed is printed and can be given by HOSTEL_SEED, so many as HOSTEL_FRESH_REQUESTS says (`cargo xtask fresh`: 100,000), by each of three means. The
//! same rota must be noticed where workers are used again, or it would prove nothing. Shared on purpose, and so not looked at: files,
//! sessions, OPcache's memory.

use std::collections::BTreeSet;
use std::time::Duration;

use hostel_e2e::http::Connection;
use hostel_e2e::process::{Signal, wait_until};
use hostel_e2e::{Database, Instance, Request, Site, User};

mod random;
mod rota;
mod scripts;

use rota::{Client, Code, Mechanism, Rota, site};

/// Every script of the rota, and then many by chance.
fn nothing_survives(mechanism: Mechanism) -> Rota {
    let mut rota = Rota::start(mechanism);
    rota.each_once();
    rota.many_by_chance();
    rota.nobody_has_crashed();
    rota
}

/// What `hostel status` says of a site.
fn status(instance: &Instance, name: &str) -> serde_json::Value {
    let (is_well, text, errors) = instance.command(&["status", "--json"]);
    assert!(is_well, "{errors}");
    let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let sites = status["sites"].as_array().expect("sites");
    let site = sites.iter().find(|site| site["name"] == name);
    site.expect("the site").clone()
}

#[test]
fn no_state_of_a_request_survives_it_in_a_process_of_its_own() {
    let rota = nothing_survives(Mechanism::Fork);
    let instance = &rota.instance;
    // The processes that all of them are copies of have not grown, and none of the copies is left.
    // (What a script has forked is PHP too, for a second.)
    let zygotes = || instance.zygotes();
    assert!(wait_until(Duration::from_secs(5), || zygotes().len() == 3));
    for zygote in zygotes() {
        let descriptors = zygote.descriptors();
        assert!(descriptors.len() < 20, "{descriptors:?}");
    }
    let is_left = || instance.workers().len() > 6;
    assert!(wait_until(Duration::from_secs(5), || !is_left()));
    assert_eq!(status(instance, "long")["fresh"], "fork");
}

#[test]
fn no_state_of_a_request_survives_it_in_a_process_that_is_put_back() {
    is_put_back(&nothing_survives(Mechanism::Rewind));
}

#[test]
fn no_state_of_a_request_survives_it_where_the_kernel_does_not_keep_count() {
    is_put_back(&nothing_survives(Mechanism::Private));
}

/// Workers were put back, and not replaced each time.
fn is_put_back(rota: &Rota) {
    let status = status(&rota.instance, "long");
    assert!(rota.mechanism.is_shown(&status["fresh"]), "{status}");
    let started = status["workers"]["started"].as_u64().expect("a number");
    let requests = status["requests"].as_u64().expect("a number");
    // In the part where each script runs once, some end it.
    assert!(started <= 60, "{started} for {requests}");
    println!("{started} workers for {requests} requests");
}

#[test]
fn where_workers_are_used_again_the_rota_is_noticed() {
    let instance = Instance::new("fresh");
    let database = Database::start(instance.path("database"), &["rota"]);
    let instance = instance
        .site(site(
            ("a", User::One, Code::Native),
            &database,
            "false",
            "workers_max = 1",
        ))
        .start();
    // Whoever comes first tells the others what is usual.
    Client::new(&instance, "a").found();
    let sticking = || scripts::all().filter(|script| script.sticks);
    let mut missed = Vec::new();
    for script in sticking() {
        // Each on a worker of its own: some of them spoil it for what follows.
        for worker in instance.workers() {
            worker.signal(Signal::KILL);
        }
        let none = || instance.workers().is_empty();
        assert!(wait_until(Duration::from_secs(5), none));
        let mut client = Client::new(&instance, "a");
        client.leak(script, false);
        let found = client.found();
        if !found.contains(script.name) {
            missed.push((script.name, found));
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
    let (count, all) = (sticking().count(), scripts::all().count());
    println!("{count} of {all} are noticed");
    assert!(count >= 30 && all >= 180, "{count} of {all}");
}

#[test]
fn the_next_worker_is_forked_while_a_request_runs() {
    let one = Site::new("a", User::One)
        .toml("fresh = \"fork\"\nworkers_max = 2")
        .file("public/slow.php", "<?php usleep(200000); echo getmypid();")
        .file("public/pid.php", "<?php echo getmypid();");
    let instance = Instance::new("fresh").site(one).start();
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
    assert_eq!(status(&instance, "a")["fresh"], "fork");
    let said = "fresh = true is served by fork, as the module owned is not known to leave nothing";
    let once = || instance.log("a", "error").matches(said).count() == 1;
    assert!(
        wait_until(Duration::from_secs(5), once),
        "{}",
        instance.log("a", "error")
    );
}
