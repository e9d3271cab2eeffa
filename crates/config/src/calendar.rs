//! Calendar expressions: at which times of the host's local time something is due.
//!
//! Parsed by monitor, command line and hostel-jobs, and asked by the last; pure, the clock and the time zone are its caller's. Understood
//! are systemd's forms (`daily`, `*:0/5`, `Mon..Fri 04:30`, `*-*-01 03:00:00`) without years and time zones, and the five fields
//! of cron (`*/5 * * * *`).

use hostel_sys::clock::Civil;

use crate::errors::Fault;

/// Times, as sets of their parts; bit N stands for the number N.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// 0 is Sunday.
    weekdays: u64,
    /// Whether the day of the month or that of the week is enough, as with cron where both are given.
    is_either: bool,
}

impl Calendar {
    /// The first time after `after`, both in seconds since 1970, by what `civil` says that the clocks show then; `None` where there is
    /// none in the next nine years.
    ///
    /// Where clocks go forward, what was due in the hour that is left out is due at its end; where they go back, what names hours is
    /// due the first time only.
    pub fn next(&self, after: i64, civil: impl Fn(i64) -> Civil) -> Option<i64> {
        let end = after.saturating_add(SEARCHED);
        let mut time = after.saturating_add(1);
        while time < end {
            let now = civil(time);
            let (minute, second) = (i64::from(now.minute), i64::from(now.second));
            let is_due = self.has_day(&now);
            if is_due && minute == 0 && second == 0 && self.has_left_out(&civil(time - 1), &now) {
                return Some(time);
            }
            if !is_due || !has(self.hours, now.hour) || self.is_again(&civil(time - HOUR), &now) {
                // What begins with no whole minute has a second too many, or the zone an offset of old times.
                time += HOUR - (minute * 60 + second).min(HOUR - 1);
            } else if !has(self.minutes, now.minute) {
                time += 60 - second.min(59);
            } else if !has(self.seconds, now.second) {
                time += 1;
            } else {
                return Some(time);
            }
        }
        None
    }

    fn has_day(&self, now: &Civil) -> bool {
        let (day, weekday) = (has(self.days, now.day), has(self.weekdays, now.weekday));
        let is_day = if self.is_either {
            day || weekday
        } else {
            day && weekday
        };
        is_day && has(self.months, now.month)
    }

    /// Whether it names an hour that clocks have left out just before `now`.
    fn has_left_out(&self, before: &Civil, now: &Civil) -> bool {
        let first = if before.day == now.day {
            before.hour + 1
        } else {
            0
        };
        self.hours != HOURS.all() && (first..now.hour).any(|hour| has(self.hours, hour))
    }

    /// Whether this hour was there already, an hour ago.
    fn is_again(&self, hour_ago: &Civil, now: &Civil) -> bool {
        let is_same = hour_ago.day == now.day && hour_ago.hour == now.hour;
        self.hours != HOURS.all() && is_same
    }
}

impl std::str::FromStr for Calendar {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).map_err(|fault| fault.of(std::path::Path::new("")).message)
    }
}

/// An expression as it was written.
pub(crate) fn parse(text: &str) -> Result<Calendar, Fault> {
    let wrong = |why: &str| {
        Fault::new(format!(
            "'at' = '{}' is not a time: {why}",
            text.escape_debug()
        ))
        .hint(HINT)
    };
    let lower = text.to_ascii_lowercase();
    let fields: Vec<&str> = lower.split_whitespace().collect();
    let found = match fields[..] {
        [] => Err("it is empty"),
        [minute, hour, day, month, weekday] => cron(minute, hour, day, month, weekday),
        [word] if word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '@') => {
            match word_for(word.trim_start_matches('@')) {
                Some(meaning) => systemd(&meaning.split(' ').collect::<Vec<_>>()),
                None => systemd(&fields),
            }
        }
        _ => systemd(&fields),
    };
    let found = found.map_err(wrong)?;
    if !found.happens() {
        return Err(wrong("there is no such day in any year"));
    }
    Ok(found)
}

impl Calendar {
    fn happens(&self) -> bool {
        let longest = |month: u8| match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let mut months = (1..=12_u8).filter(|month| has(self.months, *month));
        self.is_either || months.any(|month| (1..=longest(month)).any(|day| has(self.days, day)))
    }
}

fn word_for(word: &str) -> Option<&'static str> {
    Some(match word {
        "minutely" => "*:*:00",
        "hourly" => "*:00:00",
        "daily" | "midnight" => "00:00:00",
        "weekly" => "mon 00:00:00",
        "monthly" => "*-01 00:00:00",
        "quarterly" => "01,04,07,10-01 00:00:00",
        "semiannually" => "01,07-01 00:00:00",
        "yearly" | "annually" => "01-01 00:00:00",
        _ => return None,
    })
}

/// Days of the week, date, time of day; each may be left out, not all.
fn systemd(fields: &[&str]) -> Result<Calendar, &'static str> {
    let mut calendar = Calendar {
        seconds: 1,
        minutes: 1,
        hours: 1,
        days: DAYS.all(),
        months: MONTHS.all(),
        weekdays: WEEKDAYS.all(),
        is_either: false,
    };
    let mut rest = fields;
    if let [first, more @ ..] = rest
        && first.starts_with(|letter: char| letter.is_ascii_alphabetic())
    {
        calendar.weekdays = WEEKDAYS.set(first, "..")?;
        rest = more;
    }
    if let [first, more @ ..] = rest
        && first.contains('-')
    {
        let (month, day) = match first.split('-').collect::<Vec<_>>()[..] {
            [month, day] | ["*", month, day] => (month, day),
            [_, _, _] => return Err("a year other than * is not understood"),
            _ => return Err("a date is MONTH-DAY or *-MONTH-DAY"),
        };
        calendar.months = MONTHS.set(month, "..")?;
        calendar.days = DAYS.set(day, "..")?;
        rest = more;
    }
    if let [first, more @ ..] = rest {
        let (hour, minute, second) = match first.split(':').collect::<Vec<_>>()[..] {
            [hour, minute] => (hour, minute, "0"),
            [hour, minute, second] => (hour, minute, second),
            _ => return Err("a time of day is HOUR:MINUTE or HOUR:MINUTE:SECOND"),
        };
        calendar.hours = HOURS.set(hour, "..")?;
        calendar.minutes = MINUTES.set(minute, "..")?;
        calendar.seconds = MINUTES.set(second, "..")?;
        rest = more;
    }
    match rest {
        [] => Ok(calendar),
        _ => Err("there is something behind the time of day"),
    }
}

fn cron(
    minute: &str,
    hour: &str,
    day: &str,
    month: &str,
    weekday: &str,
) -> Result<Calendar, &'static str> {
    let (days, weekdays) = (DAYS.set(day, "-")?, WEEKDAYS.set(weekday, "-")?);
    Ok(Calendar {
        seconds: 1,
        minutes: MINUTES.set(minute, "-")?,
        hours: HOURS.set(hour, "-")?,
        days,
        months: MONTHS.set(month, "-")?,
        weekdays,
        is_either: !day.starts_with('*') && !weekday.starts_with('*'),
    })
}

/// What one field may have.
struct Field {
    first: u8,
    last: u8,
    /// Names of the numbers from the first on.
    names: &'static [&'static str],
}

impl Field {
    const fn all(&self) -> u64 {
        ((1 << (self.last - self.first + 1)) - 1) << self.first
    }

    /// `*`, `N`, `A..B` (`separator`), each with `/STEP` or without, and lists of them with commas.
    fn set(&self, text: &str, separator: &str) -> Result<u64, &'static str> {
        let mut set = 0;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(number(step)?)),
                None => (part, None),
            };
            if step == Some(0) {
                return Err("a step is 1 or more");
            }
            let (first, last) = match range.split_once(separator) {
                _ if range == "*" => (self.first, self.last),
                Some((first, last)) => (self.number(first)?, self.number(last)?),
                None if step.is_some() => (self.number(range)?, self.last),
                None => (self.number(range)?, self.number(range)?),
            };
            let last = if first <= last {
                last
            } else if self.names.len() == 7 {
                // From Friday to Monday goes over the end of the week.
                last + 7
            } else {
                return Err("a range ends before it begins");
            };
            let step = usize::from(step.unwrap_or(1));
            for number in (first..=last).step_by(step) {
                set |= match self.names.len() {
                    7 => 1 << (number % 7),
                    _ => 1 << number,
                };
            }
        }
        Ok(set)
    }

    fn number(&self, text: &str) -> Result<u8, &'static str> {
        // Three letters of a name are enough.
        let named = self
            .names
            .iter()
            .position(|name| text.len() >= 3 && name.starts_with(text));
        if let Some(place) = named.and_then(|place| u8::try_from(place).ok()) {
            return Ok(self.first + place);
        }
        let number = number(text)?;
        // Sunday is 7 for some.
        let last = if self.names.len() == 7 { 7 } else { self.last };
        if (self.first..=last).contains(&number) {
            Ok(number)
        } else {
            Err("a number is outside of its range")
        }
    }
}

fn number(text: &str) -> Result<u8, &'static str> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number.ok_or("a number, a name of a day or * was expected")
}

fn has(set: u64, number: u8) -> bool {
    set >> number & 1 == 1
}

const MINUTES: Field = Field {
    first: 0,
    last: 59,
    names: &[],
};
const HOURS: Field = Field {
    first: 0,
    last: 23,
    names: &[],
};
const DAYS: Field = Field {
    first: 1,
    last: 31,
    names: &[],
};
const MONTHS: Field = Field {
    first: 1,
    last: 12,
    names: &[
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ],
};
const WEEKDAYS: Field = Field {
    first: 0,
    last: 6,
    names: &[
        "sunday",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
    ],
};
const HINT: &str = "such as \"daily\", \"hourly\", \"*:0/5\" (every five minutes), \"Mon *-*-* 04:00\", or cron's \"*/5 * * * *\"";
const HOUR: i64 = 3600;
/// Eight years may lie between two leap days.
const SEARCHED: i64 = 9 * 366 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    /// The calendar's own count, without a time zone.
    fn utc(time: i64) -> Civil {
        let (days, second) = (time.div_euclid(86_400), time.rem_euclid(86_400));
        let small = |number: i64| u8::try_from(number).unwrap();
        let from_march = days + 719_468;
        let day_of_era = from_march.rem_euclid(146_097);
        let year =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * day_of_year + 2) / 153;
        Civil {
            month: small((month + 2) % 12 + 1),
            day: small(day_of_year - (153 * month + 2) / 5 + 1),
            weekday: small((days + 4).rem_euclid(7)),
            hour: small(second / 3600),
            minute: small(second / 60 % 60),
            second: small(second % 60),
        }
    }

    /// As in Berlin in 2026: two hours ahead between the last Sundays of March and October at 01:00 UTC.
    fn berlin(time: i64) -> Civil {
        let is_summer = (SPRING..AUTUMN).contains(&time);
        utc(time + if is_summer { 7200 } else { 3600 })
    }

    /// 2026-03-29 and 2026-10-25, 01:00 UTC.
    const SPRING: i64 = 1_774_746_000;
    const AUTUMN: i64 = 1_792_890_000;
    /// 2026-11-27 12:00:00 UTC, a Friday.
    const NOON: i64 = 1_795_780_800;

    fn after(text: &str, time: i64) -> String {
        let next = parse(text).unwrap().next(time, utc).unwrap();
        let now = utc(next);
        format!(
            "{:02}-{:02} {:02}:{:02}:{:02}",
            now.month, now.day, now.hour, now.minute, now.second
        )
    }

    #[test]
    fn every_form_is_understood() {
        for (text, expected) in [
            ("daily", "11-28 00:00:00"),
            ("@daily", "11-28 00:00:00"),
            ("hourly", "11-27 13:00:00"),
            ("minutely", "11-27 12:01:00"),
            ("weekly", "11-30 00:00:00"),
            ("monthly", "12-01 00:00:00"),
            ("quarterly", "01-01 00:00:00"),
            ("yearly", "01-01 00:00:00"),
            ("*:0/5", "11-27 12:05:00"),
            ("*:*:0/10", "11-27 12:00:10"),
            ("*:*:*", "11-27 12:00:01"),
            ("12:00", "11-28 12:00:00"),
            ("04:30:15", "11-28 04:30:15"),
            ("Mon *-*-* 04:00", "11-30 04:00:00"),
            ("Mon..Fri 11:00", "11-30 11:00:00"),
            ("Saturday,Sunday", "11-28 00:00:00"),
            ("Sat..Mon 11:00", "11-28 11:00:00"),
            ("*-*-01 03:00:00", "12-01 03:00:00"),
            ("12-24", "12-24 00:00:00"),
            ("*-02-29 06:00", "02-29 06:00:00"),
            ("8..18/2:00", "11-27 14:00:00"),
            ("*/5 * * * *", "11-27 12:05:00"),
            ("0 4 * * mon", "11-30 04:00:00"),
            ("30 4 1,15 * *", "12-01 04:30:00"),
            ("0 0 1 * 7", "11-29 00:00:00"),
            ("0 0 13 * 5", "12-04 00:00:00"),
            ("0 9-17 * * 1-5", "11-27 13:00:00"),
            ("15 10 * jan *", "01-01 10:15:00"),
        ] {
            assert_eq!(after(text, NOON), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            " ",
            "never",
            "25:00",
            "12:60",
            "*-13-01",
            "02-30",
            "*-04-31 12:00",
            "2026-12-24",
            "12",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "Fnord 12:00",
            "12:00 UTC",
            "mo 12:00",
            "1..:00",
            "-1:00",
            "12:00 Mon",
            "٣:00",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_hour_that_is_left_out_is_made_up_for_at_its_end() {
        let next = |text: &str, time| parse(text).unwrap().next(time, berlin).unwrap();
        assert_eq!(next("02:30", SPRING - 7200), SPRING);
        assert_eq!(next("02:30", SPRING), SPRING + 23 * HOUR + 1800);
        assert_eq!(next("hourly", SPRING - 1), SPRING);
        assert_eq!(next("*:0/30", SPRING), SPRING + 1800);
    }

    #[test]
    fn an_hour_that_comes_twice_counts_once_for_who_names_it() {
        let next = |text: &str, time| parse(text).unwrap().next(time, berlin).unwrap();
        let first = AUTUMN - 1800;
        assert_eq!(next("02:30", AUTUMN - 7200), first);
        assert_eq!(next("02:30", first), first + 25 * HOUR);
        assert_eq!(next("hourly", AUTUMN - HOUR), AUTUMN);
        assert_eq!(next("hourly", AUTUMN), AUTUMN + HOUR);
    }

    #[test]
    fn far_times_are_found_soon() {
        let begun = std::time::Instant::now();
        for _ in 0..10 {
            assert!(parse("02-29").unwrap().next(NOON, utc).is_some());
        }
        assert!(begun.elapsed().as_secs() < 5);
    }
}
