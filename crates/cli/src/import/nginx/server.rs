//! What a server block becomes.

use std::collections::{BTreeMap, BTreeSet};

use super::super::draft::{Draft, From};
use super::super::ledger::Ledger;
use super::super::php_fpm::{Pools, directives::seconds};
use super::super::redirect::Redirect;
use super::super::source::{Place, whole};
use super::super::tree::{Directive, first};
use super::blocks::{each, is_everything, named, redirect, serves_files, size};
use super::known;
use super::script::{self, Script, Target};

/// What stands around server blocks.
pub(crate) struct Around<'t> {
    /// Directives without a block.
    pub(crate) settings: Vec<&'t Directive>,
    pub(crate) upstreams: &'t BTreeMap<String, &'t Directive>,
}

/// What a server block is.
pub(crate) enum Outcome {
    Site(Box<Draft>),
    Redirect(Redirect),
    /// It serves no files and runs no PHP.
    Nothing,
}

/// A site while its block is read.
pub(crate) struct Reading<'r, 't> {
    pub(crate) draft: Draft,
    pub(crate) ledger: &'r mut Ledger,
    pub(crate) pools: &'r mut Pools,
    pub(super) around: &'r Around<'t>,
    /// `set $x …`
    pub(super) variables: BTreeMap<String, String>,
    /// `location @x`
    pub(crate) named: BTreeMap<String, &'t Directive>,
    pub(crate) used: BTreeSet<String>,
    pub(super) pool: Option<String>,
    /// What answers for a directory, if not its index files.
    directory_page: Option<String>,
    /// Extensions of scripts; empty while no location runs any.
    pub(crate) extensions: Vec<String>,
}

/// Read one.
pub(crate) fn read<'t>(
    server: &'t Directive,
    around: &Around<'t>,
    pools: &mut Pools,
    ledger: &mut Ledger,
) -> Outcome {
    if let Some(redirect) = redirect(server, ledger) {
        return Outcome::Redirect(redirect);
    }
    if !serves_files(server, around) {
        ledger.not_supported(
            &server.place,
            "it serves no files and runs no PHP; keep nginx for it",
        );
        let mut note = |one: &Directive| {
            if known::verdict(one).is_none_or(|_| one.is("server_name") || one.is("listen")) {
                ledger.not_supported(&one.place, "of a server that is not carried over");
            }
        };
        each(server.children(), &mut note);
        return Outcome::Nothing;
    }
    let mut reading = Reading {
        draft: Draft::new(&server.place),
        ledger,
        pools,
        around,
        variables: BTreeMap::new(),
        named: named(server),
        used: BTreeSet::new(),
        pool: None,
        directory_page: None,
        extensions: Vec::new(),
    };
    reading.ledger.carried(&server.place, "a site");
    reading.settings(server.children());
    reading.inherited(server.children());
    Outcome::Site(Box::new(reading.end(server)))
}

impl<'t> Reading<'_, 't> {
    /// Directives of the server, or of its location `/`, which are the same here.
    pub(crate) fn settings(&mut self, directives: &'t [Directive]) {
        for directive in directives.iter().filter(|one| one.is("set")) {
            self.set(directive);
        }
        for directive in directives {
            self.setting(directive);
        }
    }

    fn setting(&mut self, directive: &'t Directive) {
        let place = &directive.place;
        match directive.name.as_str() {
            "server_name" => {
                for name in &directive.args {
                    self.draft.add_domain(name, place, self.ledger);
                }
            }
            "listen" => self.listen(directive),
            "root" => self.root(directive),
            "index" => self.index(directive),
            "client_max_body_size" => self.body_size(directive),
            "fastcgi_read_timeout" => self.timeout(directive),
            "try_files" => self.try_files(directive),
            "location" => self.location(directive),
            "error_page" => self.error_page(directive),
            "if" => self.condition(directive),
            "rewrite" => self.rewrite(directive),
            "fastcgi_pass" => self.pass(directive),
            "fastcgi_param" => self.parameter(directive),
            "set" | "include" => {}
            _ => self.other(directive),
        }
    }

    /// What is said around the server, and not in it.
    fn inherited(&mut self, own: &[Directive]) {
        let around = self.around;
        for setting in &around.settings {
            let counts = [
                "root",
                "index",
                "client_max_body_size",
                "fastcgi_read_timeout",
            ]
            .contains(&setting.name.as_str());
            if counts && first(own, &setting.name).is_none() {
                self.setting(setting);
            }
        }
    }

    fn end(mut self, server: &Directive) -> Draft {
        for (name, location) in std::mem::take(&mut self.named) {
            if !self.used.contains(&name) {
                self.not_carried(location, "nothing that is carried over leads to it");
            }
        }
        let has_php = !self.extensions.is_empty();
        self.draft.extensions = Some(std::mem::take(&mut self.extensions));
        match self.directory_page.take().filter(|_| has_php) {
            Some(page) => {
                let mut index = self.draft.index.take().unwrap_or_default();
                index.retain(|name| *name != page);
                index.insert(0, page);
                index.truncate(16);
                self.draft.index = Some(index);
            }
            None if self.draft.index.is_none() => {
                self.draft.index = Some(vec!["index.html".to_owned()]);
            }
            None => {}
        }
        if has_php && self.draft.front.is_none() {
            self.draft.front = Some(From::new(String::new(), &server.place));
        }
        self.draft
    }

    pub(crate) fn other(&mut self, directive: &Directive) {
        if let Some((list, text)) = known::verdict(directive) {
            self.ledger.note(&directive.place, list, text);
        }
        for child in directive.children() {
            self.other(child);
        }
    }

    fn listen(&mut self, directive: &Directive) {
        let place = &directive.place;
        let address = directive.arg().unwrap_or_default();
        let port = address.rsplit(':').next().unwrap_or_default();
        let has = |word: &str| directive.args.iter().any(|arg| arg == word);
        if has("ssl") || has("quic") || port == "443" {
            self.ledger.not_supported(place, known::NO_TLS);
        } else if address.starts_with("unix:") {
            self.ledger
                .not_supported(place, "Hostel listens on TCP ports alone");
        } else if port == "80" || port.parse::<u16>().is_err() {
            self.ledger
                .not_needed(place, "ports are the server's ('http' in hostel.toml)");
        } else {
            self.ledger.not_needed(
                place,
                format!("ports are the server's: 'http' in hostel.toml must have port {port}"),
            );
        }
    }

    pub(crate) fn root(&mut self, directive: &Directive) {
        let place = &directive.place;
        let path = self.resolved(directive.arg().unwrap_or_default());
        if path.contains('$') || path.is_empty() {
            self.ledger.not_supported(
                place,
                "a document root has no variables; make a site for each directory that is meant",
            );
            return;
        }
        let path = whole("/usr/share/nginx", &path);
        match &self.draft.root {
            Some(root) if root.value != path => {
                self.ledger.not_supported(place, format!("a site has one document root, here {}; make a site of its own for this one", root.value));
            }
            // `finish` says what becomes of it.
            Some(_) => self.ledger.carried(place, "home and root"),
            None => self.draft.root = Some(From::new(path, place)),
        }
    }

    fn index(&mut self, directive: &Directive) {
        let place = &directive.place;
        let (mut names, mut left_out) = (Vec::new(), Vec::new());
        for name in &directive.args {
            let is_name = !name.contains(['/', '$'])
                && !name.starts_with('.')
                && !name.is_empty()
                && name.len() <= 64;
            if is_name && names.len() < 16 {
                names.push(name.clone());
            } else {
                left_out.push(name.as_str());
            }
        }
        if left_out.is_empty() {
            self.ledger.carried(place, "index");
        } else {
            self.ledger.not_supported(
                place,
                format!(
                    "'index' has names of files alone, at most 16; left out: {}",
                    left_out.join(" ").escape_debug()
                ),
            );
        }
        if !names.is_empty() && self.draft.index.is_none() {
            self.draft.index = Some(names);
            self.draft.index_place = Some(place.clone());
        } else if !names.is_empty() && self.draft.index.as_ref() != Some(&names) {
            self.ledger
                .not_supported(place, "a site has one list of index files");
        }
    }

    pub(crate) fn body_size(&mut self, directive: &Directive) {
        let place = &directive.place;
        let Some(bytes) = directive.arg().and_then(size) else {
            self.ledger.not_supported(place, "this is no size");
            return;
        };
        // None at all, or more than is possible.
        let bytes = if bytes == 0 {
            BODY_MAX
        } else {
            bytes.min(BODY_MAX)
        };
        let is_larger = self
            .draft
            .body_bytes
            .as_ref()
            .is_none_or(|known| known.value < bytes);
        if is_larger {
            self.draft.body_bytes = Some(From::new(bytes, place));
        }
        self.ledger.carried(place, "body_bytes_max");
    }

    pub(crate) fn timeout(&mut self, directive: &Directive) {
        let place = &directive.place;
        match directive.arg().and_then(seconds) {
            Some(time) if time <= REQUEST_SECONDS => {
                self.ledger.not_needed(
                    place,
                    "a request may run for 300 seconds ('request_seconds_max')",
                );
            }
            Some(time) if self.draft.request_seconds.is_none() => {
                self.draft.request_seconds = Some(From::new(time.min(86_400), place));
                self.ledger.carried(place, "request_seconds_max");
            }
            Some(_) => self
                .ledger
                .not_needed(place, "'request_seconds_max' is set by another line"),
            None => self.ledger.not_supported(place, "this is no duration"),
        }
    }

    /// `try_files` of the server or of its location `/`.
    pub(crate) fn try_files(&mut self, directive: &Directive) {
        let place = &directive.place;
        let Some((last, tried)) = directive.args.split_last() else {
            return;
        };
        // `try_files $uri = 404` is written, and taken by nginx for the name of a file.
        let last = if tried.last().is_some_and(|arg| arg == "=") {
            "=404"
        } else {
            last
        };
        let usual = ["$uri", "$uri/", "=", "$request_filename", "/index.php"];
        let odd: Vec<&str> = tried
            .iter()
            .map(String::as_str)
            .filter(|arg| !usual.contains(arg))
            .collect();
        if !odd.is_empty() {
            self.ledger.not_supported(
                place,
                format!(
                    "only the file itself and the index files of a directory are tried, not {}",
                    odd.join(" ").escape_debug()
                ),
            );
        }
        match script::target(last) {
            Target::None => self.ledger.carried(place, "no front_controller"),
            Target::Script(script) => {
                self.leaves_directories(&script.path, directive);
                self.front(script, place);
            }
            Target::Named(name) => {
                self.named_location(&name, place);
                let front = self.draft.front.as_ref().map(|front| front.value.clone());
                self.leaves_directories(&front.unwrap_or_default(), directive);
            }
            Target::Other if ["$uri", "$uri/"].contains(&last) => {
                self.ledger.carried(place, "no front_controller")
            }
            Target::Other => self.ledger.not_supported(
                place,
                format!(
                    "only a script can answer for what is not there, and '{}' is none",
                    last.escape_debug()
                ),
            ),
        }
    }

    /// Where `try_files` does not ask for a directory's page, the front controller is it.
    fn leaves_directories(&mut self, script: &str, directive: &Directive) {
        let asks = directive.args.iter().any(|arg| arg == "$uri/");
        let name = script.trim_start_matches('/');
        if !asks && !name.is_empty() && !name.contains('/') {
            self.directory_page = Some(name.to_owned());
        }
    }

    fn named_location(&mut self, name: &str, place: &Place) {
        let Some(location) = self.named.get(name).copied() else {
            self.ledger
                .not_supported(place, "there is no such location");
            return;
        };
        if !self.used.insert(name.to_owned()) {
            self.ledger.carried(place, "front_controller");
            return;
        }
        if first(location.children(), "fastcgi_pass").is_some() {
            self.ledger.carried(place, "front_controller");
            self.all_to_php(location);
            return;
        }
        let rewrites: Vec<&Directive> = location
            .children()
            .iter()
            .filter(|one| one.is("rewrite"))
            .collect();
        let last = rewrites
            .last()
            .and_then(|rewrite| script::script(rewrite.args.get(1)?));
        let is_last = |one: &Directive| {
            last.is_some()
                && rewrites
                    .last()
                    .is_some_and(|rewrite| rewrite.place == one.place)
        };
        for child in location.children().iter().filter(|one| !is_last(one)) {
            self.other(child);
        }
        let (Some(script), Some(rewrite)) = (last, rewrites.last()) else {
            self.ledger.not_supported(
                &location.place,
                "no script that answers for what is not there is in it",
            );
            self.ledger
                .not_supported(place, "what is not there is answered with 404");
            return;
        };
        self.ledger.carried(place, "front_controller");
        self.ledger.carried(&location.place, "front_controller");
        self.front(script, &rewrite.place);
    }

    /// A script answers for what is not there.
    pub(crate) fn front(&mut self, script: Script, place: &Place) {
        match script.difference() {
            None => self.ledger.carried(place, "front_controller"),
            Some(difference) => self.ledger.not_supported(place, difference),
        }
        if !script.is_usable() {
            return;
        }
        match &self.draft.front {
            Some(front) if front.value != script.path => {
                self.ledger.not_supported(
                    place,
                    format!("a site has one front controller, here {}", front.value),
                );
            }
            Some(_) => {}
            None => self.draft.front = Some(From::new(script.path, place)),
        }
    }

    fn error_page(&mut self, directive: &Directive) {
        let script = directive.args.last().and_then(|last| script::script(last));
        let is_404 = directive.arg() == Some("404") && directive.args.len() <= 3;
        match script {
            Some(script)
                if is_404
                    && self
                        .draft
                        .front
                        .as_ref()
                        .is_none_or(|front| front.value == script.path) =>
            {
                self.front(script, &directive.place);
            }
            _ => self.other(directive),
        }
    }

    /// `if (!-e $request_filename) { rewrite … }`: a front controller as it was written before `try_files`.
    fn condition(&mut self, directive: &'t Directive) {
        let text = directive.args.join(" ");
        let text = text.trim_start_matches('(').trim_end_matches(')').trim();
        let is_missing = [
            "!-e $request_filename",
            "!-f $request_filename",
            "!-d $request_filename",
        ]
        .contains(&text);
        let rewrites: Vec<&Directive> = directive
            .children()
            .iter()
            .filter(|one| one.is("rewrite"))
            .collect();
        let script = rewrites
            .last()
            .and_then(|rewrite| script::script(rewrite.args.get(1)?));
        let (true, Some(script), Some(rewrite)) = (is_missing, script, rewrites.last()) else {
            self.other(directive);
            return;
        };
        self.ledger.carried(&directive.place, "front_controller");
        self.front(script, &rewrite.place);
        for child in directive
            .children()
            .iter()
            .filter(|one| one.place != rewrite.place)
        {
            self.other(child);
        }
    }

    fn rewrite(&mut self, directive: &Directive) {
        let place = &directive.place;
        let is_all = directive.arg().is_some_and(is_everything);
        let is_inner = directive
            .args
            .get(2)
            .is_none_or(|flag| flag == "last" || flag == "break");
        let script = directive
            .args
            .get(1)
            .and_then(|target| script::script(target));
        match script {
            Some(script) if is_all && is_inner => {
                self.front(script, place);
                self.ledger.not_supported(
                    place,
                    "front_controller is set, and files that exist are served first",
                );
            }
            _ => self.other(directive),
        }
    }
}

/// hostel-config's bound.
const BODY_MAX: u64 = 1 << 40;
/// Its default for a request.
const REQUEST_SECONDS: u64 = 300;
