//! What the whole server shares: sites, logs, spill directory, the signal to end, connections, turns.
//!
//! Made once by `main`, handed around as `Rc<Front>` on the one thread of the front. It deliberately does nothing by itself.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::connections::Connections;
use crate::logs::Logs;
use crate::sites::{SWEEP, Sites};
use crate::spill::Spill;
use crate::turns::Turns;

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
    /// Whose turn it is.
    pub turns: Rc<Turns>,
}

impl Front {
    /// A front without sites.
    pub fn new(sites: Sites, logs: Rc<Logs>, spill: Rc<Spill>) -> Self {
        Self {
            turns: Rc::clone(&sites.services().turns),
            sites,
            logs,
            spill,
            drain: Drain::default(),
            connections: Rc::new(Connections::default()),
        }
    }

    /// See to deadlines and logs, a few times a second, and to who waits for a worker or for a turn, for ever.
    pub async fn sweep(self: Rc<Self>) {
        tokio::join!(self.turns.attend(), self.sites.attend(), self.tick());
    }

    async fn tick(&self) {
        let mut ticks = interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.sites.sweep();
            self.connections.look();
            self.logs.flush();
        }
    }
}

/// How near the end is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It is not.
    #[default]
    Serving,
    /// Another front takes new connections. Those that are open end with their next answer, so that no client loses a request
    /// that is on its way.
    HandedOver,
    /// Nobody will take connections: idle ones close, running requests go on.
    Ending,
}

/// The signal to finish: no new connection is taken.
#[derive(Default)]
pub struct Drain {
    stage: Cell<Stage>,
    notify: Notify,
}

impl Drain {
    /// Whether any signal was given.
    pub fn is_asked(&self) -> bool {
        self.stage.get() != Stage::Serving
    }

    /// Whether nobody takes connections any more.
    pub(crate) fn is_ending(&self) -> bool {
        self.stage.get() == Stage::Ending
    }

    /// Give the signal. It cannot be taken back.
    pub fn ask(&self, stage: Stage) {
        self.stage.set(self.stage.get().max(stage));
        self.notify.notify_waiters();
    }

    /// Wait for this signal or a later one; returns at once when it was given before.
    pub async fn wait(&self, stage: Stage) {
        while self.stage.get() < stage {
            let mut notified = pin!(self.notify.notified());
            poll_fn(|cx| match notified.as_mut().poll(cx) {
                Poll::Pending if self.stage.get() < stage => Poll::Pending,
                Poll::Pending | Poll::Ready(()) => Poll::Ready(()),
            })
            .await;
        }
    }
}
