//! A site while it is put together from server blocks, virtual hosts and pools.

use std::collections::BTreeMap;

use super::ledger::Ledger;
use super::source::Place;

/// A value and the directive that it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct From<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<T> From<T> {
    pub(crate) fn new(value: T, place: &Place) -> Self {
        let place = place.clone();
        Self { value, place }
    }
}

/// A PHP setting as the other server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PhpSetting {
    pub(crate) value: String,
    /// A `php_flag`: its value is a switch.
    pub(crate) is_flag: bool,
    /// Scripts may not change it.
    pub(crate) is_admin: bool,
    pub(crate) place: Place,
}

/// What is known of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The server block, virtual host or pool.
    pub(crate) origin: Place,
    /// The names of domains, as they will be written.
    pub(crate) domains: Vec<From<String>>,
    /// The directive by which it answers for every other name.
    pub(crate) catch_all: Option<Place>,
    /// The user, if it is said.
    pub(crate) user: Option<From<String>>,
    /// What the site is called, where there is no domain: a pool's name.
    pub(crate) name_hint: Option<String>,
    /// The document root, an absolute path.
    pub(crate) root: Option<From<String>>,
    /// Directories that the site is said to use, such as those of `open_basedir`; where home may be.
    pub(crate) places: Vec<String>,
    /// Names of index files. `None`: Hostel's own.
    pub(crate) index: Option<Vec<String>>,
    /// Where they are from.
    pub(crate) index_place: Option<Place>,
    /// Extensions of scripts; empty: no PHP. `None`: Hostel's own.
    pub(crate) extensions: Option<Vec<String>>,
    /// The front controller; empty: none. `None`: Hostel's own.
    pub(crate) front: Option<From<String>>,
    /// The largest body, in bytes.
    pub(crate) body_bytes: Option<From<u64>>,
    /// The longest request, in seconds.
    pub(crate) request_seconds: Option<From<u64>>,
    /// By name.
    pub(crate) php: BTreeMap<String, PhpSetting>,
}

impl Draft {
    /// Nothing is known but where it is from.
    pub(crate) fn new(origin: &Place) -> Self {
        Self {
            origin: origin.clone(),
            domains: Vec::new(),
            catch_all: None,
            user: None,
            name_hint: None,
            root: None,
            places: Vec::new(),
            index: None,
            index_place: None,
            extensions: None,
            front: None,
            body_bytes: None,
            request_seconds: None,
            php: BTreeMap::new(),
        }
    }

    /// One more domain, if it is one that Hostel can have; what is wrong with it goes to the ledger.
    pub(crate) fn add_domain(&mut self, written: &str, place: &Place, ledger: &mut Ledger) {
        let name = written.trim_end_matches('.').to_ascii_lowercase();
        if name.is_empty() || name == "_" || name == "*" || name == "localhost" {
            self.catch_all = Some(place.clone());
            ledger.not_needed(place, format!("'{written}' is no domain of this site"));
            return;
        }
        let names = match name.strip_prefix('.') {
            // nginx: the domain and all beneath it.
            Some(rest) => vec![rest.to_owned(), format!("*.{rest}")],
            None => vec![name],
        };
        for name in names {
            if !super::names::is_domain(&name) {
                let shown = written.escape_debug();
                ledger.not_supported(
                    place,
                    format!("'{shown}' cannot be a domain here: exact names and '*.DOMAIN' can; list the names that are meant in 'domains'"),
                );
                continue;
            }
            ledger.carried(place, "domains");
            if !self.domains.iter().any(|known| known.value == name) {
                self.domains.push(From::new(name, place));
            }
        }
    }

    /// Take over from another draft of the same site what this one lacks. Where the two differ, this one's word counts.
    pub(crate) fn absorb(&mut self, other: Self, ledger: &mut Ledger) {
        for domain in other.domains {
            if !self.domains.iter().any(|known| known.value == domain.value) {
                self.domains.push(domain);
            }
        }
        self.catch_all = self.catch_all.take().or(other.catch_all);
        self.places.extend(other.places);
        take(&mut self.user, other.user, ledger);
        take(&mut self.root, other.root, ledger);
        take(&mut self.front, other.front, ledger);
        take(&mut self.body_bytes, other.body_bytes, ledger);
        take(&mut self.request_seconds, other.request_seconds, ledger);
        if self.index.is_none() {
            self.index = other.index;
            self.index_place = other.index_place;
        } else if let (true, Some(place)) = (self.index != other.index, other.index_place) {
            ledger.not_supported(&place, DIFFERS);
        }
        let has_php = |extensions: &Option<Vec<String>>| {
            extensions.as_ref().is_none_or(|list| !list.is_empty())
        };
        if !has_php(&self.extensions) && has_php(&other.extensions) {
            self.extensions = other.extensions;
        }
        for (name, setting) in other.php {
            match self.php.get(&name) {
                Some(known) if known.value != setting.value => {
                    ledger.not_supported(&setting.place, DIFFERS);
                }
                Some(_) => {}
                None => {
                    self.php.insert(name, setting);
                }
            }
        }
    }
}

fn take<T: PartialEq>(own: &mut Option<From<T>>, other: Option<From<T>>, ledger: &mut Ledger) {
    match (own.as_ref(), other) {
        (None, other) => *own = other,
        (Some(own), Some(other)) if own.value != other.value => {
            ledger.not_supported(&other.place, DIFFERS);
        }
        _ => {}
    }
}

const DIFFERS: &str = "another server block or pool of the same site has a different value, which is taken: a site has one";

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u32) -> Place {
        Place {
            file: "f".into(),
            line: number,
            number,
        }
    }

    #[test]
    fn domains_are_those_that_can_be() {
        let (mut draft, mut ledger) = (Draft::new(&place(0)), Ledger::default());
        for (number, name) in [
            "A.example",
            ".b.example",
            "~^x$",
            "www.c.*",
            "_",
            "a.example.",
        ]
        .iter()
        .enumerate()
        {
            let place = place(u32::try_from(number).unwrap());
            ledger.declare(&place, (*name).to_owned());
            draft.add_domain(name, &place, &mut ledger);
        }
        let names: Vec<_> = draft
            .domains
            .iter()
            .map(|domain| domain.value.as_str())
            .collect();
        assert_eq!(names, ["a.example", "b.example", "*.b.example"]);
        assert_eq!(
            ledger.of(super::super::ledger::List::NotSupported).count(),
            2
        );
        assert_eq!(draft.catch_all, Some(place(4)));
    }

    #[test]
    fn the_first_of_two_values_counts_and_the_other_is_told() {
        let (mut draft, mut ledger) = (Draft::new(&place(0)), Ledger::default());
        ledger.declare(&place(2), "x".to_owned());
        draft.body_bytes = Some(From::new(1, &place(1)));
        let mut other = Draft::new(&place(3));
        other.body_bytes = Some(From::new(2, &place(2)));
        other.front = Some(From::new("/index.php".to_owned(), &place(4)));
        draft.absorb(other, &mut ledger);
        assert_eq!(draft.body_bytes.as_ref().map(|from| from.value), Some(1));
        assert!(draft.front.is_some());
        assert_eq!(
            ledger.of(super::super::ledger::List::NotSupported).count(),
            1
        );
    }
}
