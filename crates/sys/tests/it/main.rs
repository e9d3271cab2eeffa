//! Spawns this very program through the whole sequence and looks, from inside of the sandbox, at what it has become.
//!
//! Needs root; without, it says so and checks nothing. It has a `main` of its own because a spawn refuses to fork in a process with
//! more than one thread.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the output of a test and of its probe"
)]

mod attempts;
mod barriers;
mod cost;
mod front;
mod homes;
mod probe;
mod sandbox;
mod secure;

use std::panic::{AssertUnwindSafe, catch_unwind};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["probe", "front", spill] => return front::run(spill),
        ["probe", ..] => return probe::run(),
        _ => {}
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can start a sandbox");
        return;
    }
    let filter = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let mut failed = 0;
    for (name, case) in CASES {
        if filter
            .as_ref()
            .is_some_and(|filter| !name.contains(filter.as_str()))
        {
            continue;
        }
        match catch_unwind(AssertUnwindSafe(case)) {
            Ok(()) => println!("test {name} ... ok"),
            Err(_) => {
                println!("test {name} ... FAILED");
                failed += 1;
            }
        }
    }
    assert_eq!(failed, 0, "{failed} cases failed");
}

/// What is tried, by name.
const CASES: [(&str, fn()); 28] = [
    (
        "a home's parents are root's alone",
        homes::parents_are_roots,
    ),
    (
        "a home is not reached through a link",
        homes::no_link_on_the_way,
    ),
    ("a home belongs to its user", homes::belongs_to_its_user),
    (
        "a home is made, closed and removed",
        homes::made_closed_and_removed,
    ),
    ("directories are made as asked", secure::made_as_asked),
    ("what others can change is refused", secure::refused),
    (
        "a directory that was left half made is completed",
        secure::left_half_made,
    ),
    ("a directory has one lock", secure::one_lock),
    ("identity and privileges", sandbox::identity_and_privileges),
    (
        "descriptors and environment",
        sandbox::descriptors_and_environment,
    ),
    ("limits", sandbox::limits),
    ("keys", sandbox::keys),
    ("no socket lingers", sandbox::no_socket_lingers),
    ("processes", sandbox::processes),
    ("what is visible", sandbox::what_is_visible),
    ("what is writable", sandbox::what_is_writable),
    ("accounts", sandbox::accounts),
    (
        "nothing reaches the host's mounts",
        sandbox::host_mounts_stay,
    ),
    ("a step that fails is told", sandbox::a_failing_step_is_told),
    ("the front's kind of spawn", sandbox::without_a_view),
    ("denied system calls", barriers::denied_calls),
    (
        "Landlock is a second barrier for files",
        barriers::landlock_is_a_second_barrier_for_files,
    ),
    (
        "Landlock leaves what is needed",
        barriers::landlock_leaves_what_is_needed,
    ),
    (
        "abstract sockets and ports",
        barriers::abstract_sockets_and_ports,
    ),
    (
        "each layer can be left out",
        barriers::each_layer_can_be_left_out,
    ),
    ("a worker is alone", barriers::a_worker_is_alone),
    ("the front's own sandbox", sandbox::front_closed_in),
    ("cost", cost::figures),
];
