//! The real `hostel-keeper` in namespaces of its own, as an unprivileged user, with a scripted monitor, front and zygote.
//!
//! Needs root (for the namespaces and a second user), `unshare` and `setpriv`. One process without threads, as `child::start`
//! demands; started under the name `hostel-php` it plays the zygote.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "a test program without the usual harness says itself what it does"
)]

mod fake_zygote;
mod files;
mod life;
mod php;
mod sandbox;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let name = arguments.next().unwrap_or_default();
    if Path::new(&name).file_name() == Some("hostel-php".as_ref()) {
        return fake_zygote::run();
    }
    if !rustix::process::getuid().is_root() {
        println!("skipped: the keeper's integration tests need root");
        return ExitCode::SUCCESS;
    }
    let filter = arguments.find(|argument| !argument.starts_with('-'));
    let mut count = 0;
    for (name, test) in CASES {
        if filter
            .as_ref()
            .is_none_or(|filter| name.contains(filter.as_str()))
        {
            // A test that fails panics, and the message has the name before it.
            print!("test {name} ... ");
            test();
            println!("ok");
            count += 1;
        }
    }
    println!("{count} passed");
    ExitCode::SUCCESS
}

type Case = (&'static str, fn());

const CASES: [Case; 14] = [
    ("a_closed_home_is_served", files::a_closed_home_is_served),
    (
        "another_users_files_are_not",
        files::another_users_files_are_not,
    ),
    (
        "a_directory_closed_while_hot",
        files::a_directory_closed_while_hot,
    ),
    ("workers_start_and_end", php::workers_start_and_end),
    (
        "a_zygote_that_ends_is_replaced",
        php::a_zygote_that_ends_is_replaced,
    ),
    (
        "a_zygote_that_lies_is_ended",
        php::a_zygote_that_lies_is_ended,
    ),
    (
        "a_new_front_starts_from_the_beginning",
        php::a_new_front_starts_from_the_beginning,
    ),
    (
        "a_front_hears_of_its_own_php_only",
        php::a_front_hears_of_its_own_php_only,
    ),
    ("root_is_refused", life::root_is_refused),
    (
        "a_front_that_does_not_read",
        life::a_front_that_does_not_read,
    ),
    (
        "a_front_that_sends_nonsense",
        life::a_front_that_sends_nonsense,
    ),
    (
        "retire_waits_for_other_processes",
        life::retire_waits_for_other_processes,
    ),
    ("stop_ends_everything", life::stop_ends_everything),
    (
        "the_monitors_end_is_the_end",
        life::the_monitors_end_is_the_end,
    ),
];
