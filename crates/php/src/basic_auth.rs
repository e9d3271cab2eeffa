//! The user's name in an `Authorization: Basic` header, for REMOTE_USER.
//!
//! Run by a worker, on a header of the client's. It judges no password: like nginx's $remote_user, this is what the client claims.

/// The name before the colon; empty when the header is of another scheme or is not well formed.
pub(crate) fn user_name(authorization: &[u8]) -> Vec<u8> {
    let credentials = authorization
        .split_at_checked(SCHEME.len())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
        .and_then(|(_, encoded)| decode(encoded.trim_ascii()));
    let Some(mut credentials) = credentials else {
        return Vec::new();
    };
    match credentials.iter().position(|byte| *byte == b':') {
        Some(colon) => {
            credentials.truncate(colon);
            credentials
        }
        None => Vec::new(),
    }
}

/// Base64 (RFC 4648, section 4), with or without its padding.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let unpadded = text.strip_suffix(b"=").unwrap_or(text);
    let unpadded = unpadded.strip_suffix(b"=").unwrap_or(unpadded);
    let mut decoded = Vec::with_capacity(unpadded.len());
    for group in unpadded.chunks(4) {
        if group.len() == 1 {
            return None;
        }
        let mut bits = 0_u32;
        for index in 0..4 {
            bits = bits << 6 | group.get(index).map_or(Some(0), |digit| value(*digit))?;
        }
        let [_, bytes @ ..] = bits.to_be_bytes();
        decoded.extend(bytes.iter().take(group.len() - 1));
    }
    Some(decoded)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

const SCHEME: &[u8] = b"basic ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stands_before_the_first_colon() {
        assert_eq!(user_name(b"Basic am9lOnB3"), b"joe");
        assert_eq!(user_name(b"basic am9lOnB3OngK"), b"joe");
        assert_eq!(user_name(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), b"Aladdin");
    }

    #[test]
    fn what_is_not_well_formed_has_no_name() {
        for header in [
            "Bearer am9lOnB3",
            "Basic am9l",
            "Basic a",
            "Basic a*b=",
            "Basic",
            "",
        ] {
            assert_eq!(user_name(header.as_bytes()), b"", "{header}");
        }
    }
}
