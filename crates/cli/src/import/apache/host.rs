//! What a virtual host becomes.

use std::collections::BTreeMap;

use super::super::draft::{Draft, From};
use super::super::ledger::Ledger;
use super::super::nginx::script;
use super::super::php_fpm::{self, Pools};
use super::super::redirect::Redirect;
use super::super::source::{Place, whole};
use super::super::tree::{Directive, first};
use super::known::{self, NO_SITE};
use super::rewrite::{self, Rule};

/// What stands around virtual hosts.
pub(crate) struct Around<'t> {
    /// Everything but them.
    pub(crate) settings: Vec<&'t Directive>,
    /// Sockets by the names that `<Proxy>` gives them.
    pub(crate) proxies: BTreeMap<String, String>,
    /// Whether any `LoadModule` was read.
    pub(crate) knows_modules: bool,
    pub(crate) has_php_module: bool,
}

/// What a virtual host is.
pub(crate) enum Outcome {
    Site(Box<Draft>),
    Redirect(Redirect),
    /// It serves no files.
    Nothing,
}

/// A site while its virtual host is read.
pub(super) struct Reading<'r, 't> {
    pub(super) draft: Draft,
    pub(super) ledger: &'r mut Ledger,
    pub(super) pools: &'r mut Pools,
    pub(super) around: &'r Around<'t>,
    conditions: Vec<&'t Directive>,
    pub(super) extensions: Vec<String>,
    engine_is_off: bool,
    /// `.htaccess` may say more.
    is_overridden: bool,
    pub(super) pool: Option<String>,
}

/// Read one.
pub(crate) fn read<'t>(
    host: &'t Directive,
    around: &Around<'t>,
    pools: &mut Pools,
    ledger: &mut Ledger,
) -> Outcome {
    let children = host.children();
    if first(children, "DocumentRoot").is_none() {
        return without_root(host, ledger);
    }
    ledger.carried(&host.place, "a site");
    let is_tls = host.args.iter().any(|address| address.ends_with(":443"));
    if is_tls {
        ledger.not_supported(&host.place, known::NO_TLS);
    }
    let mut reading = Reading::new(&host.place, around, pools, ledger);
    reading.root(children);
    for setting in &around.settings {
        reading.around(setting);
    }
    reading.settings(children);
    Outcome::Site(Box::new(reading.end()))
}

/// The server itself, where it has a document root and there are no virtual hosts.
pub(crate) fn main(around: &Around<'_>, pools: &mut Pools, ledger: &mut Ledger) -> Option<Draft> {
    let root = around.settings.iter().find(|one| one.is("DocumentRoot"))?;
    let mut reading = Reading::new(&root.place, around, pools, ledger);
    for setting in &around.settings {
        reading.root(std::slice::from_ref(*setting));
    }
    for setting in &around.settings {
        reading.setting(setting);
    }
    Some(reading.end())
}

impl<'r, 't> Reading<'r, 't> {
    fn new(
        origin: &Place,
        around: &'r Around<'t>,
        pools: &'r mut Pools,
        ledger: &'r mut Ledger,
    ) -> Self {
        Self {
            draft: Draft::new(origin),
            ledger,
            pools,
            around,
            conditions: Vec::new(),
            extensions: Vec::new(),
            engine_is_off: false,
            is_overridden: false,
            pool: None,
        }
    }

    /// First of all: which sections are about this host depends on it.
    fn root(&mut self, directives: &[Directive]) {
        if let Some(directive) = directives.iter().rev().find(|one| one.is("DocumentRoot")) {
            let path = directive.arg().unwrap_or_default();
            if path.is_empty() || path.contains("${") {
                self.ledger.not_supported(
                    &directive.place,
                    "a variable in it is not known; define it, or write the path",
                );
            } else {
                self.draft.root = Some(From::new(whole("/etc/apache2", path), &directive.place));
            }
        }
    }

    /// What stands outside of virtual hosts, and holds in all.
    fn around(&mut self, directive: &'t Directive) {
        let holds = [
            "directoryindex",
            "php_value",
            "php_flag",
            "php_admin_value",
            "php_admin_flag",
            "assignuserid",
            "suexecusergroup",
            "suphp_usergroup",
            "ruidgid",
            "directory",
            "directorymatch",
            "filesmatch",
            "files",
            "sethandler",
            "addhandler",
            "addtype",
            "limitrequestbody",
            "fallbackresource",
            "allowoverride",
            "location",
        ];
        if holds.contains(&directive.name.to_ascii_lowercase().as_str()) {
            self.setting(directive);
        }
    }

    pub(super) fn settings(&mut self, directives: &'t [Directive]) {
        for directive in directives {
            self.setting(directive);
        }
        // Conditions behind which no rule stands.
        for condition in std::mem::take(&mut self.conditions) {
            self.ledger
                .not_supported(&condition.place, "no rule follows it");
        }
    }

    pub(super) fn setting(&mut self, directive: &'t Directive) {
        let place = &directive.place;
        let name = directive.name.to_ascii_lowercase();
        match name.as_str() {
            "servername" => self.domain(directive.arg().unwrap_or_default(), place),
            "serveralias" => {
                for alias in &directive.args {
                    self.domain(alias, place);
                }
            }
            "directoryindex" => self.index(directive),
            "assignuserid" | "suexecusergroup" | "suphp_usergroup" | "ruidgid" => self.user(directive),
            "assignuseridexpr" | "assigngroupidexpr" => self.ledger.not_supported(
                place,
                "a site has one user, which no request chooses; make a site for each user that is meant",
            ),
            "rmode" if directive.arg().is_some_and(|mode| mode.eq_ignore_ascii_case("stat")) => {
                self.ledger.not_supported(place, "a site has one user, and not that of whichever file is asked for");
            }
            "php_value" | "php_flag" | "php_admin_value" | "php_admin_flag" => self.php(directive, &name),
            "sethandler" => self.handler(directive, None),
            "addhandler" | "addtype" => self.add_handler(directive),
            "proxypass" | "proxypassmatch" => self.proxy(directive),
            "fastcgiexternalserver" => self.external(directive),
            "fallbackresource" => self.fallback(directive),
            "rewritecond" => self.conditions.push(directive),
            "rewriterule" => self.rewrite(directive),
            "allowoverride" => self.allow_override(directive),
            "limitrequestbody" => self.body(directive),
            "directory" | "directorymatch" => self.directory(directive),
            "location" | "locationmatch" if ["/", "^/", "^/$", "~"].contains(&directive.arg().unwrap_or_default()) => {
                self.ledger.carried(place, "its settings are the site's");
                self.settings(directive.children());
            }
            "location" | "locationmatch" => self.for_one_path(directive),
            "files" | "filesmatch" => self.files(directive),
            "limit" | "limitexcept" => self.limit(directive),
            "documentroot" | "include" | "includeoptional" | "define" | "undefine" => {}
            _ => self.other(directive),
        }
    }

    pub(super) fn other(&mut self, directive: &Directive) {
        if let Some((list, text)) = known::verdict(directive) {
            self.ledger.note(&directive.place, list, text);
        }
        for child in directive.children() {
            self.other(child);
        }
    }

    fn end(mut self) -> Draft {
        let runs = !self.extensions.is_empty() || self.pool.is_some();
        let may_run = runs || self.around.has_php_module || !self.around.knows_modules;
        let has_php = may_run && !self.engine_is_off;
        if !has_php {
            self.draft.extensions = Some(Vec::new());
        } else if !self.extensions.is_empty() {
            self.extensions
                .sort_by_key(|name| (name != "php", name.clone()));
            self.draft.extensions = Some(std::mem::take(&mut self.extensions));
        }
        if self.draft.index.is_none() {
            let debian: &[&str] = if self.around.knows_modules {
                &["index.html"]
            } else {
                &DEBIAN_INDEX
            };
            self.draft.index = Some(debian.iter().map(|name| (*name).to_owned()).collect());
        }
        // Most .htaccess files are there for a front controller, which Hostel has by itself.
        if has_php && self.draft.front.is_none() && !self.is_overridden {
            let origin = self.draft.origin.clone();
            self.draft.front = Some(From::new(String::new(), &origin));
        }
        self.draft
    }

    fn domain(&mut self, written: &str, place: &Place) {
        let name = written.split_once("://").map_or(written, |(_, name)| name);
        let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
        self.draft.add_domain(name, place, self.ledger);
    }

    fn index(&mut self, directive: &Directive) {
        let place = &directive.place;
        let is_none = directive
            .arg()
            .is_some_and(|arg| arg.eq_ignore_ascii_case("disabled"));
        let is_run = |name: &str| {
            [".cgi", ".pl", ".py", ".shtml", ".asp", ".jsp"]
                .iter()
                .any(|end| name.ends_with(end))
        };
        let is_name = |name: &str| {
            !name.contains('/') && !name.starts_with('.') && !name.is_empty() && name.len() <= 64
        };
        let args = directive.args.iter().filter(|_| !is_none);
        let (names, left_out): (Vec<&String>, Vec<&String>) =
            args.partition(|name| is_name(name) && !is_run(name));
        self.ledger.carried(place, "index");
        let odd: Vec<&str> = left_out
            .iter()
            .map(|name| name.as_str())
            .filter(|name| !is_run(name))
            .collect();
        if !odd.is_empty() || names.len() > 16 {
            self.ledger.not_supported(
                place,
                format!(
                    "'index' has names of files alone, at most 16; left out: {}",
                    odd.join(" ").escape_debug()
                ),
            );
        }
        self.draft.index = Some(names.into_iter().take(16).cloned().collect());
        self.draft.index_place = Some(place.clone());
    }

    /// Whichever module it is for, the user and the group.
    fn user(&mut self, directive: &Directive) {
        let place = &directive.place;
        let Some(user) = directive.arg().filter(|user| !user.is_empty()) else {
            self.ledger.not_supported(place, "names no user");
            return;
        };
        if let Some(group) = directive.args.get(1).filter(|group| *group != user) {
            self.ledger.not_supported(
                place,
                format!("user is set; a site has the primary group of its user alone: where files need the group {}, give them to the user's own", group.escape_debug()),
            );
        }
        match self.draft.user.take().filter(|known| known.place != *place) {
            Some(known) if known.value == user => {
                // The pool's line, if there is one, is what counts.
                self.ledger.not_needed(place, "another line says the same");
                self.draft.user = Some(known);
            }
            Some(known) if self.pool.is_some() => {
                let text = format!(
                    "PHP ran as {}, which is the site's one user",
                    known.value.escape_debug()
                );
                self.ledger.not_supported(place, text);
                self.draft.user = Some(known);
            }
            before => {
                if let Some(known) = before {
                    let text = format!(
                        "another line says {}, and that one counts: a site has one user",
                        user.escape_debug()
                    );
                    self.ledger.not_supported(&known.place, text);
                }
                self.draft.user = Some(From::new(user.to_owned(), place));
            }
        }
    }

    fn php(&mut self, directive: &Directive, kind: &str) {
        let place = &directive.place;
        let Some((name, value)) = directive.args.split_first() else {
            self.ledger.not_supported(place, "names no setting");
            return;
        };
        let value = value.join(" ");
        let value = if value.eq_ignore_ascii_case("none") {
            String::new()
        } else {
            value
        };
        if name == "engine" {
            self.engine_is_off = !php_fpm::directives::is_on(&value);
            self.ledger.carried(place, "script_extensions");
            return;
        }
        php_fpm::setting(name, value, kind, place, &mut self.draft, self.ledger);
    }

    fn fallback(&mut self, directive: &Directive) {
        let place = &directive.place;
        let target = directive.arg().unwrap_or_default();
        if target.eq_ignore_ascii_case("disabled") {
            self.draft.front = Some(From::new(String::new(), place));
            self.ledger.carried(place, "no front_controller");
        } else if let Some(script) = script::script(target) {
            self.draft.front = Some(From::new(script.path, place));
            self.ledger.carried(place, "front_controller");
        } else {
            self.ledger
                .not_supported(place, "only a script can answer for what is not there");
        }
    }

    fn rewrite(&mut self, directive: &Directive) {
        let conditions = std::mem::take(&mut self.conditions);
        let what = rewrite::judge(directive, &conditions);
        rewrite::note(directive, &conditions, &what, self.ledger);
        let Rule::Front(script) = what else { return };
        if let Some(difference) = script.difference() {
            self.ledger.not_supported(&directive.place, difference);
        }
        if !script.is_usable() {
            return;
        }
        self.draft.front = Some(From::new(script.path, &directive.place));
    }

    pub(super) fn allow_override(&mut self, directive: &Directive) {
        let place = &directive.place;
        let has = |word: &str| {
            directive
                .args
                .iter()
                .any(|arg| arg.to_ascii_lowercase().starts_with(word))
        };
        if has("none") || directive.args.is_empty() {
            self.is_overridden = false;
            self.ledger
                .not_needed(place, ".htaccess files are not read");
            return;
        }
        self.is_overridden |= has("all") || has("fileinfo");
        self.ledger.not_supported(
            place,
            ".htaccess files are not read: a front controller comes by itself, php_value goes into .user.ini; see what else is in them, above all what they close",
        );
    }

    fn body(&mut self, directive: &Directive) {
        let place = &directive.place;
        match directive.arg().and_then(|text| text.parse::<u64>().ok()) {
            Some(bytes) => {
                let bytes = if bytes == 0 {
                    BODY_MAX
                } else {
                    bytes.min(BODY_MAX)
                };
                self.draft.body_bytes = Some(From::new(bytes, place));
                self.ledger.carried(place, "body_bytes_max");
            }
            None => self
                .ledger
                .not_supported(place, "this is no number of bytes"),
        }
    }
}

/// A virtual host without a document root: one that redirects, or passes on.
fn without_root(host: &Directive, ledger: &mut Ledger) -> Outcome {
    let children = host.children();
    let names = children
        .iter()
        .filter(|one| one.is("ServerName") || one.is("ServerAlias"));
    let names: Vec<From<String>> = names
        .flat_map(|one| {
            one.args
                .iter()
                .map(|name| From::new(name.clone(), &one.place))
        })
        .collect();
    let mut url = None;
    for one in children {
        let target = match one.name.to_ascii_lowercase().as_str() {
            "redirect" | "redirectpermanent" | "redirectmatch" | "redirecttemp" => one.args.last(),
            "rewriterule" => one.args.get(1),
            _ => None,
        };
        if let Some(target) = target.filter(|target| target.contains("://")) {
            url.get_or_insert((target.clone(), one.place.clone()));
        }
    }
    let text = match url {
        Some(_) => "a virtual host that only redirects",
        None => "it has no document root; keep Apache for it",
    };
    ledger.not_supported(&host.place, text);
    note(children, url.is_none(), ledger);
    match url {
        Some((url, place)) => Outcome::Redirect(Redirect::to(&url, names, &place)),
        None => Outcome::Nothing,
    }
}

fn note(directives: &[Directive], with_names: bool, ledger: &mut Ledger) {
    for one in directives {
        let is_name = one.is("ServerName") || one.is("ServerAlias");
        match known::verdict(one) {
            Some((_, text)) if text == NO_SITE && (with_names || !is_name) => {
                ledger.not_supported(&one.place, "of a virtual host that is not carried over");
            }
            Some((list, text)) if text != NO_SITE => ledger.note(&one.place, list, text),
            None if one.is("RewriteCond") || one.is("RewriteRule") => {
                ledger.not_supported(&one.place, "of a virtual host that only redirects");
            }
            _ => {}
        }
        note(one.children(), with_names, ledger);
    }
}

/// Debian's mods-available/dir.conf, without what is CGI.
const DEBIAN_INDEX: [&str; 4] = ["index.html", "index.php", "index.xhtml", "index.htm"];
/// hostel-config's bound.
const BODY_MAX: u64 = 1 << 40;
