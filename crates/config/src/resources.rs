//! What a site may use of the machine, key by key: memory, processor, disk, processes.
//!
//! Read by the monitor and the command line, as root; pure. Whether the kernel can hold a site to it is not known here.

use hostel_wire::fresh::Fresh;
use hostel_wire::limits::WORKERS_MAX;

use crate::check::fine;
use crate::defaults as d;
use crate::errors::{Fault, Report};
use crate::read::{At, RawSize, RawSwitch};
use crate::site::{sized, within};

/// `memory_max` in bytes; `None` where nothing was said.
pub(crate) fn memory_max(given: Option<&At<RawSize>>, report: &mut Report) -> Option<u64> {
    let given = given?;
    let size = sized("memory_max", &given.value, MEMORY_BYTES_MIN);
    fine(size, given.line, report)
}

/// `temporary_bytes_max`.
pub(crate) fn temporary_bytes_max(given: &Option<At<RawSize>>, report: &mut Report) -> u64 {
    let default = At::nowhere(RawSize::Text(d::TEMPORARY_BYTES_MAX.to_owned()));
    let given = given.as_ref().unwrap_or(&default);
    let size = sized("temporary_bytes_max", &given.value, QUOTA_BYTES_MIN);
    fine(size, given.line, report).unwrap_or_default()
}

/// `home_bytes_max`; `None` where nothing was said.
pub(crate) fn home_bytes_max(given: &Option<At<RawSize>>, report: &mut Report) -> Option<u64> {
    let given = given.as_ref()?;
    let size = sized("home_bytes_max", &given.value, QUOTA_BYTES_MIN);
    fine(size, given.line, report)
}

/// `cpu_weight` or `io_weight`: what the kernel takes.
pub(crate) fn weight(key: &str, given: Option<&At<i64>>, report: &mut Report) -> u32 {
    let weight = given.and_then(|given| {
        let weight = within(key, given.value, 1, WEIGHT_MAX);
        fine(weight, given.line, report)
    });
    weight.unwrap_or(d::WEIGHT)
}

/// `cpu_max` in hundredths of one core; `None` where nothing was said.
pub(crate) fn cpu_max(given: Option<&At<String>>, report: &mut Report) -> Option<u32> {
    let given = given?;
    fine(percentage("cpu_max", &given.value), given.line, report)
}

/// `processes_max`.
pub(crate) fn processes_max(given: Option<&At<i64>>, report: &mut Report) -> u32 {
    let count = given.and_then(|given| {
        let count = within("processes_max", given.value, PROCESSES_MIN, PROCESSES_MAX);
        fine(count, given.line, report)
    });
    count.unwrap_or(d::PROCESSES_MAX)
}

/// `fresh`.
pub(crate) fn fresh(given: Option<&At<RawSwitch>>, report: &mut Report) -> Fresh {
    let Some(given) = given else {
        return Fresh::default();
    };
    let fresh = match &given.value {
        RawSwitch::Whether(false) => Ok(Fresh::Off),
        RawSwitch::Whether(true) => Ok(Fresh::On),
        RawSwitch::Word(word) if word == "fork" => Ok(Fresh::Fork),
        RawSwitch::Word(word) if word == "paranoid" => Ok(Fresh::Paranoid),
        RawSwitch::Word(word) => Err(Fault::new(format!(
            "'fresh' must be true, false, \"fork\" or \"paranoid\", but is '{}'",
            word.escape_debug()
        ))),
    };
    fine(fresh, given.line, report).unwrap_or_default()
}

fn percentage(key: &str, text: &str) -> Result<u32, Fault> {
    let digits = text.strip_suffix('%').unwrap_or_default();
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| all_digits);
    number
        .filter(|number| (1..=CPU_MAX).contains(number))
        .ok_or_else(|| {
            let written = text.escape_debug();
            Fault::new(format!(
                "'{key}' must be \"1%\" to \"{CPU_MAX}%\", but is '{written}'"
            ))
            .hint("hundredths of one core: \"150%\" is one core and a half")
        })
}

/// Less than this holds no session and no upload.
const QUOTA_BYTES_MIN: u64 = 1 << 20;
/// A keeper, a started PHP and one worker at work need about half of it.
const MEMORY_BYTES_MIN: u64 = 64 << 20;
/// The kernel's greatest weight.
const WEIGHT_MAX: u32 = 10_000;
/// A thousand cores: beyond, it is a mistake.
const CPU_MAX: u32 = 100_000;
/// A keeper, a zygote, one worker, and what the worker starts.
const PROCESSES_MIN: u32 = 8;
/// The most that the kernel can have (PID_MAX_LIMIT).
const PROCESSES_MAX: u32 = 1 << 22;
/// Else nothing would be left for what a site with all its workers starts.
const _: () = assert!(d::PROCESSES_MAX >= WORKERS_MAX + 2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_hundredths_of_a_core() {
        assert_eq!(percentage("x", "150%"), Ok(150));
        assert_eq!(percentage("x", "1%"), Ok(1));
        assert_eq!(percentage("x", "100000%"), Ok(100_000));
        for text in [
            "",
            "%",
            "0%",
            "150",
            "1.5%",
            "-5%",
            "+5%",
            " 5%",
            "5 %",
            "100001%",
            "99999999999%",
        ] {
            assert!(percentage("x", text).is_err(), "{text}");
        }
    }
}
