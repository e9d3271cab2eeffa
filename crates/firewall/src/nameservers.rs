//! This host's name servers, from /etc/resolv.conf, which is root's.
//!
//! Run by `hostel-firewall` as root. Only lines that name a server count; one that says nothing means the server on this host, as
//! the C library has it.

use std::net::{IpAddr, Ipv4Addr};

/// The servers that a resolv.conf names; at most three, as the C library has it.
pub fn of(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let (key, value) = line.trim_start().split_once(char::is_whitespace)?;
        let value = value.split_whitespace().next()?;
        // An interface may follow a link-local address.
        let address = value.split('%').next()?.parse().ok()?;
        (key == "nameserver").then_some(address)
    };
    let mut found: Vec<IpAddr> = text.lines().filter_map(server).take(SERVERS_MAX).collect();
    if found.is_empty() {
        found.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    found
}

const SERVERS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_found_among_other_lines() {
        let text = "# nameserver 192.0.2.9\nsearch example.org\n nameserver\t192.0.2.53 # ours\nnameserver fe80::1%eth0\nnameserver x\n";
        let expected: Vec<IpAddr> = ["192.0.2.53", "fe80::1"]
            .map(|text| text.parse().unwrap())
            .into();
        assert_eq!(of(text), expected);
        assert_eq!(of(""), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        assert_eq!(of(&"nameserver 192.0.2.1\n".repeat(9)).len(), 3);
    }
}
