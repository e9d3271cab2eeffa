//! One worker's task: it owns the way to the worker and lives across requests.
//!
//! Run by the front for each worker, apart from the clients' connections. It sends a request and its body, and at the same time reads the
//! answer into an [`crate::answer`] at its own pace. It trusts no worker: whatever breaks the rules in [`crate::frames`] ends the
//! worker, and one that sends faster than is decent is read more slowly. No timer is made here: deadlines are the pool's.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use hostel_wire::front_worker::{End, to_worker};
use hostel_wire::limits;

use crate::answer::{Channel, Push, Verdict, read_at};
use crate::frames::{Broken, Event, Phase, Rules};
use crate::handoff::HandoffError;
use crate::link::{Came, Idle, Link};
use crate::logs::Level;
use crate::pool::Parted;
use crate::sites::Site;
use crate::worker::{Job, Stop, Worker};

mod source;

use source::Source;

/// Serve one worker until it ends, breaks the rules or is not needed any more.
pub(crate) async fn serve(site: Rc<Site>, worker: Rc<Worker>, stream: OwnedFd) {
    let parted = match Link::new(stream) {
        Ok(mut link) => serve_all(&site, &worker, &mut link).await,
        // It has gone already.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Parted::Peacefully,
        Err(error) => {
            site.say(format_args!("cannot share memory with a worker: {error}"));
            Parted::ToBeKilled
        }
    };
    site.pool.part(&site, &worker, parted);
}

async fn serve_all(site: &Rc<Site>, worker: &Rc<Worker>, link: &mut Link) -> Parted {
    let mut numbers = Numbers::default();
    let mut ahead = VecDeque::new();
    let mut next = site.pool.free(worker).map(Next::New);
    loop {
        let next_job = match next.take() {
            Some(next) => next,
            None => match poll_fn(|cx| link.poll_idle(worker, cx)).await {
                Idle::Job(job) => Next::New(*job),
                Idle::Over => return Parted::Peacefully,
                Idle::TooLong => return Parted::ToBeKilled,
                Idle::Broken(broken) => {
                    complain(site, worker, &broken);
                    return Parted::ToBeKilled;
                }
            },
        };
        if let Next::New(job) = &next_job
            && job.channel.has_left()
        {
            next = site.pool.free(worker).map(Next::New);
            continue;
        }
        let exchange = Exchange::new(site, worker, link, next_job, &mut numbers, &mut ahead);
        next = match exchange.run().await {
            After::Free => match ahead.pop_front() {
                Some(ahead) => {
                    site.pool.goes_on(worker, &ahead.job);
                    Some(Next::Ahead(ahead))
                }
                None => site.pool.free(worker).map(Next::New),
            },
            After::Parted(parted) => {
                give_back_ahead(site, worker, link, ahead);
                return parted;
            }
        };
    }
}

/// Numbers of requests, which a worker cannot guess: it has read a request before it says anything of it.
#[derive(Default)]
struct Numbers {
    key: RandomState,
    count: u64,
}

impl Numbers {
    fn next(&mut self) -> u32 {
        self.count += 1;
        let [a, b, c, d, ..] = self.key.hash_one(self.count).to_ne_bytes();
        // 0 is what stands in new memory.
        u32::from_ne_bytes([a, b, c, d]).max(1)
    }
}

/// The next request of a worker.
enum Next {
    /// To be sent.
    New(Job),
    /// Sent already, while one before it ran.
    Ahead(Ahead),
}

/// A request that was sent ahead, and its number.
struct Ahead {
    number: u32,
    job: Job,
}

/// Requests that were sent ahead to a worker which does not take them: another one can have them, unless this one has read of them.
fn give_back_ahead(site: &Site, worker: &Worker, link: &mut Link, ahead: VecDeque<Ahead>) {
    for Ahead { job, .. } in ahead.into_iter().rev() {
        if link.take_back() {
            site.pool.comes_back(worker, Some(job));
        } else {
            site.pool.comes_back(worker, None);
            job.channel.fail(HandoffError::WorkerDied, false);
        }
    }
}

fn complain(site: &Site, worker: &Worker, broken: &Broken) {
    let (id, pid) = (worker.id.0, worker.pid.get());
    site.say(format_args!(
        "worker {id} (process {pid}) is killed: {broken}"
    ));
    site.pool.crashed.add(1);
}

/// What follows an exchange.
enum After {
    Free,
    Parted(Parted),
}

/// One request and its answer.
struct Exchange<'s> {
    site: &'s Rc<Site>,
    worker: &'s Worker,
    link: &'s mut Link,
    /// Kept for the case that the worker is gone before it sees anything of it.
    payload: Vec<u8>,
    since: Instant,
    channel: Rc<Channel>,
    rules: Rules,
    body: Source,
    /// The next requests, as far as they were sent already.
    ahead: &'s mut VecDeque<Ahead>,
    numbers: &'s mut Numbers,
    is_aborted: bool,
    /// Reads and frames since the last pause.
    units: u32,
}

/// What the task has to do that it cannot do while it is polled.
enum Turn {
    /// Read more of the body back.
    Refill,
    /// Hold bytes that memory has no room for.
    Spill(Vec<u8>),
    End(End),
    Broken(Broken),
    /// The worker has closed its socket.
    Closed,
    Stopped(Stop),
}

impl<'s> Exchange<'s> {
    fn new(
        site: &'s Rc<Site>,
        worker: &'s Worker,
        link: &'s mut Link,
        next: Next,
        numbers: &'s mut Numbers,
        ahead: &'s mut VecDeque<Ahead>,
    ) -> Self {
        link.begin();
        let (number, job) = match next {
            Next::New(job) => {
                let number = numbers.next();
                link.push_frame(number, to_worker::REQUEST, &job.payload);
                (number, job)
            }
            Next::Ahead(Ahead { number, job }) => (number, job),
        };
        Self {
            site,
            worker,
            link,
            payload: job.payload,
            since: job.since,
            channel: job.channel,
            rules: Rules::new(number),
            body: Source::new(job.body),
            ahead,
            numbers,
            is_aborted: false,
            units: 0,
        }
    }

    async fn run(mut self) -> After {
        loop {
            match poll_fn(|cx| self.poll_turn(cx)).await {
                Turn::Refill => {
                    if let Err(error) = self.refill().await {
                        return self.lose_body(&error);
                    }
                }
                Turn::Spill(bytes) => {
                    if !self.spill(bytes).await {
                        return self.give_up(HandoffError::WorkerDied, Parted::ToBeKilled);
                    }
                }
                Turn::End(end) => return self.end(end),
                Turn::Broken(broken) => {
                    complain(self.site, self.worker, &broken);
                    return self.give_up(HandoffError::Protocol, Parted::ToBeKilled);
                }
                Turn::Stopped(Stop::TimedOut) => {
                    self.site.say(format_args!(
                        "worker {} (process {}) is killed: its request ran for more than {} ms",
                        self.worker.id.0,
                        self.worker.pid.get(),
                        self.site.entry.request_ms_max
                    ));
                    return self.give_up(HandoffError::TimedOut, Parted::ToBeKilled);
                }
                Turn::Closed | Turn::Stopped(Stop::Died | Stop::Unneeded)
                    if self.rules.phase == Phase::Begun && self.link.is_unread() =>
                {
                    return self.give_back();
                }
                Turn::Closed | Turn::Stopped(Stop::Died | Stop::Unneeded) => {
                    return self.give_up(HandoffError::WorkerDied, Parted::Peacefully);
                }
            }
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        self.worker.set_waker(cx.waker());
        self.channel.watch(cx.waker());
        let stopped = self.worker.stopped();
        if let Some(stop @ (Stop::TimedOut | Stop::Unneeded)) = stopped {
            return Poll::Ready(Turn::Stopped(stop));
        }
        self.notice_departure();
        let must_refill = match self.poll_send() {
            Ok(must_refill) => must_refill,
            Err(broken) => return Poll::Ready(Turn::Broken(broken)),
        };
        if let Poll::Ready(turn) = self.poll_answer(cx, stopped.is_some()) {
            return Poll::Ready(turn);
        }
        if let Err(broken) = self.look_ahead() {
            return Poll::Ready(Turn::Broken(broken));
        }
        if let Some(stop) = stopped {
            // All that a dead worker ever sent has been read by now; what comes yet is another process's.
            return Poll::Ready(Turn::Stopped(stop));
        }
        if must_refill {
            return Poll::Ready(Turn::Refill);
        }
        if self.link.can_send(self.body.held().len()) {
            // The bell that said so was heard by who reads the answer.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Send the next requests already, where they will not have to wait for long: the worker then need not sleep in between. What
    /// has waited here too long after all is taken back.
    fn look_ahead(&mut self) -> Result<(), Broken> {
        let is_done = self.rules.phase == Phase::Finished;
        if is_done || self.worker.is_recalled() {
            self.recall_ahead();
            return Ok(());
        }
        let is_spilled = matches!(self.body, Source::Spilled { .. });
        if is_spilled || !self.body.held().is_empty() || !self.link.is_sent() {
            return Ok(());
        }
        while let Some(job) = self.site.pool.next_ahead(self.worker) {
            let number = self.numbers.next();
            match self.link.send_ahead(number, &job.payload) {
                Ok(true) => self.ahead.push_back(Ahead { number, job }),
                Ok(false) => {
                    self.site.pool.comes_back(self.worker, Some(job));
                    return Ok(());
                }
                Err(broken) => {
                    self.site.pool.comes_back(self.worker, Some(job));
                    return Err(broken);
                }
            }
        }
        Ok(())
    }

    /// Have back what was sent ahead and the worker has not read.
    fn recall_ahead(&mut self) {
        let before = self.ahead.len();
        while !self.ahead.is_empty() && self.link.take_back() {
            let job = self.ahead.pop_back().map(|ahead| ahead.job);
            self.site.pool.comes_back(self.worker, job);
        }
        if self.ahead.len() < before {
            self.site.pump();
        }
    }

    /// Tell the worker once that the client has left an answer that was not complete.
    fn notice_departure(&mut self) {
        if self.is_aborted || !self.channel.has_left() || self.rules.phase == Phase::Finished {
            return;
        }
        self.is_aborted = true;
        self.cut_body();
        self.link.client_left(self.rules.request);
    }

    /// The worker gets no more of the body than was sent or is in the outbox.
    fn cut_body(&mut self) {
        if self.body.cut() {
            let request = self.rules.request;
            self.link.push_frame(request, to_worker::BODY_END, &[CUT]);
        }
    }

    /// Send what waits. Whether more of the body is to be read back.
    fn poll_send(&mut self) -> Result<bool, Broken> {
        let request = self.rules.request;
        loop {
            match self.link.poll_send() {
                Poll::Pending => return Ok(false),
                Poll::Ready(sent) => sent?,
            }
            let rest = self.body.held();
            if rest.is_empty() {
                return Ok(self.body.must_refill());
            }
            let count = self.link.send_body(request, rest)?;
            if count == 0 {
                return Ok(false);
            }
            if self.body.advance(count) {
                self.link
                    .push_frame(request, to_worker::BODY_END, &[COMPLETE]);
            }
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>, is_dead: bool) -> Poll<Turn> {
        let reads = if is_dead { DEAD_READS } else { TURN_READS };
        for _ in 0..reads {
            if let Some(turn) = self.take_frames(is_dead) {
                return Poll::Ready(turn);
            }
            if self.worker.is_paced() && !is_dead {
                self.link.mute();
                return Poll::Pending;
            }
            self.units += 1;
            match self.link.poll_read(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Came::Bytes)) => {}
                Poll::Ready(Ok(Came::Closed)) => return Poll::Ready(Turn::Closed),
                Poll::Ready(Err(broken)) => return Poll::Ready(Turn::Broken(broken)),
            }
        }
        if let Some(turn) = self.take_frames(is_dead) {
            return Poll::Ready(turn);
        }
        // Others have their turn first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Take apart what was read, as far as the worker's share until the next sweep reaches.
    fn take_frames(&mut self, is_dead: bool) -> Option<Turn> {
        loop {
            if self.units > SWEEP_UNITS {
                self.units = 0;
                self.worker.pace();
            }
            if self.worker.is_paced() && !is_dead {
                return None;
            }
            let (head, payload) = match self.link.inbox.frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return None,
                Err(malformed) => return Some(Turn::Broken(malformed.into())),
            };
            self.units += 1;
            match self.rules.check(head, payload) {
                Err(broken) => return Some(Turn::Broken(broken)),
                Ok(Event::Head(status, headers)) => {
                    self.site.answers();
                    self.channel.decide(Verdict::Head(status, headers));
                }
                Ok(Event::Body([])) => {}
                Ok(Event::Body(bytes)) => match self.channel.push(bytes) {
                    Push::Taken => {}
                    Push::Spill(bytes) => return Some(Turn::Spill(bytes)),
                },
                Ok(Event::Log(text)) => self.site.services.logs.site_error(self.site, text),
                Ok(Event::Finish) => self.channel.complete(),
                Ok(Event::Missing) => {}
                Ok(Event::End(end)) => return Some(Turn::End(end)),
            }
        }
    }

    async fn refill(&mut self) -> io::Result<()> {
        let request = self.rules.request;
        let Source::Spilled {
            file,
            offset,
            length,
            ..
        } = &mut self.body
        else {
            return Ok(());
        };
        let count = (*length - *offset).min(limits::FRAME_BYTES_MAX as u64);
        let bytes = read_at(&self.site.disk, Arc::clone(file), *offset, count).await?;
        *offset += count;
        let is_last = *offset == *length;
        self.link.push_frame(request, to_worker::BODY, &bytes);
        if is_last {
            self.link
                .push_frame(request, to_worker::BODY_END, &[COMPLETE]);
        }
        Ok(())
    }

    /// Hold bytes outside of memory. `false` when they are lost though somebody wants them.
    async fn spill(&mut self, bytes: Vec<u8>) -> bool {
        let worker = self.worker;
        let is_stopped = |waker: &std::task::Waker| {
            worker.set_waker(waker);
            worker.stopped().is_some()
        };
        let spill = &self.site.services.spill;
        let held = self.channel.push_slowly(bytes, spill, is_stopped).await;
        if let Some(error) = held.trouble {
            self.site.services.logs.server(
                Level::Warning,
                format_args!(
                    "site {}: no space for an answer in the spill directory ({error}); its worker waits for the client",
                    self.site.entry.name
                ),
            );
        }
        !held.is_lost
    }

    /// The worker says that it is done. What is left of the body is cut, and sent before the next request.
    fn end(mut self, end: End) -> After {
        self.cut_body();
        let pool = &self.site.pool;
        pool.answered(self.worker, end.memory_kib);
        let is_run = !matches!(self.rules.phase, Phase::Missing { .. });
        if is_run {
            pool.learn_means(self.site, self.worker, end);
        }
        match self.rules.phase {
            Phase::Missing { forbidden } => match self.body.back() {
                Some(body) => self.channel.decide(Verdict::Missing { forbidden, body }),
                None => self.channel.fail(HandoffError::BodyLost, false),
            },
            Phase::Headed | Phase::Begun | Phase::Finished => self.channel.complete(),
        }
        // What it says behind its answer belongs to the next request, if it has one.
        if !self.link.inbox.is_empty() && self.ahead.is_empty() {
            complain(self.site, self.worker, &Broken::Outside);
            return After::Parted(Parted::ToBeKilled);
        }
        if end.last {
            self.worker.is_expected_to_end.set(true);
            return After::Parted(Parted::Peacefully);
        }
        After::Free
    }

    /// The worker was gone before it saw anything of the request: another one can have it.
    fn give_back(self) -> After {
        match self.body.back() {
            Some(body) => self.worker.put_back(Job {
                payload: self.payload,
                body,
                channel: self.channel,
                since: self.since,
            }),
            None => self.channel.fail(HandoffError::BodyLost, false),
        }
        After::Parted(Parted::Peacefully)
    }

    fn give_up(self, error: HandoffError, parted: Parted) -> After {
        let has_head = matches!(self.rules.phase, Phase::Headed | Phase::Finished);
        self.channel.fail(error, has_head);
        After::Parted(parted)
    }

    fn lose_body(self, error: &io::Error) -> After {
        self.site.services.logs.server(
            Level::Error,
            format_args!(
                "site {}: the body of a request cannot be read back from its spill file: {error}",
                self.site.entry.name
            ),
        );
        self.give_up(HandoffError::BodyLost, Parted::ToBeKilled)
    }
}

/// The bytes of a `BODY_END` frame.
const COMPLETE: u8 = 1;
const CUT: u8 = 0;
/// Reads in one turn, each of up to one frame of the largest size.
const TURN_READS: usize = 4;
/// Reads that empty the socket of a dead worker: a multiple of what a socket holds.
const DEAD_READS: usize = 64;
/// Reads and frames between two sweeps; who does more waits for the next one. 20,000 a second.
const SWEEP_UNITS: u32 = 2000;
