//! The configuration as a command of `hostel site` finds it, and as it would be after a change.
//!
//! Reads as the monitor does, by hostel_config. A site's file may have one of three names: NAME.toml is served; NAME.toml.disabled and
//! NAME.toml.removing are passed over by whoever reads a configuration.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hostel_config::{Server, Site, SystemUsers, UserLookUp};
use hostel_sys::cred::{Gid, LookUpError, Uid, User};

use super::record::sync_directory_of;
use super::trouble::Trouble;

/// Which users need not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MayMiss<'a> {
    Nobody,
    One(&'a str),
    Everybody,
}

/// What state a site's file is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileState {
    Serving,
    Disabled,
    Removing,
}

impl FileState {
    pub(crate) const ALL: [Self; 3] = [Self::Serving, Self::Disabled, Self::Removing];

    fn ending(self) -> &'static str {
        match self {
            Self::Serving => ".toml",
            Self::Disabled => ".toml.disabled",
            Self::Removing => ".toml.removing",
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Serving => "enabled",
            Self::Disabled => "disabled",
            Self::Removing => "being removed",
        }
    }
}

/// An instance's configuration.
pub(crate) struct Host {
    pub(crate) config: PathBuf,
    pub(crate) server: Server,
}

impl Host {
    pub(crate) fn load(config: &Path, may_miss: MayMiss<'_>) -> Result<Self, Trouble> {
        let server = load(config, may_miss, &BTreeMap::new())?;
        Ok(Self {
            config: config.to_owned(),
            server,
        })
    }

    /// What the configuration would be.
    pub(crate) fn changed(
        &self,
        may_miss: MayMiss<'_>,
        changes: &[(&str, Option<&str>)],
    ) -> Result<Server, Trouble> {
        let changes = changes
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.map(str::to_owned)));
        load(&self.config, may_miss, &changes.collect())
    }

    /// A site by its text alone, whatever others have taken meanwhile.
    pub(crate) fn alone(
        &self,
        may_miss: MayMiss<'_>,
        name: &str,
        text: &str,
    ) -> Result<Rc<Site>, Trouble> {
        site_of(&self.table_of(may_miss, name, text)?, name)
    }

    /// The table that has this site alone.
    pub(crate) fn table_of(
        &self,
        may_miss: MayMiss<'_>,
        name: &str,
        text: &str,
    ) -> Result<Server, Trouble> {
        let others = self.server.sites.iter();
        let mut changes: Vec<(&str, Option<&str>)> =
            others.map(|site| (site.name.as_str(), None)).collect();
        changes.retain(|(other, _)| *other != name);
        changes.push((name, Some(text)));
        self.changed(may_miss, &changes)
    }

    /// Where the file of a site stands.
    pub(crate) fn file(&self, name: &str, state: FileState) -> PathBuf {
        let file = format!("{name}{}", state.ending());
        self.server.sites_directory.join(file)
    }

    /// The file of a site, if it has one.
    pub(crate) fn find(&self, name: &str) -> Result<Option<(FileState, String)>, Trouble> {
        hostel_config::check_site_name(name).map_err(|error| config_error(&error))?;
        for state in FileState::ALL {
            let path = self.file(name, state);
            if path.symlink_metadata().is_ok() {
                let text = hostel_config::read_text(&path).map_err(|error| Trouble::of(&error))?;
                return Ok(Some((state, text)));
            }
        }
        Ok(None)
    }

    /// As [`find`](Self::find), for a site that must be there.
    pub(crate) fn must_find(&self, name: &str) -> Result<(FileState, String), Trouble> {
        self.find(name)?.ok_or_else(|| {
            Trouble::new(format!("there is no site '{name}'")).hint("hostel site list")
        })
    }

    /// The sites that are not served, by name.
    pub(crate) fn stopped(&self) -> Vec<(String, FileState)> {
        let entries = fs::read_dir(&self.server.sites_directory);
        let entries = entries.into_iter().flatten().flatten();
        let stopped = entries.filter_map(|entry| {
            let file = entry.file_name().into_string().ok()?;
            let state = [FileState::Disabled, FileState::Removing];
            state.into_iter().find_map(|state| {
                let name = file.strip_suffix(state.ending())?;
                hostel_config::check_site_name(name).ok()?;
                Some((name.to_owned(), state))
            })
        });
        let mut stopped: Vec<_> = stopped.collect();
        stopped.sort_by(|a, b| a.0.cmp(&b.0));
        stopped
    }

    /// Give a site's file the name of another state. It is never put in the place of another.
    pub(crate) fn move_file(
        &self,
        (name, state): (&str, FileState),
        (new_name, new_state): (&str, FileState),
    ) -> Result<(), Trouble> {
        let (from, to) = (self.file(name, state), self.file(new_name, new_state));
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        let moved = rustix::fs::renameat_with(rustix::fs::CWD, &from, rustix::fs::CWD, &to, flags)
            .map_err(std::io::Error::from)
            .and_then(|()| sync_directory_of(&to));
        moved.map_err(Trouble::at("rename", &from))
    }

    /// Directories that no home may be, hold or lie in.
    pub(crate) fn reserved(&self) -> [&Path; 4] {
        [
            &self.server.sites_directory,
            &self.server.state,
            &self.server.logs,
            &self.server.run,
        ]
    }
}

/// The site of this name in a table.
pub(crate) fn site_of(server: &Server, name: &str) -> Result<Rc<Site>, Trouble> {
    let site = server.sites.iter().find(|site| site.name == name);
    let site = site.map(Rc::clone);
    site.ok_or_else(|| Trouble::new(format!("there is no site '{name}' in the configuration")))
}

fn load(
    config: &Path,
    may_miss: MayMiss<'_>,
    changes: &BTreeMap<String, Option<String>>,
) -> Result<Server, Trouble> {
    let users = Planned {
        system: SystemUsers::read(),
        may_miss,
        planned: RefCell::default(),
    };
    hostel_config::load_changed(config, &users, changes).map_err(|errors| match &errors.0[..] {
        [error] => config_error(error),
        _ => Trouble::new(format!("the configuration has errors\n{errors}")),
    })
}

fn config_error(error: &hostel_config::Error) -> Trouble {
    Trouble::of_text(&error.to_string())
}

/// The system's users, and some that are to be made.
struct Planned<'a> {
    system: SystemUsers,
    may_miss: MayMiss<'a>,
    planned: RefCell<Vec<String>>,
}

impl UserLookUp for Planned<'_> {
    fn by_name(&self, name: &str) -> Result<Option<User>, LookUpError> {
        if let Some(user) = self.system.by_name(name)? {
            return Ok(Some(user));
        }
        let may_miss = match self.may_miss {
            MayMiss::Nobody => false,
            MayMiss::One(one) => one == name,
            MayMiss::Everybody => true,
        };
        if !may_miss {
            return Ok(None);
        }
        let mut planned = self.planned.borrow_mut();
        let place = planned.iter().position(|one| one == name);
        let place = place.unwrap_or_else(|| {
            planned.push(name.to_owned());
            planned.len() - 1
        });
        let number = PLANNED_FIRST.saturating_add(u32::try_from(place).unwrap_or(u32::MAX));
        Ok(Some(User {
            name: name.to_owned(),
            uid: Uid(number),
            gid: Gid(number),
            home: PathBuf::new(),
        }))
    }
}

/// Whether this number stands for a user that does not exist yet.
pub(crate) fn is_planned(uid: Uid) -> bool {
    uid.0 >= PLANNED_FIRST
}

/// Beyond what useradd, systemd and containers give.
const PLANNED_FIRST: u32 = 0xf000_0000;
