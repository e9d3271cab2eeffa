//! Whether an address that somebody on the network claims for a name is taken.
//!
//! Run by `hostel-firewall` as root. Pure. A name belongs to whoever answers for its zone, who may be an accomplice of the
//! site that has it in its list: an address that leads into this host, its cloud or its private network is what that person
//! would answer with. Addresses of private networks are for the administrator to write down.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not taken; `None` if it is.
pub fn objection(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => objection_to_v4(address),
        IpAddr::V6(address) => objection_to_v6(address),
    }
}

fn objection_to_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, ..] = address.octets();
    if address.is_loopback() || a == 0 {
        return Some(THIS_HOST);
    }
    if address.is_link_local() || METADATA.contains(&address) {
        return Some("it is link-local or a cloud's metadata service");
    }
    if address.is_private() || (a == 100 && (64..128).contains(&b)) {
        return Some(PRIVATE);
    }
    if a >= 224 || address.octets().starts_with(&[192, 0, 0]) {
        return Some(NO_HOST);
    }
    None
}

fn objection_to_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_loopback() || address.is_unspecified() {
        return Some(THIS_HOST);
    }
    if address.is_unicast_link_local() {
        return Some("it is link-local");
    }
    if address.is_unique_local() {
        return Some(PRIVATE);
    }
    // What is routed on the Internet; of that, whatever holds an IPv4 address within it leads somewhere else than it says.
    let [first, second, ..] = address.segments();
    let is_global = first & 0xe000 == 0x2000;
    let is_tunnel = first == 0x2002 || (first == 0x2001 && second == 0);
    if !is_global || is_tunnel {
        return Some(NO_HOST);
    }
    None
}

const THIS_HOST: &str = "it is this host";
const PRIVATE: &str =
    "it is in a private network; if it is meant, write the address itself into 'egress'";
const NO_HOST: &str = "it is no host's address on the Internet";
/// Outside of networks that are refused anyway.
const METADATA: [Ipv4Addr; 1] = [Ipv4Addr::new(168, 63, 129, 16)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_on_the_internet_are_taken_and_no_others() {
        for text in [
            "1.1.1.1",
            "203.0.113.7",
            "100.63.0.1",
            "2606:4700::1111",
            "2001:db8::1",
        ] {
            assert_eq!(objection(text.parse().unwrap()), None, "{text}");
        }
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "100.100.100.200",
            "169.254.169.254",
            "168.63.129.16",
            "192.0.0.192",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fec0::1",
            "fd00:ec2::254",
            "fc00::1",
            "ff02::1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::1",
            "2001::1",
        ] {
            assert!(objection(text.parse().unwrap()).is_some(), "{text}");
        }
    }
}
