//! What the monitor does when something of the host was put in the place of what views are made of: resolv.conf, the directory of
//! a database's sockets. A site that is awake is treated as one whose settings have changed: new keeper and old one live
//! side by side until the old one's requests are done. A site that sleeps finds what there is when it wakes.

use std::rc::Rc;
use std::time::Instant;

use super::Monitor;
use super::reload::RELEASE_WITHIN;
use crate::requests::Phase;

impl Monitor {
    pub(super) fn take_changes(&mut self, now: Instant) {
        match self.watch.as_mut().map(|watch| watch.take(now)) {
            Some(Ok(true)) if self.phase == Phase::Serving => self.replace_outdated(now),
            Some(Ok(_)) | None => {}
            Some(Err(error)) => {
                self.watch = None;
                let text = "what the views of sites are made of is no longer watched";
                self.log.error(format_args!("{text}: {error}"));
            }
        }
    }

    /// Compare what stands there with what awake sites have.
    fn replace_outdated(&mut self, now: Instant) {
        let mut added = Vec::new();
        for site in self.sites.iter_mut().filter(|site| site.retired.is_none()) {
            let sandbox = site.sandbox.as_ref();
            if let Some(path) = sandbox.and_then(|sandbox| sandbox.launched.bound.outdated()) {
                let (name, path) = (&site.config.name, path.display());
                self.log.information(format_args!(
                    "site {name}: {path} was replaced; so is its keeper"
                ));
                site.retired = Some(now + RELEASE_WITHIN);
                added.push(Rc::clone(&site.config));
            }
        }
        if !added.is_empty() {
            for config in added {
                self.sites.add(config, now);
            }
            self.tell_table();
        }
    }
}
