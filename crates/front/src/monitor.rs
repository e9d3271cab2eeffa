//! The link to the monitor: its messages are applied, eight small questions are sent.
//!
//! Run by the front's main task. The monitor is the one process that the front trusts, but its messages are decoded as strictly as any:
//! one that does not fit ends the front, and the monitor starts another. It does not outlive the monitor.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use hostel_sys::fdpass;
use hostel_wire::codec::Malformed;
use hostel_wire::front_monitor::{Notice, Opened, SiteEntry, SiteId, ToFront, ToMonitor};
use hostel_wire::limits;
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::front::{Front, Stage};
use crate::jobs;
use crate::keeper::{self, Keeper};
use crate::logs::{Level, Logs};
use crate::sites::Site;

/// The front's end of the link.
pub struct Monitor {
    /// A socket of whole messages; the runtime has no type of its own for it.
    socket: UnixStream,
    outbox: RefCell<VecDeque<ToMonitor>>,
}

/// Why the front has to end.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The monitor is gone.
    #[error("the monitor has closed its socket")]
    Closed,
    /// The socket failed.
    #[error("the monitor's socket failed: {0}")]
    Socket(#[from] io::Error),
    /// Bytes that are no message.
    #[error("the monitor sent no message: {0}")]
    Malformed(#[from] Malformed),
    /// Too many descriptors or too few.
    #[error("a message of the monitor came with {0} descriptors")]
    Descriptors(usize),
    /// A message that cannot come now.
    #[error("the monitor sent {0} at the wrong time")]
    Order(&'static str),
}

/// A message of the monitor with its descriptors, whose number is right.
pub struct Message {
    /// What it says.
    pub content: ToFront,
    /// What came with it.
    pub descriptors: Vec<OwnedFd>,
}

impl Monitor {
    /// Take the front's end of the socket.
    ///
    /// # Errors
    /// The descriptor is no socket that can be waited for.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self {
            socket: UnixStream::from_std(socket.into())?,
            outbox: RefCell::default(),
        })
    }

    /// Send a message, now or as soon as the socket takes it. A monitor that is gone is noticed by who receives.
    pub fn send(&self, message: ToMonitor) {
        self.outbox.borrow_mut().push_back(message);
        self.flush();
    }

    /// Send what waits, as far as the socket takes it.
    pub fn flush(&self) {
        let mut outbox = self.outbox.borrow_mut();
        while let Some(message) = outbox.front() {
            if fdpass::send(&self.socket, &message.encode(), &[]).is_err() {
                return;
            }
            outbox.pop_front();
        }
    }

    /// The next message.
    ///
    /// # Errors
    /// See [`MonitorError`]; each of them ends the front.
    pub async fn receive(&self) -> Result<Message, MonitorError> {
        let mut buffer = vec![0; limits::MESSAGE_BYTES_MAX];
        loop {
            self.socket.readable().await?;
            let receive = || fdpass::receive(&self.socket, &mut buffer);
            let received = match self.socket.try_io(Interest::READABLE, receive) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            if received.bytes == 0 {
                return Err(MonitorError::Closed);
            }
            let content = ToFront::decode(buffer.get(..received.bytes).unwrap_or_default())?;
            let descriptors = received.descriptors;
            if descriptors.len() != content.descriptors() {
                return Err(MonitorError::Descriptors(descriptors.len()));
            }
            return Ok(Message {
                content,
                descriptors,
            });
        }
    }
}

/// What the monitor says before the front may serve.
pub struct Beginning {
    /// Listening sockets for HTTP.
    pub listeners: Vec<OwnedFd>,
    /// The spill directory.
    pub spill: OwnedFd,
    /// The listening socket of the status.
    pub status: Option<OwnedFd>,
    /// The table.
    pub table: Vec<SiteEntry>,
}

/// Take settings, descriptors and the table.
///
/// # Errors
/// See [`MonitorError`].
pub async fn begin(monitor: &Monitor, logs: &Logs) -> Result<Beginning, MonitorError> {
    let (mut listeners, mut spill, mut status) = (Vec::new(), None, None);
    let mut changes = None;
    loop {
        let mut message = monitor.receive().await?;
        match message.content {
            ToFront::Settings(settings) => logs.set_level(Level::from_number(settings.log_level)),
            ToFront::Descriptor(opened) => {
                let Some(descriptor) = message.descriptors.pop() else {
                    return Err(MonitorError::Descriptors(0));
                };
                match opened {
                    Opened::HttpListener => listeners.push(descriptor),
                    Opened::ServerLog => logs.set_server_file(descriptor.into()),
                    Opened::SpillDirectory => spill = Some(descriptor),
                    Opened::StatusListener => status = Some(descriptor),
                }
            }
            ToFront::TableBegin => changes = Some(Changes::default()),
            ToFront::Sites(sites) => Changes::add(&mut changes, sites)?,
            ToFront::TableEnd => {
                return Ok(Beginning {
                    listeners,
                    spill: spill.ok_or(MonitorError::Order("the table before the descriptors"))?,
                    status,
                    table: Changes::all(&mut changes)?.added,
                });
            }
            ToFront::Drain { .. }
            | ToFront::Gone(_)
            | ToFront::Leave { .. }
            | ToFront::Trial(_)
            | ToFront::JobOutput { .. }
            | ToFront::JobsLog { .. }
            | ToFront::Keeper { .. }
            | ToFront::SiteDown { .. }
            | ToFront::SiteLogs { .. }
            | ToFront::SiteNotice { .. } => {
                return Err(MonitorError::Order("a message about what runs"));
            }
        }
    }
}

/// Apply what the monitor says until it wants the front to end. Returns how, and the longest wait for running requests.
///
/// # Errors
/// See [`MonitorError`].
pub async fn follow(
    front: &Rc<Front>,
    monitor: &Monitor,
) -> Result<(Stage, Duration), MonitorError> {
    let mut changes = None;
    let wait = |seconds: u32| Duration::from_secs(seconds.into());
    loop {
        let message = monitor.receive().await?;
        let mut descriptors = message.descriptors.into_iter();
        match message.content {
            ToFront::Drain { seconds } => return Ok((Stage::Ending, wait(seconds))),
            ToFront::Leave { seconds } => return Ok((Stage::HandedOver, wait(seconds))),
            ToFront::Trial(sites) => front.sites.try_out(sites),
            ToFront::Settings(settings) => {
                front.logs.set_level(Level::from_number(settings.log_level));
            }
            ToFront::Descriptor(Opened::ServerLog) => {
                if let Some(file) = descriptors.next() {
                    front.logs.set_server_file(file.into());
                }
            }
            ToFront::Descriptor(
                Opened::HttpListener | Opened::SpillDirectory | Opened::StatusListener,
            ) => return Err(MonitorError::Order("a socket or directory")),
            ToFront::TableBegin => changes = Some(Changes::default()),
            ToFront::Gone(sites) => Changes::remove(&mut changes, sites)?,
            ToFront::Sites(sites) => Changes::add(&mut changes, sites)?,
            ToFront::TableEnd => {
                let changes = Changes::all(&mut changes)?;
                front.sites.change(&changes.gone, changes.added);
                monitor.send(ToMonitor::TableTaken);
            }
            // The monitor may speak of a site that was released a moment ago.
            ToFront::Keeper { site, pid } => {
                let descriptors = (descriptors.next(), descriptors.next());
                begin_keeper(front.sites.by_id(site), pid, descriptors)?;
            }
            ToFront::SiteLogs { site } => {
                if let Some(site) = front.sites.by_id(site)
                    && let (Some(access), Some(error)) = (descriptors.next(), descriptors.next())
                {
                    let files = &front.logs;
                    files.set_site_files(&site.log, access.into(), error.into());
                }
            }
            ToFront::JobsLog { site } => {
                if let Some(site) = front.sites.by_id(site) {
                    jobs::log_to(&site, descriptors.next());
                }
            }
            ToFront::JobOutput { site, job } => {
                if let Some(site) = front.sites.by_id(site) {
                    jobs::begin(&site, job, descriptors.next());
                }
            }
            ToFront::SiteNotice { site, notice } => {
                if let Some(site) = front.sites.by_id(site) {
                    tell(front, &site, notice);
                }
            }
            ToFront::SiteDown {
                site,
                reason,
                retry_ms,
            } => {
                if let Some(site) = front.sites.by_id(site) {
                    site.down(reason, Duration::from_millis(retry_ms.into()));
                }
            }
        }
    }
}

fn begin_keeper(
    site: Option<Rc<Site>>,
    pid: u32,
    descriptors: (Option<OwnedFd>, Option<OwnedFd>),
) -> Result<(), MonitorError> {
    if let (Some(site), (Some(socket), Some(stderr))) = (site, descriptors) {
        let keeper = Rc::new(Keeper::new(socket, pid)?);
        site.up(Rc::clone(&keeper));
        site.spawn(keeper::run(Rc::clone(&site), keeper, stderr));
    }
    Ok(())
}

/// Write what the kernel did at one of the site's bounds into its error log, with what to do.
fn tell(front: &Front, site: &Site, notice: Notice) {
    match notice {
        Notice::MemoryUsedUp { ended, memory_max } => {
            let mebibytes = memory_max >> 20;
            front.logs.site_notice(
                site,
                format_args!(
                    "memory: the kernel has ended {ended} of this site's processes, the largest, since together they \
                     had reached memory_max ({mebibytes} MiB). Raise it, or let less run at once (workers_max) or each \
                     script use less (memory_limit)"
                ),
            );
        }
        Notice::ProcessesUsedUp {
            refused,
            processes_max,
        } => front.logs.site_notice(
            site,
            format_args!(
                "processes: {refused} new processes or threads were refused, since this site had processes_max \
                 ({processes_max}) of them. Raise it, or look with `hostel status` at what runs"
            ),
        ),
    }
}

/// What has come so far between the beginning and the end of changes.
#[derive(Default)]
struct Changes {
    gone: Vec<SiteId>,
    added: Vec<SiteEntry>,
}

impl Changes {
    fn add(changes: &mut Option<Self>, sites: Vec<SiteEntry>) -> Result<(), MonitorError> {
        let changes = Self::begun(changes)?;
        changes.added.extend(sites);
        changes.bounded()
    }

    fn remove(changes: &mut Option<Self>, sites: Vec<SiteId>) -> Result<(), MonitorError> {
        let changes = Self::begun(changes)?;
        changes.gone.extend(sites);
        changes.bounded()
    }

    fn all(changes: &mut Option<Self>) -> Result<Self, MonitorError> {
        let all = changes.take();
        all.ok_or(MonitorError::Order("the end of a table"))
    }

    fn begun(changes: &mut Option<Self>) -> Result<&mut Self, MonitorError> {
        let begun = changes.as_mut();
        begun.ok_or(MonitorError::Order("a site outside of a table"))
    }

    fn bounded(&self) -> Result<(), MonitorError> {
        if self.added.len().max(self.gone.len()) > limits::SITES_MAX {
            return Err(MonitorError::Order("more sites than there may be"));
        }
        Ok(())
    }
}
