//! Entries such as `[[cron]]` and `[[database]]`, key by key.

use crate::check::{at_most, fine};
use crate::errors::{Fault, Report};
use crate::read::{At, RawEntries, RawEntry, RawField};

/// The entries of a key, with their numbers from 1.
pub(crate) fn numbered(
    most: usize,
    key: &str,
    given: Option<At<RawEntries>>,
    report: &mut Report,
) -> Vec<(usize, RawEntry)> {
    let (entries, line) = given.map_or((Vec::new(), None), |at| (at.value.0, at.line));
    at_most(most, key, entries.len(), line, report);
    (1..).zip(entries).collect()
}

/// One entry on its way from its file.
pub(crate) struct Fields<'r> {
    pub(crate) key: &'static str,
    /// Where it begins.
    pub(crate) line: u32,
    fields: Vec<RawField>,
    pub(crate) report: &'r mut Report,
}

impl<'r> Fields<'r> {
    /// Keys that are none are told.
    pub(crate) fn new(
        key: &'static str,
        known: &[&str],
        entry: RawEntry,
        report: &'r mut Report,
    ) -> Self {
        for field in &entry.fields {
            if !known.contains(&field.key.as_str()) {
                let fault = Fault::new(format!(
                    "unknown key '{}' in [[{key}]]",
                    field.key.escape_debug()
                ));
                let hint = format!("the keys are: {}", known.join(", "));
                report.add(field.line, fault.hint(hint));
            }
        }
        Self {
            key,
            line: entry.line,
            fields: entry.fields,
            report,
        }
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<RawField> {
        let place = self.fields.iter().position(|field| field.key == key)?;
        Some(self.fields.swap_remove(place))
    }

    /// A string that is right, if it was given.
    pub(crate) fn text<T>(
        &mut self,
        key: &str,
        check: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        let field = self.take(key)?;
        let checked = match &field.text {
            Some(text) => check(text),
            None => Err(Fault::new(format!("'{key}' must be a string"))),
        };
        fine(checked, Some(field.line), self.report)
    }

    /// The same, of a key that must be given.
    pub(crate) fn needed<T>(
        &mut self,
        key: &str,
        check: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        if !self.has(key) {
            let fault = Fault::new(format!("[[{}]] has no '{key}'", self.key));
            self.report.add(self.line, fault);
            return None;
        }
        self.text(key, check)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|field| field.key == key)
    }

    /// Where a key stands, or else the entry.
    pub(crate) fn line_of(&self, key: &str) -> u32 {
        let field = self.fields.iter().find(|field| field.key == key);
        field.map_or(self.line, |field| field.line)
    }
}
