//! What the monitor does when something of the host was put in the place of what views are made of: resolv.conf, the directory of
//! a database's sockets. A site that is awake is treated as one whose settings have changed: new keeper and old one live
//! side by side until the old one's requests are done. A site that sleeps finds what there is when it wakes.

use std::rc::Rc;
use std::time::Instant;

use super::Monitor;
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
        let (mut gone, mut configs) = (Vec::new(), Vec::new());
        for (id, site) in self.sites.listed() {
            let sandbox = site.sandbox.as_ref();
            if let Some(path) = sandbox.and_then(|sandbox| sandbox.launched.bound.outdated()) {
                let (name, path) = (&site.config.name, path.display());
                self.log.information(format_args!(
                    "site {name}: {path} was replaced; so is its keeper"
                ));
                gone.push(id);
                configs.push(Rc::clone(&site.config));
            }
        }
        if !gone.is_empty() {
            self.change_table(&gone, configs, &[], now);
        }
    }
}
