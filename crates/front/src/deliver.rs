//! A worker's answer, sent to the client as it comes.
//!
//! Run by the front. The worker's part is in [`crate::answer`], filled by a task of its own; here it is framed and sent at the
//! client's pace. A length that the script declared is kept only as a promise that is enforced: never more bytes than it are
//! sent, and where there are fewer the connection ends. It checks no header: [`crate::reply`] has.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use crate::answer::{AnswerBody, AnswerCut};
use crate::connection::{ClientLeft, Connection, SendError};
use crate::head::Head;
use crate::reply::{self, Framing, ReplyHeaders};

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Whole, and another request may follow.
    Whole,
    /// Only closing the connection tells the client where it ends, or that it was cut.
    Close,
    /// Cut, where closing would look like its proper end.
    Reset,
}

/// Why nothing, or not all, was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliverError {
    /// The worker ended before any byte was sent: there still can be an error page.
    #[error(transparent)]
    CutEarly(AnswerCut),
    /// The client left.
    #[error(transparent)]
    ClientLeft(#[from] ClientLeft),
    /// The client did not take it.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Send an answer; `keep_alive` is what the front would like.
pub(crate) async fn send(
    connection: &mut Connection,
    head: &Head,
    status: u16,
    headers: &ReplyHeaders,
    body: &mut AnswerBody,
    keep_alive: bool,
) -> Result<End, DeliverError> {
    let bodyless = head.is_head() || matches!(status, 204 | 304);
    let framing = match (body.complete_length(), headers.declared_length()) {
        _ if matches!(status, 204 | 304) => Framing::NoBody,
        // PHP produces no body for HEAD, so that an empty one says nothing about what GET would give.
        (Some(0) | None, declared) if head.is_head() => {
            declared.map_or(Framing::NoBody, Framing::Length)
        }
        (Some(length), _) | (None, Some(length)) => Framing::Length(length),
        (None, None) if head.is_http10() => Framing::Close,
        (None, None) => Framing::Chunked,
    };
    let keep_alive = keep_alive && framing != Framing::Close;
    let out = &mut connection.output;
    reply::append_reply_head(out, status, headers, framing, keep_alive);
    connection.begin_answer(status);
    let mut delivery = Delivery {
        framing,
        left: match framing {
            Framing::Length(length) => length,
            Framing::NoBody | Framing::Chunked | Framing::Close => u64::MAX,
        },
        begun: false,
    };
    if bodyless {
        connection.send(b"", b"").await?;
        while let Some(chunk) = connection.unless_client_leaves(body.chunk()).await? {
            if chunk.is_err() {
                break;
            }
        }
        return Ok(End::Whole);
    }
    loop {
        match delivery.next(connection, body).await? {
            Some(Ok(chunk)) => {
                if let Some(end) = delivery.pass_on(connection, &chunk).await? {
                    return Ok(end);
                }
            }
            None => return delivery.finish(connection).await,
            Some(Err(cut)) if !delivery.begun => {
                connection.output.clear();
                return Err(DeliverError::CutEarly(cut));
            }
            Some(Err(AnswerCut)) => {
                let end = if framing == Framing::Close {
                    End::Reset
                } else {
                    End::Close
                };
                return Ok(end);
            }
        }
    }
}

/// An answer on its way.
struct Delivery {
    framing: Framing,
    /// Bytes that the length in the head still promises.
    left: u64,
    /// Whether anything was sent, so that there can be no error page any more.
    begun: bool,
}

impl Delivery {
    /// The next bytes of the worker. What waits to be sent is sent before there is any waiting for the worker.
    async fn next(
        &mut self,
        connection: &mut Connection,
        body: &mut AnswerBody,
    ) -> Result<Option<Result<Vec<u8>, AnswerCut>>, DeliverError> {
        let mut chunk = pin!(body.chunk());
        if let Poll::Ready(chunk) = poll_fn(|cx| Poll::Ready(chunk.as_mut().poll(cx))).await {
            return Ok(chunk);
        }
        self.begun = true;
        connection.send(b"", b"").await?;
        Ok(connection.unless_client_leaves(chunk).await?)
    }

    /// Send bytes of the worker, or keep them to be sent with more; the end, where they are more than was promised.
    async fn pass_on(
        &mut self,
        connection: &mut Connection,
        chunk: &[u8],
    ) -> Result<Option<End>, SendError> {
        let promised = usize::try_from(self.left).map_or(chunk.len(), |n| n.min(chunk.len()));
        let data = chunk.get(..promised).unwrap_or(chunk);
        match self.framing {
            Framing::Chunked => {
                let size = format!("{:x}\r\n", data.len());
                connection.output.extend_from_slice(size.as_bytes());
                self.begun = true;
                connection.send(data, b"\r\n").await?;
            }
            Framing::Length(_) | Framing::Close | Framing::NoBody => {
                self.left -= data.len() as u64;
                if connection.output.len() + data.len() <= GATHERED_BYTES_MAX {
                    connection.output.extend_from_slice(data);
                } else {
                    self.begun = true;
                    connection.send(data, b"").await?;
                }
            }
        }
        if data.len() < chunk.len() {
            connection.send(b"", b"").await?;
            return Ok(Some(End::Close));
        }
        Ok(None)
    }

    /// The worker has given everything.
    async fn finish(&mut self, connection: &mut Connection) -> Result<End, DeliverError> {
        if self.framing == Framing::Chunked {
            connection.output.extend_from_slice(b"0\r\n\r\n");
        }
        connection.send(b"", b"").await?;
        let whole = match self.framing {
            Framing::Length(_) => self.left == 0,
            Framing::Chunked | Framing::NoBody => true,
            Framing::Close => false,
        };
        Ok(if whole { End::Whole } else { End::Close })
    }
}

/// Up to this size head and body leave together, in one system call.
const GATHERED_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests;
