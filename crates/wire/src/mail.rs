//! A program of a site and the mail broker: here is a message; it is accepted, or why not.
//!
//! The site connects to the broker's socket in its view ([`MAIL_SOCKET`](crate::view::MAIL_SOCKET)), sends one [`Submission`] with one
//! descriptor, the message as a sealed file in memory, and receives one [`Verdict`]. Whatever the site says is a claim.

use crate::codec::{Malformed, Reader, Writer};
use crate::limits;

/// What a site wants to be sent. One descriptor: the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Whether the message's To, Cc and Bcc name recipients too.
    pub takes_recipients: bool,
    /// The envelope's sender; `None` for the site's usual one, empty for none.
    pub sender: Option<String>,
    /// Recipients besides those in the message.
    pub recipients: Vec<String>,
}

/// What the broker has done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// One of sysexits.h, 0 when it was accepted.
    pub status: u8,
    /// Why it was not, for a person; or the number under which it is queued.
    pub text: String,
}

impl Submission {
    /// How many descriptors come with this message.
    pub const DESCRIPTORS: usize = 1;

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bool(self.takes_recipients).bool(self.sender.is_some());
        if let Some(sender) = &self.sender {
            w.text(sender);
        }
        w.count(self.recipients.len());
        for recipient in &self.recipients {
            w.text(recipient);
        }
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let takes_recipients = r.bool("whether the message names recipients")?;
        let sender = match r.bool("whether there is a sender")? {
            true => Some(address(&mut r, "sender")?),
            false => None,
        };
        let count = r.count(limits::MAIL_RECIPIENTS_MAX, "recipients")?;
        let recipients = (0..count)
            .map(|_| address(&mut r, "recipient"))
            .collect::<Result<_, _>>()?;
        r.end("submission")?;
        Ok(Self {
            takes_recipients,
            sender,
            recipients,
        })
    }
}

impl Verdict {
    /// The most bytes of a verdict.
    pub const BYTES_MAX: usize = 1 + 4 + limits::REASON_BYTES_MAX;

    /// As bytes. Text that is too long is cut.
    pub fn encode(&self) -> Vec<u8> {
        let text = &self.text;
        let (cut, _) = text.split_at(text.floor_char_boundary(limits::REASON_BYTES_MAX));
        let mut w = Writer::new();
        w.u8(self.status).text(cut);
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let verdict = Self {
            status: r.u8("status")?,
            text: r.text(limits::REASON_BYTES_MAX, "text")?.to_owned(),
        };
        r.end("verdict")?;
        Ok(verdict)
    }
}

fn address(r: &mut Reader<'_>, field: &'static str) -> Result<String, Malformed> {
    Ok(r.text(limits::MAIL_ADDRESS_BYTES_MAX, field)?.to_owned())
}

/// The statuses of sysexits.h that are used here.
pub mod status {
    /// Accepted.
    pub const OK: u8 = 0;
    /// The program was called with what it does not know.
    pub const USAGE: u8 = 64;
    /// The message or an address is wrong.
    pub const BAD_DATA: u8 = 65;
    /// A service is not there.
    pub const UNAVAILABLE: u8 = 69;
    /// Try again later.
    pub const TRY_LATER: u8 = 75;
    /// It is not allowed.
    pub const NOT_PERMITTED: u8 = 77;
    /// The server is not set up for it.
    pub const NOT_CONFIGURED: u8 = 78;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_wire() {
        for sender in [None, Some(String::new()), Some("a@b.example".to_owned())] {
            let message = Submission {
                takes_recipients: true,
                sender,
                recipients: vec!["c@d.example".to_owned(); limits::MAIL_RECIPIENTS_MAX],
            };
            let bytes = message.encode();
            assert!((0..bytes.len()).all(|cut| Submission::decode(&bytes[..cut]).is_err()));
            assert_eq!(Submission::decode(&bytes), Ok(message));
        }
        let message = Verdict {
            status: status::TRY_LATER,
            text: "the disk is full".to_owned(),
        };
        let bytes = message.encode();
        assert!((0..bytes.len()).all(|cut| Verdict::decode(&bytes[..cut]).is_err()));
        assert_eq!(Verdict::decode(&bytes), Ok(message));
    }

    #[test]
    fn the_largest_submission_fits_one_packet() {
        let address = "a".repeat(limits::MAIL_ADDRESS_BYTES_MAX);
        let mut message = Submission {
            takes_recipients: false,
            sender: Some(address.clone()),
            recipients: vec![address; limits::MAIL_RECIPIENTS_MAX],
        };
        assert!(message.encode().len() <= limits::MESSAGE_BYTES_MAX);
        message.recipients.push("one more".to_owned());
        let one_too_many = Submission::decode(&message.encode());
        assert_eq!(one_too_many, Err(Malformed::TooLarge("recipients")));
    }

    #[test]
    fn a_long_verdict_is_cut_between_letters() {
        let text = "ä".repeat(limits::REASON_BYTES_MAX);
        let bytes = Verdict { status: 1, text }.encode();
        assert_eq!(bytes.len(), Verdict::BYTES_MAX);
        assert!(Verdict::decode(&bytes).is_ok());
    }
}
