//! The only place that prints. A reader that went away (`hostel status | head`) is not an error.

use std::io::{self, Write};

/// One line of the result.
pub(crate) fn line(text: &str) {
    ignore_closed(writeln!(io::stdout().lock(), "{text}"));
}

/// What is wrong, to standard error.
pub(crate) fn error(text: &str) {
    ignore_closed(writeln!(io::stderr().lock(), "{text}"));
}

/// What somebody else could have chosen, as it may be shown: what could move the cursor, hide or turn text is shown as numbers;
/// quotes and backslashes stay, for a command needs them.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_alphanumeric() || (' '..='~').contains(&character) || character == '…' {
            escaped.push(character);
        } else {
            escaped.extend(character.escape_unicode());
        }
    }
    escaped
}

/// A document, for programs.
pub(crate) fn json(document: &serde_json::Value) {
    line(&format!("{document:#}"));
}

/// Rows with their columns in line; the first row is the head. Columns of numbers alone stand to the right.
pub(crate) fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .map(|row| cell(row, column).chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let numeric: Vec<bool> = (0..columns)
        .map(|column| {
            let is_number = |text: String| text.bytes().all(|byte| byte.is_ascii_digit());
            rows.iter().skip(1).all(|row| is_number(cell(row, column)))
        })
        .collect();
    for row in rows {
        let mut text = String::new();
        for (column, (width, numeric)) in widths.iter().zip(&numeric).enumerate() {
            let (width, cell) = (*width, cell(row, column));
            if column > 0 {
                text.push_str("  ");
            }
            if *numeric {
                text.push_str(&format!("{cell:>width$}"));
            } else {
                text.push_str(&format!("{cell:<width$}"));
            }
        }
        line(text.trim_end());
    }
}

fn ignore_closed(result: io::Result<()>) {
    // There is nobody left to tell.
    drop(result);
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_that_was_found_can_forge_a_line() {
        assert_eq!(
            escape("a\n\u{1b}[2Jb\u{202e}'\\''…"),
            "a\\u{a}\\u{1b}[2Jb\\u{202e}'\\''…"
        );
    }
}
