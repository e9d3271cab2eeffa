//! Taking in the body of a request, whole, before anybody works on it.
//!
//! Run by the front. It trusts no client: the body is bounded by the site's limit, each wait by the connection's patience. What
//! is over [`MEMORY_BYTES_MAX`], or more than the site leaves to others, goes to an unnamed file, written on a thread of its own
//! ([`crate::disk`]), so that a slow disk stops nobody else.
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
            let intake = Intake::new(Some(length), places);
            take_in_sized(connection, length, intake).await
        }
        BodyLength::Chunked => {
            take_in_chunks(connection, bytes_max, Intake::new(None, places)).await
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
            // Straight to where it stays, as long as that is memory.
            let room = intake.room(first(READ_BYTES, left));
            if room > 0 {
                let deadline = Instant::now() + connection.patience.body;
                let read = connection.read_into(&mut intake.memory, room, deadline);
                let count = read.await? as u64;
                intake.length += count;
                left = left.saturating_sub(count);
                continue;
            }
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
    Ok(connection.read_more(deadline).await?)
}

impl From<ReadError> for BodyError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::TimedOut => Self::TimedOut,
            ReadError::Closed | ReadError::Broken(_) => Self::ClientLeft,
        }
    }
}

/// A body on its way in: memory first, then a file.
struct Intake<'a> {
    places: Places<'a>,
    memory: Vec<u8>,
    /// What `memory` takes.
    taken: Taken,
    /// How much may be in memory at present.
    memory_max: usize,
    /// Up to which this may grow.
    held_max: usize,
    file: Option<(File, Claim)>,
    length: u64,
}

impl<'a> Intake<'a> {
    /// For a body of this length, if that is known.
    fn new(length: Option<u64>, places: Places<'a>) -> Self {
        let mut taken = places.memory.nothing();
        let wanted = length.map_or(PIECE_BYTES, |length| first(PIECE_BYTES, length));
        // Where there is no memory, a little is needed all the same to write whole pieces.
        let memory_max = if taken.grow(wanted) {
            PIECE_BYTES
        } else {
            taken.grow_beyond(wanted.min(PIECE_BYTES_LEAST));
            PIECE_BYTES_LEAST
        };
        // One that will go to a file anyway does so from its beginning.
        let is_large = length.is_some_and(|length| length > MEMORY_BYTES_MAX as u64);
        let all = length.map_or(MEMORY_BYTES_MAX, |length| first(MEMORY_BYTES_MAX, length));
        Self {
            memory: Vec::with_capacity(taken.count()),
            taken,
            memory_max,
            held_max: if is_large { 0 } else { all },
            file: None,
            places,
            length: 0,
        }
    }

    /// For how many more bytes, up to `wanted`, there is room in memory. None once there is a file.
    fn room(&mut self, wanted: usize) -> usize {
        if self.file.is_some() || !self.may_hold(self.memory.len() + wanted) {
            return 0;
        }
        wanted
    }

    /// Whether memory may hold so much at once; it grows if the site leaves enough to others.
    fn may_hold(&mut self, bytes: usize) -> bool {
        if bytes <= self.memory_max {
            return true;
        }
        if bytes > self.held_max || self.file.is_some() {
            return false;
        }
        // In large steps: each may move all that is there.
        let grown = (bytes * 2).max(PIECE_BYTES).min(self.held_max);
        let may = self.taken.grow(grown - self.memory_max);
        if may {
            self.memory_max = grown;
            self.memory.reserve_exact(grown - self.memory.len());
        }
        may
    }

    async fn take(&mut self, data: &[u8]) -> Result<(), BodyError> {
        if !self.may_hold(self.memory.len() + data.len()) {
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
        // What a file takes on needs memory for one piece alone.
        memory.shrink_to(PIECE_BYTES);
        self.taken
            .shrink(self.memory_max.saturating_sub(PIECE_BYTES));
        self.memory_max = self.memory_max.min(PIECE_BYTES);
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

/// How much of a body is kept in memory, where the site leaves as much to others: what PHP takes as one uploaded file by default.
/// A file for it would cost several times what the script does.
pub const MEMORY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How much of a larger one is written to its file at once.
const PIECE_BYTES: usize = 64 * 1024;
/// The same where the site has as much memory as it leaves to others.
const PIECE_BYTES_LEAST: usize = 8 * 1024;
/// What is read at once, before others have their turn.
const READ_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::fs::File;

    use tokio::io::AsyncWriteExt;
    use tokio::task::LocalSet;

    use super::*;
    use crate::connection::tests::pair;
    use crate::supply::Supply;

    /// What becomes of a body of this length where the site may have half of so much memory; what is taken then, and afterwards.
    async fn taken_in(length: usize, memory_bytes: usize) -> (Body, usize) {
        let (mut connection, mut client) = pair().await;
        let supply = Supply::new(memory_bytes);
        let disk = Rc::new(crate::disk::Disk::default()).site();
        let spill = Spill::new(File::open(std::env::temp_dir()).unwrap().into());
        let places = Places {
            spill: &spill,
            share: &Share::new(1 << 30, Supply::new(2).portion(), disk),
            memory: &supply.portion(),
        };
        let sized = BodyLength::Sized(length as u64);
        let body = vec![b'b'; length];
        // What follows is another request's.
        let sending = async {
            client.write_all(&body).await.unwrap();
            client.write_all(b"GET /").await.unwrap();
        };
        let taking = take_in(&mut connection, sized, 1 << 30, places);
        let both = async { tokio::join!(sending, taking) };
        let body = LocalSet::new().run_until(both).await.1.unwrap();
        while connection.input.len() < 5 {
            read_more(&mut connection).await.unwrap();
        }
        assert_eq!(connection.input, b"GET /");
        let taken = supply.taken();
        assert_eq!(body.length(), length as u64);
        if let Body::Memory { bytes, .. } = &body {
            assert!(bytes.iter().all(|byte| *byte == b'b'));
        }
        (body, taken)
    }

    #[tokio::test]
    async fn a_body_is_held_in_memory_if_there_is_some_and_it_is_not_large() {
        let plenty = 1 << 30;
        for length in [1, 8 * 1024, 100_000, 1_000_000, MEMORY_BYTES_MAX] {
            let (body, taken) = taken_in(length, plenty).await;
            assert!(matches!(body, Body::Memory { .. }), "{length}");
            assert!(taken >= length, "{taken} for {length}");
        }
        let (body, taken) = taken_in(MEMORY_BYTES_MAX + 1, plenty).await;
        assert!(matches!(body, Body::Spilled { .. }));
        assert_eq!(taken, 0, "a file takes none");
    }

    #[tokio::test]
    async fn where_memory_is_short_a_body_goes_to_a_file() {
        let (body, taken) = taken_in(1_000_000, 400_000).await;
        assert!(matches!(body, Body::Spilled { .. }));
        assert_eq!(taken, 0);
        let (body, _) = taken_in(20_000, 0).await;
        assert!(matches!(body, Body::Spilled { .. }));
        let (body, taken) = taken_in(5_000, 0).await;
        assert!(matches!(body, Body::Memory { .. }));
        assert_eq!(taken, 5_000, "a little is held whatever there is");
    }
}
