//! The body of a request on its way to a worker.
//!
//! A part of the exchange. It does nothing by itself; it knows what was given to the ring and what is still to be.

use std::fs::File;
use std::sync::Arc;

use crate::spill::{Body, Claim};
use crate::supply::Taken;

/// Where the rest of the request's body comes from.
pub(super) enum Source {
    /// There is none.
    Nothing,
    /// From `offset` on it is still to be sent; kept whole for the case that the script is not there.
    Held {
        bytes: Vec<u8>,
        offset: usize,
        taken: Taken,
    },
    /// From `offset` on it is still to be read back.
    Spilled {
        file: Arc<File>,
        offset: u64,
        length: u64,
        claim: Claim,
    },
}

impl Source {
    /// All of it is still to be sent.
    pub(super) fn new(body: Body) -> Self {
        match body {
            Body::Empty => Self::Nothing,
            Body::Memory { bytes, taken } => Self::Held {
                bytes,
                offset: 0,
                taken,
            },
            Body::Spilled {
                file,
                length,
                claim,
            } => Self::Spilled {
                file: Arc::new(file),
                offset: 0,
                length,
                claim,
            },
        }
    }

    /// The whole body again.
    pub(super) fn back(self) -> Option<Body> {
        match self {
            Self::Nothing => Some(Body::Empty),
            Self::Held { bytes, taken, .. } => Some(Body::Memory { bytes, taken }),
            Self::Spilled {
                file,
                length,
                claim,
                ..
            } => {
                let file = Arc::into_inner(file)?;
                Some(Body::Spilled {
                    file,
                    length,
                    claim,
                })
            }
        }
    }

    /// What of it is in memory and still to be sent.
    pub(super) fn held(&self) -> &[u8] {
        match self {
            Self::Held { bytes, offset, .. } => bytes.get(*offset..).unwrap_or_default(),
            Self::Nothing | Self::Spilled { .. } => &[],
        }
    }

    /// So much of what is in memory was sent. Whether that was the end of it.
    pub(super) fn advance(&mut self, count: usize) -> bool {
        match self {
            Self::Held { bytes, offset, .. } => {
                *offset += count;
                *offset == bytes.len()
            }
            Self::Nothing | Self::Spilled { .. } => false,
        }
    }

    /// Whether more of it is to be read back.
    pub(super) fn must_refill(&self) -> bool {
        matches!(self, Self::Spilled { offset, length, .. } if offset < length)
    }

    /// Nothing more of it is sent. Whether that cuts it.
    pub(super) fn cut(&mut self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Held { bytes, offset, .. } => {
                std::mem::replace(offset, bytes.len()) < bytes.len()
            }
            Self::Spilled { offset, length, .. } => std::mem::replace(offset, *length) < *length,
        }
    }
}
