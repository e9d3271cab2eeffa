//! Starts this program itself inside of a site's sandbox, as the site's user, for what is to be done with the files of a site.
//!
//! Run as root, by `hostel audit` and `hostel site`, in a process with one thread. The sandbox is that which serves visitors, with this program
//! in the keeper's place. What the child says is not believed: it is checked, bounded and escaped by who hears it. Nothing
//! here looks at a file of a site.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hostel_config::{Server, Site};
use hostel_monitor::directories::Directories;
use hostel_monitor::launch::{Difference, Launched, Programs};
use hostel_monitor::resources::Resources;
use hostel_sys::causes::with_causes;
use hostel_sys::{child, fdpass};
use hostel_wire::limits::MESSAGE_BYTES_MAX;
use hostel_wire::monitor_keeper::{SiteSettings, ToKeeper};
use hostel_wire::view;

/// What is needed to start sandboxes.
pub(crate) struct Inside {
    pub(crate) directories: Directories,
    programs: Programs,
    resources: Resources,
    /// This program.
    own: File,
}

impl Inside {
    /// Make the server's directories where they are missing, and open what is needed. `purpose` tells the control groups from those
    /// of a server that runs with the same configuration.
    pub(crate) fn open(server: &Server, purpose: &str) -> Result<Self, String> {
        let directories = Directories::open(server).map_err(|error| with_causes(&error))?;
        let programs = Programs::open().map_err(|error| with_causes(&error))?;
        let own = File::open("/proc/self/exe").map_err(|error| error.to_string())?;
        let groups = format!("{purpose}-{}", std::process::id());
        Ok(Self {
            directories,
            programs,
            resources: Resources::begin(&server.run.join(groups)),
            own,
        })
    }

    /// Start it. The site's settings wait for it on its control socket, of which this process has the other end.
    pub(crate) fn start(
        &self,
        server: &Server,
        site: &Site,
        arguments: &[CString],
    ) -> Result<Launched, String> {
        let difference = Difference {
            instead: Some((self.own.as_fd(), arguments)),
            ..Difference::NONE
        };
        let is_site = |number| is_of_a_site(server, number);
        self.programs
            .keeper(
                site,
                server,
                &self.directories,
                &self.resources,
                &is_site,
                &difference,
            )
            .map_err(|error| with_causes(&error))
    }
}

/// End it, whatever it does.
pub(crate) fn end(launched: &Launched) {
    launched.child.kill();
    // It was killed, so this is a matter of milliseconds; the kernel may need longer for a process on a slow disk.
    let until = Instant::now() + END_WITHIN;
    while matches!(launched.child.ended(), Ok(None)) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Why a child has ended: the step of its start that failed, or what it said.
pub(crate) fn last_words(launched: &Launched) -> String {
    if let Ok(hostel_sys::spawn::Progress::Failed(step)) = launched.child.progress() {
        return step.to_string();
    }
    let mut text = vec![0; WORDS_BYTES_MAX];
    let read = rustix::io::read(&*launched.errors, &mut text[..]).unwrap_or(0);
    text.truncate(read);
    let text = String::from_utf8_lossy(&text);
    format!("it ended too early: {}", text.trim().escape_debug())
}

/// Whether a user's or group's number belongs to a site.
fn is_of_a_site(server: &Server, number: u32) -> bool {
    let users = server.sites.iter().map(|site| &site.user);
    users
        .into_iter()
        .any(|user| user.uid.0 == number || user.gid.0 == number)
}

/// The child's side: its control socket, which waits, and the settings of the site that it is in.
pub(crate) fn settings() -> io::Result<(OwnedFd, SiteSettings)> {
    let number = u8::try_from(view::CONTROL_DESCRIPTOR).map_err(|_| io::ErrorKind::InvalidInput)?;
    let control = child::inherited_descriptor(number)?;
    rustix::io::ioctl_fionbio(&control, false)?;
    let mut buffer = vec![0; MESSAGE_BYTES_MAX];
    let received = fdpass::receive(&control, &mut buffer)?;
    let bytes = buffer.get(..received.bytes).unwrap_or_default();
    match ToKeeper::decode(bytes) {
        Ok(ToKeeper::Settings(settings)) => Ok((control, *settings)),
        Ok(ToKeeper::Front | ToKeeper::Stop { .. }) | Err(_) => {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}

const END_WITHIN: Duration = Duration::from_secs(5);
const WORDS_BYTES_MAX: usize = 1024;
