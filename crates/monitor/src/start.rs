//! The start-up, in numbered steps.
//!
//! Runs as root, once. Whatever can be found wrong is found here, before anything is started, and told on standard error with what to do.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use hostel_config::{Errors, Loader, Server, SystemUsers, disk_warnings};
use hostel_sys::capabilities::{self, Capability, LowerError, MONITOR};
use hostel_sys::cred::Uid;
use hostel_sys::sandbox::features;
use hostel_sys::secure::SecureError;
use hostel_sys::signal::Signals;
use hostel_sys::watch::Watch;
use hostel_sys::{child, handover, process};
use hostel_wire::takeover::State;
use rustix::fs::Mode;
use rustix::net::SocketType;
use rustix::process::{Resource, Rlimit, Signal, chdir, getrlimit, setrlimit, umask};

use crate::control::Control;
use crate::listen::{self, ListenError};
use crate::log::{Log, say};
use crate::notify::Notify;
use crate::requests::Phase;
use crate::sites::Sites;
use crate::supervise::{CHECK, Fatal, Firewall, Jobs, Mail, Monitor, TAKE_OVER};
use crate::takeover::{self, Taken};
use hostel_monitor::directories::Directories;
use hostel_monitor::launch::{Difference, LaunchError, Programs};
use hostel_monitor::resources::Resources;
use hostel_sys::back_off::BackOff;

/// Why the monitor did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("usage: hostel-monitor --config FILE (`hostel serve` starts it)")]
    Usage,
    #[error("must be started as root: it opens ports and starts each site as the site's own user")]
    NotRoot,
    #[error("what the earlier program has handed over is not what it should be")]
    TakeOver,
    #[error("cannot {0}")]
    Sanitise(&'static str, #[source] io::Error),
    #[error("the configuration has errors; nothing was started\n{0}")]
    Configuration(Errors),
    #[error(transparent)]
    Capabilities(#[from] LowerError),
    #[error(transparent)]
    Directory(#[from] SecureError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

/// Everything up to the first front; `None` where this program was only to look whether it could serve.
pub(crate) fn start() -> Result<Option<Monitor>, StartError> {
    // 1: what the caller may have left behind.
    let order = order(&std::env::args_os().skip(1).collect::<Vec<_>>())?;
    let difference = Difference::of_process();
    let (notify, mut taken, asker) = sanitise(&order)?;
    // 2: only root can do what follows, and with few of root's capabilities.
    if Uid::effective() != Uid::ROOT {
        return Err(StartError::NotRoot);
    }
    let mut lacking = capabilities::lower_to(MONITOR)?;
    let path = order.path;
    if let Some(asker) = asker {
        return takeover::check(&path, &asker).map(|()| None);
    }
    // 3: the configuration, with every error in it.
    let mut loader = Loader::default();
    let mut server = read(&mut loader, &path, taken.is_some())?;
    // 4: directories, and the lock against a second instance.
    let directories = Directories::open(&server)?;
    directories.lock()?;
    // 5: the ports, so that an address in use is told at once.
    let (listeners, status, control) = match &mut taken {
        Some(taken) => {
            lacking.clear(); // the program before has told, and has given up one itself
            taken.sockets(&mut server)?
        }
        None => sockets(&server, &directories)?,
    };
    // 6: the server's own log, which begins with what is lacking.
    let log = open_log(&directories, &server, &lacking)?;
    // 7: the programs beside this one.
    let programs = Programs::open()?;
    // 8: signals become events; from here on Ctrl-C ends in order.
    let signals = Signals::new(&[Signal::HUP, Signal::INT, Signal::TERM, Signal::USR1])
        .map_err(|error| StartError::Sanitise("take signals as events", error))?;
    // 9: what tells when a part of the host that views hold was replaced.
    let watch = watch(&log);
    // 10: what holds the sites to their limits. This process may change its control group, so nothing that can fail follows.
    let groups = taken.as_mut().and_then(|taken| taken.state.groups.take());
    let resources = Resources::resume(&server.run, groups);
    tell_weaknesses(&log, &resources);
    // 11: the loop starts the front and says when it is ready.
    let now = Instant::now();
    let is_taking_over = taken.is_some();
    let (former, sites) = match taken {
        Some(taken) => {
            let (front, sites) = taken.former(&resources, &server, now)?;
            (Some(front), sites)
        }
        None => (None, Sites::configured(&server.sites, now)),
    };
    Ok(Some(Monitor {
        path,
        loader,
        firewall: Firewall::new(&server.egress(), now),
        mail: Mail::new(now),
        jobs: Jobs::new(now),
        server,
        directories,
        listeners,
        status: Rc::new(status),
        control,
        question: None,
        is_reload_due: false,
        reload: None,
        report: None,
        upgrade: None,
        log,
        programs,
        difference,
        resources,
        signals,
        watch,
        notify,
        sites,
        front: None,
        former,
        front_back_off: BackOff::new(now),
        phase: Phase::Serving,
        is_announced: is_taking_over,
        is_taking_over,
    }))
}

fn read(loader: &mut Loader, path: &Path, is_taken: bool) -> Result<Server, StartError> {
    match is_taken {
        true => Ok(takeover::load(loader, path)),
        false => loader
            .load(path, &SystemUsers::read())
            .map_err(StartError::Configuration),
    }
}

fn open_log(
    directories: &Directories,
    server: &Server,
    lacking: &[Capability],
) -> Result<Log, StartError> {
    let log = Log::new(directories.server_log()?, server.log_level);
    for capability in lacking {
        log.warning(format_args!("root lacks {capability}: this does not work"));
    }
    for warning in [hostel_config::warnings(server), disk_warnings(server)].concat() {
        log.warning(format_args!("{warning}"));
    }
    for lack in features().weaknesses() {
        log.warning(format_args!("{lack}"));
    }
    Ok(log)
}

fn tell_weaknesses(log: &Log, resources: &Resources) {
    if let Some(text) = resources.warning() {
        log.warning(format_args!("limits of sites: {text}"));
        say(&format!("hostel: warning: limits of sites: {text}"));
    }
}

fn watch(log: &Log) -> Option<Watch> {
    let watch = Watch::new();
    if let Err(error) = &watch {
        let text =
            format!("nothing tells when resolv.conf or a database's sockets are replaced: {error}");
        log.warning(format_args!("{text}; awake sites keep the old ones"));
    }
    watch.ok()
}

/// What is listened on.
type Sockets = (Vec<Rc<OwnedFd>>, OwnedFd, Control);

fn sockets(server: &Server, directories: &Directories) -> Result<Sockets, StartError> {
    let listening = |address: &SocketAddr| listen::tcp(*address).map(Rc::new);
    let listeners = server.http.iter().map(listening);
    let listeners = listeners.collect::<Result<_, _>>()?;
    let status = listen::local(&directories.status_socket(), SocketType::STREAM)?;
    let control = listen::local(&directories.control_socket(), SocketType::SEQPACKET)?;
    capabilities::give_up("CAP_NET_BIND_SERVICE")
        .map_err(|error| StartError::Sanitise("give up CAP_NET_BIND_SERVICE", error))?;
    Ok((listeners, status, Control::new(control)))
}

/// What is to be done.
struct Order {
    path: PathBuf,
    /// Only to look whether it could.
    is_check: bool,
    /// Where stands what an earlier program has handed over.
    take_over: Option<i32>,
}

fn order(arguments: &[OsString]) -> Result<Order, StartError> {
    let (path, is_check, take_over) = match arguments {
        [option, path] if option == "--config" => (path.clone(), false, None),
        [option, path, word, number] if option == "--config" && word == TAKE_OVER => {
            let number = number.to_str().and_then(|text| text.parse().ok());
            (path.clone(), false, Some(number.ok_or(StartError::Usage)?))
        }
        [word] => match word.as_bytes().strip_prefix(CHECK.as_bytes()) {
            Some(path) => (OsStr::from_bytes(path).to_owned(), true, None),
            None => return Err(StartError::Usage),
        },
        _ => return Err(StartError::Usage),
    };
    let path = std::path::absolute(path);
    Ok(Order {
        path: path.map_err(|error| StartError::Sanitise("find the current directory", error))?,
        is_check,
        take_over,
    })
}

/// Descriptors, environment, umask, limits and the current directory. What is kept of the descriptors: what was handed over, or the
/// socket of who waits for this program's look.
fn sanitise(order: &Order) -> Result<(Notify, Option<Taken>, Option<OwnedFd>), StartError> {
    let failed = |what| move |error| StartError::Sanitise(what, error);
    let (mut taken, mut asker) = (None, None);
    match order.take_over {
        Some(number) => {
            let (bytes, descriptors) = handover::take(number, State::BYTES_MAX)
                .map_err(failed("take over the sockets"))?;
            taken = Some(Taken {
                state: State::decode(&bytes).map_err(|_| StartError::TakeOver)?,
                descriptors: descriptors.into(),
            });
        }
        None if order.is_check => {
            process::close_all_but(&[0, 1, 2, 3]).map_err(failed("close inherited descriptors"))?;
            let socket = child::inherited_descriptor(3);
            asker = Some(socket.map_err(failed("find the socket of the caller"))?);
        }
        None => {
            process::close_all_but(&[0, 1, 2]).map_err(failed("close inherited descriptors"))?;
        }
    }
    process::set_non_dumpable().map_err(failed("make the process non-dumpable"))?;
    let notify = Notify::from_environment();
    process::clear_environment(&[]).map_err(failed("clear the environment"))?;
    umask(Mode::from_raw_mode(0o022));
    // The front inherits it, and would reach what is beneath a directory that is closed to it above.
    chdir("/").map_err(|error| failed("change to the directory /")(error.into()))?;
    // Each awake site costs three descriptors. Only the soft limit moves.
    let maximum = getrlimit(Resource::Nofile).maximum;
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, all)
        .map_err(|error| failed("raise the limit of open files")(error.into()))?;
    Ok((notify, taken, asker))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_option_and_no_other() {
        let path = |arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            order(&arguments).ok().map(|order| order.path)
        };
        assert_eq!(path(&["--config", "/a"]), Some("/a".into()));
        assert_eq!(path(&[]), None);
        assert_eq!(path(&["--config"]), None);
        assert_eq!(path(&["--config", "/a", "b"]), None);
        assert_eq!(path(&["-c", "/a"]), None);
        assert_eq!(path(&["--check=/a"]), Some("/a".into()));
        let take_over = |number| path(&["--config", "/a", "--take-over", number]);
        assert_eq!(take_over("7"), Some("/a".into()));
        assert_eq!(take_over("x"), None);
    }
}
