//! Numbers by chance for tests, in an order that can be had again; and what a test says while it runs.

use std::io::Write;
use std::time::SystemTime;

/// Numbers by chance, from a seed that is told.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The seed is told, and can be given by HOSTEL_SEED.
    pub fn by_seed() -> Self {
        let clock = SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("a clock")
            .as_nanos();
        let given = std::env::var("HOSTEL_SEED").ok();
        let seed = given.map_or(u64::try_from(clock & 0xffff_ffff).unwrap_or(1), |seed| {
            seed.parse().expect("HOSTEL_SEED is a number")
        });
        say(&format!("HOSTEL_SEED={seed}"));
        Self(seed | 1)
    }

    /// Another row of numbers, of the same seed.
    pub fn fork(&mut self) -> Self {
        self.below(2);
        Self(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// One below this bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("below the bound")
    }

    /// By chance, so often.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// Put them in an order by chance.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// At once, past the harness, which keeps what a test prints until its end.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
