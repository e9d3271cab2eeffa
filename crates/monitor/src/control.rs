//! The control socket: an administrator's questions, one at a time, and the reports that answer them.
//!
//! Part of the monitor, as root. Only root can connect, by the socket's mode, and is asked for all the same: by the kernel's word
//! on who has connected. A question has two bytes and no descriptor. Nobody is waited for: who connects and does not ask is sent
//! away, and who does not take its report has lost it. The others wait in the kernel's queue.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use hostel_sys::cred::Uid;
use hostel_sys::{fdpass, memory_file};
use hostel_wire::admin::{Question, Report};
use rustix::net::{SocketFlags, accept_with, sockopt::socket_peercred};

/// The socket, and whoever is asking.
#[derive(Debug)]
pub(crate) struct Control {
    listener: OwnedFd,
    asker: Option<Asker>,
}

#[derive(Debug)]
struct Asker {
    socket: OwnedFd,
    /// Until when it must have asked.
    until: Instant,
    question: Option<Question>,
}

impl Control {
    /// Nobody asks yet.
    pub(crate) fn new(listener: OwnedFd) -> Self {
        Self {
            listener,
            asker: None,
        }
    }

    /// The same socket, and whoever has asked for what this program came of.
    pub(crate) fn resumed(listener: OwnedFd, asker: Option<OwnedFd>) -> Self {
        let until = Instant::now() + ASK_WITHIN;
        let asker = asker.map(|socket| Asker {
            socket,
            until,
            question: Some(Question::Upgrade { is_dry_run: false }),
        });
        Self { listener, asker }
    }

    /// What the next program needs.
    pub(crate) fn handed_on(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let asker = self.asker.as_ref().filter(|_| self.is_asked());
        [self.listener.as_fd()]
            .into_iter()
            .chain(asker.map(|asker| asker.socket.as_fd()))
    }

    /// Whether a question waits for its answer.
    pub(crate) fn is_asked(&self) -> bool {
        let asker = self.asker.as_ref();
        asker.is_some_and(|asker| asker.question.is_some())
    }

    /// What is to be polled: nothing while a question waits for its answer.
    pub(crate) fn polled(&self) -> Option<BorrowedFd<'_>> {
        match &self.asker {
            None => Some(self.listener.as_fd()),
            Some(asker) if asker.question.is_none() => Some(asker.socket.as_fd()),
            Some(_) => None,
        }
    }

    /// When who has connected is sent away.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let asker = self.asker.as_ref();
        let silent = asker.filter(|asker| asker.question.is_none());
        silent.map(|asker| asker.until)
    }

    /// Send away who has not asked in time.
    pub(crate) fn act(&mut self, now: Instant) {
        self.asker
            .take_if(|asker| asker.question.is_none() && asker.until <= now);
    }

    /// Let somebody in, or hear the question; `None` where there is none yet.
    pub(crate) fn hear(&mut self, now: Instant) -> Option<Question> {
        let Some(asker) = &mut self.asker else {
            self.asker = self.accept(now).ok().flatten();
            return None;
        };
        // One byte more than a question has, so that a longer one is seen to be one.
        let mut buffer = [0; Question::BYTES + 1];
        let received = match fdpass::receive(&asker.socket, &mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            received => received.ok(),
        };
        let received = received.filter(|received| received.descriptors.is_empty());
        let bytes = received.and_then(|received| buffer.get(..received.bytes));
        asker.question = bytes.and_then(|bytes| Question::decode(bytes).ok());
        if asker.question.is_none() {
            self.asker = None;
        }
        self.asker.as_ref()?.question
    }

    /// Answer the question. Who has left meanwhile gets nothing.
    pub(crate) fn answer(&mut self, report: &Report) {
        if let Some(asker) = self.asker.take()
            && let Ok(file) = memory_file::write(&report.encode())
        {
            let _ = fdpass::send(&asker.socket, &Report::MESSAGE, &[file.as_fd()]);
        }
    }

    fn accept(&self, now: Instant) -> io::Result<Option<Asker>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = accept_with(&self.listener, flags)?;
        let is_root = socket_peercred(&socket)?.uid.as_raw() == Uid::ROOT.0;
        Ok(is_root.then_some(Asker {
            socket,
            until: now + ASK_WITHIN,
            question: None,
        }))
    }
}

/// From the connection to the question.
const ASK_WITHIN: Duration = Duration::from_secs(2);
