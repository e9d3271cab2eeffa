//! `hostel site add`, `clone` and `apply`: a site gets what it must have.

use std::path::Path;
use std::rc::Rc;

use hostel_config::Server;
use hostel_config::database::Kind;
use serde_json::Value;

use super::apply::{Hands, Unpack};
use super::change::lock;
use super::database::copies;
use super::diff::{self, Step};
use super::expect::{Contents, Expected, default_home, is_default_home};
use super::file::{self, Settings};
use super::host::{Host, MayMiss, site_of};
use super::live;
use super::options::{Add, Clone, DatabaseKind, Place};
use super::report::Report;
use super::trouble::Trouble;
use crate::backup::manifest::Manifest;

pub(super) fn add(config: &Path, options: &Add, report: &mut Report) -> Result<(), Trouble> {
    let (host, user) = load(config, &options.name, &options.place)?;
    let home = home(&options.place)?;
    let kinds = options.databases.iter().map(|kind| match kind {
        DatabaseKind::Mysql => Kind::Mysql,
        DatabaseKind::Postgresql => Kind::Postgresql,
    });
    let databases = copies::new(&kinds.collect::<Vec<_>>(), (&options.name, &user));
    let settings = Settings {
        domains: &options.domains,
        databases: &databases
            .iter()
            .map(|one| &one.database)
            .collect::<Vec<_>>(),
        root: options.root.as_deref(),
        php_value: &options.php_value,
        php_admin_value: &options.php_admin_value,
        ..identity(&host, (&options.name, &user), &options.place, &home)
    };
    let text = file::new(&settings)?;
    let mut expected = expected(
        &host,
        (&options.name, &user),
        &options.place,
        text,
        Contents::Welcome,
    )?;
    expected.databases = databases;
    make(&host, &expected, None, report)?;
    for note in expected.databases.iter().filter_map(copies::told) {
        report.note(note);
    }
    Ok(())
}

pub(super) fn clone(config: &Path, options: &Clone, report: &mut Report) -> Result<(), Trouble> {
    let (host, user) = load(config, &options.name, &options.place)?;
    if options.from == options.name {
        return Err(Trouble::new("a site cannot be a copy of itself"));
    }
    let (_, text) = host.must_find(&options.from)?;
    let table = host.table_of(MayMiss::Nobody, &options.from, &text)?;
    let original = site_of(&table, &options.from)?;
    let home = home(&options.place)?;
    let copied = match options.no_databases {
        true => Vec::new(),
        false => copies::plan(
            table.databases_of(&original.name),
            (
                &original.home,
                home.as_deref().unwrap_or(&default_home(&options.name)),
            ),
            (&options.name, &user),
        )?,
    };
    let databases: Vec<_> = copied.iter().map(|one| &one.database).collect();
    let settings = Settings {
        domains: &options.domains,
        databases: &databases,
        ..identity(&host, (&options.name, &user), &options.place, &home)
    };
    let text = file::copy(&text, &original.home, &settings)?;
    let mut expected = expected(
        &host,
        (&options.name, &user),
        &options.place,
        text,
        Contents::CopyOf(options.from.clone()),
    )?;
    expected.databases.clone_from(&copied);
    make(&host, &expected, None, report)?;
    if copied.is_empty() {
        report.note(
            "no database was copied: what the copy's files say of a database, and of the original's domains and paths, still stands"
                .to_owned(),
        );
        return Ok(());
    }
    for note in copied.iter().filter_map(copies::told) {
        report.note(note);
    }
    report.note(
        "what the copy's files say of the original's domains and paths still stands".to_owned(),
    );
    Ok(())
}

/// A site that is to be made out of a backup.
pub(crate) struct OfBackup<'a> {
    pub(crate) name: &'a str,
    pub(crate) place: &'a Place,
    /// Other domains than the backup's: it becomes another site beside the one that was kept.
    pub(crate) domains: Option<&'a [String]>,
    pub(crate) manifest: &'a Manifest,
    /// Whether that other site gets databases of its own.
    pub(crate) with_databases: bool,
    pub(crate) unpack: Unpack<'a>,
}

/// Make a site out of a backup: the same one on a host that does not have it, or another one for a trial.
pub(crate) fn of_backup(
    config: &Path,
    wanted: &OfBackup<'_>,
    report: &mut Report,
) -> Result<(), Trouble> {
    let (name, manifest) = (wanted.name, wanted.manifest);
    let mut place = wanted.place.clone();
    if wanted.domains.is_none() && place.user.is_none() && manifest.user != name {
        place.user = Some(manifest.user.clone());
    }
    let (host, user) = load(config, name, &place)?;
    let home = home(&place)?;
    let mut copied = Vec::new();
    let text = match wanted.domains {
        None => manifest.file.clone(),
        Some(domains) => {
            if wanted.with_databases {
                let table = host.table_of(MayMiss::Everybody, &manifest.site, &manifest.file)?;
                let default = default_home(name);
                let homes = (manifest.home.as_str(), home.as_deref().unwrap_or(&default));
                copied = copies::plan(table.databases_of(&manifest.site), homes, (name, &user))?;
            }
            let settings = Settings {
                domains,
                databases: &copied.iter().map(|one| &one.database).collect::<Vec<_>>(),
                ..identity(&host, (name, &user), &place, &home)
            };
            file::copy(&manifest.file, &manifest.home, &settings)?
        }
    };
    let contents = Contents::BackupOf(manifest.site.clone());
    let mut expected = expected(&host, (name, &user), &place, text, contents)?;
    expected.is_user_named = wanted.place.user.is_some();
    expected.databases.clone_from(&copied);
    make(&host, &expected, Some(wanted.unpack), report)?;
    for note in copied.iter().filter_map(copies::told) {
        report.note(note);
    }
    Ok(())
}

pub(super) fn apply(config: &Path, only: Option<&str>, report: &mut Report) -> Result<(), Trouble> {
    let host = Host::load(config, MayMiss::Everybody)?;
    if let Some(name) = only {
        site_of(&host.server, name)?;
    }
    let records = lock(&host, report)?;
    let mut failed = Vec::new();
    for site in &host.server.sites {
        if only.is_some_and(|only| only != site.name) {
            continue;
        }
        report.about(Some(&site.name));
        let expected = Expected::of_site(site);
        let mut hands = Hands {
            host: &host,
            records: &records,
            inside: None,
            report,
            unpack: None,
        };
        let done = hands.inspect(&expected).and_then(|found| {
            let steps = diff::to_have(&expected, &found)?;
            hands.have(&expected, &found, &steps)
        });
        if let Err(trouble) = done {
            failed.push(format!("{}: {}", site.name, trouble.what));
            report.note(format!("not done: {}", trouble.what));
        }
    }
    report.about(None);
    if failed.is_empty() {
        return load_into_server(&host, report);
    }
    Err(Trouble::new(failed.join("\n")))
}

/// Let a running server have the sites of the configuration, if it has others.
fn load_into_server(host: &Host, report: &mut Report) -> Result<(), Trouble> {
    let wanted = host.server.sites.iter();
    let mut wanted: Vec<_> = wanted
        .map(|site| {
            (
                site.name.clone(),
                site.user.name.clone(),
                site.domains.clone(),
            )
        })
        .collect();
    wanted.sort();
    let is_loaded = |document: &Value| in_server(document) == wanted;
    match live::status(&host.config)? {
        Some(document) if is_loaded(&document) => Ok(()),
        Some(_) if report.is_dry() => {
            report.step("let the running server read its configuration again".to_owned());
            Ok(())
        }
        Some(_) => {
            live::reload(host, report)?;
            report.step("let the running server read its configuration again".to_owned());
            Ok(())
        }
        None => Ok(()),
    }
}

fn in_server(document: &Value) -> Vec<(String, String, Vec<String>)> {
    let sites = document.get("sites").and_then(Value::as_array);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut sites: Vec<_> = sites
        .into_iter()
        .flatten()
        .map(|site| {
            let domains = site.get("domains").and_then(Value::as_array);
            let domains = domains.into_iter().flatten();
            (
                text(site.get("name")),
                text(site.get("user")),
                domains.map(|domain| text(Some(domain))).collect(),
            )
        })
        .collect();
    sites.sort();
    sites
}

/// Look, show the difference, make it so, load it, visit it.
fn make(
    host: &Host,
    expected: &Expected,
    unpack: Option<Unpack<'_>>,
    report: &mut Report,
) -> Result<(), Trouble> {
    let name = expected.site.name.as_str();
    let records = lock(host, report)?;
    let mut hands = Hands {
        host,
        records: &records,
        inside: None,
        report,
        unpack,
    };
    let mut found = hands.inspect(expected)?;
    let mut steps = diff::to_have(expected, &found)?;
    if found.content.is_none() && !hands.report.is_dry() {
        // What a home that was there holds is seen once a sandbox can be made, and before anything is written in it.
        steps.retain(Step::is_outside);
        hands.have(expected, &found, &steps)?;
        found = hands.inspect(expected)?;
        steps = diff::to_have(expected, &found)?;
    }
    hands.have(expected, &found, &steps)?;
    if hands.report.is_dry() {
        return Ok(());
    }
    let is_there = |document: &Value| live::site(document, name).is_some();
    let is_loaded = live::status(&host.config)?.as_ref().is_some_and(is_there);
    if !is_loaded && !live::reload(host, report)? {
        return Ok(());
    }
    let server = host.changed(MayMiss::Nobody, &[])?;
    live::visit(host, &*site_of(&server, name)?, report);
    Ok(())
}

/// The configuration in which the site's user may be missing, and the user's name.
fn load(config: &Path, name: &str, place: &Place) -> Result<(Host, String), Trouble> {
    hostel_config::check_site_name(name).map_err(|error| {
        let trouble = Trouble::new(error.message.clone());
        match &error.hint {
            Some(hint) => trouble.hint(hint.replacen("name the file with", "use", 1)),
            None => trouble,
        }
    })?;
    let user = place.user.clone().unwrap_or_else(|| name.to_owned());
    let host = Host::load(config, MayMiss::One(&user))?;
    Ok((host, user))
}

/// What a file says of whom its site runs as and where, of a site of this name and user.
fn identity<'o>(
    host: &Host,
    (name, user): (&str, &str),
    place: &'o Place,
    home: &'o Option<String>,
) -> Settings<'o> {
    Settings {
        user: place.user.as_deref().filter(|user| *user != name),
        share_user: is_shared(host, name, user, place),
        home: home.as_deref().filter(|home| !is_default_home(home, name)),
        ..Settings::default()
    }
}

/// Whether the user is another site's, named on purpose.
fn is_shared(host: &Host, name: &str, user: &str, place: &Place) -> bool {
    let mut sites = host.server.sites.iter();
    place.user.is_some() && sites.any(|site| site.user.name == user && site.name != name)
}

fn home(place: &Place) -> Result<Option<String>, Trouble> {
    let Some(home) = &place.home else {
        return Ok(None);
    };
    match home.to_str() {
        Some(home) => Ok(Some(home.to_owned())),
        None => Err(Trouble::new("the home's path is not UTF-8")),
    }
}

/// The site as it would be checked, in the configuration with it.
fn expected(
    host: &Host,
    (name, user): (&str, &str),
    place: &Place,
    text: String,
    contents: Contents,
) -> Result<Expected, Trouble> {
    let alone = host.alone(MayMiss::One(user), name, &text)?;
    for domain in &alone.domains {
        refuse_taken(&host.server, name, domain)?;
    }
    let server = host.changed(MayMiss::One(user), &[(name, Some(&text))])?;
    Ok(Expected {
        site: Rc::clone(&site_of(&server, name)?),
        file: Some(text),
        is_user_named: place.user.is_some(),
        shell: place.shell.clone(),
        contents,
        databases: Vec::new(),
    })
}

fn refuse_taken(server: &Server, name: &str, domain: &str) -> Result<(), Trouble> {
    let mut others = server.sites.iter().filter(|site| site.name != name);
    match others.find(|site| site.domains.iter().any(|one| one == domain)) {
        Some(owner) => Err(Trouble::new(format!(
            "the domain '{domain}' belongs to the site '{}'",
            owner.name
        ))
        .hint(format!(
            "hostel site edit {} --remove-domain {domain}",
            owner.name
        ))),
        None => Ok(()),
    }
}
