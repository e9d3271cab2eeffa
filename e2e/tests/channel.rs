//! A hostile worker, zygote or keeper: the front survives, only that site suffers, no visitor sees another's bytes.
//!
//! `hostile/` takes the place of one program; every trick has a site of its own (of one user, who shares them), and an honest
//! site of another user, with the real programs, is under load throughout.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hostel_e2e::load::Connections;
use hostel_e2e::{
    Connection, Instance, Load, Process, Request, Response, Site, User, patience, wait_until,
};

/// What a visitor may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// The answer that was made for this visitor, whole.
    Right,
    /// A status of the front's own.
    Status(u16),
    /// A connection that ended within the answer, so that the visitor knows.
    Cut,
}

use Seen::{Cut, Right, Status};

/// A trick and what a visitor of it may see.
type Trick = (&'static str, &'static [Seen]);

/// More than the front's own bounds for one request of these sites, and less than a test's patience.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The honest site's slowest answer, on a machine where something else floods.
const NEIGHBOUR_MAX: Duration = Duration::from_secs(3);
/// The front's memory, whatever sites do.
const FRONT_KIB_MAX: u64 = 128 * 1024;

const WORKER_TRICKS: &[Trick] = &[
    ("twice", &[Right, Status(502)]),
    ("twice-for-the-next", &[Right, Status(502)]),
    ("late", &[Right]),
    ("idle-garbage", &[Right]),
    ("wrong-number", &[Status(502)]),
    ("other-number-midway", &[Status(502), Cut]),
    ("too-long", &[Status(502)]),
    ("head-ends-early", &[Status(502)]),
    ("head-too-many", &[Status(502)]),
    ("end-malformed", &[Status(502), Cut]),
    ("unknown-kind", &[Status(502)]),
    ("body-first", &[Status(502)]),
    ("end-first", &[Status(502)]),
    ("two-heads", &[Status(502), Cut]),
    ("header-cr", &[Status(502)]),
    ("header-lf", &[Status(502)]),
    ("header-crlf", &[Status(502)]),
    ("header-nul", &[Status(502)]),
    ("header-without-colon", &[Status(502)]),
    ("header-without-name", &[Status(502)]),
    ("header-with-space", &[Status(502)]),
    ("status-0", &[Status(502)]),
    ("status-100", &[Status(502)]),
    ("status-101", &[Status(502)]),
    ("status-65535", &[Status(502)]),
    ("length-too-small", &[Right, Status(502), Cut]),
    ("length-too-large", &[Right, Status(502), Cut]),
    ("length-twice", &[Right, Status(502), Cut]),
    ("chunked", &[Right, Status(502)]),
    ("upgrade", &[Right, Status(502)]),
    ("a-byte-at-a-time", &[Right]),
    ("never", &[Status(504)]),
    ("closes", &[Status(502)]),
    ("closes-midway", &[Status(502), Cut]),
    ("closes-within-a-frame", &[Status(502), Cut]),
    ("dies-but-writes", &[Status(502)]),
    ("after-finish", &[Right]),
    ("log", &[Right]),
    ("flood-of-nothing", &[Status(502), Status(504)]),
    (
        "flood-of-nothing-in-a-body",
        &[Status(502), Status(504), Cut],
    ),
    ("flood-of-logs", &[Status(502), Status(504)]),
    ("answers-beyond", &[Status(502)]),
    ("answers-backwards", &[Status(502)]),
    ("answers-unwritten", &[Status(502)]),
    ("requests-unread", &[Right, Status(502), Status(504)]),
    ("requests-ahead", &[Status(502), Status(504)]),
    ("scribbles", &[Status(502), Status(504)]),
    ("holes", &[Right, Status(502), Status(504), Cut]),
    ("shrinks-the-memory", &[Right]),
    ("rings-for-nothing", &[Right, Status(502)]),
    ("rings-when-idle", &[Right, Status(502)]),
    ("byte-on-the-socket", &[Status(502), Right]),
    ("zygote-nonsense", &[Status(502), Status(503)]),
    ("zygote-lies", &[Status(502), Status(503)]),
    ("zygote-ends", &[Status(502), Status(503)]),
];

const KEEPER_TRICKS: &[Trick] = &[
    ("no-descriptor", &[Status(503)]),
    ("two-descriptors", &[Status(503)]),
    ("twenty-descriptors", &[Status(503)]),
    ("descriptor-with-nothing", &[Status(503)]),
    ("handle", &[Status(503)]),
    ("directory", &[Status(503)]),
    ("device", &[Status(503)]),
    ("socket", &[Status(503)]),
    ("fifo", &[Status(503)]),
    ("write-only", &[Status(503)]),
    ("read-write", &[Status(503)]),
    ("direct", &[Status(503)]),
    ("control-socket", &[Status(503)]),
    ("unknown-ticket", &[Status(503)]),
    ("answers-twice", &[Status(404), Status(503)]),
    ("nonsense", &[Status(503)]),
    ("cut", &[Status(503)]),
    ("too-long", &[Status(503)]),
    ("unchanged", &[Status(503)]),
    ("script-above", &[Status(503)]),
    ("script-relative", &[Status(503)]),
    ("name-with-slash", &[Status(503)]),
    ("name-empty", &[Status(503)]),
    ("unknown-worker", &[Status(503)]),
    ("busy", &[Status(503)]),
    ("ready-again", &[Status(503)]),
    ("closes", &[Status(503)]),
    ("flood", &[Status(503)]),
    ("script-for-ever", &[Status(503), Status(404), Status(502)]),
    ("size-lie", &[Right]),
    ("shrinks", &[Right, Status(500), Status(503), Cut]),
    ("silent", &[Status(503)]),
];

/// A directory with the real programs, one of them replaced. Removed at the end.
struct Programs(PathBuf);

impl Programs {
    fn with_hostile(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = format!("/srv/hostel-test-{}-programs-{number}", std::process::id());
        let path = PathBuf::from(path);
        fs::create_dir_all(&path).expect("/srv can be written by root");
        for program in hostel_e2e::PROGRAMS {
            let from = if program == name {
                PathBuf::from(env!("CARGO_BIN_EXE_hostile"))
            } else {
                hostel_e2e::programs().join(program)
            };
            fs::copy(&from, path.join(program)).unwrap_or_else(|e| {
                panic!(
                    "{}: {e}: build with `cargo build --release`",
                    from.display()
                )
            });
        }
        Self(path)
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            println!("removing {}: {error}", self.0.display());
        }
    }
}

/// One hostile site for each trick, and the honest one.
fn instance(replaced: &str, programs: &Programs, tricks: &[Trick]) -> Instance {
    let real = hostel_e2e::programs().join(replaced);
    let real = fs::read(&real).unwrap_or_else(|e| panic!("{}: {e}", real.display()));
    let honest = format!("honest/{replaced}");
    let mut instance = Instance::new(replaced).programs(&programs.0).site(
        Site::new("neighbour", User::Two)
            .file("public/honest.php", "<?php echo 'answer ', $_GET['n'];")
            .file("public/honest.txt", "a file")
            .file(&honest, real),
    );
    let program = instance.home("neighbour").join(honest);
    fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("just written");
    for (trick, _) in tricks {
        instance.add_site(Site::new(trick, User::One).toml(
            "share_user = true\nworkers_max = 2\nqueue_seconds_max = 2\nrequest_seconds_max = 2",
        ));
    }
    instance.start()
}

fn neighbours_load(instance: &Instance) -> Load {
    let request = |n: u32| match n % 3 {
        0 => Request::get("neighbour.test", "/honest.txt"),
        _ => Request::get("neighbour.test", &format!("/honest.php?n={n}")),
    };
    let check = |n: u32, response: &Response| match n % 3 {
        0 => response.text() == "a file",
        _ => response.text() == format!("answer {n}"),
    };
    Load::start(instance.port(), 2, Connections::Kept, request, check)
}

/// What an exchange came to. Anything that is not one of the three is what no visitor may ever see.
fn judge(outcome: io::Result<Response>, right: &str) -> Result<Seen, String> {
    match outcome {
        Err(_) => Ok(Cut),
        Ok(response) if response.status == 200 && response.text() == right => Ok(Right),
        Ok(response) if response.status >= 400 && !format!("{response:?}").contains("STOLEN") => {
            Ok(Status(response.status))
        }
        Ok(response) => Err(format!("{response:?} {}", response.text())),
    }
}

fn host(trick: &str) -> String {
    format!("{trick}.test")
}

/// Visit, then visit others of the same site: on the same connection where it is kept, and on new ones.
fn visit_worker(instance: &Instance, (trick, allowed): Trick, number: u32) {
    let host = host(trick);
    let request = |script: &str, n: &str| Request::get(&host, &format!("/{script}.php?n={n}"));
    let visitor = format!("{number}");
    let mut connection = instance.connect();
    let begun = Instant::now();
    let outcome = connection.exchange(&request(trick, &visitor));
    assert!(
        begun.elapsed() < patience(ANSWER_MAX),
        "{trick}: {:?}",
        begun.elapsed()
    );
    let seen = judge(outcome, &format!("answer {visitor}"));
    let seen = seen.unwrap_or_else(|e| panic!("{trick}: a visitor got {e}"));
    assert!(
        allowed.contains(&seen),
        "{trick}: {seen:?}, allowed: {allowed:?}"
    );
    println!("{trick}: {seen:?} after {:?}", begun.elapsed());

    let next = |connection: &mut Connection, n: &str| {
        let outcome = connection.exchange(&request("honest", n));
        judge(outcome, &format!("answer {n}"))
            .unwrap_or_else(|e| panic!("{trick}: the next visitor {n} got {e}"))
    };
    // The connection may have been closed; if it was not, what comes on it is the right answer or an error of the front's own.
    next(&mut connection, &format!("{number}-kept"));
    let mut last = Cut;
    let served = wait_until(Duration::from_secs(5), || {
        last = next(&mut instance.connect(), &format!("{number}-new"));
        last == Right
    });
    assert!(served, "{trick}: the site does not recover: {last:?}");
    for visit in 0..4 {
        let n = format!("{number}-{visit}");
        assert_eq!(next(&mut instance.connect(), &n), Right, "{trick}");
    }
}

/// Two visitors of the trick and two others at the same time.
fn visit_worker_at_once(instance: &Instance, (trick, _): Trick) {
    std::thread::scope(|scope| {
        for visitor in 0..4 {
            scope.spawn(move || {
                let script = if visitor % 2 == 0 { trick } else { "honest" };
                for round in 0..3 {
                    let n = format!("{visitor}-{round}");
                    let request = Request::get(&host(trick), &format!("/{script}.php?n={n}"));
                    let outcome = instance.connect().exchange(&request);
                    judge(outcome, &format!("answer {n}"))
                        .unwrap_or_else(|e| panic!("{trick}: visitor {n} got {e}"));
                }
            });
        }
    });
}

/// The front is the same process as before, its memory is bounded, and the neighbour has noticed nothing.
fn check_others(instance: &Instance, front: &Process, load: Load) {
    let counts = load.finish();
    assert_eq!(
        instance.running("hostel-front"),
        std::slice::from_ref(front),
        "the front was replaced"
    );
    let memory = front.status("VmRSS").expect("the front runs");
    let kib: u64 = memory
        .trim_end_matches(" kB")
        .parse()
        .expect("a number of kB");
    println!(
        "front: {kib} KiB; neighbour: {} right, slowest {:?}",
        counts.right, counts.slowest
    );
    assert!(kib < FRONT_KIB_MAX, "the front has grown to {kib} KiB");
    assert!(counts.right > 100, "{counts:?}");
    assert_eq!(counts.lost(), 0, "{counts:?}");
    assert!(
        counts.slowest < patience(NEIGHBOUR_MAX),
        "{:?}",
        counts.slowest
    );
}

fn the_front(instance: &Instance) -> Process {
    let mut fronts = instance.running("hostel-front");
    fronts.pop().expect("a front runs")
}

#[test]
fn a_hostile_worker_harms_its_own_site_alone() {
    let programs = Programs::with_hostile("hostel-php");
    let instance = instance("hostel-php", &programs, WORKER_TRICKS);
    let front = the_front(&instance);
    let load = neighbours_load(&instance);
    for (number, trick) in (1..).zip(WORKER_TRICKS) {
        visit_worker(&instance, *trick, number);
        visit_worker_at_once(&instance, *trick);
    }
    let log = instance.log("log", "error");
    assert!(log.contains("a line"), "{log}");
    let forged = log.lines().any(|line| line.starts_with("forged"));
    assert!(!forged, "a site has forged a line of its log: {log}");
    check_others(&instance, &front, load);
}

#[test]
fn an_endless_answer_waits_for_its_visitor() {
    let programs = Programs::with_hostile("hostel-php");
    let mut instance = instance("hostel-php", &programs, &[]);
    instance.add_site(
        Site::new("endless", User::One)
            .toml("workers_max = 2\nanswer_bytes_max = \"1M\"\nrequest_seconds_max = 5"),
    );
    instance.reload();
    let served = || instance.get("endless.test", "/honest.php?n=1").text() == "answer 1";
    assert!(
        wait_until(Duration::from_secs(5), served),
        "{}",
        instance.logs()
    );
    let front = the_front(&instance);
    let load = neighbours_load(&instance);
    let mut visitor = instance.connect();
    let request = Request::get("endless.test", "/endless.php?n=2");
    visitor.send(&request.bytes()).expect("sent");
    assert_eq!(visitor.receive_head().expect("a head").status, 200);
    std::thread::sleep(Duration::from_secs(2));
    let held = fs::read_dir(instance.path("state/spill"))
        .expect("the spill directory")
        .count();
    assert_eq!(held, 0, "spill files have no names");
    let part = visitor.some(1000).expect("some of it");
    assert!(part.contains(&b'e'), "{part:?}");
    drop(visitor);
    assert!(
        wait_until(Duration::from_secs(5), served),
        "{}",
        instance.logs()
    );
    check_others(&instance, &front, load);
}

#[test]
fn a_hostile_keeper_harms_its_own_site_alone() {
    let programs = Programs::with_hostile("hostel-keeper");
    let instance = instance("hostel-keeper", &programs, KEEPER_TRICKS);
    let front = the_front(&instance);
    let load = neighbours_load(&instance);
    for (trick, allowed) in KEEPER_TRICKS {
        let get = |path: &str, right: &str| {
            let begun = Instant::now();
            let outcome = instance
                .connect()
                .exchange(&Request::get(&host(trick), path));
            assert!(
                begun.elapsed() < patience(ANSWER_MAX),
                "{trick}: {:?}",
                begun.elapsed()
            );
            judge(outcome, right).unwrap_or_else(|e| panic!("{trick}: a visitor got {e}"))
        };
        let seen = get(&format!("/{trick}.txt"), "a small file");
        assert!(
            allowed.contains(&seen),
            "{trick}: {seen:?}, allowed: {allowed:?}"
        );
        println!("{trick}: {seen:?}");
        if *trick == "silent" {
            continue;
        }
        // Its keeper was given up where it lied, and replaced.
        let mut last = Cut;
        let served = wait_until(Duration::from_secs(10), || {
            last = get("/honest.txt", "a small file");
            last == Right
        });
        assert!(served, "{trick}: the site does not recover: {last:?}");
    }
    check_others(&instance, &front, load);
    let mut passed: Vec<_> = front
        .descriptors()
        .into_iter()
        .map(|(_, target)| target)
        .collect();
    passed.retain(|target| {
        ["/tmp", "/dev/zero"]
            .iter()
            .any(|place| target.starts_with(place))
    });
    let kept = |target: &&String| {
        let path = target.trim_end_matches(" (deleted)");
        ["/tmp/regular", "/tmp/shrinks"].contains(&path)
    };
    let refused: Vec<_> = passed.iter().filter(|target| !kept(target)).collect();
    assert!(
        refused.is_empty(),
        "refused descriptors were not closed: {refused:?}"
    );
    let sites = KEEPER_TRICKS.len();
    assert!(
        passed.len() <= 2 * sites,
        "{} descriptors of {sites} sites",
        passed.len()
    );
}
