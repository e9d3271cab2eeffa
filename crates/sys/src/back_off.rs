//! How soon something that ended may be started again.
//!
//! Run by the monitor and the firewall. Pure: it is told the time. It counts one thing's deaths in a row and nothing else.

use std::time::{Duration, Instant};

/// The waiting time after the first death; doubled by each further one.
const FIRST: Duration = Duration::from_millis(100);
/// The longest waiting time.
const LONGEST: Duration = Duration::from_secs(30);
/// After so long a life the deaths before are forgotten.
const GOOD: Duration = Duration::from_secs(60);

/// The deaths in a row of one thing, and when it may be started again.
#[derive(Debug, Clone, Copy)]
pub struct BackOff {
    deaths: u32,
    not_before: Instant,
}

impl BackOff {
    /// May be started at once.
    pub fn new(now: Instant) -> Self {
        Self {
            deaths: 0,
            not_before: now,
        }
    }

    /// It died `now`, having been started at `begun`. Says how long to wait.
    pub fn died(&mut self, begun: Instant, now: Instant) -> Duration {
        if now.saturating_duration_since(begun) >= GOOD {
            self.deaths = 0;
        }
        let wait = FIRST
            .saturating_mul(2_u32.saturating_pow(self.deaths))
            .min(LONGEST);
        self.deaths = self.deaths.saturating_add(1);
        self.not_before = now + wait;
        wait
    }

    /// It ended as it should: it may be started again at once.
    pub fn ended_well(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// From when on it may be started.
    pub fn not_before(&self) -> Instant {
        self.not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_a_good_minute_forgets_them() {
        let now = Instant::now();
        let mut back_off = BackOff::new(now);
        let waits: Vec<u128> = (0..11)
            .map(|_| back_off.died(now, now).as_millis())
            .collect();
        assert_eq!(
            waits,
            [
                100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000
            ]
        );
        let later = now + GOOD;
        assert_eq!(back_off.died(now, later), FIRST);
        assert_eq!(back_off.not_before(), later + FIRST);
        back_off.ended_well(later);
        assert_eq!(back_off.not_before(), later);
    }

    #[test]
    fn many_deaths_do_not_overflow() {
        let now = Instant::now();
        let mut back_off = BackOff::new(now);
        for _ in 0..100 {
            back_off.died(now, now);
        }
        assert_eq!(back_off.died(now, now), LONGEST);
    }
}
