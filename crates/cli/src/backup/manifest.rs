//! What a backup of a site is: some snapshots of one file each, and one more, written last, that lists them.
//!
//! Without its manifest a backup does not count, so one that was interrupted is never taken for whole. Tags say to which site and run a snapshot
//! belongs. Root writes tags and manifest; both are believed as far as the repository is, whose password root keeps.

use hostel_config::Site;
use serde_json::{Value, json};

use super::restic::Repository;
use crate::output;
use crate::site::report::Report;
use crate::site::trouble::Trouble;

/// One file that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its path in the snapshot, which begins with a slash.
    pub(crate) file: String,
    /// The snapshot that holds it.
    pub(crate) snapshot: String,
    /// `home`, or the database that it is a dump of as that is called.
    pub(crate) what: String,
    pub(crate) is_database: bool,
    /// How large it is.
    pub(crate) bytes: u64,
}

/// What the last snapshot of a backup says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) site: String,
    pub(crate) domains: Vec<String>,
    /// The name of its user then.
    pub(crate) user: String,
    pub(crate) home: String,
    /// The text of the site's file then.
    pub(crate) file: String,
    pub(crate) parts: Vec<Part>,
}

impl Manifest {
    pub(crate) fn new(site: &Site, file: &str, parts: Vec<Part>) -> Self {
        Self {
            site: site.name.clone(),
            domains: site.domains.clone(),
            user: site.user.name.clone(),
            home: site.home.clone(),
            file: file.to_owned(),
            parts,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        // Each is what a site's child has said.
        let bytes = self.parts.iter().map(|part| part.bytes);
        bytes.fold(0, u64::saturating_add)
    }

    /// The archive of its home.
    pub(crate) fn home_part(&self) -> Result<&Part, Trouble> {
        let part = self.parts.iter().find(|part| !part.is_database);
        part.ok_or_else(|| Trouble::new("the backup has no archive of the home"))
    }

    pub(crate) fn document(&self) -> Value {
        let part = |part: &Part| json!({ "file": part.file, "snapshot": part.snapshot, "what": part.what, "database": part.is_database, "bytes": part.bytes });
        json!({
            "format": FORMAT,
            "site": self.site,
            "domains": self.domains,
            "user": self.user,
            "home": self.home,
            "file": self.file,
            "parts": self.parts.iter().map(part).collect::<Vec<_>>(),
        })
    }

    pub(crate) fn from_document(document: &Value) -> Result<Self, Trouble> {
        let wrong = || {
            Trouble::new("the manifest of the backup is not as this version writes it").hint(
                "a newer hostel has made it, or it was not made by hostel; restic dump shows it",
            )
        };
        if document["format"] != FORMAT {
            return Err(wrong());
        }
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
        let list = |key: &str| document[key].as_array().ok_or_else(wrong);
        let part = |value: &Value| {
            Ok(Part {
                file: text(&value["file"])?,
                snapshot: text(&value["snapshot"])?,
                what: text(&value["what"])?,
                is_database: value["database"].as_bool().ok_or_else(wrong)?,
                bytes: value["bytes"].as_u64().ok_or_else(wrong)?,
            })
        };
        Ok(Self {
            site: text(&document["site"])?,
            domains: list("domains")?
                .iter()
                .map(text)
                .collect::<Result<_, _>>()?,
            user: text(&document["user"])?,
            home: text(&document["home"])?,
            file: text(&document["file"])?,
            parts: list("parts")?
                .iter()
                .map(part)
                .collect::<Result<_, Trouble>>()?,
        })
    }
}

/// A snapshot of a repository, as its tags tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) id: String,
    pub(crate) site: String,
    pub(crate) run: String,
    pub(crate) host: String,
    /// As restic writes it: RFC 3339 in UTC, which is sorted as text is.
    pub(crate) time: String,
    /// Of a manifest: of how many parts, and with how many bytes.
    pub(crate) manifest: Option<(usize, u64)>,
}

impl Snapshot {
    /// What is shown of the number, and may be typed.
    pub(crate) fn short_id(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }

    /// The time to the second.
    pub(crate) fn short_time(&self) -> String {
        let time = self.time.get(..19).unwrap_or(&self.time);
        output::escape(&time.replace('T', " "))
    }

    fn from_document(document: &Value) -> Option<Self> {
        let tags = document["tags"].as_array()?;
        let tag = |name: &str| {
            tags.iter().filter_map(Value::as_str).find_map(|tag| {
                let (key, value) = tag.split_once('=')?;
                (key == name).then(|| value.to_owned())
            })
        };
        let number = |name| tag(name)?.parse::<u64>().ok();
        let parts = number("parts").and_then(|parts| usize::try_from(parts).ok());
        Some(Self {
            id: document["id"].as_str()?.to_owned(),
            site: tag("site")?,
            run: tag("run")?,
            host: document["hostname"].as_str()?.to_owned(),
            time: document["time"].as_str()?.to_owned(),
            manifest: parts.map(|parts| (parts, number("bytes").unwrap_or(0))),
        })
    }
}

/// The tags of a part of a run of a site.
pub(crate) fn tags(site: &str, run: &str) -> String {
    format!("{TAG},site={site},run={run}")
}

/// Those of its manifest.
pub(crate) fn manifest_tags(run: &str, manifest: &Manifest) -> String {
    let (parts, bytes) = (manifest.parts.len(), manifest.bytes());
    format!("{},parts={parts},bytes={bytes}", tags(&manifest.site, run))
}

/// The name of a manifest in its snapshot.
pub(crate) fn manifest_file(site: &str) -> String {
    format!("{site}.hostel.json")
}

/// All snapshots that Hostel has made, the oldest first.
pub(crate) fn snapshots(
    repository: &Repository,
    report: &Report,
) -> Result<Vec<Snapshot>, Trouble> {
    let found = repository.ask_json(&["snapshots", "--json", "--tag", TAG], report)?;
    let found = found.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut snapshots: Vec<_> = found.iter().filter_map(Snapshot::from_document).collect();
    snapshots.sort_by(|a, b| a.time.cmp(&b.time));
    Ok(snapshots)
}

/// The backup of a site that is meant: the one with this number, or the last one of the host.
pub(crate) fn choose(
    snapshots: &[Snapshot],
    (host, site): (&str, &str),
    id: Option<&str>,
) -> Result<Snapshot, Trouble> {
    let of_site = snapshots
        .iter()
        .filter(|one| one.manifest.is_some() && one.site == site);
    let of_site: Vec<&Snapshot> = of_site.collect();
    let list = format!("hostel backup list {site}");
    if let Some(id) = id {
        let found: Vec<_> = of_site
            .iter()
            .filter(|one| one.id.starts_with(id))
            .collect();
        return match found[..] {
            [one] if id.len() >= ID_BYTES_MIN => Ok((*one).clone()),
            [] => Err(Trouble::new(format!(
                "there is no backup '{}' of '{site}'",
                output::escape(id)
            ))
            .hint(list)),
            _ => Err(Trouble::new(format!(
                "'{}' does not say which backup",
                output::escape(id)
            ))
            .hint(list)),
        };
    }
    if let Some(last) = of_site.iter().rev().find(|one| one.host == host) {
        return Ok((*last).clone());
    }
    let mut hosts: Vec<&str> = of_site.iter().map(|one| one.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let trouble = Trouble::new(format!("there is no backup of '{site}' of the host {host}"));
    Err(match hosts[..] {
        [] => trouble.hint("hostel backup list"),
        _ => trouble.hint(format!(
            "of other hosts there are some, with --host: {}",
            output::escape(&hosts.join(", "))
        )),
    })
}

/// On all snapshots of Hostel's.
const TAG: &str = "hostel";
const FORMAT: u64 = 1;
/// Fewer could be anything.
const ID_BYTES_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(id: &str, host: &str, time: &str, is_manifest: bool) -> Snapshot {
        Snapshot {
            id: id.into(),
            site: "blog".into(),
            run: "1".into(),
            host: host.into(),
            time: time.into(),
            manifest: is_manifest.then_some((1, 10)),
        }
    }

    #[test]
    fn a_manifest_survives_and_another_format_is_refused() {
        let part = |is_database| Part {
            file: "/blog.home.tar".into(),
            snapshot: "1234abcd".into(),
            what: "home".into(),
            is_database,
            bytes: 5,
        };
        let mut manifest = Manifest {
            site: "blog".into(),
            domains: vec!["blog.example".into()],
            user: "blog".into(),
            home: "/srv/blog".into(),
            file: "domains = []".into(),
            parts: vec![part(true), part(false)],
        };
        let mut document = manifest.document();
        assert_eq!(Manifest::from_document(&document).unwrap(), manifest);
        assert_eq!(manifest.bytes(), 10);
        document["format"] = json!(2);
        assert!(Manifest::from_document(&document).is_err());
        assert!(Manifest::from_document(&json!({ "format": 1 })).is_err());
        // What a site's child has said stops nobody.
        manifest.parts[0].bytes = u64::MAX;
        assert_eq!(manifest.bytes(), u64::MAX);
    }

    #[test]
    fn a_snapshot_is_known_by_its_tags() {
        let document = json!({
            "id": "80c209285ff0", "hostname": "h", "time": "2026-11-27T15:42:34.4Z", "paths": ["/x"],
            "tags": ["hostel", "site=blog", "run=1", "parts=2", "bytes=7"],
        });
        let snapshot = Snapshot::from_document(&document).unwrap();
        assert_eq!(snapshot.manifest, Some((2, 7)));
        assert_eq!(
            (snapshot.short_id(), snapshot.short_time().as_str()),
            ("80c20928", "2026-11-27 15:42:34")
        );
        let other = json!({ "id": "1", "hostname": "h", "time": "t", "tags": ["mine"] });
        assert_eq!(Snapshot::from_document(&other), None);
    }

    #[test]
    fn the_last_whole_backup_of_this_host_is_meant_unless_one_is_named() {
        let all = [
            snapshot("aaaa1", "h", "1", true),
            snapshot("bbbb2", "h", "2", true),
            snapshot("bbbb3", "h", "3", false),
            snapshot("cccc4", "other", "4", true),
        ];
        let id = |host, id| choose(&all, (host, "blog"), id).map(|one| one.id);
        assert_eq!(id("h", None).unwrap(), "bbbb2");
        assert_eq!(id("h", Some("aaaa")).unwrap(), "aaaa1");
        // A part is no backup.
        assert_eq!(id("h", Some("bbbb")).unwrap(), "bbbb2");
        assert!(id("h", Some("a")).is_err());
        assert!(id("h", Some("dddd")).is_err());
        assert!(
            id("new", None)
                .unwrap_err()
                .hint
                .unwrap()
                .contains("--host: h, other")
        );
    }
}
