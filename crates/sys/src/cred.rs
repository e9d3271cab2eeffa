//! Who a process is: users and groups, giving up privileges, and proof that they are given up.
//!
//! The monitor and the command line look users up; the child of a spawn drops; every unprivileged program proves, as its first
//! act, that it is [`Dropped`]. The proof trusts nobody, its own parent included: it asks the kernel anew. Nothing here
//! decides which user a site may have (that is hostel-config) and nothing can take a privilege back.

use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::path::PathBuf;

use rustix::process::getgroups;

use crate::layers::{Layer, Layers};

/// A user's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(pub u32);

/// A group's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gid(pub u32);

impl Uid {
    /// The superuser.
    pub const ROOT: Self = Self(0);

    /// The effective user of this process.
    pub fn effective() -> Self {
        Self(rustix::process::geteuid().as_raw())
    }
}

impl Gid {
    /// The effective group of this process.
    pub fn effective() -> Self {
        Self(rustix::process::getegid().as_raw())
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Gid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An entry of the user database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: Uid,
    /// The number of its primary group.
    pub gid: Gid,
    /// Its home directory as the database has it.
    pub home: PathBuf,
}

/// Why a user or group could not be looked up. That there is none is not an error.
#[derive(Debug, thiserror::Error)]
#[error("cannot look up {what} in the system's user database")]
pub struct LookUpError {
    what: String,
    source: io::Error,
}

impl User {
    /// The user of this name, `None` where there is none.
    ///
    /// # Errors
    /// The user database (a file, or a service that nsswitch.conf names) could not be read.
    pub fn by_name(name: &str) -> Result<Option<Self>, LookUpError> {
        let failed = |source| LookUpError {
            what: format!("user '{name}'"),
            source,
        };
        let key = CString::new(name).map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?;
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found = std::ptr::null_mut();
        let space = look_up(|space| {
            // SAFETY: the name is terminated, entry, space and found are valid for writes of their sizes.
            unsafe {
                libc::getpwnam_r(
                    key.as_ptr(),
                    entry.as_mut_ptr(),
                    space.as_mut_ptr().cast(),
                    space.len(),
                    &raw mut found,
                )
            }
        })
        .map_err(failed)?;
        if found.is_null() {
            return Ok(None);
        }
        // SAFETY: a non-null result means that the whole entry was written; its strings live in `space`, still alive.
        let entry = unsafe { entry.assume_init() };
        // SAFETY: the name is a terminated string within `space`.
        let name = unsafe { text(entry.pw_name) };
        // SAFETY: the home is a terminated string within `space`.
        let home = unsafe { text(entry.pw_dir) };
        drop(space);
        Ok(Some(Self {
            name,
            uid: Uid(entry.pw_uid),
            gid: Gid(entry.pw_gid),
            home: home.into(),
        }))
    }
}

/// An entry of the group database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The names of its members, without those whose primary group it is.
    pub members: Vec<String>,
}

/// The name of the group of this number, `None` where there is none.
///
/// # Errors
/// The group database could not be read.
pub fn group_name(gid: Gid) -> Result<Option<String>, LookUpError> {
    Ok(group(gid)?.map(|group| group.name))
}

/// The group of this number, `None` where there is none.
///
/// # Errors
/// The group database could not be read.
pub fn group(gid: Gid) -> Result<Option<Group>, LookUpError> {
    let mut entry = MaybeUninit::<libc::group>::uninit();
    let mut found = std::ptr::null_mut();
    let space = look_up(|space| {
        // SAFETY: entry, space and found are valid for writes of their sizes.
        unsafe {
            libc::getgrgid_r(
                gid.0,
                entry.as_mut_ptr(),
                space.as_mut_ptr().cast(),
                space.len(),
                &raw mut found,
            )
        }
    })
    .map_err(|source| LookUpError {
        what: format!("group {gid}"),
        source,
    })?;
    if found.is_null() {
        return Ok(None);
    }
    // SAFETY: a non-null result means that the whole entry was written; its strings live in `space`, still alive.
    let entry = unsafe { entry.assume_init() };
    // SAFETY: the name is a terminated string within `space`.
    let name = unsafe { text(entry.gr_name) };
    let mut members = Vec::new();
    let mut next = entry.gr_mem.cast_const();
    loop {
        // SAFETY: the list is within `space` and ends with a null, which has not been passed.
        let member = unsafe { next.read_unaligned() };
        if member.is_null() {
            break;
        }
        // SAFETY: not null, so a terminated string within `space`.
        members.push(unsafe { text(member) });
        // SAFETY: behind an entry that is not null there is another one.
        next = unsafe { next.add(1) };
    }
    drop(space);
    Ok(Some(Group { name, members }))
}

/// Call a `get…_r` function with more and more space until its answer fits. Returns the space that holds its strings.
fn look_up(mut ask: impl FnMut(&mut [u8]) -> libc::c_int) -> io::Result<Vec<u8>> {
    let mut space = vec![0; 1024];
    loop {
        match ask(&mut space) {
            libc::ERANGE if space.len() < LOOK_UP_BYTES_MAX => space.resize(space.len() * 4, 0),
            libc::EINTR => {}
            // Systems differ in how they say that there is no such entry.
            0 | libc::ENOENT | libc::ESRCH => return Ok(space),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// # Safety
/// `string` is a terminated string that lives until this returns.
unsafe fn text(string: *const libc::c_char) -> String {
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(string) }
        .to_string_lossy()
        .into_owned()
}

/// Proof that this process has no privilege and can get none: only [`prove_dropped`] makes one.
///
/// Code that runs scripts or opens a site's files takes a `&Dropped`, so that it does not compile in a process that has
/// not proven itself.
#[derive(Debug)]
pub struct Dropped(());

/// What is left of a process's privileges.
#[derive(Debug, thiserror::Error)]
pub enum NotDropped {
    /// The process still is root in one of its four user or group numbers.
    #[error("process still has user or group 0 (root)")]
    Root,
    /// The real, effective, saved and file system numbers are not all the same.
    #[error(
        "real, effective, saved and file system {0} numbers differ, so an earlier one could come back"
    )]
    Mixed(&'static str),
    /// There are supplementary groups besides the primary one.
    #[error("supplementary groups were not reset: the process still is in {0:?}")]
    Groups(Vec<u32>),
    /// A capability is left.
    #[error("the {0} capability set is not empty")]
    Capabilities(&'static str),
    /// A program with a set-user-id bit could give privileges back.
    #[error("no_new_privs is not set")]
    NewPrivileges,
    /// The kernel would not tell.
    #[error("cannot read the process's own {what}")]
    Unknown {
        /// What was asked for.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Ask the kernel for every privilege that this process could have, and prove that there is none.
///
/// # Errors
/// The first thing that is left. The only right answer to an error is to end.
pub fn prove_dropped() -> Result<Dropped, NotDropped> {
    let layers = Layers::of_process();
    if layers.has(Layer::User) {
        one_user_and_group()?;
    }
    if layers.has(Layer::Capabilities) {
        no_capability()?;
    }
    // SAFETY: reads a flag of this thread.
    match unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) } {
        1 => Ok(Dropped(())),
        _ if !layers.has(Layer::NoNewPrivileges) => Ok(Dropped(())),
        _ => Err(NotDropped::NewPrivileges),
    }
}

fn one_user_and_group() -> Result<(), NotDropped> {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: three valid places to write to.
    check("user numbers", unsafe {
        libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved)
    })?;
    // SAFETY: a number that is no user changes nothing; the answer is the present one.
    let file_system = unsafe { libc::setfsuid(u32::MAX) };
    one_and_not_root("user", [real, effective, saved], file_system)?;

    // SAFETY: three valid places to write to.
    check("group numbers", unsafe {
        libc::getresgid(&raw mut real, &raw mut effective, &raw mut saved)
    })?;
    // SAFETY: a number that is no group changes nothing; the answer is the present one.
    let file_system = unsafe { libc::setfsgid(u32::MAX) };
    one_and_not_root("group", [real, effective, saved], file_system)?;

    let groups = getgroups().map_err(|error| NotDropped::Unknown {
        what: "supplementary groups",
        source: error.into(),
    })?;
    if groups.iter().any(|group| group.as_raw() != real) {
        let groups = groups.iter().map(|group| group.as_raw()).collect();
        return Err(NotDropped::Groups(groups));
    }
    Ok(())
}

fn one_and_not_root(
    kind: &'static str,
    ids: [u32; 3],
    last: libc::c_int,
) -> Result<(), NotDropped> {
    let [real, effective, saved] = ids;
    let file_system = last.cast_unsigned();
    if [real, effective, saved, file_system].contains(&0) {
        return Err(NotDropped::Root);
    }
    if real != effective || real != saved || real != file_system {
        return Err(NotDropped::Mixed(kind));
    }
    Ok(())
}

fn no_capability() -> Result<(), NotDropped> {
    let sets = rustix::thread::capabilities(None).map_err(|error| NotDropped::Unknown {
        what: "capabilities",
        source: error.into(),
    })?;
    for (name, set) in [
        ("effective", sets.effective),
        ("permitted", sets.permitted),
        ("inheritable", sets.inheritable),
    ] {
        if set.bits() != 0 {
            return Err(NotDropped::Capabilities(name));
        }
    }
    for capability in 0..CAPABILITIES_MAX {
        // SAFETY: reads a bit of this thread; a number beyond the kernel's last one is an error and nothing else.
        match unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) } {
            0 => {}
            1 => return Err(NotDropped::Capabilities("bounding")),
            _ => break, // beyond the last capability that this kernel knows
        }
        let is_set = libc::PR_CAP_AMBIENT_IS_SET;
        // SAFETY: reads a bit of this thread.
        match unsafe { libc::prctl(libc::PR_CAP_AMBIENT, is_set, capability, 0, 0) } {
            0 => {}
            _ => return Err(NotDropped::Capabilities("ambient")),
        }
    }
    Ok(())
}

fn check(what: &'static str, answer: libc::c_int) -> Result<(), NotDropped> {
    if answer == 0 {
        return Ok(());
    }
    Err(NotDropped::Unknown {
        what,
        source: io::Error::last_os_error(),
    })
}

/// The most space for one entry of the user database: a group with some ten thousand members.
const LOOK_UP_BYTES_MAX: usize = 1 << 20;
/// Capability sets have 64 bits.
pub(crate) const CAPABILITIES_MAX: libc::c_ulong = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_by_name_and_nobody_else_is_made_up() {
        let root = User::by_name("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (Uid(0), Gid(0)));
        assert_eq!(root.home, PathBuf::from("/root"));
        assert_eq!(User::by_name("hostel-no-such-user").unwrap(), None);
    }

    #[test]
    fn a_name_with_nul_is_an_error() {
        assert!(User::by_name("ro\0ot").is_err());
    }

    #[test]
    fn a_group_is_found_by_number() {
        assert_eq!(group_name(Gid(0)).unwrap().as_deref(), Some("root"));
        assert_eq!(group_name(Gid(u32::MAX - 7)).unwrap(), None);
    }

    #[test]
    fn a_process_with_privileges_is_not_dropped() {
        // A test runs as root, or as a user without no_new_privs and with a full bounding set.
        assert!(prove_dropped().is_err());
    }
}
