//! The words behind an attack's name.

use std::ffi::CString;
use std::str::FromStr;

use crate::outcome::Outcome;

/// The words behind an attack's name, in order.
#[derive(Debug)]
pub(crate) struct Arguments<'a>(pub(crate) &'a [String]);

impl Arguments<'_> {
    /// The word at this place.
    pub(crate) fn text(&self, place: usize) -> Result<&str, Outcome> {
        let word = self.0.get(place).map(String::as_str);
        word.ok_or_else(|| Outcome::Impossible(format!("argument {} is missing", place + 1)))
    }

    /// The number at this place.
    pub(crate) fn number<T: FromStr>(&self, place: usize) -> Result<T, Outcome> {
        let text = self.text(place)?;
        let not_one = |_| Outcome::Impossible(format!("{text} is not a number that fits"));
        text.parse().map_err(not_one)
    }

    /// The path at this place.
    pub(crate) fn path(&self, place: usize) -> Result<CString, Outcome> {
        CString::new(self.text(place)?).map_err(|error| Outcome::Impossible(error.to_string()))
    }
}
