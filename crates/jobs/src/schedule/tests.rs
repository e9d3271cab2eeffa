//! One entry under a clock of the test's own.

use super::*;
use hostel_config::{Egress, Limits, MailRate};
use hostel_sys::cred::{Gid, Uid, User};

/// 2026-11-27 12:00:00.
const NOON: i64 = 1_795_780_800;

/// Hours, minutes and seconds; it is always the same day, which no test here leaves.
fn zone(time: i64) -> Civil {
    let second = time.rem_euclid(86_400);
    let small = |number: i64| u8::try_from(number).unwrap();
    Civil {
        month: 11,
        day: 27,
        weekday: 5,
        hour: small(second / 3600),
        minute: small(second / 60 % 60),
        second: small(second % 60),
    }
}

fn site(home: &str) -> Rc<Site> {
    Rc::new(Site {
        name: "blog".into(),
        domains: vec!["blog.example".into()],
        user: User {
            name: "blog".into(),
            uid: Uid(1000),
            gid: Gid(1000),
            home: "/".into(),
        },
        home: home.into(),
        root: "/srv/blog/public".into(),
        index: Vec::new(),
        script_extensions: Vec::new(),
        front_controller: String::new(),
        foreign_owners: false,
        suspended: false,
        fresh: hostel_wire::fresh::Fresh::Off,
        egress: Egress::Usual,
        services: Vec::new(),
        limits: Limits {
            workers_max: 1,
            queue_max: 1,
            queue_time_max: Duration::from_secs(1),
            request_time_max: Duration::from_secs(1),
            body_bytes_max: 1,
            answer_bytes_max: 1 << 16,
            spill_bytes_max: 1 << 20,
            idle_time: Duration::from_secs(1),
            requests_per_worker: 0,
            memory_max: None,
            cpu_weight: 100,
            cpu_max: None,
            io_weight: 100,
            processes_max: 100,
            temporary_bytes_max: 1 << 30,
            home_bytes_max: None,
            log_bytes_max: 1 << 30,
        },
        mail: MailRate {
            per_hour: 1,
            burst: 1,
        },
        php_values: Vec::new(),
    })
}

fn cron(at: &str, overlap: Overlap, timeout: u64) -> Job {
    Job::Cron(Cron {
        name: "import".into(),
        at: at.parse().unwrap(),
        command: "true".into(),
        overlap,
        timeout: Duration::from_secs(timeout),
    })
}

fn daemon(command: &str) -> Job {
    Job::Daemon(Daemon {
        name: "queue".into(),
        command: command.into(),
    })
}

/// An entry and the time.
struct World {
    entry: Entry,
    begun: Instant,
    wall: i64,
    at: u64,
}

impl World {
    fn new(job: Job) -> Self {
        let begun = Instant::now();
        let now = Now {
            wall: NOON * 1000,
            at: begun,
        };
        Self {
            entry: Entry::new(job, site("/srv/blog"), now, zone),
            begun,
            wall: NOON * 1000,
            at: 0,
        }
    }

    fn now(&self) -> Now {
        Now {
            wall: self.wall,
            at: self.begun + Duration::from_millis(self.at),
        }
    }

    /// Let time pass; what is to be done then.
    fn after(&mut self, millis: u64) -> Option<Deed> {
        self.at += millis;
        self.wall += i64::try_from(millis).unwrap();
        self.entry.act(self.now(), zone)
    }

    fn start(&mut self) {
        assert_eq!(self.after(0), Some(Deed::Start));
        self.entry.started(self.now());
    }

    fn end(&mut self, status: u8) {
        self.entry.ended(self.now(), status);
    }

    /// In milliseconds from now.
    fn deadline(&self) -> Option<u128> {
        let deadline = self.entry.deadline(self.now())?;
        Some(
            deadline
                .saturating_duration_since(self.now().at)
                .as_millis(),
        )
    }
}

#[test]
fn a_cron_entry_is_started_when_it_is_due_and_not_before() {
    let mut world = World::new(cron("*:0/5", Overlap::Skip, 60));
    assert_eq!(world.deadline(), Some(300_000));
    assert_eq!(world.after(299_999), None);
    assert_eq!(world.after(1), Some(Deed::Start));
    world.entry.started(world.now());
    assert_eq!(world.after(2_500), None);
    world.end(3);
    let last = world.entry.last.clone().unwrap();
    assert_eq!(last.started, (NOON + 300) * 1000);
    assert_eq!(last.took, Duration::from_millis(2_500));
    assert_eq!(last.outcome, Outcome::Ended(3, None));
    assert_eq!(world.after(0), None);
    assert_eq!(world.deadline(), Some(297_500));
    assert_eq!((world.entry.counts.runs, world.entry.counts.failed), (1, 1));
}

#[test]
fn a_run_that_overlaps_is_left_out_or_waits_or_ends_the_last() {
    let mut skip = World::new(cron("*:*:0/10", Overlap::Skip, 600));
    assert_eq!(skip.after(10_000), Some(Deed::Start));
    skip.entry.started(skip.now());
    assert_eq!((skip.after(10_000), skip.after(10_000)), (None, None));
    assert_eq!(skip.entry.counts.skipped, 2);
    skip.end(0);
    assert_eq!(
        (skip.after(9_000), skip.after(1_000)),
        (None, Some(Deed::Start))
    );

    let mut wait = World::new(cron("*:*:0/10", Overlap::Wait, 600));
    assert_eq!(wait.after(10_000), Some(Deed::Start));
    wait.entry.started(wait.now());
    assert_eq!((wait.after(10_000), wait.after(10_000)), (None, None));
    wait.end(0);
    // Two were due, one is made up for.
    wait.start();
    wait.end(0);
    assert_eq!(wait.after(1_000), None);

    let mut kill = World::new(cron("*:*:0/10", Overlap::Kill, 600));
    assert_eq!(kill.after(10_000), Some(Deed::Start));
    kill.entry.started(kill.now());
    assert_eq!(kill.after(10_000), Some(Deed::Stop(Why::Replaced)));
    // It is told once, and the next begins when it has ended.
    assert_eq!(kill.after(100), None);
    kill.end(143);
    assert_eq!(kill.after(0), Some(Deed::Start));
}

#[test]
fn a_run_that_takes_too_long_is_ended() {
    let mut world = World::new(cron("hourly", Overlap::Skip, 90));
    assert_eq!(world.after(3_600_000), Some(Deed::Start));
    world.entry.started(world.now());
    assert_eq!(world.deadline(), Some(90_000));
    assert_eq!(
        (world.after(89_999), world.after(1)),
        (None, Some(Deed::Stop(Why::Timeout)))
    );
    world.end(143);
    let outcome = world.entry.last.clone().unwrap().outcome;
    assert_eq!(outcome, Outcome::Ended(143, Some(Why::Timeout)));
}

#[test]
fn what_was_missed_is_not_made_up_for() {
    let mut world = World::new(cron("*:0/5", Overlap::Skip, 60));
    // The host has slept, or the clock was set forward.
    world.wall += 3_600_000;
    assert_eq!(world.after(0), None);
    assert_eq!(world.entry.counts.missed, 1);
    assert_eq!(world.deadline(), Some(300_000));
    // Set back: what is due is planned anew, and comes at its time.
    world.wall -= 7_200_000;
    world.entry.plan(world.now(), zone);
    assert_eq!(world.deadline(), Some(300_000));
    // What is noticed a little later still runs.
    assert_eq!(world.after(330_000), Some(Deed::Start));
}

#[test]
fn a_daemon_is_started_again_later_and_later() {
    let mut world = World::new(daemon("work"));
    let mut waits = Vec::new();
    for _ in 0..4 {
        world.start();
        world.end(1);
        let wait = world.deadline().unwrap();
        waits.push(wait);
        assert_eq!(world.after(u64::try_from(wait).unwrap() - 1), None);
        world.at += 1;
    }
    assert_eq!(waits, [100, 200, 400, 800]);
    world.start();
    assert_eq!(world.after(120_000), None);
    world.end(0);
    assert_eq!(world.deadline(), Some(100));
}

#[test]
fn a_daemon_whose_entry_or_site_has_changed_is_started_anew() {
    let mut world = World::new(daemon("work"));
    world.start();
    let now = world.now();
    world
        .entry
        .change(daemon("work"), site("/srv/blog"), false, now, zone);
    assert_eq!(world.after(0), None);
    world
        .entry
        .change(daemon("work"), site("/srv/other"), false, now, zone);
    assert_eq!(world.after(0), Some(Deed::Stop(Why::Changed)));
    world.end(143);
    world.start();
    world
        .entry
        .change(daemon("other"), site("/srv/other"), false, now, zone);
    assert_eq!(world.after(0), Some(Deed::Stop(Why::Changed)));
    world.end(143);
    world.start();
    world.entry.remove();
    assert_eq!(world.after(0), Some(Deed::Stop(Why::Removed)));
    assert!(!world.entry.is_over());
    world.end(143);
    assert!(world.entry.is_over());
    assert_eq!((world.after(60_000), world.deadline()), (None, None));
}

#[test]
fn a_run_of_cron_goes_on_when_only_its_entry_changes() {
    let mut world = World::new(cron("*:0/5", Overlap::Skip, 600));
    assert_eq!(world.after(300_000), Some(Deed::Start));
    world.entry.started(world.now());
    let now = world.now();
    world.entry.change(
        cron("*:0/10", Overlap::Skip, 600),
        site("/srv/blog"),
        true,
        now,
        zone,
    );
    assert_eq!(world.after(0), None);
    assert_eq!(world.deadline(), Some(300_000));
    world.entry.change(
        cron("*:0/10", Overlap::Skip, 600),
        site("/srv/other"),
        false,
        now,
        zone,
    );
    assert_eq!(world.after(0), Some(Deed::Stop(Why::Changed)));
}
