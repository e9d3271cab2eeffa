//! Where a request leads: from its host to a site, from its path to a script or to the site's map of paths.
//!
//! Run by the front. Paths come from [`crate::normalize`], so they have one meaning; names are compared byte by byte, so nothing
//! but `.php` is `.php`, whatever it looks like or folds to. It asks no file system: whether a script exists is known to the
//! worker alone, which resolves it again as the site's user.

use std::rc::Rc;

use crate::normalize;
use crate::sites::{Site, Sites};

/// Why no site was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The authority is not a host.
    #[error("the host is not one")]
    Host,
    /// No site has this host, or the client named none.
    #[error("no site has this host")]
    NoSite,
}

impl RouteError {
    /// The status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::Host => 400,
            Self::NoSite => 421,
        }
    }
}

/// The site of an authority as the client wrote it.
pub(crate) fn site(sites: &Sites, authority: Option<&[u8]>) -> Result<Rc<Site>, RouteError> {
    let authority = authority.ok_or(RouteError::NoSite)?;
    let mut host = String::new();
    normalize::host(authority, &mut host).ok_or(RouteError::Host)?;
    sites.find(&host).ok_or(RouteError::NoSite)
}

/// The length of the script's part of a path: up to the end of its first component that has one of the extensions. `None` when
/// no component has.
///
/// The rest of the path is PATH_INFO. The first one counts, so that `/upload/evil.jpg/x.php` asks for a script in a directory
/// `evil.jpg`, which is not there, and never for `evil.jpg` itself.
pub fn script_length(path: &[u8], extensions: &[String]) -> Option<usize> {
    let mut end = 0;
    for component in path.split(|b| *b == b'/') {
        end += component.len();
        let is_script = extensions.iter().any(|extension| {
            component
                .strip_suffix(extension.as_bytes())
                .and_then(|stem| stem.strip_suffix(b"."))
                .is_some_and(|stem| !stem.is_empty())
        });
        if is_script {
            return Some(end);
        }
        end += 1;
    }
    None
}

/// Whether a path names something that is never shown: a hidden file or directory (but for `/.well-known/`, RFC 8615), or what
/// an editor leaves beside a file, which would show a script's source.
pub fn is_hidden(path: &[u8]) -> bool {
    let visible = path.strip_prefix(b"/.well-known/").unwrap_or(path);
    let mut name = &b""[..];
    for component in visible.split(|b| *b == b'/') {
        if component.starts_with(b".") {
            return true;
        }
        name = component;
    }
    let has_suffix = BACKUP_SUFFIXES.iter().any(|suffix| {
        name.len()
            .checked_sub(suffix.len())
            .and_then(|start| name.get(start..))
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    });
    has_suffix || (name.len() > 1 && name.starts_with(b"#") && name.ends_with(b"#"))
}

/// How the names of editors' copies end.
const BACKUP_SUFFIXES: [&[u8]; 7] = [b"~", b".bak", b".old", b".orig", b".save", b".swo", b".swp"];

#[cfg(test)]
mod tests {
    use super::*;

    fn script(path: &str) -> Option<&str> {
        let length = script_length(path.as_bytes(), &["php".into(), "phtml".into()])?;
        path.get(..length)
    }

    #[test]
    fn the_first_component_with_an_extension_is_the_script() {
        for (path, found) in [
            ("/a.php", Some("/a.php")),
            ("/a.php/", Some("/a.php")),
            ("/a.php/more/b.php", Some("/a.php")),
            ("/d/a.phtml/x", Some("/d/a.phtml")),
            ("/upload/evil.jpg/x.php", Some("/upload/evil.jpg/x.php")),
            ("/a.php.jpg", None),
            ("/a.PHP", None),
            ("/a.php5", None),
            ("/aphp", None),
            ("/.php", None),
            ("/a.php.", None),
            ("/a.php ", None),
            ("/a.\u{ff50}hp", None),
            ("/a.ph\u{440}", None),
            (
                "/\u{130}\u{130}\u{130}.php",
                Some("/\u{130}\u{130}\u{130}.php"),
            ),
            ("/", None),
        ] {
            assert_eq!(script(path), found, "{path}");
        }
    }

    #[test]
    fn hidden_names_and_copies_of_editors_are_known() {
        for path in [
            "/.git/config",
            "/.htaccess",
            "/a/.env",
            "/.well-known/.x",
            "/a/.well-known/x",
            "/.well-known",
            "/wp-config.php~",
            "/wp-config.php.bak",
            "/wp-config.php.SAVE",
            "/.index.php.swp",
            "/index.php.swp",
            "/#index.php#",
            "/~",
        ] {
            assert!(is_hidden(path.as_bytes()), "{path}");
        }
        for path in [
            "/",
            "/a.php",
            "/a/",
            "/.well-known/acme-challenge/x",
            "/~user/x",
            "/a~b",
            "/bak",
            "/a.bak/b",
            "/#",
            "/a#b#c",
            "/...".trim_end_matches('.'),
        ] {
            assert!(!is_hidden(path.as_bytes()), "{path}");
        }
    }
}
