//! A request made ready for PHP: its script found and checked, its variables laid out as C wants them.
//!
//! Run by a worker, as the site's user in the site's view. The front named the script; the kernel, asked as that user, decides
//! whether it may run. PHP opens the path once more by itself. Who could exchange the file between check and run is the site's
//! own user, who may run any file of his by including it; so that window harms nobody else.

use std::ffi::{OsStr, c_char};
use std::io::{ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, stat};
use rustix::io::Errno;

use hostel_sys::cred::{Gid, Uid};
use hostel_sys::way::{End, Owner, Ways};
use hostel_wire::front_worker::RequestHead;
use hostel_wire::monitor_keeper::SiteSettings;

use crate::ffi::{Text, Variable};
use crate::looks::{Looks, SCRIPT_NUMBERS};
use crate::variables::{self, Facts};

/// Why a script does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotThere,
    /// It is there, or may be, but may not be run.
    Forbidden,
}

/// What a site's settings say about scripts.
pub(crate) struct Rules {
    document_root: Vec<u8>,
    extensions: Vec<Vec<u8>>,
    user: Uid,
    foreign_owners: bool,
    /// Devices of file systems whose files never are scripts.
    refused_devices: Vec<u64>,
    ways: Option<Ways>,
    /// Of directories of scripts whether PHP runs what is in them; of scripts that were opened and may run what they were.
    looks: Looks,
    /// The document root as it was found last: device and inode.
    root_identity: Option<(u64, u64)>,
}

impl Rules {
    /// # Errors
    /// No memory.
    pub(crate) fn new(settings: &SiteSettings) -> std::io::Result<Self> {
        let owner = Owner {
            user: Uid::effective(),
            group: Gid::effective(),
            group_is_own: settings.group_is_own,
            trusts_all: settings.foreign_owners,
        };
        let device = |path: &str| stat(path).map(|found| found.st_dev).ok();
        Ok(Self {
            document_root: settings.root.trim_end_matches('/').as_bytes().to_vec(),
            extensions: settings
                .script_extensions
                .iter()
                .map(|extension| extension.as_bytes().to_vec())
                .collect(),
            user: Uid::effective(),
            foreign_owners: settings.foreign_owners,
            refused_devices: ["/proc", "/dev", "/dev/shm"]
                .into_iter()
                .filter_map(device)
                .collect(),
            ways: Ways::new(settings.home.as_bytes(), owner).ok(),
            looks: Looks::new()?,
            root_identity: None,
        })
    }

    /// Whether a script in this directory, beneath the root, may run as the site's user: not where somebody else can put one, or
    /// a `.user.ini`. What the file belongs to does not tell, for who can write a directory can rename in it.
    fn judge(&mut self, directory: &[u8]) -> Verdict {
        if let Some(verdict) = self.looks.directory(directory) {
            return Verdict::of(verdict);
        }
        let verdict = match &self.ways {
            Some(ways) => self.judge_now(ways, directory),
            // There is no home, so there is no script.
            None => None,
        };
        if let Some(verdict) = verdict {
            self.looks.keep_directory(directory, verdict as u64);
        }
        verdict.unwrap_or(Verdict::Fine)
    }

    /// Look at the document root again. `true` when it leads elsewhere than before, such as after a deploy that switched a link.
    pub(crate) fn root_has_moved(&mut self) -> bool {
        let found = stat(OsStr::from_bytes(&self.document_root));
        let identity = found.map(|found| (found.st_dev, found.st_ino)).ok();
        let before = std::mem::replace(&mut self.root_identity, identity);
        before.is_some() && before != identity
    }

    /// `None` where it is not there: the look at the script itself says so, and who makes it a moment later is judged then.
    fn judge_now(&self, ways: &Ways, directory: &[u8]) -> Option<Verdict> {
        if ways
            .walk(&self.document_root)
            .is_ok_and(|root| root.foreign.is_some())
        {
            return Some(Verdict::RootForeign);
        }
        match ways.walk(&[self.document_root.as_slice(), directory].concat()) {
            Ok(End { foreign: None, .. }) => Some(Verdict::Fine),
            Ok(End {
                foreign: Some(foreign),
                ..
            }) => {
                // Nobody is left to tell where this cannot be written.
                let _ = writeln!(
                    std::io::stderr(),
                    "no script is run where others can write: {foreign}"
                );
                Some(Verdict::Foreign)
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                None
            }
            // Closed, or behind a link of somebody else's.
            Err(_) => Some(Verdict::Foreign),
        }
    }

    /// Whether this script may run.
    pub(crate) fn check(&mut self, script: &[u8]) -> Result<(), Refusal> {
        let mut components = script
            .strip_prefix(b"/")
            .ok_or(Refusal::Forbidden)?
            .split(|byte| *byte == b'/');
        if components.any(|component| matches!(component, b"" | b"." | b".."))
            || script.contains(&0)
        {
            return Err(Refusal::Forbidden);
        }
        if !self.has_script_extension(script) {
            return Err(Refusal::Forbidden);
        }
        let name_at = script.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        match self.judge(script.get(..name_at).unwrap_or_default()) {
            Verdict::Fine => {}
            // The keeper, whom the front asks next, says it of the whole site.
            Verdict::RootForeign => return Err(Refusal::NotThere),
            Verdict::Foreign => return Err(Refusal::Forbidden),
        }
        let path = [self.document_root.as_slice(), script].concat();
        // One look tells that nothing has changed; opening costs three times as much, in a sandbox above all.
        let looked = stat(OsStr::from_bytes(&path)).map(|found| identity(&found));
        if looked.is_ok_and(|looked| self.looks.script(script) == Some(looked)) {
            return Ok(());
        }
        let identity = self.open(&path)?;
        self.looks.keep_script(script, identity);
        Ok(())
    }

    /// Open a script as PHP will, and judge what was opened.
    fn open(&self, path: &[u8]) -> Result<Identity, Refusal> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_MAGICLINKS;
        let opened = openat2(CWD, OsStr::from_bytes(path), flags, Mode::empty(), resolve);
        let file = opened.map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR => Refusal::NotThere,
            _ => Refusal::Forbidden,
        })?;
        let found = fstat(&file).map_err(|_| Refusal::Forbidden)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Err(Refusal::NotThere),
            _ => return Err(Refusal::Forbidden),
        }
        let may_own =
            self.foreign_owners || found.st_uid == self.user.0 || found.st_uid == Uid::ROOT.0;
        if may_own && !self.refused_devices.contains(&found.st_dev) {
            Ok(identity(&found))
        } else {
            Err(Refusal::Forbidden)
        }
    }

    /// The name that was asked for decides, not the one that a link leads to, as in nginx.
    fn has_script_extension(&self, script: &[u8]) -> bool {
        let name = script
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default();
        let dot = name.iter().rposition(|byte| *byte == b'.');
        let extension = dot.and_then(|dot| name.get(dot + 1..));
        extension
            .is_some_and(|extension| self.extensions.iter().any(|allowed| allowed == extension))
    }
}

/// What a file is: device, inode, mode, owner, and when any of that or its content last changed.
type Identity = [u64; SCRIPT_NUMBERS];

fn identity(found: &Stat) -> Identity {
    [
        found.st_dev,
        found.st_ino,
        found.st_mode.into(),
        found.st_uid.into(),
        found.st_ctime.cast_unsigned(),
        found.st_ctime_nsec,
    ]
}

/// What is to be done with scripts in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine = 0,
    /// Others can write the document root, or what leads there.
    RootForeign = 1,
    /// Others can write the directory, or one between the root and it.
    Foreign = 2,
}

impl Verdict {
    /// The one with this number.
    fn of(number: u64) -> Self {
        match number {
            0 => Self::Fine,
            1 => Self::RootForeign,
            _ => Self::Foreign,
        }
    }
}

/// The variables of a request in one piece of memory, used again for the next.
#[derive(Default)]
pub(crate) struct Prepared {
    /// Names and values, each with a NUL behind it.
    text: Vec<u8>,
    /// Where name and value stand in it, and their lengths.
    places: Vec<[usize; 4]>,
    variables: Vec<Variable>,
    pub(crate) body_bytes: u64,
    pub(crate) document_root_length: usize,
    pub(crate) script_directory_length: usize,
    pub(crate) foreign_owners: bool,
}

impl Prepared {
    /// Lay out a request whose script was checked.
    pub(crate) fn fill(&mut self, rules: &Rules, head: &RequestHead<'_>) {
        let document_root = rules.document_root.as_slice();
        let slash = head.script.iter().rposition(|byte| *byte == b'/');
        self.body_bytes = head.body_bytes;
        self.document_root_length = document_root.len();
        self.script_directory_length = document_root.len() + slash.map_or(0, |slash| slash + 1);
        self.foreign_owners = rules.foreign_owners;
        self.text.clear();
        self.places.clear();
        let (text, places) = (&mut self.text, &mut self.places);
        let facts = Facts {
            head,
            document_root,
        };
        variables::each(&facts, |name, write| {
            let name_at = text.len();
            text.extend_from_slice(name);
            text.push(0);
            let value_at = text.len();
            write(text);
            places.push([name_at, name.len(), value_at, text.len() - value_at]);
            text.push(0);
        });
        self.variables.clear();
        let place = |at: usize, length: usize| Text {
            bytes: self.text.as_ptr().wrapping_add(at).cast::<c_char>(),
            length,
        };
        let variable = |[name, name_length, value, value_length]: &[usize; 4]| Variable {
            name: place(*name, *name_length),
            value: place(*value, *value_length),
        };
        self.variables.extend(self.places.iter().map(variable));
    }

    /// As the shim takes them: valid until the next [`Prepared::fill`].
    pub(crate) fn variables(&self) -> &[Variable] {
        &self.variables
    }
}
