//! Telling systemd how far the server is (sd_notify), where systemd started it.
//!
//! Part of the monitor. One datagram to the socket that NOTIFY_SOCKET names; a wrong or missing socket changes nothing, since
//! the server works without.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::net::{sendto, socket_with};

/// Where to tell it.
#[derive(Debug)]
pub(crate) struct Notify(Option<(OwnedFd, SocketAddrUnix)>, Option<CString>);

impl Notify {
    /// From the variable of the environment, before it is cleared. A path, or `@` and an abstract name.
    pub(crate) fn from_environment() -> Self {
        let Ok(name) = std::env::var("NOTIFY_SOCKET") else {
            return Self(None, None);
        };
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
            None => SocketAddrUnix::new(name.as_str()),
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None);
        let variable = CString::new(format!("NOTIFY_SOCKET={name}"));
        Self(socket.ok().zip(address.ok()), variable.ok())
    }

    /// The variable, for the program that takes this one's place.
    pub(crate) fn variable(&self) -> Option<CString> {
        self.1.clone()
    }

    /// Requests are served.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// The end has begun.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.0 {
            // Whether systemd heard it is systemd's to notice.
            let _ = sendto(socket, state.as_bytes(), SendFlags::NOSIGNAL, address);
        }
    }
}
