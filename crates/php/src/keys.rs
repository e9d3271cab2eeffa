//! Keys of PHP's caches, in memory that outlives a rewind.
//!
//! Run by a worker. They are a site's texts, of any content: a pattern may have NULs, and either may be as long as a script likes. What is
//! over the bounds is not taken. Nothing but keys is kept: what they stand for, PHP works out anew. The memory is shared with what a script
//! forks, so what is read from it is believed no further than the bounds allow.

use std::collections::HashSet;
use std::ffi::c_char;

use crate::ffi::Text;
use crate::outliving::{AnyBytes, Outliving};

/// Of which cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Pattern,
    Path,
}

/// The list, and some numbers of who keeps it. Zeros are one, and any other bytes are, too.
#[repr(C)]
pub(crate) struct Kept {
    pub(crate) notes: [u64; NOTES],
    used: usize,
    counts: [usize; 2],
    bytes: [u8; BYTES_MAX],
}

// SAFETY: numbers alone.
unsafe impl AnyBytes for Kept {}

/// Where it stands.
pub(crate) type Keys = Outliving<Kept>;

impl Kept {
    /// Forget all keys.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
        self.counts = [0; 2];
    }

    /// Forget where paths lead.
    pub(crate) fn forget_paths(&mut self) {
        let copied = self.copy();
        self.clear();
        for (kind, key) in copied.iter() {
            if kind == Kind::Pattern {
                self.add(kind, key);
            }
        }
    }

    /// Add a key. `false` where it is over the bounds.
    pub(crate) fn add(&mut self, kind: Kind, key: &[u8]) -> bool {
        let Ok(length) = u16::try_from(key.len()) else {
            return false;
        };
        let is_wanted = match kind {
            Kind::Pattern => key.len() <= PATTERN_BYTES_MAX,
            Kind::Path => {
                key.len() <= PATH_BYTES_MAX && key.first() == Some(&b'/') && !key.contains(&0)
            }
        };
        let Some(count) = self.counts.get_mut(kind as usize) else {
            return false;
        };
        let end = self.used.saturating_add(HEAD_BYTES + key.len());
        let place = self.bytes.get_mut(self.used..end);
        let Some(place) = place.filter(|_| is_wanted && *count < COUNT_MAX) else {
            return false;
        };
        let (head, text) = place.split_at_mut(HEAD_BYTES);
        let [low, high] = length.to_le_bytes();
        head.copy_from_slice(&[kind as u8, low, high]);
        text.copy_from_slice(key);
        *count += 1;
        self.used = end;
        true
    }

    /// All keys, in memory of this process's own.
    pub(crate) fn copy(&self) -> Copied {
        let mut copied = Copied::default();
        let mut rest = self.bytes.get(..self.used).unwrap_or_default();
        while let Some((head, behind)) = rest.split_first_chunk::<HEAD_BYTES>() {
            let [kind, low, high] = *head;
            let length = usize::from(u16::from_le_bytes([low, high]));
            let Some(key) = behind.get(..length) else {
                break;
            };
            let kind = if kind == Kind::Path as u8 {
                Kind::Path
            } else {
                Kind::Pattern
            };
            copied.places.push((kind, copied.text.len(), length));
            copied.text.extend_from_slice(key);
            copied.text.push(0);
            rest = behind.get(length..).unwrap_or_default();
        }
        copied
    }
}

/// Keys, each with a NUL behind it.
#[derive(Default)]
pub(crate) struct Copied {
    text: Vec<u8>,
    places: Vec<(Kind, usize, usize)>,
}

impl Copied {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Kind, &[u8])> {
        self.places.iter().map(|(kind, at, length)| {
            let key = self.text.get(*at..at + length);
            (*kind, key.unwrap_or_default())
        })
    }

    pub(crate) fn as_set(&self) -> HashSet<(Kind, &[u8])> {
        self.iter().collect()
    }

    /// Those of a kind, as C takes them.
    pub(crate) fn texts(&self, wanted: Kind) -> Vec<Text> {
        let of_kind = self.iter().filter(|(kind, _)| *kind == wanted);
        of_kind
            .map(|(_, key)| Text {
                bytes: key.as_ptr().cast::<c_char>(),
                length: key.len(),
            })
            .collect()
    }
}

/// Numbers of whoever keeps the list.
pub(crate) const NOTES: usize = 8;
/// Of all keys together.
const BYTES_MAX: usize = 512 * 1024;
/// Of each kind. PHP keeps 4096 patterns, and a script that fills that must have room besides these.
const COUNT_MAX: usize = 2048;
/// An application's lexer may have one pattern of all its words.
const PATTERN_BYTES_MAX: usize = 32 * 1024;
/// As PHP has it.
const PATH_BYTES_MAX: usize = 4095;
/// Kind and length.
const HEAD_BYTES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn list(keys: &mut Keys) -> Vec<(Kind, Vec<u8>)> {
        let copied = keys.with(|kept| kept.copy());
        copied
            .iter()
            .map(|(kind, key)| (kind, key.to_vec()))
            .collect()
    }

    #[test]
    fn keys_of_any_content_are_kept_as_they_are() {
        let mut keys = Keys::new().unwrap();
        let all: [(Kind, &[u8]); 4] = [
            (Kind::Pattern, b"/a\0b/\xff"),
            (Kind::Path, b"/srv/x"),
            (Kind::Pattern, b""),
            (Kind::Path, b"/"),
        ];
        keys.with(|kept| assert!(all.iter().all(|(kind, key)| kept.add(*kind, key))));
        let expected: Vec<_> = all.map(|(kind, key)| (kind, key.to_vec())).into();
        assert_eq!(list(&mut keys), expected);
        let copied = keys.with(|kept| kept.copy());
        assert_eq!(copied.texts(Kind::Path).len(), 2);
        keys.with(Kept::forget_paths);
        let patterns = expected
            .into_iter()
            .filter(|(kind, _)| *kind == Kind::Pattern);
        assert_eq!(list(&mut keys), patterns.collect::<Vec<_>>());
        keys.with(Kept::clear);
        assert_eq!(list(&mut keys), []);
    }

    #[test]
    fn what_is_over_a_bound_is_not_taken_and_what_is_below_still_is() {
        let mut keys = Keys::new().unwrap();
        keys.with(|kept| {
            for (kind, key) in [
                (Kind::Path, "relative".as_bytes()),
                (Kind::Path, b"/a\0b"),
                (Kind::Path, b""),
                (Kind::Path, &[b'/'; PATH_BYTES_MAX + 1]),
                (Kind::Pattern, &[b'a'; PATTERN_BYTES_MAX + 1]),
                (Kind::Pattern, &[b'a'; 70_000]),
            ] {
                assert!(!kept.add(kind, key), "{kind:?} of {} bytes", key.len());
            }
            for number in 0..3000 {
                let is_taken = kept.add(Kind::Pattern, format!("/{number}/").as_bytes());
                assert_eq!(is_taken, number < COUNT_MAX, "{number}");
            }
            let mut large = 0;
            while kept.add(Kind::Path, &[b'/'; PATH_BYTES_MAX]) {
                large += 1;
            }
            assert!(
                (100..=BYTES_MAX / PATH_BYTES_MAX).contains(&large),
                "{large}"
            );
            assert!(kept.add(Kind::Path, b"/small"));
        });
    }

    #[test]
    fn memory_that_others_wrote_is_a_list_all_the_same() {
        let mut keys = Keys::new().unwrap();
        for byte in [0, 1, 7, 0xff] {
            keys.with(|kept| {
                kept.bytes.fill(byte);
                for used in [0, 1, 1000, BYTES_MAX, BYTES_MAX + 1, usize::MAX] {
                    kept.used = used;
                    kept.counts = [usize::MAX, 0];
                    let copied = kept.copy();
                    assert!(
                        copied
                            .iter()
                            .all(|(_, key)| key.len() <= usize::from(u16::MAX))
                    );
                    assert!(!kept.add(Kind::Pattern, b"x"));
                }
                kept.forget_paths();
            });
        }
    }
}
