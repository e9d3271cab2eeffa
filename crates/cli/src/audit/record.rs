//! What a walk says to `hostel audit`: bounded records, one a message.
//!
//! Written by a process of the site's user, read by root, who checks every field: nothing in it is more than something to be shown.

use hostel_wire::codec::{Malformed, Reader, Writer};
use hostel_wire::limits::PATH_BYTES_MAX;

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Acl,
    Closed,
    HardLink,
    LinkOut,
    LinkSystem,
    LogWritable,
    NotCounted,
    Readable,
    SecretReadable,
    SecretServed,
    SetIdForeign,
    SetIdOwn,
    Writable,
    WrongOwner,
}

impl Kind {
    /// All of them; a kind's place is its number in a record.
    pub(crate) const ALL: [Self; 14] = [
        Self::Acl,
        Self::Closed,
        Self::HardLink,
        Self::LinkOut,
        Self::LinkSystem,
        Self::LogWritable,
        Self::NotCounted,
        Self::Readable,
        Self::SecretReadable,
        Self::SecretServed,
        Self::SetIdForeign,
        Self::SetIdOwn,
        Self::Writable,
        Self::WrongOwner,
    ];

    pub(crate) fn place(self) -> usize {
        self as usize
    }
}

/// One file or directory of which something is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    /// Relative to home; empty for home itself.
    pub(crate) path: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Where a link leads, what an access list says.
    pub(crate) text: Vec<u8>,
}

/// The end of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// Files, directories and links looked at.
    pub(crate) files: u64,
    /// How many of each kind, those among them that were not sent.
    pub(crate) counts: [u64; Kind::ALL.len()],
    /// Why it did not see everything; empty if it did.
    pub(crate) stopped: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    Seen(Seen),
    Progress { files: u64 },
    End(End),
}

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Seen(seen) => {
                let kind = u8::try_from(seen.kind.place()).unwrap_or(u8::MAX);
                w.u8(1).u8(kind).bytes(&seen.path);
                w.u32(seen.mode).u32(seen.uid).u32(seen.gid);
                w.bytes(&seen.text);
            }
            Self::Progress { files } => {
                w.u8(2).u64(*files);
            }
            Self::End(end) => {
                w.u8(3).u64(end.files);
                for count in end.counts {
                    w.u64(count);
                }
                w.text(&end.stopped);
            }
        }
        w.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let record = match r.u8("kind")? {
            1 => {
                let kind = usize::from(r.u8("kind of finding")?);
                let kind = Kind::ALL.get(kind);
                Self::Seen(Seen {
                    kind: *kind.ok_or(Malformed::Value("kind of finding"))?,
                    path: relative(r.bytes(PATH_BYTES_MAX, "path")?)?,
                    mode: r.u32("mode")?,
                    uid: r.u32("uid")?,
                    gid: r.u32("gid")?,
                    text: r.bytes(PATH_BYTES_MAX, "text")?.to_vec(),
                })
            }
            2 => Self::Progress {
                files: r.u64("files")?,
            },
            3 => {
                let files = r.u64("files")?;
                let mut counts = [0; Kind::ALL.len()];
                for count in &mut counts {
                    *count = r.u64("count")?;
                }
                let stopped = r.text(PATH_BYTES_MAX, "reason")?.to_owned();
                Self::End(End {
                    files,
                    counts,
                    stopped,
                })
            }
            _ => return Err(Malformed::Value("kind of record")),
        };
        r.end("record")?;
        Ok(record)
    }
}

/// A path that stays beneath home, as it was written.
fn relative(path: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut components = path.split(|byte| *byte == b'/');
    let is_sound = |name: &[u8]| !name.is_empty() && name != b"." && name != b"..";
    if !path.is_empty() && (path.contains(&0) || !components.all(is_sound)) {
        return Err(Malformed::Value("path"));
    }
    Ok(path.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(path: &[u8]) -> Record {
        Record::Seen(Seen {
            kind: Kind::WrongOwner,
            path: path.to_vec(),
            mode: 0o100_644,
            uid: 33,
            gid: 33,
            text: b"x".to_vec(),
        })
    }

    #[test]
    fn every_record_survives_and_no_part_of_one_is_one() {
        let end = End {
            files: 7,
            counts: [3; Kind::ALL.len()],
            stopped: "time".into(),
        };
        for record in [
            seen(b"a/b"),
            seen(b""),
            Record::Progress { files: 1 },
            Record::End(end),
        ] {
            let bytes = record.encode();
            assert_eq!(Record::decode(&bytes), Ok(record));
            for cut in 0..bytes.len() {
                assert!(Record::decode(&bytes[..cut]).is_err());
            }
        }
    }

    #[test]
    fn kinds_stand_at_their_places() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind.place(), place);
        }
    }

    #[test]
    fn a_path_out_of_home_is_refused() {
        for path in [
            &b"/etc"[..],
            b"../x",
            b"a/../b",
            b"a//b",
            b"a/",
            b"a\0b",
            b".",
        ] {
            assert!(Record::decode(&seen(path).encode()).is_err(), "{path:?}");
        }
    }
}
