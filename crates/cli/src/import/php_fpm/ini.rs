//! The language of php-fpm's configuration: PHP's ini files with sections, `key = value`, `key[sub] = value`, quotes and `include`.

use std::rc::Rc;

use super::super::source::{ImportError, Place};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    /// The name in brackets above it.
    pub(crate) section: Option<String>,
    pub(crate) key: String,
    /// What stands in brackets behind the key.
    pub(crate) sub: Option<String>,
    /// Without quotes; the words for switches are `1` and the empty text.
    pub(crate) value: String,
    /// As it stands in the file, without quotes.
    written: String,
}

impl Entry {
    /// As a report shows it.
    pub(crate) fn shown(&self) -> String {
        let sub = self
            .sub
            .as_ref()
            .map_or_else(String::new, |sub| format!("[{sub}]"));
        let text = format!("{}{sub} = {}", self.key, self.written);
        let plain = text.chars().map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        });
        plain.take(SHOWN_MAX).collect()
    }
}

/// The entries of a file, in order.
///
/// # Errors
/// A line that is none of these, or quotes that are never closed.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Entry>, ImportError> {
    let mut parser = Parser {
        file: Rc::from(file),
        rest: text.chars().peekable(),
        line: 1,
    };
    let mut entries = Vec::new();
    let mut section = None;
    while let Some(line) = parser.line(section.as_deref())? {
        match line {
            Line::Section(name) => section = Some(name),
            Line::Entry(mut entry) => {
                entry.place.number = u32::try_from(entries.len()).unwrap_or(u32::MAX);
                entries.push(*entry);
            }
            Line::Nothing => {}
        }
    }
    Ok(entries)
}

enum Line {
    Nothing,
    Section(String),
    Entry(Box<Entry>),
}

struct Parser<'t> {
    file: Rc<str>,
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    line: u32,
}

impl Parser<'_> {
    fn line(&mut self, section: Option<&str>) -> Result<Option<Line>, ImportError> {
        self.spaces();
        let Some(&first) = self.rest.peek() else {
            return Ok(None);
        };
        match first {
            '\n' => {
                self.next();
                Ok(Some(Line::Nothing))
            }
            ';' | '#' => {
                self.rest_of_line();
                Ok(Some(Line::Nothing))
            }
            '[' => self.section().map(Some),
            _ => self.entry(section).map(Some),
        }
    }

    fn section(&mut self) -> Result<Line, ImportError> {
        let line = self.line;
        self.next();
        let text = self.rest_of_line();
        let Some((name, _)) = text.split_once(']') else {
            return Err(self.wrong(line, "a section's name is not closed by ']'"));
        };
        Ok(Line::Section(name.trim().to_owned()))
    }

    fn entry(&mut self, section: Option<&str>) -> Result<Line, ImportError> {
        let line = self.line;
        let mut key = String::new();
        loop {
            match self.rest.peek() {
                Some('=') => break,
                None | Some('\n') => {
                    let shown: String = key.trim().chars().take(SHOWN_MAX).collect();
                    let what = format!(
                        "'{}' is no line of a pool's file: it has no '='",
                        shown.escape_debug()
                    );
                    return Err(self.wrong(line, &what));
                }
                Some(_) => key.extend(self.next()),
            }
        }
        self.next();
        let (value, written) = self.value()?;
        let key = key.trim();
        let (key, sub) = match key.split_once('[') {
            Some((key, sub)) => (
                key.trim_end(),
                Some(sub.trim_end_matches(']').trim().to_owned()),
            ),
            None => (key, None),
        };
        let place = Place {
            file: Rc::clone(&self.file),
            line,
            number: 0,
        };
        let entry = Entry {
            place,
            section: section.map(str::to_owned),
            key: key.to_ascii_lowercase(),
            sub,
            value,
            written,
        };
        Ok(Line::Entry(Box::new(entry)))
    }

    /// The value, and how it is written.
    fn value(&mut self) -> Result<(String, String), ImportError> {
        self.spaces();
        let (mut value, mut is_quoted) = (String::new(), false);
        // Where what was quoted ends: blanks before it are meant, those behind it are not.
        let mut kept = 0;
        loop {
            match self.rest.peek().copied() {
                None | Some('\n') => break,
                Some(';') => {
                    self.rest_of_line();
                    break;
                }
                Some(quote @ ('"' | '\'')) => {
                    self.quoted(quote, &mut value)?;
                    kept = value.len();
                    is_quoted = true;
                }
                Some(_) => value.extend(self.next()),
            }
        }
        let end = value.trim_end().len().max(kept);
        value.truncate(end);
        let read = if is_quoted {
            value.clone()
        } else {
            switch(&value)
        };
        Ok((read, value))
    }

    fn quoted(&mut self, quote: char, value: &mut String) -> Result<(), ImportError> {
        let line = self.line;
        self.next();
        loop {
            match self.next() {
                None => return Err(self.wrong(line, "these quotes are never closed")),
                Some(character) if character == quote => return Ok(()),
                Some('\\') if quote == '"' && matches!(self.rest.peek(), Some('"' | '\\')) => {
                    value.extend(self.next());
                }
                Some(character) => value.push(character),
            }
        }
    }

    fn spaces(&mut self) {
        while matches!(self.rest.peek(), Some(' ' | '\t' | '\r')) {
            self.next();
        }
    }

    fn rest_of_line(&mut self) -> String {
        let mut text = String::new();
        while self.rest.peek().is_some_and(|character| *character != '\n') {
            text.extend(self.next());
        }
        text
    }

    fn next(&mut self) -> Option<char> {
        let character = self.rest.next()?;
        if character == '\n' {
            self.line = self.line.saturating_add(1);
        }
        Some(character)
    }

    fn wrong(&self, line: u32, what: &str) -> ImportError {
        ImportError::Syntax {
            file: Rc::clone(&self.file),
            line,
            what: what.to_owned(),
        }
    }
}

/// The words that PHP reads as a switch, where they are not quoted.
fn switch(value: &str) -> String {
    let is = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    if is(&["on", "yes", "true"]) {
        return "1".to_owned();
    }
    if is(&["off", "no", "false", "none", "null"]) {
        return String::new();
    }
    value.to_owned()
}

/// A line of a terminal.
const SHOWN_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (Option<String>, String, Option<String>, String, u32);

    fn of(text: &str) -> Vec<Row> {
        let entries = parse("f", text).unwrap();
        let short = |entry: Entry| {
            (
                entry.section,
                entry.key,
                entry.sub,
                entry.value,
                entry.place.line,
            )
        };
        entries.into_iter().map(short).collect()
    }

    #[test]
    fn keys_values_and_sections_are_read() {
        let found = of(
            "; c\n[global]\npid = /run/x ; why\n\n[ www ]\nphp_admin_value[a.b] = \"x ; \\\"y\\\"\" \nphp_flag[c]=Off\nenv[D] = 'a;b'c \n",
        );
        let www = Some("www".to_owned());
        let row = |section: &Option<String>, key: &str, sub: Option<&str>, value: &str, line| {
            (
                section.clone(),
                key.to_owned(),
                sub.map(str::to_owned),
                value.to_owned(),
                line,
            )
        };
        assert_eq!(
            found,
            [
                row(&Some("global".to_owned()), "pid", None, "/run/x", 3),
                row(&www, "php_admin_value", Some("a.b"), "x ; \"y\"", 6),
                row(&www, "php_flag", Some("c"), "", 7),
                row(&www, "env", Some("D"), "a;bc", 8),
            ]
        );
    }

    #[test]
    fn quotes_may_hold_lines_and_must_close() {
        assert_eq!(of("a = \"x\ny\"\nb = 1")[1].4, 3);
        for text in ["a = \"x", "[a", "nonsense", "a = 'x\n"] {
            assert!(
                matches!(parse("f", text), Err(ImportError::Syntax { .. })),
                "{text}"
            );
        }
    }
}
