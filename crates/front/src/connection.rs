//! One client's connection: its socket, what was read ahead of need, and the clock that ends every wait.
//!
//! Run by the front, one per client. It trusts no client to send, to take what it asked for, or to leave politely: each wait has
//! an end, each buffer a bound. Buffers are used again for each request. It knows nothing of HTTP but how long to wait for what.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::SendFlags;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::supply::Taken;
use crate::turns::Place;

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Between two requests, and before the first.
    pub idle: Duration,
    /// Between two pieces of a body.
    pub body: Duration,
    /// Between two pieces of an answer that the client takes.
    pub send: Duration,
    /// From the end of an answer, where the client still sends what nobody will read, to the end of the connection.
    pub linger: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            body: Duration::from_secs(60),
            send: Duration::from_secs(60),
            linger: Duration::from_secs(5),
        }
    }
}

/// A client's connection.
pub struct Connection {
    stream: TcpStream,
    /// What was read and not yet used.
    pub(crate) input: Vec<u8>,
    /// What is to be sent, in front of whatever [`Connection::send`] is given.
    pub(crate) output: Vec<u8>,
    timer: Pin<Box<Sleep>>,
    /// How long the client may take.
    pub(crate) patience: Patience,
    /// The client's address.
    pub(crate) remote: SocketAddr,
    /// Its IP address as text.
    pub(crate) remote_text: String,
    /// The address that the client connected to.
    pub(crate) local: SocketAddr,
    /// Its IP address as text.
    pub(crate) local_text: String,
    /// Room for a line of the log.
    pub(crate) line: Vec<u8>,
    /// All bytes that the kernel took.
    sent: u64,
    /// The present answer: its status, and the value of `sent` at the end of its head.
    answer: Option<(u16, u64)>,
    /// Whom its task works for.
    pub(crate) place: Rc<Place>,
    /// What it takes of the connections of the site that its last request was for.
    pub(crate) of_site: Option<Taken>,
}

/// Why nothing more was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The client has sent all it will send.
    #[error("the client has closed the connection")]
    Closed,
    /// It took too long.
    #[error("the client sent nothing in time")]
    TimedOut,
    /// The connection broke.
    #[error("the connection to the client broke")]
    Broken(#[source] io::Error),
}

/// Why an answer was not sent, or not whole: the connection broke, or the client did not take it in time (`TimedOut`).
#[derive(Debug, thiserror::Error)]
#[error("the answer could not be sent to the client")]
pub struct SendError(#[source] io::Error);

/// The client left while its request was worked on.
#[derive(Debug, thiserror::Error)]
#[error("the client has left")]
pub struct ClientLeft;

impl Connection {
    /// Take over an accepted socket.
    ///
    /// # Errors
    /// When the client has already gone.
    pub fn new(
        stream: TcpStream,
        remote: SocketAddr,
        patience: Patience,
        place: Rc<Place>,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let local = canonical(stream.local_addr()?);
        let remote = canonical(remote);
        Ok(Self {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            timer: Box::pin(tokio::time::sleep(patience.idle)),
            patience,
            remote,
            remote_text: remote.ip().to_string(),
            local,
            local_text: local.ip().to_string(),
            line: Vec::new(),
            sent: 0,
            answer: None,
            place,
            of_site: None,
        })
    }

    /// Read whatever comes next, at least one byte, before `deadline`.
    pub(crate) async fn read_more(&mut self, deadline: Instant) -> Result<(), ReadError> {
        self.input.reserve(READ_BYTES);
        let Self {
            stream,
            input,
            timer,
            ..
        } = self;
        let mut timer = Timer::new(timer, deadline);
        poll_fn(|cx| match poll_read(stream, input, cx) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(ReadError::Closed)),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(ReadError::Broken(error))),
            Poll::Pending => timer.poll(cx).map(|()| Err(ReadError::TimedOut)),
        })
        .await
    }

    /// Read whatever comes next, at least one byte and at most `count`, before `deadline`, and put it behind what is in `into`. For
    /// when `input` is empty.
    pub(crate) async fn read_into(
        &mut self,
        into: &mut Vec<u8>,
        count: usize,
        deadline: Instant,
    ) -> Result<usize, ReadError> {
        into.reserve(count);
        let Self { stream, timer, .. } = self;
        let mut timer = Timer::new(timer, deadline);
        poll_fn(|cx| {
            let mut bounded = (&mut *stream).take(count as u64);
            match pin!(bounded.read_buf(into)).poll(cx) {
                Poll::Ready(Ok(0)) => Poll::Ready(Err(ReadError::Closed)),
                Poll::Ready(Ok(count)) => Poll::Ready(Ok(count)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(ReadError::Broken(error))),
                Poll::Pending => timer.poll(cx).map(|()| Err(ReadError::TimedOut)),
            }
        })
        .await
    }

    /// The first `count` bytes of what was read are used up.
    pub(crate) fn consume(&mut self, count: usize) {
        if count >= self.input.len() {
            self.input.clear();
        } else {
            self.input.drain(..count);
        }
    }

    /// Give back memory that a large body or answer needed; called while the client is idle.
    pub(crate) fn release_room(&mut self) {
        for buffer in [&mut self.input, &mut self.output, &mut self.line] {
            buffer.shrink_to(ROOM_BYTES_KEPT);
        }
    }

    /// A request was read that has no answer yet.
    pub(crate) fn begin_request(&mut self) {
        self.answer = None;
    }

    /// What is in `output` now is the head of the answer, with this status.
    pub(crate) fn begin_answer(&mut self, status: u16) {
        self.answer = Some((status, self.sent + self.output.len() as u64));
    }

    /// The status of the answer and how many bytes of its body were sent; `None` where not even its head was.
    pub(crate) fn answered(&self) -> Option<(u16, u64)> {
        let (status, head_end) = self.answer?;
        Some((status, self.sent.checked_sub(head_end)?))
    }

    /// Do `work`, but give it up when the client leaves.
    ///
    /// A client that has closed its sending side is taken to have left, as nginx does by default for FastCGI: nobody can tell
    /// it from one that is gone, and a worker is too dear to find out. What a client sends ahead is kept, up to a bound
    /// beyond which nothing is read and so no leaving noticed until the answer is sent.
    pub(crate) async fn unless_client_leaves<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, ClientLeft> {
        let mut work = pin!(work);
        let Self { stream, input, .. } = self;
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            while input.len() < READ_AHEAD_BYTES_MAX {
                match ready!(poll_read(stream, input, cx)) {
                    Ok(0) | Err(_) => return Poll::Ready(Err(ClientLeft)),
                    Ok(_) => {}
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Send what is in `output`, then `body`, then `tail`, in as few system calls as the kernel allows.
    pub(crate) async fn send(&mut self, body: &[u8], tail: &[u8]) -> Result<(), SendError> {
        let Self {
            stream,
            output,
            timer,
            patience,
            sent: total,
            ..
        } = self;
        let mut slices = [output.as_slice(), body, tail].map(IoSlice::new);
        let used = slices.iter().rposition(|slice| !slice.is_empty());
        let mut rest = slices
            .get_mut(..used.map_or(0, |last| last + 1))
            .unwrap_or_default();
        IoSlice::advance_slices(&mut rest, 0);
        let mut timer = Timer::new(timer, Instant::now() + patience.send);
        while !rest.is_empty() {
            let sent = poll_fn(|cx| {
                let stream = Pin::new(&mut *stream);
                // One buffer is the usual case, and sending it alone costs less.
                let polled = match rest {
                    [only] => stream.poll_write(cx, only),
                    _ => stream.poll_write_vectored(cx, rest),
                };
                match polled {
                    Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(sent) => Poll::Ready(sent),
                    Poll::Pending => timer.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
                }
            });
            let sent = sent.await.map_err(SendError)?;
            *total += sent as u64;
            timer.deadline = Instant::now() + patience.send;
            IoSlice::advance_slices(&mut rest, sent);
        }
        output.clear();
        Ok(())
    }

    /// Send what is in `output` and let the kernel know that more follows at once, so that it makes full packets.
    pub(crate) async fn send_with_more(&mut self) -> Result<(), SendError> {
        let output = std::mem::take(&mut self.output);
        let mut rest = output.as_slice();
        while !rest.is_empty() {
            let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
            let sent = self
                .when_writable(|stream| Ok(rustix::net::send(stream, rest, flags)?))
                .await?;
            rest = rest.get(sent..).unwrap_or_default();
        }
        self.output = output;
        self.output.clear();
        Ok(())
    }

    /// Send up to `count` bytes of a file from `offset` without copying them; 0 where the file has no more.
    pub(crate) async fn send_file(
        &mut self,
        file: impl AsFd,
        mut offset: u64,
        count: usize,
    ) -> Result<usize, SendError> {
        self.when_writable(|stream| {
            Ok(rustix::fs::sendfile(
                stream,
                &file,
                Some(&mut offset),
                count,
            )?)
        })
        .await
    }

    /// Try a system call whenever the socket takes bytes, until it has sent some.
    async fn when_writable(
        &mut self,
        mut call: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Result<usize, SendError> {
        let Self {
            stream,
            timer,
            patience,
            ..
        } = self;
        let mut timer = Timer::new(timer, Instant::now() + patience.send);
        let sent = poll_fn(|cx| {
            loop {
                match stream.poll_write_ready(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        return timer.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
                    }
                }
                match stream.try_io(Interest::WRITABLE, || call(stream)) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    done => return Poll::Ready(done),
                }
            }
        });
        let sent = sent.await.map_err(SendError)?;
        self.sent += sent as u64;
        Ok(sent)
    }

    /// Close, but take in for a while what the client still sends: closing a socket with unread bytes makes the kernel reset the
    /// connection, which may destroy the answer before the client has read it.
    pub(crate) async fn linger(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let deadline = Instant::now() + self.patience.linger;
        self.input.clear();
        while self.read_more(deadline).await.is_ok() {
            self.input.clear();
            tokio::task::yield_now().await;
        }
    }

    /// Close so that the client sees a broken connection, not the end of an answer: the only way to say in HTTP/1.0 that an
    /// answer without a length was cut.
    pub(crate) fn reset(self) {
        // Where this fails the connection is closed all the same.
        drop(self.stream.set_zero_linger());
    }
}

/// The connection's one timer, set only when something has to be waited for.
struct Timer<'a> {
    sleep: &'a mut Pin<Box<Sleep>>,
    deadline: Instant,
}

impl<'a> Timer<'a> {
    fn new(sleep: &'a mut Pin<Box<Sleep>>, deadline: Instant) -> Self {
        Self { sleep, deadline }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.sleep.deadline() != self.deadline {
            self.sleep.as_mut().reset(self.deadline);
        }
        self.sleep.as_mut().poll(cx)
    }
}

/// Read what is there into the buffer's spare room. The future holds nothing between two polls, so it may be made for each.
fn poll_read(
    stream: &mut TcpStream,
    input: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    pin!(stream.read_buf(input)).poll(cx)
}

/// An IPv4 client of an IPv6 socket has an IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Room for one read.
const READ_BYTES: usize = 8 * 1024;
/// What a client may send ahead while its request is worked on.
const READ_AHEAD_BYTES_MAX: usize = 32 * 1024;
/// Room that each buffer of an idle connection keeps.
const ROOM_BYTES_KEPT: usize = 8 * 1024;

#[cfg(test)]
pub(crate) mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::turns::Account;

    /// A connection and its client.
    pub(crate) async fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, client) = tokio::join!(listener.accept(), client);
        let (stream, remote) = accepted.unwrap();
        let place = Place::new(&Account::new(100));
        let connection = Connection::new(stream, remote, Patience::default(), place).unwrap();
        (connection, client.unwrap())
    }

    #[tokio::test]
    async fn a_client_that_leaves_ends_the_work() {
        let (mut connection, client) = pair().await;
        let work = connection.unless_client_leaves(std::future::pending::<()>());
        let leave = async { drop(client) };
        assert!(tokio::join!(work, leave).0.is_err());
    }

    #[tokio::test]
    async fn what_a_client_sends_ahead_is_kept_up_to_a_bound() {
        let (mut connection, mut client) = pair().await;
        let ahead = vec![b'a'; 1024 * 1024];
        let work = connection.unless_client_leaves(tokio::time::sleep(Duration::from_millis(100)));
        // The kernel's buffers may or may not take the rest.
        let sending = async {
            let sending = client.write_all(&ahead);
            drop(tokio::time::timeout(Duration::from_millis(50), sending).await);
        };
        assert!(tokio::join!(work, sending).0.is_ok());
        assert!(connection.input.len() >= READ_AHEAD_BYTES_MAX);
        assert!(connection.input.capacity() <= 4 * READ_AHEAD_BYTES_MAX);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (mut connection, client) = pair().await;
        connection.patience.send = Duration::from_millis(50);
        let large = vec![b'a'; 64 * 1024 * 1024];
        let error = connection.send(&large, b"").await.unwrap_err();
        assert_eq!(error.0.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }
}
