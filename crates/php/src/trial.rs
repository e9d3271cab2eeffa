//! The trial that a site's workers may be rewound at all: no generator of random numbers may yield a number again that it has yielded before.
//!
//! What a library has seeded before the checkpoint is seeded the same after each rewind, and what it yields is repeated. None of those known
//! is seeded by then; which modules a host has is not known. So a child of the zygote, begun as a worker is, takes a checkpoint, draws from
//! all generators that it finds, is rewound, draws again, several times; where a number comes twice, it has the generators seeded anew after
//! each rewind and goes on; where that does not help, no worker of the site is rewound.
//!
//! Its verdict is in memory that zygote, child and workers share. No visitor waits for it: it begins once the first worker has ended or a second one is there
//! (`Zygote::begin_trial`), and workers that are begun before it is known serve one request each. Native code of a site can write it and so
//! harm its own site.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use hostel_rewind::Rewind;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

use crate::engine::Engine;
use crate::say;

/// What is known of this site's PHP. All zeros is nothing.
#[repr(C)]
pub(crate) struct Record {
    verdict: AtomicU32,
    /// Draws so far, with or without the remedy.
    rounds: AtomicU32,
    /// Whether generators are seeded anew after each rewind.
    is_renewing: AtomicBool,
    count: AtomicU32,
    /// What was drawn, as hashes of name and number.
    seen: [AtomicU64; SEEN_MAX],
}

/// How the trial went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Verdict {
    /// It goes on, or has not begun.
    Pending = 0,
    /// No number came twice.
    Sound,
    /// None did where generators are seeded anew after each rewind.
    Renew,
    /// Workers must not be rewound.
    Unsound,
}

impl Record {
    /// One that this process shares with all that it forks, for ever.
    pub(crate) fn create() -> std::io::Result<&'static Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let hint = std::ptr::null_mut();
        // SAFETY: a new mapping where the kernel chooses, so it lies over nothing else.
        let start =
            unsafe { mmap_anonymous(hint, size_of::<Self>(), protection, MapFlags::SHARED) }?;
        // SAFETY: as large as a record, aligned to a page, never unmapped; it is all atomics, of which zeros are a value.
        Ok(unsafe { &*start.cast::<Self>() })
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self.verdict.load(Ordering::Acquire) {
            0 => Verdict::Pending,
            1 => Verdict::Sound,
            2 => Verdict::Renew,
            _ => Verdict::Unsound,
        }
    }

    /// Say how it went, if nobody has. Whether this counts.
    pub(crate) fn conclude(&self, verdict: Verdict) -> bool {
        let (from, to) = (Verdict::Pending as u32, verdict as u32);
        let order = (Ordering::AcqRel, Ordering::Acquire);
        self.verdict
            .compare_exchange(from, to, order.0, order.1)
            .is_ok()
    }

    /// Take down what was drawn, and say what was drawn before.
    fn repeated<'a>(&self, draws: &'a [u8]) -> Result<Option<&'a [u8]>, Failure> {
        let lines = draws.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            let mut hasher = DefaultHasher::new();
            line.hash(&mut hasher);
            let (hash, count) = (hasher.finish(), self.count.load(Ordering::Relaxed) as usize);
            let mut seen = self.seen.iter().take(count);
            if seen.any(|seen| seen.load(Ordering::Relaxed) == hash) {
                return Ok(line.rsplitn(2, |byte| *byte == b' ').nth(1));
            }
            let place = self.seen.get(count).ok_or(Failure::TooMany)?;
            place.store(hash, Ordering::Relaxed);
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(None)
    }

    fn begin_again(&self) {
        self.is_renewing.store(true, Ordering::Relaxed);
        self.rounds.store(0, Ordering::Relaxed);
        self.count.store(0, Ordering::Relaxed);
    }
}

/// Why the workers of a site are not rewound.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it could not be rewound itself: {0}")]
    Unfit(#[from] hostel_rewind::Unfit),
    #[error("PHP could not run what draws from its generators, or they are too many")]
    Php,
    #[error("there are too many generators")]
    TooMany,
    #[error("{0} yields the same number again, also where it is told to seed anew")]
    Repeats(String),
}

/// Conduct the trial, in a process that is as a worker before its first request. It ends afterwards.
pub(crate) fn conduct(engine: &mut Engine, rewind: Option<Rewind>, record: &Record) {
    // Where it cannot be prepared for a rewind, no worker can, and why stands in the log.
    let Some(mut rewind) = rewind else {
        record.conclude(Verdict::Unsound);
        return;
    };
    match rounds(engine, &mut rewind, record) {
        Ok(verdict) => {
            record.conclude(verdict);
        }
        Err(failure) => fail(record, &failure.to_string()),
    }
}

/// The trial has ended without a word.
pub(crate) fn is_lost(record: &Record) {
    if record.verdict() == Verdict::Pending {
        fail(record, "it ended before it was done");
    }
}

fn fail(record: &Record, why: &str) {
    if record.conclude(Verdict::Unsound) {
        say(&format!(
            "each request of this site has a process of its own, as a trial has shown that workers must not be rewound: {why}"
        ));
    }
}

fn rounds(engine: &mut Engine, rewind: &mut Rewind, record: &Record) -> Result<Verdict, Failure> {
    // What modules seed when a request begins counts as seeded.
    engine.pass();
    // This returns again after each rewind.
    rewind.checkpoint(&engine.free_memory())?;
    let is_renewing = record.is_renewing.load(Ordering::Relaxed);
    if is_renewing {
        engine.renew_generators();
    }
    let mut draws = vec![0; DRAWS_BYTES];
    let length = engine.draw(&mut draws);
    let draws = draws.get(..length).unwrap_or_default();
    if draws.is_empty() {
        return Err(Failure::Php);
    }
    match record.repeated(draws)? {
        Some(name) if is_renewing => {
            return Err(Failure::Repeats(String::from_utf8_lossy(name).into_owned()));
        }
        Some(name) => {
            let name = String::from_utf8_lossy(name);
            say(&format!(
                "generators of random numbers are seeded anew after each request, as {name} would repeat itself"
            ));
            record.begin_again();
        }
        None if record.rounds.fetch_add(1, Ordering::Relaxed) + 1 >= ROUNDS => {
            return Ok(match is_renewing {
                true => Verdict::Renew,
                false => Verdict::Sound,
            });
        }
        None => {}
    }
    Err(rewind.rewind(false).into())
}

/// Draws of a trial, with a rewind between each two.
const ROUNDS: u32 = 4;
/// Some 40 generators with two numbers in hexadecimal each.
const DRAWS_BYTES: usize = 16 * 1024;
/// Numbers of all rounds.
const SEEN_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_comes_again_is_told_by_its_generator() {
        let record = Record::create().unwrap();
        assert_eq!(record.repeated(b"a 01\nb c 01\n").unwrap(), None);
        assert_eq!(record.repeated(b"a 02\nb c 02\n").unwrap(), None);
        let again = record.repeated(b"a 03\nb c 01\n").unwrap();
        assert_eq!(again, Some(&b"b c"[..]));
        record.begin_again();
        assert_eq!(record.repeated(b"b c 01\n").unwrap(), None);
    }

    #[test]
    fn more_numbers_than_can_be_told_apart_are_no_trial() {
        let record = Record::create().unwrap();
        for number in 0..SEEN_MAX {
            let line = format!("a {number}\n");
            assert_eq!(record.repeated(line.as_bytes()).unwrap(), None);
        }
        assert!(record.repeated(b"a x\n").is_err());
    }

    #[test]
    fn the_first_verdict_counts() {
        let record = Record::create().unwrap();
        assert_eq!(record.verdict(), Verdict::Pending);
        assert!(record.conclude(Verdict::Renew));
        assert!(!record.conclude(Verdict::Unsound));
        assert_eq!(record.verdict(), Verdict::Renew);
    }
}
