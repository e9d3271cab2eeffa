//! Taking in the body of a request, whole, before anybody works on it.
//!
//! Run by the front. It trusts no client: the body is bounded by the site's limit, each wait by the connection's patience. What
//! is over [`MEMORY_BYTES_MAX`] goes to an unnamed file, and so does nearly all of it where the site has as much memory as it leaves to
//! others. The file is written on a thread of its own ([`crate::disk`]), so that a slow disk stops nobody else.
//! It does not look into the body.

use std::fs::File;
use std::io::{self, Write as _};
use std::rc::Rc;

use tokio::time::Instant;

use crate::chunked::{ChunkError, Chunks};
use crate::connection::{Connection, ReadError};
use crate::head::BodyLength;
use crate::spill::{Body, Claim, Share, Spill};
use crate::supply::{Portion, Taken};

/// Why a body was not taken in. The connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is larger than the site takes.
    #[error("the body is larger than the site takes")]
    TooLarge,
    /// It is not chunks.
    #[error("the body is not chunks: {0}")]
    Malformed(#[from] ChunkError),
    /// The client sent no more in time.
    #[error("the body did not arrive in time")]
    TimedOut,
    /// The client left.
    #[error("the client left within the body")]
    ClientLeft,
    /// All that the site may have on disk is taken.
    #[error("the site has no room on disk for the body: 'spill_bytes_max' is reached")]
    NoRoom,
    /// The site has as many temporary files as it leaves to others.
    #[error("the site has too many bodies in temporary files")]
    NoFile,
    /// The spill file could not be made or written.
    #[error("the body could not be kept in a temporary file")]
    Spill(#[source] io::Error),
}

impl BodyError {
    /// The status to answer with; `None` when nobody is there to be answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::TooLarge => Some(413),
            Self::Malformed(_) => Some(400),
            Self::TimedOut => Some(408),
            Self::ClientLeft => None,
            Self::NoRoom | Self::NoFile => Some(503),
            Self::Spill(_) => Some(500),
        }
    }
}

/// Read the body that follows a head, at most `bytes_max` of it and no more than the site's share of the disk could hold.
pub(crate) async fn take_in(
    connection: &mut Connection,
    length: BodyLength,
    bytes_max: u64,
    places: Places<'_>,
) -> Result<Body, BodyError> {
    let bytes_max = bytes_max.min(places.share.bytes_max());
    match length {
        BodyLength::Nothing => Ok(Body::Empty),
        BodyLength::Sized(length) if length > bytes_max => Err(BodyError::TooLarge),
        BodyLength::Sized(length) => {
            let intake = Intake::new(first(MEMORY_BYTES_MAX, length), places);
            take_in_sized(connection, length, intake).await
        }
        BodyLength::Chunked => {
            let intake = Intake::new(MEMORY_BYTES_MAX, places);
            take_in_chunks(connection, bytes_max, intake).await
        }
    }
}

/// Where a body may be kept.
pub(crate) struct Places<'a> {
    pub(crate) spill: &'a Spill,
    /// What the site may have in files.
    pub(crate) share: &'a Rc<Share>,
    /// What it may have in memory.
    pub(crate) memory: &'a Rc<Portion>,
}

/// Read a body that nobody wants, so that the next request can be read behind it; for bodies that the caller finds short.
pub(crate) async fn skip(connection: &mut Connection, length: u64) -> Result<(), BodyError> {
    let mut left = length;
    while left > 0 {
        if connection.input.is_empty() {
            read_more(connection).await?;
        }
        let count = first(connection.input.len(), left);
        connection.consume(count);
        left = left.saturating_sub(count as u64);
    }
    Ok(())
}

async fn take_in_sized(
    connection: &mut Connection,
    length: u64,
    mut intake: Intake<'_>,
) -> Result<Body, BodyError> {
    let mut left = length;
    while left > 0 {
        if connection.input.is_empty() {
            read_more(connection).await?;
        }
        let count = first(connection.input.len(), left);
        let data = connection.input.get(..count).unwrap_or_default();
        intake.take(data).await?;
        connection.consume(count);
        left = left.saturating_sub(count as u64);
    }
    intake.finish().await
}

async fn take_in_chunks(
    connection: &mut Connection,
    bytes_max: u64,
    mut intake: Intake<'_>,
) -> Result<Body, BodyError> {
    let mut chunks = Chunks::default();
    loop {
        let mut used = 0;
        while used < connection.input.len() && !chunks.is_complete() {
            let piece = chunks.next(connection.input.get(used..).unwrap_or_default())?;
            if intake.length.saturating_add(piece.data.len() as u64) > bytes_max {
                return Err(BodyError::TooLarge);
            }
            intake.take(piece.data).await?;
            used += piece.consumed;
        }
        connection.consume(used);
        if chunks.is_complete() {
            return intake.finish().await;
        }
        read_more(connection).await?;
    }
}

async fn read_more(connection: &mut Connection) -> Result<(), BodyError> {
    let deadline = Instant::now() + connection.patience.body;
    connection
        .read_more(deadline)
        .await
        .map_err(|error| match error {
            ReadError::TimedOut => BodyError::TimedOut,
            ReadError::Closed | ReadError::Broken(_) => BodyError::ClientLeft,
        })
}

/// A body on its way in: memory first, then a file.
struct Intake<'a> {
    places: Places<'a>,
    memory: Vec<u8>,
    /// What `memory` takes.
    taken: Taken,
    /// How much may be in memory at once.
    memory_max: usize,
    file: Option<(File, Claim)>,
    length: u64,
}

impl<'a> Intake<'a> {
    /// For a body that would like so many bytes of memory.
    fn new(wanted: usize, places: Places<'a>) -> Self {
        let mut taken = places.memory.nothing();
        // Where there is no memory, a little is needed all the same to write whole pieces.
        let memory_max = if taken.grow(wanted) {
            MEMORY_BYTES_MAX
        } else {
            taken.grow_beyond(wanted.min(MEMORY_BYTES_LEAST));
            MEMORY_BYTES_LEAST
        };
        Self {
            memory: Vec::with_capacity(taken.count()),
            places,
            taken,
            memory_max,
            file: None,
            length: 0,
        }
    }

    async fn take(&mut self, data: &[u8]) -> Result<(), BodyError> {
        if self.memory.len() + data.len() > self.memory_max {
            if self.file.is_none() {
                let claim = self.places.share.claim().ok_or(BodyError::NoFile)?;
                let file = self.places.spill.create().map_err(BodyError::Spill)?;
                self.file = Some((file, claim));
            }
            self.write_out().await?;
        }
        self.memory.extend_from_slice(data);
        self.length += data.len() as u64;
        Ok(())
    }

    /// Move what is in memory to the file, if there is one.
    async fn write_out(&mut self) -> Result<(), BodyError> {
        let Some((mut file, mut claim)) = self.file.take() else {
            return Ok(());
        };
        // All that was taken so far goes to the file.
        if !claim.grow_to(self.length) {
            return Err(BodyError::NoRoom);
        }
        let memory = std::mem::take(&mut self.memory);
        let written = self.places.share.disk.run(move || {
            file.write_all(&memory)?;
            Ok((file, memory))
        });
        let (file, mut memory) = written.await.map_err(BodyError::Spill)?;
        memory.clear();
        self.memory = memory;
        self.file = Some((file, claim));
        Ok(())
    }

    async fn finish(mut self) -> Result<Body, BodyError> {
        self.write_out().await?;
        Ok(match self.file {
            Some((file, claim)) => Body::Spilled {
                file,
                length: self.length,
                claim,
            },
            None if self.memory.is_empty() => Body::Empty,
            None => Body::Memory {
                bytes: self.memory,
                taken: self.taken,
            },
        })
    }
}

/// How many of `available` bytes belong to the `wanted` ones.
fn first(available: usize, wanted: u64) -> usize {
    usize::try_from(wanted).map_or(available, |wanted| wanted.min(available))
}

/// How much of a body is kept in memory.
pub const MEMORY_BYTES_MAX: usize = 64 * 1024;
/// The same where the site has as much memory as it leaves to others.
const MEMORY_BYTES_LEAST: usize = 8 * 1024;
