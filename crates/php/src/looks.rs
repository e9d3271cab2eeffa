//! What was looked at within the last second, so that each request need not look again: verdicts on directories, and what scripts were.
//!
//! Run by a worker, in memory that outlives a rewind: this is Hostel's own knowledge of files, which no request of the site's has made.
//! Places are found by a hash; a new entry takes the place of an older one.

use std::hash::{BuildHasher, RandomState};

use rustix::time::{ClockId, clock_gettime};

use crate::outliving::{AnyBytes, Outliving};

/// The tables.
#[repr(C)]
struct Tables {
    directories: [Look<1>; DIRECTORIES],
    scripts: [Look<SCRIPT_NUMBERS>; SCRIPTS],
}

// SAFETY: numbers alone.
unsafe impl AnyBytes for Tables {}

/// One look.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Look<const N: usize> {
    name: u64,
    /// Milliseconds of a clock that never goes back; 0 for never.
    at: u64,
    found: [u64; N],
}

/// The knowledge of a worker.
pub(crate) struct Looks {
    tables: Outliving<Tables>,
    /// By chance, so that nobody can choose names that are taken for each other. It is the same after each rewind.
    state: RandomState,
}

impl Looks {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            tables: Outliving::new()?,
            state: RandomState::new(),
        })
    }

    /// What was found of a directory.
    pub(crate) fn directory(&mut self, name: &[u8]) -> Option<u64> {
        let name = self.state.hash_one(name);
        let found = self.tables.with(|tables| find(&tables.directories, name));
        found.map(|[verdict]| verdict)
    }

    pub(crate) fn keep_directory(&mut self, name: &[u8], verdict: u64) {
        let name = self.state.hash_one(name);
        self.tables
            .with(|tables| keep(&mut tables.directories, name, [verdict]));
    }

    /// What was found of a script.
    pub(crate) fn script(&mut self, name: &[u8]) -> Option<[u64; SCRIPT_NUMBERS]> {
        let name = self.state.hash_one(name);
        self.tables.with(|tables| find(&tables.scripts, name))
    }

    pub(crate) fn keep_script(&mut self, name: &[u8], found: [u64; SCRIPT_NUMBERS]) {
        let name = self.state.hash_one(name);
        self.tables
            .with(|tables| keep(&mut tables.scripts, name, found));
    }
}

fn find<const N: usize>(table: &[Look<N>], name: u64) -> Option<[u64; N]> {
    let look = table.get(place(name, table.len()))?;
    let is_young = look.at != 0 && now().saturating_sub(look.at) < LIFETIME_MILLISECONDS;
    (look.name == name && is_young).then_some(look.found)
}

fn keep<const N: usize>(table: &mut [Look<N>], name: u64, found: [u64; N]) {
    let at = now();
    if let Some(look) = table.get_mut(place(name, table.len())) {
        *look = Look { name, at, found };
    }
}

fn place(name: u64, places: usize) -> usize {
    let place = name % u64::try_from(places).unwrap_or(1).max(1);
    usize::try_from(place).unwrap_or(0)
}

fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let milliseconds = time.tv_sec * 1000 + time.tv_nsec / 1_000_000;
    u64::try_from(milliseconds).unwrap_or(0).max(1)
}

const DIRECTORIES: usize = 128;
const SCRIPTS: usize = 512;
/// Numbers that tell a script from another.
pub(crate) const SCRIPT_NUMBERS: usize = 6;
/// How long a look counts.
const LIFETIME_MILLISECONDS: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_at_is_known_by_its_name_for_a_second() {
        let mut looks = Looks::new().unwrap();
        assert_eq!(looks.directory(b"/a"), None);
        looks.keep_directory(b"/a", 2);
        looks.keep_script(b"/a", [1; SCRIPT_NUMBERS]);
        assert_eq!(looks.directory(b"/a"), Some(2));
        assert_eq!(looks.directory(b"/b"), None);
        assert_eq!(looks.script(b"/a"), Some([1; SCRIPT_NUMBERS]));
        std::thread::sleep(std::time::Duration::from_millis(1001));
        assert_eq!(looks.directory(b"/a"), None);
        assert_eq!(looks.script(b"/a"), None);
    }

    #[test]
    fn any_number_of_names_finds_room() {
        let mut looks = Looks::new().unwrap();
        for number in 0..10 * SCRIPTS as u64 {
            let name = number.to_le_bytes();
            looks.keep_script(&name, [number; SCRIPT_NUMBERS]);
            assert_eq!(looks.script(&name), Some([number; SCRIPT_NUMBERS]));
        }
    }
}
