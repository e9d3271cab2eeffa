//! Monitor and firewall: here is what holds for the sites; it is in place, or why not.
//!
//! The firewall's socket stands on its descriptor [`CONTROL_DESCRIPTOR`](crate::view::CONTROL_DESCRIPTOR). End of file there ends
//! the firewall, which removes its rules before.

use crate::codec::{Malformed, Reader, Writer};
use crate::limits;

/// What the monitor tells the firewall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToFirewall {
    /// Put these rules in place of the earlier ones. One descriptor: a file with a [`Policy`](crate::egress::Policy).
    Apply {
        /// Which one it is; each has a greater number than those before.
        generation: u32,
    },
}

/// What the firewall tells the monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromFirewall {
    /// The rules of this generation are in force.
    Applied {
        /// The number that came with them.
        generation: u32,
    },
    /// They are not. Those of an earlier generation still may be.
    Failed {
        /// The number that came with them.
        generation: u32,
        /// Why, and what to do.
        reason: String,
    },
    /// Something for the server's log, which needs somebody's attention.
    Warning {
        /// One line.
        text: String,
    },
}

impl ToFirewall {
    /// How many descriptors come with this message.
    pub const DESCRIPTORS: usize = 1;

    /// As bytes.
    pub fn encode(self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Apply { generation } => w.u8(1).u32(generation),
        };
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("kind")? {
            1 => Self::Apply {
                generation: r.u32("generation")?,
            },
            _ => return Err(Malformed::Value("kind of message to the firewall")),
        };
        r.end("message to the firewall")?;
        Ok(message)
    }
}

impl FromFirewall {
    /// As bytes. Text that is too long is cut.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Applied { generation } => w.u8(1).u32(*generation),
            Self::Failed { generation, reason } => w.u8(2).u32(*generation).text(cut(reason)),
            Self::Warning { text } => w.u8(3).text(cut(text)),
        };
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("kind")? {
            1 => Self::Applied {
                generation: r.u32("generation")?,
            },
            2 => Self::Failed {
                generation: r.u32("generation")?,
                reason: r.text(limits::LOG_BYTES_MAX, "reason")?.to_owned(),
            },
            3 => Self::Warning {
                text: r.text(limits::LOG_BYTES_MAX, "text")?.to_owned(),
            },
            _ => return Err(Malformed::Value("kind of message of the firewall")),
        };
        r.end("message of the firewall")?;
        Ok(message)
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(limits::LOG_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_wire() {
        let message = ToFirewall::Apply { generation: 7 };
        let bytes = message.encode();
        assert_eq!(ToFirewall::decode(&bytes), Ok(message));
        assert!((0..bytes.len()).all(|cut| ToFirewall::decode(&bytes[..cut]).is_err()));
        for message in [
            FromFirewall::Applied { generation: 7 },
            FromFirewall::Failed {
                generation: 7,
                reason: "no nft".to_owned(),
            },
            FromFirewall::Warning {
                text: "x".to_owned(),
            },
        ] {
            let bytes = message.encode();
            assert_eq!(FromFirewall::decode(&bytes), Ok(message));
            assert!((0..bytes.len()).all(|cut| FromFirewall::decode(&bytes[..cut]).is_err()));
        }
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let text = "ä".repeat(limits::LOG_BYTES_MAX);
        let bytes = FromFirewall::Warning { text }.encode();
        let Ok(FromFirewall::Warning { text }) = FromFirewall::decode(&bytes) else {
            panic!("not a warning");
        };
        assert_eq!(text.len(), limits::LOG_BYTES_MAX);
    }
}
