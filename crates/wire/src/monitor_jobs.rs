//! Monitor and jobs: run what the configuration says; here is what a job writes.
//!
//! The socket stands on the descriptor [`CONTROL_DESCRIPTOR`](crate::view::CONTROL_DESCRIPTOR) of hostel-jobs. End of file there ends it
//! and with it everything that it has started. Both sides are root's; names are those of the configuration.

use crate::codec::{Malformed, Reader, Writer};
use crate::limits;

/// What the monitor tells hostel-jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToJobs {
    /// Read the configuration (again), and run what it says.
    Apply {
        /// Whether the packet filter holds sites to their `egress`.
        is_filtered: bool,
        /// The directory of the control group in which those of sites stand; empty where there are none.
        groups: String,
    },
    /// There is a new front: it needs all outputs.
    Front,
    /// End everything within `seconds`, and then yourself.
    Stop {
        /// The longest wait.
        seconds: u32,
    },
}

/// What hostel-jobs tells the monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromJobs {
    /// What a job writes is for the site's log. One descriptor: the read end of a pipe.
    Output {
        /// The site's name.
        site: String,
        /// The job's name.
        job: String,
    },
    /// What somebody should know, in one line.
    Warning(String),
}

impl ToJobs {
    /// The most bytes of a message.
    pub const BYTES_MAX: usize = 1 + 1 + 4 + limits::PATH_BYTES_MAX;

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Apply {
                is_filtered,
                groups,
            } => w.u8(1).bool(*is_filtered).text(groups),
            Self::Front => w.u8(2),
            Self::Stop { seconds } => w.u8(3).u32(*seconds),
        };
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("kind")? {
            1 => Self::Apply {
                is_filtered: r.bool("whether egress is filtered")?,
                groups: r.text(limits::PATH_BYTES_MAX, "control groups")?.to_owned(),
            },
            2 => Self::Front,
            3 => Self::Stop {
                seconds: r.u32("seconds")?,
            },
            _ => return Err(Malformed::Value("kind of message to hostel-jobs")),
        };
        r.end("message to hostel-jobs")?;
        Ok(message)
    }
}

impl FromJobs {
    /// The most bytes of a message.
    pub const BYTES_MAX: usize = 1 + 4 + limits::LOG_BYTES_MAX;

    /// How many descriptors come with this message.
    pub fn descriptors(&self) -> usize {
        match self {
            Self::Output { .. } => 1,
            Self::Warning(_) => 0,
        }
    }

    /// As bytes. Text that is too long is cut.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Output { site, job } => w.u8(1).text(site).text(job),
            Self::Warning(text) => w
                .u8(2)
                .text(&text[..text.floor_char_boundary(limits::LOG_BYTES_MAX)]),
        };
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("kind")? {
            1 => Self::Output {
                site: r.text(limits::SITE_NAME_BYTES_MAX, "site")?.to_owned(),
                job: r.text(limits::JOB_NAME_BYTES_MAX, "job")?.to_owned(),
            },
            2 => Self::Warning(r.text(limits::LOG_BYTES_MAX, "text")?.to_owned()),
            _ => return Err(Malformed::Value("kind of message of hostel-jobs")),
        };
        r.end("message of hostel-jobs")?;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_wire() {
        for message in [
            ToJobs::Apply {
                is_filtered: true,
                groups: "/sys/fs/cgroup/hostel:run:hostel".to_owned(),
            },
            ToJobs::Front,
            ToJobs::Stop { seconds: 10 },
        ] {
            let bytes = message.encode();
            assert!(bytes.len() <= ToJobs::BYTES_MAX);
            assert_eq!(ToJobs::decode(&bytes), Ok(message));
            assert!((0..bytes.len()).all(|cut| ToJobs::decode(&bytes[..cut]).is_err()));
        }
        for message in [
            FromJobs::Output {
                site: "blog".to_owned(),
                job: "queue".to_owned(),
            },
            FromJobs::Warning("no".to_owned()),
        ] {
            let bytes = message.encode();
            assert!(bytes.len() <= FromJobs::BYTES_MAX);
            assert_eq!(FromJobs::decode(&bytes), Ok(message));
            assert!((0..bytes.len()).all(|cut| FromJobs::decode(&bytes[..cut]).is_err()));
        }
        let long = FromJobs::Warning("ä".repeat(limits::LOG_BYTES_MAX)).encode();
        assert_eq!(long.len(), FromJobs::BYTES_MAX);
        assert!(FromJobs::decode(&long).is_ok());
    }
}
