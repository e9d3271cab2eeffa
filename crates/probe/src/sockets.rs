//! Sockets: kinds that a site has no use for, options that need a privilege, and what listens where.

use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net as unix;
use std::time::Duration;

use rustix::io::Errno;

use crate::arguments::Arguments;
use crate::call::{call, descriptor, structure};
use crate::outcome::{Outcome, Tried, WrongOnPurpose};

/// A socket of a kind, by its name in [`KINDS`].
pub(crate) fn open(arguments: &Arguments<'_>) -> Tried {
    let name = arguments.text(0)?;
    let kind = KINDS.iter().find(|kind| kind.0 == name);
    let Some((_, family, kind, protocol)) = kind else {
        return Err(Outcome::Impossible(format!("there is no kind {name}")));
    };
    descriptor(call!(libc::SYS_socket, *family, *kind, *protocol)?)?;
    Ok(format!("has a socket of kind {name}"))
}

/// Let closing wait. Read back, since the call may be answered without being done.
pub(crate) fn linger(_: &Arguments<'_>) -> Tried {
    let (near, _far) = unix::UnixStream::pair()?;
    let (number, level) = (near.as_raw_fd(), libc::SOL_SOCKET);
    let mut wanted = structure(&[1, 1]);
    call!(
        libc::SYS_setsockopt,
        number,
        level,
        libc::SO_LINGER,
        &wanted[..],
        8
    )?;
    wanted.fill(0);
    let mut length = structure(&[8]);
    call!(
        libc::SYS_getsockopt,
        number,
        level,
        libc::SO_LINGER,
        &mut wanted[..],
        &mut length[..]
    )?;
    match wanted.first() {
        Some(1) => Ok("has a socket that holds who closes it".to_owned()),
        _ => Err(Errno::NOSYS.into()),
    }
}

/// Mark packets, by which a host's routing and firewall rules may choose.
pub(crate) fn mark(_: &Arguments<'_>) -> Tried {
    option(libc::SOL_SOCKET, libc::SO_MARK, "marks packets")
}

/// Priorities that only the host gives.
pub(crate) fn priority(_: &Arguments<'_>) -> Tried {
    option(libc::SOL_SOCKET, libc::SO_PRIORITY, "sends before others")
}

/// Bind to addresses of others.
pub(crate) fn transparent(_: &Arguments<'_>) -> Tried {
    option(
        libc::SOL_IP,
        libc::IP_TRANSPARENT,
        "may use addresses of others",
    )
}

/// Buffers beyond what is allowed.
pub(crate) fn force_buffer(_: &Arguments<'_>) -> Tried {
    option(
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        "sets buffers of any size",
    )
}

fn option(level: i32, option: i32, got: &str) -> Tried {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let value = structure(&[7]);
    call!(
        libc::SYS_setsockopt,
        socket.as_raw_fd(),
        level,
        option,
        &value[..],
        4
    )?;
    Ok(got.to_owned())
}

/// List the host's packet filter.
pub(crate) fn packet_filter(_: &Arguments<'_>) -> Tried {
    // struct nfgenmsg: every family.
    let message = request(NFT_GET_TABLE, REQUEST | DUMP, &[0; 4]);
    ask(libc::NETLINK_NETFILTER, &message).passed_with(&[], "lists the packet filter's tables")
}

/// Add an address to the network, but without saying which.
pub(crate) fn add_address(_: &Arguments<'_>) -> Tried {
    // struct ifaddrmsg: family, length of the prefix, flags, scope, interface 0.
    let message = request(
        libc::RTM_NEWADDR,
        REQUEST | ACKNOWLEDGE,
        &[2, 32, 0, 0, 0, 0, 0, 0],
    );
    ask(libc::NETLINK_ROUTE, &message).passed_with(&[Errno::INVAL], "changed the network")
}

fn request(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap_or(0);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(structure(&[1, 0]));
    message.extend(body);
    message
}

/// Send it and read whether the kernel complains.
fn ask(protocol: i32, message: &[u8]) -> Result<(), Errno> {
    let number = call!(libc::SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, protocol)?;
    let length = i64::try_from(message.len()).unwrap_or(0);
    call!(libc::SYS_sendto, number, message, length, 0, 0, 0)?;
    let mut answer = [0_u8; 4096];
    call!(libc::SYS_recvfrom, number, &mut answer[..], 4096, 0, 0, 0)?;
    let kind = u16::from_ne_bytes([answer[4], answer[5]]);
    let errno = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    match (i32::from(kind), errno) {
        (libc::NLMSG_ERROR, errno) if errno != 0 => Err(Errno::from_raw_os_error(-errno)),
        _ => Ok(()),
    }
}

/// Listen on a port beneath 1024.
pub(crate) fn low_port(arguments: &Arguments<'_>) -> Tried {
    let port: u16 = arguments.number(0)?;
    TcpListener::bind(("127.0.0.1", port))?;
    Ok(format!("listened on port {port}"))
}

/// Connect by TCP, and print what the other side says.
pub(crate) fn connect(arguments: &Arguments<'_>) -> Tried {
    let address = address(arguments)?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(format!("connected to {address}: {}", said(stream)))
}

/// Send a datagram with a text, and print what comes back.
pub(crate) fn datagram(arguments: &Arguments<'_>) -> Tried {
    let (address, text) = (address(arguments)?, arguments.text(2)?);
    let any = if address.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(text.as_bytes(), address)?;
    let mut bytes = [0; SAID_MAX];
    let (length, _) = socket.recv_from(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

fn address(arguments: &Arguments<'_>) -> Result<SocketAddr, Outcome> {
    let host: IpAddr = arguments.number(0)?;
    Ok(SocketAddr::new(host, arguments.number(1)?))
}

fn said(mut stream: impl Read) -> String {
    let mut bytes = [0; SAID_MAX];
    // Silence says nothing.
    let length = stream.read(&mut bytes).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

/// How long a connection, and an answer, are waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// So much of an answer is printed.
const SAID_MAX: usize = 256;
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const DUMP: u16 = 0x300;
/// NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE
const NFT_GET_TABLE: u16 = 10 << 8 | 1;
const MPTCP: i32 = 262;
/// Name, family, kind, protocol.
const KINDS: [(&str, i32, i32, i32); 14] = [
    ("raw", libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
    ("raw6", libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6),
    // Of protocol 0, which receives nothing.
    ("packet", libc::AF_PACKET, libc::SOCK_RAW, 0),
    ("packet-datagram", libc::AF_PACKET, libc::SOCK_DGRAM, 0),
    (
        "netfilter",
        libc::AF_NETLINK,
        libc::SOCK_RAW,
        libc::NETLINK_NETFILTER,
    ),
    (
        "audit",
        libc::AF_NETLINK,
        libc::SOCK_RAW,
        libc::NETLINK_AUDIT,
    ),
    (
        "uevent",
        libc::AF_NETLINK,
        libc::SOCK_RAW,
        libc::NETLINK_KOBJECT_UEVENT,
    ),
    ("vsock", libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    ("alg", libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    ("key", libc::AF_KEY, libc::SOCK_RAW, 2),
    ("can", libc::AF_CAN, libc::SOCK_RAW, 1),
    // These pass rules that were written for TCP.
    ("mptcp", libc::AF_INET, libc::SOCK_STREAM, MPTCP),
    ("sctp", libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP),
    ("bluetooth", libc::AF_BLUETOOTH, libc::SOCK_RAW, 1),
];
