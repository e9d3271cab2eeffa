//! The one reading of a path and of a host.
//!
//! Run by the front on bytes of a client, of which it trusts none. Everything behind it, the path map, the keeper and the worker,
//! sees the result only, so that no two of them can understand a request differently. It is pure. It knows no files: what is
//! at a path is for the keeper to say. It folds no letters of a path: names of files are bytes.

use hostel_wire::limits;

/// Why a path was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A `%` without two hexadecimal digits.
    #[error("the path has a broken escape")]
    Escape,
    /// A NUL, which no name of a file can have.
    #[error("the path has a NUL")]
    Nul,
    /// `..` leads above the root.
    #[error("the path leads above the root")]
    AboveRoot,
    /// No leading slash.
    #[error("the path does not begin with a slash")]
    Relative,
    /// Longer than the kernel takes, [`limits::PATH_BYTES_MAX`].
    #[error("the path is too long")]
    TooLong,
}

impl PathError {
    /// The status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::Escape | Self::Nul | Self::AboveRoot | Self::Relative => 400,
            Self::TooLong => 414,
        }
    }
}

/// Write the meaning of a target's path to `out`, which is emptied first: decoded, with slashes merged, `.` and `..` resolved.
///
/// An escaped slash is a slash and an escaped dot is a dot, as in nginx, and both before `..` is resolved, so that no second
/// decoding can find a `..` that this one has not. The result begins with a slash, and ends with one where a directory was
/// asked for.
///
/// # Errors
/// When the path means nothing; `out` is of no use then.
pub fn path(raw: &[u8], out: &mut Vec<u8>) -> Result<(), PathError> {
    out.clear();
    if raw.first() != Some(&b'/') {
        return Err(PathError::Relative);
    }
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
            let (high, low) = (digit(), digit());
            match (high, low) {
                (Some(high), Some(low)) => {
                    u8::try_from(high << 4 | low).map_err(|_| PathError::Escape)?
                }
                (None | Some(_), _) => return Err(PathError::Escape),
            }
        } else {
            byte
        };
        match byte {
            0 => return Err(PathError::Nul),
            b'/' => end_component(out)?,
            _ => out.push(byte),
        }
        if out.len() > limits::PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
    }
    // A dot at the very end means a directory, so the slash that `end_component` leaves stays.
    if out.ends_with(b"/.") || out.ends_with(b"/..") {
        end_component(out)?;
    }
    Ok(())
}

/// A slash comes: resolve the component that it ends, and end in exactly one slash.
fn end_component(out: &mut Vec<u8>) -> Result<(), PathError> {
    if out.is_empty() {
        out.push(b'/');
    } else if out.ends_with(b"/..") {
        out.truncate(out.len() - 3);
        let parent = out.iter().rposition(|b| *b == b'/');
        out.truncate(parent.ok_or(PathError::AboveRoot)? + 1);
    } else if out.ends_with(b"/.") {
        out.truncate(out.len() - 1);
    } else if !out.ends_with(b"/") {
        out.push(b'/');
    }
    Ok(())
}

/// Write the host of an authority to `out`, which is emptied first: lower case, without port and trailing dot.
///
/// `None` when it is not a host: anything but letters, digits, `-`, `.` and `_`, an address in brackets, and a port.
pub fn host(authority: &[u8], out: &mut String) -> Option<()> {
    out.clear();
    let (name, port) = if authority.starts_with(b"[") {
        let end = authority.iter().position(|b| *b == b']')? + 1;
        let (address, rest) = authority.split_at_checked(end)?;
        let inner = address.get(1..end - 1)?;
        std::str::from_utf8(inner)
            .ok()?
            .parse::<std::net::Ipv6Addr>()
            .ok()?;
        (address, rest)
    } else {
        let end = authority.iter().position(|b| *b == b':');
        let (name, rest) = authority.split_at_checked(end.unwrap_or(authority.len()))?;
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if !name.iter().all(plain) || name.windows(2).any(|pair| pair == b"..") {
            return None;
        }
        (name.strip_suffix(b".").unwrap_or(name), rest)
    };
    let digits = port.strip_prefix(b":").unwrap_or(port);
    let sound_port = digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit);
    if name.is_empty() || name.len() > limits::DOMAIN_BYTES_MAX || !sound_port {
        return None;
    }
    out.extend(name.iter().map(|b| char::from(b.to_ascii_lowercase())));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(raw: &str) -> Result<String, PathError> {
        let mut out = Vec::new();
        path(raw.as_bytes(), &mut out).map(|()| String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn a_path_has_one_meaning() {
        for (raw, meaning) in [
            ("/", "/"),
            ("//", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a//b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/./", "/"),
            ("/a/..", "/"),
            ("/a/../b", "/b"),
            ("/a/b/../../c", "/c"),
            ("/a//../b", "/b"),
            ("/a/...", "/a/..."),
            ("/a/..b", "/a/..b"),
            ("/a/b..", "/a/b.."),
            ("/%61", "/a"),
            ("/a%2fb", "/a/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a%2F..%2fb", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/%252e%252e/b", "/%2e%2e/b"),
            ("/a%3Fb", "/a?b"),
            ("/a%20b+c", "/a b+c"),
            ("/\u{e9}", "/\u{e9}"),
        ] {
            assert_eq!(normal(raw).as_deref(), Ok(meaning), "{raw}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for (raw, error) in [
            ("", PathError::Relative),
            ("a", PathError::Relative),
            ("%2fa", PathError::Relative),
            ("/..", PathError::AboveRoot),
            ("/../", PathError::AboveRoot),
            ("/a/../..", PathError::AboveRoot),
            ("/%2e%2e/etc/passwd", PathError::AboveRoot),
            ("//..", PathError::AboveRoot),
            ("/a%00b", PathError::Nul),
            ("/a%", PathError::Escape),
            ("/a%2", PathError::Escape),
            ("/a%zz", PathError::Escape),
            ("/a%+1", PathError::Escape),
        ] {
            assert_eq!(normal(raw), Err(error), "{raw}");
        }
        assert_eq!(
            normal(&format!("/{}", "a".repeat(limits::PATH_BYTES_MAX))),
            Err(PathError::TooLong)
        );
    }

    #[test]
    fn a_host_loses_its_port_case_and_dot() {
        for (authority, name) in [
            ("Blog.Example", Some("blog.example")),
            ("blog.example:8080", Some("blog.example")),
            ("blog.example.:80", Some("blog.example")),
            ("blog.example:", Some("blog.example")),
            ("[::1]:80", Some("[::1]")),
            ("[FE80::1]", Some("[fe80::1]")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("a_b.example", Some("a_b.example")),
            ("", None),
            (".", None),
            (":80", None),
            ("a..b", None),
            ("a b", None),
            ("a/b", None),
            ("a@b", None),
            ("a%2eb", None),
            ("a:b", None),
            ("a:123456", None),
            ("a:80:80", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[zz]", None),
            ("a,b", None),
            ("\u{ff42}log.example", None),
        ] {
            let mut out = String::new();
            let found = host(authority.as_bytes(), &mut out).map(|()| out.as_str());
            assert_eq!(found, name, "{authority}");
        }
    }
}
