//! Drafts become site files: merged, named, each with a user and a home.

use std::collections::{BTreeMap, BTreeSet};

use hostel_config::UserLookUp;
use hostel_wire::limits;

use super::draft::{Draft, From};
use super::homes::{self, Wish};
use super::ledger::Ledger;
use super::names;
use super::php_values::{self, Verdict};
use super::toml;

/// A site's file, as it is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SiteFile {
    /// The site's name; the file is NAME.toml.
    pub(crate) name: String,
    /// Its user.
    pub(crate) user: String,
    /// Whether there is no such user on this host yet.
    pub(crate) user_is_missing: bool,
    /// Its domains.
    pub(crate) domains: Vec<String>,
    /// Its home.
    pub(crate) home: String,
    /// The whole file.
    pub(crate) text: String,
}

/// Everything that was decided about a site.
struct Decided {
    draft: Draft,
    name: String,
    user: String,
    user_is_missing: bool,
    is_own_user: bool,
    user_home: Option<String>,
}

/// The files for these drafts, by name.
pub(crate) fn finish(
    drafts: Vec<Draft>,
    users: &dyn UserLookUp,
    ledger: &mut Ledger,
) -> Vec<SiteFile> {
    let merged = without_double_domains(merge(drafts, ledger), ledger);
    let decided = decide(merged, users, ledger);
    let wishes: Vec<Wish> = decided.iter().map(wish).collect();
    let homes = homes::homes(&wishes);
    let mut by_user = BTreeMap::<String, usize>::new();
    for site in &decided {
        *by_user.entry(site.user.clone()).or_default() += 1;
    }
    let mut files: Vec<SiteFile> = decided
        .into_iter()
        .zip(homes)
        .map(|(site, home)| {
            let shares = by_user.get(&site.user).is_some_and(|count| *count > 1);
            file(&site, home, shares, ledger)
        })
        .collect();
    files.sort_by(|one, other| one.name.cmp(&other.name));
    files
}

/// Server blocks of one user and document root are one site: those for port 80 and for port 443, above all.
fn merge(drafts: Vec<Draft>, ledger: &mut Ledger) -> Vec<Draft> {
    let user = |draft: &Draft| draft.user.as_ref().map(|user| user.value.clone());
    let mut merged: Vec<Draft> = Vec::new();
    let mut by_root = BTreeMap::<String, Vec<usize>>::new();
    for draft in drafts {
        let Some(root) = draft.root.as_ref().map(|root| root.value.clone()) else {
            merged.push(draft);
            continue;
        };
        let numbers = by_root.entry(root).or_default();
        let own = user(&draft);
        let same = numbers.iter().copied().find(|number| {
            let known = user(&merged[*number]);
            known == own || known.is_none() || own.is_none()
        });
        match same {
            None => {
                numbers.push(merged.len());
                merged.push(draft);
            }
            // What one of them says of PHP is more than what the other does not say.
            Some(number) if merged[number].user.is_none() && own.is_some() => {
                let before = std::mem::replace(&mut merged[number], draft);
                merged[number].absorb(before, ledger);
            }
            Some(number) => merged[number].absorb(draft, ledger),
        }
    }
    merged
}

/// A domain leads to one site: to the first that has it, as in nginx and Apache.
fn without_double_domains(mut drafts: Vec<Draft>, ledger: &mut Ledger) -> Vec<Draft> {
    let mut taken = BTreeSet::new();
    for draft in &mut drafts {
        draft.domains.retain(|domain| {
            let is_new = taken.insert(domain.value.clone());
            if !is_new {
                let text = format!(
                    "the domain {} belongs to another site already, which is what visitors get",
                    domain.value
                );
                ledger.not_supported(&domain.place, text);
            }
            is_new
        });
        if draft.domains.len() > limits::DOMAINS_MAX {
            for domain in draft.domains.drain(limits::DOMAINS_MAX..) {
                let text = format!(
                    "a site has at most {} domains; this one is left out",
                    limits::DOMAINS_MAX
                );
                ledger.not_supported(&domain.place, text);
            }
        }
    }
    drafts
}

/// Names and users.
fn decide(drafts: Vec<Draft>, users: &dyn UserLookUp, ledger: &mut Ledger) -> Vec<Decided> {
    let given: Vec<Option<From<String>>> = drafts
        .iter()
        .map(|draft| usable(draft, users, ledger))
        .collect();
    let mut counts = BTreeMap::<&str, usize>::new();
    for user in given.iter().flatten() {
        *counts.entry(&user.value).or_default() += 1;
    }
    let mut taken_names = BTreeSet::new();
    let mut taken_users: BTreeSet<String> = given
        .iter()
        .flatten()
        .map(|user| user.value.clone())
        .collect();
    let mut decided = Vec::new();
    for (draft, user) in drafts.into_iter().zip(&given) {
        // A user with one site gives it the name, which is the default of 'user' and of 'home'.
        let of_user = user
            .as_ref()
            .filter(|user| counts.get(user.value.as_str()) == Some(&1));
        let of_domain = draft.domains.first().map(|domain| domain.value.clone());
        let wanted = of_user
            .map(|user| user.value.clone())
            .or(of_domain)
            .or_else(|| draft.name_hint.clone())
            .unwrap_or_else(|| "default".to_owned());
        let name = names::site(&wanted, &mut taken_names);
        let exists = |name: &str| !matches!(users.by_name(name), Ok(None));
        let own = || {
            names::user(&name, |free| {
                !exists(free) && taken_users.insert(free.to_owned())
            })
        };
        let user_name = user.as_ref().map_or_else(own, |user| user.value.clone());
        let found = users.by_name(&user_name).ok().flatten();
        decided.push(Decided {
            is_own_user: user.is_none(),
            user_is_missing: found.is_none(),
            user_home: found.and_then(|user| user.home.to_str().map(str::to_owned)),
            user: user_name,
            name,
            draft,
        });
    }
    decided
}

/// The user of a draft, if a site can run as it.
fn usable(draft: &Draft, users: &dyn UserLookUp, ledger: &mut Ledger) -> Option<From<String>> {
    let user = draft.user.clone()?;
    let name = user.value.as_str();
    let refused = if !names::is_user(name) {
        Some("is no name of a user")
    } else {
        match users.by_name(name) {
            Ok(Some(found)) if found.uid.0 == 0 => Some("is root"),
            Ok(Some(found))
                if found.uid.0 < ID_MIN || found.gid.0 < ID_MIN || found.uid.0 == NOBODY =>
            {
                Some("is one of the system's users")
            }
            Ok(None) if SYSTEM_USERS.contains(&name) => Some("is one of the system's users"),
            _ => None,
        }
    };
    let Some(why) = refused else {
        ledger.carried(&user.place, "user");
        return Some(user);
    };
    let shown = name.escape_debug();
    ledger.not_supported(
        &user.place,
        format!("'{shown}' {why}, and no site can run as it: the site gets a user of its own; create it and give it the site's files"),
    );
    None
}

fn wish(site: &Decided) -> Wish {
    let root = site.draft.root.as_ref().map(|root| root.value.clone());
    Wish {
        user: site.user.clone(),
        user_home: site.user_home.clone(),
        root: root.unwrap_or_else(|| format!("/srv/{}/public", site.name)),
        places: site.draft.places.clone(),
    }
}

fn file(site: &Decided, home: Option<String>, shares: bool, ledger: &mut Ledger) -> SiteFile {
    let draft = &site.draft;
    let default_home = format!("/srv/{}", site.name);
    let (home, root) = place(site, home, &default_home, ledger);
    let domains = domains(site, ledger);
    let mut text = format!(
        "# From {}, line {}, by `hostel import`.\n",
        toml::comment(&draft.origin.file),
        draft.origin.line
    );
    let mut line = |key: &str, value: &str| text.push_str(&format!("{key} = {value}\n"));
    line("domains", &toml::list(domains.iter().map(String::as_str)));
    line("user", &toml::string(&site.user));
    if shares {
        line("share_user", "true");
    }
    line("home", &toml::string(&home));
    line("root", &toml::string(&root));
    let has_php = draft
        .extensions
        .as_ref()
        .is_none_or(|list| !list.is_empty());
    if let Some(index) = draft
        .index
        .as_ref()
        .filter(|index| **index != DEFAULT_INDEX)
    {
        line("index", &toml::list(index.iter().map(String::as_str)));
    }
    if let Some(extensions) = draft.extensions.as_ref().filter(|list| **list != ["php"]) {
        line(
            "script_extensions",
            &toml::list(extensions.iter().map(String::as_str)),
        );
    }
    if let Some(front) = draft
        .front
        .as_ref()
        .filter(|front| has_php && front.value != DEFAULT_FRONT)
    {
        line("front_controller", &toml::string(&front.value));
    }
    if let Some(bytes) = &draft.body_bytes {
        line("body_bytes_max", &toml::size(bytes.value));
    }
    if let Some(seconds) = &draft.request_seconds {
        line("request_seconds_max", &seconds.value.to_string());
    }
    text.push_str(&php(draft, &home, shares, ledger));
    advise(site, &home, &root, ledger);
    SiteFile {
        name: site.name.clone(),
        user: site.user.clone(),
        user_is_missing: site.user_is_missing,
        domains,
        home,
        text,
    }
}

/// Home, and the document root relative to it.
fn place(
    site: &Decided,
    home: Option<String>,
    default_home: &str,
    ledger: &mut Ledger,
) -> (String, String) {
    let Some(root) = &site.draft.root else {
        ledger.advise(format!(
            "{}: where its files are is not known; put them into {default_home}/public, or name another 'home' and 'root'",
            site.name
        ));
        return (default_home.to_owned(), "public".to_owned());
    };
    let Some(home) = home else {
        ledger.not_supported(
            &root.place,
            format!("{} cannot be in a home of this site's own: it is the system's, or within another user's site; move or copy the files to {default_home}/public", root.value),
        );
        return (default_home.to_owned(), "public".to_owned());
    };
    ledger.carried(&root.place, "home and root");
    let below = root
        .value
        .strip_prefix(&home)
        .unwrap_or_default()
        .trim_matches('/');
    let below = if below.is_empty() { "." } else { below }.to_owned();
    (home, below)
}

fn domains(site: &Decided, ledger: &mut Ledger) -> Vec<String> {
    let names: Vec<String> = site
        .draft
        .domains
        .iter()
        .map(|domain| domain.value.clone())
        .collect();
    if !names.is_empty() {
        return names;
    }
    let name = format!("{}.invalid", site.name.replace('_', "-"));
    let text = format!("no domain is known: put the names that visitors use in place of {name}");
    if let Some(place) = &site.draft.catch_all {
        ledger.not_supported(
            place,
            format!("{text}; no site answers for all other names"),
        );
    } else {
        ledger.advise(format!("{}: {text}", site.name));
    }
    vec![name]
}

fn php(draft: &Draft, home: &str, shares: bool, ledger: &mut Ledger) -> String {
    let has_php = draft
        .extensions
        .as_ref()
        .is_none_or(|list| !list.is_empty());
    let (mut values, mut admin_values) = (String::new(), String::new());
    for (name, setting) in &draft.php {
        if !has_php {
            ledger.not_needed(&setting.place, "the site runs no PHP");
            continue;
        }
        match php_values::judge(name, setting, home, shares) {
            Verdict::Carried(value) => {
                let (table, lines) = if setting.is_admin {
                    ("php.admin_value", &mut admin_values)
                } else {
                    ("php.value", &mut values)
                };
                lines.push_str(&format!("{} = {value}\n", toml::string(name)));
                ledger.carried(&setting.place, format!("[{table}] {name}"));
            }
            Verdict::NotNeeded(why) => ledger.not_needed(&setting.place, why),
            Verdict::NotSupported(what) => ledger.not_supported(&setting.place, what),
        }
    }
    let mut text = String::new();
    for (table, lines) in [("php.value", values), ("php.admin_value", admin_values)] {
        if !lines.is_empty() {
            text.push_str(&format!("\n[{table}]\n{lines}"));
        }
    }
    text
}

fn advise(site: &Decided, home: &str, root: &str, ledger: &mut Ledger) {
    let (name, user) = (&site.name, &site.user);
    if site.user_is_missing {
        ledger.advise(format!(
            "{name}: create its user: useradd --system --user-group --no-create-home --home-dir {home} --shell /usr/sbin/nologin {user}"
        ));
    }
    if site.is_own_user && site.draft.root.is_some() {
        let directory = if root == "." {
            home.to_owned()
        } else {
            format!("{home}/{root}")
        };
        ledger.advise(format!(
            "{name}: it ran as a user that others had too; give its files to {user}, those in {directory} and what else it writes (hostel audit names what is left)"
        ));
    }
}

/// As in crates/config/src/defaults.rs.
const DEFAULT_INDEX: [&str; 3] = ["index.php", "index.html", "index.htm"];
const DEFAULT_FRONT: &str = "/index.php";
const ID_MIN: u32 = 100;
const NOBODY: u32 = 65_534;

/// Users that web servers run as, on hosts that this one need not be.
const SYSTEM_USERS: [&str; 11] = [
    "apache", "caddy", "daemon", "http", "httpd", "nginx", "nobody", "root", "www", "www-data",
    "wwwrun",
];
