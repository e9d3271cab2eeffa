//! What a child inside of a site's sandbox says to `hostel site`: bounded messages.
//!
//! Written by a process of the site's user, read by root, who checks every field: what it says is shown, and decides no more than whether a
//! step counts as done for this site.

use hostel_wire::codec::{Malformed, Reader, Writer};

/// What is at the document root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    Missing,
    Empty,
    Filled,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// It is at work: so many bytes have gone by, where that is known.
    Progress { bytes: u64 },
    /// What `Look` has found.
    Looked {
        root: Root,
        /// Files and directories right in home.
        entries: u64,
        /// Those among them that are neither the site's user's nor root's, and the owner of one of them.
        foreign: u64,
        foreign_uid: u32,
    },
    /// What `LookAtDatabase` has found: how many tables and the like, and how much room they take.
    Database { objects: u64, bytes: u64 },
    /// Done; with what a program had to say about it.
    Done { bytes: u64, words: String },
    /// Not done, and why.
    Failed { words: String },
}

impl Said {
    /// Why it was not done; of a long text its beginning.
    pub(crate) fn failed(mut words: String) -> Self {
        let mut end = words.len().min(WORDS_BYTES_MAX);
        while !words.is_char_boundary(end) {
            end -= 1;
        }
        words.truncate(end);
        Self::Failed { words }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Progress { bytes } => w.u8(1).u64(*bytes),
            Self::Looked {
                root,
                entries,
                foreign,
                foreign_uid,
            } => {
                let root = match root {
                    Root::Missing => 0,
                    Root::Empty => 1,
                    Root::Filled => 2,
                };
                w.u8(2)
                    .u8(root)
                    .u64(*entries)
                    .u64(*foreign)
                    .u32(*foreign_uid)
            }
            Self::Done { bytes, words } => w.u8(3).u64(*bytes).text(words),
            Self::Database { objects, bytes } => w.u8(5).u64(*objects).u64(*bytes),
            Self::Failed { words } => w.u8(4).text(words),
        };
        w.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let said = match r.u8("kind")? {
            1 => Self::Progress {
                bytes: r.u64("bytes")?,
            },
            2 => Self::Looked {
                root: match r.u8("root")? {
                    0 => Root::Missing,
                    1 => Root::Empty,
                    2 => Root::Filled,
                    _ => return Err(Malformed::Value("root")),
                },
                entries: r.u64("entries")?,
                foreign: r.u64("foreign")?,
                foreign_uid: r.u32("owner")?,
            },
            3 => Self::Done {
                bytes: r.u64("bytes")?,
                words: r.text(WORDS_BYTES_MAX, "words")?.to_owned(),
            },
            4 => Self::Failed {
                words: r.text(WORDS_BYTES_MAX, "words")?.to_owned(),
            },
            5 => Self::Database {
                objects: r.u64("objects")?,
                bytes: r.u64("bytes")?,
            },
            _ => return Err(Malformed::Value("kind of message")),
        };
        r.end("message")?;
        Ok(said)
    }
}

/// The last lines of what a program said.
pub(crate) const WORDS_BYTES_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_and_no_part_of_one_is_one() {
        for said in [
            Said::Progress { bytes: 1 },
            Said::Looked {
                root: Root::Filled,
                entries: 2,
                foreign: 1,
                foreign_uid: 33,
            },
            Said::Database {
                objects: 4,
                bytes: 5,
            },
            Said::Done {
                bytes: 3,
                words: "a\nb".into(),
            },
            Said::Failed { words: "x".into() },
        ] {
            let bytes = said.encode();
            assert_eq!(Said::decode(&bytes), Ok(said));
            for cut in 0..bytes.len() {
                assert!(Said::decode(&bytes[..cut]).is_err());
            }
        }
        let cut = Said::failed("ü".repeat(WORDS_BYTES_MAX)).encode();
        assert!(Said::decode(&cut).is_ok());
        let long = Said::Failed {
            words: "x".repeat(WORDS_BYTES_MAX + 1),
        };
        assert!(Said::decode(&long.encode()).is_err());
    }
}
