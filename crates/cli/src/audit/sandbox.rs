//! Starts a walk in a fresh instance of a site's sandbox and takes what it says.
//!
//! Run as root, which looks at no file of the site itself. The child is the site's user's: each record is checked, they are
//! bounded in number, and all of it in time; at the end the child is killed, whatever it does.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use hostel_config::{Server, Site};
use hostel_sys::fdpass;
use hostel_wire::limits::MESSAGE_BYTES_MAX;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::accounts;
use super::disk;
use super::record::{End, Kind, Record, Seen};
use super::walk::{Others, SENT_MAX, TIME_MAX};
use crate::inside::{self, Inside};
use crate::output;

/// What is needed to start sandboxes, or why that cannot be done.
pub(super) struct Sandboxes {
    opened: Result<Inside, String>,
}

/// What a walk has brought.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) seen: Vec<Seen>,
    /// `None` where it ended before its time, for this reason.
    pub(super) end: Result<End, String>,
}

impl Walked {
    /// How many files were looked at, if that is known.
    pub(super) fn files(&self) -> Option<u64> {
        self.end.as_ref().ok().map(|end| end.files)
    }
}

impl Sandboxes {
    pub(super) fn open(server: &Server) -> Self {
        Self {
            opened: Inside::open(server, "audit"),
        }
    }

    /// What starts them, if it could be opened.
    pub(super) fn opened(&self) -> Option<&Inside> {
        self.opened.as_ref().ok()
    }

    /// Walk through the home of a site.
    pub(super) fn walk(&self, server: &Server, site: &Site) -> Walked {
        let launched = self.opened.as_ref().map_err(Clone::clone);
        let launched = launched.and_then(|opened| opened.start(server, site, &arguments(site)));
        let mut walked = Walked {
            seen: Vec::new(),
            end: Err(String::new()),
        };
        match launched {
            Ok(launched) => {
                let until = Instant::now() + TIME_MAX + GRACE;
                let (control, ended) = (launched.control.as_fd(), launched.child.pidfd.as_fd());
                walked.end = hear(&site.name, control, ended, until, &mut walked.seen)
                    .unwrap_or_else(|| Err(inside::last_words(&launched)));
                inside::end(&launched);
            }
            Err(error) => walked.end = Err(error),
        }
        walked
    }
}

/// Take records until the last one, or `until`; `None` where the walk ends without one.
fn hear(
    name: &str,
    control: BorrowedFd<'_>,
    ended: BorrowedFd<'_>,
    until: Instant,
    seen: &mut Vec<Seen>,
) -> Option<Result<End, String>> {
    let mut buffer = vec![0; MESSAGE_BYTES_MAX];
    loop {
        // Before anything is taken: what speaks without end must not be heard without end.
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Some(Err("it did not end in time".to_owned()));
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut polled = [
            PollFd::from_borrowed_fd(control, PollFlags::IN),
            PollFd::from_borrowed_fd(ended, PollFlags::IN),
        ];
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Some(Err(io::Error::from(error).to_string())),
        }
        let received = match fdpass::receive(control, &mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Some(Err(error.to_string())),
        };
        let bytes = buffer.get(..received.bytes).unwrap_or_default();
        if bytes.is_empty() {
            return None;
        }
        match Record::decode(bytes) {
            Ok(Record::Seen(one)) if seen.len() < SEEN_MAX => seen.push(one),
            Ok(Record::Seen(_)) => return Some(Err("it said too much".to_owned())),
            Ok(Record::Progress { files }) => {
                output::error(&format!("site {name}: {files} files so far"));
            }
            Ok(Record::End(end)) => return Some(Ok(end)),
            Err(error) => return Some(Err(error.to_string())),
        }
    }
}

fn arguments(site: &Site) -> Vec<CString> {
    let others = parents(site);
    let mut words = vec!["hostel".to_owned(), "audit-walk".to_owned()];
    if others.is_open {
        words.push("--open".to_owned());
    }
    if !others.groups.is_empty() {
        let groups: Vec<String> = others.groups.iter().map(ToString::to_string).collect();
        words.push(format!("--groups={}", groups.join(",")));
    }
    if let Some(gid) = others.own_group {
        words.push(format!("--own-group={gid}"));
    }
    if let Some(project) = disk::home_project(site) {
        words.push(format!("--project={project}"));
    }
    // Numbers and words of ours hold no NUL.
    words
        .into_iter()
        .filter_map(|word| CString::new(word).ok())
        .collect()
}

/// Who can get to home: by the directories above it, which are root's and none a link, or home is refused.
fn parents(site: &Site) -> Others {
    let gid = site.user.gid.0;
    let is_own = accounts::other_members(site).is_empty();
    let start = Others {
        is_open: true,
        groups: Vec::new(),
        own_group: is_own.then_some(gid),
    };
    let mut above: Vec<&Path> = Path::new(&site.home).ancestors().skip(1).collect();
    above.reverse();
    above.into_iter().fold(start, |others, directory| {
        match directory.symlink_metadata() {
            Ok(metadata) => others.beneath(metadata.mode(), metadata.gid()),
            Err(_) => others,
        }
    })
}

/// Records of one walk.
const SEEN_MAX: usize = Kind::ALL.len() * SENT_MAX;
/// What a walk may take longer than it allows itself.
const GRACE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_speaks_without_end_is_heard_for_the_time_that_there_is() {
        let (near, far) = fdpass::message_pair(true).unwrap();
        let begun = Instant::now();
        let walk = std::thread::spawn(move || {
            let end = End {
                files: 0,
                counts: [0; Kind::ALL.len()],
                stopped: String::new(),
            };
            let record = Record::Progress { files: 1 }.encode();
            while begun.elapsed() < Duration::from_secs(5) {
                match fdpass::send(&far, &record, &[]) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
                    Ok(()) | Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
            let _ = fdpass::send(&far, &Record::End(end).encode(), &[]);
        });
        let (ended, _never) = fdpass::message_pair(true).unwrap();
        let until = begun + Duration::from_millis(200);
        let heard = hear("x", near.as_fd(), ended.as_fd(), until, &mut Vec::new());
        assert_eq!(heard, Some(Err("it did not end in time".to_owned())));
        assert!(begun.elapsed() < Duration::from_secs(3));
        drop(near);
        walk.join().unwrap();
    }
}
