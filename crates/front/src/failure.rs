//! Why a request got no answer of its site, and what the client is told instead.
//!
//! Run by the front. Each module on the way of a request has its own error; here each becomes a status, and it is decided whose
//! fault it is: the client's is not logged, the site's and the server's stand in the site's error log.

use crate::body::BodyError;
use crate::connection::{ClientLeft, SendError};
use crate::error_page::Refusal;
use crate::handoff::{AnswerCut, HandoffError};
use crate::lookup::SiteUnavailable;
use crate::normalize::PathError;
use crate::reply::BadLine;

/// Why a request got no answer of its site.
pub(crate) enum Failure {
    /// The client asked for something that it does not get.
    Refused(Refusal),
    /// The site or the server failed; the reason is logged.
    Failed(Refusal, String),
    /// Nobody is there to be answered.
    ClientLeft,
}

impl Failure {
    /// A page with this status and nothing else to say.
    pub(crate) fn refused(status: u16) -> Self {
        Self::Refused(status.into())
    }
}

impl From<AnswerCut> for Failure {
    fn from(cut: AnswerCut) -> Self {
        Self::Failed(502.into(), cut.to_string())
    }
}

impl From<BadLine> for Failure {
    fn from(error: BadLine) -> Self {
        Self::Failed(502.into(), error.to_string())
    }
}

impl From<PathError> for Failure {
    fn from(error: PathError) -> Self {
        Self::refused(error.status())
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        match error.status() {
            Some(503) => Self::Failed(RETRY, error.to_string()),
            Some(status @ 500..) => Self::Failed(status.into(), error.to_string()),
            Some(status) => Self::refused(status),
            None => Self::ClientLeft,
        }
    }
}

impl From<HandoffError> for Failure {
    fn from(error: HandoffError) -> Self {
        let refusal = match error {
            HandoffError::TooLarge => return Self::refused(431),
            HandoffError::QueueFull | HandoffError::QueueTimeout | HandoffError::SiteDown => RETRY,
            HandoffError::WorkerDied | HandoffError::Protocol => 502.into(),
            HandoffError::TimedOut => 504.into(),
            HandoffError::BodyLost => 500.into(),
        };
        Self::Failed(refusal, error.to_string())
    }
}

impl From<SiteUnavailable> for Failure {
    fn from(error: SiteUnavailable) -> Self {
        Self::Failed(RETRY, error.to_string())
    }
}

impl From<ClientLeft> for Failure {
    fn from(_: ClientLeft) -> Self {
        Self::ClientLeft
    }
}

impl From<SendError> for Failure {
    fn from(_: SendError) -> Self {
        Self::ClientLeft
    }
}

/// For a site that cannot answer now: most are back within seconds.
const RETRY: Refusal = Refusal {
    status: 503,
    line: b"Retry-After: 5\r\n",
    advice: None,
};

/// For every visitor of a site that its administrator has suspended.
pub(crate) const SUSPENDED: Refusal = Refusal {
    status: 503,
    line: b"Retry-After: 3600\r\n",
    advice: Some("This site is suspended. Its owner can ask the administrator why."),
};
