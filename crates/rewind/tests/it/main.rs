//! A plain process, without PHP, is put back: what it did to itself is not there afterwards.
//!
//! Each case runs in a child of its own, by each of the two ways to know what was written. The child's status says how it went; what it
//! prints is shown with a failure. Run with words, it runs the cases whose names hold one of them.

#![allow(
    unsafe_code,
    clippy::multiple_unsafe_ops_per_block,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the cases do to their process what only native code can, and the program is its own harness"
)]

use std::process::ExitCode;

use hostel_rewind::{Backend, Base, Rewind, Share, Unfit, kernel_keeps_count};

mod again;
mod base;
mod cases;

/// What a case is.
pub(crate) enum Case {
    /// Do something in each of several rounds; `true` from the second where it is still there.
    Gone(fn(round: u64) -> bool),
    /// The same, of which only native code is able, and which is not looked for each time where there is none.
    GoneOfNativeCode(fn(round: u64) -> bool),
    /// Do something that cannot be put back.
    Ends(fn(), fn(Unfit) -> bool),
    /// The whole of it.
    Whole(fn(Backend)),
}

/// Rewinds of a case that are gone through.
const ROUNDS: u64 = 8;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let mut backends = vec![Backend::Private];
    if kernel_keeps_count() {
        backends.push(Backend::Written);
    } else {
        println!("this kernel does not keep count of writes (Linux 6.7 does): one way is tried");
    }
    let mut failed = 0;
    for (name, case) in cases::CASES.iter().chain(again::CASES).chain(base::CASES) {
        if !wanted.is_empty() && !wanted.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        if let Case::Gone(act) | Case::GoneOfNativeCode(act) = case {
            // Else the case would prove nothing.
            let status = in_a_child(|| {
                (0..ROUNDS).for_each(|round| {
                    act(round);
                });
                assert!(act(ROUNDS), "it does not stay where nothing is put back");
            });
            println!(
                "{name}, not put back: {}",
                if status == 0 { "ok" } else { "FAILED" }
            );
            failed += u32::from(status != 0);
        }
        for backend in &backends {
            for native in [true, false] {
                if !native && !matches!(case, Case::Gone(_)) {
                    continue;
                }
                let status = in_a_child(|| run(case, *backend, native));
                println!(
                    "{name}, {backend:?}{}: {}",
                    if native { "" } else { ", of scripts" },
                    if status == 0 { "ok" } else { "FAILED" }
                );
                failed += u32::from(status != 0);
            }
            if let Case::Gone(_) = case {
                let status =
                    in_a_child(|| with_a_base(*backend, |share| gone(case, *backend, true, share)));
                println!(
                    "{name}, {backend:?}, with a base: {}",
                    if status == 0 { "ok" } else { "FAILED" }
                );
                failed += u32::from(status != 0);
            }
        }
    }
    println!("{failed} failed");
    ExitCode::from(u8::from(failed != 0))
}

/// How `work` ended: 0 is well.
pub(crate) fn in_a_child(work: impl FnOnce()) -> i32 {
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => {
            // What was printed before is the parent's to write.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
        child => {
            let mut status = -1;
            // SAFETY: waits for the child that was just made.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(waited, child);
            if libc::WIFEXITED(status) {
                libc::WEXITSTATUS(status)
            } else {
                1000 + status
            }
        }
    }
}

/// Have a sibling give its image, and do something with it.
pub(crate) fn with_a_base(backend: Backend, work: impl FnOnce(Share)) {
    let mut base = Some(Base::create().expect("a base"));
    let status = in_a_child(|| {
        let share = Share::Gives(base.take().expect("one"));
        let mut rewind = Rewind::new(backend, true, false, share).expect("prepared");
        // Several times, as its own image is not everybody's to change.
        let round = rewind.checkpoint(&[]).expect("a checkpoint");
        cases::set(cases::page(), 0xee);
        if round < 2 {
            panic!("no way back: {}", rewind.rewind(false));
        }
    });
    assert_eq!(status, 0, "the sibling gave");
    work(Share::Takes(base.take().expect("one")));
}

fn gone(case: &Case, backend: Backend, native: bool, share: Share) {
    let (Case::Gone(act) | Case::GoneOfNativeCode(act)) = case else {
        panic!("nothing is to be gone");
    };
    let mut rewind = Rewind::new(backend, native, false, share).expect("prepared");
    let round = rewind.checkpoint(&[]).expect("a checkpoint");
    assert!(
        !act(round) || round == 0,
        "round {round}: it is still there"
    );
    if round < ROUNDS {
        panic!("no way back: {}", rewind.rewind(false));
    }
}

fn run(case: &Case, backend: Backend, native: bool) {
    match case {
        Case::Gone(_) | Case::GoneOfNativeCode(_) => gone(case, backend, native, Share::Nothing),
        Case::Ends(act, is_right) => {
            let mut rewind = Rewind::new(backend, native, false, Share::Nothing).expect("prepared");
            let round = rewind.checkpoint(&[]).expect("a checkpoint");
            assert_eq!(round, 0, "it was put back");
            act();
            let kept = vec![7_u8; 3 << 20];
            let unfit = rewind.rewind(false);
            assert!(is_right(unfit), "{unfit}");
            assert!(
                kept.iter().all(|byte| *byte == 7),
                "what asks keeps its memory"
            );
        }
        Case::Whole(work) => work(backend),
    }
}
