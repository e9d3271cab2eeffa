//! The loop: rules from the monitor, answers from the resolver, the time of the next question.
//!
//! Part of `hostel-firewall`, as root, on one thread. It waits in poll, and for nft and the kernel, which work on its own table only. Whatever fails is told
//! to the monitor and tried again; rules that are in force stay until others are.

use std::fs;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hostel_firewall::in_force::{ApplyError, InForce, Network};
use hostel_firewall::names::{Names, Outcome};
use hostel_firewall::{Table, elements, nameservers};
use hostel_sys::causes::with_causes;
use hostel_sys::fdpass::{receive, send};
use hostel_sys::signal::Signals;
use hostel_sys::wait::wait;
use hostel_wire::codec::Malformed;
use hostel_wire::egress::Policy;
use hostel_wire::monitor_firewall::{FromFirewall, ToFirewall};
use rustix::event::{PollFd, PollFlags};

use crate::changes::Changes;
use crate::resolver::{Resolver, ResolverError};

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    #[error("cannot wait for events")]
    Poll(#[source] io::Error),
    #[error("cannot read signals")]
    Signals(#[source] io::Error),
    #[error("the monitor's socket failed")]
    Monitor(#[source] io::Error),
    #[error("the monitor has sent something that is not a message")]
    Malformed(#[from] Malformed),
    #[error("the monitor has sent no file with its message")]
    NoFile,
    #[error("cannot read the rules of the monitor")]
    Read(#[source] io::Error),
    #[error("cannot hear of changes of rules")]
    Changes(#[source] io::Error),
    #[error("cannot remove the table")]
    Remove(#[source] ApplyError),
}

/// The firewall at work.
pub(crate) struct Service {
    rules: InForce,
    /// Held as long as this process may change the table.
    _lock: OwnedFd,
    monitor: OwnedFd,
    signals: Signals,
    /// `None` where the kernel has no nf_tables.
    changes: Option<Changes>,
    /// When to look whether the table is still there.
    look_at: Option<Instant>,
    wanted: Option<Wanted>,
    names: Names,
    nameservers: Vec<IpAddr>,
    resolver: Option<Resolver>,
    /// When a resolver may be started.
    resolver_after: Instant,
    /// Whether sets differ from what is known, and since when a change waits for others that come with it.
    refill_at: Option<Instant>,
}

/// Something that poll has found.
#[derive(Debug, Clone, Copy)]
enum Event {
    Signal,
    Change,
    MonitorSpeaks,
    ResolverSpeaks,
}

/// What is to be in force.
struct Wanted {
    generation: u32,
    policy: Policy,
    is_in_force: bool,
    /// What failed last, which is said once.
    failure: String,
    /// When to try again, where something failed.
    retry: Option<Instant>,
}

impl Service {
    /// Nothing is in force yet.
    pub(crate) fn new(
        table: Table,
        lock: OwnedFd,
        monitor: OwnedFd,
        signals: Signals,
        changes: Option<Changes>,
    ) -> Self {
        Self {
            rules: InForce::new(table),
            _lock: lock,
            monitor,
            signals,
            changes,
            look_at: None,
            wanted: None,
            names: Names::default(),
            nameservers: Vec::new(),
            resolver: None,
            resolver_after: Instant::now(),
            refill_at: None,
        }
    }

    /// Until the monitor has ended; then the table is gone.
    pub(crate) fn run(mut self) -> Result<(), ServiceError> {
        // After an error the monitor starts another one, and the rules stay until it has replaced them.
        self.turns()?;
        self.rules.remove().map_err(ServiceError::Remove)
    }

    fn turns(&mut self) -> Result<(), ServiceError> {
        loop {
            self.act(Instant::now())?;
            for event in self.wait()? {
                match event {
                    // To a whole service or terminal: the monitor decides when this process ends.
                    Event::Signal => {
                        while self
                            .signals
                            .take()
                            .map_err(ServiceError::Signals)?
                            .is_some()
                        {}
                    }
                    Event::Change => self.changed()?,
                    Event::ResolverSpeaks => self.hear_resolver()?,
                    Event::MonitorSpeaks if self.hear_monitor()? => {}
                    Event::MonitorSpeaks => return Ok(()),
                }
            }
        }
    }

    fn wait(&self) -> Result<Vec<Event>, ServiceError> {
        let mut sources = vec![
            (Event::Signal, self.signals.as_fd()),
            (Event::MonitorSpeaks, self.monitor.as_fd()),
        ];
        sources.extend(
            self.changes
                .as_ref()
                .map(|changes| (Event::Change, changes.as_fd())),
        );
        let resolver = self.resolver.as_ref();
        sources.extend(resolver.map(|resolver| (Event::ResolverSpeaks, resolver.socket())));
        let polled = sources
            .iter()
            .map(|(_, file)| PollFd::from_borrowed_fd(*file, PollFlags::IN));
        let mut polled: Vec<PollFd<'_>> = polled.collect();
        wait(&mut polled, self.next_deadline()).map_err(ServiceError::Poll)?;
        let found = polled
            .iter()
            .zip(&sources)
            .filter(|(polled, _)| !polled.revents().is_empty());
        Ok(found.map(|(_, (event, _))| *event).collect())
    }

    fn changed(&mut self) -> Result<(), ServiceError> {
        if let Some(changes) = &self.changes {
            changes.clear().map_err(ServiceError::Changes)?;
        }
        // One change comes as many, and this process makes some itself.
        self.look_at.get_or_insert(Instant::now() + TOGETHER);
        Ok(())
    }

    fn next_deadline(&self) -> Option<Instant> {
        let retry = self.wanted.as_ref().and_then(|wanted| wanted.retry);
        let ask = self.names.next_deadline().map(|time| match self.resolver {
            Some(_) => time,
            None => time.max(self.resolver_after),
        });
        [retry, ask, self.refill_at, self.look_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Everything whose time has come.
    fn act(&mut self, now: Instant) -> Result<(), ServiceError> {
        let is_due = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        if is_due(self.look_at) {
            self.look_at = None;
            self.look(now)?;
        }
        if is_due(self.wanted.as_ref().and_then(|wanted| wanted.retry)) {
            self.apply(now)?;
        }
        if self.names.is_empty() {
            self.resolver = None;
        } else {
            self.ask(now)?;
        }
        if is_due(self.refill_at) {
            self.refill_at = None;
            let refilled = self.rules.refill(Network {
                nameservers: &self.nameservers,
                granted: &self.names.granted(now),
            });
            if let Err(error) = refilled {
                // The sets are filled with everything else then.
                self.warn(&error)?;
                self.rules.forget();
                if let Some(wanted) = &mut self.wanted {
                    wanted.retry = Some(now + RETRY);
                }
            }
        }
        Ok(())
    }

    /// Look whether the table is still there, and put it there again if not.
    fn look(&mut self, now: Instant) -> Result<(), ServiceError> {
        let is_in_force = self
            .wanted
            .as_ref()
            .is_some_and(|wanted| wanted.is_in_force);
        if is_in_force && matches!(self.rules.is_there(), Ok(false)) {
            self.rules.forget();
            self.apply(now)?;
            let is_back = |wanted: &Wanted| wanted.retry.is_none();
            self.tell(match self.wanted.as_ref().is_some_and(is_back) {
                true => "somebody has removed the rules; they are in force again".to_owned(),
                false => "somebody has removed the rules, and they are not back yet".to_owned(),
            })?;
        }
        Ok(())
    }

    /// Ask for the names that are due.
    fn ask(&mut self, now: Instant) -> Result<(), ServiceError> {
        if self.resolver.is_none() {
            if self.resolver_after > now {
                return Ok(());
            }
            match Resolver::start() {
                Ok(resolver) => self.resolver = Some(resolver),
                Err(error) => return self.give_resolver_up(&error),
            }
        }
        let questions = self.names.ask(now);
        if questions.is_empty() {
            return Ok(());
        }
        // Who asks may learn that the name servers are others now.
        let servers = nameservers();
        if servers != self.nameservers {
            self.nameservers = servers;
            self.refill_at = Some(now);
        }
        for question in questions {
            let asked = self
                .resolver
                .as_ref()
                .map(|resolver| resolver.ask(&question));
            if let Some(Err(error)) = asked {
                return self.give_resolver_up(&error);
            }
        }
        Ok(())
    }

    fn hear_resolver(&mut self) -> Result<(), ServiceError> {
        for _ in 0..ANSWERS_PER_TURN {
            let Some(resolver) = &self.resolver else {
                return Ok(());
            };
            let answer = match resolver.hear() {
                Ok(Some(answer)) => answer,
                Ok(None) => return Ok(()),
                Err(error) => return self.give_resolver_up(&error),
            };
            let now = Instant::now();
            match self.names.hear(answer, now) {
                Outcome::Nothing => {}
                Outcome::Changed { warnings } => {
                    self.refill_at.get_or_insert(now + TOGETHER);
                    for text in warnings {
                        self.tell(text)?;
                    }
                }
                Outcome::Failed { warning } => {
                    if let Some(text) = warning {
                        self.tell(text)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn give_resolver_up(&mut self, error: &ResolverError) -> Result<(), ServiceError> {
        let now = Instant::now();
        self.resolver = None;
        self.resolver_after = now + RETRY;
        self.names.resolver_ended(now);
        self.warn(error)
    }

    /// Take the monitor's message; `false` when there will be no more.
    fn hear_monitor(&mut self) -> Result<bool, ServiceError> {
        let mut buffer = [0; MESSAGE_BYTES];
        let received = match receive(&self.monitor, &mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(ServiceError::Monitor(error)),
        };
        let bytes = buffer.get(..received.bytes).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(false);
        }
        let ToFirewall::Apply { generation } = ToFirewall::decode(bytes)?;
        let file = received.descriptors.into_iter().next();
        let mut file = fs::File::from(file.ok_or(ServiceError::NoFile)?);
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(ServiceError::Read)?;
        let policy = Policy::decode(&text)?;
        let now = Instant::now();
        self.names.change(&policy, now);
        self.wanted = Some(Wanted {
            generation,
            policy,
            is_in_force: false,
            failure: String::new(),
            retry: None,
        });
        self.apply(now)?;
        Ok(true)
    }

    /// Put what is wanted in force, and say so or why not.
    fn apply(&mut self, now: Instant) -> Result<(), ServiceError> {
        self.nameservers = nameservers();
        let Some(wanted) = &mut self.wanted else {
            return Ok(());
        };
        let policy = &wanted.policy;
        let network = Network {
            nameservers: &self.nameservers,
            granted: &self.names.granted(now),
        };
        let elements = elements::of_policy(policy);
        match self.rules.apply(&policy.own, elements, network) {
            Ok(()) => {
                wanted.is_in_force = true;
                wanted.failure.clear();
                wanted.retry = None;
                self.refill_at = None;
                self.tell(String::new())
            }
            Err(error) => {
                wanted.retry = Some(now + RETRY);
                let failure = with_causes(&error);
                if wanted.failure == failure {
                    return Ok(());
                }
                wanted.failure.clone_from(&failure);
                self.tell(failure)
            }
        }
    }

    fn warn(&self, error: &dyn std::error::Error) -> Result<(), ServiceError> {
        self.tell(with_causes(error))
    }

    /// How it stands with what is wanted, and what else there is to say.
    fn tell(&self, text: String) -> Result<(), ServiceError> {
        let Some(wanted) = &self.wanted else {
            return Ok(()); // nobody has asked for anything yet
        };
        let message = FromFirewall {
            generation: wanted.generation,
            is_in_force: wanted.is_in_force,
            text,
        };
        match send(self.monitor.as_fd(), &message.encode(), &[]) {
            Ok(()) => Ok(()),
            // It has ended, which the next turn finds.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(ServiceError::Monitor(error)),
        }
    }
}

fn nameservers() -> Vec<IpAddr> {
    // Without the file the C library asks this host, as with an empty one.
    nameservers::of(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
}

/// After something failed.
const RETRY: Duration = Duration::from_secs(15);
/// Answers that come within this are put in force at once.
const TOGETHER: Duration = Duration::from_millis(100);
/// Parts of answers in one turn.
const ANSWERS_PER_TURN: usize = 256;
/// More than any message has.
const MESSAGE_BYTES: usize = 64;
