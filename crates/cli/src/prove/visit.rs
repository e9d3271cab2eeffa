//! A visitor: requests to the running server, byte for byte as an attack has them.
//!
//! Run by `hostel prove` as root, over TCP to the first address on which the server speaks HTTP. What comes back is bounded,
//! searched and never acted upon.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::attack::Crowd;
use super::exchange::holds;
use super::scene::{Ran, Scene, filled};

impl Scene<'_> {
    /// Why no visitor can try anything: nobody listens.
    pub(super) fn unreachable(&self) -> Option<String> {
        let Some(address) = self.address() else {
            return Some("the configuration names no address for HTTP".to_owned());
        };
        let why = open(address).err()?;
        Some(format!(
            "the server does not answer on {address} ({why}): start it first"
        ))
    }

    /// Send each of these requests, if the server shows what was put there for them.
    pub(super) fn visit(&self, requests: &[&str], targets: &Value, ran: &mut Ran) {
        let Some(address) = self.address() else {
            return;
        };
        let targets = with_smuggled(targets);
        let plain = format!("plain-{}", self.marker);
        let theirs = self
            .victim
            .as_ref()
            .and_then(|victim| victim.secret(SHOWN_TO_VISITORS));
        let checks = [
            ("{me.domain}", PLAIN, Some(plain.as_str())),
            ("{victim.domain}", SECRET, theirs),
        ];
        for (host, path, expected) in checks {
            let answer = ask(address, host, path, &targets);
            if !expected.is_some_and(|text| holds(&answer, text.as_bytes())) {
                let path = filled(&format!("http://{host}{path}"), &targets);
                ran.unvisited = Some(format!(
                    "the running server does not show {path}, as it should"
                ));
                return;
            }
        }
        for request in requests {
            let request = filled(request, &targets);
            ran.visits
                .push(send(address, request.as_bytes()).unwrap_or_default());
        }
    }

    /// Let a crowd occupy the server, and see how long the victim's file takes.
    pub(super) fn crowd(&self, crowd: &Crowd, targets: &Value, ran: &mut Ran) {
        let Some(address) = self.address() else {
            return;
        };
        // Both sites are awake before it is measured.
        self.visit(&[], targets, ran);
        let Some(secret) = self
            .victim
            .as_ref()
            .and_then(|victim| victim.secret(SHOWN_TO_VISITORS))
        else {
            return;
        };
        if ran.unvisited.is_some() {
            return;
        }
        let bytes = filled(crowd.head, targets) + &filled(crowd.line, targets).repeat(crowd.lines);
        let connections = gather(address, crowd.count, bytes.as_bytes());
        let begun = Instant::now();
        let answer = ask(address, crowd.asked, SECRET, targets);
        let (taken, count) = (begun.elapsed(), connections.len());
        drop(connections);
        if !holds(&answer, secret.as_bytes()) {
            ran.harm.push(format!(
                "beside {count} visitors the other site was not served"
            ));
        } else if taken > PATIENCE {
            ran.harm.push(format!(
                "beside {count} visitors the other site took {} ms",
                taken.as_millis()
            ));
        } else {
            let line = format!(
                "beside {count} visitors the other site took {} ms\r\n",
                taken.as_millis()
            );
            ran.visits.push(line.into_bytes());
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        self.ground.server.http.first().copied().map(address)
    }
}

/// Beside the targets: a request that is to be hidden behind another one, and its length in several forms.
fn with_smuggled(targets: &Value) -> Value {
    let request = filled(
        "GET /{directory}/smuggled.txt HTTP/1.1\r\nHost: {me.domain}\r\nConnection: close\r\n\r\n",
        targets,
    );
    let length = request.len();
    let mut targets = targets.clone();
    if let Some(targets) = targets.as_object_mut() {
        let smuggled = json!({
            "length": length,
            "hex": format!("{length:x}"),
            // Behind the end of chunks, of five bytes.
            "after-end": length + 5,
            "request": request,
        });
        targets.insert("smuggled".to_owned(), smuggled);
    }
    targets
}

fn ask(address: SocketAddr, host: &str, path: &str, targets: &Value) -> Vec<u8> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    send(address, filled(&request, targets).as_bytes()).unwrap_or_default()
}

/// Where a visitor finds a server that listens there: an address of every interface is one of loopback too.
fn address(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

/// Send these bytes and take what comes until the server closes, or says no more for a while.
fn send(address: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = open(address)?;
    // Who refuses a request closes before it has read all of it.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut buffer = [0; 16 << 10];
    let until = Instant::now() + ANSWER_TIME_MAX;
    while answer.len() < ANSWER_BYTES_MAX && Instant::now() < until {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => answer.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Ok(0) | Err(_) => break,
        }
        // The first answer may take as long as a site needs to wake.
        stream.set_read_timeout(Some(SILENCE))?;
    }
    Ok(answer)
}

/// Open so many connections, send the same on each, and leave them open.
fn gather(address: SocketAddr, count: u16, bytes: &[u8]) -> Vec<TcpStream> {
    let connect = |_| {
        let mut stream = open(address).ok()?;
        stream.set_write_timeout(Some(SILENCE)).ok()?;
        // A server that reads no more of it has done its part.
        let _ = stream.write_all(bytes);
        Some(stream)
    };
    (0..count).filter_map(connect).collect()
}

fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_TIME_MAX)?;
    stream.set_read_timeout(Some(FIRST_BYTE_TIME_MAX))?;
    Ok(stream)
}

const PLAIN: &str = "/{directory}/plain.txt";
const SECRET: &str = "/{directory}/secret.txt";
/// The secret of the victim's that the server shows, to who asks for it by the right name.
const SHOWN_TO_VISITORS: &str = "public file";
/// So long may the victim's file take beside a crowd.
const PATIENCE: Duration = Duration::from_secs(2);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);
const FIRST_BYTE_TIME_MAX: Duration = Duration::from_secs(5);
/// After the first bytes: so long a silence is the end of the answer.
const SILENCE: Duration = Duration::from_millis(100);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(8);
const ANSWER_BYTES_MAX: usize = 1 << 20;
