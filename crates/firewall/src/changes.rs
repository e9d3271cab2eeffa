//! Whether somebody has changed the packet filter's rules, whoever it was: `nft flush ruleset`, which every restart of Debian's
//! own firewall does, removes this instance's table too.
//!
//! Part of `hostel-firewall`, as root. What the kernel says in detail is not read: that it says something is enough to look.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

/// Readable when rules have changed.
#[derive(Debug)]
pub(crate) struct Changes(OwnedFd);

impl Changes {
    /// From now on.
    pub(crate) fn watch() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            flags,
            Some(NETFILTER),
        )?;
        bind(
            &socket,
            &SocketAddrNetlink::new(0, 1 << (NFTABLES_GROUP - 1)),
        )?;
        Ok(Self(socket))
    }

    /// Forget what was said.
    pub(crate) fn clear(&self) -> io::Result<()> {
        let mut buffer = [0; 1024];
        loop {
            match recv(&self.0, &mut buffer, RecvFlags::TRUNC) {
                // So much has changed that the kernel did not keep all of it.
                Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// NFNLGRP_NFTABLES of linux/netfilter/nfnetlink.h.
const NFTABLES_GROUP: u32 = 7;
