//! The CGI variables of a request: the one table behind $_SERVER and getenv().
//!
//! Run by a worker. Names, values and order are those that nginx, with Debian's fastcgi.conf and snippets/fastcgi-php.conf, and
//! php-fpm give, where $_SERVER begins with what nginx sends last. USER and HOME come from the worker's own environment, PHP_SELF,
//! PHP_AUTH_* and REQUEST_TIME from PHP.

use hostel_wire::front_worker::RequestHead;

use crate::basic_auth;

/// What the values are made of.
pub(crate) struct Facts<'a> {
    pub(crate) head: &'a RequestHead<'a>,
    /// The document root, without a slash at its end.
    pub(crate) document_root: &'a [u8],
}

/// Hand every variable to `emit`, in order: its name, and what writes its value.
pub(crate) fn each(facts: &Facts<'_>, mut emit: impl FnMut(&[u8], &dyn Fn(&mut Vec<u8>))) {
    let headers = &facts.head.headers;
    let mut name = Vec::new();
    for (index, (header, _)) in headers.iter().enumerate().rev() {
        let (before, from) = headers.split_at(index);
        // A repeated header stands where it came first, with all of its values.
        if before
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(header))
        {
            continue;
        }
        name.clear();
        name.extend_from_slice(b"HTTP_");
        name.extend(header.iter().map(|byte| match byte {
            b'-' => b'_',
            byte => byte.to_ascii_uppercase(),
        }));
        emit(&name, &|value| join(header, from, value));
    }
    for (name, write) in TABLE {
        if *name != "HTTPS" || facts.head.https {
            emit(name.as_bytes(), &|value| write(facts, value));
        }
    }
}

fn join(name: &[u8], headers: &[(&[u8], &[u8])], value: &mut Vec<u8>) {
    let separator: &[u8] = if name.eq_ignore_ascii_case(b"cookie") {
        b"; "
    } else {
        b", "
    };
    let values = headers
        .iter()
        .filter(|(other, _)| other.eq_ignore_ascii_case(name));
    for (index, (_, one)) in values.enumerate() {
        if index > 0 {
            value.extend_from_slice(separator);
        }
        value.extend_from_slice(one);
    }
}

type Write = fn(&Facts<'_>, &mut Vec<u8>);

/// Everything but the client's headers.
const TABLE: &[(&str, Write)] = &[
    ("REDIRECT_STATUS", |_, value| {
        value.extend_from_slice(b"200")
    }),
    ("SERVER_NAME", |facts, value| {
        value.extend_from_slice(facts.head.server_name)
    }),
    ("SERVER_PORT", |facts, value| {
        number(facts.head.server_port.into(), value)
    }),
    ("SERVER_ADDR", |facts, value| {
        value.extend_from_slice(facts.head.server_address)
    }),
    ("REMOTE_USER", |facts, value| {
        if let Some(authorization) = header(facts, b"authorization") {
            value.extend_from_slice(&basic_auth::user_name(authorization));
        }
    }),
    ("REMOTE_PORT", |facts, value| {
        number(facts.head.remote_port.into(), value)
    }),
    ("REMOTE_ADDR", |facts, value| {
        value.extend_from_slice(facts.head.remote_address)
    }),
    ("SERVER_SOFTWARE", |_, value| {
        value.extend_from_slice(SOFTWARE.as_bytes())
    }),
    ("GATEWAY_INTERFACE", |_, value| {
        value.extend_from_slice(b"CGI/1.1")
    }),
    ("HTTPS", |_, value| value.extend_from_slice(b"on")),
    ("REQUEST_SCHEME", |facts, value| {
        value.extend_from_slice(if facts.head.https { b"https" } else { b"http" });
    }),
    ("SERVER_PROTOCOL", |facts, value| {
        value.extend_from_slice(facts.head.protocol)
    }),
    ("DOCUMENT_ROOT", |facts, value| {
        value.extend_from_slice(facts.document_root)
    }),
    ("DOCUMENT_URI", |facts, value| {
        value.extend_from_slice(facts.head.script)
    }),
    ("REQUEST_URI", |facts, value| {
        value.extend_from_slice(facts.head.target)
    }),
    ("SCRIPT_NAME", |facts, value| {
        value.extend_from_slice(facts.head.script)
    }),
    ("CONTENT_LENGTH", content_length),
    ("CONTENT_TYPE", |facts, value| {
        value.extend_from_slice(header(facts, b"content-type").unwrap_or_default());
    }),
    ("REQUEST_METHOD", |facts, value| {
        value.extend_from_slice(facts.head.method)
    }),
    ("QUERY_STRING", |facts, value| {
        value.extend_from_slice(facts.head.query)
    }),
    ("SCRIPT_FILENAME", |facts, value| {
        value.extend_from_slice(facts.document_root);
        value.extend_from_slice(facts.head.script);
    }),
    ("PATH_INFO", |facts, value| {
        value.extend_from_slice(facts.head.path_info)
    }),
    ("FCGI_ROLE", |_, value| {
        value.extend_from_slice(b"RESPONDER")
    }),
];

/// What the client said or, for a body in chunks, what came of it.
fn content_length(facts: &Facts<'_>, value: &mut Vec<u8>) {
    let chunked = header(facts, b"transfer-encoding").is_some();
    match header(facts, b"content-length") {
        Some(stated) if !chunked => value.extend_from_slice(stated),
        None if !chunked && facts.head.body_bytes == 0 => {}
        Some(_) | None => number(facts.head.body_bytes, value),
    }
}

fn header<'a>(facts: &Facts<'a>, name: &[u8]) -> Option<&'a [u8]> {
    let found = facts
        .head
        .headers
        .iter()
        .find(|(header, _)| header.eq_ignore_ascii_case(name));
    found.map(|(_, value)| *value)
}

fn number(number: u64, value: &mut Vec<u8>) {
    value.extend_from_slice(number.to_string().as_bytes());
}

const SOFTWARE: &str = concat!("hostel/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    fn head<'a>(headers: Vec<(&'a [u8], &'a [u8])>) -> RequestHead<'a> {
        RequestHead {
            https: false,
            body_bytes: 0,
            method: b"GET",
            target: b"/a.php/x?y=1",
            query: b"y=1",
            path: b"/a.php/x",
            script: b"/a.php",
            path_info: b"/x",
            protocol: b"HTTP/1.1",
            server_name: b"blog.example",
            server_address: b"127.0.0.1",
            server_port: 8080,
            remote_address: b"::1",
            remote_port: 40_000,
            headers,
        }
    }

    fn all(head: &RequestHead<'_>) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let facts = Facts {
            head,
            document_root: b"/srv/blog/public",
        };
        each(&facts, |name, write| {
            let mut value = Vec::new();
            write(&mut value);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            all.push((text(name), text(&value)));
        });
        all
    }

    fn value(all: &[(String, String)], name: &str) -> Option<String> {
        let found = all.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.clone())
    }

    #[test]
    fn repeated_headers_are_joined_where_the_first_one_stood() {
        let all = all(&head(vec![
            (b"Host", b"h"),
            (b"X-Twice", b"a"),
            (b"Cookie", b"a=1"),
            (b"x-twice", b"b"),
            (b"cookie", b"b=2"),
        ]));
        let names: Vec<_> = all.iter().take(3).map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["HTTP_COOKIE", "HTTP_X_TWICE", "HTTP_HOST"]);
        assert_eq!(value(&all, "HTTP_X_TWICE").as_deref(), Some("a, b"));
        assert_eq!(value(&all, "HTTP_COOKIE").as_deref(), Some("a=1; b=2"));
    }

    #[test]
    fn https_is_there_only_when_it_is_on() {
        assert_eq!(value(&all(&head(vec![])), "HTTPS"), None);
        let mut over_tls = head(vec![]);
        over_tls.https = true;
        assert_eq!(value(&all(&over_tls), "HTTPS").as_deref(), Some("on"));
        assert_eq!(
            value(&all(&over_tls), "REQUEST_SCHEME").as_deref(),
            Some("https")
        );
    }

    #[test]
    fn the_length_of_a_body_in_chunks_is_what_came() {
        let mut chunked = head(vec![(b"Transfer-Encoding", b"chunked")]);
        chunked.body_bytes = 7;
        assert_eq!(
            value(&all(&chunked), "CONTENT_LENGTH").as_deref(),
            Some("7")
        );
        assert_eq!(
            value(&all(&head(vec![])), "CONTENT_LENGTH").as_deref(),
            Some("")
        );
    }

    #[test]
    fn the_script_stands_beneath_the_document_root() {
        let all = all(&head(vec![]));
        let script = value(&all, "SCRIPT_FILENAME");
        assert_eq!(script.as_deref(), Some("/srv/blog/public/a.php"));
        assert_eq!(value(&all, "DOCUMENT_URI").as_deref(), Some("/a.php"));
        assert_eq!(value(&all, "PATH_INFO").as_deref(), Some("/x"));
    }
}
