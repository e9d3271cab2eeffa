//! A fork bomb, a memory hog and busy loops in one site; another one is served as ever.
//!
//! Asserted where the kernel has control groups; without them it is measured and told. Each attack is bounded by the site's
//! limits, and but for the fork bomb, which is lit only where a group bounds it, by itself. It compares times of less than a
//! millisecond: a machine that does something else meanwhile, or whose processor is emulated and whose clock is not (there one
//! request takes many time slices), gives other results. `make test-vm` has a guest whose clock goes by its instructions.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hostel_e2e::{Instance, Request, Site, User, has_control_groups, http, patience};
use serde_json::{Value, json};

/// What could not be forked ends; what could forks again.
const BOMB: &str = "<?php exec('sh -c \"f() { f | f & }; f\" > /dev/null 2>&1 &'); echo 'lit';";
const LIMITS: &str = "memory_max = \"128M\"\nprocesses_max = 64\nworkers_max = 8";
/// What a percentile may grow by beyond the slowest of the quiet runs.
const ALLOWED: f64 = 1.1;
/// Requests in one measurement.
const MEASURED: usize = 300;
/// From one of them to the next, so that the attacks have their time.
const PAUSE: Duration = Duration::from_millis(10);

/// What one measurement of site `b` found, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Times {
    median: f64,
    p95: f64,
}

/// Requests to site `a`, each sent again and again by a thread of its own, until stopped.
struct Attack {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Attack {
    fn begin(instance: &Instance, targets: &[&'static str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = targets.iter().map(|&target| {
            let (port, stop) = (instance.port(), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // Whatever the answer is, if there is one: the site has brought it upon itself.
                    drop(http::exchange(port, &Request::get("a.test", target)));
                    std::thread::sleep(Duration::from_millis(100));
                }
            })
        });
        let threads = threads.collect();
        std::thread::sleep(patience(Duration::from_millis(100)));
        Self { stop, threads }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("an attacker does not panic");
        }
    }
}

fn measure(instance: &Instance, what: &str) -> Times {
    let request = Request::get("b.test", "/");
    let mut connection = instance.connect();
    let mut times: Vec<f64> = (0..MEASURED)
        .map(|_| {
            let begun = Instant::now();
            let answer = connection.exchange(&request).expect("site b answers");
            let took = begun.elapsed();
            assert_eq!((answer.status, answer.text().as_str()), (200, "here"));
            std::thread::sleep(PAUSE);
            took.as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let times = Times {
        median: times[MEASURED / 2],
        p95: times[MEASURED * 95 / 100],
    };
    println!(
        "{what}: median {:.3} ms, 95th percentile {:.3} ms",
        times.median, times.p95
    );
    times
}

/// One count of what site `a` has used, or was refused; none without a control group.
fn count(instance: &Instance, counter: &str) -> Option<u64> {
    let (ok, output, errors) = instance.command(&["status", "--json"]);
    assert!(ok, "{errors}");
    let status: Value = serde_json::from_str(&output).expect("JSON");
    let sites = status["sites"].as_array().expect("a list");
    let site = sites.iter().find(|site| site["name"] == "a");
    site.expect("site a")["usage"][counter].as_u64()
}

fn instance() -> Instance {
    let attacker = Site::new("a", User::One)
        .toml(LIMITS)
        .file("public/index.php", "<?php echo 'here';")
        .file("public/take.php", include_str!("../probe/take.php"))
        .file("public/start.php", include_str!("../probe/start.php"))
        .file("public/loop.php", include_str!("../probe/loop.php"))
        .file("public/bomb.php", BOMB);
    let victim = Site::new("b", User::Two)
        .toml("requests_per_worker = 0")
        .file("public/index.php", "<?php echo 'here';");
    Instance::new("neighbour")
        .site(attacker)
        .site(victim)
        .start()
}

/// What one attack did.
struct Attacked {
    name: &'static str,
    /// What it must have moved.
    counter: &'static str,
    moved: bool,
    times: Times,
}

#[test]
fn a_neighbour_of_a_site_that_wants_all_is_served_as_ever() {
    let has_groups = has_control_groups();
    let instance = instance();
    assert_eq!(instance.get("a.test", "/").text(), "here");
    measure(&instance, "warming up");
    let quiet = [1, 2, 3].map(|n| measure(&instance, &format!("quiet {n}")));
    let bomb = match has_groups {
        true => "/bomb.php",
        false => "/start.php?n=60",
    };
    let attack = |name, targets: &[&'static str], counter| {
        let before = count(&instance, counter);
        let attack = Attack::begin(&instance, targets);
        let times = measure(&instance, name);
        attack.end();
        let moved = count(&instance, counter) > before;
        Attacked {
            name,
            counter,
            moved,
            times,
        }
    };
    let attacked = [
        attack("busy loops", &["/loop.php?ms=3000"; 4], "cpu_ms"),
        attack(
            "memory hogs",
            &["/take.php?mib=400"; 2],
            "ended_without_memory",
        ),
        // Last, for it does not end.
        attack("fork bombs", &[bomb; 2], "processes_refused"),
    ];
    report(has_groups, &quiet, &attacked);
    let worst = |of: fn(&Times) -> f64| quiet.iter().map(of).fold(0.0, f64::max);
    let (median, p95) = (
        worst(|times| times.median) * ALLOWED,
        worst(|times| times.p95) * ALLOWED,
    );
    for one in attacked.iter().filter(|_| has_groups) {
        let (name, times) = (one.name, one.times);
        assert!(one.moved, "{name}: {} stays: it was no attack", one.counter);
        assert!(
            times.median <= median,
            "{name}: {times:?}, median allowed {median:.3}"
        );
        assert!(
            times.p95 <= p95,
            "{name}: {times:?}, 95th percentile allowed {p95:.3}"
        );
    }
}

fn report(has_groups: bool, quiet: &[Times], attacked: &[Attacked]) {
    let times = |times: &Times| json!({ "median_ms": times.median, "p95_ms": times.p95 });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc");
    let attack = |one: &Attacked| json!({ "attack": one.name, "times": times(&one.times) });
    let document = json!({
        "kernel": kernel.trim(),
        "control_groups": has_groups,
        "requests": MEASURED,
        "errors": 0,
        "allowed": ALLOWED,
        "quiet": quiet.iter().map(times).collect::<Vec<_>>(),
        "attacked": attacked.iter().map(attack).collect::<Vec<_>>(),
    });
    println!("{document:#}");
    if let Some(directory) = std::env::var_os("HOSTEL_REPORT") {
        let file = PathBuf::from(directory).join("neighbour.json");
        let written = fs::write(&file, format!("{document:#}\n"));
        written.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
}
