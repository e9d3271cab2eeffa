//! PHP settings and sizes, as PHP writes them.

use std::collections::BTreeMap;

use hostel_wire::limits;
use hostel_wire::monitor_keeper::PhpValue;

use crate::errors::{Fault, Report};
use crate::read::{RawPhp, RawPhpSetting, RawSize};

/// A number of bytes, with K, M or G for powers of 1024 as in php.ini.
pub(crate) fn size(key: &str, raw: &RawSize) -> Result<u64, Fault> {
    let text = match raw {
        RawSize::Bytes(bytes) => {
            return u64::try_from(*bytes)
                .map_err(|_| Fault::new(format!("'{key}' = {bytes} is negative")));
        }
        RawSize::Text(text) => text,
    };
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text.as_str(), 1),
    };
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| all_digits);
    number
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| {
            Fault::new(format!("'{key}' = '{}' is not a size", text.escape_debug()))
                .hint("a number of bytes, or a number with K, M or G, such as \"128M\"")
        })
}

/// The settings, by name; what is wrong with them goes to the report.
pub(crate) fn settings(raw: RawPhp, report: &mut Report) -> Vec<PhpValue> {
    for key in raw.unknown {
        report.add(
            key.line,
            Fault::new(format!(
                "'{}' is not a table of [php]",
                key.value.escape_debug()
            ))
            .hint("PHP settings stand in [php.value] or [php.admin_value]"),
        );
    }
    let mut values = BTreeMap::<String, PhpValue>::new();
    let (mut bytes, mut last_line) = (0, 0);
    for setting in raw.settings {
        let line = setting.line;
        last_line = last_line.max(line);
        match value(setting) {
            Err(fault) => report.add(line, fault),
            Ok(value) => {
                bytes += value.name.len() + value.value.len();
                let name = value.name.clone();
                if values.insert(name.clone(), value).is_some() {
                    let fault = Fault::new(format!("the PHP setting '{name}' is given twice"));
                    report.add(line, fault.hint("keep it in one of the two tables"));
                }
            }
        }
    }
    if values.len() > limits::PHP_VALUES_MAX {
        let (count, max) = (values.len(), limits::PHP_VALUES_MAX);
        report.add(
            last_line,
            Fault::new(format!("{count} PHP settings; at most {max} are allowed")),
        );
    }
    if bytes > limits::PHP_VALUES_BYTES_MAX {
        let max = limits::PHP_VALUES_BYTES_MAX;
        report.add(
            last_line,
            Fault::new(format!(
                "the PHP settings have {bytes} bytes together; at most {max} are allowed"
            )),
        );
    }
    values.into_values().collect()
}

fn value(setting: RawPhpSetting) -> Result<PhpValue, Fault> {
    let RawPhpSetting {
        name, value, admin, ..
    } = setting;
    let wrong = |why: &str| Fault::new(format!("the PHP setting '{}' {why}", name.escape_debug()));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || !name.bytes().all(allowed) || name.len() > limits::PHP_NAME_BYTES_MAX {
        return Err(wrong("has a name that PHP cannot have"));
    }
    if name == "extension" || name == "zend_extension" {
        return Err(wrong("cannot be given for one site")
            .hint("modules are those of 'php_ini' in hostel.toml"));
    }
    let Some(value) = value else {
        return Err(wrong("is a list or a date")
            .hint("write it as php.ini would have it, in quotation marks"));
    };
    if value.len() > limits::PHP_VALUE_BYTES_MAX {
        return Err(wrong(&format!(
            "has a value of more than {} bytes",
            limits::PHP_VALUE_BYTES_MAX
        )));
    }
    if value.chars().any(char::is_control) {
        return Err(wrong("holds control characters"));
    }
    Ok(PhpValue { name, value, admin })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_php_reads_them() {
        let size = |text: &str| size("x", &RawSize::Text(text.to_owned()));
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("7"), Ok(7));
        assert_eq!(size("2k"), Ok(2048));
        assert_eq!(size("128M"), Ok(128 << 20));
        assert_eq!(size("1G"), Ok(1 << 30));
        for text in ["", "M", "-1", "+1", "1.5M", "1 M", "1T", "99999999999999G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
