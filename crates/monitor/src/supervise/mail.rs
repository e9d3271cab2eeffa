//! The mail broker, an unprivileged program that takes sites' mail; and what the monitor does about it.
//!
//! It runs where the configuration says where mail goes. It is told and never heard: sites find its sockets in their views, and wait
//! for it a little where it is away.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use hostel_sys::fdpass::send;
use hostel_sys::spawn::{Child, Progress};
use hostel_sys::wait::wait;
use hostel_wire::monitor_mail::{MailPolicy, ToMail};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{MemfdFlags, memfd_create};

use super::{Fatal, Monitor};
use crate::requests::Phase;
use hostel_sys::back_off::BackOff;

/// The mail broker, running or not.
#[derive(Debug)]
pub(crate) struct Mail {
    broker: Option<Broker>,
    back_off: BackOff,
}

#[derive(Debug)]
struct Broker {
    child: Child,
    /// `None` once it is to end.
    socket: Option<OwnedFd>,
    begun: Instant,
}

impl Broker {
    /// One that does not take what it is told ends, and the next one is told anew.
    fn tell(&self, message: ToMail, file: impl AsFd) {
        if let Some(socket) = &self.socket
            && send(socket, &message.encode(), &[file.as_fd()]).is_err()
        {
            self.child.kill();
        }
    }

    fn tell_policy(&self, policy: &MailPolicy) -> io::Result<()> {
        let mut file = File::from(memfd_create("policy", MemfdFlags::CLOEXEC)?);
        file.write_all(&policy.encode())?;
        file.rewind()?;
        self.tell(ToMail::Apply, file);
        Ok(())
    }
}

impl Mail {
    /// Nothing runs.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            broker: None,
            back_off: BackOff::new(now),
        }
    }

    /// The process, to be polled: readable when it has ended.
    pub(super) fn polled(&self) -> Option<BorrowedFd<'_>> {
        Some(self.broker.as_ref()?.child.pidfd.as_fd())
    }
}

impl Monitor {
    /// When it is to be started.
    pub(super) fn next_mail_start(&self) -> Option<Instant> {
        let is_wanted = self.phase == Phase::Serving && self.server.mail.is_some();
        (is_wanted && self.mail.broker.is_none()).then_some(self.mail.back_off.not_before())
    }

    /// Start it where it is wanted.
    pub(super) fn mail_is_due(&mut self, now: Instant) {
        let Some(mail) = self.server.mail.as_ref() else {
            return;
        };
        if self.next_mail_start().is_none_or(|time| now < time) {
            return;
        }
        let launched = self.programs.mail(mail, &self.directories, &self.resources);
        match launched {
            Ok((child, socket)) => {
                self.mail.broker = Some(Broker {
                    child,
                    socket: Some(socket),
                    begun: now,
                });
                self.tell_mail_log();
                self.tell_mail_policy();
            }
            Err(error) => {
                let wait = self.mail.back_off.died(now, now);
                let what = format_args!("mail: the broker is not started, again in {wait:?}");
                self.log.failure(what, &error);
            }
        }
    }

    /// What holds, or that it is not wanted any more.
    pub(super) fn tell_mail_policy(&mut self) {
        let Some(broker) = &mut self.mail.broker else {
            return;
        };
        match self.server.mail_policy() {
            Some(policy) => {
                if let Err(error) = broker.tell_policy(&policy) {
                    let what = format_args!("mail: the broker is not told");
                    self.log.failure(what, &error);
                }
            }
            None => broker.socket = None,
        }
    }

    /// Open its log for it, at its start and after a rotation.
    pub(super) fn tell_mail_log(&self) {
        if let Some(broker) = &self.mail.broker {
            match self.directories.mail_log() {
                Ok(file) => broker.tell(ToMail::Log, file),
                Err(error) => {
                    let what = format_args!("mail: cannot open its log");
                    self.log.failure(what, &error);
                }
            }
        }
    }

    /// Its process is readable. What it has queued stays on the disk for the next one.
    pub(super) fn mail_ended(&mut self) -> Result<(), Fatal> {
        let Some(broker) = self.mail.broker.take() else {
            return Ok(());
        };
        let Some(ending) = broker.child.ended().map_err(Fatal::Wait)? else {
            self.mail.broker = Some(broker);
            return Ok(());
        };
        if broker.socket.is_none() {
            return Ok(());
        }
        let wait = self.mail.back_off.died(broker.begun, Instant::now());
        let why = match broker.child.progress() {
            Ok(Progress::Failed(step)) => step.to_string(),
            _ => ending.to_string(),
        };
        self.log.error(format_args!(
            "mail: the broker has ended ({why}); another one starts in {wait:?}"
        ));
        Ok(())
    }

    /// At the end, and before another program goes on: what it does at the moment is finished, for a bounded time. Two brokers must
    /// not deliver from one queue.
    pub(super) fn dismiss_mail(&mut self) {
        if let Some(broker) = self.mail.broker.take() {
            drop(broker.socket);
            let mut polled = [PollFd::new(&broker.child.pidfd, PollFlags::IN)];
            for limit in [DISMISSED_WITHIN, KILLED_WITHIN] {
                let _ = wait(&mut polled, Some(Instant::now() + limit));
                broker.child.kill();
            }
            let _ = broker.child.ended();
        }
    }
}

/// More than the broker takes to finish.
const DISMISSED_WITHIN: Duration = Duration::from_secs(5);
const KILLED_WITHIN: Duration = Duration::from_secs(1);
