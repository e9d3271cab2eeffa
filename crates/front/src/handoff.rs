//! From a request to a site's worker, and to the head of its answer.
//!
//! Run by the front for each request that a script answers, as a part of the client's connection: dropping it is how a client leaves.
//! The worker is owned elsewhere, by [`crate::exchange`], so that a client who leaves costs no worker.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Instant;

use hostel_wire::limits;

use crate::answer::Channel;
pub use crate::answer::{Answer, AnswerBody, AnswerCut};
use crate::sites::Site;
use crate::spill::Body;
use crate::worker::Job;

/// What became of a request.
pub enum Outcome {
    /// The script answers.
    Answer(Answer),
    /// The script is not there or may not be run; nothing was executed. The body is given back.
    Missing {
        /// Whether it is there but may not be run.
        forbidden: bool,
        /// The request's body.
        body: Body,
    },
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandoffError {
    /// 431: the request's head does not fit one frame.
    #[error("the request's head is too large for the site's worker")]
    TooLarge,
    /// 503 with Retry-After: as many requests wait for a worker of this site as may.
    #[error("the site's queue is full")]
    QueueFull,
    /// 503: the longest wait has passed.
    #[error("no worker of the site was free in time")]
    QueueTimeout,
    /// 503: the site's sandbox or its PHP cannot be started now.
    #[error("the site cannot be started")]
    SiteDown,
    /// 502: the worker died before it sent a head.
    #[error("the site's worker ended without an answer")]
    WorkerDied,
    /// 504: the longest run of a request has passed.
    #[error("the site's worker took too long")]
    TimedOut,
    /// 502: the worker sent something that is no answer, and was killed.
    #[error("the site's worker broke the protocol")]
    Protocol,
    /// 500: the body could not be read back from its spill file.
    #[error("the request's body could not be read back")]
    BodyLost,
}

/// Hand a request to a worker of the site, waking the site and waiting for a free worker within the site's bounds.
///
/// `request_payload` is an encoded `RequestHead` whose `body_bytes` is the length of `body`. Returns when the head of the answer
/// is there, or the whole answer. Dropping the future tells the worker that the client has left.
///
/// # Errors
/// See [`HandoffError`]; the reason is in the site's error log.
pub async fn run(
    site: &Rc<Site>,
    request_payload: Vec<u8>,
    body: Body,
) -> Result<Outcome, HandoffError> {
    if request_payload.len() > limits::FRAME_BYTES_MAX {
        return Err(HandoffError::TooLarge);
    }
    let channel = Channel::new(&site.budget);
    let job = Job {
        payload: request_payload,
        body,
        channel: Rc::clone(&channel),
        since: Instant::now(),
    };
    site.pool.submit(job)?;
    let waiting = Waiting {
        site,
        channel: Some(channel),
    };
    if site.pool.has_something_to_start() {
        site.pump();
    }
    waiting.outcome().await
}

/// A client that waits for the first word of its answer.
struct Waiting<'s> {
    site: &'s Rc<Site>,
    channel: Option<Rc<Channel>>,
}

impl Waiting<'_> {
    async fn outcome(mut self) -> Result<Outcome, HandoffError> {
        let Some(channel) = self.channel.clone() else {
            return Err(HandoffError::WorkerDied);
        };
        let outcome = poll_fn(|cx| channel.poll_verdict(cx)).await;
        // From here on the answer's body is what can be dropped.
        self.channel = None;
        outcome
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(channel) = self.channel.take() {
            self.site.pool.forget(&channel);
            channel.leave();
        }
    }
}
