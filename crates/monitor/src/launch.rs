//! How the front and a site's keeper are started: what each finds on its descriptors and in its view.
//!
//! Used by the monitor, by the command line and by `hostel-jobs`, as root. It turns a checked site into a plan for `hostel_sys::spawn`, which does the work; nothing
//! here is decided by anybody but the configuration.

use std::ffi::{CString, NulError};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hostel_config::{Mail, Server, Site};
use hostel_sys::cgroup::{CgroupError, SiteGroup};
#[cfg(feature = "controls")]
use hostel_sys::cred::{Gid, Uid};
use hostel_sys::cred::{LookUpError, User, group};
use hostel_sys::fdpass::{message_pair, send};
use hostel_sys::home::{HomeError, open_home};
#[cfg(feature = "controls")]
use hostel_sys::layers::Layer;
use hostel_sys::layers::Layers;
use hostel_sys::quota;
use hostel_sys::rlimit::Limits;
use hostel_sys::secure::SecureError;
use hostel_sys::spawn::{Child, Plan, Program, SpawnError, spawn};
use hostel_sys::view::{View, ViewError, ViewPlan};
use hostel_sys::watch::Bound;
use hostel_wire::limits;
use hostel_wire::monitor_keeper::{PhpValue, SiteSettings, ToKeeper};
use hostel_wire::monitor_mail::ToMail;
use hostel_wire::view;
use rustix::fs::{Mode, OFlags, open, openat};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::directories::Directories;
use crate::resources::Resources;

/// Why something was not started.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant says it in its message")]
pub enum LaunchError {
    #[error("cannot open {} (hint: hostel's programs stand in one directory)", path.display())]
    Program { path: PathBuf, source: io::Error },
    #[error("cannot open /dev/null")]
    Null(#[source] io::Error),
    #[error("cannot make sockets and pipes")]
    Sockets(#[source] io::Error),
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Directory(#[from] SecureError),
    #[error(transparent)]
    LookUp(#[from] LookUpError),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error("a name or path holds a NUL byte")]
    Nul(#[from] NulError),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("cannot send it its settings")]
    Settings(#[source] io::Error),
    #[error(transparent)]
    Group(#[from] CgroupError),
    #[error("nothing would hold it to its 'egress'; the log says above why")]
    Egress,
    #[error("cannot hold the home to 'home_bytes_max'")]
    Quota(#[source] io::Error),
}

/// A command that runs in the keeper's place, as the site's user: what an administrator has typed, or the site's file names.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// Its words, the program's name first.
    pub words: &'a [CString],
    /// Its standard input, output and error. `None`: nothing to read, and the pipe of [`Launched::errors`] for the two others.
    pub streams: Option<[BorrowedFd<'a>; 3]>,
    /// The file system of its terminal, where its streams are one.
    pub terminals: Option<BorrowedFd<'a>>,
}

/// In what a sandbox differs from the one that serves visitors: in nothing, but for commands and those of `hostel prove`.
#[derive(Debug, Clone, Copy)]
pub struct Difference<'a> {
    /// Which layers are put in place.
    pub layers: Layers,
    /// A directory of root's that is mounted read-only at [`view::PROVE`], and is the document root.
    pub document_root: Option<BorrowedFd<'a>>,
    /// More variables of the keeper's environment, as `NAME=value`.
    pub environment: &'a [CString],
    /// A program of root's that is started in the keeper's place, with all its arguments: the walk of `hostel audit`, the work of `hostel site`.
    pub instead: Option<(BorrowedFd<'a>, &'a [CString])>,
    /// A command of the site's own, which the keeper's program starts and reaps.
    pub command: Option<Command<'a>>,
    /// More PHP settings.
    pub php_values: &'a [PhpValue],
    /// Another user and group than the site's: what it would be if sites shared one.
    #[cfg(feature = "controls")]
    pub identity: Option<(Uid, Gid)>,
}

impl Difference<'_> {
    /// None: the sandbox of a site as it serves.
    pub const NONE: Self = Self {
        layers: Layers::ALL,
        document_root: None,
        environment: &[],
        instead: None,
        command: None,
        php_values: &[],
        #[cfg(feature = "controls")]
        identity: None,
    };

    /// None, but in a build with `controls` whose environment names layers to do without; to be asked before that is cleared.
    pub fn of_process() -> Self {
        Self {
            layers: Layers::of_process(),
            ..Self::NONE
        }
    }

    /// Whom the sandbox runs as.
    fn user(&self, site: &Site) -> User {
        let user = User {
            home: PathBuf::from(&site.home),
            ..site.user.clone()
        };
        #[cfg(feature = "controls")]
        {
            let root = (!self.layers.has(Layer::User)).then_some((Uid::ROOT, Gid(0)));
            if let Some((uid, gid)) = self.identity.or(root) {
                return User { uid, gid, ..user };
            }
        }
        user
    }
}

/// Where the programs are. Each is opened anew when it is started: a file that a package has replaced cannot be mounted.
#[derive(Debug)]
pub struct Programs {
    directory: OwnedFd,
    path: PathBuf,
}

/// What the monitor keeps of a sandbox that it has started.
#[derive(Debug)]
pub struct Launched {
    /// The keeper.
    pub child: Child,
    /// Its control socket.
    pub control: OwnedFd,
    /// The read end of the site's standard error; never read here, only handed on.
    pub errors: Rc<OwnedFd>,
    /// What of the host its view was made of.
    pub bound: Bound,
    /// Its control group, where there are any; to be dropped when the keeper has ended.
    pub group: Option<SiteGroup>,
    /// Why OPcache keeps no files, where it does not for what its directory is.
    pub without_file_cache: Option<SecureError>,
}

impl Programs {
    /// Find the programs beside this one: by descriptor, so that their directory may be closed to all but root.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn open() -> Result<Self, LaunchError> {
        let failed = |path: &Path, source| LaunchError::Program {
            path: path.to_owned(),
            source,
        };
        let own = std::env::current_exe();
        let own = own.map_err(|error| failed(Path::new("/proc/self/exe"), error))?;
        let path = own.parent().unwrap_or(Path::new("/"));
        let directory = open(path, PROGRAM | OFlags::DIRECTORY, Mode::empty())
            .map_err(|error| failed(path, error.into()))?;
        let programs = Self {
            directory,
            path: path.to_owned(),
        };
        for name in [FRONT, KEEPER, PHP, SENDMAIL] {
            programs.program(name)?;
        }
        Ok(programs)
    }

    fn program(&self, name: &str) -> Result<OwnedFd, LaunchError> {
        openat(&self.directory, name, PROGRAM, Mode::empty()).map_err(|error| {
            LaunchError::Program {
                path: self.path.join(name),
                source: error.into(),
            }
        })
    }

    /// Where one of them stands.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Start a front, in the server's control group or in this process's. Gives the process and the monitor's end of the socket to it, which does not wait.
    ///
    /// # Errors
    /// No socket, no program, or the kernel does not let this process fork.
    pub fn front(
        &self,
        user: &User,
        resources: Option<&Resources>,
    ) -> Result<(Child, OwnedFd), LaunchError> {
        self.server_program(FRONT, user, resources)
    }

    /// Start the mail broker, with its directories waiting for it. Gives the process and the monitor's end of the socket to it.
    ///
    /// # Errors
    /// As for the front, or one of its directories cannot be used.
    pub fn mail(
        &self,
        mail: &Mail,
        directories: &Directories,
        resources: &Resources,
    ) -> Result<(Child, OwnedFd), LaunchError> {
        let sockets = directories.mail_sockets(&mail.user)?.into_descriptor();
        let queue = directories.mail_queue(&mail.user)?;
        let (child, near) = self.server_program(MAIL, &mail.user, Some(resources))?;
        for (message, file) in [(ToMail::Sockets, &sockets), (ToMail::Queue, &queue)] {
            send(&near, &message.encode(), &[file.as_fd()]).map_err(LaunchError::Settings)?;
        }
        Ok((child, near))
    }

    fn server_program(
        &self,
        name: &str,
        user: &User,
        resources: Option<&Resources>,
    ) -> Result<(Child, OwnedFd), LaunchError> {
        let group = resources.map(Resources::server_group).transpose()?;
        let group = group.flatten();
        let (near, far) = message_pair(true).map_err(LaunchError::Sockets)?;
        let (null, errors, program) = (null()?, io::stderr(), self.program(name)?);
        let child = spawn(Plan {
            program: Program::Descriptor(program.as_fd()),
            arguments: &[CString::new(name)?],
            environment: &[c"PATH=/usr/bin:/bin".into()],
            uid: user.uid,
            gid: user.gid,
            descriptors: [null.as_fd(), errors.as_fd(), errors.as_fd(), far.as_fd()],
            limits: Limits {
                open_files: limits::DESCRIPTORS_MAX,
                processes: None,
                data_bytes: None,
            },
            group: group.as_ref().map(AsFd::as_fd),
            view: None,
            tcp_ports: None,
            layers: Layers::ALL,
        })?;
        Ok((child, near))
    }

    /// Start a site's sandbox, its settings waiting for it, without a front. `is_site` tells whether a uid or gid is a site's.
    ///
    /// # Errors
    /// What of the site could not be opened, mounted or started; nothing of it runs then.
    pub fn keeper(
        &self,
        site: &Site,
        server: &Server,
        directories: &Directories,
        resources: &Resources,
        is_site: &dyn Fn(u32) -> bool,
        difference: &Difference<'_>,
    ) -> Result<Launched, LaunchError> {
        let (group_name, members) = match group(site.user.gid)? {
            Some(group) => (group.name, group.members),
            None => (site.user.gid.to_string(), Vec::new()),
        };
        let (mut view, kernel_bounds, without_file_cache) =
            self.view(site, server, directories, is_site, difference, &group_name)?;
        let bound = std::mem::take(&mut view.bound);
        let (control, far) = message_pair(true).map_err(LaunchError::Sockets)?;
        let mut settings = settings(site, server, group_is_own(site, server, &members));
        if difference.document_root.is_some() {
            view::PROVE.clone_into(&mut settings.root);
        }
        settings.php_values.extend_from_slice(difference.php_values);
        if kernel_bounds {
            settings.temporary_bytes_max = 0;
        }
        let settings = ToKeeper::Settings(Box::new(settings));
        send(&control, &settings.encode(), &[]).map_err(LaunchError::Settings)?;
        let (errors, writer) = errors_pipe().map_err(LaunchError::Sockets)?;
        let null = null()?;
        let (program, arguments) = program(site, difference)?;
        let mut environment = vec![
            c"PATH=/usr/local/bin:/usr/bin:/bin".into(),
            CString::new(format!("HOME={}", site.home))?,
            CString::new(format!("USER={}", site.user.name))?,
        ];
        if difference.command.is_some() {
            environment.push(CString::new(format!("LOGNAME={}", site.user.name))?);
            environment.push(c"LANG=C.UTF-8".into());
        }
        environment.extend_from_slice(difference.environment);
        let group = resources.site_group(site)?;
        let user = difference.user(site);
        let streams = match difference.command {
            Some(command) => {
                own_pipe(&writer, &user).map_err(LaunchError::Sockets)?;
                command.streams
            }
            None => None,
        };
        let [input, output, errors_out] =
            streams.unwrap_or([null.as_fd(), writer.as_fd(), writer.as_fd()]);
        let child = spawn(Plan {
            program: Program::InView(&program),
            arguments: &arguments,
            environment: &environment,
            uid: user.uid,
            gid: user.gid,
            descriptors: [input, output, errors_out, far.as_fd()],
            limits: resources.process_limits(site),
            group: group.as_ref().map(AsFd::as_fd),
            view: Some(view),
            tcp_ports: server.tcp_ports(site),
            layers: difference.layers,
        })?;
        Ok(Launched {
            child,
            control,
            errors: Rc::new(errors),
            bound,
            group,
            without_file_cache,
        })
    }

    /// The view, whether the kernel bounds the site's temporary files, and why there is no place for OPcache's, if there is none.
    fn view(
        &self,
        site: &Site,
        server: &Server,
        directories: &Directories,
        is_site: &dyn Fn(u32) -> bool,
        difference: &Difference<'_>,
        group: &str,
    ) -> Result<(View, bool, Option<SecureError>), LaunchError> {
        let user = Difference::NONE.user(site);
        let reserved: [&Path; 4] = [
            &server.sites_directory,
            &server.state,
            &server.logs,
            &server.run,
        ];
        let home = open_home(&user.home, user.uid, &reserved)?;
        let [temporary, var_temporary, sessions, file_cache] =
            directories.site_state(&site.name, &user)?;
        // A site can do without the last.
        let needed = [temporary?, var_temporary?, sessions?];
        let own: Vec<_> = needed.iter().chain(&file_cache).map(AsFd::as_fd).collect();
        let places = [view::TEMPORARY, "/var/tmp", view::SESSIONS, view::OPCACHE];
        let mounted: Vec<_> = own.iter().copied().zip(places).collect();
        let home_max = (home.as_fd(), site.limits.home_bytes_max);
        let own_max = (&own[..], site.limits.temporary_bytes_max);
        let bounded = quota::bound(user.uid, home_max, own_max).map_err(LaunchError::Quota)?;
        let (keeper, php) = (self.program(KEEPER)?, self.program(PHP)?);
        let sendmail = self.program(SENDMAIL)?;
        let [keeper_path, php_path] =
            [KEEPER, PHP].map(|name| format!("{}/{name}", view::PROGRAMS));
        let mut read_only = vec![
            (keeper.as_fd(), keeper_path.as_str()),
            (php.as_fd(), &php_path),
            (sendmail.as_fd(), view::SENDMAIL),
        ];
        let mail = server.mail.as_ref();
        let mail = mail.map(|mail| directories.mail_socket(&site.name, &mail.user));
        let mail = mail.transpose()?;
        read_only.extend(mail.as_ref().map(|own| (own.as_fd(), view::MAIL)));
        read_only.extend(difference.document_root.map(|root| (root, view::PROVE)));
        read_only.extend(difference.instead.map(|with| (with.0, view::INSTEAD)));
        let view = View::prepare(&ViewPlan {
            user: &difference.user(site),
            group,
            home: home.as_fd(),
            own: &mounted,
            programs: &read_only,
            locks: view::LOCKS,
            php_ini_directory: Path::new(&server.php_ini_directory),
            terminals: difference.command.and_then(|command| command.terminals),
            is_site,
            layers: difference.layers,
            mount_point: &directories.mount_point(),
        })?;
        Ok((view, bounded, file_cache.err()))
    }
}

/// What is started as process 1, and its arguments.
fn program(
    site: &Site,
    difference: &Difference<'_>,
) -> Result<(CString, Vec<CString>), LaunchError> {
    if let Some((_, arguments)) = difference.instead {
        return Ok((CString::new(view::INSTEAD)?, arguments.to_vec()));
    }
    let keeper = CString::new(format!("{}/{KEEPER}", view::PROGRAMS))?;
    let Some(command) = difference.command else {
        let name = CString::new(site.name.as_str())?;
        return Ok((keeper, vec![c"hostel-keeper".into(), name]));
    };
    let how = match command.terminals {
        Some(_) => view::WITH_TERMINAL,
        None => view::WITHOUT_TERMINAL,
    };
    let mut arguments = vec![CString::new(view::RUNNER)?, CString::new(how)?];
    arguments.extend_from_slice(command.words);
    Ok((keeper, arguments))
}

/// Opened for each process anew: what is open once has status flags once, and with those one site could tell another something.
fn null() -> Result<File, LaunchError> {
    let opened = File::options().read(true).write(true).open("/dev/null");
    opened.map_err(LaunchError::Null)
}

/// The pipe that is the standard error of a site: the read end does not wait, the site's does, as programs expect.
fn errors_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok((reader, writer))
}

/// Let a site's user open a pipe of its command again, as `/dev/stderr` does.
///
/// # Errors
/// The kernel's.
pub fn own_pipe(pipe: impl AsFd, user: &User) -> io::Result<()> {
    let uid = rustix::process::Uid::from_raw(user.uid.0);
    let gid = rustix::process::Gid::from_raw(user.gid.0);
    Ok(rustix::fs::fchown(pipe, Some(uid), Some(gid))?)
}

/// Whether no user of another site is in the site's group, by its entry or as a member: then what the group may write is the site's.
fn group_is_own(site: &Site, server: &Server, members: &[String]) -> bool {
    let is_in_it = |other: &Site| {
        other.user.uid != site.user.uid
            && (other.user.gid == site.user.gid || members.contains(&other.user.name))
    };
    !server.sites.iter().any(|other| is_in_it(other))
}

fn settings(site: &Site, server: &Server, group_is_own: bool) -> SiteSettings {
    SiteSettings {
        name: site.name.clone(),
        user: site.user.name.clone(),
        home: site.home.clone(),
        root: site.root.clone(),
        index: site.index.clone(),
        script_extensions: site.script_extensions.clone(),
        front_controller: site.front_controller.clone(),
        foreign_owners: site.foreign_owners,
        group_is_own,
        php_ini_directory: server.php_ini_directory.clone(),
        requests_per_worker: site.limits.requests_per_worker,
        fresh: site.fresh,
        temporary_bytes_max: site.limits.temporary_bytes_max,
        php_values: site.php_values.clone(),
    }
}

/// The program of the monitor itself.
pub const MONITOR: &str = "hostel-monitor";
const FRONT: &str = "hostel-front";
const KEEPER: &str = "hostel-keeper";
const MAIL: &str = "hostel-mail";
const PHP: &str = "hostel-php";
const SENDMAIL: &str = "hostel-sendmail";
const PROGRAM: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
