//! A host of some cores and many sites, played on a virtual clock with the scheduler that the front uses.
//!
//! The processors are shared equally by whatever is ready to run, as on a kernel without control groups: the worst case, in which nothing
//! but the scheduler protects one site from another.

mod world;

use std::time::Duration;

use world::{Page, Plan, Seen, World};

const SECOND: Duration = Duration::from_secs(1);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Nineteen sites that are visited now and then, pages of both kinds; the twentieth is the test's.
fn neighbours(world: &mut World, per_second: f64) -> Vec<usize> {
    (0..19)
        .map(|number| {
            let page = if number % 2 == 0 {
                Page::busy(ms(15 + number))
            } else {
                Page::slow(ms(3), ms(20 + number))
            };
            world.site(Plan::steady(page, per_second))
        })
        .collect()
}

/// What the nineteen saw, and the site itself, on so many cores.
fn beside(cores: usize, attacker: Option<Plan>, seed: u64) -> (Seen, Seen) {
    let mut world = World::new(cores, 8 << 30, seed);
    let others = neighbours(&mut world, 0.3);
    let attacker = attacker.map(|plan| world.site(plan));
    world.run(60 * SECOND);
    let seen = world.seen(&others, 5 * SECOND);
    (
        seen,
        attacker.map_or_else(Seen::default, |site| world.seen(&[site], 5 * SECOND)),
    )
}

#[test]
fn a_flood_on_one_site_leaves_the_others_alone() {
    for (cores, seed) in [(2, 1), (2, 2), (4, 3), (8, 4), (16, 5)] {
        let (calm, _) = beside(cores, None, seed);
        // What the site alone could serve: as many pages of 50 ms as the cores can.
        let capacity = cores as f64 / 0.05;
        for (times, page, rate) in [
            (3, Page::busy(ms(50)), 3.0 * capacity),
            (10, Page::busy(ms(50)), 10.0 * capacity),
            (3, Page::busy(ms(5)), 30.0 * capacity),
            // 100 workers serve 2,000 of these in a second.
            (3, Page::slow(ms(1) / 20, ms(50)), 6000.0),
        ] {
            if page.wait > Duration::ZERO && seed != 1 {
                continue;
            }
            let (others, attacker) = beside(cores, Some(Plan::steady(page, rate)), seed);
            assert_eq!(others.refused, 0, "{cores} cores, {times} x {page:?}");
            assert!(others.answered > 200);
            let stretch = others.median().as_secs_f64() / calm.median().as_secs_f64();
            assert!(
                stretch < 1.10,
                "{cores} cores, {times} x {page:?}: {:?} became {:?}",
                calm.median(),
                others.median()
            );
            // It is held back, not shut out: one core less than there are is worth having.
            let cpu = attacker.answered as f64 * page.cpu.as_secs_f64() / 55.0;
            let least = (cores as f64 - 1.0) * 0.8;
            println!(
                "{cores} cores, seed {seed}, {times} x {page:?}: others {stretch:.3}, attacker {cpu:.2} cores, {} refused",
                attacker.refused
            );
            if page.wait.is_zero() {
                assert!(
                    cpu > least,
                    "{cores} cores, {times} x {page:?}: {cpu} cores' work"
                );
            }
        }
    }
}

#[test]
fn pages_that_wait_get_more_workers_than_pages_that_compute() {
    for cores in [2, 4, 8, 16] {
        let mut world = World::new(cores, 16 << 30, 7);
        let busy = world.site(Plan::clients(Page::busy(ms(50)), 40));
        let slow = world.site(Plan::clients(Page::slow(ms(1), ms(50)), 40));
        world.run(60 * SECOND);
        let (busy, slow) = (
            world.running_of(busy, 30 * SECOND),
            world.running_of(slow, 30 * SECOND),
        );
        println!("{cores} cores: busy {busy:.1}, slow {slow:.1}");
        assert!(slow > 2.0 * busy, "{cores} cores: {slow} beside {busy}");
        assert!(
            slow > 25.0,
            "{cores} cores: {slow} of 40 are served at once"
        );
        assert!(busy < 2.0 * cores as f64 + 1.0, "{cores} cores: {busy}");
    }
}

#[test]
fn a_site_alone_has_the_whole_host_and_no_more_workers_than_help() {
    for cores in [2, 4, 16] {
        let mut world = World::new(cores, 8 << 30, 11);
        let site = world.site(Plan::clients(Page::busy(ms(20)), 64));
        world.run(30 * SECOND);
        let seen = world.seen(&[site], 10 * SECOND);
        let possible = 20.0 * cores as f64 / 0.02;
        assert!(
            seen.answered as f64 > 0.95 * possible,
            "{} of {possible}",
            seen.answered
        );
        let running = world.running_of(site, 10 * SECOND);
        assert!(
            running < 1.5 * cores as f64 + 2.0,
            "{cores} cores: {running}"
        );

        let mut world = World::new(cores, 8 << 30, 12);
        let site = world.site(Plan::clients(Page::slow(ms(0), ms(50)), 40));
        world.run(5 * SECOND);
        let seen = world.seen(&[site], 2 * SECOND);
        let possible = 3.0 * 40.0 / 0.05;
        println!("{cores} cores: slow {} of {possible}", seen.answered);
        assert!(
            seen.answered as f64 > 0.9 * possible,
            "{} of {possible}",
            seen.answered
        );
    }
}

#[test]
fn pages_that_wait_get_their_workers_on_a_host_that_is_busy_with_something_else() {
    for cores in [2, 4, 8] {
        let mut world = World::new(cores, 8 << 30, 37);
        for _ in 0..cores * 2 {
            world.hog();
        }
        let site = world.site(Plan::clients(Page::slow(ms(1) / 5, ms(50)), 40));
        let other = world.site(Plan::clients(Page::busy(ms(20)), 40));
        world.run(20 * SECOND);
        let (slow, busy) = (
            world.running_of(site, 10 * SECOND),
            world.running_of(other, 10 * SECOND),
        );
        println!("{cores} cores: {slow:.1} that wait, {busy:.1} that compute");
        assert!(slow > 35.0, "{cores} cores: {slow}");
        assert!(busy < 2.0 * cores as f64 + 1.0, "{cores} cores: {busy}");
    }
}

#[test]
fn the_number_of_workers_rests() {
    for page in [
        Page::busy(ms(30)),
        Page::slow(ms(2), ms(60)),
        Page::busy(ms(2)),
    ] {
        let mut world = World::new(4, 8 << 30, 13);
        let others = neighbours(&mut world, 1.0);
        let site = world.site(Plan::clients(page, 30));
        world.run(120 * SECOND);
        let late = 60 * SECOND;
        let (started, answered) = (
            world.started_of(site, late),
            world.seen(&[site], late).answered,
        );
        println!("{page:?}: {started} workers started, {answered} requests");
        assert!(
            started <= 24,
            "{page:?}: {started} workers started in a minute of constant load"
        );
        assert!(answered > 1000);
        assert_eq!(world.seen(&others, late).refused, 0);
    }
}

#[test]
fn memory_is_never_promised_twice() {
    let mut world = World::new(8, 4 << 30, 17);
    for number in 0..40 {
        let page = Page::slow(ms(5), ms(300)).taking(30 + number);
        world.site(Plan::clients(page, 60));
    }
    for _ in 0..600 {
        world.site(Plan::steady(Page::busy(ms(10)).taking(40), 0.05));
    }
    world.run(40 * SECOND);
    println!(
        "least memory {} MiB, {} workers",
        world.memory_least >> 20,
        world.workers_most
    );
    assert!(
        world.memory_least > 64 << 20,
        "{} bytes were left",
        world.memory_least
    );
    assert!(world.workers_most > 50);
}

#[test]
fn queues_are_bounded_in_each_site_and_in_all() {
    let mut world = World::new(4, 4 << 30, 19);
    let floods: Vec<_> = (0..30)
        .map(|_| world.site(Plan::steady(Page::busy(ms(40)), 150.0).queue(2000)))
        .collect();
    let quiet = world.site(Plan::steady(Page::busy(ms(10)), 0.5));
    world.run(30 * SECOND);
    println!("most queued {}", world.queued_most);
    assert!(world.queued_most <= super::QUEUED_MAX);
    assert!(
        world.queued_most > super::QUEUED_MAX / 2,
        "{} waited: a flood",
        world.queued_most
    );
    let refused = world.seen(&floods, Duration::ZERO).refused;
    assert!(refused > 10_000, "{refused}");
    assert_eq!(world.seen(&[quiet], Duration::ZERO).refused, 0);
}

#[test]
fn weights_share_what_is_short() {
    let mut world = World::new(16, 8 << 30, 23);
    let light = world.site(Plan::clients(Page::busy(ms(20)), 40).weight(50));
    let heavy = world.site(Plan::clients(Page::busy(ms(20)), 40).weight(400));
    world.run(100 * SECOND);
    let (light, heavy) = (
        world.running_of(light, 40 * SECOND),
        world.running_of(heavy, 40 * SECOND),
    );
    println!("weights: {light:.1} {heavy:.1}");
    assert!(heavy > 3.0 * light, "{heavy} beside {light}");
}

#[test]
fn what_was_needed_is_had_again_at_once() {
    let mut world = World::new(4, 8 << 30, 29);
    // 30 visitors for 10 seconds, a pause in which the workers end, and again 30 visitors.
    let plan = Plan::clients(Page::slow(ms(1), ms(200)), 30);
    let site = world.site(
        plan.between(Duration::ZERO, 10 * SECOND)
            .again_at(70 * SECOND),
    );
    world.run(68 * SECOND);
    assert_eq!(world.workers(), 0);
    world.run(70 * SECOND + ms(400));
    let workers = world.workers_of(site);
    assert!(workers >= 28, "{workers} workers after 0.4 seconds");
}

/// A day in eight minutes: three thousand sites by Zipf's law, a curve of day and night, bursts, an attacker at noon.
fn day(seed: u64) -> World {
    let mut world = World::new(8, 16 << 30, seed);
    let day = 120 * SECOND;
    for rank in 1..=3000_u64 {
        let rate = 40.0 / rank as f64;
        let page = match rank % 3 {
            0 => Page::busy(ms(5 + rank % 40)),
            1 => Page::slow(ms(4), ms(10 + rank % 90)),
            _ => Page::busy(ms(2)),
        };
        let plan = Plan::steady(page, rate).curve(day);
        world.site(if rank % 50 == 7 {
            plan.bursts(20)
        } else {
            plan
        });
    }
    world.site(Plan::steady(Page::busy(ms(50)), 500.0).between(day / 2, day / 2 + 20 * SECOND));
    world.run(day);
    world
}

#[test]
fn a_day_of_three_thousand_sites_goes_well_and_the_same_way_twice() {
    let mut world = day(31);
    let sites: Vec<_> = (0..3000).collect();
    let seen = world.seen(&sites, Duration::ZERO);
    println!(
        "{} answered, median {:?}, p99 {:?}, {} refused",
        seen.answered,
        seen.median(),
        seen.percentile(99),
        seen.refused
    );
    assert_eq!(seen.refused, 0);
    assert!(seen.answered > 10_000);
    assert!(seen.median() < ms(60), "{:?}", seen.median());
    let trace = world.trace;
    assert_eq!(day(31).trace, trace, "the same seed");
    assert_ne!(day(32).trace, trace, "another seed");
    // Night: everything goes, and nothing is looked at any more.
    world.stop();
    world.run(world.now() + 120 * SECOND);
    assert_eq!((world.workers(), world.queued()), (0, 0));
    assert!(world.is_at_rest());
}
