//! The text of a site's file.

/// A string as TOML has it.
pub(crate) fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            character if character.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(character)));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// A list of strings.
pub(crate) fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let strings: Vec<String> = texts.into_iter().map(string).collect();
    format!("[{}]", strings.join(", "))
}

/// A number of bytes, with a unit where it is whole.
pub(crate) fn size(bytes: u64) -> String {
    for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("\"{}{unit}\"", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// What stands behind `#`: one line.
pub(crate) fn comment(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(string("a\"b\\c\nd"), "\"a\\\"b\\\\c\\u000Ad\"");
        assert_eq!(list(["a", "b"]), "[\"a\", \"b\"]");
        assert_eq!(comment("a\nb"), "a b");
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0"),
            (1000, "1000"),
            (1024, "\"1K\""),
            (64 << 20, "\"64M\""),
            (1 << 40, "\"1024G\""),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
