//! `hostel-sendmail`: takes a message as Sendmail's program does, and hands it to the mail broker.
//!
//! Started by a site, in its sandbox, as its user, by PHP's `mail()` above all. It has no privilege and is trusted by nobody: whatever it does, the
//! site could do itself. It reads the message into memory, seals it, and sends it in one packet with what the caller asked for; the broker
//! judges all of it. It exits with the statuses of sysexits.h, as callers expect.

#![forbid(unsafe_code)]

mod options;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hostel_sys::fdpass::{receive, send};
use hostel_wire::mail::{Submission, Verdict, status};
use hostel_wire::{limits, view};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use options::UnknownUse;

/// Why a message was not handed over.
#[derive(Debug, thiserror::Error)]
enum SendmailError {
    #[error(transparent)]
    Use(#[from] UnknownUse),
    #[error("more than {} recipients", limits::MAIL_RECIPIENTS_MAX)]
    Recipients,
    #[error("an address is longer than {} bytes", limits::MAIL_ADDRESS_BYTES_MAX)]
    Address,
    #[error("cannot read the message: {0}")]
    Read(io::Error),
    #[error("cannot hold the message in memory: {0}")]
    Memory(io::Error),
    #[error("the message is larger than {} MiB", limits::MAIL_BYTES_MAX >> 20)]
    Large,
    #[error(
        "this server is not set up to send mail (hint for its administrator: [mail] in hostel.toml)"
    )]
    NotConfigured,
    #[error("the server's mail broker does not answer: {0}; try again later")]
    Broker(io::Error),
    #[error("not accepted: {0}")]
    Refused(String, u8),
}

impl SendmailError {
    fn status(&self) -> u8 {
        match self {
            Self::Use(_) => status::USAGE,
            Self::Recipients | Self::Address | Self::Large => status::BAD_DATA,
            Self::Read(_) | Self::Memory(_) | Self::Broker(_) => status::TRY_LATER,
            Self::NotConfigured => status::NOT_CONFIGURED,
            Self::Refused(_, status) => *status,
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // In one piece, since others write to the same log; where there is none nobody is to be told.
            let line = format!("hostel-sendmail: {error}\n");
            let _ = io::stderr().write_all(line.as_bytes());
            ExitCode::from(error.status())
        }
    }
}

fn run() -> Result<(), SendmailError> {
    let submission = options::read(std::env::args_os().skip(1))?;
    check(&submission)?;
    if !Path::new(view::MAIL).exists() {
        return Err(SendmailError::NotConfigured);
    }
    let text = message(io::stdin().lock())?;
    let verdict = submit(&submission, &text).map_err(SendmailError::Broker)?;
    match verdict.status {
        status::OK => Ok(()),
        status => Err(SendmailError::Refused(verdict.text, status)),
    }
}

/// What does not fit the packet. The broker checks the rest, for all that it is said by anybody.
fn check(submission: &Submission) -> Result<(), SendmailError> {
    if submission.recipients.len() > limits::MAIL_RECIPIENTS_MAX {
        return Err(SendmailError::Recipients);
    }
    let mut addresses = submission.recipients.iter().chain(&submission.sender);
    if addresses.any(|address| address.len() > limits::MAIL_ADDRESS_BYTES_MAX) {
        return Err(SendmailError::Address);
    }
    Ok(())
}

/// The message in memory, as it will stay.
fn message(input: impl Read) -> Result<OwnedFd, SendmailError> {
    let memory = |error: io::Error| SendmailError::Memory(error);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = memfd_create("mail", flags).map_err(|error| memory(error.into()))?;
    let mut file = File::from(file);
    let mut input = input.take(limits::MAIL_BYTES_MAX + 1);
    let mut buffer = vec![0; READ_BYTES];
    let mut length = 0;
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(SendmailError::Read(error)),
        };
        let part = buffer.get(..count).unwrap_or_default();
        file.write_all(part).map_err(memory)?;
        length += count as u64;
    }
    if length > limits::MAIL_BYTES_MAX {
        return Err(SendmailError::Large);
    }
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, seals).map_err(|error| memory(error.into()))?;
    Ok(file.into())
}

fn submit(submission: &Submission, text: &OwnedFd) -> io::Result<Verdict> {
    let socket = broker()?;
    send(&socket, &submission.encode(), &[text.as_fd()])?;
    let mut buffer = [0; Verdict::BYTES_MAX];
    let received = receive(&socket, &mut buffer)?;
    let bytes = buffer.get(..received.bytes).unwrap_or_default();
    if bytes.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Verdict::decode(bytes).map_err(io::Error::other)
}

/// Connected to it. One that has just been started again, or that has just been told of this site, is waited for.
fn broker() -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(view::MAIL_SOCKET)?;
    let until = Instant::now() + AWAY_MAX;
    loop {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        for way in [Timeout::Send, Timeout::Recv] {
            set_socket_timeout(&socket, way, Some(ANSWER_WITHIN))?;
        }
        match connect(&socket, &address) {
            Ok(()) => return Ok(socket),
            Err(Errno::NOENT | Errno::CONNREFUSED | Errno::INTR) if Instant::now() < until => {
                std::thread::sleep(AWAY_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

const READ_BYTES: usize = 64 * 1024;
/// A broker that has died is started again within a second, or not soon.
const AWAY_MAX: Duration = Duration::from_secs(10);
const AWAY_PAUSE: Duration = Duration::from_millis(50);
/// Others of the site may be before it, and the disk slow.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::fcntl_get_seals;

    #[test]
    fn a_message_is_sealed_whole() {
        let text = vec![b'x'; 200_000];
        let file = message(&text[..]).unwrap();
        assert!(
            fcntl_get_seals(&file)
                .unwrap()
                .contains(SealFlags::WRITE | SealFlags::SEAL)
        );
        assert!(rustix::io::pwrite(&file, b"y", 0).is_err());
        assert_eq!(File::from(file).metadata().unwrap().len(), 200_000);
    }

    #[test]
    fn one_byte_too_many_is_too_many() {
        let length = limits::MAIL_BYTES_MAX;
        assert!(message(io::repeat(b'x').take(length)).is_ok());
        let error = message(io::repeat(b'x').take(length + 1)).unwrap_err();
        assert_eq!(error.status(), status::BAD_DATA);
    }

    #[test]
    fn what_does_not_fit_the_packet_is_told_before() {
        let mut submission = Submission {
            takes_recipients: false,
            sender: None,
            recipients: vec!["a".to_owned(); limits::MAIL_RECIPIENTS_MAX],
        };
        assert!(check(&submission).is_ok());
        submission.sender = Some("a".repeat(limits::MAIL_ADDRESS_BYTES_MAX + 1));
        assert!(matches!(check(&submission), Err(SendmailError::Address)));
        submission.recipients.push("a".to_owned());
        assert!(matches!(check(&submission), Err(SendmailError::Recipients)));
    }
}
