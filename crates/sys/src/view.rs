//! The file system that a site sees, put together by descriptor before its sandbox is started.
//!
//! Run by the monitor as root. It trusts the host's /usr and /etc (root's) and the descriptors that it is given; it never
//! resolves a path that a site could have changed. Everything is a detached mount: the child of the spawn only has to attach them,
//! in order, inside its own mount namespace. What is not named here does not exist in a view: no other
//! site's home, nothing of the server's configuration, state or logs. It mounts no /proc: that belongs to the child's own
//! process namespace.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fchmod, fstat, mkdirat, openat, symlinkat};
use rustix::io::Errno;

use crate::accounts;
use crate::cred::{Gid, Uid, User};
#[cfg(feature = "controls")]
use crate::layers::Layer;
use crate::layers::Layers;
use crate::mount::{self, Access, Depth};
use crate::sandbox::landlock::Allowed;
use crate::watch::{self, Bound, Kind};

/// What goes into one site's view.
pub struct ViewPlan<'a> {
    /// The site's user, its home the path at which the view has it.
    pub user: &'a User,
    /// The name of its group.
    pub group: &'a str,
    /// Its home, from [`open_home`](crate::home::open_home).
    pub home: BorrowedFd<'a>,
    /// The site's own directories (writable) and where they appear, absolute.
    pub own: &'a [(BorrowedFd<'a>, &'a str)],
    /// The programs and where they appear, absolute.
    pub programs: &'a [(BorrowedFd<'a>, &'a str)],
    /// Where the small file system for lock files appears, absolute.
    pub locks: &'a str,
    /// The directory of php.ini; that file and `conf.d` appear at the same path.
    pub php_ini_directory: &'a Path,
    /// The site's own terminals, from [`terminal::pair`](crate::terminal::pair), where it has one.
    pub terminals: Option<BorrowedFd<'a>>,
    /// Whether a user's or group's number belongs to a site.
    pub is_site: &'a dyn Fn(u32) -> bool,
    /// Which layers there are; what the view is without its own, docs/spawn.md says.
    pub layers: Layers,
    /// An empty directory of the host on which the child attaches the view before it makes it its root.
    pub mount_point: &'a Path,
}

/// Why a view could not be put together.
#[derive(Debug, thiserror::Error)]
#[error("view: cannot {action} {}", path.display())]
pub struct ViewError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// A view, ready to be attached once.
#[derive(Debug)]
pub struct View {
    /// The root, read-only already.
    pub(crate) root: OwnedFd,
    /// What is attached beneath it, in order.
    pub(crate) mounts: Vec<Mount>,
    /// Where the root is attached at first, absolute.
    pub(crate) mount_point: CString,
    /// What of the host it was made of, that may be replaced.
    pub bound: Bound,
}

/// One mount and the place, relative to the root of the view, where it belongs.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) descriptor: OwnedFd,
    pub(crate) target: CString,
    pub(crate) access: Access,
}

impl View {
    /// Put a view together. Costs about one to two milliseconds and some fifty descriptors, held until it is spawned.
    ///
    /// # Errors
    /// What could not be mounted or made. What the host simply does not have is left out.
    pub fn prepare(plan: &ViewPlan<'_>) -> Result<Self, ViewError> {
        let root = mount::memory(ROOT_BYTES, ROOT_INODES, (Uid::ROOT, Gid(0)), c"0755")
            .map_err(failed("make the root of", plan.mount_point))?;
        let mut builder = Builder {
            root,
            mounts: Vec::new(),
            bound: Bound::default(),
        };
        builder.fill(plan)?;
        mount::make_read_only(&builder.root)
            .map_err(failed("make the root read-only of", plan.mount_point))?;
        let mount_point = CString::new(plan.mount_point.as_os_str().as_bytes())
            .map_err(|error| failed("use", plan.mount_point)(error.into()))?;
        Ok(Self {
            root: builder.root,
            mounts: builder.mounts,
            mount_point,
            bound: builder.bound,
        })
    }

    /// For Landlock: everything can be read, by the rule for the root, and what was mounted to be written, written. The fewer rules,
    /// the less each opening of a file costs.
    pub(crate) fn files(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Allowed)> {
        let mounts = self.mounts.iter();
        let allowed = mounts.map(|mount| (mount.descriptor.as_fd(), mount.access.into()));
        std::iter::once((self.root.as_fd(), Allowed::Read))
            .chain(allowed.filter(|(_, allowed)| *allowed != Allowed::Read))
    }
}

struct Builder {
    root: OwnedFd,
    mounts: Vec<Mount>,
    bound: Bound,
}

impl Builder {
    fn fill(&mut self, plan: &ViewPlan<'_>) -> Result<(), ViewError> {
        #[cfg(feature = "controls")]
        if !plan.layers.has(Layer::View) {
            return self.whole_host(plan);
        }
        self.system()?;
        self.settings(plan)?;
        self.accounts(plan)?;
        self.devices(plan)?;
        self.run(plan)?;
        self.own(plan)
    }

    /// /usr, and the top directories that lead into it or stand beside it.
    fn system(&mut self) -> Result<(), ViewError> {
        self.host("/usr", Access::Read, Depth::All)?;
        for name in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"] {
            self.host_or_link(name, Access::Read)?;
        }
        self.directory(Path::new("/proc"))
    }

    /// The few files of /etc that programs need, and PHP's settings.
    fn settings(&mut self, plan: &ViewPlan<'_>) -> Result<(), ViewError> {
        for name in SETTINGS {
            self.host_or_link(&format!("/etc/{name}"), Access::ReadData)?;
        }
        let ini = plan.php_ini_directory;
        if ini.starts_with("/usr") || ini.starts_with(&plan.user.home) {
            return Ok(()); // already there
        }
        // Never a whole directory of a PHP version: beside these stand FPM's pools, with other sites' settings in them.
        let Some(version) = ini.parent() else {
            return Ok(());
        };
        let command_line = version.join("cli");
        let mut paths = vec![ini.join("php.ini"), ini.join("conf.d")];
        if version.starts_with("/etc/php") {
            paths.push(version.join("mods-available"));
            if command_line != ini {
                paths.extend([command_line.join("php.ini"), command_line.join("conf.d")]);
            }
        }
        for path in paths {
            self.host_if_there(&path, Access::ReadData, Depth::One)?;
        }
        Ok(())
    }

    fn accounts(&mut self, plan: &ViewPlan<'_>) -> Result<(), ViewError> {
        let read = |path| {
            std::fs::read(path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .map_err(failed("read", path))
        };
        let passwd = accounts::passwd(&read("/etc/passwd")?, plan.user, plan.is_site);
        self.file(Path::new("/etc/passwd"), passwd.as_bytes())?;
        let group = accounts::group(&read("/etc/group")?, plan.user, plan.group, plan.is_site);
        self.file(Path::new("/etc/group"), group.as_bytes())
    }

    /// A /dev without anything of the machine, and shared memory with bounds.
    fn devices(&mut self, plan: &ViewPlan<'_>) -> Result<(), ViewError> {
        for name in [
            "/dev/null",
            "/dev/zero",
            "/dev/full",
            "/dev/random",
            "/dev/urandom",
        ] {
            self.host(name, Access::Device, Depth::One)?;
        }
        for (name, target) in [
            ("/dev/fd", "/proc/self/fd"),
            ("/dev/stdin", "/proc/self/fd/0"),
            ("/dev/stdout", "/proc/self/fd/1"),
            ("/dev/stderr", "/proc/self/fd/2"),
        ] {
            self.link(Path::new(name), Path::new(target))?;
        }
        if let Some(terminals) = plan.terminals {
            self.attach(
                Path::new("/dev/pts"),
                Access::Terminal,
                terminals.try_clone_to_owned(),
            )?;
            // Whichever terminal is the one of who opens it.
            self.host("/dev/tty", Access::Terminal, Depth::One)?;
        }
        self.memory("/dev/shm", SHARED_MEMORY_BYTES, SHARED_MEMORY_INODES, plan)
    }

    /// /run: the usual database sockets, our programs, a place for lock files.
    fn run(&mut self, plan: &ViewPlan<'_>) -> Result<(), ViewError> {
        for name in DATABASE_SOCKETS {
            self.host_if_there(Path::new(name), Access::ReadData, Depth::One)?;
        }
        self.link(Path::new("/var/run"), Path::new("/run"))?;
        for (program, target) in plan.programs {
            let mount = mount::copy_descriptor(program, Access::Read, Depth::One);
            self.attach(Path::new(target), Access::Read, mount)?;
        }
        self.memory(plan.locks, LOCKS_BYTES, LOCKS_INODES, plan)
    }

    /// Home, and the site's own directories.
    fn own(&mut self, plan: &ViewPlan<'_>) -> Result<(), ViewError> {
        let home = mount::copy_descriptor(plan.home, Access::Write, Depth::All);
        self.attach(&plan.user.home, Access::Write, home)?;
        for (directory, target) in plan.own {
            let mount = mount::copy_descriptor(directory, Access::Write, Depth::One);
            self.attach(Path::new(target), Access::Write, mount)?;
        }
        Ok(())
    }

    fn memory(
        &mut self,
        target: &str,
        bytes: u64,
        inodes: u64,
        plan: &ViewPlan<'_>,
    ) -> Result<(), ViewError> {
        let owner = (plan.user.uid, plan.user.gid);
        self.attach(
            Path::new(target),
            Access::Write,
            mount::memory(bytes, inodes, owner, c"0700"),
        )
    }

    /// The host's `path`, which must be there, at the same place.
    fn host(&mut self, path: &str, access: Access, depth: Depth) -> Result<(), ViewError> {
        let path = Path::new(path);
        self.attach(path, access, mount::copy_path(path, access, depth))
    }

    fn host_if_there(
        &mut self,
        path: &Path,
        access: Access,
        depth: Depth,
    ) -> Result<(), ViewError> {
        // Looked at before: if it is replaced in between, it seems replaced afterwards, which costs a keeper and no more.
        self.bound
            .add(path, Kind::Mount, watch::identity(path, Kind::Mount));
        match mount::copy_path(path, access, depth) {
            Err(error) if is_missing(&error) => Ok(()),
            mount => self.attach(path, access, mount),
        }
    }

    /// The host's `path`: the same link where it is one into a part of the system that the view has too, else what it is.
    fn host_or_link(&mut self, path: &str, access: Access) -> Result<(), ViewError> {
        let path = Path::new(path);
        match std::fs::read_link(path) {
            Ok(target) if leads_into_view(path, &target) => {
                self.bound
                    .add(path, Kind::Link, watch::identity(path, Kind::Link));
                self.link(path, &target)
            }
            _ => self.host_if_there(path, access, Depth::All),
        }
    }

    fn attach(
        &mut self,
        target: &Path,
        access: Access,
        mount: io::Result<OwnedFd>,
    ) -> Result<(), ViewError> {
        let descriptor = mount.map_err(failed("mount", target))?;
        let status = fstat(&descriptor).map_err(|error| failed("look at", target)(error.into()))?;
        let relative = relative(target)?;
        if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
            self.directory(target)?;
        } else {
            self.file(target, b"")?;
        }
        let target = CString::new(relative.as_os_str().as_bytes())
            .map_err(|error| failed("use", target)(error.into()))?;
        self.mounts.push(Mount {
            descriptor,
            target,
            access,
        });
        Ok(())
    }

    /// A directory of root's in the root of the view, and those above it.
    fn directory(&self, path: &Path) -> Result<(), ViewError> {
        let mut made = PathBuf::new();
        for name in relative(path)?.components() {
            made.push(name);
            match mkdirat(&self.root, &made, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(failed("make directory", path)(error.into())),
            }
        }
        Ok(())
    }

    fn parent(&self, path: &Path) -> Result<(), ViewError> {
        path.parent()
            .map_or(Ok(()), |parent| self.directory(parent))
    }

    fn file(&self, path: &Path, text: &[u8]) -> Result<(), ViewError> {
        self.parent(path)?;
        let mode = Mode::from_raw_mode(0o644);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let write = || {
            let file = openat(&self.root, relative(path)?, flags, mode)
                .map_err(|error| failed("make file", path)(error.into()))?;
            fchmod(&file, mode).map_err(|error| failed("open to all", path)(error.into()))?;
            io::Write::write_all(&mut std::fs::File::from(file), text)
                .map_err(failed("write", path))
        };
        write()
    }

    fn link(&self, path: &Path, target: &Path) -> Result<(), ViewError> {
        self.parent(path)?;
        symlinkat(target, &self.root, relative(path)?)
            .map_err(|error| failed("make link", path)(error.into()))
    }
}

/// What stands in for a view in tests that leave it out.
#[cfg(feature = "controls")]
impl Builder {
    /// The host's file system as its owners allow it to be used, with our programs in it.
    fn whole_host(&mut self, plan: &ViewPlan<'_>) -> Result<(), ViewError> {
        // /run is taken apart, because our programs have a place in it that the host need not have.
        self.all_of(Path::new("/"), &["proc", "run"])?;
        self.all_of(Path::new("/run"), &["hostel"])?;
        self.directory(Path::new("/proc"))?;
        for (program, target) in plan.programs {
            let mount = mount::copy_descriptor(program, Access::Read, Depth::One);
            self.attach(Path::new(target), Access::Read, mount)?;
        }
        self.memory(plan.locks, LOCKS_BYTES, LOCKS_INODES, plan)?;
        // For Landlock alone: what a site may write is the host's here.
        let own = plan.own.iter().map(|(_, target)| Path::new(*target));
        for path in own.chain([plan.user.home.as_path(), Path::new("/dev/shm")]) {
            if let Ok(descriptor) = mount::copy_path(path, Access::Host, Depth::All) {
                let relative = relative(path)?.as_os_str().as_bytes();
                let target =
                    CString::new(relative).map_err(|error| failed("use", path)(error.into()))?;
                self.mounts.push(Mount {
                    descriptor,
                    target,
                    access: Access::Write,
                });
            }
        }
        Ok(())
    }

    fn all_of(&mut self, directory: &Path, without: &[&str]) -> Result<(), ViewError> {
        let entries = std::fs::read_dir(directory).map_err(failed("list", directory))?;
        for entry in entries {
            let entry = entry.map_err(failed("list", directory))?;
            if without.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            let path = entry.path();
            match std::fs::read_link(&path) {
                Ok(target) => self.link(&path, &target)?,
                Err(_) => self.host_if_there(&path, Access::Host, Depth::All)?,
            }
        }
        Ok(())
    }
}

fn relative(path: &Path) -> Result<&Path, ViewError> {
    path.strip_prefix("/")
        .map_err(|_| failed("use relative path", path)(io::ErrorKind::InvalidInput.into()))
}

fn leads_into_view(link: &Path, target: &Path) -> bool {
    let from_root = target.strip_prefix("/").unwrap_or(target);
    // Links of /etc are written as `../usr/…`, those of / as `usr/…`; anything longer is mounted, not linked.
    let up = if link.starts_with("/etc") && !target.is_absolute() {
        match from_root.strip_prefix("..") {
            Ok(rest) => rest,
            Err(_) => return false,
        }
    } else {
        from_root
    };
    up.starts_with("usr") || up.starts_with("proc")
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}

fn failed(action: &'static str, path: impl AsRef<Path>) -> impl Fn(io::Error) -> ViewError {
    let path = path.as_ref().to_owned();
    move |source| ViewError {
        action,
        path: path.clone(),
        source,
    }
}

/// The root holds directories, links and two small files; it is read-only for the site.
const ROOT_BYTES: u64 = 4 << 20;
const ROOT_INODES: u64 = 4096;
/// Docker's default for containers.
const SHARED_MEMORY_BYTES: u64 = 64 << 20;
const SHARED_MEMORY_INODES: u64 = 1024;
/// OPcache's lock file is empty.
const LOCKS_BYTES: u64 = 64 << 10;
const LOCKS_INODES: u64 = 16;

/// What programs read in /etc. Nothing here is a secret on a usual host: all of it is readable by everybody.
const SETTINGS: [&str; 37] = [
    "ImageMagick-6",
    "ImageMagick-7",
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "debian_version",
    "fonts",
    "gai.conf",
    "ghostscript",
    "host.conf",
    "hostname",
    "hosts",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld.so.preload",
    "locale.alias",
    "localtime",
    "magic",
    "magic.mime",
    "mailcap",
    "mime.types",
    "mtab",
    "netconfig",
    "networks",
    "nsswitch.conf",
    "os-release",
    "papersize",
    "perl",
    "protocols",
    "python3",
    "resolv.conf",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
];

/// Where Debian's databases and caches have their sockets. Never a whole /run: it has PHP-FPM's and others'.
pub const DATABASE_SOCKETS: [&str; 5] = [
    "/run/memcached",
    "/run/mysqld",
    "/run/postgresql",
    "/run/redis",
    "/run/valkey",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_into_the_system_stay_links() {
        let leads = |link: &str, target: &str| leads_into_view(Path::new(link), Path::new(target));
        assert!(leads("/bin", "usr/bin"));
        assert!(leads("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC"));
        assert!(leads("/etc/os-release", "../usr/lib/os-release"));
        assert!(leads("/etc/mtab", "../proc/self/mounts"));
        assert!(!leads(
            "/etc/resolv.conf",
            "../run/systemd/resolve/stub-resolv.conf"
        ));
        assert!(!leads("/etc/hosts", "usr/x"));
        assert!(!leads("/etc/ssl/certs", "/srv/certs"));
    }
}
