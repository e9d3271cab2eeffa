//! The monitor with a front and keepers that do as the test says.
//!
//! Needs root; without, it says so and checks nothing but the lists. This program plays all parts: copied beside a
//! `hostel-monitor` under the names of the others, it is the front, the keeper, the firewall, or, under its own name, the test. It makes three users,
//! whose names start with `hostel-it-`, and removes them.

#![allow(
    clippy::exit,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the output of a test and of its parts, and how those end"
)]

mod budget;
mod capabilities;
mod control;
mod deaths;
mod fake_firewall;
mod fake_front;
mod fake_keeper;
mod firewall;
mod life;
mod reload;
mod scene;

use std::panic::{AssertUnwindSafe, catch_unwind};

fn main() {
    let name = std::env::args().next().unwrap_or_default();
    match name.rsplit('/').next() {
        Some("hostel-firewall") => return fake_firewall::run(),
        Some("hostel-front") => return fake_front::run(),
        Some("hostel-keeper") => return fake_keeper::run(),
        _ => {}
    }
    let mut cases: Vec<(&str, fn())> = vec![
        ("dependencies are those listed", budget::dependencies),
        ("the monitor is small", budget::lines),
    ];
    if rustix::process::geteuid().is_root() {
        scene::make_users();
        cases.extend::<[(&str, fn()); 15]>([
            ("ready is told to everybody", life::ready),
            ("directories and files as documented", life::files),
            ("a second instance is refused", life::second_instance),
            ("an address in use is told at once", life::address_in_use),
            ("SIGTERM ends all in order", life::terminate),
            ("a second SIGTERM hurries", life::terminate_twice),
            ("SIGKILL leaves no process", life::kill),
            ("logs are reopened", life::reopen),
            (
                "a front that dies is replaced, sites stay",
                deaths::front_dies,
            ),
            (
                "a front that breaks the rules is replaced",
                deaths::front_breaks_rules,
            ),
            ("a flood from the front stops nobody", deaths::flood),
            (
                "a keeper's death is told with a growing wait",
                deaths::keeper_dies,
            ),
            (
                "a keeper that is given up is replaced",
                deaths::keeper_given_up,
            ),
            ("a site that cannot start is told why", deaths::not_started),
            ("reload changes what changed", reload::sites),
        ]);
        cases.extend(capabilities::CASES);
        cases.push(("processes have nothing in common", life::nothing_in_common));
        cases.push(("programs may be replaced", life::replaced_programs));
        cases.push(("a broken configuration changes nothing", reload::broken));
        cases.extend(control::CASES);
        cases.extend(firewall::CASES);
    } else {
        println!("skipped: only root can start the monitor");
    }
    let filter = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    cases.retain(|(name, _)| {
        filter
            .as_ref()
            .is_none_or(|filter| name.contains(filter.as_str()))
    });
    let failed = run(cases);
    if rustix::process::geteuid().is_root() {
        scene::remove_users();
    }
    assert_eq!(failed, 0, "{failed} cases failed");
}

/// How many of them failed.
fn run(cases: Vec<(&str, fn())>) -> usize {
    let mut failed = 0;
    for (name, case) in cases {
        match catch_unwind(AssertUnwindSafe(case)) {
            Ok(()) => println!("test {name} ... ok"),
            Err(_) => {
                println!("test {name} ... FAILED");
                failed += 1;
            }
        }
    }
    failed
}
