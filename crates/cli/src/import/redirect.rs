//! Servers that only send visitors elsewhere: their names lead to the site that they send them to.

use super::draft::{Draft, From};
use super::ledger::Ledger;
use super::source::Place;

/// A server that serves nothing.
pub(crate) struct Redirect {
    /// Its names, as written.
    pub(crate) names: Vec<From<String>>,
    /// The host that it sends visitors to; `None`: its own names.
    pub(crate) target: Option<String>,
    /// The directive that does it.
    pub(crate) place: Place,
}

impl Redirect {
    /// One to this address; `None` for the host where it is made of variables.
    pub(crate) fn to(url: &str, names: Vec<From<String>>, place: &Place) -> Self {
        let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
        let host = behind
            .split(['/', '$', '%', ':'])
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        Self {
            names,
            target: Some(host).filter(|host| !host.is_empty()),
            place: place.clone(),
        }
    }

    /// Give the names to the site that is meant.
    pub(crate) fn place(self, drafts: &mut [Draft], ledger: &mut Ledger) {
        let Self {
            names,
            target,
            place,
        } = self;
        let has = |draft: &Draft, name: &str| {
            draft
                .domains
                .iter()
                .any(|domain| domain.value == name.to_ascii_lowercase())
        };
        let found = drafts.iter_mut().find(|draft| match &target {
            Some(target) => has(draft, target),
            None => names.iter().any(|name| has(draft, &name.value)),
        });
        let Some(draft) = found else {
            ledger.not_supported(
                &place,
                "there are no redirects, and no site that was read is its target",
            );
            for From { value, place } in &names {
                ledger.not_supported(
                    place,
                    format!("no site answers for {}", value.escape_debug()),
                );
            }
            return;
        };
        let is_same = names.iter().all(|name| has(draft, &name.value));
        let text = if target.is_some() && !is_same {
            "there are no redirects: visitors get the site itself under this name too; let the application redirect them"
        } else {
            "there are no redirects, and there is no TLS yet: visitors get the site over HTTP"
        };
        ledger.not_supported(&place, text);
        for name in names {
            draft.add_domain(&name.value, &name.place, ledger);
        }
    }
}
