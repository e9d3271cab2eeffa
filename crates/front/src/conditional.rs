//! Whether a client already has what it asks for (RFC 9110, section 13).
//!
//! Run by the front for each static file. It is pure. The entity tag is nginx's, of the time and the size of the file: a file that
//! changes twice in a second and keeps its size keeps its tag, as there.

use std::fmt::Write as _;

use hostel_wire::front_keeper::FileIdentity;

use crate::clock;
use crate::head::Head;

/// By what a client recognises a file's content.
#[derive(Debug)]
pub(crate) struct Validators {
    /// The entity tag, quotes included. It is a strong one.
    pub(crate) tag: String,
    /// Seconds since 1970.
    pub(crate) modified: i64,
}

/// What the conditions of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They hold, or there are none: answer as if they were not there.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

impl Validators {
    /// Of a file.
    pub(crate) fn of(identity: &FileIdentity) -> Self {
        let mut tag = String::with_capacity(32);
        // Writing to memory does not fail.
        let _ = write!(tag, "\"{:x}-{:x}\"", identity.modified.0, identity.size);
        Self {
            tag,
            modified: identity.modified.0,
        }
    }

    /// In the order of RFC 9110, section 13.2.2, for GET and HEAD.
    pub(crate) fn judge(&self, head: &Head) -> Verdict {
        if let Some(list) = head.header("if-match") {
            if !self.is_listed(list, Comparison::Strong) {
                return Verdict::Failed;
            }
        } else if let Some(date) = date(head, "if-unmodified-since")
            && self.modified > date
        {
            return Verdict::Failed;
        }
        if let Some(list) = head.header("if-none-match") {
            if self.is_listed(list, Comparison::Weak) {
                return Verdict::NotModified;
            }
        } else if let Some(date) = date(head, "if-modified-since")
            && self.modified <= date
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Whether a Range header counts: there is no If-Range, or it names exactly this content.
    pub(crate) fn allow_range(&self, head: &Head) -> bool {
        match head.header("if-range") {
            None => true,
            Some(value) if value.starts_with(b"\"") => value == self.tag.as_bytes(),
            Some(value) => clock::parse_http_date(value) == Some(self.modified),
        }
    }

    fn is_listed(&self, list: &[u8], comparison: Comparison) -> bool {
        list == b"*"
            || list.split(|b| *b == b',').any(|tag| {
                let tag = tag.trim_ascii();
                let tag = match comparison {
                    Comparison::Weak => tag.strip_prefix(b"W/").unwrap_or(tag),
                    Comparison::Strong => tag,
                };
                tag == self.tag.as_bytes()
            })
    }
}

/// Whether a tag marked as weak counts.
#[derive(Clone, Copy)]
enum Comparison {
    Weak,
    Strong,
}

fn date(head: &Head, name: &str) -> Option<i64> {
    clock::parse_http_date(head.header(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn validators() -> Validators {
        Validators::of(&FileIdentity {
            device: 1,
            inode: 2,
            size: 255,
            modified: (784_111_777, 5),
            changed: (0, 0),
        })
    }

    fn head(lines: &[String]) -> Head {
        let mut head = Head::default();
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        head.read(format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n").as_bytes())
            .unwrap();
        head
    }

    #[test]
    fn conditions_come_in_their_order() {
        let tag = validators().tag;
        assert_eq!(
            tag,
            "\"2ebc9a61-ff\"".replace("2ebc9a61", &format!("{:x}", 784_111_777))
        );
        let cases = [
            (vec![], Verdict::Proceed),
            (vec![format!("If-None-Match: {tag}")], Verdict::NotModified),
            (
                vec![format!("If-None-Match: W/{tag}")],
                Verdict::NotModified,
            ),
            (
                vec![format!("If-None-Match: \"a\", {tag}")],
                Verdict::NotModified,
            ),
            (vec!["If-None-Match: *".into()], Verdict::NotModified),
            (vec!["If-None-Match: \"a\"".into()], Verdict::Proceed),
            (
                vec![format!("If-Modified-Since: {SAME}")],
                Verdict::NotModified,
            ),
            (
                vec![format!("If-Modified-Since: {LATER}")],
                Verdict::NotModified,
            ),
            (
                vec![format!("If-Modified-Since: {EARLIER}")],
                Verdict::Proceed,
            ),
            (vec!["If-Modified-Since: once".into()], Verdict::Proceed),
            (
                vec![
                    "If-None-Match: \"a\"".into(),
                    format!("If-Modified-Since: {LATER}"),
                ],
                Verdict::Proceed,
            ),
            (vec![format!("If-Match: {tag}")], Verdict::Proceed),
            (vec![format!("If-Match: W/{tag}")], Verdict::Failed),
            (vec!["If-Match: *".into()], Verdict::Proceed),
            (vec!["If-Match: \"a\"".into()], Verdict::Failed),
            (
                vec![format!("If-Unmodified-Since: {EARLIER}")],
                Verdict::Failed,
            ),
            (
                vec![format!("If-Unmodified-Since: {SAME}")],
                Verdict::Proceed,
            ),
            (
                vec![format!("If-Match: {tag}"), format!("If-None-Match: {tag}")],
                Verdict::NotModified,
            ),
        ];
        for (lines, verdict) in cases {
            assert_eq!(validators().judge(&head(&lines)), verdict, "{lines:?}");
        }
    }

    #[test]
    fn a_range_counts_for_the_same_content_only() {
        let tag = validators().tag;
        for (line, counts) in [
            (format!("If-Range: {tag}"), true),
            (format!("If-Range: W/{tag}"), false),
            ("If-Range: \"a\"".into(), false),
            (format!("If-Range: {SAME}"), true),
            (format!("If-Range: {LATER}"), false),
            ("X: y".into(), true),
        ] {
            assert_eq!(
                validators().allow_range(&head(std::slice::from_ref(&line))),
                counts,
                "{line}"
            );
        }
    }
}
