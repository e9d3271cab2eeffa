//! Sections of a virtual host: those about its whole document root are the site's, others are told.

use super::super::ledger::List;
use super::super::pattern;
use super::super::source::whole;
use super::super::tree::Directive;
use super::super::{glob, homes};
use super::host::Reading;
use super::known::{self, NO_SITE};

impl<'t> Reading<'_, 't> {
    /// Settings for a directory: the site's, if it holds the document root.
    pub(super) fn directory(&mut self, directive: &'t Directive) {
        let place = &directive.place;
        let path = directive.args.last().map_or("", String::as_str);
        let root = self
            .draft
            .root
            .as_ref()
            .map(|root| root.value.clone())
            .unwrap_or_default();
        let is_regex = directive.is("DirectoryMatch") || directive.arg() == Some("~");
        let whole_path = whole("/", path.trim_end_matches('*'));
        if whole_path == "/" && !is_regex {
            self.ledger.not_needed(place, "a site sees its home alone");
            let settings = directive
                .children()
                .iter()
                .filter(|one| one.is("AllowOverride"));
            for one in settings.filter(|one| {
                one.arg()
                    .is_some_and(|arg| !arg.eq_ignore_ascii_case("none"))
            }) {
                self.allow_override(one);
            }
            return;
        }
        let holds = !is_regex && holds(&whole_path, &root);
        if holds {
            self.ledger.carried(place, "its settings are the site's");
            self.settings(directive.children());
        } else if is_regex || holds_path(&root, &whole_path) {
            self.for_one_path(directive);
        } else {
            let text = "about a directory outside of the document root";
            self.quietly(directive, text);
        }
    }

    /// Settings for one path alone.
    pub(super) fn for_one_path(&mut self, directive: &'t Directive) {
        let is_hidden = directive
            .args
            .last()
            .is_some_and(|path| path.contains("/.") || pattern::is_hidden(path));
        if is_hidden && refuses(directive) {
            self.quietly(
                directive,
                "hidden files and editors' backups are never served",
            );
            return;
        }
        self.ledger.not_supported(
            &directive.place,
            "settings for one path alone: a site has the same everywhere",
        );
        self.one_by_one(directive, "for one path alone");
    }

    /// Say of each directive in it what is known, or else this.
    pub(super) fn one_by_one(&mut self, directive: &Directive, otherwise: &str) {
        for child in directive.children() {
            match known::verdict(child) {
                Some((List::NotNeeded, text)) if text != NO_SITE => {
                    self.ledger.not_needed(&child.place, text)
                }
                Some((List::NotSupported, text)) => self.ledger.not_supported(&child.place, text),
                _ => self.ledger.not_supported(&child.place, otherwise),
            }
            self.one_by_one(child, otherwise);
        }
    }

    pub(super) fn quietly(&mut self, directive: &Directive, text: &str) {
        self.ledger.not_needed(&directive.place, text);
        for child in directive.children() {
            self.quietly(child, text);
        }
    }

    pub(super) fn files(&mut self, directive: &'t Directive) {
        let place = &directive.place;
        let files = directive.args.last().map_or("", String::as_str);
        let is_hidden =
            files.starts_with('.') && !directive.is("FilesMatch") && !files.starts_with(".+")
                || pattern::is_hidden(files);
        if is_hidden && refuses(directive) {
            self.quietly(
                directive,
                "hidden files and editors' backups are never served",
            );
            return;
        }
        let runs = find_deep(directive, "SetHandler");
        if runs.is_none() && !refuses(directive) {
            self.ledger.not_supported(
                place,
                "settings for some files alone: a site has the same for all",
            );
            self.one_by_one(directive, "for some files alone");
            return;
        }
        if runs.is_none() {
            self.ledger.not_supported(place, "OPEN HERE: there are no rules for files; move what nobody may see out of the document root");
            self.one_by_one(directive, "for some files alone");
            return;
        }
        self.ledger.carried(place, "script_extensions");
        self.of_files(directive, files);
    }

    /// Handlers in a section of files, within conditions too.
    pub(super) fn of_files(&mut self, directive: &'t Directive, files: &str) {
        for child in directive.children() {
            if child.is("SetHandler") {
                self.handler(child, Some(files));
            } else if child.is("If") && child.args.join(" ").contains("-f") {
                self.ledger.not_needed(
                    &child.place,
                    "whether a script exists is found out when it is asked for",
                );
                self.of_files(child, files);
            } else {
                self.setting(child);
            }
        }
    }

    pub(super) fn limit(&mut self, directive: &Directive) {
        if refuses(directive)
            || !directive.children().iter().all(|one| {
                one.is("Order")
                    || known::verdict(one).is_some_and(|(list, _)| list == List::NotNeeded)
            })
        {
            self.ledger.not_supported(
                &directive.place,
                "OPEN HERE: methods are not told apart; the application decides",
            );
        } else {
            self.ledger.not_needed(
                &directive.place,
                "everything beneath the document root is served",
            );
        }
        for child in directive.children() {
            self.other(child);
        }
    }
}

/// Whether a section denies everything to everybody.
fn refuses(directive: &Directive) -> bool {
    directive.children().iter().any(|one| {
        let text = one.args.join(" ").to_ascii_lowercase();
        (one.is("Require") && text == "all denied")
            || (one.is("Deny") && text == "from all")
            || refuses(one)
    })
}

fn find_deep<'d>(directive: &'d Directive, name: &str) -> Option<&'d Directive> {
    directive.children().iter().find_map(|one| {
        if one.is(name) {
            Some(one)
        } else {
            find_deep(one, name)
        }
    })
}

/// Whether a section's path, which may have wildcards, is the document root or above it.
fn holds(path: &str, root: &str) -> bool {
    let mut of_root = root.split('/').filter(|part| !part.is_empty());
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    parts.all(|part| of_root.next().is_some_and(|name| glob::matches(part, name)))
}

fn holds_path(directory: &str, path: &str) -> bool {
    homes::holds(directory, path)
}
