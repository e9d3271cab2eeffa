//! Keeper and PHP zygote: start PHP, fork workers, say who died.
//!
//! Both run as the site's user and neither trusts the other with anything but the site itself. The zygote's end stands on
//! descriptor [`CONTROL_DESCRIPTOR`](crate::view::CONTROL_DESCRIPTOR) after exec.

use crate::codec::{Malformed, Reader, Writer};
use crate::monitor_keeper::SiteSettings;

/// The number of a worker within a site, chosen by the front and never used twice by one front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u32);

/// What the keeper tells the zygote. `Settings` comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToZygote {
    /// Fork a worker. One descriptor: its socket to the front.
    Fork(WorkerId),
    /// Kill a worker.
    Kill(WorkerId),
    /// The site's settings.
    Settings(Box<SiteSettings>),
}

/// What the zygote tells the keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromZygote {
    /// A worker has ended and was reaped.
    Died(WorkerId, Death),
    /// A worker could not be forked, for this errno.
    ForkFailed(WorkerId, i32),
    /// A worker runs.
    Forked(WorkerId, u32),
    /// PHP has started.
    Ready,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// By itself, with this status.
    Exited(u8),
    /// By this signal.
    Signalled(u8),
}

impl ToZygote {
    /// How many descriptors come with this message.
    pub fn descriptors(&self) -> usize {
        match self {
            Self::Fork(_) => 1,
            Self::Kill(_) | Self::Settings(_) => 0,
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Fork(worker) => {
                w.u8(1).u32(worker.0);
            }
            Self::Kill(worker) => {
                w.u8(2).u32(worker.0);
            }
            Self::Settings(settings) => settings.encode(w.u8(3)),
        }
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("kind")? {
            1 => Self::Fork(WorkerId(r.u32("worker")?)),
            2 => Self::Kill(WorkerId(r.u32("worker")?)),
            3 => Self::Settings(Box::new(SiteSettings::decode(&mut r)?)),
            _ => return Err(Malformed::Value("kind of message to the zygote")),
        };
        r.end("message to the zygote")?;
        Ok(message)
    }
}

impl FromZygote {
    /// As bytes.
    pub fn encode(self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Died(worker, death) => death.encode(w.u8(1).u32(worker.0)),
            Self::ForkFailed(worker, errno) => {
                w.u8(2).u32(worker.0).i32(errno);
            }
            Self::Forked(worker, pid) => {
                w.u8(3).u32(worker.0).u32(pid);
            }
            Self::Ready => {
                w.u8(4);
            }
        }
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("kind")? {
            1 => Self::Died(WorkerId(r.u32("worker")?), Death::decode(&mut r)?),
            2 => Self::ForkFailed(WorkerId(r.u32("worker")?), r.i32("errno")?),
            3 => Self::Forked(WorkerId(r.u32("worker")?), r.u32("pid")?),
            4 => Self::Ready,
            _ => return Err(Malformed::Value("kind of message from the zygote")),
        };
        r.end("message from the zygote")?;
        Ok(message)
    }
}

impl Death {
    pub(crate) fn encode(self, w: &mut Writer) {
        match self {
            Self::Exited(status) => w.u8(1).u8(status),
            Self::Signalled(signal) => w.u8(2).u8(signal),
        };
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        match r.u8("death")? {
            1 => Ok(Self::Exited(r.u8("status")?)),
            2 => Ok(Self::Signalled(r.u8("signal")?)),
            _ => Err(Malformed::Value("death")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor_keeper::tests::settings;

    #[test]
    fn every_message_to_the_zygote_survives_the_wire() {
        for message in [
            ToZygote::Fork(WorkerId(1)),
            ToZygote::Kill(WorkerId(2)),
            ToZygote::Settings(Box::new(settings())),
        ] {
            assert_eq!(ToZygote::decode(&message.encode()), Ok(message.clone()));
        }
    }

    #[test]
    fn every_message_from_the_zygote_survives_the_wire() {
        let worker = WorkerId(3);
        for message in [
            FromZygote::Died(worker, Death::Exited(0)),
            FromZygote::Died(worker, Death::Signalled(9)),
            FromZygote::ForkFailed(worker, 11),
            FromZygote::Forked(worker, 4711),
            FromZygote::Ready,
        ] {
            assert_eq!(FromZygote::decode(&message.encode()), Ok(message));
        }
    }
}
