//! What the whole server shares: sites, logs, spill directory, the signal to end, the count of connections.
//!
//! Made once by `main`, handed around as `Rc<Front>` on the one thread of the front. It deliberately does nothing by itself.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::logs::Logs;
use crate::sites::{Count, SWEEP, Sites};
use crate::spill::Spill;

/// Everything that the tasks of the front share.
pub struct Front {
    /// The table of sites.
    pub sites: Sites,
    /// The only writer of logs.
    pub logs: Rc<Logs>,
    /// Where unnamed temporary files come from.
    pub spill: Rc<Spill>,
    /// Whether the server is about to end.
    pub drain: Drain,
    /// Connections of clients.
    pub connections: Rc<Connections>,
}

impl Front {
    /// A front without sites.
    pub fn new(sites: Sites, logs: Rc<Logs>, spill: Rc<Spill>) -> Self {
        Self {
            sites,
            logs,
            spill,
            drain: Drain::default(),
            connections: Rc::new(Connections::default()),
        }
    }

    /// See to deadlines and logs, a few times a second, and to who waits for a worker, for ever.
    pub async fn sweep(self: Rc<Self>) {
        tokio::join!(self.sites.attend(), self.tick());
    }

    async fn tick(&self) {
        let mut ticks = interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.sites.sweep();
            self.logs.flush();
        }
    }
}

/// The signal to finish: no new connection is taken, idle ones close, running requests go on.
#[derive(Default)]
pub struct Drain {
    asked: Cell<bool>,
    notify: Notify,
}

impl Drain {
    /// Whether the signal was given.
    pub fn is_asked(&self) -> bool {
        self.asked.get()
    }

    /// Give the signal. It cannot be taken back.
    pub fn ask(&self) {
        self.asked.set(true);
        self.notify.notify_waiters();
    }

    /// Wait for the signal; returns at once when it was given before.
    pub async fn wait(&self) {
        let mut notified = pin!(self.notify.notified());
        poll_fn(|cx| match (self.asked.get(), notified.as_mut().poll(cx)) {
            (true, _) | (_, Poll::Ready(())) => Poll::Ready(()),
            (false, Poll::Pending) => Poll::Pending,
        })
        .await;
    }
}

/// The connections of clients, counted and bounded.
#[derive(Default)]
pub struct Connections {
    open: Cell<usize>,
    /// All that were ever accepted.
    pub accepted: Count,
    ended: Notify,
}

impl Connections {
    /// Count one more connection for as long as the answer lives; `None` when [`CONNECTIONS_MAX`] are open.
    pub fn enter(self: &Rc<Self>) -> Option<Connected> {
        if self.open.get() >= CONNECTIONS_MAX {
            return None;
        }
        self.open.set(self.open.get() + 1);
        self.accepted.add(1);
        Some(Connected(Rc::clone(self)))
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.get()
    }

    /// Wait until none is open.
    pub async fn all_ended(&self) {
        while self.open.get() > 0 {
            self.ended.notified().await;
        }
    }
}

/// One open connection; dropping it ends the count.
pub struct Connected(Rc<Connections>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        if self.0.open.get() == 0 {
            self.0.ended.notify_one();
        }
    }
}

/// Connections of clients that may be open at once: what the budget of 20,000 descriptors leaves besides workers, files kept
/// for sites, logs and spill files.
pub const CONNECTIONS_MAX: usize = 10_000;
