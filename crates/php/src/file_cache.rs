//! OPcache's file cache: the site's compiled scripts on disk, so that a site that wakes does not compile them again.
//!
//! Run by the zygote while PHP starts, and by a worker whose script resets OPcache; as the site's user. The directory is the
//! site's own, so its scripts can put there what they like, which harms the site alone. OPcache compares a script's time of
//! modification with the one that it noted, and nothing else: what has changed in another way is forgotten here, whenever a site
//! wakes. What was compiled by another PHP, or under other settings, has a directory of another name, and is removed.

use std::ffi::{CStr, CString, OsStr};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, stat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, geteuid, waitpid};

use crate::process::{end_process, fork};

/// Why there is no file cache.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileCacheError {
    /// It is not there, or a link, or not a directory, or closed.
    #[error("cannot open {}: {source}", path.display())]
    Open { path: PathBuf, source: io::Error },
    /// It is another user's.
    #[error("{} belongs to user {owner}, not to the site's ({expected})", path.display())]
    Owner {
        path: PathBuf,
        owner: u32,
        expected: u32,
    },
    /// Others might get there.
    #[error("{} has mode {mode:04o}, not 0700", path.display())]
    Mode { path: PathBuf, mode: u32 },
    /// What is in it could not be looked through, so stale code might be left.
    #[error("cannot look through {}: {source}", path.display())]
    Unseen { path: PathBuf, source: io::Error },
}

/// The look at what is there, which goes on beside PHP's start.
static LOOK: Mutex<Option<Looking>> = Mutex::new(None);
/// The file cache that this PHP uses.
static USED: OnceLock<CString> = OnceLock::new();

/// A child that looks through a directory.
pub(crate) struct Looking {
    child: Pid,
    directory: OwnedFd,
    path: PathBuf,
}

/// Begin to look at the file caches in this directory; an empty path is none. It takes longer than a fork: the file system reads each directory
/// once for every process. A thread would do as well, but the C library is slower for ever in a process that had two, and in its children.
pub(crate) fn begin(parent: &str) {
    if parent.is_empty() {
        return;
    }
    let path = PathBuf::from(parent);
    let looking = open_own(&path).and_then(|directory| match fork() {
        Ok(Some(child)) => Ok(Looking {
            child,
            directory,
            path: path.clone(),
        }),
        Ok(None) => {
            let looked = look_through(&directory).map_err(unseen(&path));
            if let Err(error) = &looked {
                say(error);
            }
            end_process(looked.is_err().into());
        }
        Err(source) => Err(unseen(&path)(source)),
    });
    match (looking, LOOK.lock()) {
        (Ok(looking), Ok(mut place)) => *place = Some(looking),
        (Err(error), _) => say(&error),
        // Nobody panics with the lock in his hands.
        (Ok(_), Err(_)) => {}
    }
}

fn unseen(path: &Path) -> impl Fn(io::Error) -> FileCacheError {
    |source| FileCacheError::Unseen {
        path: path.to_owned(),
        source,
    }
}

fn say(error: &FileCacheError) {
    // Nobody is left to tell where this cannot be written.
    let _ = writeln!(
        io::stderr(),
        "hostel-php: OPcache's file cache is not used, scripts are compiled anew whenever the site wakes: {error}"
    );
}

/// Make ready the file cache of a PHP of this generation: a number that differs where the code or the settings do. `None` where
/// it must not be used; the site's error log is told why, and the site does without.
pub(crate) fn prepare(generation: u64) -> Option<&'static CStr> {
    let looking = finish()?;
    let name = format!("{generation:016x}");
    if let Err(source) = choose(&looking.directory, &name) {
        say(&unseen(&looking.path)(source));
        return None;
    }
    let path = looking.path.join(name).into_os_string();
    let path = CString::new(path.into_encoded_bytes()).ok()?;
    Some(USED.get_or_init(|| path))
}

/// Wait for the end of the look, if nobody has: `None` then, too, and where it failed.
pub(crate) fn finish() -> Option<Looking> {
    let looking = LOOK.lock().ok()?.take()?;
    let (_, status) = waitpid(Some(looking.child), WaitOptions::empty()).ok()??;
    (status.exit_status() == Some(0)).then_some(looking)
}

/// Forget all compiled scripts on disk, as who resets OPcache expects. What cannot be removed now is a file like any other: it
/// counts as long as its script has not changed.
pub(crate) fn forget_all() {
    let Some(used) = USED.get() else { return };
    if let Ok(directory) = openat(CWD, used.as_c_str(), DIRECTORY, Mode::empty()) {
        let _ = empty(&directory, 0);
    }
}

/// The directory, which must be the site's own and nobody else's to enter.
fn open_own(path: &Path) -> Result<OwnedFd, FileCacheError> {
    let path = || path.to_owned();
    let failed = |source: Errno| FileCacheError::Open {
        path: path(),
        source: source.into(),
    };
    let directory = openat(CWD, path().as_path(), DIRECTORY, Mode::empty()).map_err(failed)?;
    let status = fstat(&directory).map_err(failed)?;
    let expected = geteuid().as_raw();
    if status.st_uid != expected {
        return Err(FileCacheError::Owner {
            path: path(),
            owner: status.st_uid,
            expected,
        });
    }
    match status.st_mode & 0o7777 {
        0o700 => Ok(directory),
        mode => Err(FileCacheError::Mode { path: path(), mode }),
    }
}

/// Remove all generations but this one, which is made where it is missing.
fn choose(parent: &OwnedFd, name: &str) -> io::Result<()> {
    for entry in Dir::read_from(parent)? {
        let entry = entry?;
        let other = entry.file_name();
        if is_generation(other) && other.to_bytes() != name.as_bytes() {
            remove(parent, other, 0)?;
        }
    }
    match mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether this was made by [`choose`]. The directory may be one that the administrator has named, and hold anything else besides.
fn is_generation(name: &CStr) -> bool {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.to_bytes().len() == 16 && name.to_bytes().iter().all(is_digit)
}

/// Remove of each generation what may be stale. Which one is PHP's is not known yet, but there is hardly another.
fn look_through(parent: &OwnedFd) -> io::Result<()> {
    let mut look = Look {
        files_left: FILES_MAX,
    };
    for generation in Dir::read_from(parent)? {
        let generation = generation?;
        if is_generation(generation.file_name()) {
            look.generation(parent, generation.file_name())?;
        }
    }
    Ok(())
}

/// A look for compiled scripts that may be stale.
struct Look {
    files_left: u32,
}

impl Look {
    fn generation(&mut self, parent: &OwnedFd, name: &CStr) -> io::Result<()> {
        let directory = match openat(parent, name, DIRECTORY, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::NOTDIR | Errno::LOOP) => return remove(parent, name, 0),
            Err(error) => return Err(error.into()),
        };
        for build in Dir::read_from(&directory)? {
            let build = build?;
            let name = build.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            // What stands beneath the build's name is the path of a script. Nothing else has a path that can be compared, such as a
            // script in an archive.
            if name.to_bytes().len() != BUILD_NAME_BYTES {
                remove(&directory, name, 0)?;
                continue;
            }
            let below = openat(&directory, name, DIRECTORY, Mode::empty())?;
            self.directory(below, &mut Vec::new(), i64::MIN, 0)?;
        }
        Ok(())
    }

    /// `path` is where the scripts of this directory stand, and `moved` when something above them was put there last.
    fn directory(
        &mut self,
        directory: OwnedFd,
        path: &mut Vec<u8>,
        moved: i64,
        depth: u32,
    ) -> io::Result<()> {
        let moved = moved.max(when_moved(path));
        if depth >= DEPTH_MAX {
            return empty(&directory, depth);
        }
        let mut entries = Dir::new(directory)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let directory = entries.fd()?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.files_left = match self.files_left.checked_sub(1) {
                Some(left) => left,
                None => return Err(io::Error::other("there are too many files")),
            };
            let length = path.len();
            path.push(b'/');
            path.extend_from_slice(name.to_bytes());
            if entry.file_type() == FileType::Directory {
                let below = openat(directory, name, DIRECTORY, Mode::empty())?;
                self.directory(below, path, moved, depth + 1)?;
            } else {
                let script = path.strip_suffix(SUFFIX);
                if !script.is_some_and(|script| is_fresh(directory, name, script, moved)) {
                    remove(directory, name, depth)?;
                }
            }
            path.truncate(length);
        }
        Ok(())
    }
}

/// Whether a compiled script was written well after anything of the script itself has changed: its content, owner, mode or name.
/// The kernel notes that time, and no program can set it.
fn is_fresh(directory: impl AsFd, name: &CStr, script: &[u8], moved: i64) -> bool {
    let (Ok(compiled), Ok(script)) = (
        statat(directory, name, AtFlags::SYMLINK_NOFOLLOW),
        stat(OsStr::from_bytes(script)),
    ) else {
        return false;
    };
    let is_file = |status: &Stat| FileType::from_raw_mode(status.st_mode).is_file();
    let changed = script.st_ctime.max(moved);
    is_file(&compiled) && is_file(&script) && compiled.st_mtime >= changed + MARGIN_SECONDS
}

/// When a directory of scripts may have got its name, as one does that a deploy exchanges for another. A directory notes that as a
/// change of itself alone; where something was put into it since then, it cannot be told, and here seems long ago.
fn when_moved(path: &[u8]) -> i64 {
    let Ok(status) = stat(OsStr::from_bytes(path)) else {
        return i64::MIN;
    };
    let own = (status.st_ctime, status.st_ctime_nsec);
    if own == (status.st_mtime, status.st_mtime_nsec) {
        i64::MIN
    } else {
        status.st_ctime
    }
}

/// Remove what is there, with all that is in it.
fn remove(parent: impl AsFd, name: &CStr, depth: u32) -> io::Result<()> {
    match unlinkat(&parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let directory = openat(&parent, name, DIRECTORY, Mode::empty())?;
    empty(&directory, depth + 1)?;
    match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
        // A worker of an older PHP may put something there meanwhile, which nobody reads.
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn empty(directory: &OwnedFd, depth: u32) -> io::Result<()> {
    if depth > 2 * DEPTH_MAX {
        return Err(io::Error::other(
            "there are too many directories in each other",
        ));
    }
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            remove(directory, name, depth)?;
        }
    }
    Ok(())
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// OPcache names a compiled script after the script's path, beneath a directory named after PHP's build.
const SUFFIX: &[u8] = b".bin";
const BUILD_NAME_BYTES: usize = 32;
/// A script that was replaced while OPcache read it seems older than what was made of it. OPcache itself leaves out what is
/// younger than two seconds.
const MARGIN_SECONDS: i64 = 2;
/// Ten times as many as OPcache keeps in memory. A site that has more looks through them in vain whenever it wakes.
const FILES_MAX: u32 = 100_000;
/// Deeper ones are forgotten.
const DEPTH_MAX: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File, FileTimes};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::{Duration, SystemTime};

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir()
                .join(format!("hostel-file-cache-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            Self(path)
        }

        /// A compiled script of a PHP of generation 7, written so long after the present.
        fn compiled(&self, script: &Path, later: u64) -> PathBuf {
            let build = self.0.join("0000000000000007").join("b".repeat(32));
            let mut path = build.into_os_string();
            path.push(script);
            path.push(".bin");
            let path = PathBuf::from(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let time = SystemTime::now() + Duration::from_secs(later);
            let file = File::create(&path).unwrap();
            file.set_times(FileTimes::new().set_modified(time)).unwrap();
            path
        }

        fn look(&self) {
            let directory = open_own(&self.0).unwrap();
            look_through(&directory).unwrap();
            choose(&directory, "0000000000000007").unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn what_is_not_well_younger_than_its_script_is_forgotten() {
        let (cache, site) = (Scratch::new("stale"), Scratch::new("scripts"));
        let script = |name: &str| {
            fs::write(site.0.join(name), "<?php").unwrap();
            site.0.join(name)
        };
        let fresh = cache.compiled(&script("fresh.php"), 5);
        let at_once = cache.compiled(&script("at-once.php"), 0);
        let gone = cache.compiled(&site.0.join("gone.php"), 5);
        let nonsense = fresh.with_extension("x");
        fs::write(&nonsense, "").unwrap();
        cache.look();
        assert!(fresh.exists());
        assert!(!at_once.exists() && !gone.exists() && !nonsense.exists());
    }

    #[test]
    fn a_directory_that_was_exchanged_for_another_is_noticed() {
        let site = Scratch::new("exchanged");
        let [old, new] = ["old", "new"].map(|name| site.0.join(name));
        fs::create_dir(&old).unwrap();
        assert_eq!(when_moved(old.as_os_str().as_encoded_bytes()), i64::MIN);
        std::thread::sleep(Duration::from_millis(20));
        fs::rename(&old, &new).unwrap();
        let moved = when_moved(new.as_os_str().as_encoded_bytes());
        assert_eq!(moved, stat(&new).unwrap().st_ctime);
        let cache = Scratch::new("moved");
        let compiled = cache.compiled(Path::new("/x.php"), 0);
        let directory = openat(CWD, compiled.parent().unwrap(), DIRECTORY, Mode::empty()).unwrap();
        let script = new.join("x.php");
        fs::write(&script, "").unwrap();
        let is_fresh = |moved| {
            let script = script.as_os_str().as_encoded_bytes();
            is_fresh(&directory, c"x.php.bin", script, moved)
        };
        fs::File::open(&compiled)
            .unwrap()
            .set_modified(SystemTime::now() + Duration::from_secs(9))
            .unwrap();
        assert!(is_fresh(i64::MIN) && is_fresh(moved) && !is_fresh(moved + 9));
    }

    #[test]
    fn what_another_php_has_compiled_is_removed_and_links_are_not_followed() {
        let (cache, elsewhere) = (Scratch::new("other"), Scratch::new("elsewhere"));
        fs::write(elsewhere.0.join("file"), "").unwrap();
        let other = cache.0.join("0000000000000006/deep");
        fs::create_dir_all(&other).unwrap();
        symlink(&elsewhere.0, other.join("link")).unwrap();
        symlink(&elsewhere.0, cache.0.join("0000000000000005")).unwrap();
        fs::create_dir(cache.0.join("photographs")).unwrap();
        cache.look();
        let left = fs::read_dir(&cache.0).unwrap().flatten();
        let mut left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        left.sort();
        assert_eq!(left, ["0000000000000007", "photographs"]);
        assert!(elsewhere.0.join("file").exists());
    }

    #[test]
    fn a_directory_that_others_might_enter_or_a_link_is_refused() {
        let cache = Scratch::new("mode");
        let link = cache.0.join("link");
        symlink(&cache.0, &link).unwrap();
        assert!(matches!(open_own(&link), Err(FileCacheError::Open { .. })));
        fs::set_permissions(&cache.0, fs::Permissions::from_mode(0o750)).unwrap();
        let refused = open_own(&cache.0).unwrap_err();
        assert!(refused.to_string().ends_with("has mode 0750, not 0700"));
        if geteuid().is_root() {
            let (uid, gid) = (Some(61_234), Some(61_234));
            std::os::unix::fs::chown(&cache.0, uid, gid).unwrap();
            let refused = open_own(&cache.0).unwrap_err();
            assert!(matches!(refused, FileCacheError::Owner { .. }), "{refused}");
        }
    }
}
