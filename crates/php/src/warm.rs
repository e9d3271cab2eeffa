//! Warm caches for a worker that is put back after each request: when they are made anew, and of what.
//!
//! Run by a worker. At the checkpoint before the first request, PHP's caches of compiled patterns and of paths are empty, and whatever a
//! request adds is undone with it. So the keys that a request has added are noted before it is undone ([`Warm::note`]); afterwards PHP
//! works out what they stand for ([`Warm::renew`]), and the next checkpoint has that. Nothing of the request's but those keys
//! gets there. All of this happens after the answer has gone out, and within a share of the worker's processor time.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::engine::Engine;
use crate::ffi::Caches;
use crate::keys::{Kept, Keys, NOTES};

/// What is remembered across rewinds; what a field of [`Warm`] says is true of the checkpoint.
pub(crate) struct Warm {
    keys: Keys,
    /// What the caches held at the checkpoint.
    held: Caches,
    /// When what they say of paths is too old, in seconds of the clock that PHP has; 0 for never.
    stale_at: u64,
}

/// What a request saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// The document root led elsewhere than before.
    pub(crate) root_has_moved: bool,
    /// Of the cache of paths, when PHP had begun with it.
    pub(crate) path_bytes_at_start: usize,
}

/// Numbers of [`Kept`].
#[derive(Debug, Clone, Copy)]
enum Note {
    /// What is to be done after the rewind, one of [`Due`].
    Due,
    /// The processor's time when that was begun; 0 while nothing is done.
    BegunAt,
    /// Processor time that all of it has taken.
    Spent,
    /// Requests that have to be undone before the caches are looked at again because they have grown.
    GrownNotBefore,
    /// And so many from then on.
    Distance,
}

/// Why the caches are made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Not = 0,
    /// There are keys that the checkpoint does not have.
    Grown = 1,
    /// What it says of paths does not hold, or is thrown away at the begin of each request.
    Stale = 2,
    /// The document root leads elsewhere, and those of another release do not come again.
    Moved = 3,
}

impl Warm {
    pub(crate) fn new(engine: &Engine) -> std::io::Result<Self> {
        Ok(Self {
            keys: Keys::new()?,
            held: engine.caches(),
            stale_at: 0,
        })
    }

    /// Look at what a request has added, before it is undone, the so many-th of this worker.
    pub(crate) fn note(&mut self, engine: &Engine, seen: Seen, requests: u64) {
        let now = engine.caches();
        // OPcache empties the caches of each process that began before its last restart, so that of the checkpoint each time.
        let is_flushed = seen.path_bytes_at_start < self.held.path_bytes;
        let is_old =
            self.stale_at != 0 && seconds(clock_gettime(ClockId::Realtime)) >= self.stale_at;
        let is_stale = seen.root_has_moved || is_flushed || is_old;
        let has_grown = now.patterns > self.held.patterns || now.path_bytes > self.held.path_bytes;
        if !is_stale && !has_grown {
            return;
        }
        self.keys.with(|kept| {
            let is_time = is_stale || requests >= kept.get(Note::GrownNotBefore);
            if !is_time || !kept.can_be_afforded(is_stale) {
                return;
            }
            if seen.root_has_moved {
                kept.forget_paths();
                kept.set(Note::GrownNotBefore, 0);
                kept.set(Note::Distance, 0);
            }
            let added = kept.add_new(engine);
            if !is_stale {
                kept.wait_longer(requests);
            }
            kept.set(
                Note::Due,
                match (is_stale, added) {
                    (true, _) => Due::Stale,
                    (false, true) => Due::Grown,
                    (false, false) => Due::Not,
                } as u64,
            );
        });
    }

    /// To be asked at each return of the checkpoint. Where something is due, [`Warm::renew`] is to follow, and another checkpoint.
    pub(crate) fn begin(&mut self) -> Due {
        self.keys.with(|kept| {
            let begun_at = kept.get(Note::BegunAt);
            if begun_at != 0 {
                // That was the checkpoint after it.
                let spent = processor_time().saturating_sub(begun_at);
                kept.set(Note::Spent, kept.get(Note::Spent).saturating_add(spent));
                kept.set(Note::BegunAt, 0);
            }
            let due = match kept.get(Note::Due) {
                0 => return Due::Not,
                1 => Due::Grown,
                _ => Due::Stale,
            };
            kept.set(Note::Due, Due::Not as u64);
            kept.set(Note::BegunAt, processor_time().max(1));
            due
        })
    }

    /// Have PHP work out what is known by its key. `false` when this process is of no more use.
    pub(crate) fn renew(&mut self, engine: &mut Engine, due: Due) -> bool {
        let copied = self.keys.with(|kept| {
            if due == Due::Moved {
                kept.forget_paths();
            }
            kept.copy()
        });
        let before = seconds(clock_gettime(ClockId::Realtime));
        if due != Due::Grown {
            engine.forget_paths();
        }
        if !engine.warm(&copied, MOST) {
            return false;
        }
        drop(copied);
        self.held = engine.caches();
        let lifetime = u64::try_from(self.held.path_seconds).unwrap_or(0);
        if due != Due::Grown || self.stale_at == 0 {
            // A little before PHP itself drops them, so that no request finds them dropped.
            self.stale_at = match lifetime {
                0 => 0,
                lifetime => before + (lifetime - lifetime / 8).max(1),
            };
        }
        // What did not come about is no key: a path that leads nowhere, a pattern of another locale.
        self.keys.with(|kept| {
            kept.clear();
            kept.add_new(engine);
        });
        true
    }
}

impl Kept {
    fn get(&self, note: Note) -> u64 {
        self.notes.get(note as usize).copied().unwrap_or(0)
    }

    fn set(&mut self, note: Note, value: u64) {
        if let Some(place) = self.notes.get_mut(note as usize) {
            *place = value;
        }
    }

    /// Add the keys that are not there. Whether there were any.
    fn add_new(&mut self, engine: &Engine) -> bool {
        let copied = self.copy();
        let known = copied.as_set();
        let mut added = false;
        engine.each_key(&mut |kind, key| {
            if !known.contains(&(kind, key)) {
                added |= self.add(kind, key);
            }
        });
        added
    }

    /// Whether all of it has taken a small share of what this worker has.
    fn can_be_afforded(&self, is_stale: bool) -> bool {
        let share = if is_stale { STALE_SHARE } else { SHARE };
        self.get(Note::Spent) <= (processor_time() / share).saturating_add(ALLOWANCE)
    }

    /// New keys that come again and again are worth less each time.
    fn wait_longer(&mut self, requests: u64) {
        let distance = self.get(Note::Distance).clamp(1, DISTANCE_MAX);
        self.set(Note::GrownNotBefore, requests.saturating_add(distance));
        self.set(Note::Distance, distance.saturating_mul(2));
    }
}

fn processor_time() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds(time)
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}

fn seconds(time: Timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0)
}

/// How long it may take at once; what is left over is worked out another time.
const MOST: Duration = Duration::from_millis(20);
/// One part in so many of a worker's processor time, in all.
const SHARE: u64 = 50;
/// While what the checkpoint has is of no use: each request then pays more than that.
const STALE_SHARE: u64 = 5;
/// And so much of it, in nanoseconds, from the start.
const ALLOWANCE: u64 = 40_000_000;
/// Requests between two looks, at most.
const DISTANCE_MAX: u64 = 1024;
const _: () = assert!((Note::Distance as usize) < NOTES, "there is room for each");
