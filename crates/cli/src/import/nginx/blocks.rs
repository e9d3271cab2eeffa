//! What a server block is, at a glance: whether it only redirects, whether it serves files.

use std::collections::BTreeMap;

use super::super::draft::From;
use super::super::ledger::Ledger;
use super::super::redirect::Redirect;
use super::super::tree::{Directive, first};
use super::known;
use super::server::Around;

/// A server that does nothing but `return` a redirect, or `rewrite` to another host.
pub(super) fn redirect(server: &Directive, ledger: &mut Ledger) -> Option<Redirect> {
    let children = server.children();
    let at_root = children
        .iter()
        .find(|one| one.is("location") && one.args == ["/"]);
    let inner = at_root.map(|one| one.children()).unwrap_or_default();
    let url = |one: &Directive| {
        let text = match one.name.as_str() {
            "return" => one.args.last(),
            // One for some paths leaves the others to be served.
            "rewrite" if one.arg().is_some_and(is_everything) => one.args.get(1),
            _ => None,
        }?;
        text.contains("://").then(|| text.clone())
    };
    let serves = children
        .iter()
        .any(|one| one.is("location") && has_deep(one, "fastcgi_pass"));
    let own = children.iter().find_map(|one| Some((one, url(one)?)));
    // In its location `/` it is one only if nothing else is served.
    let in_location = inner
        .iter()
        .find_map(|one| Some((one, url(one)?)))
        .filter(|_| !serves);
    let conditional =
        children.iter().any(|one| one.is("if")) && first(children, "root").is_none() && !serves;
    let certbot = children
        .iter()
        .filter(|one| one.is("if"))
        .flat_map(|one| one.children())
        .find_map(|one| Some((one, url(one)?)));
    let (directive, url) = own.or(in_location).or(certbot.filter(|_| conditional))?;
    let names = children.iter().filter(|one| one.is("server_name"));
    let names = names
        .flat_map(|one| {
            one.args
                .iter()
                .map(|name| From::new(name.clone(), &one.place))
        })
        .collect();
    ledger.not_supported(&server.place, "a server that only redirects");
    for child in children {
        let mut note = |one: &Directive| {
            let is_it = one.place == directive.place || one.is("server_name");
            if let Some((list, text)) = known::verdict(one).filter(|_| !is_it) {
                ledger.note(&one.place, list, text);
            } else if one.is("location") {
                ledger.not_supported(&one.place, "of a server that only redirects");
            }
        };
        each(std::slice::from_ref(child), &mut note);
    }
    Some(Redirect::to(&url, names, &directive.place))
}

/// Whether a pattern of a rule fits every path.
pub(super) fn is_everything(pattern: &str) -> bool {
    [
        "^", "^/", "^(.*)$", "^(.*)", "^/(.*)$", "^/(.*)", "^/?(.*)$", "(.*)", ".*", "^.*$", "^.*",
        "^/.*$", "^(/.*)$",
    ]
    .contains(&pattern)
}

/// Whether there is a document root or PHP.
pub(super) fn serves_files(server: &Directive, around: &Around<'_>) -> bool {
    let children = server.children();
    let is_root = |one: &Directive| one.is("location") && one.args == ["/"];
    let passes = ["proxy_pass", "uwsgi_pass", "grpc_pass", "scgi_pass"];
    let all_passed = children.iter().filter(|one| is_root(one)).any(|one| {
        passes
            .iter()
            .any(|name| first(one.children(), name).is_some())
    });
    let has_php = has_deep(server, "fastcgi_pass");
    let has_root = has_deep(server, "root") || around.settings.iter().any(|one| one.is("root"));
    has_php || (has_root && !all_passed)
}

pub(crate) fn has_deep(directive: &Directive, name: &str) -> bool {
    directive
        .children()
        .iter()
        .any(|one| one.is(name) || has_deep(one, name))
}

/// Each directive of a tree.
pub(crate) fn each(directives: &[Directive], act: &mut dyn FnMut(&Directive)) {
    for directive in directives {
        act(directive);
        each(directive.children(), act);
    }
}

pub(super) fn named(server: &Directive) -> BTreeMap<String, &Directive> {
    let locations = server.children().iter().filter(|one| one.is("location"));
    locations
        .filter_map(|one| Some((one.arg()?.strip_prefix('@')?.to_owned(), one)))
        .collect()
}

/// A size as nginx writes it.
pub(crate) fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}
