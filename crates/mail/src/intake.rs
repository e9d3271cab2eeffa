//! One message of a site: looked at, counted, put into the queue; or refused with a reason.
//!
//! Everything that arrives is hostile. The text is a file in memory that its sender can no longer change or cut, which is checked before it is
//! read; who sends is what the socket and the kernel say. A site is answered once its message is on the disk.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::time::Duration;

use hostel_sys::fdpass::{receive, send};
use hostel_wire::limits;
use hostel_wire::mail::{Submission, Verdict, status};
use hostel_wire::monitor_mail::MailSite;
use rustix::fs::{FileType, SealFlags, fcntl_get_seals, fstat};
use rustix::net::sockopt::socket_peercred;
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};

use crate::address;
use crate::broker::Broker;
use crate::control::watched;
use crate::head::{HEAD_BYTES_MAX, Head, Stamp};
use crate::lines::Wire;
use crate::queue::{Envelope, Id, Queue};

/// Why it is not accepted.
#[derive(Debug)]
struct Refusal {
    status: u8,
    text: String,
}

fn refusal(status: u8, text: impl Into<String>) -> Refusal {
    let text = text.into();
    Refusal { status, text }
}

/// What arrived, as far as it is in order.
struct Arrived {
    submission: Submission,
    text: File,
    bytes: u64,
}

/// A connection of a site's, to its end.
pub(crate) async fn serve(broker: &Broker, site: &str, socket: OwnedFd) {
    let Ok(socket) = watched(socket) else {
        return;
    };
    let verdict = match take(broker, site, &socket).await {
        Ok(id) => Verdict {
            status: status::OK,
            text: id.text(),
        },
        Err(Refusal { status, text }) => {
            broker.log.refused(site, &text);
            // So that asking again and again costs the site more than it costs the others.
            sleep(REFUSED_PAUSE).await;
            Verdict { status, text }
        }
    };
    // Who does not wait for the answer gets none.
    let _ = send(socket.get_ref(), &verdict.encode(), &[]);
}

async fn take(broker: &Broker, name: &str, socket: &AsyncFd<OwnedFd>) -> Result<Id, Refusal> {
    let Some(site) = broker.site(name) else {
        return Err(refusal(
            status::NOT_CONFIGURED,
            "the site is not served any more",
        ));
    };
    let peer = socket_peercred(socket.get_ref());
    if !peer.is_ok_and(|peer| peer.uid.as_raw() == site.uid) {
        return Err(refusal(status::NOT_PERMITTED, "not the site's user"));
    }
    let arrived = timeout(SUBMIT_WITHIN, arrive(socket));
    let arrived = arrived
        .await
        .map_err(|_| refusal(status::BAD_DATA, "nothing was submitted"))??;
    let domain = broker.domain();
    let takes = arrived.submission.takes_recipients;
    let (text, bytes, of) = (arrived.text, arrived.bytes, domain.clone());
    let read = broker.on_disk(move || {
        let beginning = beginning(&text, bytes)?;
        let is_whole = beginning.len() as u64 == bytes;
        Ok((Head::read(&beginning, is_whole, takes, &of), text))
    });
    let (head, text) = read.await.map_err(|error| {
        refusal(
            status::BAD_DATA,
            format!("the message cannot be read: {error}"),
        )
    })?;
    let head = head.map_err(|error| refusal(status::BAD_DATA, error.to_string()))?;
    let (sender, recipients) = envelope(&arrived.submission, &head, &site, &domain)?;
    room(broker, &site, bytes)?;
    let count = recipients.len();
    broker
        .take(&site, count)
        .map_err(|wait| too_many(&site, count, wait))?;
    let id = broker.new_id(name);
    let message = Message {
        id: id.clone(),
        sender: sender.clone(),
        recipients,
        head,
        text,
        bytes,
        domain,
        site: Rc::unwrap_or_clone(Rc::clone(&site)),
    };
    let queue = broker.queue.clone();
    let stored = broker.on_disk(move || message.store(&queue)).await;
    let (envelope, script) = stored.map_err(|error| {
        broker.give_back(&site, count);
        refusal(
            status::TRY_LATER,
            format!("the server cannot queue it: {error}"),
        )
    })?;
    let from = script.map(|script| format!(", by {script} as it says"));
    broker.log.say(
        Some(name),
        format_args!(
            "{}: accepted from <{sender}>, {count} recipients, {} bytes{}",
            id.text(),
            envelope.bytes,
            from.unwrap_or_default()
        ),
    );
    broker.pending.add(id.clone(), envelope);
    Ok(id)
}

/// The one packet.
async fn arrive(socket: &AsyncFd<OwnedFd>) -> Result<Arrived, Refusal> {
    let failed = |error: io::Error| refusal(status::BAD_DATA, format!("not a submission: {error}"));
    let mut buffer = vec![0; limits::MESSAGE_BYTES_MAX];
    let received = loop {
        let mut ready = socket.readable().await.map_err(failed)?;
        match ready.try_io(|socket| receive(socket.get_ref(), &mut buffer)) {
            Ok(received) => break received.map_err(failed)?,
            Err(_would_block) => {}
        }
    };
    let bytes = buffer.get(..received.bytes).unwrap_or_default();
    let submission = Submission::decode(bytes)
        .map_err(|error| refusal(status::BAD_DATA, format!("not a submission: {error}")))?;
    let Ok([text]) = <[OwnedFd; Submission::DESCRIPTORS]>::try_from(received.descriptors) else {
        return Err(refusal(
            status::BAD_DATA,
            "not a submission: one descriptor belongs to it",
        ));
    };
    let bytes = sealed(&text)?;
    Ok(Arrived {
        submission,
        text: text.into(),
        bytes,
    })
}

/// The length of the message, which can change no more. Reading it waits for nothing: only files in memory have seals.
fn sealed(text: &OwnedFd) -> Result<u64, Refusal> {
    let wanted = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK;
    if !fcntl_get_seals(text).is_ok_and(|seals| seals.contains(wanted)) {
        return Err(refusal(
            status::BAD_DATA,
            "not a submission: the message is not sealed",
        ));
    }
    let length = fstat(text).ok().and_then(|status| {
        let is_file = FileType::from_raw_mode(status.st_mode).is_file();
        u64::try_from(status.st_size).ok().filter(|_| is_file)
    });
    match length {
        Some(length) if length <= limits::MAIL_BYTES_MAX => Ok(length),
        Some(_) => {
            let mebibytes = limits::MAIL_BYTES_MAX >> 20;
            let text = format!("the message is larger than {mebibytes} MiB");
            Err(refusal(status::BAD_DATA, text))
        }
        None => Err(refusal(status::BAD_DATA, "not a submission: not a file")),
    }
}

/// As much of the message as can hold its head.
fn beginning(text: &File, bytes: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut beginning = vec![0; length.min(HEAD_BYTES_MAX)];
    text.read_exact_at(&mut beginning, 0)?;
    Ok(beginning)
}

fn envelope(
    submission: &Submission,
    head: &Head,
    site: &MailSite,
    domain: &str,
) -> Result<(String, Vec<String>), Refusal> {
    let checked = |what: &str, text: &str| {
        address::check(text, domain).map_err(|error| {
            let text = format!("the {what} {error}: '{}'", text.escape_debug());
            refusal(status::BAD_DATA, text)
        })
    };
    let sender = match submission.sender.as_deref() {
        None => site.sender.clone(),
        Some("" | "<>") => String::new(),
        Some(sender) => checked("sender", sender)?,
    };
    let mut recipients = head.recipients.clone();
    for recipient in &submission.recipients {
        let recipient = checked("recipient", recipient)?;
        if !recipients.contains(&recipient) {
            recipients.push(recipient);
        }
    }
    if recipients.is_empty() {
        return Err(refusal(status::BAD_DATA, "there are no recipients"));
    }
    if recipients.len() > limits::MAIL_RECIPIENTS_MAX {
        let max = limits::MAIL_RECIPIENTS_MAX;
        let text = format!("more than {max} recipients in one message");
        return Err(refusal(status::BAD_DATA, text));
    }
    Ok((sender, recipients))
}

/// Whether the site's part of the queue has room.
fn room(broker: &Broker, site: &MailSite, more: u64) -> Result<(), Refusal> {
    let (messages, bytes) = broker.pending.of(&site.name);
    if messages < SITE_MESSAGES_MAX && bytes + more <= SITE_BYTES_MAX {
        return Ok(());
    }
    let text = format!(
        "{messages} messages of the site wait for the mail server already ({} MiB)",
        bytes >> 20
    );
    Err(refusal(status::TRY_LATER, text))
}

fn too_many(site: &MailSite, count: usize, wait: Option<Duration>) -> Refusal {
    let MailSite {
        per_hour, burst, ..
    } = site;
    match wait {
        Some(wait) => refusal(
            status::TRY_LATER,
            format!(
                "the site may send to {per_hour} recipients an hour, {burst} at once ('mail_per_hour', 'mail_burst'); room for {count} in {} seconds",
                wait.as_secs() + 1
            ),
        ),
        None if *per_hour == 0 => refusal(
            status::NOT_PERMITTED,
            "the site may not send mail ('mail_per_hour' is 0)",
        ),
        None => refusal(
            status::NOT_PERMITTED,
            format!("{count} recipients; the site may send to {burst} at once ('mail_burst')"),
        ),
    }
}

/// All that is needed to write it.
struct Message {
    id: Id,
    sender: String,
    recipients: Vec<String>,
    head: Head,
    text: File,
    bytes: u64,
    domain: String,
    site: MailSite,
}

impl Message {
    fn store(self, queue: &Queue) -> io::Result<(Envelope, Option<String>)> {
        let id = self.id.text();
        let head = self.head.stamped(Stamp {
            site: &self.site.name,
            uid: self.site.uid,
            domain: &self.domain,
            id: &id,
            sender: &self.site.sender,
            time: self.id.accepted(),
        });
        let body_at = self.head.body_at as u64;
        let envelope = queue.store(&self.id, self.sender, self.recipients, |file| {
            let mut wire = Wire::new(file);
            wire.text(&head)?;
            copy(&self.text, body_at, self.bytes, &mut wire)?;
            wire.end().map(drop)
        })?;
        Ok((envelope, self.head.script))
    }
}

fn copy(text: &File, from: u64, to: u64, wire: &mut Wire<impl Write>) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = from;
    while at < to {
        let left = usize::try_from(to - at).unwrap_or(usize::MAX);
        let part = buffer.get_mut(..left.min(COPY_BYTES)).unwrap_or_default();
        text.read_exact_at(part, at)?;
        wire.text(part)?;
        at += part.len() as u64;
    }
    Ok(())
}

/// Between connecting and submitting there is nothing to do.
const SUBMIT_WITHIN: Duration = Duration::from_secs(10);
/// For each of the connections that a site may have at one time.
const REFUSED_PAUSE: Duration = Duration::from_millis(5);
/// What one site may have queued: a newsletter while the server is away.
const SITE_MESSAGES_MAX: usize = 1000;
const SITE_BYTES_MAX: u64 = 256 << 20;
const COPY_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, fcntl_add_seals, memfd_create};

    fn memory(bytes: u64, seals: SealFlags) -> OwnedFd {
        let file = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&file, bytes).unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        file
    }

    #[test]
    fn only_what_can_change_no_more_is_read() {
        let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK;
        assert_eq!(sealed(&memory(7, all)).unwrap(), 7);
        assert!(sealed(&memory(limits::MAIL_BYTES_MAX, all)).is_ok());
        assert!(sealed(&memory(limits::MAIL_BYTES_MAX + 1, all)).is_err());
        for seal in [SealFlags::WRITE, SealFlags::GROW, SealFlags::SHRINK] {
            assert!(sealed(&memory(7, all.difference(seal))).is_err());
        }
        let (pipe, _writer) = rustix::pipe::pipe().unwrap();
        assert!(sealed(&pipe).is_err());
        assert!(sealed(&File::open("/dev/zero").unwrap().into()).is_err());
        assert!(sealed(&File::open("/proc/self/exe").unwrap().into()).is_err());
    }

    #[test]
    fn the_envelope_is_checked_whoever_names_it() {
        let site = MailSite {
            name: "blog".into(),
            uid: 1,
            sender: "blog@blog.example".into(),
            per_hour: 1,
            burst: 1,
        };
        let submission = |sender: Option<&str>, recipients: &[&str]| Submission {
            takes_recipients: false,
            sender: sender.map(str::to_owned),
            recipients: recipients.iter().map(|&one| one.to_owned()).collect(),
        };
        let head = Head::default();
        let of = |submission| envelope(&submission, &head, &site, "host.example");
        let (sender, recipients) = of(submission(None, &["a", "a@host.example"])).unwrap();
        assert_eq!(sender, "blog@blog.example");
        assert_eq!(recipients, ["a@host.example"]);
        assert_eq!(of(submission(Some("<>"), &["a"])).unwrap().0, "");
        for (sender, recipients) in [
            (None, &[][..]),
            (Some("a@b.example\r\nRCPT TO:<x@y.example>"), &["a"]),
            (None, &["a\nb"]),
            (Some("a b"), &["a"]),
        ] {
            let refused = of(submission(sender, recipients)).unwrap_err();
            assert_eq!(refused.status, status::BAD_DATA);
            assert!(!refused.text.contains('\n'), "{refused:?}");
        }
    }

    #[test]
    fn a_message_is_copied_from_where_its_body_begins() {
        let file = memory(0, SealFlags::empty());
        let text = "head\n\n".to_owned() + &"body\n".repeat(40_000);
        rustix::io::pwrite(&file, text.as_bytes(), 0).unwrap();
        let mut wire = Wire::new(Vec::new());
        copy(
            &File::from(file.try_clone().unwrap()),
            6,
            text.len() as u64,
            &mut wire,
        )
        .unwrap();
        assert_eq!(wire.end().unwrap(), "body\r\n".repeat(40_000).as_bytes());
    }
}
