//! A static file, sent: conditions, ranges, and the bytes themselves.
//!
//! Run by the front on a descriptor that the keeper passed. The site can change the file at any moment, so nothing is believed of
//! it but what was promised in the head: exactly so many bytes are sent, from an offset of our own, and where the file turns out
//! to be shorter the connection ends. It is never mapped (a truncated file would be a SIGBUS). What is not in the page cache is
//! read on a thread of its own ([`crate::disk`]), so that a slow disk stops nobody else; a large file is sent in turns, with others in
//! between.

use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::byte_range::{self, Selection};
use crate::clock;
use crate::conditional::{Validators, Verdict};
use crate::connection::{Connection, SendError};
use crate::error_page;
use crate::head::Head;
use crate::lookup::ServedFile;
use crate::media_type;
use crate::reply::{self, Framing};

/// Why a file was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// It could not be read; nothing was sent yet.
    #[error("the file could not be read: {0}")]
    Unreadable(#[source] io::Error),
    /// It could not be read to its promised end; the answer is cut.
    #[error("the file could not be read to its end: {0}")]
    Cut(#[source] io::Error),
    /// A condition of the request does not hold: 412.
    #[error("the file is not the one that the client has")]
    Condition,
    /// The client did not take it.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Answer GET or HEAD with a file.
pub(crate) async fn send(
    connection: &mut Connection,
    head: &Head,
    file: &ServedFile,
    keep_alive: bool,
) -> Result<(), FileError> {
    let validators = Validators::of(&file.identity);
    let size = file.identity.size;
    let mut answer = FileAnswer {
        head,
        file,
        keep_alive,
        media_type: media_type::of(&file.name),
        validators: &validators,
    };
    match validators.judge(head) {
        Verdict::Proceed => {}
        Verdict::NotModified => {
            answer.append_head(connection, 304, Framing::NoBody, &[]);
            return Ok(connection.send(b"", b"").await?);
        }
        Verdict::Failed => return Err(FileError::Condition),
    }
    let selection = match head.header("range") {
        Some(value) if validators.allow_range(head) => byte_range::select(value, size),
        Some(_) | None => Selection::Whole,
    };
    match selection {
        Selection::Whole => answer.send_one(connection, 200, 0..size).await,
        Selection::Nothing => answer.send_unsatisfiable(connection).await,
        Selection::Parts(parts) => match parts.as_slice() {
            [part] => answer.send_one(connection, 206, part.clone()).await,
            parts => answer.send_parts(connection, parts).await,
        },
    }
}

/// What all forms of the answer share.
struct FileAnswer<'a> {
    head: &'a Head,
    file: &'a ServedFile,
    keep_alive: bool,
    media_type: &'a str,
    validators: &'a Validators,
}

impl FileAnswer<'_> {
    fn append_head(
        &self,
        connection: &mut Connection,
        status: u16,
        framing: Framing,
        extra: &[&[u8]],
    ) {
        let date = clock::http_date(self.validators.modified);
        let (modified, date, end) = match &date {
            Some(date) => (&b"Last-Modified: "[..], &date[..], &b"\r\n"[..]),
            None => (&b""[..], &b""[..], &b""[..]),
        };
        let [first, second, third] = [0, 1, 2].map(|i| extra.get(i).copied().unwrap_or_default());
        let tag = self.validators.tag.as_bytes();
        let lines = [
            modified, date, end, b"ETag: ", tag, b"\r\n", first, second, third,
        ];
        let out = &mut connection.output;
        reply::append_head(out, status, &lines, framing, self.keep_alive);
        connection.begin_answer(status);
    }

    /// The whole file, or one range of it.
    async fn send_one(
        &mut self,
        connection: &mut Connection,
        status: u16,
        part: Range<u64>,
    ) -> Result<(), FileError> {
        let length = part.end - part.start;
        let media_type = format!("Content-Type: {}\r\n", self.media_type);
        let range = if status == 206 {
            content_range(&part, self.file.identity.size)
        } else {
            String::new()
        };
        let extra = [
            media_type.as_bytes(),
            b"Accept-Ranges: bytes\r\n",
            range.as_bytes(),
        ];
        self.append_head(connection, status, Framing::Length(length), &extra);
        let bytes = if self.head.is_head() { 0 } else { length };
        if bytes == 0 {
            connection.send(b"", b"").await?;
        } else if let Some(count) = usize::try_from(bytes)
            .ok()
            .filter(|n| *n <= COPIED_BYTES_MAX)
        {
            if let Err(error) =
                append_part(&mut connection.output, self.file, part.start, count).await
            {
                connection.output.clear();
                return Err(FileError::Unreadable(error));
            }
            connection.send(b"", b"").await?;
        } else {
            connection.send_with_more().await?;
            send_part(connection, self.file, part).await?;
        }
        Ok(())
    }

    /// Several ranges, as `multipart/byteranges`.
    async fn send_parts(
        &mut self,
        connection: &mut Connection,
        parts: &[Range<u64>],
    ) -> Result<(), FileError> {
        let boundary = format!("{:016x}", error_page::random());
        let heads: Vec<String> = parts
            .iter()
            .map(|part| {
                format!(
                    "\r\n--{boundary}\r\nContent-Type: {}\r\n{}\r\n",
                    self.media_type,
                    content_range(part, self.file.identity.size)
                )
            })
            .collect();
        let end = format!("\r\n--{boundary}--\r\n");
        let bytes = heads.iter().map(|head| head.len() as u64).sum::<u64>()
            + parts.iter().map(|part| part.end - part.start).sum::<u64>()
            + end.len() as u64;
        let media_type = format!("Content-Type: multipart/byteranges; boundary={boundary}\r\n");
        let extra = [media_type.as_bytes(), b"Accept-Ranges: bytes\r\n"];
        self.append_head(connection, 206, Framing::Length(bytes), &extra);
        if !self.head.is_head() {
            for (head, part) in heads.iter().zip(parts) {
                connection.output.extend_from_slice(head.as_bytes());
                connection.send_with_more().await?;
                send_part(connection, self.file, part.clone()).await?;
            }
            connection.output.extend_from_slice(end.as_bytes());
        }
        Ok(connection.send(b"", b"").await?)
    }

    async fn send_unsatisfiable(&mut self, connection: &mut Connection) -> Result<(), FileError> {
        let range = format!("Content-Range: bytes */{}\r\n", self.file.identity.size);
        self.append_head(connection, 416, Framing::Length(0), &[range.as_bytes()]);
        Ok(connection.send(b"", b"").await?)
    }
}

fn content_range(part: &Range<u64>, size: u64) -> String {
    let last = part.end.saturating_sub(1);
    format!("Content-Range: bytes {}-{last}/{size}\r\n", part.start)
}

/// Send a part of the file in turns, from the page cache where it is there.
async fn send_part(
    connection: &mut Connection,
    file: &ServedFile,
    part: Range<u64>,
) -> Result<(), FileError> {
    let Range { mut start, end } = part;
    while start < end {
        let count = usize::try_from(end - start).map_or(TURN_BYTES_MAX, |n| n.min(TURN_BYTES_MAX));
        if is_cached(file, start, count) {
            let sent = connection.send_file(&file.file, start, count).await?;
            if sent == 0 {
                return Err(FileError::Cut(io::ErrorKind::UnexpectedEof.into()));
            }
            start += sent as u64;
        } else {
            let read = read_cold(file, start, count).await;
            let data = read.map_err(FileError::Cut)?;
            connection.send(&data, b"").await?;
            start += data.len() as u64;
        }
        if start < end {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Append `count` bytes of the file from `offset`.
async fn append_part(
    out: &mut Vec<u8>,
    file: &ServedFile,
    offset: u64,
    count: usize,
) -> io::Result<()> {
    let before = out.len();
    out.resize(before + count, 0);
    let room = out.get_mut(before..).unwrap_or_default();
    let read = read_cached(file, offset, room).unwrap_or(0);
    if read < count {
        out.truncate(before + read);
        let rest = read_cold(file, offset + read as u64, count - read).await?;
        out.extend_from_slice(&rest);
    }
    Ok(())
}

/// Whether a turn can be sent without waiting for the disk, as far as its first and last byte tell: the kernel reads ahead in
/// pieces larger than a turn, and there is no call that tells it of every page on all kernels that we run on.
fn is_cached(file: &ServedFile, offset: u64, count: usize) -> bool {
    let last = offset + (count as u64).saturating_sub(1);
    // Nothing to be read there is no reason to wait either: sendfile will find out.
    [offset, last]
        .iter()
        .all(|at| read_cached(file, *at, &mut [0]) != Err(Errno::AGAIN))
}

/// Read what the page cache has; `AGAIN` where it has nothing.
fn read_cached(file: &ServedFile, offset: u64, room: &mut [u8]) -> Result<usize, Errno> {
    let mut rooms = [IoSliceMut::new(room)];
    match preadv2(&file.file, &mut rooms, offset, ReadWriteFlags::NOWAIT) {
        // A file system that cannot tell, such as tmpfs on old kernels: treated as cold, which is always right.
        Err(Errno::OPNOTSUPP) => Err(Errno::AGAIN),
        done => done,
    }
}

/// Read exactly `count` bytes on a thread that may wait for the disk.
async fn read_cold(file: &ServedFile, offset: u64, count: usize) -> io::Result<Vec<u8>> {
    let opened = Arc::clone(&file.file);
    let read = file.disk.run(move || {
        let mut data = vec![0; count];
        opened.read_exact_at(&mut data, offset)?;
        Ok(data)
    });
    read.await
}

/// Up to this size a file is copied behind its head and leaves in one system call; measured to be faster than sendfile.
const COPIED_BYTES_MAX: usize = 32 * 1024;
/// What is sent of a file before other connections have their turn.
const TURN_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests;
