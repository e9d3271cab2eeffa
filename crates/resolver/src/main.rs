//! `hostel-resolver`: looks up the names that sites may connect to.
//!
//! Started by `hostel-firewall`, as nobody, without any privilege. It speaks DNS with the host's name servers and trusts nothing
//! that they say; what it hands back are claims, in records of one size, which the firewall judges. It keeps nothing: each
//! question is looked up anew, with /etc/resolv.conf and /etc/hosts as they are then. One thread; it ends with the firewall.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use hostel_sys::fdpass::{receive, send};
use hostel_sys::{child, cred, process};
use hostel_wire::codec::Malformed;
use hostel_wire::firewall_resolver::{Answer, Found, Question};
use hostel_wire::view;
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::task::LocalSet;

/// Why it did not begin, or ended.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot {0}")]
    Begin(&'static str, #[source] io::Error),
    #[error("privileges are left")]
    Privileged(#[from] cred::NotDropped),
    #[error("the firewall's socket failed")]
    Socket(#[source] io::Error),
    #[error("the firewall has sent something that is not a question")]
    Malformed(#[from] Malformed),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If nobody listens there is nobody to tell.
            let _ = writeln!(io::stderr(), "hostel-resolver: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let failed = |what| move |error| Failure::Begin(what, error);
    // 1: nobody of the same user looks into this process.
    process::set_non_dumpable().map_err(failed("make the process non-dumpable"))?;
    // 2: whatever follows is done without privileges.
    let _dropped = cred::prove_dropped()?;
    // 3: end with the firewall.
    process::end_with_parent(process::parent()).map_err(failed("end with the parent"))?;
    // 4: the one descriptor that it gave.
    let number = u8::try_from(view::CONTROL_DESCRIPTOR)
        .map_err(|_| failed("find the socket")(io::ErrorKind::InvalidInput.into()))?;
    let socket = child::inherited_descriptor(number).map_err(failed("find the socket"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed("start the runtime"))?;
    runtime.block_on(LocalSet::new().run_until(answer(socket)))
}

/// Until the firewall closes the socket. How many questions are open is up to the firewall.
async fn answer(socket: OwnedFd) -> Result<(), Failure> {
    // Not of that kind, but one of whole messages too; only its readiness is asked for here.
    let socket = UnixDatagram::from_std(socket.into()).map_err(Failure::Socket)?;
    let socket = Rc::new(socket);
    loop {
        socket.readable().await.map_err(Failure::Socket)?;
        let mut buffer = [0; Question::BYTES + 1];
        let received = match socket.try_io(Interest::READABLE, || receive(&*socket, &mut buffer)) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(Failure::Socket(error)),
        };
        let bytes = buffer.get(..received.bytes).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        let question = Question::decode(bytes)?;
        let socket = Rc::clone(&socket);
        tokio::task::spawn_local(async move {
            for found in look_up(&question.name).await {
                let number = question.number;
                let bytes = Answer { number, found }.encode();
                let sent = socket.async_io(Interest::WRITABLE, || send(&*socket, &bytes, &[]));
                if sent.await.is_err() {
                    return; // the firewall is gone, which the loop finds
                }
            }
        });
    }
}

/// All of the answer.
async fn look_up(name: &str) -> Vec<Found> {
    let Ok(Some(addresses)) = tokio::time::timeout(WITHIN, addresses(name)).await else {
        return vec![Found::Failed];
    };
    let found = |(address, seconds)| Found::Address { address, seconds };
    addresses
        .into_iter()
        .map(found)
        .chain([Found::End])
        .collect()
}

/// Each address with the seconds that it holds; `None` where there is none.
async fn addresses(name: &str) -> Option<Vec<(IpAddr, u32)>> {
    let mut builder = TokioResolver::builder_tokio().ok()?;
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Always;
    options.cache_size = 0;
    let found = builder.build().ok()?.lookup_ip(name).await.ok()?;
    // An alias may hold for a shorter time than the address that it leads to.
    let seconds = found
        .as_lookup()
        .answers()
        .iter()
        .map(|record| record.ttl)
        .min()?;
    let addresses: Vec<_> = found.iter().map(|address| (address, seconds)).collect();
    (!addresses.is_empty()).then_some(addresses)
}

/// Less than the firewall waits.
const WITHIN: Duration = Duration::from_secs(20);
