//! What the host has to give: whether processor and memory are short.
//!
//! Pure; a part of [`super::Scheduler`]. It trusts the kernel's own figures: pressure (PSI), idle time and available memory. Load averages,
//! which lag by a minute and count who waits for a disk, are not looked at. Where the kernel has no PSI, idle time and memory remain.

use std::time::{Duration, Instant};

/// The kernel's figures at one moment. `None`: the kernel does not have it.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Sample {
    /// For how long, since the host began, some process was ready to run and had no processor.
    pub cpu_stall: Option<Duration>,
    /// For how long the processors have idled, all together.
    pub cpu_idle: Option<Duration>,
    /// For how long some process has waited for memory to be made free.
    pub memory_stall: Option<Duration>,
    /// Bytes that can be had without swapping.
    pub memory_available: Option<u64>,
}

/// The host.
pub(super) struct Host {
    cores: usize,
    /// Kept free of workers.
    reserve: u64,
    last: Option<(Instant, Sample)>,
    /// The part of the time in which somebody waited for a processor, smoothed.
    cpu_wait: f64,
    is_busy: bool,
    is_thrashing: bool,
    /// What was available at the last look, less what was lent since.
    available: Option<u64>,
}

impl Host {
    pub(super) fn new(cores: usize, memory_bytes: u64) -> Self {
        Self {
            cores: cores.max(1),
            reserve: (memory_bytes / RESERVE_PART)
                .max(RESERVE_MIN)
                .min(memory_bytes / 4),
            last: None,
            cpu_wait: 0.0,
            is_busy: false,
            is_thrashing: false,
            available: None,
        }
    }

    pub(super) fn cores(&self) -> usize {
        self.cores
    }

    /// Whether the processors are the limit of what the host can do.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Whether idle processes are to go for others' sake.
    pub(super) fn is_memory_short(&self) -> bool {
        self.is_thrashing || self.available.is_some_and(|bytes| bytes < self.reserve)
    }

    pub(super) fn is_due(&self, now: Instant, is_at_rest: bool) -> bool {
        let pause = if is_at_rest { REST } else { BEAT };
        let last = self.last.as_ref();
        last.is_none_or(|(then, _)| now.duration_since(*then) >= pause)
    }

    pub(super) fn look(&mut self, now: Instant, sample: &Sample) {
        self.available = sample.memory_available;
        if let Some((then, before)) = &self.last {
            let passed = now.duration_since(*then).as_secs_f64();
            if passed <= 0.0 {
                return;
            }
            let part = |now: Option<Duration>, before: Option<Duration>| {
                let spent = now?.checked_sub(before?)?.as_secs_f64() / passed;
                Some(spent.clamp(0.0, 1024.0))
            };
            let wait = part(sample.cpu_stall, before.cpu_stall).or_else(|| {
                // Without PSI: nobody waits long while a processor idles.
                let idle = part(sample.cpu_idle, before.cpu_idle)?;
                Some(1.0 - (idle / IDLE_PLENTY).min(1.0))
            });
            // An interval that was late weighs more.
            let weight = 1.0 - (-passed / SMOOTHED.as_secs_f64()).exp();
            self.cpu_wait += (wait.unwrap_or(0.0) - self.cpu_wait) * weight;
            let bound = if self.is_busy { WAIT_LOW } else { WAIT_HIGH };
            self.is_busy = self.cpu_wait > bound;
            let memory = part(sample.memory_stall, before.memory_stall);
            self.is_thrashing = memory.is_some_and(|part| part > MEMORY_WAIT);
        }
        self.last = Some((now, *sample));
    }

    /// Whether a site that holds `held` bytes may have so many more. The first worker of a site may take half of the reserve: a
    /// site that answers slowly is better than one that does not.
    pub(super) fn lend(&mut self, bytes: u64, held: u64, weight: u32, is_first: bool) -> bool {
        let Some(available) = self.available else {
            return true;
        };
        let kept = if is_first {
            self.reserve / 2
        } else {
            self.reserve
        };
        let free = available.saturating_sub(kept);
        let share = free.saturating_mul(weight.into()) / u64::from(super::WEIGHT);
        if free < bytes || (!is_first && (self.is_thrashing || held.saturating_add(bytes) > share))
        {
            return false;
        }
        self.available = Some(available - bytes);
        true
    }
}

/// How often the host is looked at while anything happens.
const BEAT: Duration = Duration::from_millis(50);
/// And while nothing does: who comes first finds a figure that is not old.
const REST: Duration = Duration::from_secs(1);
/// Over about how long the wait for a processor is smoothed.
const SMOOTHED: Duration = Duration::from_millis(60);
/// The processors are short when somebody waits for one in more than this part of the time, and until it is less than the lower one.
const WAIT_HIGH: f64 = 0.30;
const WAIT_LOW: f64 = 0.12;
/// With so much of one processor idle, nobody waits.
const IDLE_PLENTY: f64 = 0.3;
/// Memory is short when somebody waits for it in more than this part of the time.
const MEMORY_WAIT: f64 = 0.10;
/// This part of the memory is kept free, and at least so much (but never more than a quarter of all).
const RESERVE_PART: u64 = 16;
const RESERVE_MIN: u64 = 128 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(host: &mut Host, samples: impl Iterator<Item = Sample>) {
        let begun = Instant::now();
        for (count, sample) in (0..).zip(samples) {
            host.look(begun + BEAT * count, &sample);
        }
    }

    fn stalls(part: f64) -> impl Iterator<Item = Sample> {
        (0..20).map(move |count| Sample {
            cpu_stall: Some((BEAT * count).mul_f64(part)),
            ..Sample::default()
        })
    }

    #[test]
    fn the_wait_for_a_processor_makes_the_host_busy_and_a_little_of_it_does_not() {
        let mut host = Host::new(2, 1 << 33);
        looks(&mut host, stalls(0.2));
        assert!(!host.is_busy());
        looks(&mut host, stalls(0.6));
        assert!(host.is_busy());
        // Between the two bounds it stays what it was.
        host.last = None;
        looks(&mut host, stalls(0.2));
        assert!(host.is_busy());
        host.last = None;
        looks(&mut host, stalls(0.05));
        assert!(!host.is_busy());
    }

    #[test]
    fn without_psi_idle_processors_count() {
        for (idle, is_busy) in [(0.0, true), (0.05, true), (1.0, false)] {
            let mut host = Host::new(2, 1 << 33);
            let sample = |count| Sample {
                cpu_idle: Some((BEAT * count).mul_f64(idle)),
                ..Sample::default()
            };
            looks(&mut host, (0..20).map(sample));
            assert_eq!(host.is_busy(), is_busy, "{idle}");
        }
        let mut host = Host::new(2, 1 << 33);
        looks(&mut host, (0..20).map(|_| Sample::default()));
        assert!(!host.is_busy(), "a kernel that says nothing limits nothing");
    }

    #[test]
    fn memory_is_lent_to_no_more_than_there_is_and_to_one_site_half_of_it() {
        let gib = 1 << 30;
        let mut host = Host::new(2, 8 * gib);
        let sample = Sample {
            memory_available: Some(4 * gib + gib / 2),
            ..Sample::default()
        };
        host.look(Instant::now(), &sample);
        let mut lent = 0;
        while host.lend(gib / 8, lent, 100, false) {
            lent += gib / 8;
        }
        assert_eq!(lent, 2 * gib, "half of the four beyond the reserve");
        let mut others = 0;
        while host.lend(gib / 8, 0, 100, false) {
            others += gib / 8;
        }
        assert_eq!(lent + others, 4 * gib);
        assert!(!host.is_memory_short());
        assert!(host.lend(gib / 8, 0, 100, true), "a first worker");
        assert!(host.is_memory_short());
    }
}
