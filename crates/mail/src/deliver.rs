//! What is queued, by site, and its way to the server.
//!
//! One message of each site at a time, the sites in turn, so that neither a full queue nor a slow recipient of one holds up the others.
//! Within a site the oldest goes first. A message that is deferred waits longer each time; when the server itself cannot be used, nothing is tried
//! until it may be back. After two days a message is given up, which the log says.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, sleep_until};

use crate::broker::Broker;
use crate::queue::{Envelope, Id};
use crate::smtp::{Outcome, Unusable};

/// All that is queued.
#[derive(Default)]
pub(crate) struct Pending {
    sites: RefCell<BTreeMap<String, Site>>,
    /// Sites that have something, in the order of their turns.
    turns: RefCell<VecDeque<String>>,
    /// Something may be tried.
    changed: Notify,
    /// Deliveries at the moment.
    running: Cell<usize>,
    /// When the server may be asked again, and how often it was asked in vain.
    server: Cell<Option<(Instant, u32)>>,
    is_ending: Cell<bool>,
}

#[derive(Default)]
struct Site {
    messages: BTreeMap<Id, Message>,
    bytes: u64,
    is_busy: bool,
}

struct Message {
    envelope: Envelope,
    attempts: u32,
    not_before: Instant,
}

impl Pending {
    /// A message has been put into the queue.
    pub(crate) fn add(&self, id: Id, envelope: Envelope) {
        let mut sites = self.sites.borrow_mut();
        let mut turns = self.turns.borrow_mut();
        if !turns.iter().any(|site| site == id.site()) {
            turns.push_back(id.site().to_owned());
        }
        let site = sites.entry(id.site().to_owned()).or_default();
        site.bytes += envelope.bytes;
        let message = Message {
            envelope,
            attempts: 0,
            not_before: Instant::now(),
        };
        site.messages.insert(id, message);
        self.changed.notify_one();
    }

    /// How many messages and bytes a site has queued.
    pub(crate) fn of(&self, site: &str) -> (usize, u64) {
        let sites = self.sites.borrow();
        sites
            .get(site)
            .map_or((0, 0), |site| (site.messages.len(), site.bytes))
    }

    /// How many messages there are.
    pub(crate) fn count(&self) -> usize {
        let sites = self.sites.borrow();
        sites.values().map(|site| site.messages.len()).sum()
    }

    /// Try what waits now: the configuration is another one.
    pub(crate) fn retry(&self) {
        self.server.set(None);
        self.changed.notify_one();
    }

    /// Begin nothing more, and wait until nothing runs.
    pub(crate) async fn end(&self) {
        self.is_ending.set(true);
        self.changed.notify_one();
        while self.running.get() > 0 {
            sleep(ENDING_PAUSE).await;
        }
    }

    /// The next message whose time has come, of the site whose turn it is; or when there may be one.
    fn next(&self, now: Instant) -> Result<(Id, Envelope), Option<Instant>> {
        if self.is_ending.get() || self.running.get() >= DELIVERIES_MAX {
            return Err(None);
        }
        if let Some((until, _)) = self.server.get()
            && (until > now || self.running.get() > 0)
        {
            // After a failure one message tries for all.
            return Err(Some(until).filter(|until| *until > now));
        }
        let (mut sites, mut turns) = (self.sites.borrow_mut(), self.turns.borrow_mut());
        let mut soonest: Option<Instant> = None;
        for _ in 0..turns.len() {
            let Some(name) = turns.pop_front() else { break };
            let Some(site) = sites
                .get_mut(&name)
                .filter(|site| !site.messages.is_empty())
            else {
                sites.remove(&name);
                continue;
            };
            turns.push_back(name);
            if site.is_busy {
                continue;
            }
            let due = site
                .messages
                .iter()
                .find(|(_, message)| message.not_before <= now);
            if let Some((id, message)) = due {
                site.is_busy = true;
                return Ok((id.clone(), message.envelope.clone()));
            }
            let first = site
                .messages
                .values()
                .map(|message| message.not_before)
                .min();
            soonest = soonest.into_iter().chain(first).min();
        }
        Err(soonest)
    }

    /// It was tried: what is left of it, if anything.
    fn tried(&self, id: &Id, left: Option<Envelope>, is_attempt: bool) {
        let mut sites = self.sites.borrow_mut();
        let Some(site) = sites.get_mut(id.site()) else {
            return;
        };
        site.is_busy = false;
        match (left, site.messages.get_mut(id)) {
            (Some(envelope), Some(message)) => {
                message.envelope = envelope;
                if is_attempt {
                    message.attempts = message.attempts.saturating_add(1);
                    message.not_before =
                        Instant::now() + wait(FIRST_WAIT, message.attempts, LONGEST_WAIT);
                }
            }
            _ => {
                let removed = site.messages.remove(id);
                site.bytes -= removed.map_or(0, |message| message.envelope.bytes);
            }
        }
    }
}

/// Deliver for as long as this process lives.
pub(crate) async fn run(broker: Rc<Broker>) {
    let memory = Rc::new(Semaphore::new(MEMORY_MIB_MAX));
    let pending = &broker.pending;
    loop {
        match pending.next(Instant::now()) {
            Ok((id, envelope)) => {
                pending.running.set(pending.running.get() + 1);
                let (broker, memory) = (Rc::clone(&broker), Rc::clone(&memory));
                spawn_local(async move {
                    deliver(&broker, &memory, &id, envelope).await;
                    broker.pending.running.set(broker.pending.running.get() - 1);
                    broker.pending.changed.notify_one();
                });
            }
            Err(Some(time)) => {
                tokio::select! {
                    () = sleep_until(time) => {}
                    () = pending.changed.notified() => {}
                }
            }
            Err(None) => pending.changed.notified().await,
        }
        if pending.is_ending.get() {
            return;
        }
    }
}

async fn deliver(broker: &Rc<Broker>, memory: &Semaphore, id: &Id, envelope: Envelope) {
    let mebibytes = u32::try_from(envelope.bytes >> 20).unwrap_or(u32::MAX);
    // Never closed, and no message is larger than all of it.
    let _permit = memory.acquire_many(mebibytes + 1).await;
    let (queue, name) = (broker.queue.clone(), id.clone());
    let text = broker.on_disk(move || queue.text(&name)).await;
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            broker.log.say(
                Some(id.site()),
                format_args!("{}: cannot be read: {error}", id.text()),
            );
            return broker.pending.tried(id, Some(envelope), true);
        }
    };
    let Some(server) = broker.server() else {
        return broker.pending.tried(id, Some(envelope), true);
    };
    match server.deliver(&envelope, &text).await {
        Ok(outcomes) => {
            broker.pending.server.set(None);
            settle(broker, id, envelope, outcomes).await;
        }
        Err(unusable) => {
            server_failed(broker, &unusable);
            if is_expired(id) {
                let outcome = Outcome::Deferred(unusable.to_string());
                let outcomes = vec![outcome; envelope.recipients.len()];
                settle(broker, id, envelope, outcomes).await;
            } else {
                broker.pending.tried(id, Some(envelope), false);
            }
        }
    }
}

/// The server is asked again later, and later each time; several messages that found out at the same time count once.
fn server_failed(broker: &Broker, unusable: &Unusable) {
    let (now, known) = (Instant::now(), broker.pending.server.get());
    if known.is_some_and(|(until, _)| until > now) {
        return;
    }
    let failures = known.map_or(0, |(_, failures)| failures) + 1;
    let wait = wait(FIRST_SERVER_WAIT, failures, LONGEST_SERVER_WAIT);
    broker.pending.server.set(Some((now + wait, failures)));
    let count = broker.pending.count();
    broker.log.say(
        None,
        format_args!(
            "the server cannot be used, again in {wait:?} ({count} messages wait): {unusable}"
        ),
    );
}

/// Say what became of each recipient, and keep those on the disk that are to be tried again.
async fn settle(broker: &Rc<Broker>, id: &Id, mut envelope: Envelope, outcomes: Vec<Outcome>) {
    let is_expired = is_expired(id);
    let all = std::mem::take(&mut envelope.recipients);
    let count = all.len();
    for (recipient, outcome) in all.into_iter().zip(outcomes) {
        let number = id.text();
        let say = |text: &str| {
            let line = format_args!("{number}: <{recipient}> {text}");
            broker.log.say(Some(id.site()), line);
        };
        match outcome {
            Outcome::Sent => say("sent"),
            Outcome::Failed(why) => say(&format!("failed: {why}")),
            Outcome::Deferred(why) if is_expired => say(&format!("failed after two days: {why}")),
            Outcome::Deferred(why) => {
                say(&format!("deferred: {why}"));
                envelope.recipients.push(recipient);
            }
        }
    }
    let (queue, name, left) = (broker.queue.clone(), id.clone(), envelope.clone());
    let written = broker.on_disk(move || {
        match left.recipients.len() {
            0 => queue.remove(&name),
            left_over if left_over < count => queue.update(&name, &left)?,
            _ => {}
        }
        Ok(())
    });
    if let Err(error) = written.await {
        // Then some get it twice after a restart, which is better than not at all.
        broker
            .log
            .say(Some(id.site()), format_args!("{}: {error}", id.text()));
    }
    let left = (!envelope.recipients.is_empty()).then_some(envelope);
    broker.pending.tried(id, left, true);
}

fn is_expired(id: &Id) -> bool {
    let age = SystemTime::now().duration_since(id.accepted());
    age.is_ok_and(|age| age > KEPT)
}

/// Twice as long each time.
fn wait(first: Duration, attempts: u32, longest: Duration) -> Duration {
    let factor = 2_u32.saturating_pow(attempts.saturating_sub(1));
    first.saturating_mul(factor).min(longest)
}

/// What a relay takes from one client without complaint.
const DELIVERIES_MAX: usize = 8;
/// Texts of messages in memory: two of the largest, or many usual ones.
const MEMORY_MIB_MAX: usize = 64;
/// Greylisting asks for some minutes; most other reasons are gone sooner.
const FIRST_WAIT: Duration = Duration::from_secs(15);
const LONGEST_WAIT: Duration = Duration::from_secs(1800);
const FIRST_SERVER_WAIT: Duration = Duration::from_secs(1);
const LONGEST_SERVER_WAIT: Duration = Duration::from_secs(30);
const ENDING_PAUSE: Duration = Duration::from_millis(20);
/// How long a message is tried.
const KEPT: Duration = Duration::from_secs(2 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            sender: String::new(),
            recipients: vec!["a@b.example".to_owned()],
            bytes: 10,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sites_take_turns_with_one_message_each() {
        let pending = Pending::default();
        let ids: Vec<_> = [("a", 1), ("a", 2), ("a", 3), ("b", 4)]
            .map(|(site, number)| Id::new(site, u64::MAX - 10 + number))
            .into();
        for id in &ids {
            pending.add(id.clone(), envelope());
        }
        let now = Instant::now();
        let next = || pending.next(now).ok().map(|(id, _)| id);
        assert_eq!(next(), Some(ids[0].clone()));
        assert_eq!(next(), Some(ids[3].clone()));
        assert_eq!(next(), None);
        pending.tried(&ids[0], None, true);
        assert_eq!(next(), Some(ids[1].clone()));
        assert_eq!(pending.of("a"), (2, 20));
        assert_eq!(pending.count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_deferred_lets_the_next_one_by_and_comes_back() {
        let pending = Pending::default();
        let ids = [1, 2].map(|number| Id::new("a", u64::MAX - 10 + number));
        for id in &ids {
            pending.add(id.clone(), envelope());
        }
        let taken = pending.next(Instant::now()).unwrap().0;
        pending.tried(&taken, Some(envelope()), true);
        assert_eq!(pending.next(Instant::now()).unwrap().0, ids[1]);
        pending.tried(&ids[1], None, true);
        let soonest = pending.next(Instant::now()).unwrap_err().unwrap();
        assert_eq!(soonest - Instant::now(), FIRST_WAIT);
        tokio::time::advance(FIRST_WAIT).await;
        assert_eq!(pending.next(Instant::now()).unwrap().0, ids[0]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_tried_while_the_server_is_away() {
        let pending = Pending::default();
        pending.add(Id::new("a", 0), envelope());
        let until = Instant::now() + Duration::from_secs(1);
        pending.server.set(Some((until, 1)));
        assert_eq!(pending.next(Instant::now()), Err(Some(until)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(pending.next(Instant::now()).is_ok());
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        let waits: Vec<_> = [1, 2, 3, 40]
            .map(|n| wait(FIRST_WAIT, n, LONGEST_WAIT).as_secs())
            .into();
        assert_eq!(waits, [15, 30, 60, 1800]);
    }
}
