//! The scheduler on the real clock of the real host: what [`crate::scheduler`] needs of the outside.
//!
//! Run by the front. It looks at the host a few times a second, and every few milliseconds at who waits, while somebody does: nobody else
//! would notice that a request waits for pages that take long. It decides nothing.

use std::cell::{RefCell, RefMut};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use hostel_wire::front_monitor::SiteId;
use tokio::sync::Notify;

use crate::pressure::Pressure;
use crate::scheduler::Scheduler;

/// The scheduler, and what it is fed by.
pub struct Dispatch {
    scheduler: RefCell<Scheduler>,
    pressure: Pressure,
    waits: Notify,
}

impl Dispatch {
    /// For this host.
    pub fn new(pressure: Pressure) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let dispatch = Self {
            scheduler: RefCell::new(Scheduler::new(cores, pressure.memory_bytes())),
            pressure,
            waits: Notify::new(),
        };
        dispatch.look(Instant::now());
        dispatch
    }

    /// The scheduler; not to be held across another call of this.
    pub(crate) fn scheduler(&self) -> RefMut<'_, Scheduler> {
        self.scheduler.borrow_mut()
    }

    /// A request has to wait for a worker.
    pub(crate) fn somebody_waits(&self) {
        self.waits.notify_one();
    }

    /// Look at the host, if it is time.
    pub(crate) fn look(&self, now: Instant) {
        let mut scheduler = self.scheduler.borrow_mut();
        if scheduler.is_due(now) {
            scheduler.beat(now, &self.pressure.sample());
        }
    }

    /// The sites in which somebody has waited for some milliseconds; returns once there may be one.
    pub(crate) async fn waiting(&self) -> Vec<SiteId> {
        if self.scheduler.borrow().queued() == 0 {
            self.waits.notified().await;
        }
        tokio::time::sleep(ATTENTION).await;
        self.look(Instant::now());
        self.scheduler.borrow().waiting()
    }
}

/// How often those who wait are looked at: a part of the longest wait that is thought nothing of.
const ATTENTION: Duration = Duration::from_millis(3);
