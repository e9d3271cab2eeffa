//! The walk of `hostel audit` through one home.
//!
//! Run as the site's own user, as process 1 of a sandbox of that site, by the hidden command `audit-walk`; `sandbox` starts it in
//! the keeper's place. It trusts nothing beneath home: it follows no link but to learn where it leads, opens directories
//! alone (and the beginning of files that are named like keys), and sends bounded [`Record`]s. It changes nothing.

mod access_list;
mod links;
mod reach;
mod secrets;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hostel_sys::beneath::{self, Links};
use hostel_sys::cred::{self, Dropped, Uid};
use hostel_sys::{fdpass, process, quota};
use hostel_wire::limits::PATH_BYTES_MAX;
use hostel_wire::monitor_keeper::SiteSettings;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};

use super::record::{End, Kind, Record, Seen};
use crate::inside;
use crate::output;
pub(crate) use reach::Others;
use reach::Reach;

#[derive(Debug, thiserror::Error)]
enum WalkError {
    #[error("cannot make the process non-dumpable")]
    Dumpable(#[source] io::Error),
    #[error("privileges are left")]
    Privileged(#[from] cred::NotDropped),
    #[error("no settings from who started the walk: `hostel audit` starts it")]
    Settings(#[source] io::Error),
    #[error("cannot open {0}")]
    Home(String, #[source] io::Error),
    #[error("cannot send what was seen")]
    Send(#[source] io::Error),
}

/// The hidden command. `parents` says who can get to home; `project` is what its disk use is counted by.
pub(crate) fn run(parents: &Others, project: Option<u32>) -> ExitCode {
    match walk(parents, project) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = std::error::Error::source(&error);
            let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
            output::error(&format!("{error}{cause}"));
            ExitCode::FAILURE
        }
    }
}

fn walk(parents: &Others, project: Option<u32>) -> Result<(), WalkError> {
    // 1: nobody of the same user can look into this process. Exec had reset it.
    process::set_non_dumpable().map_err(WalkError::Dumpable)?;
    // 2: the proof that whatever follows is done without privileges.
    let dropped = cred::prove_dropped()?;
    // 3: which home.
    let (control, settings) = inside::settings().map_err(WalkError::Settings)?;
    let home = beneath::look_at(settings.home.as_bytes(), Links::Refused)
        .and_then(|handle| Ok((beneath::place(&handle)?, directory(&handle, b".")?)));
    let (place, home) = home.map_err(|error| WalkError::Home(settings.home.clone(), error))?;
    // 4: everything beneath it.
    let mut walk = Walk::new(&settings, place, parents, control, &dropped);
    walk.project = project;
    let reach = Reach::of_parents(parents);
    let status =
        fstat(&home).map_err(|error| WalkError::Home(settings.home.clone(), error.into()))?;
    walk.object(&home, b"", &status, &reach)?;
    let beneath = walk.step(&reach, &status, &home);
    walk.directory(home, &mut Vec::new(), &beneath, 0)?;
    walk.finish()
}

/// A walk under way.
struct Walk<'a> {
    settings: &'a SiteSettings,
    /// Where home is in the view.
    place: PathBuf,
    /// Where the document root really is.
    root: Option<PathBuf>,
    others: &'a Others,
    uid: Uid,
    /// What directories must belong to in order to be counted.
    project: Option<u32>,
    control: OwnedFd,
    end: End,
    begun: Instant,
    told: Instant,
}

impl<'a> Walk<'a> {
    fn new(
        settings: &'a SiteSettings,
        place: PathBuf,
        others: &'a Others,
        control: OwnedFd,
        _: &Dropped,
    ) -> Self {
        let root = beneath::look_at(settings.root.as_bytes(), Links::Followed);
        Self {
            settings,
            place,
            root: root.and_then(beneath::place).ok(),
            others,
            uid: Uid::effective(),
            project: None,
            control,
            end: End {
                files: 0,
                counts: [0; Kind::ALL.len()],
                stopped: String::new(),
            },
            begun: Instant::now(),
            told: Instant::now(),
        }
    }

    /// Everything in one directory, and in those beneath it.
    fn directory(
        &mut self,
        directory: OwnedFd,
        path: &mut Vec<u8>,
        reach: &Reach,
        depth: u32,
    ) -> Result<(), WalkError> {
        let Ok(entries) = Dir::read_from(&directory) else {
            return Ok(()); // removed meanwhile
        };
        for entry in entries {
            let Ok(entry) = entry else {
                return Ok(());
            };
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if self.is_over()? {
                return Ok(());
            }
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            let done = self.entry(&directory, name, path, reach, depth);
            path.truncate(length);
            done?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        directory: &OwnedFd,
        name: &[u8],
        path: &mut Vec<u8>,
        reach: &Reach,
        depth: u32,
    ) -> Result<(), WalkError> {
        let name = OsStr::from_bytes(name);
        let Ok(status) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Ok(()); // removed meanwhile
        };
        self.end.files += 1;
        if path.len() > PATH_BYTES_MAX || depth > DEPTH_MAX {
            self.stop("some directories lie too deep");
            return Ok(());
        }
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Symlink => {
                self.owner(path, &status)?;
                self.link(directory, name.as_bytes(), path, &status)
            }
            FileType::Directory => match self::directory(directory, name.as_bytes()) {
                Ok(below) => {
                    self.object(&below, path, &status, reach)?;
                    if self.project.is_some()
                        && quota::project_of(&below).ok().flatten() != self.project
                    {
                        self.see(Kind::NotCounted, path, &status, b"")?;
                    }
                    let beneath = self.step(reach, &status, &below);
                    self.directory(below, path, &beneath, depth + 1)
                }
                Err(_) => self.see(Kind::Closed, path, &status, b""),
            },
            _ => {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match openat(directory, name, flags, Mode::empty()) {
                    Ok(handle) => self.object(&handle, path, &status, reach),
                    Err(_) => Ok(()),
                }
            }
        }
    }

    /// Who can get beneath this directory.
    fn step(&self, reach: &Reach, status: &Stat, directory: &OwnedFd) -> Reach {
        let lists = self.lists(reach, status, directory);
        let named = lists.iter().any(access_list::Entry::may_search);
        reach.beneath(self.others, status.st_mode, status.st_gid, named)
    }

    /// Judge what is not a link.
    fn object(
        &mut self,
        handle: &OwnedFd,
        path: &[u8],
        status: &Stat,
        reach: &Reach,
    ) -> Result<(), WalkError> {
        self.owner(path, status)?;
        let (mode, gid) = (status.st_mode, status.st_gid);
        let is_file = FileType::from_raw_mode(mode) == FileType::RegularFile;
        let is_secret = is_file && secrets::is_one(path, || beneath::open_to_read(handle));
        let may = |bit| reach.may(self.others, mode, gid, bit);
        if may(WRITE) {
            let kind = if secrets::is_log(path) {
                Kind::LogWritable
            } else {
                Kind::Writable
            };
            self.see(kind, path, status, b"")?;
        }
        if may(READ) {
            let kind = if is_secret {
                Kind::SecretReadable
            } else {
                Kind::Readable
            };
            self.see(kind, path, status, b"")?;
        }
        for entry in self.lists(reach, status, handle) {
            self.see(Kind::Acl, path, status, entry.to_string().as_bytes())?;
        }
        if is_secret && self.is_served(path) {
            self.see(Kind::SecretServed, path, status, b"")?;
        }
        if is_file && mode & SET_ID != 0 {
            let kind = if status.st_uid == self.uid.0 {
                Kind::SetIdOwn
            } else {
                Kind::SetIdForeign
            };
            self.see(kind, path, status, b"")?;
        }
        Ok(())
    }

    fn owner(&mut self, path: &[u8], status: &Stat) -> Result<(), WalkError> {
        let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        if status.st_uid != self.uid.0 && is_file && status.st_nlink > 1 {
            return self.see(Kind::HardLink, path, status, b"");
        }
        // Files of root are the administrator's gift: they are served, and nobody else can change them.
        if status.st_uid != self.uid.0 && status.st_uid != Uid::ROOT.0 {
            return self.see(Kind::WrongOwner, path, status, b"");
        }
        Ok(())
    }

    fn link(
        &mut self,
        directory: &OwnedFd,
        name: &[u8],
        path: &[u8],
        status: &Stat,
    ) -> Result<(), WalkError> {
        match links::judge(directory, name, path, &self.place) {
            Some((kind, target)) => self.see(kind, path, status, &target),
            None => Ok(()),
        }
    }

    /// Named entries of the access list, where others can get to it. The mask of a list is what the mode shows as the group's.
    fn lists(&self, reach: &Reach, status: &Stat, handle: &OwnedFd) -> Vec<access_list::Entry> {
        if !reach.is_any() || status.st_mode & GROUP_ANY == 0 {
            return Vec::new();
        }
        access_list::named(handle, self.uid)
    }

    /// Whether a visitor would be sent it: beneath the document root, no script, nothing that is never served.
    fn is_served(&self, path: &[u8]) -> bool {
        let place = self.place.join(OsStr::from_bytes(path));
        let below = self
            .root
            .as_ref()
            .and_then(|root| place.strip_prefix(root).ok());
        let is_script = self.settings.script_extensions.iter().any(|extension| {
            place
                .extension()
                .is_some_and(|found| found == extension.as_str())
        });
        below.is_some_and(|below| !is_script && !secrets::is_never_served(below))
    }

    fn see(
        &mut self,
        kind: Kind,
        path: &[u8],
        status: &Stat,
        text: &[u8],
    ) -> Result<(), WalkError> {
        let Some(count) = self.end.counts.get_mut(kind.place()) else {
            return Ok(());
        };
        *count += 1;
        if *count > SENT_MAX as u64 {
            return Ok(());
        }
        let seen = Seen {
            kind,
            path: path.to_vec(),
            mode: status.st_mode,
            uid: status.st_uid,
            gid: status.st_gid,
            text: text.get(..PATH_BYTES_MAX).unwrap_or(text).to_vec(),
        };
        self.send(&Record::Seen(seen))
    }

    fn is_over(&mut self) -> Result<bool, WalkError> {
        if self.end.files >= FILES_MAX {
            self.stop("there are more than a million files");
        }
        // Asking for the time is cheap; sending is not.
        if self.begun.elapsed() > TIME_MAX {
            self.stop("it took too long");
        }
        if self.told.elapsed() > TOLD_EVERY {
            self.told = Instant::now();
            let files = self.end.files;
            self.send(&Record::Progress { files })?;
        }
        Ok(self.end.files >= FILES_MAX || self.begun.elapsed() > TIME_MAX)
    }

    fn stop(&mut self, why: &str) {
        why.clone_into(&mut self.end.stopped);
    }

    fn send(&self, record: &Record) -> Result<(), WalkError> {
        fdpass::send(&self.control, &record.encode(), &[]).map_err(WalkError::Send)
    }

    fn finish(self) -> Result<(), WalkError> {
        self.send(&Record::End(self.end.clone()))
    }
}

fn directory(parent: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(
        parent,
        OsStr::from_bytes(name),
        flags,
        Mode::empty(),
    )?)
}

const READ: u32 = 4;
const WRITE: u32 = 2;
const SET_ID: u32 = 0o6000;
const GROUP_ANY: u32 = 0o070;
/// Records of one kind; the rest is counted.
pub(super) const SENT_MAX: usize = 100;
/// A bound on what a site can cost an audit.
const FILES_MAX: u64 = 1_000_000;
/// Its bound in time: a million files of a slow disk.
pub(super) const TIME_MAX: Duration = Duration::from_secs(300);
/// Each level holds a descriptor and some stack.
const DEPTH_MAX: u32 = 200;
/// How often the count is told.
const TOLD_EVERY: Duration = Duration::from_secs(1);
