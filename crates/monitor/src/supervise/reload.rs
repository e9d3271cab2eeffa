//! What the monitor does about a new configuration: all of it, or nothing.

use std::time::Instant;

use hostel_config::{Server, SystemUsers};

use super::Monitor;
use crate::log::say;
use crate::reload::{changes_all_sites, difference, needs_restart};
use crate::requests::Phase;

impl Monitor {
    /// Read the configuration again. With an error in it nothing changes, and every error is told.
    pub(super) fn reload(&mut self) {
        if self.phase != Phase::Serving {
            return;
        }
        let next = match self.loader.load(&self.path, &SystemUsers::read()) {
            Ok(next) => next,
            Err(errors) => {
                let count = errors.0.len();
                let text = format!(
                    "reload: nothing was changed, for the configuration has errors: {count}"
                );
                say(&format!("hostel: {text}\n{errors}"));
                self.log.error(format_args!("{text}"));
                for error in &errors.0 {
                    self.log.error(format_args!("reload: {error}"));
                }
                return;
            }
        };
        for key in needs_restart(&self.server, &next) {
            let text = format!("reload: '{key}' of hostel.toml has changed, which takes a restart");
            say(&format!("hostel: {text}"));
            self.log.warning(format_args!("{text}"));
        }
        self.change_sites(next, Instant::now());
    }

    fn change_sites(&mut self, next: Server, now: Instant) {
        let is_all_new = changes_all_sites(&self.server, &next);
        let running = self.sites.listed().map(|(id, site)| (id, &site.config));
        let (gone, new) = difference(running, &next, is_all_new);
        let (added, removed) = (new.len(), gone.len());
        self.log.information(format_args!(
            "reloaded: {added} sites are new or changed, {removed} are gone or changed"
        ));
        self.server.sites = next.sites;
        self.server.jobs = next.jobs;
        self.jobs.is_stale = true;
        self.server.sites_directory = next.sites_directory;
        self.server.php_ini_directory = next.php_ini_directory;
        self.change_table(&gone, new, now);
        self.change_rules(now);
    }
}
