//! The start-up, in numbered steps.
//!
//! Runs as root, once. Whatever can be found wrong is found here, before anything is started, and told on standard error with what to do.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use hostel_config::{Errors, Loader, SystemUsers, disk_warnings};
use hostel_sys::capabilities::{self, LowerError, MONITOR};
use hostel_sys::cred::Uid;
use hostel_sys::process;
use hostel_sys::sandbox::features;
use hostel_sys::secure::SecureError;
use hostel_sys::signal::Signals;
use hostel_sys::watch::Watch;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, Signal, chdir, getrlimit, setrlimit, umask};

use crate::listen::{self, ListenError};
use crate::log::{Log, say};
use crate::notify::Notify;
use crate::requests::Phase;
use crate::sites::Sites;
use crate::supervise::{Fatal, Firewall, Jobs, Monitor};
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

/// Everything up to the first front.
pub(crate) fn start() -> Result<Monitor, StartError> {
    // 1: what the caller may have left behind.
    let path = configuration_path(&std::env::args_os().skip(1).collect::<Vec<_>>())?;
    let difference = Difference::of_process();
    let notify = sanitise()?;
    // 2: only root can do what follows, and with few of root's capabilities.
    if Uid::effective() != Uid::ROOT {
        return Err(StartError::NotRoot);
    }
    let lacking = capabilities::lower_to(MONITOR)?;
    // 3: the configuration, with every error in it.
    let mut loader = Loader::default();
    let server = loader.load(&path, &SystemUsers::read());
    let server = server.map_err(StartError::Configuration)?;
    // 4: directories, and the lock against a second instance.
    let directories = Directories::open(&server)?;
    directories.lock()?;
    // 5: the ports, so that an address in use is told at once.
    let listening = |address: &SocketAddr| listen::tcp(*address).map(Rc::new);
    let listeners = server
        .http
        .iter()
        .map(listening)
        .collect::<Result<_, _>>()?;
    let status = listen::status(&directories.status_socket())?;
    capabilities::give_up("CAP_NET_BIND_SERVICE")
        .map_err(|error| StartError::Sanitise("give up CAP_NET_BIND_SERVICE", error))?;
    // 6: the server's own log, which begins with what is lacking.
    let log = Log::new(directories.server_log()?, server.log_level);
    for capability in lacking {
        log.warning(format_args!("root lacks {capability}: this does not work"));
    }
    for warning in [hostel_config::warnings(&server), disk_warnings(&server)].concat() {
        log.warning(format_args!("{warning}"));
    }
    for lack in features().weaknesses() {
        log.warning(format_args!("{lack}"));
    }
    // 7: the programs beside this one.
    let programs = Programs::open()?;
    // 8: signals become events; from here on Ctrl-C ends in order.
    let signals = Signals::new(&[Signal::HUP, Signal::INT, Signal::TERM, Signal::USR1])
        .map_err(|error| StartError::Sanitise("take signals as events", error))?;
    // 9: what tells when a part of the host that views hold was replaced.
    let watch = Watch::new();
    if let Err(error) = &watch {
        let text =
            format!("nothing tells when resolv.conf or a database's sockets are replaced: {error}");
        log.warning(format_args!("{text}; awake sites keep the old ones"));
    }
    // 10: what holds the sites to their limits. This process may change its control group, so nothing that can fail follows.
    let resources = Resources::begin(&server.run);
    if let Some(text) = resources.warning() {
        log.warning(format_args!("limits of sites: {text}"));
        say(&format!("hostel: warning: limits of sites: {text}"));
    }
    // 11: the loop starts the front and says when it is ready.
    let now = Instant::now();
    let mut sites = Sites::default();
    sites.change(&[], server.sites.clone(), now);
    Ok(Monitor {
        path,
        loader,
        firewall: Firewall::new(&server.egress(), now),
        jobs: Jobs::new(now),
        server,
        directories,
        listeners,
        status: Rc::new(status),
        log,
        programs,
        difference,
        resources,
        signals,
        watch: watch.ok(),
        notify,
        sites,
        front: None,
        front_back_off: BackOff::new(now),
        phase: Phase::Serving,
        is_announced: false,
    })
}

fn configuration_path(arguments: &[OsString]) -> Result<PathBuf, StartError> {
    let path = match arguments {
        [option, path] if option == "--config" => path,
        _ => return Err(StartError::Usage),
    };
    std::path::absolute(path)
        .map_err(|error| StartError::Sanitise("find the current directory", error))
}

/// Descriptors, environment, umask, limits and the current directory.
fn sanitise() -> Result<Notify, StartError> {
    let failed = |what| move |error| StartError::Sanitise(what, error);
    process::close_all_but(&[0, 1, 2]).map_err(failed("close inherited descriptors"))?;
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
    Ok(notify)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_option_and_no_other() {
        let path = |arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            configuration_path(&arguments).ok()
        };
        assert_eq!(path(&["--config", "/a"]), Some("/a".into()));
        assert_eq!(path(&[]), None);
        assert_eq!(path(&["--config"]), None);
        assert_eq!(path(&["--config", "/a", "b"]), None);
        assert_eq!(path(&["-c", "/a"]), None);
    }
}
