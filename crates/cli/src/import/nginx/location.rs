//! What the locations of a server add: where PHP runs, and what is closed, which is told.

use super::super::draft::From;
use super::super::ledger::List;
use super::super::pattern;
use super::super::tree::{Directive, first};
use super::blocks::each;
use super::known;
use super::script;
use super::server::Reading;

impl<'t> Reading<'_, 't> {
    /// One location, at whatever depth.
    pub(crate) fn location(&mut self, location: &'t Directive) {
        let (modifier, path) = split(location);
        let children = location.children();
        let has = |name: &str| first(children, name).is_some();
        if path.starts_with('@') {
            // Looked at where something leads to it.
        } else if has("fastcgi_pass") && modifier.is_empty() && path == "/" {
            self.ledger.carried(&location.place, "front_controller");
            self.all_to_php(location);
        } else if has("fastcgi_pass") {
            self.scripts(location, modifier, path);
        } else if let Some(inner) = self.named_scripts(location) {
            // ISPConfig: the location of scripts leads to a named one.
            self.scripts(location, modifier, path);
            self.ledger.carried(&inner.place, "script_extensions");
            for child in inner.children() {
                self.of_scripts(child);
            }
        } else if has("stub_status") {
            each(std::slice::from_ref(location), &mut |one| {
                self.ledger.not_needed(&one.place, "hostel status tells it")
            });
        } else if has("alias") {
            self.not_carried(location, "a site has one document root; put these files beneath it (a link within the home will do), or make a site of its own");
        } else if [
            "proxy_pass",
            "uwsgi_pass",
            "scgi_pass",
            "grpc_pass",
            "memcached_pass",
        ]
        .iter()
        .any(|name| has(name))
        {
            self.not_carried(
                location,
                "Hostel passes no requests on; keep nginx for this",
            );
        } else if children
            .iter()
            .any(|one| one.name.starts_with("auth_") && one.arg() != Some("off"))
        {
            self.not_carried(location, "OPEN HERE: there are no passwords of the server's; let the application ask for one, or move it out of the document root");
        } else if children.iter().any(is_refusal) {
            self.closed(location, modifier, path);
        } else if path == "/" && ["", "^~"].contains(&modifier) {
            self.ledger
                .carried(&location.place, "its settings are the site's");
            self.settings(children);
        } else {
            self.for_one_path(location);
        }
    }

    /// The named location with PHP that this one leads to.
    fn named_scripts(&mut self, location: &Directive) -> Option<&'t Directive> {
        let name = first(location.children(), "try_files")?
            .args
            .last()?
            .strip_prefix('@')?;
        let inner = self.named.get(name).copied()?;
        first(inner.children(), "fastcgi_pass")?;
        self.used.insert(name.to_owned());
        Some(inner)
    }

    /// PHP runs here.
    fn scripts(&mut self, location: &'t Directive, modifier: &str, path: &str) {
        let place = &location.place;
        let is_regex = modifier.starts_with('~');
        let found = if is_regex {
            pattern::extensions(path)
        } else {
            path.rsplit_once('.')
                .map(|(_, extension)| vec![extension.to_ascii_lowercase()])
        };
        let only_some = if is_regex {
            pattern::names_scripts(path)
        } else {
            true
        };
        match found {
            Some(names)
                if names
                    .iter()
                    .all(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric())) =>
            {
                for name in names {
                    if !self.extensions.contains(&name) && self.extensions.len() < 16 {
                        self.extensions.push(name);
                    }
                }
            }
            _ => {
                if self.extensions.is_empty() {
                    self.extensions.push("php".to_owned());
                }
                self.ledger.not_supported(
                    place,
                    "what it runs by PHP is not known from its pattern; see 'script_extensions'",
                );
            }
        }
        if only_some {
            let text = "only these scripts ran there; here every file beneath the document root runs that has an extension of 'script_extensions'";
            self.ledger.not_supported(place, text);
        } else {
            self.ledger.carried(place, "script_extensions");
        }
        for child in location.children() {
            self.of_scripts(child);
        }
    }

    fn of_scripts(&mut self, directive: &'t Directive) {
        let place = &directive.place;
        match directive.name.as_str() {
            "fastcgi_pass" => self.pass(directive),
            "fastcgi_param" => self.parameter(directive),
            "client_max_body_size" => self.body_size(directive),
            "fastcgi_read_timeout" => self.timeout(directive),
            "root" => self.root(directive),
            "location" => self.location(directive),
            "try_files" => self.ledger.not_needed(
                place,
                "whether a script exists is found out when it is asked for",
            ),
            "if" if directive.args.join(" ").contains("!-f $")
                || directive.args.join(" ").contains("!-e $") =>
            {
                self.ledger.not_needed(
                    place,
                    "whether a script exists is found out when it is asked for",
                );
                for child in directive.children() {
                    self.ledger.not_needed(
                        &child.place,
                        "whether a script exists is found out when it is asked for",
                    );
                }
            }
            "set"
                if directive
                    .args
                    .get(1)
                    .is_some_and(|value| value == "$fastcgi_path_info") =>
            {
                self.ledger
                    .not_needed(place, "the path behind a script is its PATH_INFO by itself");
            }
            "index" => self
                .ledger
                .not_needed(place, "'index' says what a directory's page is"),
            "include" => {}
            _ => self.other(directive),
        }
    }

    /// A location whose requests all go to one script: the front controller.
    pub(crate) fn all_to_php(&mut self, location: &'t Directive) {
        if !self.extensions.iter().any(|name| name == "php") {
            self.extensions.push("php".to_owned());
        }
        self.ledger.carried(&location.place, "front_controller");
        for child in location.children() {
            self.of_scripts(child);
        }
        let named = location
            .children()
            .iter()
            .filter(|one| one.is("fastcgi_param"));
        let mut named = named
            .filter(|one| one.arg() == Some("SCRIPT_FILENAME"))
            .filter_map(|one| Some((one, one.args.get(1)?)));
        let script = named.next().and_then(|(one, value)| {
            let path = value
                .strip_prefix("$document_root")
                .or_else(|| value.strip_prefix("$realpath_root"))?;
            Some((one, script::script(path)?))
        });
        match script {
            Some((one, script)) => self.front(script, &one.place),
            None if self.draft.front.is_none() => {
                self.draft.front = Some(From::new("/index.php".to_owned(), &location.place));
                self.ledger.not_supported(&location.place, "front_controller is set to /index.php: which script gets everything is not known");
            }
            None => {}
        }
    }

    /// A location that refuses everything.
    fn closed(&mut self, location: &Directive, modifier: &str, path: &str) {
        let is_regex = modifier.starts_with('~');
        let is_hidden = if is_regex {
            pattern::is_hidden(path)
        } else {
            path.starts_with("/.")
        };
        if is_hidden {
            let text = "hidden files and editors' backups are never served";
            each(std::slice::from_ref(location), &mut |one| {
                self.ledger.not_needed(&one.place, text)
            });
            return;
        }
        let is_scripts = is_regex
            && pattern::extensions(path)
                .is_some_and(|names| names.iter().any(|name| name == "php"));
        let text = if is_scripts {
            "OPEN HERE: every file beneath the document root runs that has an extension of 'script_extensions'; keep scripts that nobody may run outside of it"
        } else {
            "OPEN HERE: there are no rules for paths; move what nobody may see out of the document root"
        };
        self.not_carried(location, text);
    }

    /// Settings for one path alone.
    fn for_one_path(&mut self, location: &'t Directive) {
        let children = location.children();
        if children
            .iter()
            .all(|one| known::is_plain(one) || one.is("location"))
        {
            self.ledger.not_needed(
                &location.place,
                "needs no rule of its own; what is in it is told line by line",
            );
        } else {
            self.ledger.not_supported(
                &location.place,
                "settings for one path alone: a site has the same everywhere",
            );
        }
        for child in children {
            match child.name.as_str() {
                "location" => self.location(child),
                "try_files" => self.try_there(child),
                "include" => {}
                _ if known::is_plain(child) => self.other(child),
                _ => each(
                    std::slice::from_ref(child),
                    &mut |one| match known::verdict(one) {
                        Some((List::NotNeeded, text)) if text != known::NO_SITE => {
                            self.ledger.not_needed(&one.place, text)
                        }
                        _ => self.ledger.not_supported(&one.place, "for one path alone"),
                    },
                ),
            }
        }
    }

    /// `try_files` of one path: not needed where it says what holds anyway.
    fn try_there(&mut self, directive: &Directive) {
        let last = directive.args.last().map_or("", String::as_str);
        let script = script::script(last);
        let is_front = script.is_some_and(|script| {
            self.draft
                .front
                .as_ref()
                .is_none_or(|front| front.value == script.path)
        });
        if is_front {
            self.ledger.not_needed(
                &directive.place,
                "the front controller answers for what is not there",
            );
        } else {
            self.ledger.not_supported(&directive.place, "for one path alone: what is not there is the front controller's, or 404 where there is none");
        }
    }

    /// A block that is not carried over, with all that is in it.
    pub(crate) fn not_carried(&mut self, location: &Directive, text: &str) {
        self.ledger.not_supported(&location.place, text);
        let inner = format!(
            "in a location that is not carried over (line {})",
            location.place.line
        );
        each(location.children(), &mut |one| {
            if known::is_about_logs(one) || one.is("include") {
                self.ledger
                    .not_needed(&one.place, "each site has an access.log and an error.log");
            } else {
                self.ledger.not_supported(&one.place, inner.as_str());
            }
        });
    }
}

/// `deny all` or a status that says no.
fn is_refusal(directive: &Directive) -> bool {
    match directive.name.as_str() {
        "deny" => directive.arg() == Some("all"),
        "return" => directive
            .arg()
            .is_some_and(|status| ["403", "404", "410", "444"].contains(&status)),
        _ => false,
    }
}

/// The modifier and the path; nginx takes them without a blank between them too.
fn split(location: &Directive) -> (&str, &str) {
    match &location.args[..] {
        [modifier, path] => (modifier, path),
        [one] => {
            let modifier = ["~*", "^~", "~", "="]
                .into_iter()
                .find(|modifier| one.starts_with(modifier));
            let modifier = modifier.unwrap_or_default();
            (modifier, &one[modifier.len()..])
        }
        _ => ("", ""),
    }
}
