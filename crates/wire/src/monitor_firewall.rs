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
pub struct FromFirewall {
    /// The rules that it is about.
    pub generation: u32,
    /// Whether they are in force. Where they are not, those of an earlier generation still may be.
    pub is_in_force: bool,
    /// What somebody should know: why they are not, or what else is wrong, in one line. Empty where all is well.
    pub text: String,
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
    /// The most bytes of a message.
    pub const BYTES_MAX: usize = 4 + 1 + 4 + limits::LOG_BYTES_MAX;

    /// As bytes. Text that is too long is cut.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u32(self.generation).bool(self.is_in_force);
        w.text(cut(&self.text));
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let message = Self {
            generation: r.u32("generation")?,
            is_in_force: r.bool("whether it is in force")?,
            text: r.text(limits::LOG_BYTES_MAX, "text")?.to_owned(),
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
        let message = FromFirewall {
            generation: 7,
            is_in_force: false,
            text: "no nft".to_owned(),
        };
        let bytes = message.encode();
        assert_eq!(FromFirewall::decode(&bytes), Ok(message));
        assert!((0..bytes.len()).all(|cut| FromFirewall::decode(&bytes[..cut]).is_err()));
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let text = "ä".repeat(limits::LOG_BYTES_MAX);
        let message = FromFirewall {
            generation: 7,
            is_in_force: true,
            text,
        };
        let bytes = message.encode();
        assert_eq!(bytes.len(), FromFirewall::BYTES_MAX);
        let text = FromFirewall::decode(&bytes).unwrap().text;
        assert_eq!(text.len(), limits::LOG_BYTES_MAX);
    }
}
