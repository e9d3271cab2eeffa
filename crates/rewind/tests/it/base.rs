//! What siblings hold alike is in memory once.

use hostel_rewind::{Backend, Base, Rewind, Share};

use crate::Case::{self, Whole};
use crate::cases::{get, map, page, set};
use crate::with_a_base;

pub(crate) const CASES: &[(&str, Case)] = &[
    ("what siblings hold alike", Whole(once)),
    ("what siblings do not hold alike", Whole(differs)),
    ("an empty base", Whole(empty)),
    ("a base and a checkpoint again", Whole(again)),
];

const BYTES: usize = 8 << 20;

/// What is in a page of this number: something.
fn byte(number: usize) -> u8 {
    u8::try_from(number % 256).unwrap() | 1
}

/// Memory with something in each page.
fn filled() -> *mut u8 {
    let memory = map(BYTES);
    for (number, offset) in (0..BYTES).step_by(4096).enumerate() {
        set(memory.wrapping_add(offset), byte(number));
    }
    memory
}

fn once(backend: Backend) {
    let memory = filled();
    with_a_base(backend, |share| {
        let mut rewind = Rewind::new(backend, true, false, share).unwrap();
        let round = rewind.checkpoint(&[]).unwrap();
        let own = rewind.image_bytes();
        assert!(own < BYTES / 4, "{own} bytes of {BYTES} are its own");
        check(memory, round, byte);
        panic!("no way back: {}", rewind.rewind(false));
    });
}

/// Each third page is not what the base has; some of it is zeros here, and some of it was zeros there.
fn differs(backend: Backend) {
    let memory = filled();
    set(memory.wrapping_add(4096 * 5), 0);
    with_a_base(backend, |share| {
        for number in (0..BYTES / 4096).step_by(3) {
            set(
                memory.wrapping_add(number * 4096),
                u8::from(number % 2 == 1),
            );
        }
        set(memory.wrapping_add(4096 * 5), 9);
        // SAFETY: pages of its own mapping; they are zeros from here on.
        let forgotten = unsafe {
            libc::madvise(
                memory.wrapping_add(4096 * 64).cast(),
                4096 * 32,
                libc::MADV_DONTNEED,
            )
        };
        assert_eq!(forgotten, 0);
        let mut rewind = Rewind::new(backend, true, false, share).unwrap();
        let round = rewind.checkpoint(&[]).unwrap();
        check(memory, round, |number| match number {
            5 => 9,
            64..96 => 0,
            _ if number % 3 == 0 => u8::from(number % 2 == 1),
            _ => byte(number),
        });
        panic!("no way back: {}", rewind.rewind(false));
    });
}

/// See that each page holds what it should, spoil some, and end after some rounds.
fn check(memory: *mut u8, round: u64, wanted: impl Fn(usize) -> u8) {
    for number in 0..BYTES / 4096 {
        let there = get(memory.wrapping_add(number * 4096));
        assert_eq!(there, wanted(number), "page {number} in round {round}");
    }
    if round == 6 {
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) };
    }
    let spoiled = [7, 1, 200][(round % 3) as usize];
    for number in (0..BYTES / 4096).step_by(spoiled) {
        set(memory.wrapping_add(number * 4096), 0xcc);
    }
}

fn empty(backend: Backend) {
    let base = Base::create().unwrap();
    let mut rewind = Rewind::new(backend, true, false, Share::Takes(base)).unwrap();
    let round = rewind.checkpoint(&[]).unwrap();
    assert_eq!(get(page()), 0);
    set(page(), 1);
    if round < 3 {
        panic!("no way back: {}", rewind.rewind(false));
    }
}

fn again(backend: Backend) {
    let memory = filled();
    with_a_base(backend, |share| {
        let mut rewind = Rewind::new(backend, true, false, share).unwrap();
        rewind.checkpoint(&[]).unwrap();
        for number in 0..100 {
            set(memory.wrapping_add(number * 4096), 0xaa);
        }
        let round = rewind.checkpoint(&[]).unwrap();
        let own = rewind.image_bytes();
        assert!(own < BYTES / 4, "{own} bytes of {BYTES} are its own");
        check(memory, round, |number| {
            if number < 100 { 0xaa } else { byte(number) }
        });
        panic!("no way back: {}", rewind.rewind(false));
    });
}
