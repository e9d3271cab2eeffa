//! Messages on their way to a peer that may not be reading.
//!
//! Run by the keeper towards the front and the zygote. Sending never waits: what does not fit the socket stays here, in order,
//! until poll says that there is room. The bound is the user's: it takes no question while [`Outbox::is_full`].

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use hostel_sys::fdpass;
use hostel_wire::limits;

/// Messages that wait, each with the descriptors that belong to it.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
}

impl Outbox {
    /// Add a message.
    pub(crate) fn push(&mut self, message: Vec<u8>, descriptor: Option<OwnedFd>) {
        self.waiting.push_back((message, descriptor));
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many messages wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the peer should be asked for nothing more before it has read what waits.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= limits::LOOKUPS_MAX
    }

    /// Send what the socket takes now.
    ///
    /// # Errors
    /// The peer is gone, or the socket is broken.
    pub(crate) fn flush(&mut self, socket: impl AsFd) -> io::Result<()> {
        while let Some((message, descriptor)) = self.waiting.front() {
            let descriptors: Vec<_> = descriptor.iter().map(AsFd::as_fd).collect();
            match fdpass::send(&socket, message, &descriptors) {
                Ok(()) => drop(self.waiting.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_waits_in_order() {
        let (near, far) = fdpass::message_pair(true).unwrap();
        let mut outbox = Outbox::default();
        for number in 0..5_000_u32 {
            outbox.push(number.to_le_bytes().to_vec(), None);
        }
        let mut buffer = [0; 16];
        let mut expected = 0_u32;
        while expected < 5_000 {
            outbox.flush(&near).unwrap();
            assert_eq!(outbox.is_full(), outbox.len() >= limits::LOOKUPS_MAX);
            let received = fdpass::receive(&far, &mut buffer).unwrap();
            assert_eq!(buffer[..received.bytes], expected.to_le_bytes());
            expected += 1;
        }
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_peer_that_is_gone_is_an_error() {
        let (near, far) = fdpass::message_pair(true).unwrap();
        drop(far);
        let mut outbox = Outbox::default();
        outbox.push(vec![1], None);
        assert!(outbox.flush(&near).is_err());
    }
}
