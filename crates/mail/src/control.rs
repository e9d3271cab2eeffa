//! What the monitor says.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;

use hostel_sys::fdpass::receive;
use hostel_wire::codec::Malformed;
use hostel_wire::monitor_mail::{MailPolicy, ToMail};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Why it cannot be listened to any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error("the monitor's socket failed: {0}")]
    Socket(io::Error),
    #[error("the monitor has sent something that is not a message: {0}")]
    Malformed(#[from] Malformed),
    #[error("the monitor has sent a message without its file")]
    Descriptors,
    #[error("what the monitor has sent cannot be read: {0}")]
    Policy(io::Error),
}

/// One thing that it has said.
#[derive(Debug)]
pub(crate) enum Said {
    Apply(MailPolicy),
    Log(File),
    Sockets(OwnedFd),
    Queue(OwnedFd),
}

/// The socket to it.
pub(crate) struct Control(AsyncFd<OwnedFd>);

impl Control {
    pub(crate) fn new(socket: OwnedFd) -> Result<Self, ControlError> {
        watched(socket).map(Self).map_err(ControlError::Socket)
    }

    /// The next thing; `None` when this process is to end.
    pub(crate) async fn hear(&self) -> Result<Option<Said>, ControlError> {
        let mut buffer = [0; BYTES_MAX];
        let received = loop {
            let mut ready = self.0.readable().await.map_err(ControlError::Socket)?;
            match ready.try_io(|socket| receive(socket.get_ref(), &mut buffer)) {
                Ok(received) => break received.map_err(ControlError::Socket)?,
                Err(_would_block) => {}
            }
        };
        let bytes = buffer.get(..received.bytes).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(None);
        }
        let message = ToMail::decode(bytes)?;
        let Ok([file]) = <[OwnedFd; ToMail::DESCRIPTORS]>::try_from(received.descriptors) else {
            return Err(ControlError::Descriptors);
        };
        Ok(Some(match message {
            ToMail::Apply => Said::Apply(policy(file.into())?),
            ToMail::Log => Said::Log(file.into()),
            ToMail::Sockets => Said::Sockets(file),
            ToMail::Queue => Said::Queue(file),
        }))
    }
}

fn policy(mut file: File) -> Result<MailPolicy, ControlError> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_end(&mut bytes))
        .map_err(ControlError::Policy)?;
    Ok(MailPolicy::decode(&bytes)?)
}

/// A descriptor that can be waited for until it can be read.
#[expect(
    deprecated,
    reason = "unsound for a descriptor that can be closed behind its owner, which an OwnedFd cannot"
)]
pub(crate) fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// More than a message has, so that a longer one is seen to be one.
const BYTES_MAX: usize = 16;
