//! How many recipients a site may have: so many at once, and so many in an hour.
//!
//! Pure: it is told the time. A new broker begins with full buckets.

use std::time::{Duration, Instant};

/// A bucket of recipients that fills by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(crate) fn full(burst: u32, now: Instant) -> Self {
        Self {
            level: burst.into(),
            at: now,
        }
    }

    /// Take `count`; or how long it takes until there are so many, `None` for never.
    pub(crate) fn take(
        &mut self,
        count: usize,
        per_hour: u32,
        burst: u32,
        now: Instant,
    ) -> Result<(), Option<Duration>> {
        let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let per_second = f64::from(per_hour) / 3600.0;
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * per_second).min(burst.into());
        self.at = now;
        if per_hour == 0 || count > f64::from(burst) {
            return Err(None);
        }
        if count > self.level {
            let wait = (count - self.level) / per_second;
            return Err(Some(Duration::from_secs_f64(wait)));
        }
        self.level -= count;
        Ok(())
    }

    /// What was taken was not used.
    pub(crate) fn give_back(&mut self, count: usize) {
        self.level += f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let now = Instant::now();
        let mut bucket = Bucket::full(10, now);
        assert_eq!(bucket.take(10, 3600, 10, now), Ok(()));
        let wait = bucket.take(2, 3600, 10, now).unwrap_err().unwrap();
        assert_eq!(wait.as_secs(), 2);
        let later = now + Duration::from_secs(2);
        assert_eq!(bucket.take(2, 3600, 10, later), Ok(()));
        assert!(bucket.take(1, 3600, 10, later).is_err());
        bucket.give_back(1);
        assert_eq!(bucket.take(1, 3600, 10, later), Ok(()));
    }

    #[test]
    fn a_bucket_does_not_fill_beyond_its_burst() {
        let now = Instant::now();
        let mut bucket = Bucket::full(10, now);
        let later = now + Duration::from_secs(86_400);
        assert_eq!(bucket.take(10, 3600, 10, later), Ok(()));
        assert!(bucket.take(1, 3600, 10, later).is_err());
    }

    #[test]
    fn what_never_fits_is_told_so() {
        let now = Instant::now();
        let mut bucket = Bucket::full(10, now);
        assert_eq!(bucket.take(11, 3600, 10, now), Err(None));
        assert_eq!(bucket.take(1, 0, 10, now), Err(None));
    }
}
