//! Sockets that wait for the network, against what the configuration declares: from /proc/net, as this network namespace has them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hostel_config::Server;

use super::checks::Check;
use super::finding::Finding;

/// Ports that are open and that nobody declared.
pub(super) fn examine(server: &Server) -> Vec<Finding> {
    let programs = programs();
    let mut found: BTreeMap<(Check, &str, SocketAddr), String> = BTreeMap::new();
    for (table, protocol) in [
        ("tcp", "TCP"),
        ("tcp6", "TCP"),
        ("udp", "UDP"),
        ("udp6", "UDP"),
    ] {
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for socket in text.lines().skip(1).filter_map(Socket::parse) {
            let is_waiting = socket.state
                == if protocol == "TCP" {
                    LISTEN
                } else {
                    UNCONNECTED
                };
            let is_declared = protocol == "TCP" && is_declared(server, socket.address);
            if !is_waiting || is_declared {
                continue;
            }
            let check = if is_loopback(socket.address.ip()) {
                Check::PortOnLoopback
            } else {
                Check::PortUndeclared
            };
            let program = programs
                .get(&socket.inode)
                .cloned()
                .unwrap_or_else(|| "unknown".into());
            found.insert((check, protocol, socket.address), program);
        }
    }
    let finding = |((check, protocol, address), program): ((Check, &str, SocketAddr), String)| {
        let finding = Finding::new(check, format!("{protocol} {address} is open: {program}"));
        let port = address.port();
        match check {
            // Whether it is wanted, only the administrator knows: 'open_ports' says that it is.
            Check::PortUndeclared if protocol == "TCP" => finding.mend(format!(
                "ss --listening --tcp --processes 'sport = :{port}'   # end it, or name {port} in open_ports"
            )),
            Check::PortUndeclared => finding.mend(format!(
                "ss --listening --udp --processes 'sport = :{port}'   # end it, or: hostel firewall apply"
            )),
            _ => finding,
        }
    };
    found.into_iter().map(finding).collect()
}

fn is_declared(server: &Server, address: SocketAddr) -> bool {
    let is_ours = |ours: &SocketAddr| {
        ours.port() == address.port() && (ours.ip() == address.ip() || ours.ip().is_unspecified())
    };
    server.http.iter().any(is_ours) || server.open_ports.contains(&address.port())
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
        }
    }
}

/// A line of /proc/net/tcp and its like.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    address: SocketAddr,
    state: u8,
    inode: u64,
}

impl Socket {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let (address, port) = fields.nth(1)?.split_once(':')?;
        Some(Self {
            address: SocketAddr::new(self::address(address)?, u16::from_str_radix(port, 16).ok()?),
            state: u8::from_str_radix(fields.nth(1)?, 16).ok()?,
            inode: fields.nth(5)?.parse().ok()?,
        })
    }
}

/// The kernel prints each word of four bytes as a number of this machine's byte order.
fn address(hex: &str) -> Option<IpAddr> {
    let words = (0..hex.len()).step_by(8).map(|at| {
        let word = hex.get(at..at + 8)?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    });
    let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.concat();
    match bytes.len() {
        4 => Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?))),
        16 => Some(IpAddr::V6(Ipv6Addr::from(
            <[u8; 16]>::try_from(bytes).ok()?,
        ))),
        _ => None,
    }
}

/// Which program has which socket, by the socket's inode; names are the programs' own choice.
fn programs() -> HashMap<u64, String> {
    let mut found = HashMap::new();
    for process in crate::processes::all() {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{}/fd", process.pid)) else {
            continue;
        };
        for descriptor in descriptors.flatten() {
            let target = fs::read_link(descriptor.path()).unwrap_or_default();
            let target = target.to_string_lossy();
            let inode = target
                .strip_prefix("socket:[")
                .and_then(|rest| rest.strip_suffix(']'));
            if let Some(inode) = inode.and_then(|inode| inode.parse().ok()) {
                let name = format!("{} (process {})", process.name, process.pid);
                found.entry(inode).or_insert(name);
            }
        }
    }
    found
}

const LISTEN: u8 = 0x0a;
const UNCONNECTED: u8 = 0x07;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 4711 1 0 100 0";
        let expected = Socket {
            address: "127.0.0.1:3306".parse().unwrap(),
            state: LISTEN,
            inode: 4711,
        };
        assert_eq!(Socket::parse(line), Some(expected));
        let six = "0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 9 1";
        let six = Socket::parse(six).unwrap();
        assert_eq!(six.address, "[::1]:22".parse().unwrap());
        assert!(is_loopback(six.address.ip()));
        assert_eq!(Socket::parse("  sl  local_address"), None);
    }
}
