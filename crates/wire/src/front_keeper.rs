//! Front and keeper: which file is this path, one more worker, who died.
//!
//! The front believes nothing that a keeper says beyond the site itself: paths, descriptors and numbers are checked by the
//! front. A keeper that sends bytes which are not one of these messages is given up.

use crate::codec::{Malformed, Reader, Writer};
use crate::keeper_zygote::{Death, WorkerId};
use crate::limits;

/// What the front asks of a keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrontToKeeper {
    /// Kill a worker that has run for too long or broke the protocol.
    KillWorker(WorkerId),
    /// What is at this path? Answered by [`KeeperToFront::Resolved`] with the same ticket.
    Resolve {
        /// Chosen by the front.
        ticket: u32,
        /// The normalised, percent-decoded path of the URL, with a leading slash and without `.`, `..`, `//` or NUL.
        path: Vec<u8>,
        /// The file that the front still holds open for this path, if any: answered by `Unchanged` where it is the same.
        known: Option<FileIdentity>,
    },
    /// End, if nothing runs in the site but the zygote and its workers; else answer `Busy`.
    Retire,
    /// One more worker (the first one starts PHP). One descriptor: the worker's socket to the front.
    StartWorker(WorkerId),
}

/// What a keeper tells the front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeeperToFront {
    /// The site cannot sleep: so many processes besides PHP's run in it.
    Busy {
        /// How many.
        processes: u32,
    },
    /// PHP ended or could not be started: every worker is gone or about to be, and those asked for will not come.
    PhpDown(Death),
    /// The keeper answers from now on.
    Ready,
    /// What is at a path. One descriptor with [`Resolution::File`], else none.
    Resolved {
        /// The question's.
        ticket: u32,
        /// The answer.
        resolution: Resolution,
    },
    /// A worker has ended. Final, even where its socket still is open in a process that it forked.
    WorkerDied(WorkerId, Death),
    /// A worker could not be started, for this errno; the others go on.
    WorkerFailed(WorkerId, i32),
    /// A worker was started. The process id is the one inside the site's own namespace.
    WorkerStarted(WorkerId, u32),
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// A directory, asked for without its slash.
    Directory,
    /// Something that failed for another reason than that it is not there, such as EIO or EMFILE.
    Failed(i32),
    /// A regular file: its descriptor comes with the message.
    File {
        /// What it was when it was opened.
        identity: FileIdentity,
        /// The last component of its name, which tells its media type: the path's own, or the index file's.
        name: Vec<u8>,
    },
    /// There is something that may not be served: closed to the site's user, of another owner, hidden, a directory without index.
    Forbidden,
    /// Nothing, and no front controller either.
    NotFound,
    /// A PHP script, by its path relative to the document root with a leading slash: the path itself, its index, or the front
    /// controller.
    Script {
        /// The script.
        path: Vec<u8>,
    },
    /// Nothing of the site is served: somebody else can write its document root, or a directory on the way there.
    RootRefused {
        /// What is wrong and what to do, for the logs.
        reason: String,
    },
    /// The file that the front named is still the one at this path.
    Unchanged,
}

/// By what a file is known to be the same. Times are seconds and nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    /// The device it is on.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// Its size in bytes.
    pub size: u64,
    /// When its contents were changed.
    pub modified: (i64, u32),
    /// When its inode was changed.
    pub changed: (i64, u32),
}

impl FrontToKeeper {
    /// How many descriptors come with this message.
    pub fn descriptors(&self) -> usize {
        match self {
            Self::StartWorker(_) => 1,
            Self::KillWorker(_) | Self::Resolve { .. } | Self::Retire => 0,
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::KillWorker(worker) => {
                w.u8(1).u32(worker.0);
            }
            Self::Resolve {
                ticket,
                path,
                known,
            } => {
                w.u8(2).u32(*ticket).bytes(path).bool(known.is_some());
                if let Some(identity) = known {
                    identity.encode(&mut w);
                }
            }
            Self::Retire => {
                w.u8(3);
            }
            Self::StartWorker(worker) => {
                w.u8(4).u32(worker.0);
            }
        }
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("kind")? {
            1 => Self::KillWorker(WorkerId(r.u32("worker")?)),
            2 => Self::Resolve {
                ticket: r.u32("ticket")?,
                path: r.bytes(limits::PATH_BYTES_MAX, "path")?.to_vec(),
                known: if r.bool("known")? {
                    Some(FileIdentity::decode(&mut r)?)
                } else {
                    None
                },
            },
            3 => Self::Retire,
            4 => Self::StartWorker(WorkerId(r.u32("worker")?)),
            _ => return Err(Malformed::Value("kind of message from front to keeper")),
        };
        r.end("message from front to keeper")?;
        Ok(message)
    }
}

impl KeeperToFront {
    /// How many descriptors come with this message.
    pub fn descriptors(&self) -> usize {
        match self {
            Self::Resolved {
                resolution: Resolution::File { .. },
                ..
            } => 1,
            Self::Busy { .. }
            | Self::PhpDown(_)
            | Self::Ready
            | Self::Resolved { .. }
            | Self::WorkerDied(..)
            | Self::WorkerFailed(..)
            | Self::WorkerStarted(..) => 0,
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Busy { processes } => {
                w.u8(1).u32(*processes);
            }
            Self::PhpDown(death) => death.encode(w.u8(2)),
            Self::Ready => {
                w.u8(3);
            }
            Self::Resolved { ticket, resolution } => resolution.encode(w.u8(4).u32(*ticket)),
            Self::WorkerDied(worker, death) => death.encode(w.u8(5).u32(worker.0)),
            Self::WorkerFailed(worker, errno) => {
                w.u8(6).u32(worker.0).i32(*errno);
            }
            Self::WorkerStarted(worker, pid) => {
                w.u8(7).u32(worker.0).u32(*pid);
            }
        }
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("kind")? {
            1 => Self::Busy {
                processes: r.u32("processes")?,
            },
            2 => Self::PhpDown(Death::decode(&mut r)?),
            3 => Self::Ready,
            4 => Self::Resolved {
                ticket: r.u32("ticket")?,
                resolution: Resolution::decode(&mut r)?,
            },
            5 => Self::WorkerDied(WorkerId(r.u32("worker")?), Death::decode(&mut r)?),
            6 => Self::WorkerFailed(WorkerId(r.u32("worker")?), r.i32("errno")?),
            7 => Self::WorkerStarted(WorkerId(r.u32("worker")?), r.u32("pid")?),
            _ => return Err(Malformed::Value("kind of message from keeper to front")),
        };
        r.end("message from keeper to front")?;
        Ok(message)
    }
}

impl Resolution {
    fn encode(&self, w: &mut Writer) {
        match self {
            Self::Directory => w.u8(1),
            Self::Failed(errno) => w.u8(2).i32(*errno),
            Self::File { identity, name } => {
                identity.encode(w.u8(3));
                w.bytes(name)
            }
            Self::Forbidden => w.u8(4),
            Self::NotFound => w.u8(5),
            Self::Script { path } => w.u8(6).bytes(path),
            Self::Unchanged => w.u8(7),
            Self::RootRefused { reason } => w.u8(8).text(cut(reason)),
        };
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match r.u8("resolution")? {
            1 => Self::Directory,
            2 => Self::Failed(r.i32("errno")?),
            3 => Self::File {
                identity: FileIdentity::decode(r)?,
                name: r.bytes(limits::PATH_BYTES_MAX, "name")?.to_vec(),
            },
            4 => Self::Forbidden,
            5 => Self::NotFound,
            6 => Self::Script {
                path: r.bytes(limits::PATH_BYTES_MAX, "script")?.to_vec(),
            },
            7 => Self::Unchanged,
            8 => Self::RootRefused {
                reason: r.text(limits::REASON_BYTES_MAX, "reason")?.to_owned(),
            },
            _ => return Err(Malformed::Value("resolution")),
        })
    }
}

impl FileIdentity {
    fn encode(&self, w: &mut Writer) {
        w.u64(self.device).u64(self.inode).u64(self.size);
        w.i64(self.modified.0)
            .u32(self.modified.1)
            .i64(self.changed.0)
            .u32(self.changed.1);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            device: r.u64("device")?,
            inode: r.u64("inode")?,
            size: r.u64("size")?,
            modified: (r.i64("modified")?, r.u32("modified")?),
            changed: (r.i64("changed")?, r.u32("changed")?),
        })
    }
}

/// So much of a reason as fits, in whole characters.
fn cut(reason: &str) -> &str {
    let end = reason.floor_char_boundary(limits::REASON_BYTES_MAX);
    reason.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> FileIdentity {
        FileIdentity {
            device: 1,
            inode: 2,
            size: 3,
            modified: (4, 5),
            changed: (-6, 7),
        }
    }

    #[test]
    fn every_question_survives_the_wire() {
        let worker = WorkerId(4);
        for message in [
            FrontToKeeper::KillWorker(worker),
            FrontToKeeper::Resolve {
                ticket: 1,
                path: b"/a".to_vec(),
                known: None,
            },
            FrontToKeeper::Resolve {
                ticket: 1,
                path: b"/a".to_vec(),
                known: Some(identity()),
            },
            FrontToKeeper::Retire,
            FrontToKeeper::StartWorker(worker),
        ] {
            let bytes = message.encode();
            assert_eq!(FrontToKeeper::decode(&bytes), Ok(message));
            assert!(FrontToKeeper::decode(&bytes[..bytes.len() - 1]).is_err());
        }
    }

    #[test]
    fn every_answer_survives_the_wire() {
        let worker = WorkerId(4);
        let resolutions = [
            Resolution::Directory,
            Resolution::Failed(5),
            Resolution::File {
                identity: identity(),
                name: b"a.css".to_vec(),
            },
            Resolution::Forbidden,
            Resolution::RootRefused {
                reason: "because".into(),
            },
            Resolution::NotFound,
            Resolution::Script {
                path: b"/index.php".to_vec(),
            },
            Resolution::Unchanged,
        ];
        let messages = resolutions.map(|resolution| KeeperToFront::Resolved {
            ticket: 9,
            resolution,
        });
        for message in messages.into_iter().chain([
            KeeperToFront::Busy { processes: 2 },
            KeeperToFront::PhpDown(Death::Exited(1)),
            KeeperToFront::Ready,
            KeeperToFront::WorkerDied(worker, Death::Signalled(11)),
            KeeperToFront::WorkerFailed(worker, 12),
            KeeperToFront::WorkerStarted(worker, 3),
        ]) {
            let bytes = message.encode();
            assert_eq!(KeeperToFront::decode(&bytes), Ok(message));
            assert!(KeeperToFront::decode(&bytes[..bytes.len() - 1]).is_err());
        }
    }
}
