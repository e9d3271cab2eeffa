//! The pages that the front answers with by itself: what happened, and who can do something about it.
//!
//! Run by the front. A page shows nothing that came with the request, so there is nothing to be escaped or forged; a failure of
//! ours or of a site's has a number, which stands in the log too. Pages are plain and small on purpose: a site that wants its
//! own has its scripts.

use std::cell::Cell;

use crate::connection::{Connection, SendError};
use crate::head::Head;
use crate::reply::{self, Framing};

/// A refusal that is to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    /// From 400 to 599, or 301.
    pub(crate) status: u16,
    /// A header line with its end, such as `Allow`; or empty.
    pub(crate) line: &'static [u8],
    /// What is said instead of what the status says by itself.
    pub(crate) advice: Option<&'static str>,
}

impl From<u16> for Refusal {
    fn from(status: u16) -> Self {
        Self {
            status,
            line: b"",
            advice: None,
        }
    }
}

/// A number that finds a failure in the log, shown to who saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incident(u64);

impl Incident {
    /// A number that has not been given before by this process, and hardly by another.
    pub fn new() -> Self {
        thread_local! {
            static LAST: Cell<u64> = const { Cell::new(0) };
        }
        LAST.with(|last| {
            let start = if last.get() == 0 {
                random()
            } else {
                last.get()
            };
            // An odd step visits every number once; this one makes neighbours look different (the golden ratio in 64 bits).
            let next = start.wrapping_add(0x9e37_79b9_7f4a_7c15);
            last.set(next);
            Self(next)
        })
    }
}

impl Default for Incident {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Display for Incident {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Random bits, not for secrets; the time where the kernel has none.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK) {
        Ok(8) => u64::from_le_bytes(bytes),
        Ok(_) | Err(_) => std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |passed| passed.subsec_nanos().into()),
    }
}

/// Send a page.
pub(crate) async fn send(
    connection: &mut Connection,
    head: &Head,
    refusal: Refusal,
    incident: Option<Incident>,
    keep_alive: bool,
) -> Result<(), SendError> {
    let page = page(refusal, incident);
    let lines = [&b"Content-Type: text/html\r\n"[..], refusal.line];
    reply::append_head(
        &mut connection.output,
        refusal.status,
        &lines,
        Framing::Length(page.len() as u64),
        keep_alive,
    );
    connection.begin_answer(refusal.status);
    let body = if head.is_head() { "" } else { &page };
    connection.send(body.as_bytes(), b"").await
}

fn page(refusal: Refusal, incident: Option<Incident>) -> String {
    let status = refusal.status;
    let reason = reply::reason(status);
    let advice = refusal.advice.unwrap_or_else(|| advice(status));
    let incident = incident.map_or_else(String::new, |incident| {
        format!("<p>Request {incident}</p>\n")
    });
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>{status} {reason}</title></head>\n<body>\n\
         <h1>{status} {reason}</h1>\n<p>{advice}</p>\n{incident}</body>\n</html>\n"
    )
}

/// One sentence for who sees the page.
fn advice(status: u16) -> &'static str {
    match status {
        301 => "The page has moved; your browser should follow by itself.",
        400 => "The server did not understand what your browser sent. Check the address.",
        403 => "This address is not open to visitors. The site's owner can change that.",
        404 => {
            "There is nothing at this address. Check it, or tell the site's owner about the link that led here."
        }
        405 => "This address does not take this kind of request.",
        408 => "Your browser did not send its request in time. Try again.",
        412 => "What you have is not what is here any more. Load the page again.",
        413 => {
            "What you send is larger than this site takes. The site's owner can ask the administrator to raise the limit."
        }
        414 => "The address is too long.",
        416 => "The file does not have the part that was asked for.",
        417 => "The server cannot do what your browser expects of it.",
        421 => {
            "No site of this name is served here. Check the address; if it is right, the administrator has to add the site."
        }
        431 => {
            "Your browser sent more headers than the server takes. Deleting this site's cookies often helps."
        }
        500 => {
            "Something went wrong on the server. The administrator finds the reason in the log, by the number below."
        }
        501 => "The server does not know this kind of request.",
        502 => {
            "The site's program failed. The site's owner finds the reason in the site's error log."
        }
        503 => {
            "The site cannot answer now. Try again in a moment; if it lasts, tell the site's owner."
        }
        504 => {
            "The site's program took too long. The site's owner finds the reason in the site's error log."
        }
        505 => "The server does not speak this version of HTTP.",
        _ => "The request could not be answered.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_happened_and_carries_its_number() {
        let incident = Incident::new();
        let page = page(502.into(), Some(incident));
        assert!(page.contains("<h1>502 Bad Gateway</h1>"));
        assert!(page.contains(&incident.to_string()));
        assert_eq!(incident.to_string().len(), 16);
        assert_ne!(incident, Incident::new());
    }

    #[test]
    fn every_status_that_the_front_gives_has_advice() {
        let other = advice(499);
        for status in [
            301, 400, 403, 404, 405, 408, 412, 413, 414, 416, 417, 421, 431, 500, 501, 502, 503,
            504, 505,
        ] {
            assert_ne!(advice(status), other, "{status}");
            assert_ne!(reply::reason(status), "", "{status}");
        }
    }
}
