//! Send and receive one message with its descriptors over a socket of whole messages (SOCK_SEQPACKET).
//!
//! Run by monitor, front, keeper and zygote. It trusts nothing that arrives: descriptors are owned from the first moment and
//! close-on-exec, a cut message or a cut list of descriptors is an error and closes what came with it. What the
//! descriptors are is for the caller to check. It does not wait: whether a call blocks is the socket's own setting.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

/// The most descriptors that one message may carry. Equal to `hostel_wire::limits::MESSAGE_DESCRIPTORS_MAX`.
const DESCRIPTORS_MAX: usize = 2;

/// A pair of connected sockets without a name that keep message bounds, close-on-exec, and not waiting when `nonblocking`.
pub fn message_pair(nonblocking: bool) -> io::Result<(OwnedFd, OwnedFd)> {
    pair(SocketType::SEQPACKET, nonblocking)
}

/// A pair of connected sockets without a name that carry a stream of bytes, close-on-exec, and not waiting when `nonblocking`.
pub fn stream_pair(nonblocking: bool) -> io::Result<(OwnedFd, OwnedFd)> {
    pair(SocketType::STREAM, nonblocking)
}

fn pair(kind: SocketType, nonblocking: bool) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut flags = SocketFlags::CLOEXEC;
    flags.set(SocketFlags::NONBLOCK, nonblocking);
    Ok(socketpair(AddressFamily::UNIX, kind, flags, None)?)
}

/// Send `bytes` and `descriptors` as one message.
///
/// # Errors
/// `WouldBlock` when the socket does not wait and its buffer is full; `BrokenPipe` when the peer is gone (never a signal).
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "too many descriptors for one message",
        ));
    }
    let sent = sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    if sent == bytes.len() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::WriteZero, "message was cut"))
    }
}

/// What arrived.
#[derive(Debug)]
pub struct Received {
    /// How many bytes of the buffer the message filled; 0 means that the peer has closed (nobody sends empty messages).
    pub bytes: usize,
    /// The descriptors that came with it, in order. Those not taken are closed when this is dropped.
    pub descriptors: Vec<OwnedFd>,
}

/// Receive one message into `buffer`.
///
/// # Errors
/// `InvalidData` when the message is longer than the buffer or carries more descriptors than one message may; `WouldBlock`
/// when the socket does not wait and nothing is there.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(buffer)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    if received.flags.contains(ReturnFlags::TRUNC) || received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "message or its descriptors were cut",
        ));
    }
    Ok(Received {
        bytes: received.bytes,
        descriptors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_whole_with_its_descriptors() {
        let (a, b) = message_pair(false).unwrap();
        let (c, d) = stream_pair(false).unwrap();
        send(&a, b"hello", &[c.as_fd(), d.as_fd()]).unwrap();
        let mut buffer = [0; 16];
        let received = receive(&b, &mut buffer).unwrap();
        assert_eq!(&buffer[..received.bytes], b"hello");
        assert_eq!(received.descriptors.len(), 2);
        let flags = rustix::io::fcntl_getfd(&received.descriptors[0]).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn a_message_longer_than_the_buffer_is_an_error() {
        let (a, b) = message_pair(false).unwrap();
        send(&a, b"longer than four", &[]).unwrap();
        let error = receive(&b, &mut [0; 4]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_closed_peer_reads_as_zero_bytes_and_writes_as_broken_pipe() {
        let (a, b) = message_pair(false).unwrap();
        drop(a);
        assert_eq!(receive(&b, &mut [0; 4]).unwrap().bytes, 0);
        assert_eq!(
            send(&b, b"x", &[]).unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }
}
