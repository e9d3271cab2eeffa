//! How many workers a site gets, with no setting: many for pages that wait, as many as help for pages that compute, none when nobody
//! comes; and what the visitors of other sites notice of it.
//!
//! Numbers of workers are asserted; times only as far as they hold on a machine that does something else too. The figures are in the
//! simulation of `crates/front/src/scheduler`, whose clock nobody disturbs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hostel_e2e::load::Connections;
use hostel_e2e::{Instance, Load, Request, Site, User, http, patience, wait_until};
use serde_json::Value;

const SLEEPING: &str = "<?php usleep(50000); echo 'slept';";
/// Some 20 ms of one core, whatever the core is worth: it looks at the processor time that it has used.
const COMPUTING: &str = "<?php $used = fn() => getrusage()['ru_utime.tv_sec'] * 1e6 + getrusage()['ru_utime.tv_usec']; \
    $end = $used() + 20000; while ($used() < $end) { for ($i = 0; $i < 2000; $i++) { } } echo 'computed';";

fn site(name: &str, user: User) -> Site {
    Site::new(name, user)
        .file("public/index.php", "<?php echo 'here';")
        .file("public/sleep.php", SLEEPING)
        .file("public/compute.php", COMPUTING)
}

/// What `hostel status` says of site `a`.
fn status(instance: &Instance) -> Value {
    let (is_well, out, errors) = instance.command(&["status", "--json"]);
    assert!(is_well, "{errors}");
    let document: Value = serde_json::from_str(&out).expect("JSON");
    document["sites"][0].clone()
}

fn workers(instance: &Instance, what: &str) -> u64 {
    status(instance)["workers"][what]
        .as_u64()
        .expect("a number")
}

fn load(instance: &Instance, clients: u32, target: &'static str, text: &'static str) -> Load {
    Load::start(
        instance.port(),
        clients,
        Connections::Kept,
        move |_| Request::get("a.test", target),
        move |_, answer| answer.status == 200 && answer.text() == text,
    )
}

fn cores() -> u64 {
    thread::available_parallelism().map_or(1, |count| count.get() as u64)
}

#[test]
fn pages_that_wait_are_served_nearly_in_parallel_and_their_workers_go_when_nobody_comes() {
    let instance = Instance::new("sleepers")
        .site(site("a", User::One).toml("idle_seconds = 4"))
        .start();
    let load = load(&instance, 40, "/sleep.php", "slept");
    let grown = wait_until(Duration::from_secs(10), || workers(&instance, "busy") >= 32);
    assert!(grown, "40 visitors, but {}", status(&instance)["workers"]);
    let (before, begun) = (load.sent(), Instant::now());
    thread::sleep(Duration::from_secs(3));
    let rate = f64::from(load.sent() - before) / begun.elapsed().as_secs_f64();
    println!(
        "{rate:.0} of 800 requests of 50 ms in a second; {}",
        status(&instance)["workers"]
    );
    let counts = load.finish();
    assert_eq!(counts.lost(), 0, "{:?} {:?}", counts.failed, counts.wrong);
    assert!(
        rate > 800.0 / 2.0 / patience(Duration::from_secs(1)).as_secs_f64(),
        "{rate}"
    );
    // Spare ones first, then the last one.
    let spare_gone = wait_until(Duration::from_secs(4), || workers(&instance, "idle") <= 1);
    assert!(spare_gone, "{}", status(&instance)["workers"]);
    let all_gone = wait_until(Duration::from_secs(8), || instance.workers().is_empty());
    assert!(all_gone, "{}", status(&instance)["workers"]);
}

#[test]
fn pages_that_compute_get_as_many_workers_as_help() {
    let instance = Instance::new("computers")
        .site(site("a", User::One))
        .start();
    let load = load(&instance, 40, "/compute.php", "computed");
    // Trials and their pauses: what is found stays.
    thread::sleep(patience(Duration::from_secs(8)));
    let mut most = 0;
    let mut sum = 0;
    for _ in 0..20 {
        let busy = workers(&instance, "busy");
        most = most.max(busy);
        sum += busy;
        thread::sleep(Duration::from_millis(200));
    }
    let counts = load.finish();
    println!(
        "{} workers at most, {:.1} on the average, on {} cores",
        most,
        sum as f64 / 20.0,
        cores()
    );
    assert_eq!(counts.lost(), 0, "{:?} {:?}", counts.failed, counts.wrong);
    assert!(
        sum <= 20 * (2 * cores() + 2),
        "{sum} in 20 looks, on {} cores",
        cores()
    );
    assert!(most >= cores().min(2));
}

/// Requests for a page of site `a`, whatever becomes of them: so many in a second from `threads` threads.
struct Flood {
    stop: Arc<AtomicBool>,
    refused: Arc<AtomicU32>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Flood {
    fn begin(port: u16, threads: usize, target: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let refused = Arc::new(AtomicU32::new(0));
        let threads = (0..threads).map(|_| {
            let (stop, refused) = (Arc::clone(&stop), Arc::clone(&refused));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match http::exchange(port, &Request::get("a.test", target)) {
                        Ok(answer) if answer.status == 503 => {
                            assert!(answer.header("Retry-After").is_some());
                            refused.fetch_add(1, Ordering::Relaxed);
                            // The flood itself is to cost little: it runs on the same processors.
                            thread::sleep(Duration::from_secs(1));
                        }
                        Ok(answer) => assert_eq!(answer.status, 200),
                        Err(error) => panic!("the server answers everybody: {error}"),
                    }
                }
            })
        });
        let threads = threads.collect();
        Self {
            stop,
            refused,
            threads,
        }
    }

    /// How many were refused.
    fn end(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("every answer was right");
        }
        self.refused.load(Ordering::Relaxed)
    }
}

/// The median of requests to the three other sites, each of which must be answered.
fn median_of_others(instance: &Instance) -> Duration {
    let mut times = Vec::new();
    for number in 0..120 {
        let host = ["b.test", "c.test", "d.test"][number % 3];
        let begun = Instant::now();
        let answer = instance.get(host, "/compute.php");
        times.push(begun.elapsed());
        assert_eq!((answer.status, answer.text().as_str()), (200, "computed"));
        thread::sleep(Duration::from_millis(20));
    }
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_flood_on_one_site_leaves_the_others_alone() {
    let users = [User::One, User::Two, User::Three, User::Four];
    let mut instance = Instance::new("flood");
    for (name, user) in ["a", "b", "c", "d"].into_iter().zip(users) {
        instance = instance.site(site(name, user).toml("queue_max = 100"));
    }
    let instance = instance.start();
    median_of_others(&instance);
    let calm = median_of_others(&instance);
    for target in ["/sleep.php", "/compute.php"] {
        let flood = Flood::begin(instance.port(), 250, target);
        thread::sleep(patience(Duration::from_secs(3)));
        let flooded = median_of_others(&instance);
        let refused = flood.end();
        println!("others: {calm:?}, while {target} is flooded {flooded:?}; {refused} refused");
        // Less than what equal shares for each of the flood's workers would leave: with 10 workers it would be five times.
        let most = calm * 2 + patience(Duration::from_millis(20));
        assert!(flooded < most, "{target}: {calm:?} became {flooded:?}");
        assert!(
            target == "/sleep.php" || refused > 0,
            "250 visitors, 100 places"
        );
    }
}
