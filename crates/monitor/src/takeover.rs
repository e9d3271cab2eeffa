//! The beginning of a monitor that goes on for another program of the same process, and the look whether it could.
//!
//! Runs as root. It trusts what the earlier program hands over, which was root too and is the same process.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_config::{Loader, Server, SystemUsers};
use hostel_monitor::directories::Directories;
use hostel_monitor::launch::{Launched, Programs};
use hostel_monitor::resources::Resources;
use hostel_sys::causes::with_causes;
use hostel_sys::spawn::Child;
use hostel_sys::watch::Bound;
use hostel_sys::{fdpass, wait};
use hostel_wire::front_monitor::{FrontSettings, Opened, ToFront, ToMonitor};
use hostel_wire::takeover::{State, VERSION, Verdict};
use rustix::event::{PollFd, PollFlags};

use crate::control::Control;
use crate::front::Front;
use crate::log::say;
use crate::sites::{Sandbox, Sites};
use crate::start::StartError;

/// What was handed over.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) state: State,
    pub(crate) descriptors: VecDeque<OwnedFd>,
}

impl Taken {
    fn next(&mut self) -> Result<OwnedFd, StartError> {
        self.descriptors.pop_front().ok_or(StartError::TakeOver)
    }

    /// The status socket, what root asks by, and the listening sockets, which the configuration has to be content with.
    pub(crate) fn sockets(
        &mut self,
        server: &mut Server,
    ) -> Result<(Vec<Rc<OwnedFd>>, OwnedFd, Control), StartError> {
        let (status, listener) = (self.next()?, self.next()?);
        let asker = match self.state.is_asked {
            true => Some(self.next()?),
            false => None,
        };
        let addresses = std::mem::take(&mut self.state.http);
        let parsed = addresses.iter().map(|text| text.parse().ok());
        let http: Option<Vec<SocketAddr>> = parsed.collect();
        server.http = http.ok_or(StartError::TakeOver)?;
        let listeners = addresses.iter().map(|_| self.next().map(Rc::new));
        let listeners = listeners.collect::<Result<_, _>>()?;
        Ok((listeners, status, Control::resumed(listener, asker)))
    }

    /// The old front, and the sites that it knows beside those of the configuration.
    pub(crate) fn former(
        mut self,
        resources: &Resources,
        server: &Server,
        now: Instant,
    ) -> Result<(Front, Sites), StartError> {
        let resumed = |pid, pidfd| Child::resumed(pid, pidfd).map_err(|_| StartError::TakeOver);
        let front = resumed(self.state.front, self.next()?)?;
        let front = Front::resumed(front, self.next()?, now);
        let mut sites = Sites::resumed(self.state.last_id);
        let by_name = server.sites.iter().map(|site| (site.name.as_str(), site));
        let configs: HashMap<&str, _> = by_name.collect();
        for site in std::mem::take(&mut self.state.sites) {
            let sandbox = match site.keeper {
                Some(pid) => {
                    let child = resumed(pid, self.next()?)?;
                    let (control, errors) = (self.next()?, Rc::new(self.next()?));
                    Some(Sandbox::resumed(
                        Launched {
                            child,
                            control,
                            errors,
                            bound: Bound::default(),
                            group: resources.resume_site(site.group),
                            without_file_cache: None,
                        },
                        now,
                    ))
                }
                None => None,
            };
            // One that has left the configuration since ends with what it was doing.
            if let Some(config) = configs.get(site.name.as_str()).copied() {
                sites.resume(site.id, Rc::clone(config), sandbox, now);
            }
        }
        sites.change(&[], server.sites.clone(), now);
        Ok((front, sites))
    }
}

/// Read the configuration. The program before has found it to be right; should somebody have broken it since, there is no way back, and
/// the old front serves until it is mended.
pub(crate) fn load(loader: &mut Loader, path: &Path) -> Server {
    loop {
        match loader.load(path, &SystemUsers::read()) {
            Ok(server) => return server,
            Err(errors) => say(&format!(
                "hostel: upgrade: the old front goes on until this is mended:\n{errors}"
            )),
        }
        std::thread::sleep(AGAIN);
    }
}

/// Say whether this program could serve with this configuration: read it, find the programs, and start a front that gets no socket.
pub(crate) fn check(path: &Path, asker: &OwnedFd) -> Result<(), StartError> {
    let fault = match front_is_ready(path) {
        Ok(true) => String::new(),
        Ok(false) => "the new front does not become ready; what it printed may tell why".to_owned(),
        Err(error) => with_causes(&error),
    };
    let verdict = Verdict {
        version: VERSION,
        fault,
    };
    // Whoever asked may have lost its patience.
    let _ = fdpass::send(asker, &verdict.encode(), &[]);
    Ok(())
}

fn front_is_ready(path: &Path) -> Result<bool, StartError> {
    let server = Loader::default().load(path, &SystemUsers::read());
    let server = server.map_err(StartError::Configuration)?;
    let directories = Directories::open(&server)?;
    let (child, socket) = Programs::open()?.front(&server.user, None)?;
    let mut front = Front::new(child, socket, Instant::now());
    let null = File::options().write(true).open("/dev/null");
    let null = null.map_err(|error| StartError::Sanitise("open /dev/null", error))?;
    let log_level = server.log_level.number();
    front.tell(&ToFront::Settings(FrontSettings { log_level }), &[]);
    front.tell(
        &ToFront::Descriptor(Opened::ServerLog),
        &[&Rc::new(null.into())],
    );
    front.tell(
        &ToFront::Descriptor(Opened::SpillDirectory),
        &[directories.spill()],
    );
    for message in ToFront::changes(&[], []) {
        front.tell(&message, &[]);
    }
    let is_ready = front.flush().is_ok() && is_ready(&front);
    front.kill();
    Ok(is_ready)
}

fn is_ready(front: &Front) -> bool {
    let until = Instant::now() + READY_WITHIN;
    loop {
        match front.hear() {
            Ok(Some(message)) => return message == ToMonitor::Ready,
            Ok(None) if Instant::now() < until => {}
            Ok(None) | Err(_) => return false,
        }
        let mut polled = [PollFd::from_borrowed_fd(front.socket(), PollFlags::IN)];
        if wait::wait(&mut polled, Some(until)).is_err() {
            return false;
        }
    }
}

/// Until a broken configuration is read again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the front may take that is only looked at.
const READY_WITHIN: Duration = Duration::from_secs(30);
