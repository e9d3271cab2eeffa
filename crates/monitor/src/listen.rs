//! The sockets that are listened on: TCP for visitors, Unix sockets for the status and for control.
//!
//! Part of the monitor, as root, so that low ports and root-only sockets are possible. Nothing is accepted here: the
//! front does, with the same sockets over all of its lives, and `control` does.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, chmodat, unlink};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with, sockopt,
};

/// Connections that wait to be accepted; the kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("cannot listen on {address}{}", hint(source))]
    Address {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot make the socket {}", path.display())]
    Local { path: PathBuf, source: io::Error },
}

/// What to do about it.
fn hint(source: &io::Error) -> &'static str {
    match Errno::from_io_error(source) {
        Some(Errno::ADDRINUSE) => {
            " (hint: another program does; `ss -ltnp` tells which: stop it, or change 'http')"
        }
        Some(Errno::ADDRNOTAVAIL) => " (hint: no interface of this machine has that address)",
        Some(Errno::ACCESS) => {
            " (hint: ports below 1024 need root, or CAP_NET_BIND_SERVICE in a container)"
        }
        _ => "",
    }
}

/// A socket that takes TCP connections to `address` and to nothing else.
pub(crate) fn tcp(address: SocketAddr) -> Result<OwnedFd, ListenError> {
    let listening = || -> Result<OwnedFd, Errno> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let socket = socket_with(family, SocketType::STREAM, flags(), None)?;
        // Without it no restart could take the address while old connections are in TIME_WAIT.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        if address.is_ipv6() {
            // `[::]:80` and `0.0.0.0:80` are two addresses, whatever the system's default says.
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        bind(&socket, &address)?;
        listen(&socket, BACKLOG)?;
        Ok(socket)
    };
    listening().map_err(|error| ListenError::Address {
        address,
        source: error.into(),
    })
}

/// A socket that only root can connect to. Its directory must be root's; an old socket there is replaced.
pub(crate) fn local(path: &Path, kind: SocketType) -> Result<OwnedFd, ListenError> {
    let listening = || -> Result<OwnedFd, Errno> {
        match unlink(path) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
        let socket = socket_with(AddressFamily::UNIX, kind, flags(), None)?;
        // Nobody can connect before the mode is right: until `listen` there is nothing to connect to.
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        chmodat(
            CWD,
            path,
            Mode::from_raw_mode(0o600),
            rustix::fs::AtFlags::empty(),
        )?;
        listen(&socket, LOCAL_BACKLOG)?;
        Ok(socket)
    };
    listening().map_err(|error| ListenError::Local {
        path: path.to_owned(),
        source: error.into(),
    })
}

fn flags() -> SocketFlags {
    SocketFlags::CLOEXEC | SocketFlags::NONBLOCK
}

/// Administrators ask one at a time.
const LOCAL_BACKLOG: i32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_says_what_to_do() {
        let first = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = tcp(first.local_addr().unwrap()).unwrap_err().to_string();
        assert!(error.contains("ss -ltnp"), "{error}");
    }

    #[test]
    fn a_foreign_address_says_so() {
        let error = tcp("192.0.2.1:8080".parse().unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.contains("no interface"), "{error}");
    }
}
