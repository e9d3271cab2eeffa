//! The head of a message: which lines stay, whom it names as recipients, and what is stamped on it.
//!
//! Pure. Every byte comes from a site. A line ends at CR, LF or both, here and in what is sent, so that no line can be hidden from
//! this look in another one. Addresses are taken apart by `mail-parser`; what it finds is checked like any other address.

use std::time::SystemTime;

use hostel_wire::limits;
use mail_parser::MessageParser;

use crate::address;
use crate::lines::Lines;

/// Why a message is refused; for the site.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("the head of the message is larger than {} KiB", HEAD_BYTES_MAX / 1024)]
    Large,
    #[error("the head of the message holds a NUL byte")]
    Nul,
    #[error("the {field} of the message has a recipient that {why}: '{}'", text.escape_debug())]
    Recipient {
        field: &'static str,
        why: address::AddressError,
        text: String,
    },
    #[error("more than {} recipients in one message", limits::MAIL_RECIPIENTS_MAX)]
    Recipients,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The lines that stay, each with CRLF.
    pub(crate) kept: Vec<u8>,
    /// Where the body begins in the message.
    pub(crate) body_at: usize,
    /// Whom To, Cc and Bcc name, where that was asked for.
    pub(crate) recipients: Vec<String>,
    /// The script that sends, as PHP says, which is the site.
    pub(crate) script: Option<String>,
    has_from: bool,
    has_to: bool,
    has_date: bool,
    has_id: bool,
}

/// Who sends, for the stamp.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp<'a> {
    pub(crate) site: &'a str,
    pub(crate) uid: u32,
    pub(crate) domain: &'a str,
    pub(crate) id: &'a str,
    pub(crate) sender: &'a str,
    pub(crate) time: SystemTime,
}

impl Head {
    /// Read the beginning of a message; `is_whole` where nothing follows it.
    pub(crate) fn read(
        bytes: &[u8],
        is_whole: bool,
        takes_recipients: bool,
        domain: &str,
    ) -> Result<Self, HeadError> {
        let mut head = Self::default();
        let mut field: Vec<u8> = Vec::new();
        let mut lines = Lines::new(bytes);
        loop {
            head.body_at = lines.position();
            let Some((line, is_ended)) = lines.next_line() else {
                if !is_whole {
                    return Err(HeadError::Large);
                }
                break;
            };
            if !is_ended && !is_whole {
                return Err(HeadError::Large);
            }
            if line.is_empty() {
                head.body_at = lines.position();
                break;
            }
            let continues = matches!(line.first(), Some(b' ' | b'\t'));
            if head.body_at == 0 && line.starts_with(b"From ") {
                continue; // a mailbox's separator
            }
            if continues && !field.is_empty() {
                field.extend_from_slice(b"\r\n");
                field.extend_from_slice(line);
            } else if !continues && is_field(line) {
                head.take(&field, takes_recipients, domain)?;
                field = line.to_vec();
            } else {
                break; // As Sendmail does: the body begins with it.
            }
        }
        head.take(&field, takes_recipients, domain)?;
        Ok(head)
    }

    fn take(&mut self, field: &[u8], takes: bool, domain: &str) -> Result<(), HeadError> {
        let Some(colon) = field.iter().position(|byte| *byte == b':') else {
            return Ok(());
        };
        if field.contains(&0) {
            return Err(HeadError::Nul);
        }
        let (name, rest) = field.split_at(colon);
        let value = rest.get(1..).unwrap_or_default();
        let name = name.to_ascii_lowercase();
        match name.as_slice() {
            b"to" => self.add("To", value, takes, domain)?,
            b"cc" => self.add("Cc", value, takes, domain)?,
            b"bcc" => return self.add("Bcc", value, takes, domain),
            b"resent-bcc" | b"return-path" | b"content-length" => return Ok(()),
            // Nobody but the broker says these.
            name if name.starts_with(b"x-hostel-") => return Ok(()),
            b"x-php-originating-script" => self.script = Some(script(value)),
            b"from" => self.has_from = true,
            b"date" => self.has_date = true,
            b"message-id" => self.has_id = true,
            _ => {}
        }
        self.kept.extend_from_slice(field);
        self.kept.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn add(
        &mut self,
        field: &'static str,
        value: &[u8],
        takes: bool,
        domain: &str,
    ) -> Result<(), HeadError> {
        self.has_to |= field != "Bcc";
        if !takes {
            return Ok(());
        }
        let text = [b"To:", value, b"\r\n\r\n"].concat();
        let parsed = MessageParser::new()
            .with_address_headers()
            .parse_headers(&text);
        let found = parsed.as_ref().and_then(|message| message.to());
        for address in found.iter().flat_map(|list| list.iter()) {
            let Some(text) = address.address().or_else(|| address.name()) else {
                continue;
            };
            let checked = address::check(text, domain).map_err(|why| HeadError::Recipient {
                field,
                why,
                text: text.chars().take(SHOWN_MAX).collect(),
            })?;
            if !self.recipients.contains(&checked) {
                self.recipients.push(checked);
            }
            if self.recipients.len() > limits::MAIL_RECIPIENTS_MAX {
                return Err(HeadError::Recipients);
            }
        }
        Ok(())
    }

    /// The head as it is sent: the stamp, what was missing, what the site said, and the empty line.
    pub(crate) fn stamped(&self, stamp: Stamp<'_>) -> Vec<u8> {
        let date = httpdate::fmt_http_date(stamp.time).replace("GMT", "+0000");
        let Stamp {
            site,
            uid,
            domain,
            id,
            ..
        } = stamp;
        let mut text = format!(
            "Received: from site {site} (uid {uid})\r\n\tby {domain} (Hostel) id {id};\r\n\t{date}\r\nX-Hostel-Site: {site}\r\n"
        );
        if let Some(script) = &self.script {
            text.push_str(&format!("X-Hostel-Script: {script} (as the site says)\r\n"));
        }
        for (is_there, line) in [
            (self.has_date, format!("Date: {date}\r\n")),
            (self.has_from, format!("From: {}\r\n", stamp.sender)),
            (self.has_to, "To: undisclosed-recipients:;\r\n".to_owned()),
            (self.has_id, format!("Message-ID: <{id}@{domain}>\r\n")),
        ] {
            if !is_there {
                text.push_str(&line);
            }
        }
        [text.as_bytes(), &self.kept, b"\r\n"].concat()
    }
}

/// Whether a line is `name: value`.
fn is_field(line: &[u8]) -> bool {
    let colon = line.iter().position(|byte| *byte == b':');
    colon.is_some_and(|colon| {
        let mut name = line.iter().take(colon);
        colon > 0 && name.all(|byte| (33..=126).contains(byte))
    })
}

/// PHP's `uid:file`, without the number and what could be mistaken for anything else.
fn script(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let text = text.trim();
    let name = text.split_once(':').map_or(text, |(_, name)| name);
    let is_fine = |c: &char| c.is_ascii_alphanumeric() || "._-/ '()+".contains(*c);
    name.chars().filter(is_fine).take(SHOWN_MAX).collect()
}

/// The head of a message with many recipients and long references has some tens of KiB.
pub(crate) const HEAD_BYTES_MAX: usize = 256 * 1024;
/// Of a site's words, in an answer or a log.
const SHOWN_MAX: usize = 100;

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
