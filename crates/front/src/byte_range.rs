//! Which bytes of a file a Range header asks for (RFC 9110, section 14).
//!
//! Run by the front on bytes of a client, of which it trusts none. It is pure. A header that is not understood is ignored, as the
//! standard wants; so is one that asks for more than the whole file or in too many pieces, since that is only ever an attack.

use std::ops::Range;

use crate::reply;

/// What is to be sent of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of it.
    Whole,
    /// These bytes; at least one range, none empty, none beyond the end.
    Parts(Vec<Range<u64>>),
    /// 416: it has none of the bytes that were asked for.
    Nothing,
}

/// Read a Range header's value for a file of `size` bytes.
pub fn select(value: &[u8], size: u64) -> Selection {
    match parse(value, size) {
        None => Selection::Whole,
        Some(parts) if parts.is_empty() => Selection::Nothing,
        Some(parts) => {
            // A site can make a file of almost 2^63 bytes, so several ranges may be more than a u64 counts.
            let lengths = parts.iter().map(|part| part.end - part.start);
            let sum = lengths.fold(0, u64::saturating_add);
            // One range is never larger than the file; several that are overlap.
            if sum > size {
                Selection::Whole
            } else {
                Selection::Parts(parts)
            }
        }
    }
}

/// The ranges that the file has; `None` when the header is to be ignored.
fn parse(value: &[u8], size: u64) -> Option<Vec<Range<u64>>> {
    let (unit, list) = value.split_at_checked(UNIT.len())?;
    if !unit.eq_ignore_ascii_case(UNIT) {
        return None;
    }
    let mut parts = Vec::new();
    for (index, spec) in list.split(|b| *b == b',').enumerate() {
        if index == RANGES_MAX {
            return None;
        }
        let spec = spec.trim_ascii();
        let dash = spec.iter().position(|b| *b == b'-')?;
        let first = spec.get(..dash)?;
        let last = spec.get(dash + 1..)?;
        let part = match (first.is_empty(), last.is_empty()) {
            (true, true) => return None,
            (true, false) => size.saturating_sub(reply::decimal(last)?)..size,
            (false, true) => reply::decimal(first)?..size,
            (false, false) => {
                let (first, last) = (reply::decimal(first)?, reply::decimal(last)?);
                if first > last {
                    return None;
                }
                first..last.saturating_add(1).min(size)
            }
        };
        if !part.is_empty() {
            parts.push(part);
        }
    }
    Some(parts)
}

/// The one unit there is.
const UNIT: &[u8] = b"bytes=";
/// Ranges that one request may ask for. Readers of PDF ask for a handful.
const RANGES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(parts: &[(u64, u64)]) -> Selection {
        Selection::Parts(parts.iter().map(|(start, end)| *start..*end).collect())
    }

    #[test]
    fn ranges_are_cut_to_the_file() {
        for (value, selection) in [
            ("bytes=0-0", parts(&[(0, 1)])),
            ("bytes=0-99", parts(&[(0, 100)])),
            ("Bytes=10-", parts(&[(10, 100)])),
            ("bytes=-10", parts(&[(90, 100)])),
            ("bytes=-1000", parts(&[(0, 100)])),
            ("bytes=90-1000", parts(&[(90, 100)])),
            ("bytes=0-1, 5-6 ,-1", parts(&[(0, 2), (5, 7), (99, 100)])),
            ("bytes=0-1,200-300", parts(&[(0, 2)])),
            ("bytes=99-9223372036854775807", parts(&[(99, 100)])),
        ] {
            assert_eq!(select(value.as_bytes(), 100), selection, "{value}");
        }
    }

    #[test]
    fn what_the_file_does_not_have_is_nothing() {
        for value in [
            "bytes=100-",
            "bytes=100-200",
            "bytes=-0",
            "bytes=200-300,400-",
        ] {
            assert_eq!(select(value.as_bytes(), 100), Selection::Nothing, "{value}");
        }
        assert_eq!(select(b"bytes=0-", 0), Selection::Nothing);
        assert_eq!(select(b"bytes=-5", 0), Selection::Nothing);
    }

    #[test]
    fn what_is_not_understood_or_too_much_is_ignored() {
        let many = format!("bytes={}", ["0-0"; RANGES_MAX + 1].join(","));
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-1",
            "bytes=1",
            "bytes=1--2",
            "bytes=+1-2",
            "bytes=0-1,",
            "bytes=0-99999999999999999999",
            "lines=0-1",
            "bytes=0-99,0-99",
            "bytes=0-,1-",
            &many,
        ] {
            assert_eq!(select(value.as_bytes(), 100), Selection::Whole, "{value}");
        }
    }

    #[test]
    fn ranges_of_a_monstrous_file_do_not_wrap_around() {
        let size = i64::MAX.unsigned_abs();
        // 2^64 + 100 bytes in all.
        assert_eq!(select(b"bytes=0-,0-,0-101", size), Selection::Whole);
    }
}
