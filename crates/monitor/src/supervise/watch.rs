//! What the monitor does when something of the host was put in the place of what views are made of: resolv.conf, the directory of
//! a database's sockets. A site that is awake is treated as one whose settings have changed: new keeper and old one live
//! side by side until the old one's requests are done. A site that sleeps finds what there is when it wakes.

use std::rc::Rc;
use std::time::Instant;

use hostel_wire::front_monitor::SiteId;

use super::Monitor;
use super::reload::RELEASE_WITHIN;
use crate::requests::Phase;

impl Monitor {
    /// Watch what the view of a site that was just started is made of.
    pub(super) fn watch_view(&mut self, id: SiteId) {
        let sandbox = self.sites.of(id).and_then(|site| site.sandbox.as_ref());
        if let (Some(watch), Some(sandbox)) = (&mut self.watch, sandbox)
            && let Err(error) = watch.cover(&sandbox.launched.bound)
        {
            self.log.warning(format_args!(
                "cannot watch what the views of sites are made of: {error}"
            ));
        }
    }

    pub(super) fn take_changes(&mut self, now: Instant) {
        if let Some(Err(error)) = self.watch.as_mut().map(|watch| watch.take(now)) {
            self.watch = None;
            self.log.error(format_args!(
                "what the views of sites are made of is no longer watched: {error}"
            ));
        }
    }

    /// Compare what stands there with what awake sites have.
    pub(super) fn replace_outdated(&mut self, now: Instant) {
        if let Some(watch) = &mut self.watch {
            watch.compared();
        }
        let awake = self
            .sites
            .ids(|site| site.sandbox.is_some() && site.retired.is_none());
        let mut replaced = 0;
        for id in awake {
            // Its directories may be others by now.
            self.watch_view(id);
            let Some(site) = self.sites.of(id) else {
                continue;
            };
            let bound = site.sandbox.as_ref().map(|sandbox| &sandbox.launched.bound);
            let Some(path) = bound.and_then(|bound| bound.outdated()) else {
                continue;
            };
            if self.phase != Phase::Serving {
                return;
            }
            self.log.information(format_args!(
                "site {}: {} was replaced; so is its keeper",
                site.config.name,
                path.display()
            ));
            site.retired = Some(now + RELEASE_WITHIN);
            let config = Rc::clone(&site.config);
            self.sites.add(config, now);
            replaced += 1;
        }
        if replaced > 0 {
            self.tell_table();
        }
    }
}
