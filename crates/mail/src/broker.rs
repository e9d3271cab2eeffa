//! What all parts of the broker share: what the monitor has said, the queue, the rates, the log.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_wire::monitor_mail::{MailPolicy, MailSite};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use crate::deliver::Pending;
use crate::log::Log;
use crate::queue::{Id, Queue};
use crate::rate::Bucket;
use crate::smtp::Server;

/// The broker.
pub(crate) struct Broker {
    pub(crate) queue: Queue,
    pub(crate) pending: Pending,
    pub(crate) log: Rc<Log>,
    /// The table of sites is another one.
    pub(crate) sites_changed: Notify,
    domain: RefCell<String>,
    sites: RefCell<HashMap<String, Rc<MailSite>>>,
    buckets: RefCell<HashMap<String, Bucket>>,
    server: RefCell<Option<Rc<Server>>>,
    last: Cell<u64>,
}

impl Broker {
    /// With what an earlier broker has left in the queue.
    pub(crate) fn new(queue: Queue, log: Rc<Log>) -> io::Result<Self> {
        let found = queue.load(|name, error| {
            log.say(
                None,
                format_args!("{name} in the queue cannot be read: {error}"),
            );
        })?;
        let pending = Pending::default();
        let last = found.last().map_or(0, |(id, _)| id.number());
        if !found.is_empty() {
            let count = found.len();
            log.say(None, format_args!("{count} messages are in the queue"));
        }
        for (id, envelope) in found {
            pending.add(id, envelope);
        }
        Ok(Self {
            queue,
            pending,
            log,
            sites_changed: Notify::new(),
            domain: RefCell::default(),
            sites: RefCell::default(),
            buckets: RefCell::default(),
            server: RefCell::default(),
            last: Cell::new(last),
        })
    }

    /// This holds from now on.
    pub(crate) fn apply(&self, policy: MailPolicy) {
        match Server::new(&policy.relay, &policy.domain) {
            Ok(server) => *self.server.borrow_mut() = Some(Rc::new(server)),
            // What is queued waits for a configuration that works.
            Err(error) => self.log.say(None, format_args!("{error}")),
        }
        *self.domain.borrow_mut() = policy.domain;
        let sites = policy.sites.into_iter();
        let sites: HashMap<_, _> = sites
            .map(|site| (site.name.clone(), Rc::new(site)))
            .collect();
        let mut buckets = self.buckets.borrow_mut();
        buckets.retain(|name, _| sites.contains_key(name));
        *self.sites.borrow_mut() = sites;
        self.sites_changed.notify_one();
        self.pending.retry();
    }

    /// The site of this name.
    pub(crate) fn site(&self, name: &str) -> Option<Rc<MailSite>> {
        self.sites.borrow().get(name).cloned()
    }

    /// The name of this host.
    pub(crate) fn domain(&self) -> String {
        self.domain.borrow().clone()
    }

    /// Where mail goes; `None` before anything was said of it.
    pub(crate) fn server(&self) -> Option<Rc<Server>> {
        self.server.borrow().clone()
    }

    /// A number for a message of this site.
    pub(crate) fn new_id(&self, site: &str) -> Id {
        let id = Id::new(site, self.last.get());
        self.last.set(id.number());
        id
    }

    /// Count recipients; or how long the site has to wait, `None` for ever.
    pub(crate) fn take(&self, site: &MailSite, count: usize) -> Result<(), Option<Duration>> {
        let now = Instant::now();
        let mut buckets = self.buckets.borrow_mut();
        let bucket = buckets
            .entry(site.name.clone())
            .or_insert_with(|| Bucket::full(site.burst, now));
        bucket.take(count, site.per_hour, site.burst, now)
    }

    /// They were not used.
    pub(crate) fn give_back(&self, site: &MailSite, count: usize) {
        if let Some(bucket) = self.buckets.borrow_mut().get_mut(&site.name) {
            bucket.give_back(count);
        }
    }

    /// Do something that may wait for the disk, while others go on.
    pub(crate) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        spawn_blocking(work).await.map_err(io::Error::other)?
    }
}
