//! `hostel restore`: a site as a backup has it, in the place of what is there, or as another one.

use std::path::Path;

use hostel_config::database::Database;
use hostel_config::{Server, Site};

use super::manifest::{self, Manifest, Part, Snapshot};
use super::options::Restore;
use super::replace;
use super::restic::Repository;
use super::stream::{self, End};
use super::{host_name, open};
use crate::inside::Inside;
use crate::output;
use crate::site::add::{self, OfBackup};
use crate::site::host::{Host, MayMiss};
use crate::site::report::Report;
use crate::site::trouble::Trouble;

pub(super) fn restore(
    config: &Path,
    options: &Restore,
    report: &mut Report,
) -> Result<(), Trouble> {
    let host = Host::load(config, MayMiss::Everybody)?;
    hostel_config::check_site_name(&options.site).map_err(|error| Trouble::new(error.message))?;
    let repository = open(&host, &options.place)?;
    let all = manifest::snapshots(&repository, report)?;
    let host_name = host_name(&options.place);
    let wanted = (host_name.as_str(), options.site.as_str());
    let snapshot = manifest::choose(&all, wanted, options.backup.as_deref())?;
    let manifest = read(&repository, &snapshot, report)?;
    report.value("backup", snapshot.id.clone());
    report.note(format!(
        "backup {} of {} of {} (UTC), made on {}",
        snapshot.short_id(),
        options.site,
        snapshot.short_time(),
        snapshot.host
    ));
    let source = Source {
        repository: &repository,
        manifest: &manifest,
        snapshot: &snapshot,
        with_databases: !options.no_databases,
    };
    let is_there = host.find(&options.site)?.is_some();
    match &options.new_name {
        None if is_there => replace::replace(&host, options, &source, report),
        None => make(config, &options.site, options, &source, report),
        Some(name) => make(config, name, options, &source, report),
    }
}

/// What is restored.
pub(super) struct Source<'a> {
    repository: &'a Repository,
    pub(super) manifest: &'a Manifest,
    pub(super) snapshot: &'a Snapshot,
    with_databases: bool,
}

impl Source<'_> {
    /// Unpack the home that was kept into that of a site, as its user.
    pub(super) fn unpack(
        &self,
        inside: &Inside,
        (server, site): (&Server, &Site),
        report: &mut Report,
    ) -> Result<(), Trouble> {
        let part = self.manifest.home_part()?;
        self.load(inside, (server, site), None, part, report)
    }

    /// The dumps that were kept and are wanted, in the order of the site's file then.
    fn all_dumps(&self) -> impl Iterator<Item = &Part> {
        let parts = self.manifest.parts.iter();
        parts.filter(|part| part.is_database && self.with_databases)
    }

    /// Each of them, with the number of its database in what the site's file says now.
    pub(super) fn dumps(
        &self,
        server: &Server,
        site: &str,
    ) -> Result<Vec<(usize, &Part)>, Trouble> {
        let databases: Vec<String> = server
            .databases_of(site)
            .iter()
            .map(Database::to_string)
            .collect();
        self.all_dumps()
            .map(|part| {
                let number = databases.iter().position(|one| *one == part.what);
                number.map(|number| (number, part)).ok_or_else(|| {
                    Trouble::new(format!(
                        "the backup holds the {}, which the site's file does not name now",
                        output::escape(&part.what)
                    ))
                    .hint(
                        "--with-settings puts the file of then back; --no-databases leaves databases alone",
                    )
                })
            })
            .collect()
    }

    /// Empty a database of a site and load a dump into it, as its user.
    pub(super) fn load_dump(
        &self,
        inside: &Inside,
        (server, site): (&Server, &Site),
        (number, part): (usize, &Part),
        report: &mut Report,
    ) -> Result<(), Trouble> {
        self.load(inside, (server, site), Some(number), part, report)
    }

    fn load(
        &self,
        inside: &Inside,
        (server, site): (&Server, &Site),
        database: Option<usize>,
        part: &Part,
        report: &mut Report,
    ) -> Result<(), Trouble> {
        let to = End {
            inside,
            server,
            site,
            database,
        };
        let passed = stream::load(&to, self.repository, part, report)?;
        if !passed.words.is_empty() {
            report.note(format!(
                "while its {} was unpacked: {}",
                part.what, passed.words
            ));
        }
        Ok(())
    }
}

/// A site that is not there.
fn make(
    config: &Path,
    name: &str,
    options: &Restore,
    source: &Source<'_>,
    report: &mut Report,
) -> Result<(), Trouble> {
    let wanted = OfBackup {
        name,
        place: &options.site_place,
        domains: options.new_name.as_ref().map(|_| &options.domains[..]),
        manifest: source.manifest,
        with_databases: !options.no_databases,
        unpack: &|inside, server, site, report| {
            source.unpack(inside, (server, site), report)?;
            let dumps = match &options.new_name {
                // Its databases are those of its own that were made for it, in the same order.
                Some(_) => source.all_dumps().enumerate().collect(),
                None => source.dumps(server, &site.name)?,
            };
            for dump in dumps {
                source.load_dump(inside, (server, site), dump, report)?;
            }
            Ok(())
        },
    };
    add::of_backup(config, &wanted, report)
}

/// The manifest of a backup, whose parts are then known.
fn read(
    repository: &Repository,
    snapshot: &Snapshot,
    report: &Report,
) -> Result<Manifest, Trouble> {
    let file = format!("/{}", manifest::manifest_file(&snapshot.site));
    let document = repository.ask_json(&["dump", &snapshot.id, &file], report)?;
    let manifest = Manifest::from_document(&document)?;
    if manifest.site == snapshot.site {
        return Ok(manifest);
    }
    Err(Trouble::new(format!(
        "the manifest of backup {} is that of another site",
        snapshot.short_id()
    )))
}
