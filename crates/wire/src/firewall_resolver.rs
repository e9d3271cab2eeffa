//! Firewall and resolver: which addresses has this name?
//!
//! Every message is of one size. The resolver speaks to the network and may be in anybody's hands; the firewall, which is root,
//! takes an answer for what somebody claims. The resolver's socket stands on its descriptor
//! [`CONTROL_DESCRIPTOR`](crate::view::CONTROL_DESCRIPTOR); end of file there ends it.

use std::net::IpAddr;

use crate::codec::{Malformed, Reader, Writer};
use crate::egress::{read_address, write_address};
use crate::limits;

/// A name to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Comes back with each answer.
    pub number: u32,
    /// A domain name.
    pub name: String,
}

/// A part of the answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The question's.
    pub number: u32,
    /// What was found.
    pub found: Found,
}

/// What was found for a name: addresses, then `End`; or `Failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// An address.
    Address {
        /// It.
        address: IpAddr,
        /// For how many seconds it holds.
        seconds: u32,
    },
    /// There are no more.
    End,
    /// The name could not be looked up, or has no address.
    Failed,
}

impl Question {
    /// The size of every question.
    pub const BYTES: usize = 4 + 1 + limits::DOMAIN_BYTES_MAX;

    /// As bytes. A name that is too long becomes the empty one, which has no address.
    pub fn encode(&self) -> Vec<u8> {
        let name = match u8::try_from(self.name.len()) {
            Ok(length) if self.name.len() <= limits::DOMAIN_BYTES_MAX => (length, &*self.name),
            _ => (0, ""),
        };
        let mut w = Writer::new();
        w.u32(self.number).u8(name.0).raw(name.1.as_bytes());
        let mut bytes = w.finish();
        bytes.resize(Self::BYTES, 0);
        bytes
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let number = r.u32("number")?;
        let length = usize::from(r.u8("length")?);
        let mut padded = Reader::new(r.take(limits::DOMAIN_BYTES_MAX, "name")?);
        r.end("question")?;
        let name = padded
            .take(length, "name")
            .map_err(|_| Malformed::TooLarge("name"))?;
        if padded.remaining().iter().any(|byte| *byte != 0) {
            return Err(Malformed::Value("name"));
        }
        let name = std::str::from_utf8(name).map_err(|_| Malformed::Value("name"))?;
        Ok(Self {
            number,
            name: name.to_owned(),
        })
    }
}

impl Answer {
    /// The size of every answer.
    pub const BYTES: usize = 4 + 1 + 4 + 1 + 16;

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u32(self.number);
        match self.found {
            Found::Address { address, seconds } => {
                write_address(w.u8(1).u32(seconds), address);
            }
            Found::End => {
                w.u8(2);
            }
            Found::Failed => {
                w.u8(3);
            }
        }
        let mut bytes = w.finish();
        bytes.resize(Self::BYTES, 0);
        bytes
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > Self::BYTES {
            return Err(Malformed::Surplus("answer"));
        }
        if bytes.len() < Self::BYTES {
            return Err(Malformed::Short("answer"));
        }
        let mut r = Reader::new(bytes);
        let number = r.u32("number")?;
        let found = match r.u8("kind")? {
            1 => {
                let seconds = r.u32("seconds")?;
                Found::Address {
                    address: read_address(&mut r)?,
                    seconds,
                }
            }
            2 => Found::End,
            3 => Found::Failed,
            _ => return Err(Malformed::Value("kind of answer")),
        };
        if r.remaining().iter().any(|byte| *byte != 0) {
            return Err(Malformed::Value("answer"));
        }
        Ok(Self { number, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_wire() {
        for name in ["", "api.example.org", &"a".repeat(limits::DOMAIN_BYTES_MAX)] {
            let question = Question {
                number: 7,
                name: name.to_owned(),
            };
            let bytes = question.encode();
            assert_eq!(bytes.len(), Question::BYTES);
            assert_eq!(Question::decode(&bytes), Ok(question));
            assert!((0..bytes.len()).all(|cut| Question::decode(&bytes[..cut]).is_err()));
        }
        for found in [
            Found::Address {
                address: "192.0.2.1".parse().unwrap(),
                seconds: 60,
            },
            Found::Address {
                address: "2001:db8::1".parse().unwrap(),
                seconds: 0,
            },
            Found::End,
            Found::Failed,
        ] {
            let answer = Answer { number: 7, found };
            let bytes = answer.encode();
            assert_eq!(bytes.len(), Answer::BYTES);
            assert_eq!(Answer::decode(&bytes), Ok(answer));
            assert!((0..bytes.len()).all(|cut| Answer::decode(&bytes[..cut]).is_err()));
        }
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        let mut bytes = Question {
            number: 1,
            name: "a".to_owned(),
        }
        .encode();
        bytes[4] = 255;
        assert_eq!(Question::decode(&bytes), Err(Malformed::TooLarge("name")));
        bytes[4] = 0;
        assert_eq!(Question::decode(&bytes), Err(Malformed::Value("name")));
    }
}
