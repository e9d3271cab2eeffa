//! The time of day as logs have it.
//!
//! Used by whoever writes a log, and as the host's clocks show it, by hostel-jobs. No locale.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in UTC, as RFC 3339 has it: `2026-02-28T23:59:59.123Z`.
pub fn timestamp() -> String {
    text(SystemTime::now())
}

/// What the host's clocks show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 is Sunday.
    pub weekday: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59; 60 where a second was put in.
    pub second: u8,
}

/// What they show at a time, in seconds since 1970, in the time zone of the host as [`read_zone`] has found it.
pub fn local(time: i64) -> Civil {
    let mut broken = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: reads a number, and writes to a valid place of the right size.
    unsafe { libc::localtime_r(&raw const time, broken.as_mut_ptr()) };
    // SAFETY: zeros are a valid value of this struct of numbers and a pointer, which the call has at most replaced.
    let broken = unsafe { broken.assume_init() };
    let small = |number: libc::c_int| u8::try_from(number).unwrap_or(0);
    Civil {
        month: small(broken.tm_mon + 1),
        day: small(broken.tm_mday),
        weekday: small(broken.tm_wday),
        hour: small(broken.tm_hour),
        minute: small(broken.tm_min),
        second: small(broken.tm_sec),
    }
}

/// Read the host's time zone, which may have changed: /etc/localtime, or the variable TZ.
pub fn read_zone() {
    // SAFETY: reads a file and the environment, which no other thread changes: who uses this has one thread.
    unsafe { tzset() };
}

unsafe extern "C" {
    /// time.h
    fn tzset();
}

/// A time, in UTC, as RFC 3339 has it.
pub fn text(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Count from 1 March of the year 0, so that the leap day is the last of its year; 400 years have 146,097 days.
    let from_march = days + 719_468;
    let (era, day_of_era) = (from_march / 146_097, from_march % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months of 31, 30, 31, 30, 31 days, from March on, repeat every 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_clocks_show_a_time() {
        let shown = local(1_000_000_000);
        assert_eq!((shown.month, shown.second), (9, 40));
        assert!((8..=9).contains(&shown.day) && shown.weekday == (shown.day - 2) % 7);
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_709_251_199, "2024-02-29T23:59:59"),
            (1_709_251_200, "2024-03-01T00:00:00"),
            (1_795_305_600, "2026-11-22T00:00:00"),
            (1_798_761_599, "2026-12-31T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            let time = UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7);
            assert_eq!(text(time), format!("{expected}.007Z"));
        }
    }
}
