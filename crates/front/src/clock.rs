//! The time of day as HTTP and the access log write it, formatted once a second.
//!
//! Run by the front. It trusts nobody's input. It knows no time zones: a host of many sites has visitors in all of them, so
//! the log is in UTC, as the Date header has to be.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Append the time as RFC 9110 writes it: `Sun, 22 Nov 2026 19:10:57 GMT`.
pub(crate) fn append_http_date(out: &mut Vec<u8>) {
    out.extend_from_slice(&now().http);
}

/// Append the time as the combined log format writes it: `22/Nov/2026:19:10:57 +0000`.
pub(crate) fn append_log_time(out: &mut Vec<u8>) {
    let [
        _,
        _,
        _,
        _,
        _,
        d1,
        d2,
        _,
        m1,
        m2,
        m3,
        _,
        y1,
        y2,
        y3,
        y4,
        _,
        time @ ..,
        _,
        _,
        _,
        _,
    ] = now().http;
    out.extend_from_slice(&[d1, d2, b'/', m1, m2, m3, b'/', y1, y2, y3, y4, b':']);
    out.extend_from_slice(&time);
    out.extend_from_slice(b" +0000");
}

/// A file's time as RFC 9110 writes it. Times before 1970 or after the year 9999 cannot be written: `None`.
pub(crate) fn http_date(seconds: i64) -> Option<[u8; HTTP_DATE_BYTES]> {
    let seconds = u64::try_from(seconds).ok().filter(|s| *s <= SECONDS_MAX)?;
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    <[u8; HTTP_DATE_BYTES]>::try_from(httpdate::fmt_http_date(time).as_bytes()).ok()
}

/// Seconds since 1970 of a date in one of HTTP's three forms; `None` when it is not one.
pub(crate) fn parse_http_date(value: &[u8]) -> Option<i64> {
    let time = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    i64::try_from(seconds).ok()
}

#[derive(Clone, Copy)]
struct Stamp {
    second: u64,
    http: [u8; HTTP_DATE_BYTES],
}

/// Length of a date in the form that RFC 9110 prefers.
pub(crate) const HTTP_DATE_BYTES: usize = 29;
/// The last second of the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;

thread_local! {
    static STAMP: Cell<Stamp> = const {
        Cell::new(Stamp { second: 0, http: *b"Thu, 01 Jan 1970 00:00:00 GMT" })
    };
}

fn now() -> Stamp {
    // A clock before 1970 gives 1970: there is nothing better to say.
    let second = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| passed.as_secs());
    STAMP.with(|stamp| {
        let mut current = stamp.get();
        if current.second != second
            && let Some(http) = i64::try_from(second).ok().and_then(http_date)
        {
            current = Stamp { second, http };
            stamp.set(current);
        }
        current
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_survives_being_written_and_read() {
        let written = http_date(784_111_777).unwrap();
        assert_eq!(&written, b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(parse_http_date(&written), Some(784_111_777));
        assert_eq!(
            parse_http_date(b"Sunday, 06-Nov-94 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(http_date(-1), None);
        assert_eq!(parse_http_date(b"yesterday"), None);
    }

    #[test]
    fn the_log_has_its_own_order_of_the_same_fields() {
        let mut http = Vec::new();
        let mut log = Vec::new();
        append_http_date(&mut http);
        append_log_time(&mut log);
        let http = String::from_utf8(http).unwrap();
        let log = String::from_utf8(log).unwrap();
        assert_eq!(log.len(), 26);
        assert_eq!(log[0..2], http[5..7]);
        assert_eq!(log[3..6], http[8..11]);
        assert_eq!(log[7..11], http[12..16]);
        assert_eq!(log[20..], *" +0000");
    }
}
