//! Names that are written into a configuration: of sites, of domains, of addresses, of files.

use std::net::{IpAddr, SocketAddr};

use hostel_wire::limits;

use crate::errors::Fault;

/// A site's name, made of its file's name. It becomes the name of a directory of logs and of state.
pub(crate) fn site(name: &str) -> Result<String, Fault> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let starts = name.bytes().next().is_some_and(allowed);
    let others = name
        .bytes()
        .all(|byte| allowed(byte) || b"-_.".contains(&byte));
    if !starts || !others || name.len() > limits::SITE_NAME_BYTES_MAX {
        return Err(Fault::new(format!(
            "'{}' cannot be the name of a site",
            name.escape_debug()
        ))
        .hint(format!(
            "name the file with lower-case letters, digits, '-', '_' and '.', starting with a letter or digit, at most {} of them",
            limits::SITE_NAME_BYTES_MAX
        )));
    }
    if name == "server.log" {
        return Err(Fault::new("'server.log' cannot be the name of a site")
            .hint("the server's own log has this name"));
    }
    Ok(name.to_owned())
}

/// A domain, made lower-case; `*.` may come first.
pub(crate) fn domain(text: &str) -> Result<String, Fault> {
    let wrong = |why: &str| Fault::new(format!("'{}' {why}", text.escape_debug()));
    if !text.is_ascii() {
        return Err(wrong("has letters outside of ASCII")
            .hint("write the name in punycode: xn--…, as `idn` prints it"));
    }
    if text.contains("://") || text.contains('/') {
        return Err(wrong("is an address, not a domain").hint("write the name of the host alone"));
    }
    if text.contains(':') {
        return Err(
            wrong("holds a colon").hint("a domain has no port; the ports stand in hostel.toml")
        );
    }
    if text.ends_with('.') {
        return Err(wrong("ends in a dot").hint("leave the last dot out"));
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    if name.contains('*') {
        return Err(wrong("has a '*' in the wrong place")
            .hint("only '*.' at the very beginning stands for all names beneath a domain"));
    }
    if text.len() > limits::DOMAIN_BYTES_MAX {
        return Err(wrong(&format!(
            "is longer than {} bytes",
            limits::DOMAIN_BYTES_MAX
        )));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if !name.split('.').all(label) {
        return Err(wrong("is not a domain").hint(
            "labels of letters, digits, '-' and '_' with dots between them, such as www.blog.example",
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// An address to listen on.
pub(crate) fn address(text: &str) -> Result<SocketAddr, Fault> {
    let wrong = |why: &str| Fault::new(format!("'{}' {why}", text.escape_debug()));
    let hint = "such as \"0.0.0.0:80\", \"[::]:80\" or \"127.0.0.1:8080\"";
    let Ok(address) = text.parse::<SocketAddr>() else {
        if text.parse::<IpAddr>().is_ok() {
            return Err(wrong("has no port").hint(hint));
        }
        return Err(wrong("is not an address with a port").hint(hint));
    };
    if address.port() == 0 {
        return Err(wrong("has the port 0").hint("choose a port, so that visitors can know it"));
    }
    Ok(address)
}

/// The name of a file in a directory, such as `index.html`.
pub(crate) fn index(text: &str) -> Result<String, Fault> {
    let hidden = text.starts_with('.');
    let control = text.chars().any(char::is_control);
    if text.is_empty() || text.contains('/') || hidden || control {
        return Err(
            Fault::new(format!("'{}' cannot be an index file", text.escape_debug()))
                .hint("the name of a file that is not hidden, without a directory"),
        );
    }
    list_name(text)
}

/// The extension of a script, without its dot.
pub(crate) fn extension(text: &str) -> Result<String, Fault> {
    let hint = "letters and digits without the dot, such as \"php\"";
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Fault::new(format!(
            "'{}' is not the extension of a script",
            text.escape_debug()
        ))
        .hint(hint));
    }
    list_name(text)
}

fn list_name(text: &str) -> Result<String, Fault> {
    if text.len() > limits::LIST_NAME_BYTES_MAX {
        return Err(Fault::new(format!(
            "'{text}' is longer than {} bytes",
            limits::LIST_NAME_BYTES_MAX
        )));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_become_lower_case() {
        assert_eq!(domain("Blog.Example").as_deref(), Ok("blog.example"));
        assert_eq!(domain("*.Blog.example").as_deref(), Ok("*.blog.example"));
        assert_eq!(
            domain("my_site.localhost").as_deref(),
            Ok("my_site.localhost")
        );
        assert_eq!(domain("127.0.0.1").as_deref(), Ok("127.0.0.1"));
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for text in [
            "", "*", "*.", ".", "a..b", ".a", "-a.b", "a-.b", "a b", "a.*.b", "*a.b", "a\0b",
        ] {
            assert!(domain(text).is_err(), "{text:?}");
        }
        let long = format!("{}.{}", "a".repeat(63), "b".repeat(64));
        assert!(domain(&long).is_err());
    }

    #[test]
    fn names_of_sites_are_names_of_files() {
        for name in ["blog", "blog.example", "0-a_b"] {
            assert!(site(name).is_ok(), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "-a",
            "Blog",
            "a/b",
            "a b",
            "server.log",
            "bl\u{f6}g",
        ] {
            assert!(site(name).is_err(), "{name:?}");
        }
        assert!(site(&"a".repeat(65)).is_err());
    }
}
