//! `hostel-firewall`: keeps the rules in force that say where each site may connect to.
//!
//! Started by the monitor, as root, with no capability but those that nft and the start of the resolver need. It trusts the
//! monitor, which hands it the checked configuration; of the resolver, which speaks to the network as nobody, it takes
//! records of one size for claims. It reads no configuration file, accepts no connection, and ends when the monitor does: not by a signal
//! but by the end of their socket, so that it can remove its table first.
//!
//! - `service`: its loop. `changes`: whether somebody has changed rules. `resolver`: the process that looks up names.

#![forbid(unsafe_code)]

mod changes;
mod resolver;
mod service;

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;

use hostel_firewall::Table;
use hostel_sys::signal::Signals;
use hostel_sys::{child, process};
use hostel_wire::view;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::process::Signal;
use rustix::thread::{CapabilitySet, CapabilitySets};

use changes::Changes;
use service::{Service, ServiceError};

/// Why it could not begin, or ended.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("usage: hostel-firewall RUN-DIRECTORY (hostel-monitor starts it)")]
    Usage,
    #[error("cannot {0}")]
    Begin(&'static str, #[source] io::Error),
    #[error(transparent)]
    Service(#[from] ServiceError),
}

fn main() -> ExitCode {
    match begin().and_then(|service| Ok(service.run()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(source) = cause {
                text = format!("{text}: {source}");
                cause = source.source();
            }
            // If nobody listens there is nobody to tell.
            let _ = writeln!(io::stderr(), "hostel-firewall: {text}");
            ExitCode::FAILURE
        }
    }
}

fn begin() -> Result<Service, Failure> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [run] = arguments.as_slice() else {
        return Err(Failure::Usage);
    };
    let failed = |what| move |error| Failure::Begin(what, error);
    // 1: nobody looks into this process.
    process::set_non_dumpable().map_err(failed("make the process non-dumpable"))?;
    // 2: away from the terminal and from signals to a whole service: the end of the socket ends it, after the sites.
    rustix::process::setsid().map_err(|error| failed("start a session")(error.into()))?;
    let signals = Signals::new(&[Signal::HUP, Signal::INT, Signal::TERM])
        .map_err(failed("take signals as events"))?;
    // 3: what root need not be able to do here, neither this process nor what it starts.
    lower_capabilities().map_err(|error| failed("give capabilities up")(error.into()))?;
    // 4: one at a time: an earlier one, whose monitor was killed, may be about to remove the table of this name.
    let lock = lock(Path::new(run)).map_err(|error| failed("lock")(error.into()))?;
    // 5: the one descriptor that the monitor gave.
    let number = u8::try_from(view::CONTROL_DESCRIPTOR)
        .map_err(|_| failed("find the monitor's socket")(io::ErrorKind::InvalidInput.into()))?;
    let monitor =
        child::inherited_descriptor(number).map_err(failed("find the monitor's socket"))?;
    // 6: learn when somebody removes the table. Where that cannot be, nft says why no table can.
    let changes = Changes::watch().ok();
    let table = Table::egress(Path::new(run));
    Ok(Service::new(table, lock, monitor, signals, changes))
}

/// Wait until no other process has the lock, which ends with this one. The directory is root's alone, as the monitor has seen to.
fn lock(run: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = open(run.join("firewall.lock"), flags, Mode::RUSR | Mode::WUSR)?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

/// nft needs CAP_NET_ADMIN; the start and the end of the resolver, which is another user, the others.
fn lower_capabilities() -> rustix::io::Result<()> {
    let kept = CapabilitySet::NET_ADMIN
        | CapabilitySet::SETUID
        | CapabilitySet::SETGID
        | CapabilitySet::SETPCAP
        | CapabilitySet::KILL;
    let present = rustix::thread::capabilities(None)?.permitted;
    for capability in CapabilitySet::all().iter() {
        if !kept.contains(capability)
            && rustix::thread::capability_is_in_bounding_set(capability).unwrap_or(false)
        {
            rustix::thread::remove_capability_from_bounding_set(capability)?;
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    let sets = CapabilitySets {
        effective: kept & present,
        permitted: kept & present,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets)?;
    rustix::thread::set_no_new_privs(true)
}
