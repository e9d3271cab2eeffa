//! Where a site may connect to, and which ports of this host are open to others: addresses, names and ports.
//!
//! Read by the monitor and the command line, as root; pure. Names are not resolved here, nor anywhere by root.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use hostel_wire::egress::{Destination, Egress, Host};

use crate::check::{at_most, fine};
use crate::defaults;
use crate::errors::{Fault, Report};
use crate::names;
use crate::read::{At, RawEgress};

/// `egress`: a word or a list.
pub(crate) fn egress(given: Option<At<RawEgress>>, report: &mut Report) -> Egress {
    let Some(given) = given else {
        return Egress::Usual;
    };
    match given.value {
        RawEgress::Word(word) => {
            fine(self::word(&word), given.line, report).unwrap_or(Egress::None)
        }
        RawEgress::List(list) => {
            let mut found = each(
                "egress",
                list,
                given.line,
                |text: &String| destination(text),
                report,
            );
            found.sort();
            Egress::Listed(found)
        }
    }
}

/// `services`: addresses of this host.
pub(crate) fn services(given: Option<At<Vec<At<String>>>>, report: &mut Report) -> Vec<SocketAddr> {
    let Some(given) = given else {
        return Vec::new();
    };
    let mut found = each(
        "services",
        given.value,
        given.line,
        |text: &String| service(text),
        report,
    );
    found.sort();
    found
}

/// `open_ports`, sorted.
pub(crate) fn open_ports(given: Option<At<Vec<At<i64>>>>, report: &mut Report) -> Vec<u16> {
    let Some(given) = given else {
        return defaults::OPEN_PORTS.to_vec();
    };
    let mut found = each(
        "open_ports",
        given.value,
        given.line,
        |number| open_port(*number),
        report,
    );
    found.sort_unstable();
    found
}

/// Every entry of a list that is right and not there twice.
fn each<G: Display, T: PartialEq>(
    key: &str,
    list: Vec<At<G>>,
    line: Option<u32>,
    check: impl Fn(&G) -> Result<T, Fault>,
    report: &mut Report,
) -> Vec<T> {
    at_most(LIST_MAX, key, list.len(), line, report);
    let mut found = Vec::new();
    for entry in list {
        let Some(value) = fine(check(&entry.value), entry.line, report) else {
            continue;
        };
        if found.contains(&value) {
            let message = format!("'{}' is given twice in '{key}'", entry.value);
            report.add(entry.line, Fault::new(message));
            continue;
        }
        found.push(value);
    }
    found
}

fn word(text: &str) -> Result<Egress, Fault> {
    match text {
        "usual" => Ok(Egress::Usual),
        "all" => Ok(Egress::All),
        "none" => Ok(Egress::None),
        _ => Err(
            Fault::new(format!("'egress' = '{}' is unknown", text.escape_debug())).hint(
                "\"usual\", \"all\", \"none\", or a list such as [\"127.0.0.1:3306\", \"api.example.org:443\"]",
            ),
        ),
    }
}

fn destination(text: &str) -> Result<Destination, Fault> {
    let wrong = |why: &str| Fault::new(format!("'{}' {why}", text.escape_debug())).hint(PLACE_HINT);
    if let Ok(address) = text.parse::<SocketAddr>() {
        let address = sound(text, address)?;
        if address.ip().is_unspecified() {
            return Err(wrong("is the address of no host"));
        }
        return Ok(Destination {
            host: Host::Address(address.ip()),
            port: address.port(),
        });
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(wrong("has no port"));
    }
    let (name, port) = text.rsplit_once(':').ok_or_else(|| wrong("has no port"))?;
    let port = match port.parse::<u16>() {
        Ok(0) | Err(_) => return Err(wrong("does not end in a port of 1 to 65535")),
        Ok(port) => port,
    };
    if name.starts_with("*.") {
        return Err(
            wrong("stands for names that nobody can list").hint("write each name by itself")
        );
    }
    let name = names::domain(name)?;
    // What ends in a number is an address to every program, and this one is none.
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong("is neither an address nor a name"));
    }
    Ok(Destination {
        host: Host::Name(name),
        port,
    })
}

fn service(text: &str) -> Result<SocketAddr, Fault> {
    match text.parse::<SocketAddr>() {
        Ok(address) => sound(text, address),
        Err(_) => Err(
            Fault::new(format!(
                "'{}' is not an address of this host with a port",
                text.escape_debug()
            ))
            .hint("such as \"127.0.0.1:25\", \"[::1]:9200\", or \"0.0.0.0:443\" for that port of every IPv4 address of this host"),
        ),
    }
}

/// An address that packets can have: IPv4 is never written as IPv6, and there is a port.
fn sound(text: &str, address: SocketAddr) -> Result<SocketAddr, Fault> {
    let wrong = |why: &str| Fault::new(format!("'{}' {why}", text.escape_debug())).hint(PLACE_HINT);
    if address.port() == 0 {
        return Err(wrong("has the port 0"));
    }
    if address.ip().is_multicast() {
        return Err(wrong("is the address of many hosts"));
    }
    Ok(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

fn open_port(number: i64) -> Result<u16, Fault> {
    match u16::try_from(number) {
        Ok(0) | Err(_) => Err(Fault::new(format!(
            "'open_ports' has {number}, which is not a port of 1 to 65535"
        ))),
        Ok(port) => Ok(port),
    }
}

const PLACE_HINT: &str =
    "such as \"192.0.2.7:443\", \"[2001:db8::7]:443\" or \"api.example.org:443\"";
/// Entries of each list; a site that needs more is better served by "usual".
const LIST_MAX: usize = hostel_wire::limits::DESTINATIONS_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, u16)> {
        let found = destination(text).ok()?;
        let host = match found.host {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name,
        };
        Some((host, found.port))
    }

    #[test]
    fn a_place_is_an_address_or_a_name_with_a_port() {
        for (text, host, port) in [
            ("192.0.2.1:443", "192.0.2.1", 443),
            ("[2001:db8::1]:25", "2001:db8::1", 25),
            ("[::ffff:192.0.2.1]:443", "192.0.2.1", 443),
            ("API.Example.org:443", "api.example.org", 443),
            ("database:5432", "database", 5432),
        ] {
            assert_eq!(parsed(text), Some((host.to_owned(), port)), "{text}");
        }
        for text in [
            "192.0.2.1",
            "192.0.2.1:0",
            "192.0.2:80",
            "0.0.0.0:80",
            "[::]:80",
            "224.0.0.1:80",
            "::1:80",
            "example.org",
            "example.org:",
            "example.org:http",
            "example.org:65536",
            "*.example.org:443",
            "https://example.org:443",
            ":443",
            "",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
