//! Trying a site before it comes into the table: it is woken apart from its domains, PHP too, and the monitor hears whether that worked.
//!
//! Part of the front. It decides nothing: the monitor takes the site into the table or gives it up. A site that lies about itself
//! takes its own old sandbox's place, and nobody else's.

use hostel_wire::front_monitor::{SiteEntry, ToMonitor};

use super::{Site, Sites};

/// Whether the monitor waits to hear if the site starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Trial {
    #[default]
    None,
    /// It does, and nothing was done yet.
    Asked,
    /// A first worker was asked for.
    UnderWay,
}

impl Sites {
    /// Start sites that may come into the table, apart from their domains, and tell the monitor whether they do.
    pub fn try_out(&self, entries: Vec<SiteEntry>) {
        for entry in entries {
            let site = self.table.borrow_mut().place(entry, &self.services);
            site.trial.set(Trial::Asked);
            site.pump();
        }
    }
}

impl Site {
    /// PHP of the site has started, or something of it has failed: whichever comes first is told, where it was asked for.
    pub(crate) fn tried(&self, works: bool) {
        if self.trial.replace(Trial::None) != Trial::None {
            let id = self.entry.id;
            self.services.monitor.send(match works {
                true => ToMonitor::SiteWorks(id),
                false => ToMonitor::SiteFails(id),
            });
        }
    }
}
