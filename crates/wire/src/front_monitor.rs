//! Front and monitor: what the monitor tells the front, and the few questions the front may ask.
//!
//! The front knows a site by number only; it cannot name a user, a path or a command. Messages to the front may carry
//! descriptors (the number is [`ToFront::descriptors`]); messages to the monitor have a fixed size and carry none.
//!
//! Order at start: `Settings`, `Descriptor` for each socket and file, the table (`TableBegin`, `Site`…, `TableEnd`), then the
//! front answers `Ready`. On reload sites that are awake and have changed are tried first; then only what has changed of the table is sent, in the same way; on a restart of the front everything is,
//! and a `Keeper` for each site that is awake.

use crate::codec::{Malformed, Reader, Writer};
use crate::fresh::Fresh;
use crate::limits;

/// The number of a site. Never used again for another site, nor for the same one with other settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(pub u32);

/// What the monitor tells the front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToFront {
    /// Finish running requests within `seconds`, then end.
    Drain {
        /// The longest wait.
        seconds: u32,
    },
    /// A socket or file that the monitor opened. One descriptor.
    Descriptor(Opened),
    /// The site's sandbox was started. Two descriptors: the keeper's socket, and the read end of the pipe that is the
    /// standard error of all that runs in the site.
    Keeper {
        /// Which site.
        site: SiteId,
        /// Process id of the keeper as the host sees it, to be shown in the status.
        pid: u32,
    },
    /// The site's log of its jobs, opened after one of them has begun and again on SIGUSR1. One descriptor.
    JobsLog {
        /// Which site.
        site: SiteId,
    },
    /// What a job of the site writes is to go into that log. One descriptor: the read end of a pipe.
    JobOutput {
        /// Which site.
        site: SiteId,
        /// The job's name.
        job: String,
    },
    /// Host-wide settings; the first message.
    Settings(FrontSettings),
    /// Sites that the table has from now on.
    Sites(Vec<SiteEntry>),
    /// Sites that left the table: they are to be finished and released.
    Gone(Vec<SiteId>),
    /// Another front takes new connections from now on: finish those that are open, each with its next answer, within `seconds`, then end.
    Leave {
        /// The longest wait.
        seconds: u32,
    },
    /// The site has no sandbox (any more).
    SiteDown {
        /// Which site.
        site: SiteId,
        /// Why.
        reason: Down,
        /// When another `WakeSite` may succeed, in milliseconds from now.
        retry_ms: u32,
    },
    /// The site's log files, opened when it wakes and again on SIGUSR1. Two descriptors: access log, error log.
    SiteLogs {
        /// Which site.
        site: SiteId,
    },
    /// The kernel has held a site to one of its bounds: to be told in the site's error log.
    SiteNotice {
        /// Which site.
        site: SiteId,
        /// What happened.
        notice: Notice,
    },
    /// Changes of the table follow, which is empty at first.
    TableBegin,
    /// These were all; they hold from now on, all at once.
    TableEnd,
    /// Sites that may come into the table, if they start: each is to be woken, PHP too, and answered by `SiteWorks` or `SiteFails`.
    Trial(Vec<SiteEntry>),
}

/// What a `Descriptor` message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// A listening TCP socket for HTTP.
    HttpListener,
    /// The server's own log, opened for appending; again on SIGUSR1.
    ServerLog,
    /// The directory in which the front may create unnamed files.
    SpillDirectory,
    /// A listening Unix socket that only root can connect to.
    StatusListener,
}

/// What happened at a bound of a site since the last notice of the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Processes were ended since together all had reached `memory_max`.
    MemoryUsedUp {
        /// How many.
        ended: u32,
        /// The bound, in bytes.
        memory_max: u64,
    },
    /// Processes and threads were refused since there were `processes_max`.
    ProcessesUsedUp {
        /// How many.
        refused: u32,
        /// The bound.
        processes_max: u32,
    },
}

/// Why a site has no sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// The keeper ended by itself, with status 0: nobody had visited.
    Asleep,
    /// The keeper died. The monitor's log says how.
    Died,
    /// The sandbox could not be made. The monitor's log says at which step.
    SpawnFailed,
}

/// Host-wide settings of the front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontSettings {
    /// 0 error, 1 warning, 2 information, 3 debugging.
    pub log_level: u8,
}

/// One site, as the front knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteEntry {
    /// Its number.
    pub id: SiteId,
    /// Its name, for logs and the status.
    pub name: String,
    /// Its user's name, for the status.
    pub user: String,
    /// Lower-case domains; one that starts with `*.` stands for every name beneath it.
    pub domains: Vec<String>,
    /// Extensions, without the dot, of the files that PHP runs.
    pub script_extensions: Vec<String>,
    /// The most workers.
    pub workers_max: u32,
    /// The most requests that wait for a worker.
    pub queue_max: u32,
    /// The longest wait for a worker, in milliseconds.
    pub queue_ms_max: u32,
    /// The longest run of one request, in milliseconds of wall-clock time.
    pub request_ms_max: u32,
    /// The largest body of a request.
    pub body_bytes_max: u64,
    /// The largest answer that is held for a slow client (memory and spill file); beyond it the worker waits.
    pub answer_bytes_max: u64,
    /// The most bytes on disk for bodies of its requests and for its answers that wait, together. Bodies beyond it are refused;
    /// of answers the worker waits.
    pub spill_bytes_max: u64,
    /// The most bytes in each of its two log files; beyond it nothing is written until there is another file.
    pub log_bytes_max: u64,
    /// After how many milliseconds without a request a worker may be ended, and after ten times that the whole site.
    pub idle_ms: u32,
    /// Its share of workers and queue beside other sites, 1 to 10000; 100 is the usual share.
    pub cpu_weight: u32,
    /// Whether every visitor is answered with status 503, and nothing of the site runs.
    pub suspended: bool,
    /// What becomes of a worker's state after a request.
    pub fresh: Fresh,
}

/// What the front asks of the monitor. Fixed size: see [`ToMonitor::BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToMonitor {
    /// No request runs any more and none will be taken: the front is about to end, as `Drain` asked.
    Drained,
    /// The table was taken and connections are accepted.
    Ready,
    /// A site has a visitor and a keeper that broke its word or does not answer: its sandbox may be killed, and is to start anew.
    ReplaceSite(SiteId),
    /// A site that is tried does not start.
    SiteFails(SiteId),
    /// A site that is no longer in the table has no running request; its sandbox may be ended.
    SiteReleased(SiteId),
    /// A site that is tried has started, and PHP in it.
    SiteWorks(SiteId),
    /// Changes of the table hold: one for each `TableEnd` but the first, which `Ready` answers.
    TableTaken,
    /// A site without a sandbox has a visitor.
    WakeSite(SiteId),
}

impl ToFront {
    /// The messages by which the table changes, each as long as it may be at most.
    pub fn changes(gone: &[SiteId], added: impl IntoIterator<Item = SiteEntry>) -> Vec<Self> {
        let mut messages = vec![Self::TableBegin];
        let gone = gone.chunks(limits::TABLE_SITES_MAX);
        messages.extend(gone.map(|ids| Self::Gone(ids.to_vec())));
        let (mut together, mut bytes) = (Vec::new(), 0);
        for entry in added {
            let mut w = Writer::new();
            entry.encode(&mut w);
            let length = w.finish().len();
            let is_full = together.len() == limits::TABLE_SITES_MAX
                || bytes + length > limits::MESSAGE_BYTES_MAX - SITES_HEAD_BYTES;
            if is_full && !together.is_empty() {
                messages.push(Self::Sites(std::mem::take(&mut together)));
                bytes = 0;
            }
            together.push(entry);
            bytes += length;
        }
        if !together.is_empty() {
            messages.push(Self::Sites(together));
        }
        messages.push(Self::TableEnd);
        messages
    }

    /// How many descriptors come with this message.
    pub fn descriptors(&self) -> usize {
        match self {
            Self::Descriptor(_) | Self::JobsLog { .. } | Self::JobOutput { .. } => 1,
            Self::Keeper { .. } | Self::SiteLogs { .. } => 2,
            Self::Drain { .. }
            | Self::Settings(_)
            | Self::Sites(_)
            | Self::Gone(_)
            | Self::Leave { .. }
            | Self::SiteDown { .. }
            | Self::SiteNotice { .. }
            | Self::TableBegin
            | Self::TableEnd
            | Self::Trial(_) => 0,
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Drain { seconds } => w.u8(1).u32(*seconds),
            Self::Descriptor(opened) => w.u8(2).u8(match opened {
                Opened::HttpListener => 1,
                Opened::ServerLog => 2,
                Opened::SpillDirectory => 3,
                Opened::StatusListener => 4,
            }),
            Self::Keeper { site, pid } => w.u8(3).u32(site.0).u32(*pid),
            Self::Settings(settings) => w.u8(4).u8(settings.log_level),
            Self::Sites(sites) => write_sites(w.u8(5), sites),
            Self::Gone(sites) => {
                w.u8(11).count(sites.len());
                for site in sites {
                    w.u32(site.0);
                }
                &mut w
            }
            Self::SiteDown {
                site,
                reason,
                retry_ms,
            } => w
                .u8(6)
                .u32(site.0)
                .u8(match reason {
                    Down::Asleep => 1,
                    Down::Died => 2,
                    Down::SpawnFailed => 3,
                })
                .u32(*retry_ms),
            Self::SiteLogs { site } => w.u8(7).u32(site.0),
            Self::JobsLog { site } => w.u8(14).u32(site.0),
            Self::JobOutput { site, job } => w.u8(15).u32(site.0).text(job),
            Self::TableBegin => w.u8(8),
            Self::TableEnd => w.u8(9),
            Self::Leave { seconds } => w.u8(12).u32(*seconds),
            Self::Trial(sites) => write_sites(w.u8(13), sites),
            Self::SiteNotice { site, notice } => {
                let w = w.u8(10).u32(site.0);
                match notice {
                    Notice::MemoryUsedUp { ended, memory_max } => {
                        w.u8(1).u32(*ended).u64(*memory_max)
                    }
                    Notice::ProcessesUsedUp {
                        refused,
                        processes_max,
                    } => w.u8(2).u32(*refused).u32(*processes_max),
                }
            }
        };
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("kind")? {
            1 => Self::Drain {
                seconds: r.u32("seconds")?,
            },
            2 => Self::Descriptor(match r.u8("opened")? {
                1 => Opened::HttpListener,
                2 => Opened::ServerLog,
                3 => Opened::SpillDirectory,
                4 => Opened::StatusListener,
                _ => return Err(Malformed::Value("opened")),
            }),
            3 => Self::Keeper {
                site: SiteId(r.u32("site")?),
                pid: r.u32("pid")?,
            },
            4 => Self::Settings(FrontSettings {
                log_level: r.u8("log level")?,
            }),
            5 => Self::Sites(read_sites(&mut r)?),
            6 => Self::SiteDown {
                site: SiteId(r.u32("site")?),
                reason: match r.u8("reason")? {
                    1 => Down::Asleep,
                    2 => Down::Died,
                    3 => Down::SpawnFailed,
                    _ => return Err(Malformed::Value("reason")),
                },
                retry_ms: r.u32("retry")?,
            },
            7 => Self::SiteLogs {
                site: SiteId(r.u32("site")?),
            },
            8 => Self::TableBegin,
            9 => Self::TableEnd,
            10 => Self::SiteNotice {
                site: SiteId(r.u32("site")?),
                notice: match r.u8("notice")? {
                    1 => Notice::MemoryUsedUp {
                        ended: r.u32("ended")?,
                        memory_max: r.u64("memory_max")?,
                    },
                    2 => Notice::ProcessesUsedUp {
                        refused: r.u32("refused")?,
                        processes_max: r.u32("processes_max")?,
                    },
                    _ => return Err(Malformed::Value("notice")),
                },
            },
            11 => {
                let count = r.count(limits::TABLE_SITES_MAX, "sites")?;
                let sites = (0..count).map(|_| r.u32("site").map(SiteId));
                Self::Gone(sites.collect::<Result<_, _>>()?)
            }
            12 => Self::Leave {
                seconds: r.u32("seconds")?,
            },
            13 => Self::Trial(read_sites(&mut r)?),
            14 => Self::JobsLog {
                site: SiteId(r.u32("site")?),
            },
            15 => Self::JobOutput {
                site: SiteId(r.u32("site")?),
                job: r.text(limits::JOB_NAME_BYTES_MAX, "job")?.to_owned(),
            },
            _ => return Err(Malformed::Value("kind of message to the front")),
        };
        r.end("message to the front")?;
        Ok(message)
    }
}

impl SiteEntry {
    fn encode<'w>(&self, w: &'w mut Writer) -> &'w mut Writer {
        w.u32(self.id.0).text(&self.name).text(&self.user);
        write_texts(w, &self.domains);
        write_texts(w, &self.script_extensions);
        w.u32(self.workers_max)
            .u32(self.queue_max)
            .u32(self.queue_ms_max)
            .u32(self.request_ms_max)
            .u64(self.body_bytes_max)
            .u64(self.answer_bytes_max)
            .u64(self.spill_bytes_max)
            .u64(self.log_bytes_max)
            .u32(self.idle_ms)
            .u32(self.cpu_weight)
            .bool(self.suspended);
        self.fresh.encode(w);
        w
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            id: SiteId(r.u32("site")?),
            name: r.text(limits::SITE_NAME_BYTES_MAX, "name")?.to_owned(),
            user: r.text(limits::USER_NAME_BYTES_MAX, "user")?.to_owned(),
            domains: read_texts(r, limits::DOMAINS_MAX, limits::DOMAIN_BYTES_MAX, "domains")?,
            script_extensions: read_texts(
                r,
                limits::LIST_MAX,
                limits::LIST_NAME_BYTES_MAX,
                "extensions",
            )?,
            workers_max: r.u32("workers_max")?,
            queue_max: r.u32("queue_max")?,
            queue_ms_max: r.u32("queue_ms_max")?,
            request_ms_max: r.u32("request_ms_max")?,
            body_bytes_max: r.u64("body_bytes_max")?,
            answer_bytes_max: r.u64("answer_bytes_max")?,
            spill_bytes_max: r.u64("spill_bytes_max")?,
            log_bytes_max: r.u64("log_bytes_max")?,
            idle_ms: r.u32("idle_ms")?,
            cpu_weight: r.u32("cpu_weight")?,
            suspended: r.bool("suspended")?,
            fresh: Fresh::decode(r)?,
        })
    }
}

impl ToMonitor {
    /// The size of every message to the monitor.
    pub const BYTES: usize = 5;

    /// As bytes.
    pub fn encode(self) -> [u8; Self::BYTES] {
        let (kind, site) = match self {
            Self::Drained => (1, 0),
            Self::Ready => (2, 0),
            Self::SiteReleased(site) => (3, site.0),
            Self::WakeSite(site) => (4, site.0),
            Self::ReplaceSite(site) => (5, site.0),
            Self::SiteWorks(site) => (6, site.0),
            Self::SiteFails(site) => (7, site.0),
            Self::TableTaken => (8, 0),
        };
        let [a, b, c, d] = site.to_le_bytes();
        [kind, a, b, c, d]
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let kind = r.u8("kind")?;
        let site = SiteId(r.u32("site")?);
        r.end("message to the monitor")?;
        match kind {
            1 => Ok(Self::Drained),
            2 => Ok(Self::Ready),
            3 => Ok(Self::SiteReleased(site)),
            4 => Ok(Self::WakeSite(site)),
            5 => Ok(Self::ReplaceSite(site)),
            6 => Ok(Self::SiteWorks(site)),
            7 => Ok(Self::SiteFails(site)),
            8 => Ok(Self::TableTaken),
            _ => Err(Malformed::Value("kind of message to the monitor")),
        }
    }
}

/// What stands before the entries of sites, and then some.
const SITES_HEAD_BYTES: usize = 16;

fn write_sites<'w>(w: &'w mut Writer, sites: &[SiteEntry]) -> &'w mut Writer {
    w.count(sites.len());
    for site in sites {
        site.encode(w);
    }
    w
}

fn read_sites(r: &mut Reader<'_>) -> Result<Vec<SiteEntry>, Malformed> {
    let count = r.count(limits::TABLE_SITES_MAX, "sites")?;
    (0..count).map(|_| SiteEntry::decode(r)).collect()
}

pub(crate) fn write_texts(w: &mut Writer, texts: &[String]) {
    w.count(texts.len());
    for text in texts {
        w.text(text);
    }
}

pub(crate) fn read_texts(
    r: &mut Reader<'_>,
    count_max: usize,
    bytes_max: usize,
    field: &'static str,
) -> Result<Vec<String>, Malformed> {
    let count = r.count(count_max, field)?;
    (0..count)
        .map(|_| r.text(bytes_max, field).map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> SiteEntry {
        SiteEntry {
            id: SiteId(7),
            name: "blog".into(),
            user: "blog".into(),
            domains: vec!["blog.example".into(), "*.blog.example".into()],
            script_extensions: vec!["php".into()],
            workers_max: 8,
            queue_max: 128,
            queue_ms_max: 10_000,
            request_ms_max: 300_000,
            body_bytes_max: 1 << 27,
            answer_bytes_max: 1 << 30,
            spill_bytes_max: 1 << 32,
            log_bytes_max: 1 << 30,
            idle_ms: 60_000,
            cpu_weight: 100,
            suspended: true,
            fresh: Fresh::On,
        }
    }

    #[test]
    fn every_message_to_the_front_survives_the_wire() {
        let site = SiteId(7);
        for message in [
            ToFront::Drain { seconds: 30 },
            ToFront::Descriptor(Opened::HttpListener),
            ToFront::Descriptor(Opened::ServerLog),
            ToFront::Descriptor(Opened::SpillDirectory),
            ToFront::Descriptor(Opened::StatusListener),
            ToFront::Keeper { site, pid: 4711 },
            ToFront::Settings(FrontSettings { log_level: 2 }),
            ToFront::Sites(vec![entry(), entry()]),
            ToFront::Gone(vec![site, SiteId(8)]),
            ToFront::SiteDown {
                site,
                reason: Down::Died,
                retry_ms: 250,
            },
            ToFront::SiteLogs { site },
            ToFront::JobsLog { site },
            ToFront::JobOutput {
                site,
                job: "queue".to_owned(),
            },
            ToFront::SiteNotice {
                site,
                notice: Notice::MemoryUsedUp {
                    ended: 2,
                    memory_max: 1 << 40,
                },
            },
            ToFront::SiteNotice {
                site,
                notice: Notice::ProcessesUsedUp {
                    refused: 1000,
                    processes_max: 512,
                },
            },
            ToFront::TableBegin,
            ToFront::TableEnd,
            ToFront::Leave { seconds: 30 },
            ToFront::Trial(vec![entry(), entry()]),
        ] {
            let bytes = message.encode();
            assert_eq!(ToFront::decode(&bytes), Ok(message.clone()));
            for cut in 0..bytes.len() {
                assert!(
                    ToFront::decode(&bytes[..cut]).is_err(),
                    "{message:?} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn changes_of_any_size_fit_their_messages() {
        let long = SiteEntry {
            domains: vec!["d".repeat(limits::DOMAIN_BYTES_MAX); limits::DOMAINS_MAX],
            ..entry()
        };
        let gone: Vec<SiteId> = (0..10_000).map(SiteId).collect();
        let added: Vec<SiteEntry> = (0..10_000)
            .map(|number| SiteEntry {
                id: SiteId(number),
                ..if number % 1000 == 0 {
                    long.clone()
                } else {
                    entry()
                }
            })
            .collect();
        let messages = ToFront::changes(&gone, added.clone());
        assert!(messages.len() < 100, "{}", messages.len());
        let (mut found_gone, mut found_added) = (Vec::new(), Vec::new());
        for message in &messages {
            let bytes = message.encode();
            assert!(bytes.len() <= limits::MESSAGE_BYTES_MAX);
            match ToFront::decode(&bytes).unwrap() {
                ToFront::Gone(ids) => found_gone.extend(ids),
                ToFront::Sites(sites) => found_added.extend(sites),
                _ => {}
            }
        }
        assert_eq!((found_gone, found_added), (gone, added));
        let ends = [messages.first(), messages.last()];
        assert_eq!(ends, [Some(&ToFront::TableBegin), Some(&ToFront::TableEnd)]);
        let nothing = ToFront::changes(&[], Vec::new());
        assert_eq!(nothing, [ToFront::TableBegin, ToFront::TableEnd]);
    }

    #[test]
    fn every_message_to_the_monitor_survives_the_wire() {
        for message in [
            ToMonitor::Drained,
            ToMonitor::Ready,
            ToMonitor::SiteReleased(SiteId(1)),
            ToMonitor::WakeSite(SiteId(9)),
            ToMonitor::ReplaceSite(SiteId(9)),
            ToMonitor::SiteWorks(SiteId(9)),
            ToMonitor::SiteFails(SiteId(9)),
            ToMonitor::TableTaken,
        ] {
            assert_eq!(ToMonitor::decode(&message.encode()), Ok(message));
        }
        assert!(ToMonitor::decode(&[9, 0, 0, 0, 0]).is_err());
        assert!(ToMonitor::decode(&[1, 0, 0, 0, 0, 0]).is_err());
    }
}
