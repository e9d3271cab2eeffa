//! In which of three lists each directive is. It is in one of them only: who says more about it later, moves it, and the graver word counts.

use std::collections::BTreeMap;

use super::source::Place;

/// The lists, the gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum List {
    /// It has no meaning here, or comes by itself.
    NotNeeded,
    /// It is in a site's file.
    Carried,
    /// Somebody has to look at it.
    NotSupported,
}

impl List {
    /// In the order of a report.
    pub(crate) const ALL: [Self; 3] = [Self::Carried, Self::NotNeeded, Self::NotSupported];
}

/// A directive of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As it was written, on one line.
    pub(crate) directive: String,
    /// Its list; `None` only before [`Ledger::close`].
    pub(crate) list: Option<List>,
    /// What became of it, why it is not needed, or what to do.
    pub(crate) text: String,
    /// What is said if nobody says anything else.
    otherwise: Option<(List, &'static str)>,
}

/// All directives, by place.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: BTreeMap<Place, Entry>,
    advice: Vec<String>,
}

impl Ledger {
    /// A directive occurs. A file that is included twice has its directives once.
    pub(crate) fn declare(&mut self, place: &Place, directive: String) {
        if self.entries.contains_key(place) {
            return;
        }
        let entry = Entry {
            directive,
            list: None,
            text: String::new(),
            otherwise: None,
        };
        self.entries.insert(place.clone(), entry);
    }

    /// What became of a directive that was declared. Of two words the graver one counts, of two alike both, if there is room.
    pub(crate) fn note(&mut self, place: &Place, list: List, text: impl Into<String>) {
        let Some(entry) = self.entries.get_mut(place) else {
            return;
        };
        let text = text.into();
        match entry.list {
            Some(before) if before > list => {}
            Some(before) if before == list => {
                let has_it = entry.text.split("; ").any(|part| part == text);
                if !has_it && list != List::NotNeeded && entry.text.len() < TEXT_MAX {
                    entry.text = format!("{}; {text}", entry.text);
                }
            }
            _ => {
                entry.list = Some(list);
                entry.text = text;
            }
        }
    }

    /// Shorthand for [`List::Carried`].
    pub(crate) fn carried(&mut self, place: &Place, text: impl Into<String>) {
        self.note(place, List::Carried, text);
    }

    /// Shorthand for [`List::NotNeeded`].
    pub(crate) fn not_needed(&mut self, place: &Place, text: impl Into<String>) {
        self.note(place, List::NotNeeded, text);
    }

    /// Shorthand for [`List::NotSupported`].
    pub(crate) fn not_supported(&mut self, place: &Place, text: impl Into<String>) {
        self.note(place, List::NotSupported, text);
    }

    /// What to say of a directive that nobody has looked at by the end.
    pub(crate) fn otherwise(&mut self, place: &Place, list: List, text: &'static str) {
        if let Some(entry) = self.entries.get_mut(place) {
            entry.otherwise = Some((list, text));
        }
    }

    /// What a person has to do that no directive says.
    pub(crate) fn advise(&mut self, text: String) {
        if !self.advice.contains(&text) {
            self.advice.push(text);
        }
    }

    /// What is left is what it otherwise is, or unknown.
    pub(crate) fn close(&mut self) {
        for entry in self.entries.values_mut() {
            if entry.list.is_none() {
                let (list, text) = entry.otherwise.unwrap_or((List::NotSupported, UNKNOWN));
                entry.list = Some(list);
                text.clone_into(&mut entry.text);
            }
        }
    }

    /// All, by place.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&Place, &Entry)> {
        self.entries.iter()
    }

    /// Those of a list.
    pub(crate) fn of(&self, list: List) -> impl Iterator<Item = (&Place, &Entry)> {
        self.entries()
            .filter(move |(_, entry)| entry.list == Some(list))
    }

    /// What else there is to do.
    pub(crate) fn advice(&self) -> &[String] {
        &self.advice
    }
}

/// A line of a report is to be read.
const TEXT_MAX: usize = 200;
const UNKNOWN: &str =
    "this importer does not know it; see what it does and whether the site needs it";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graver_word_counts() {
        let place = Place {
            file: "a".into(),
            line: 1,
            number: 0,
        };
        let mut ledger = Ledger::default();
        ledger.declare(&place, "x y".to_owned());
        ledger.not_needed(&place, "one");
        ledger.carried(&place, "two");
        ledger.carried(&place, "two");
        ledger.carried(&place, "three");
        ledger.not_needed(&place, "four");
        let entry = ledger
            .entries()
            .next()
            .map(|(_, entry)| entry.clone())
            .unwrap();
        assert_eq!(
            (entry.list, entry.text.as_str()),
            (Some(List::Carried), "two; three")
        );
        ledger.not_supported(&place, "five");
        ledger.close();
        let all: usize = List::ALL.iter().map(|list| ledger.of(*list).count()).sum();
        assert_eq!((all, ledger.of(List::NotSupported).count()), (1, 1));
    }
}
