//! Telling systemd how far the server is (sd_notify), and that its loop still turns (the watchdog), where systemd started it.
//!
//! Part of the monitor. One datagram to the socket that NOTIFY_SOCKET names; a wrong or missing socket changes nothing, since
//! the server works without.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::net::{sendto, socket_with};

/// Where to tell it, and how often it wants to hear something.
#[derive(Debug)]
pub(crate) struct Notify {
    to: Option<(OwnedFd, SocketAddrUnix)>,
    watchdog: Option<Watchdog>,
    /// The variables that say so, for the program that takes this one's place.
    pub(crate) environment: Vec<CString>,
}

/// Systemd ends a service that it has not heard from for twice this long.
#[derive(Debug)]
struct Watchdog {
    every: Duration,
    due: Instant,
}

impl Notify {
    /// From the variables of the environment, before they are cleared. A path, or `@` and an abstract name.
    pub(crate) fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok();
        let Some(name) = variable("NOTIFY_SOCKET") else {
            return Self::nobody();
        };
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
            None => SocketAddrUnix::new(name.as_str()),
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None);
        let every = interval(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        let environment = VARIABLES.iter().filter_map(|name| {
            let value = variable(name)?;
            CString::new(format!("{name}={value}")).ok()
        });
        Self {
            to: socket.ok().zip(address.ok()),
            watchdog: every.map(|every| Watchdog {
                every,
                due: Instant::now(),
            }),
            environment: environment.collect(),
        }
    }

    fn nobody() -> Self {
        Self {
            to: None,
            watchdog: None,
            environment: Vec::new(),
        }
    }

    /// When the watchdog must hear from the loop again.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.watchdog.as_ref().map(|watchdog| watchdog.due)
    }

    /// The loop turns: say so, if it is time.
    pub(crate) fn turn(&mut self, now: Instant) {
        let Some(watchdog) = self.watchdog.as_mut().filter(|dog| dog.due <= now) else {
            return;
        };
        watchdog.due = now + watchdog.every;
        self.tell("WATCHDOG=1");
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
        if let Some((socket, address)) = &self.to {
            // Whether systemd heard it is systemd's to notice.
            let _ = sendto(socket, state.as_bytes(), SendFlags::NOSIGNAL, address);
        }
    }
}

/// How often to speak: half of what systemd waits, if it is this process that it wants to hear.
fn interval(microseconds: Option<String>, pid: Option<String>) -> Option<Duration> {
    let own = std::process::id().to_string();
    if pid.is_some_and(|pid| pid != own) {
        return None;
    }
    let whole: u64 = microseconds?.parse().ok()?;
    Some(Duration::from_micros(whole / 2)).filter(|every| *every >= SHORTEST)
}

const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];
/// A watchdog that bites sooner than twice this is a mistake, and serving it would be the loop's main work.
const SHORTEST: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{RecvFlags, bind, recv};

    #[test]
    fn the_watchdog_hears_twice_in_its_time_and_only_from_whom_it_asked() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(interval(None, None), None);
        let half = Some(Duration::from_secs(15));
        assert_eq!(interval(text("30000000"), None), half);
        let own = std::process::id().to_string();
        assert_eq!(interval(text("30000000"), Some(own)), half);
        assert_eq!(interval(text("30000000"), text("1")), None);
        for wrong in ["", "0", "-1", "1000", "soon"] {
            assert_eq!(interval(text(wrong), None), None, "{wrong}");
        }
    }

    #[test]
    fn a_turn_speaks_when_it_is_due_and_not_before() {
        let pair = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).unwrap()
        };
        let name = format!("hostel-notify-{}", std::process::id());
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap();
        let systemd = pair();
        bind(&systemd, &address).unwrap();
        let begun = Instant::now();
        let every = Duration::from_secs(10);
        let mut notify = Notify {
            to: Some((pair(), address)),
            watchdog: Some(Watchdog { every, due: begun }),
            environment: Vec::new(),
        };
        let heard = |notify: &mut Notify, seconds| {
            notify.turn(begun + Duration::from_secs(seconds));
            let mut buffer = [0; 64];
            let received = recv(&systemd, &mut buffer, RecvFlags::empty());
            received.ok().map(|(bytes, _)| buffer[..bytes].to_vec())
        };
        assert_eq!(heard(&mut notify, 0), Some(b"WATCHDOG=1".to_vec()));
        assert_eq!(notify.next_deadline(), Some(begun + every));
        assert_eq!(heard(&mut notify, 9), None);
        assert_eq!(heard(&mut notify, 10), Some(b"WATCHDOG=1".to_vec()));
        let mut nobody = Notify::nobody();
        assert_eq!(nobody.next_deadline(), None);
        nobody.turn(begun);
    }
}
