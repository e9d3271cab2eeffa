//! `hostel site list` and `show`. Changes nothing.

use std::path::Path;
use std::process::ExitCode;

use hostel_config::Site;
use serde_json::{Value, json};

use super::host::{FileState, Host, MayMiss};
use super::live;
use super::record::Records;
use super::trouble::Trouble;
use crate::output;

pub(super) fn list(config: &Path, as_json: bool) -> Result<ExitCode, Trouble> {
    let host = Host::load(config, MayMiss::Everybody)?;
    let document = live::status(config).ok().flatten().unwrap_or_default();
    let mut sites: Vec<Value> = host
        .server
        .sites
        .iter()
        .map(|site| describe(&host, site, FileState::Serving, &document))
        .collect();
    for (name, state) in host.stopped() {
        let text = hostel_config::read_text(&host.file(&name, state)).unwrap_or_default();
        sites.push(match host.alone(MayMiss::Everybody, &name, &text) {
            Ok(site) => describe(&host, &site, state, &document),
            Err(trouble) => json!({ "name": name, "state": state.word(), "error": trouble.what }),
        });
    }
    let known = |name: &String| sites.iter().any(|site| site["name"] == **name);
    let records = Records::look(&host.server);
    let begun: Vec<String> = records.names();
    let begun: Vec<String> = begun.into_iter().filter(|name| !known(name)).collect();
    if as_json {
        output::json(&json!({ "sites": sites, "interrupted": begun }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![COLUMNS.map(|(head, _)| head.to_owned()).to_vec()];
    rows.extend(
        sites
            .iter()
            .map(|site| COLUMNS.map(|(_, key)| text(site, key)).to_vec()),
    );
    output::table(&rows);
    for name in begun {
        let record = records.of(&name)?.unwrap_or_default();
        let next = match record.renaming {
            Some(new_name) => format!("'hostel site rename {name} {new_name}' completes it"),
            None if record.removing.is_some() => {
                format!("'hostel site remove {name}' completes it")
            }
            None => format!(
                "the same 'hostel site add' completes it, 'hostel site remove {name}' undoes it"
            ),
        };
        output::line(&format!("{name}: was begun and not finished: {next}"));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(config: &Path, name: &str, as_json: bool) -> Result<ExitCode, Trouble> {
    let host = Host::load(config, MayMiss::Everybody)?;
    let (state, text_of_file) = host.must_find(name)?;
    let table = host.table_of(MayMiss::Everybody, name, &text_of_file)?;
    let site = super::host::site_of(&table, name)?;
    let document = live::status(config).ok().flatten().unwrap_or_default();
    let mut shown = describe(&host, &site, state, &document);
    let record = Records::look(&host.server).of(name)?.unwrap_or_default();
    if let Some(shown) = shown.as_object_mut() {
        shown.insert(
            "file".to_owned(),
            host.file(name, state).display().to_string().into(),
        );
        shown.insert("made_user".to_owned(), record.user_made.is_some().into());
        shown.insert("made_home".to_owned(), record.home_made.is_some().into());
        shown.insert("copy_of".to_owned(), record.copy_of.into());
        let databases = table.databases_of(name).iter();
        let databases = databases.map(ToString::to_string);
        shown.insert("databases".to_owned(), databases.collect());
        let processes = live::processes_of(&document, name);
        let processes = processes.iter().map(|process| {
            json!({ "pid": process.pid, "uid": process.uid, "name": process.name, "resident_kib": process.resident_kib })
        });
        shown.insert("processes".to_owned(), processes.collect());
    }
    if as_json {
        output::json(&shown);
        return Ok(ExitCode::SUCCESS);
    }
    for (key, _) in shown.as_object().into_iter().flatten() {
        output::line(&format!("{key:<12} {}", text(&shown, key)));
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(host: &Host, site: &Site, state: FileState, document: &Value) -> Value {
    let in_server = live::site(document, &site.name);
    let state = match state {
        FileState::Serving if site.suspended => "suspended",
        state => state.word(),
    };
    let values = site.php_values.iter().map(|value| {
        let kind = if value.admin { "admin_value" } else { "value" };
        format!("{kind} {}={}", value.name, value.value)
    });
    json!({
        "name": site.name,
        "state": state,
        "domains": site.domains,
        "user": site.user.name,
        "uid": (!super::host::is_planned(site.user.uid)).then_some(site.user.uid.0),
        "home": site.home,
        "root": site.root,
        "logs": super::expect::logs(&host.server, &site.name).display().to_string(),
        "php": values.collect::<Vec<_>>(),
        "server": in_server.map_or("not loaded".into(), |site| site["state"].clone()),
        "requests": in_server.map(|site| site["requests"].clone()),
    })
}

/// A value as it may be shown.
fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => output::escape(text),
        Some(Value::Array(values)) if values.is_empty() => "-".to_owned(),
        Some(Value::Array(values)) => {
            let words = values.iter().map(|value| match value {
                Value::String(text) => output::escape(text),
                other => output::escape(&other.to_string()),
            });
            words.collect::<Vec<_>>().join(", ")
        }
        Some(value) => value.to_string(),
    }
}

const COLUMNS: [(&str, &str); 6] = [
    ("SITE", "name"),
    ("STATE", "state"),
    ("SERVER", "server"),
    ("USER", "user"),
    ("HOME", "home"),
    ("DOMAINS", "domains"),
];
