//! A visitor with cookies who fills in forms: on top of the raw client, for the applications' tests.

use std::collections::BTreeMap;
use std::io;

use crate::http::{Request, Response, exchange};

/// How many redirects in a row are followed.
const REDIRECTS_MAX: usize = 10;

/// A visitor of one host.
#[derive(Debug, Clone)]
pub struct Browser {
    port: u16,
    host: String,
    cookies: BTreeMap<String, String>,
}

/// One part of a multipart form.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// The field's name.
    pub name: &'a str,
    /// For an upload: file name and media type.
    pub file: Option<(&'a str, &'a str)>,
    /// Its content.
    pub content: &'a [u8],
}

impl Browser {
    /// `host` is what the Host header says, with the port where the application needs it.
    pub fn new(port: u16, host: &str) -> Self {
        Self {
            port,
            host: host.to_owned(),
            cookies: BTreeMap::new(),
        }
    }

    /// GET, following redirects.
    pub fn get(&mut self, target: &str) -> io::Result<Response> {
        let request = Request::get(&self.host, target);
        let response = self.send(request)?;
        self.follow(response)
    }

    /// POST of a form, following redirects by GET.
    pub fn post(&mut self, target: &str, fields: &[(&str, &str)]) -> io::Result<Response> {
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        let request = Request::new("POST", &self.host, target)
            .body("application/x-www-form-urlencoded", pairs.join("&"));
        let response = self.send(request)?;
        self.follow(response)
    }

    /// POST of a multipart form, following redirects by GET.
    pub fn upload(&mut self, target: &str, parts: &[Part<'_>]) -> io::Result<Response> {
        let boundary = "hostel-e2e-boundary-4711";
        let request = Request::new("POST", &self.host, target).body(
            &format!("multipart/form-data; boundary={boundary}"),
            multipart(boundary, parts),
        );
        let response = self.send(request)?;
        self.follow(response)
    }

    /// One request with the cookies, whose Set-Cookie are kept; redirects are not followed.
    pub fn send(&mut self, request: Request) -> io::Result<Response> {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        let request = if cookies.is_empty() {
            request
        } else {
            request.header("Cookie", &cookies.join("; "))
        };
        let response = exchange(self.port, &request)?;
        for line in response.all("Set-Cookie") {
            let pair = line.split(';').next().unwrap_or_default();
            let gone = line.contains("Max-Age=0") || line.contains("expires=Thu, 01-Jan-1970");
            match pair.split_once('=') {
                Some((name, _)) if gone => self.cookies.remove(name.trim()),
                Some((name, value)) => self.cookies.insert(name.trim().into(), value.into()),
                None => None,
            };
        }
        Ok(response)
    }

    /// A cookie's value.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    fn follow(&mut self, mut response: Response) -> io::Result<Response> {
        for _ in 0..REDIRECTS_MAX {
            if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let Some(location) = response.header("Location") else {
                return Ok(response);
            };
            let target = self.target_of(location).to_owned();
            response = self.send(Request::get(&self.host, &target))?;
        }
        Err(io::Error::other("redirected in a circle"))
    }

    /// The path of a URL of this host.
    pub fn target_of<'a>(&self, url: &'a str) -> &'a str {
        let Some((_, rest)) = url.split_once("://") else {
            return url;
        };
        rest.find('/').map_or("/", |at| &rest[at..])
    }
}

/// The body of a multipart form.
pub fn multipart(boundary: &str, parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        let mut head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"",
            part.name
        );
        if let Some((file, media_type)) = part.file {
            head.push_str(&format!(
                "; filename=\"{file}\"\r\nContent-Type: {media_type}"
            ));
        }
        head.push_str("\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(part.content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body
}

/// Percent-encode all but letters, digits and `-._~`.
pub fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
