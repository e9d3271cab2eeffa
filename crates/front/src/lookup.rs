//! What is at a path of a site: the front's small map, filled by the keeper.
//!
//! Run for each request that is not known to be a script's. An answer is used for at most one second, then the keeper is asked
//! again; one question serves all who ask for the same path meanwhile. It trusts no keeper: a passed descriptor must be one regular
//! file, open for reading only. Bounded per site in answers, files and questions, and in all in files.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hostel_wire::front_keeper::{FileIdentity, FrontToKeeper, Resolution};
use hostel_wire::limits;
use rustix::fs::{FileType, OFlags};

use crate::disk::SiteDisk;
use crate::keeper::{Keeper, KeeperError};
use crate::sites::Site;

/// What is at a path.
#[derive(Debug, Clone)]
pub enum Found {
    /// A file to be sent.
    File(Rc<ServedFile>),
    /// A script, by its path relative to the document root with a leading slash.
    Script(Vec<u8>),
    /// A directory, asked for without its slash.
    Directory,
    /// Something that may not be served.
    Forbidden,
    /// Nothing.
    NotFound,
    /// Something that could not be looked at, for this errno.
    Failed(i32),
    /// Nothing of the site is served, for this reason of the keeper's.
    RootRefused(String),
}

/// A file that the keeper opened. Never mapped, its offset never used.
#[derive(Debug)]
pub struct ServedFile {
    /// Checked: a regular file, open for reading, not O_PATH, not O_DIRECT.
    pub file: Arc<File>,
    /// What it was when it arrived, as this process saw it.
    pub identity: FileIdentity,
    /// The last component of its name, which tells its media type.
    pub name: Vec<u8>,
    /// The site's way to what is not in memory.
    pub(crate) disk: SiteDisk,
    /// Dropped after `file`, since it is declared after it: the last that holds the file.
    _closing: Closing,
}

/// Closes a file without waiting. The last to close a deleted file gives its blocks back, which for one in very many pieces
/// takes a minute: a site could stop the front with it, and so every site.
#[derive(Debug)]
struct Closing(Option<Arc<File>>);

impl Drop for Closing {
    fn drop(&mut self) {
        let Some(file) = self.0.take() else {
            return;
        };
        if is_deleted(&file) {
            // Where no thread can be had, the file is closed here after all.
            drop(std::thread::Builder::new().spawn(move || drop(file)));
        }
    }
}

fn is_deleted(file: &File) -> bool {
    rustix::fs::fstat(file).is_ok_and(|stat| stat.st_nlink == 0)
}

/// Why a path could not be looked up. All of them are answered with 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SiteUnavailable {
    /// The site's sandbox cannot be started now.
    #[error("the site cannot be started")]
    Down,
    /// The sandbox did not start, or its keeper did not answer, in time.
    #[error("the site did not answer in time")]
    TimedOut,
    /// Too many questions wait.
    #[error("too many requests wait for the site")]
    Busy,
    /// Too many of its visitors are connected.
    #[error("the site's visitors have as many connections as they leave to other sites")]
    Crowded,
}

/// Why a descriptor of a keeper is refused.
#[derive(Debug, thiserror::Error)]
pub enum BadDescriptor {
    /// It cannot be examined.
    #[error("it passed a descriptor that cannot be examined: {0}")]
    Examine(#[from] rustix::io::Errno),
    /// Not a regular file.
    #[error("it passed a descriptor that is no regular file")]
    Kind,
    /// Open for writing, O_PATH or O_DIRECT.
    #[error("it passed a file that is open for something else than reading")]
    Mode,
}

/// What is at this normalised path of the site? Wakes the site if need be.
///
/// # Errors
/// See [`SiteUnavailable`].
pub async fn look_up(site: &Rc<Site>, path: &[u8]) -> Result<Found, SiteUnavailable> {
    if let Some(found) = site.map.fresh(path) {
        return Ok(found);
    }
    let question = site.map.ask(path)?;
    if question.is_new {
        site.pump();
    }
    poll_fn(|cx| question.asked.poll(cx)).await
}

impl ServedFile {
    /// Check a descriptor of a keeper.
    ///
    /// # Errors
    /// See [`BadDescriptor`].
    pub fn new(descriptor: OwnedFd, name: Vec<u8>, disk: &SiteDisk) -> Result<Self, BadDescriptor> {
        let flags = rustix::fs::fcntl_getfl(&descriptor)?;
        let is_read_only = flags & OFlags::RWMODE == OFlags::RDONLY;
        if !is_read_only || flags.intersects(OFlags::PATH | OFlags::DIRECT) {
            return Err(BadDescriptor::Mode);
        }
        let stat = rustix::fs::fstat(&descriptor)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(BadDescriptor::Kind);
        }
        let nanoseconds = |value| u32::try_from(value).unwrap_or(0);
        let identity = FileIdentity {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
        };
        Ok(Self::of(descriptor.into(), identity, name, disk))
    }

    /// Of a file that was checked.
    pub(crate) fn of(file: File, identity: FileIdentity, name: Vec<u8>, disk: &SiteDisk) -> Self {
        let file = Arc::new(file);
        let _closing = Closing(Some(Arc::clone(&file)));
        Self {
            file,
            identity,
            name,
            disk: disk.clone(),
            _closing,
        }
    }
}

/// The descriptors that all maps together keep.
#[derive(Debug, Default)]
pub struct FileBudget {
    kept: Cell<usize>,
}

/// One descriptor in a map.
#[derive(Debug)]
struct Kept(Rc<FileBudget>);

impl FileBudget {
    fn keep(self: &Rc<Self>) -> Option<Kept> {
        if self.kept.get() >= limits::FILES_MAX {
            return None;
        }
        self.kept.set(self.kept.get() + 1);
        Some(Kept(Rc::clone(self)))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.kept.set(self.0.kept.get().saturating_sub(1));
    }
}

/// One site's map of paths, and the questions that are open.
#[derive(Default)]
pub(crate) struct PathMap {
    entries: RefCell<HashMap<Vec<u8>, Entry>>,
    questions: RefCell<Questions>,
}

struct Entry {
    found: Found,
    /// When the keeper last said so.
    checked: Instant,
    used: Cell<Instant>,
    kept: Option<Kept>,
}

#[derive(Default)]
struct Questions {
    /// Not sent yet.
    waiting: VecDeque<Rc<Question>>,
    /// Sent and not answered, by ticket.
    open: HashMap<u32, Open>,
    /// All of them.
    by_path: HashMap<Vec<u8>, Rc<Question>>,
    ticket: u32,
}

struct Open {
    question: Rc<Question>,
    since: Instant,
    /// The file that is still held for its path.
    known: Option<Rc<ServedFile>>,
}

struct Question {
    path: Vec<u8>,
    since: Instant,
    answer: RefCell<Option<Result<Found, SiteUnavailable>>>,
    wakers: RefCell<Vec<Waker>>,
}

/// A question that was asked, by the caller or before.
pub(crate) struct Asked {
    asked: Rc<Question>,
    is_new: bool,
}

impl Question {
    fn poll(&self, cx: &Context<'_>) -> Poll<Result<Found, SiteUnavailable>> {
        if let Some(answer) = &*self.answer.borrow() {
            return Poll::Ready(answer.clone());
        }
        let mut wakers = self.wakers.borrow_mut();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn settle(&self, answer: Result<Found, SiteUnavailable>) {
        *self.answer.borrow_mut() = Some(answer);
        self.wakers.take().into_iter().for_each(Waker::wake);
    }
}

impl Questions {
    fn settle(&mut self, question: &Rc<Question>, answer: Result<Found, SiteUnavailable>) {
        // An answer that comes too late finds a younger question for the same path there.
        let current = self.by_path.get(&question.path);
        if current.is_some_and(|current| Rc::ptr_eq(current, question)) {
            self.by_path.remove(&question.path);
        }
        question.settle(answer);
    }
}

impl PathMap {
    /// The answer that is at hand and not older than [`FRESH`].
    fn fresh(&self, path: &[u8]) -> Option<Found> {
        let entries = self.entries.borrow();
        let entry = entries.get(path)?;
        let now = Instant::now();
        if now.duration_since(entry.checked) >= FRESH {
            return None;
        }
        entry.used.set(now);
        Some(entry.found.clone())
    }

    fn ask(&self, path: &[u8]) -> Result<Asked, SiteUnavailable> {
        let mut questions = self.questions.borrow_mut();
        if let Some(question) = questions.by_path.get(path) {
            return Ok(Asked {
                asked: Rc::clone(question),
                is_new: false,
            });
        }
        if questions.waiting.len() >= WAITING_MAX {
            return Err(SiteUnavailable::Busy);
        }
        let question = Rc::new(Question {
            path: path.to_vec(),
            since: Instant::now(),
            answer: RefCell::new(None),
            wakers: RefCell::default(),
        });
        questions.waiting.push_back(Rc::clone(&question));
        questions
            .by_path
            .insert(path.to_vec(), Rc::clone(&question));
        Ok(Asked {
            asked: question,
            is_new: true,
        })
    }

    /// Descriptors that are kept.
    pub(crate) fn files_kept(&self) -> usize {
        let entries = self.entries.borrow();
        entries
            .values()
            .filter(|entry| entry.kept.is_some())
            .count()
    }

    /// Whether somebody waits for an answer.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.questions.borrow().by_path.is_empty()
    }

    /// Send what may be sent.
    pub(crate) fn pump(&self, site: &Rc<Site>, keeper: &Rc<Keeper>) {
        if let Err(error) = self.send_waiting(keeper) {
            site.lost(keeper, &error.to_string());
        }
    }

    fn send_waiting(&self, keeper: &Keeper) -> Result<(), KeeperError> {
        let mut questions = self.questions.borrow_mut();
        while questions.open.len() < limits::LOOKUPS_MAX {
            let Some(question) = questions.waiting.pop_front() else {
                break;
            };
            let known = match self.entries.borrow().get(&question.path) {
                Some(Entry {
                    found: Found::File(file),
                    ..
                }) => Some(Rc::clone(file)),
                Some(_) | None => None,
            };
            let ticket = questions.ticket;
            questions.ticket = ticket.wrapping_add(1);
            let message = FrontToKeeper::Resolve {
                ticket,
                path: question.path.clone(),
                known: known.as_ref().map(|file| file.identity),
            };
            let open = Open {
                question,
                since: Instant::now(),
                known,
            };
            questions.open.insert(ticket, open);
            keeper.send(&message, None)?;
        }
        Ok(())
    }

    /// Take an answer of the keeper.
    ///
    /// # Errors
    /// It answers no question, or its answer is none.
    pub(crate) fn answer(
        &self,
        site: &Site,
        ticket: u32,
        resolution: Resolution,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), KeeperError> {
        let open = self.questions.borrow_mut().open.remove(&ticket);
        let open = open.ok_or(KeeperError::Unexpected("an answer to no question"))?;
        let found = match checked(resolution, descriptor, open.known, &site.disk) {
            Ok(found) => found,
            Err(error) => {
                // It is asked again of the next keeper.
                let mut questions = self.questions.borrow_mut();
                questions.waiting.push_front(open.question);
                return Err(error);
            }
        };
        self.keep(site, &open.question.path, &found);
        let mut questions = self.questions.borrow_mut();
        questions.settle(&open.question, Ok(found));
        Ok(())
    }

    fn keep(&self, site: &Site, path: &[u8], found: &Found) {
        let mut entries = self.entries.borrow_mut();
        let before = entries.remove(path);
        let kept = match found {
            Found::Failed(_) => return,
            Found::File(_) => {
                let kept = before.and_then(|entry| entry.kept);
                let Some(kept) = kept.or_else(|| {
                    make_room(&mut entries, limits::SITE_FILES_MAX, |e| e.kept.is_some());
                    site.services.files.keep()
                }) else {
                    // No room among all sites: the file is used this once.
                    return;
                };
                Some(kept)
            }
            Found::Script(_)
            | Found::Directory
            | Found::Forbidden
            | Found::NotFound
            | Found::RootRefused(_) => None,
        };
        make_room(&mut entries, ENTRIES_MAX, |_| true);
        let now = Instant::now();
        let entry = Entry {
            found: found.clone(),
            checked: now,
            used: Cell::new(now),
            kept,
        };
        entries.insert(path.to_vec(), entry);
    }

    /// Whether the keeper leaves a question open for too long.
    pub(crate) fn is_unanswered(&self, now: Instant) -> bool {
        let questions = self.questions.borrow();
        let mut open = questions.open.values();
        open.any(|open| now.duration_since(open.since) > UNANSWERED_MAX)
    }

    /// Refuse who waits longer than `patience`, and forget files that nobody asks for.
    pub(crate) fn sweep(&self, now: Instant, patience: Duration) {
        let mut questions = self.questions.borrow_mut();
        let is_late = |question: &Question| now.duration_since(question.since) > patience;
        let late: Vec<_> = questions
            .by_path
            .values()
            .filter(|question| is_late(question))
            .map(Rc::clone)
            .collect();
        questions.waiting.retain(|question| !is_late(question));
        for question in late {
            questions.settle(&question, Err(SiteUnavailable::TimedOut));
        }
        drop(questions);
        self.entries
            .borrow_mut()
            .retain(|_, entry| now.duration_since(entry.used.get()) < UNUSED_MAX);
    }

    /// Refuse all who wait.
    pub(crate) fn refuse_waiting(&self, why: SiteUnavailable) {
        let mut questions = self.questions.borrow_mut();
        questions.waiting.clear();
        let all: Vec<_> = questions.by_path.drain().map(|(_, q)| q).collect();
        for question in all {
            question.settle(Err(why));
        }
    }

    /// The keeper is gone: all it said goes, and open questions wait for the next one.
    pub(crate) fn keeper_gone(&self) {
        self.entries.borrow_mut().clear();
        let mut questions = self.questions.borrow_mut();
        let open = std::mem::take(&mut questions.open);
        for open in open.into_values() {
            // One whose askers were refused meanwhile is of no interest any more.
            if open.question.answer.borrow().is_none() {
                questions.waiting.push_front(open.question);
            }
        }
    }
}

/// What a keeper's answer means, if it is one.
fn checked(
    resolution: Resolution,
    descriptor: Option<OwnedFd>,
    known: Option<Rc<ServedFile>>,
    disk: &SiteDisk,
) -> Result<Found, KeeperError> {
    Ok(match resolution {
        Resolution::Directory => Found::Directory,
        Resolution::Failed(errno) => Found::Failed(errno),
        Resolution::File { identity: _, name } => {
            let is_name = !name.is_empty() && !name.contains(&0) && !name.contains(&b'/');
            let descriptor = descriptor.ok_or(KeeperError::Descriptors(0))?;
            if !is_name {
                return Err(KeeperError::Unexpected("a file without a proper name"));
            }
            Found::File(Rc::new(ServedFile::new(descriptor, name, disk)?))
        }
        Resolution::Forbidden => Found::Forbidden,
        Resolution::NotFound => Found::NotFound,
        Resolution::RootRefused { reason } => Found::RootRefused(reason),
        Resolution::Script { path } => {
            let is_plain = path.starts_with(b"/")
                && !path.contains(&0)
                && !path.split(|byte| *byte == b'/').any(|part| part == b"..");
            if !is_plain {
                return Err(KeeperError::Unexpected("a script without a proper path"));
            }
            Found::Script(path)
        }
        Resolution::Unchanged => Found::File(known.ok_or(KeeperError::Unexpected(
            "'unchanged' for a path that it was not told a file of",
        ))?),
    })
}

/// Where `max` entries of a kind are there, drop the quarter of them that was used longest ago.
fn make_room(entries: &mut HashMap<Vec<u8>, Entry>, max: usize, is_kind: impl Fn(&Entry) -> bool) {
    if entries.len() < max {
        return;
    }
    let mut used: Vec<_> = entries
        .values()
        .filter(|e| is_kind(e))
        .map(|e| e.used.get())
        .collect();
    if used.len() < max {
        return;
    }
    used.sort_unstable();
    if let Some(border) = used.get(max / 4).copied() {
        entries.retain(|_, entry| !is_kind(entry) || entry.used.get() > border);
    }
}

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(1);
/// After what time without a visitor an answer is forgotten, and its file closed.
const UNUSED_MAX: Duration = Duration::from_secs(60);
/// How long a keeper may leave a question open before it is given up.
const UNANSWERED_MAX: Duration = Duration::from_secs(30);
/// Answers kept for one site.
const ENTRIES_MAX: usize = 1024;
/// Questions of one site that wait to be sent.
const WAITING_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_file_is_told_from_one_that_is_there() {
        let path = std::env::temp_dir().join(format!("hostel-lookup-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        assert!(!is_deleted(&file));
        std::fs::remove_file(&path).unwrap();
        assert!(is_deleted(&file));
    }
}
