//! A socket for each site that has been awake, in a directory that its view has.
//!
//! The monitor makes the directories, as root, each when its site is first started; the broker makes the sockets in them, and anew when it starts. A
//! socket belongs to one site, so a site that floods its own fills its own backlog and nobody else's. At most a few connections
//! of a site are served at one time.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
};
use rustix::process::fchdir;
use tokio::io::unix::AsyncFd;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::sleep;

use crate::broker::Broker;
use crate::control::watched;
use crate::intake;

/// The directory of the sites' directories.
pub(crate) struct Sockets {
    directory: OwnedFd,
    watch: AsyncFd<OwnedFd>,
    open: HashMap<String, AbortHandle>,
}

impl Sockets {
    /// Watch the directory.
    pub(crate) fn new(directory: OwnedFd) -> io::Result<Self> {
        fchdir(&directory)?;
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&watch, ".", WatchFlags::CREATE | WatchFlags::ATTRIB)?;
        Ok(Self {
            directory,
            watch: watched(watch)?,
            open: HashMap::new(),
        })
    }

    /// Keep a socket for each site that has a directory, for as long as this process lives.
    pub(crate) async fn run(mut self, broker: Rc<Broker>) -> io::Error {
        loop {
            let wait = match self.look(&broker) {
                Ok(true) => LOOK_AGAIN,
                Ok(false) => LOOK_ANYWAY,
                Err(error) => {
                    broker
                        .log
                        .say(None, format_args!("cannot look for sites: {error}"));
                    LOOK_ANYWAY
                }
            };
            tokio::select! {
                changed = self.changed() => if let Err(error) = changed { return error },
                () = broker.sites_changed.notified() => {}
                () = sleep(wait) => {}
            }
        }
    }

    async fn changed(&self) -> io::Result<()> {
        let mut ready = self.watch.readable().await?;
        let mut buffer = [0_u8; 4096];
        // What has changed is looked for in the directory itself.
        while rustix::io::read(self.watch.get_ref(), &mut buffer).is_ok() {}
        ready.clear_ready();
        Ok(())
    }

    /// Whether one could not be made yet.
    fn look(&mut self, broker: &Rc<Broker>) -> io::Result<bool> {
        self.open.retain(|name, listening| {
            let is_kept = broker.site(name).is_some();
            if !is_kept {
                listening.abort();
            }
            is_kept
        });
        let mut is_early = false;
        for entry in Dir::read_from(&self.directory)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if self.open.contains_key(&name) || broker.site(&name).is_none() {
                continue;
            }
            match socket(&self.directory, &name).and_then(watched) {
                Ok(socket) => {
                    let task = spawn_local(serve(Rc::clone(broker), name.clone(), socket));
                    self.open.insert(name, task.abort_handle());
                }
                // The monitor has made it and not given it away yet.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => is_early = true,
                Err(error) => {
                    let text = format_args!("cannot make the site's socket: {error}");
                    broker.log.say(Some(&name), text);
                }
            }
        }
        Ok(is_early)
    }
}

/// Made from within its directory: everybody can read in /proc/net/unix by which name a socket was made, and it is to tell of no site.
fn socket(directory: &OwnedFd, site: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::PATH | OFlags::CLOEXEC;
    fchdir(openat(directory, site, flags, Mode::empty())?)?;
    match unlinkat(CWD, SOCKET, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    bind(&socket, &SocketAddrUnix::new(SOCKET)?)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Take the site's connections, so many at one time.
async fn serve(broker: Rc<Broker>, site: String, socket: AsyncFd<OwnedFd>) {
    let places = std::sync::Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await {
        let Ok(mut ready) = socket.readable().await else {
            return;
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match ready.try_io(|socket| Ok(accept_with(socket.get_ref(), flags)?)) {
            Ok(Ok(connection)) => {
                let (broker, site) = (Rc::clone(&broker), site.clone());
                spawn_local(async move {
                    intake::serve(&broker, &site, connection).await;
                    drop(place);
                });
            }
            Ok(Err(error)) => {
                broker
                    .log
                    .refused(&site, &format!("cannot accept a connection: {error}"));
                sleep(LOOK_AGAIN).await;
            }
            Err(_would_block) => {}
        }
    }
}

/// As `hostel_wire::view::MAIL_SOCKET` ends.
const SOCKET: &str = "socket";
/// Connections of one site that are served at one time; a message takes some milliseconds.
const CONNECTIONS_MAX: usize = 2;
/// Those that wait behind them.
const BACKLOG: i32 = 64;
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOOK_ANYWAY: Duration = Duration::from_secs(30);
