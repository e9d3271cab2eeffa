//! Which text is an address that goes into an envelope.
//!
//! Pure. Addresses come from sites, so nothing in one may end or begin a command of SMTP, and what only a parser of RFC 5321's rarer
//! forms understands (quoted local parts, addresses in brackets) is refused: servers differ about those.

use hostel_wire::limits;
use lettre::Address;

/// Why text is no address; for the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("is empty")]
    Empty,
    #[error("is too long")]
    Long,
    #[error("holds a character that no address has")]
    Character,
    #[error("is no address")]
    Form,
}

/// An address, with the domain of this host where it has none.
pub(crate) fn check(text: &str, domain: &str) -> Result<String, AddressError> {
    let text = text.trim_matches([' ', '\t']);
    let inner = text
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'));
    let text = inner.unwrap_or(text);
    if text.is_empty() {
        return Err(AddressError::Empty);
    }
    let is_wrong = |c: char| c.is_control() || c.is_whitespace() || "<>()[]\\,;:\"".contains(c);
    if text.contains(is_wrong) {
        return Err(AddressError::Character);
    }
    let (local, domain) = text.rsplit_once('@').unwrap_or((text, domain));
    if local.len() + 1 + domain.len() > limits::MAIL_ADDRESS_BYTES_MAX {
        return Err(AddressError::Long);
    }
    let address = Address::new(local, domain).map_err(|_| AddressError::Form)?;
    Ok(address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_addresses_pass() {
        for (text, expected) in [
            ("a@b.example", "a@b.example"),
            (" <a.b+c@d.example> ", "a.b+c@d.example"),
            ("root", "root@host.example"),
            ("jürgen@münchen.example", "jürgen@münchen.example"),
            ("o'brien@b.example", "o'brien@b.example"),
        ] {
            assert_eq!(check(text, "host.example"), Ok(expected.to_owned()));
        }
    }

    #[test]
    fn nothing_that_could_be_a_command_passes() {
        for text in [
            "a@b.example\r\nRCPT TO:<c@d.example>",
            "a@b.example\nDATA",
            "a@b.example>\u{0}",
            "a@b.example> SIZE=1",
            "<a@b.example> <c@d.example>",
            "a b@c.example",
            "\"a b\"@c.example",
            "a@[127.0.0.1]",
            "@b.example",
            "a@",
            "a@@b.example",
            "a@b.example\u{2028}",
            "",
            "<>",
        ] {
            assert!(check(text, "host.example").is_err(), "{text:?}");
        }
        assert_eq!(
            check(&format!("{}@b.example", "a".repeat(300)), "x"),
            Err(AddressError::Long)
        );
    }
}
