//! A checkpoint that replaces the one before.

use std::time::{Duration, Instant};

use hostel_rewind::{Backend, Rewind, Share, Unfit};

use crate::Case::{self, Whole};
use crate::cases::{get, map, maps, page, set, shared, statm};

pub(crate) const CASES: &[(&str, Case)] = &[
    ("checkpoint without one before", Whole(second)),
    ("checkpoint again", Whole(again)),
    ("checkpoint again and again", Whole(flat)),
    ("checkpoint that fails", Whole(fails)),
    ("what a checkpoint costs", Whole(cost)),
];

fn second(backend: Backend) {
    let mut rewind = Rewind::new(backend, true, false, Share::Nothing).unwrap();
    assert!(Rewind::new(backend, true, false, Share::Nothing).is_err());
    assert_eq!(rewind.rewind(false), Unfit::NotAsked);
    assert_eq!(rewind.checkpoint(&[]), Ok(0));
    // Without a way back in between, too.
    assert_eq!(rewind.checkpoint(&[]), Ok(0));
}

/// What is in memory at each checkpoint: as many pages and functions as there were checkpoints.
#[derive(Default)]
struct Held {
    functions: Vec<*mut u8>,
    heap: Vec<Vec<u8>>,
    given_back: Option<*mut u8>,
}

const CODE_BYTES: usize = 16 * 4096;

impl Held {
    /// Add what only the next checkpoint has.
    fn grow(&mut self, number: u8) {
        set(page().wrapping_add(usize::from(number) * 4096), number);
        // mov eax, number; ret
        let code = [0xb8, number, 0, 0, 0, 0xc3];
        let memory = map(CODE_BYTES);
        for (at, byte) in code.into_iter().enumerate() {
            set(memory.wrapping_add(CODE_BYTES - 4096 + at), byte);
        }
        // SAFETY: its own mapping.
        let made = unsafe { libc::mprotect(memory.cast(), CODE_BYTES, 7) };
        assert_eq!(made, 0);
        self.functions.push(memory);
        self.heap.push(vec![number; 90_000]);
        // One that the image before had is not there any more.
        if let Some(old) = self.given_back.replace(map(CODE_BYTES)) {
            // SAFETY: its own mapping.
            unsafe { libc::munmap(old.cast(), CODE_BYTES) };
        }
    }

    fn check(&self, count: u8) {
        assert_eq!(self.functions.len(), usize::from(count));
        for (number, memory) in (0..).zip(&self.functions) {
            let code = memory.wrapping_add(CODE_BYTES - 4096);
            // SAFETY: there is a function without arguments.
            let function: extern "C" fn() -> u32 = unsafe { std::mem::transmute(code) };
            assert_eq!(function(), number);
            assert_eq!(get(code.wrapping_sub(4096)), 0);
        }
        for number in 0..40_u8 {
            let there = get(page().wrapping_add(usize::from(number) * 4096));
            assert_eq!(there, if number < count { number } else { 0 });
        }
        for (number, bytes) in (0..).zip(&self.heap) {
            assert!(bytes.iter().all(|byte| *byte == number));
        }
    }

    fn spoil(&mut self) {
        for number in 0..40 {
            set(page().wrapping_add(number * 4096), 0xcc);
        }
        for memory in &self.functions {
            for at in (0..CODE_BYTES).step_by(1000) {
                set(memory.wrapping_add(at), 0xcc);
            }
        }
        for bytes in &mut self.heap {
            bytes.fill(0xcc);
        }
        self.heap.push(vec![0xcc; 500_000]);
        self.functions.clear();
        map(4096);
    }
}

/// What was done before the newest checkpoint is there after each rewind, and what was done since is not.
fn again(backend: Backend) {
    let notes = shared();
    // SAFETY: two numbers of the page.
    let (count, made_at) = unsafe { (&mut *notes, &mut *notes.add(1)) };
    let mut held = Held::default();
    let mut rewind = Rewind::new(backend, true, false, Share::Nothing).unwrap();
    loop {
        let round = rewind.checkpoint(&[]).unwrap();
        held.check(u8::try_from(*count).unwrap());
        if round == 150 {
            return;
        }
        if round % 4 == 3 && *made_at != round {
            *made_at = round;
            held.grow(u8::try_from(*count).unwrap());
            *count += 1;
            continue;
        }
        held.spoil();
        panic!("{}", rewind.rewind(false));
    }
}

/// Nothing is left of the images before.
fn flat(backend: Backend) {
    let notes = shared();
    // SAFETY: three numbers of the page.
    let (made_at, size, resident) =
        unsafe { (&mut *notes, &mut *notes.add(1), &mut *notes.add(2)) };
    let mut rewind = Rewind::new(backend, true, false, Share::Nothing).unwrap();
    loop {
        let round = rewind.checkpoint(&[]).unwrap();
        if *made_at != round {
            *made_at = round;
            continue;
        }
        let now = statm();
        let images = maps()
            .iter()
            .filter(|line| line.contains("hostel-image") && line.contains(" r--s "))
            .count();
        assert_eq!(images, 1);
        match round {
            20 => (*size, *resident) = (now[0], now[1]),
            400 => {
                assert_eq!(now[0], *size, "address space");
                let (before, now) = (*resident, now[1]);
                assert!(now <= before + 64, "{before} pages, then {now}");
                return;
            }
            _ => {}
        }
        set(page().wrapping_add(4096), 1);
        std::mem::forget(vec![1_u8; 200_000]);
        panic!("{}", rewind.rewind(false));
    }
}

/// There is no way back to the one before either.
fn fails(backend: Backend) {
    let mut rewind = Rewind::new(backend, true, false, Share::Nothing).unwrap();
    let round = rewind.checkpoint(&[]).unwrap();
    assert_eq!(round, 0);
    // SAFETY: takes a number.
    unsafe { libc::alarm(1000) };
    assert_eq!(rewind.checkpoint(&[]), Err(Unfit::Timers));
    assert_eq!(rewind.rewind(false), Unfit::NotAsked);
}

/// Some 12 MB, as PHP has.
fn cost(backend: Backend) {
    let notes = shared();
    // SAFETY: two numbers of the page.
    let (made_at, nanoseconds) = unsafe { (&mut *notes, &mut *notes.add(1)) };
    let held = vec![7_u8; 12 << 20];
    let mut rewind = Rewind::new(backend, true, false, Share::Nothing).unwrap();
    let mut begun = Instant::now();
    loop {
        let round = rewind.checkpoint(&[]).unwrap();
        if *made_at != round {
            *made_at = round;
            begun = Instant::now();
            continue;
        }
        if round > 0 {
            *nanoseconds += u64::try_from(begun.elapsed().as_nanos()).unwrap();
        }
        if round == 20 {
            assert_eq!(held.last(), Some(&7));
            let each = Duration::from_nanos(*nanoseconds / 20);
            println!("a checkpoint of 12 MB, {backend:?}: {each:?}");
            assert!(each < Duration::from_millis(200));
            return;
        }
        panic!("{}", rewind.rewind(false));
    }
}
