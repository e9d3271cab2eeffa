//! From TOML to the fields of `raw`: each value of the right kind with its line, every other one an error.
//!
//! Not by serde, which gives up a file at its first error; a person wants all of them at once.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::errors::{Fault, Report};
use crate::raw::Key;

/// A value and the line it stands on, from 1; a default stands nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) line: Option<u32>,
}

impl<T> At<T> {
    /// A default.
    pub(crate) fn nowhere(value: T) -> Self {
        Self { value, line: None }
    }
}

/// One file as TOML, and what is wrong with it so far.
pub(crate) struct Document<'t> {
    text: &'t str,
    table: DeTable<'t>,
    pub(crate) report: Report,
}

/// A kind of value that a key may have.
pub(crate) trait Kind: Sized {
    /// As an error names it: "must be {WHAT}".
    const WHAT: &'static str;
    /// The value, `None` if it is of another kind.
    fn from_toml(value: &DeValue<'_>, line_of: &dyn Fn(Range<usize>) -> u32) -> Option<Self>;
}

impl<'t> Document<'t> {
    /// Parse `text`. Of a file that is not TOML the first error is told and nothing is taken: what follows would be guesses.
    pub(crate) fn parse(file: &Path, text: &'t str) -> Result<Self, Report> {
        let mut report = Report::new(file);
        match DeTable::parse(text) {
            Ok(table) => Ok(Self {
                text,
                table: table.into_inner(),
                report,
            }),
            Err(error) => {
                let line = line_of(text, error.span().unwrap_or_default());
                report.add(line, Fault::new(format!("not TOML: {}", error.message())));
                Err(report)
            }
        }
    }

    /// Take out the value of a key, if it is there and of the right kind.
    pub(crate) fn take<T: Kind>(&mut self, key: &str) -> Option<At<T>> {
        let value = self.table.remove(key)?;
        let line = line_of(self.text, value.span());
        let found = T::from_toml(value.get_ref(), &|span| line_of(self.text, span));
        if found.is_none() {
            let (what, is) = match (T::WHAT, kind_of(value.get_ref())) {
                (what, "a list") if what.contains("list") => {
                    (what, "a list with other things in it")
                }
                kinds => kinds,
            };
            let fault = Fault::new(format!("'{key}' must be {what}, but is {is}"));
            self.report.add(line, fault);
        }
        found.map(|value| At {
            value,
            line: Some(line),
        })
    }

    /// Everything that was not taken is unknown.
    pub(crate) fn finish(mut self, known: &[Key]) -> Report {
        for (key, _) in &self.table {
            let name = key.get_ref();
            let hint = match nearest(name, known) {
                Some(near) => format!("did you mean '{near}'?"),
                None => {
                    let names: Vec<_> = known.iter().map(|key| key.name).collect();
                    format!("the keys are: {}", names.join(", "))
                }
            };
            let line = line_of(self.text, key.span());
            let fault = Fault::new(format!("unknown key '{}'", name.escape_debug()));
            self.report.add(line, fault.hint(hint));
        }
        self.report
    }
}

impl Kind for String {
    const WHAT: &'static str = "a string";
    fn from_toml(value: &DeValue<'_>, _: &dyn Fn(Range<usize>) -> u32) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Kind for bool {
    const WHAT: &'static str = "true or false";
    fn from_toml(value: &DeValue<'_>, _: &dyn Fn(Range<usize>) -> u32) -> Option<Self> {
        value.as_bool()
    }
}

impl Kind for i64 {
    const WHAT: &'static str = "a whole number";
    fn from_toml(value: &DeValue<'_>, _: &dyn Fn(Range<usize>) -> u32) -> Option<Self> {
        let integer = value.as_integer()?;
        Self::from_str_radix(integer.as_str(), integer.radix()).ok()
    }
}

impl Kind for Vec<At<String>> {
    const WHAT: &'static str = LIST;
    fn from_toml(value: &DeValue<'_>, line_of: &dyn Fn(Range<usize>) -> u32) -> Option<Self> {
        let item = |item: &toml::Spanned<DeValue<'_>>| {
            Some(At {
                value: item.get_ref().as_str()?.to_owned(),
                line: Some(line_of(item.span())),
            })
        };
        value.as_array()?.iter().map(item).collect()
    }
}

impl Kind for Vec<At<i64>> {
    const WHAT: &'static str = NUMBERS;
    fn from_toml(value: &DeValue<'_>, line_of: &dyn Fn(Range<usize>) -> u32) -> Option<Self> {
        let item = |item: &toml::Spanned<DeValue<'_>>| {
            Some(At {
                value: i64::from_toml(item.get_ref(), line_of)?,
                line: Some(line_of(item.span())),
            })
        };
        value.as_array()?.iter().map(item).collect()
    }
}

/// A word, or a list of places; `egress` understands both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RawEgress {
    Word(String),
    List(Vec<At<String>>),
}

impl Kind for RawEgress {
    const WHAT: &'static str = "a word or a list of strings";
    fn from_toml(value: &DeValue<'_>, line_of: &dyn Fn(Range<usize>) -> u32) -> Option<Self> {
        match value.as_str() {
            Some(word) => Some(Self::Word(word.to_owned())),
            None => Vec::from_toml(value, line_of).map(Self::List),
        }
    }
}

/// Whether, or a word that says how; `resources` understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RawSwitch {
    Whether(bool),
    Word(String),
}

impl Kind for RawSwitch {
    const WHAT: &'static str = "true, false or a word";
    fn from_toml(value: &DeValue<'_>, line_of: &dyn Fn(Range<usize>) -> u32) -> Option<Self> {
        match value.as_str() {
            Some(word) => Some(Self::Word(word.to_owned())),
            None => bool::from_toml(value, line_of).map(Self::Whether),
        }
    }
}

/// A list of tables such as `[[cron]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawEntries(pub(crate) Vec<RawEntry>);

/// One of them, and the line it begins on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawEntry {
    pub(crate) line: u32,
    pub(crate) fields: Vec<RawField>,
}

/// A key with its value, where that is a string or a whole number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawField {
    pub(crate) key: String,
    pub(crate) line: u32,
    pub(crate) text: Option<String>,
    pub(crate) number: Option<i64>,
}

impl Kind for RawEntries {
    const WHAT: &'static str = "a list of tables, each begun by its name in [[ ]]";
    fn from_toml(value: &DeValue<'_>, line_of: &dyn Fn(Range<usize>) -> u32) -> Option<Self> {
        let entry = |item: &toml::Spanned<DeValue<'_>>| {
            let mut entry = RawEntry::from_toml(item.get_ref(), line_of)?;
            entry.line = line_of(item.span());
            Some(entry)
        };
        let entries = value.as_array()?.iter().map(entry);
        entries.collect::<Option<Vec<_>>>().map(Self)
    }
}

/// A table by itself begins where its key stands, which is not known here.
impl Kind for RawEntry {
    const WHAT: &'static str = "a table";
    fn from_toml(value: &DeValue<'_>, line_of: &dyn Fn(Range<usize>) -> u32) -> Option<Self> {
        let fields = value.as_table()?.iter().map(|(key, value)| RawField {
            key: key.get_ref().to_string(),
            line: line_of(key.span()),
            text: value.get_ref().as_str().map(str::to_owned),
            number: i64::from_toml(value.get_ref(), line_of),
        });
        Some(Self {
            line: 0,
            fields: fields.collect(),
        })
    }
}

/// A number of bytes, as it was written; `php::size` understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RawSize {
    Bytes(i64),
    Text(String),
}

impl Kind for RawSize {
    const WHAT: &'static str = "a size: a number of bytes, or a string such as \"128M\"";
    fn from_toml(value: &DeValue<'_>, line_of: &dyn Fn(Range<usize>) -> u32) -> Option<Self> {
        match value.as_str() {
            Some(text) => Some(Self::Text(text.to_owned())),
            None => i64::from_toml(value, line_of).map(Self::Bytes),
        }
    }
}

/// The table `[mail]`: each key with its value and line. `mail` understands them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawMail(pub(crate) Vec<(String, Option<String>, u32)>);

impl Kind for RawMail {
    const WHAT: &'static str = "a table";
    fn from_toml(value: &DeValue<'_>, line_of: &dyn Fn(Range<usize>) -> u32) -> Option<Self> {
        let pairs = value.as_table()?.iter().map(|(key, value)| {
            let text = value.get_ref().as_str().map(str::to_owned);
            (key.get_ref().to_string(), text, line_of(key.span()))
        });
        Some(Self(pairs.collect()))
    }
}

/// The tables `[php.value]` and `[php.admin_value]`, flat: each name, its value, and whether it is an admin's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RawPhp {
    pub(crate) settings: Vec<RawPhpSetting>,
    /// Keys of `[php]` that are neither of the two tables, with their lines.
    pub(crate) unknown: Vec<At<String>>,
}

/// One setting. `value` is `None` if it is of a kind that php.ini does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawPhpSetting {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) admin: bool,
    pub(crate) line: u32,
}

impl Kind for RawPhp {
    const WHAT: &'static str = "a table with [php.value] and [php.admin_value]";
    fn from_toml(value: &DeValue<'_>, line_of: &dyn Fn(Range<usize>) -> u32) -> Option<Self> {
        let mut found = Self::default();
        for (key, tables) in value.as_table()? {
            let admin = key.get_ref() == "admin_value";
            match tables.get_ref().as_table() {
                Some(table) if admin || key.get_ref() == "value" => {
                    found.flatten("", table, admin, line_of);
                }
                _ => found.unknown.push(At {
                    value: key.get_ref().to_string(),
                    line: Some(line_of(key.span())),
                }),
            }
        }
        Some(found)
    }
}

impl RawPhp {
    /// `session.name = "x"` is a table within a table to TOML, and one name to PHP.
    fn flatten(
        &mut self,
        prefix: &str,
        table: &DeTable<'_>,
        admin: bool,
        line_of: &dyn Fn(Range<usize>) -> u32,
    ) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let value = match value.get_ref() {
                DeValue::Table(inner) => {
                    self.flatten(&format!("{name}."), inner, admin, line_of);
                    continue;
                }
                DeValue::String(text) => Some(text.to_string()),
                DeValue::Boolean(truth) => Some(if *truth { "1" } else { "0" }.to_owned()),
                DeValue::Integer(_) => {
                    i64::from_toml(value.get_ref(), line_of).map(|number| number.to_string())
                }
                DeValue::Float(number) => Some(number.as_str().to_owned()),
                DeValue::Array(_) | DeValue::Datetime(_) => None,
            };
            self.settings.push(RawPhpSetting {
                name,
                value,
                admin,
                line: line_of(key.span()),
            });
        }
    }
}

/// How kinds that have kinds within them are called.
const LIST: &str = "a list of strings";
const NUMBERS: &str = "a list of whole numbers";

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn line_of(text: &str, span: Range<usize>) -> u32 {
    let before = text.as_bytes().iter().take(span.start);
    let lines = before.filter(|byte| **byte == b'\n').count();
    u32::try_from(lines + 1).unwrap_or(u32::MAX)
}

/// The known key that was probably meant.
fn nearest<'k>(name: &str, known: &'k [Key]) -> Option<&'k str> {
    let distances = known.iter().map(|key| (distance(name, key.name), key.name));
    let (distance, near) = distances.min()?;
    (distance <= 1 + near.len() / 4).then_some(near)
}

/// The number of letters to put in, take out or change to make one word of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_changes() {
        for (one, other, expected) in [
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("domain", "domains", 1),
            ("worker_max", "workers_max", 1),
            ("hmoe", "home", 2),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!(line_of("a\nb\n", 0..1), 1);
        assert_eq!(line_of("a\nb\n", 2..3), 2);
        assert_eq!(line_of("a", 99..100), 1);
    }
}
