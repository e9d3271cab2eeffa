//! The running server: told of a change, and visited as a visitor would.
//!
//! What the status says is shown; the uids of a site's processes are the kernel's word.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use hostel_config::Site;
use serde_json::{Value, json};

use super::host::Host;
use super::report::Report;
use super::trouble::Trouble;
use crate::commands::reload::{self, ReloadError};
use crate::commands::status::{self, StatusError};
use crate::control::{self, AskError};
use crate::processes;

/// What the server says of itself, `None` where none runs.
pub(crate) fn status(config: &Path) -> Result<Option<Value>, Trouble> {
    match status::ask(config) {
        Ok(document) => Ok(Some(document)),
        Err(StatusError::NotRunning { .. }) => Ok(None),
        Err(error) => Err(Trouble::of(&error)),
    }
}

/// Let a running server read its configuration again; it has taken the change when it answers. Whether one runs.
pub(crate) fn reload(host: &Host, report: &mut Report) -> Result<bool, Trouble> {
    let done = match reload::reload(&host.config) {
        Ok(done) => done,
        Err(ReloadError::Ask(AskError::NotRunning { .. })) => {
            report.value("server", "not running");
            report.note(
                "no server runs with this configuration: what was done counts when one is started"
                    .to_owned(),
            );
            return Ok(false);
        }
        Err(error) => return Err(Trouble::of(&error)),
    };
    match control::kept(&done).first() {
        Some((site, reason)) => Err(Trouble::new(format!(
            "site {site} goes on as it was, for with its new settings {reason}"
        ))),
        None => {
            report.value("server", "reloaded");
            Ok(true)
        }
    }
}

/// A site in the server's table.
pub(crate) fn site<'d>(document: &'d Value, name: &str) -> Option<&'d Value> {
    let sites = document.get("sites")?.as_array()?;
    sites
        .iter()
        .find(|site| site.get("name").and_then(Value::as_str) == Some(name))
}

/// The processes of a site: its keeper and all beneath it.
pub(crate) fn processes_of(document: &Value, name: &str) -> Vec<processes::Process> {
    let keeper = site(document, name).and_then(|site| number(site, "/keeper"));
    let all = processes::all();
    keeper.map_or(Vec::new(), |keeper| processes::tree(&all, keeper))
}

/// Visit a site at the server's own address, and say what answered, as which user.
pub(crate) fn visit(host: &Host, site: &Site, report: &mut Report) {
    let Some(address) = host.server.http.first().copied().map(reachable) else {
        return;
    };
    let Some(domain) = site.domains.first() else {
        return;
    };
    // A name beneath a wildcard is as good as any other.
    let domain = domain.replacen('*', "www", 1);
    let answer = ask(address, &domain);
    let document = status(&host.config).ok().flatten().unwrap_or_default();
    let uids: BTreeSet<u32> = processes_of(&document, &site.name)
        .iter()
        .map(|process| process.uid)
        .collect();
    let uids: Vec<String> = uids.iter().map(ToString::to_string).collect();
    let runs = match uids[..] {
        [] => "nothing of it runs".to_owned(),
        [ref uid] => format!(
            "all its processes run as uid {uid} ({})",
            if *uid == site.user.uid.to_string() {
                &site.user.name
            } else {
                "another user than the site's!"
            }
        ),
        _ => format!("its processes run as several users: {}", uids.join(", ")),
    };
    let (status, text) = match &answer {
        Ok(line) => (status_of(line), format!("answered: {line}")),
        Err(error) => (None, format!("did not answer: {error}")),
    };
    report.note(format!(
        "visited http://{domain}/ at {address}: it {text}; {runs}"
    ));
    report.value(
        "visit",
        json!({
            "address": address.to_string(),
            "host": domain,
            "status": status,
            "uids": uids.iter().filter_map(|uid| uid.parse::<u32>().ok()).collect::<Vec<_>>(),
            "error": answer.err().map(|error| error.to_string()),
        }),
    );
}

/// The first line of the answer to one request: the front's own words. Nothing of what the site says is read.
fn ask(address: SocketAddr, domain: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {domain}\r\nUser-Agent: hostel site\r\nConnection: close\r\n\r\n"
    )?;
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < LINE_BYTES_MAX && stream.read(&mut byte)? == 1 && byte != *b"\r" {
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn status_of(line: &str) -> Option<u16> {
    line.split(' ').nth(1)?.parse().ok()
}

/// An address by which this host reaches itself.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn number(value: &Value, pointer: &str) -> Option<u32> {
    u32::try_from(value.pointer(pointer)?.as_u64()?).ok()
}

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The start of a sandbox and of its PHP on a slow host.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const LINE_BYTES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_address_is_reached_on_the_loopback() {
        for (address, expected) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:81", "[::1]:81"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(reachable(address).to_string(), expected);
        }
    }

    #[test]
    fn a_status_is_taken_from_its_line() {
        assert_eq!(status_of("HTTP/1.1 200 OK"), Some(200));
        assert_eq!(status_of("nonsense"), None);
    }
}
