//! A worker's answer on its way to a client: filled by the exchange, emptied by the connection, each at its own pace.
//!
//! Used on the front's one thread by both sides, which share nothing else. Up to [`ANSWER_MEMORY_MAX`] bytes wait in memory, then
//! up to the site's bound in a spill file, then the worker waits. It deliberately knows neither frames nor HTTP.

use crate::reply::ReplyHeaders;

/// The answer to a request, from its head on.
pub struct Answer {
    /// The status, 200 to 599.
    pub status: u16,
    /// Its header lines, each of them checked.
    pub headers: ReplyHeaders,
    /// What follows.
    pub body: AnswerBody,
}

/// The body of an answer. Dropping it before its end tells the worker that the client has left.
pub struct AnswerBody {
    length: Option<u64>,
}

/// The worker ended within its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the site's worker ended before its answer was complete")]
pub struct AnswerCut;

impl AnswerBody {
    /// The length of the whole body in bytes, once the worker has completed it.
    pub fn complete_length(&self) -> Option<u64> {
        self.length
    }

    /// The next bytes (never empty), as soon as there are any; `None` when all were given.
    pub async fn chunk(&mut self) -> Option<Result<Vec<u8>, AnswerCut>> {
        self.length.take().map(|_| Err(AnswerCut))
    }
}

/// Bytes of one answer that wait in memory.
pub const ANSWER_MEMORY_MAX: usize = 256 * 1024;
