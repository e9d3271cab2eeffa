//! Monitor and monitor: what one hands to the next when it becomes another program, and what the next has said before.
//!
//! The new program is first run as a child that looks whether it could serve and answers with a [`Verdict`]. Then the monitor
//! becomes it, with a [`State`] in a sealed file and these descriptors, in this order: the status and the control socket, the
//! administrator's connection if there is one, each listening socket, of the front its pidfd and its socket, and of each
//! sandbox its pidfd, its control socket and the read end of its standard error.

use crate::codec::{Malformed, Reader, Writer};
use crate::limits;

/// Changes with every change of [`State`], of what is handed over, or of what a sandbox or front of the other version would not
/// understand.
pub const VERSION: u16 = 1;

/// Whether the new program can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Its [`VERSION`].
    pub version: u16,
    /// Why it cannot; empty where it can.
    pub fault: String,
}

/// What is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Whether an administrator waits for the outcome.
    pub is_asked: bool,
    /// The address of each listening socket.
    pub http: Vec<String>,
    /// The front's process id.
    pub front: u32,
    /// The last number that a site was given.
    pub last_id: u32,
    /// Control groups, where there are any.
    pub groups: Option<Groups>,
    /// The sites that the front knows.
    pub sites: Vec<Former>,
}

/// The control groups of the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// The directory above all of them.
    pub base: String,
    /// Whether the monitor was in that one, and had to leave.
    pub is_own: bool,
    /// How many sandboxes had one.
    pub count: u64,
}

/// A site as the old front knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its keeper's process id, if it is awake; three descriptors.
    pub keeper: Option<u32>,
    /// The directory of its control group, if it has one.
    pub group: Option<String>,
}

impl Verdict {
    /// The most bytes of a verdict.
    pub const BYTES_MAX: usize = 2 + 4 + limits::LOG_BYTES_MAX;

    /// As bytes. A text that is too long is cut.
    pub fn encode(&self) -> Vec<u8> {
        let end = self.fault.floor_char_boundary(limits::LOG_BYTES_MAX);
        let mut w = Writer::new();
        w.u16(self.version)
            .text(self.fault.get(..end).unwrap_or_default());
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let verdict = Self {
            version: r.u16("version")?,
            fault: r.text(limits::LOG_BYTES_MAX, "fault")?.to_owned(),
        };
        r.end("verdict")?;
        Ok(verdict)
    }
}

impl State {
    /// The most bytes of a state: every site with its group.
    pub const BYTES_MAX: usize = 64 << 20;

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u16(VERSION).bool(self.is_asked).count(self.http.len());
        for address in &self.http {
            w.text(address);
        }
        w.u32(self.front).u32(self.last_id);
        w.bool(self.groups.is_some());
        if let Some(groups) = &self.groups {
            w.text(&groups.base).bool(groups.is_own).u64(groups.count);
        }
        w.count(self.sites.len());
        for site in &self.sites {
            w.u32(site.id).text(&site.name).bool(site.keeper.is_some());
            if let Some(keeper) = site.keeper {
                w.u32(keeper);
            }
            w.bool(site.group.is_some());
            if let Some(group) = &site.group {
                w.text(group);
            }
        }
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        if r.u16("version")? != VERSION {
            return Err(Malformed::Value("version"));
        }
        let is_asked = r.bool("whether somebody waits")?;
        let count = r.count(ADDRESSES_MAX, "addresses")?;
        let http = (0..count)
            .map(|_| r.text(ADDRESS_BYTES_MAX, "address").map(str::to_owned))
            .collect::<Result<_, _>>()?;
        let (front, last_id) = (r.u32("front")?, r.u32("last number")?);
        let groups = match r.bool("groups")? {
            true => Some(Groups {
                base: r.text(limits::PATH_BYTES_MAX, "base")?.to_owned(),
                is_own: r.bool("whether it is its own")?,
                count: r.u64("count")?,
            }),
            false => None,
        };
        let count = r.count(SITES_MAX, "sites")?;
        let sites = (0..count).map(|_| Former::decode(&mut r));
        let sites = sites.collect::<Result<_, _>>()?;
        r.end("state")?;
        Ok(Self {
            is_asked,
            http,
            front,
            last_id,
            groups,
            sites,
        })
    }
}

impl Former {
    fn decode(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            id: r.u32("site")?,
            name: r.text(limits::SITE_NAME_BYTES_MAX, "name")?.to_owned(),
            keeper: match r.bool("whether it is awake")? {
                true => Some(r.u32("keeper")?),
                false => None,
            },
            group: match r.bool("whether it has a group")? {
                true => Some(r.text(limits::PATH_BYTES_MAX, "group")?.to_owned()),
                false => None,
            },
        })
    }
}

/// Addresses that a server listens on; nobody has as many.
const ADDRESSES_MAX: usize = 1024;
/// One of them, as text.
const ADDRESS_BYTES_MAX: usize = 64;
/// Sites of the table.
const SITES_MAX: usize = limits::SITES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_survives_the_wire() {
        for fault in ["", "no front"] {
            let verdict = Verdict {
                version: VERSION,
                fault: fault.to_owned(),
            };
            let bytes = verdict.encode();
            assert_eq!(Verdict::decode(&bytes), Ok(verdict));
            assert!((0..bytes.len()).all(|cut| Verdict::decode(&bytes[..cut]).is_err()));
        }
    }

    #[test]
    fn every_state_survives_the_wire() {
        let state = State {
            is_asked: true,
            http: vec!["127.0.0.1:80".to_owned(), "[::]:80".to_owned()],
            front: 4711,
            last_id: 9,
            groups: Some(Groups {
                base: "/sys/fs/cgroup/hostel".to_owned(),
                is_own: false,
                count: 12,
            }),
            sites: vec![
                Former {
                    id: 7,
                    name: "blog".to_owned(),
                    keeper: Some(4712),
                    group: Some("/sys/fs/cgroup/hostel/site-blog.1".to_owned()),
                },
                Former {
                    id: 9,
                    name: "shop".to_owned(),
                    keeper: None,
                    group: None,
                },
            ],
        };
        let bytes = state.encode();
        assert_eq!(State::decode(&bytes), Ok(state.clone()));
        assert!((0..bytes.len()).all(|cut| State::decode(&bytes[..cut]).is_err()));
        let mut other = bytes;
        other[0] += 1;
        assert_eq!(State::decode(&other), Err(Malformed::Value("version")));
        let bare = State {
            groups: None,
            sites: Vec::new(),
            ..state
        };
        assert_eq!(State::decode(&bare.encode()), Ok(bare));
    }
}
