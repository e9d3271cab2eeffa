//! A parity case: a folder whose requests are sent to the peer and to Hostel, whose answers must not differ.
//!
//! The folder stands in the document root under its own name. `requests.toml` lists what is sent, in order; without it, one GET
//! of the folder. Where the answers may differ, the request says so in `differs`, with what Hostel must answer there and why: a
//! difference that is declared and does not happen is a failure too. What every answer may differ in is [`IGNORED_HEADERS`].

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::http::{Request, Response};

/// Headers that are not compared at all, each with its reason.
pub const IGNORED_HEADERS: [(&str, &str); 6] = [
    ("server", "each server names itself"),
    ("date", "the two answers may fall into two seconds"),
    (
        "connection",
        "nginx says keep-alive, which HTTP/1.1 means anyway",
    ),
    ("keep-alive", "the same"),
    (
        "transfer-encoding",
        "Hostel sends a complete answer with its length where nginx sends chunks",
    ),
    (
        "etag",
        "each server makes its own; that there is one is compared",
    ),
];

/// A folder of requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its folder's name.
    #[serde(skip)]
    pub name: String,
    /// What it shows.
    #[serde(default)]
    pub about: String,
    /// What is sent, in order, each on a connection of its own.
    #[serde(rename = "request")]
    pub requests: Vec<Step>,
}

/// One request of a case, and what is known of its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// GET where left out.
    #[serde(default = "get")]
    pub method: String,
    /// Relative to the case's folder, or from the root.
    #[serde(default)]
    pub path: String,
    /// Another Host than the site's domain.
    pub host: Option<String>,
    /// `Name: value`; `{header:X}` stands for the header X of the last answer of the same server that had one.
    #[serde(default)]
    pub headers: Vec<String>,
    /// The body, sent with its Content-Length.
    pub body: Option<String>,
    /// How often `body` is repeated.
    #[serde(default = "once")]
    pub body_repeat: usize,
    /// What stands once before it.
    #[serde(default)]
    pub body_before: String,
    /// What stands once after it.
    #[serde(default)]
    pub body_after: String,
    /// A body sent without Content-Length, for chunks written by hand.
    pub raw_body: Option<String>,
    /// The status that nginx must answer, so that no case is alike by failing on both.
    #[serde(default = "ok")]
    pub status: u16,
    /// What nginx's body must contain.
    #[serde(default)]
    pub contains: Vec<String>,
    /// What the error log of both must contain afterwards.
    pub log: Option<String>,
    /// Where Hostel may and must differ.
    #[serde(default)]
    pub differs: Vec<Difference>,
}

/// One allowed difference.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// `status`, `body`, `header:NAME`, or `headers` for all of them.
    pub what: String,
    /// What Hostel must answer: a status or several with `|` between them, a header's value (`(none)` for no such header,
    /// `*` for any), or a text that the body contains.
    pub hostel: String,
    /// Why that is right.
    pub why: String,
}

fn get() -> String {
    "GET".to_owned()
}

fn once() -> usize {
    1
}

fn ok() -> u16 {
    200
}

/// All cases beneath a directory, by name; the folder `_root` is the document root's own and no case.
///
/// # Panics
/// Where a `requests.toml` cannot be read: with its path and what is wrong.
pub fn load_all(directory: &Path) -> Vec<Case> {
    let mut cases: Vec<Case> = fs::read_dir(directory)
        .unwrap_or_else(|e| panic!("{}: {e}", directory.display()))
        .flatten()
        .filter(|entry| entry.file_name() != "_root")
        .map(|entry| load(&entry.path()))
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn load(folder: &Path) -> Case {
    let file = folder.join("requests.toml");
    let text = if file.exists() {
        fs::read_to_string(&file).expect("it was just there")
    } else {
        "[[request]]".to_owned()
    };
    let mut case: Case =
        toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    case.name = folder
        .file_name()
        .expect("a folder")
        .to_string_lossy()
        .into_owned();
    case
}

impl Case {
    /// Where a step's path leads on the server.
    pub fn target(&self, step: &Step) -> String {
        if step.path.starts_with('/') {
            step.path.clone()
        } else {
            format!("/{}/{}", self.name, step.path)
        }
    }

    /// The request of a step; `seen` are the headers of the same server's answers so far.
    pub fn request(&self, step: &Step, domain: &str, seen: &BTreeMap<String, String>) -> Request {
        let host = step.host.as_deref().unwrap_or(domain);
        let mut request = Request::new(&step.method, host, &self.target(step));
        for line in &step.headers {
            let (name, value) = line.split_once(':').expect("a header line has a colon");
            let mut value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            for (header, content) in seen {
                value = value.replace(&format!("{{header:{header}}}"), content);
            }
            request = request.header(name, &value);
        }
        if let Some(body) = &step.body {
            let repeated = body.repeat(step.body_repeat);
            let body = format!("{}{repeated}{}", step.body_before, step.body_after);
            request = request.plain_body(body);
        }
        if let Some(body) = &step.raw_body {
            request = request.unsized_body(body.as_bytes());
        }
        request
    }
}

impl Step {
    /// What is wrong with nginx's answer; nothing when it is what the case says.
    pub fn check_peer(&self, peer: &Response) -> Vec<String> {
        let mut wrong = Vec::new();
        if peer.status != self.status {
            wrong.push(format!(
                "nginx answered {} instead of {}",
                peer.status, self.status
            ));
        }
        let text = peer.text();
        for part in self
            .contains
            .iter()
            .filter(|part| !text.contains(part.as_str()))
        {
            wrong.push(format!("nginx's body lacks {part:?}: {}", shortened(&text)));
        }
        wrong
    }

    /// Where the two answers differ without being allowed to, or are alike where a difference is declared. The ports are
    /// each server's own, and replaced in both before.
    pub fn compare(&self, peer: &Response, hostel: &Response, ports: (u16, u16)) -> Vec<String> {
        let mut wrong = Vec::new();
        if peer.status != hostel.status || self.difference("status").is_some() {
            let (theirs, ours) = (peer.status.to_string(), hostel.status.to_string());
            self.judge("status", &theirs, &ours, &mut wrong);
        }
        if self.difference("headers").is_none() {
            self.compare_headers(peer, hostel, ports, &mut wrong);
        }
        let theirs = without_port(&peer.body, ports.0);
        let ours = without_port(&hostel.body, ports.1);
        match self.difference("body") {
            Some(difference) if theirs == ours => {
                wrong.push(format!(
                    "the bodies do not differ, though they should: {}",
                    difference.why
                ));
            }
            Some(difference) if !hostel.text().contains(&difference.hostel) => {
                wrong.push(format!(
                    "body lacks {:?}: {}",
                    difference.hostel,
                    shortened(&hostel.text())
                ));
            }
            Some(_) => {}
            None if theirs != ours => wrong.push(body_difference(&theirs, &ours)),
            None => {}
        }
        wrong
    }

    fn compare_headers(
        &self,
        peer: &Response,
        hostel: &Response,
        ports: (u16, u16),
        wrong: &mut Vec<String>,
    ) {
        let (theirs, ours) = (headers(peer, ports.0), headers(hostel, ports.1));
        let both_sized =
            peer.header("Content-Length").is_some() && hostel.header("Content-Length").is_some();
        let mut names: Vec<&String> = theirs.keys().chain(ours.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let what = format!("header:{name}");
            // A length follows the body, which is compared itself.
            let by_body = self.difference("body").is_some() && self.difference(&what).is_none();
            if name == "content-length" && (!both_sized || by_body) {
                continue;
            }
            let none = || "(none)".to_owned();
            let theirs = theirs.get(name).map_or_else(none, |v| v.join(" + "));
            let ours = ours.get(name).map_or_else(none, |v| v.join(" + "));
            let page = self.status >= 300 && name == "content-type" && by_body;
            if (theirs != ours && !page) || self.difference(&what).is_some() {
                self.judge(&what, &theirs, &ours, wrong);
            }
        }
        let has_tag = |r: &Response| r.header("ETag").is_some();
        if has_tag(peer) != has_tag(hostel) {
            let (theirs, ours) = (has_tag(peer).to_string(), has_tag(hostel).to_string());
            self.judge("header:ETag", &theirs, &ours, wrong);
        }
    }

    fn judge(&self, what: &str, theirs: &str, ours: &str, wrong: &mut Vec<String>) {
        match self.difference(what) {
            None => wrong.push(format!("{what}: nginx {theirs:?}, Hostel {ours:?}")),
            Some(difference) if theirs == ours => {
                wrong.push(format!(
                    "{what} does not differ, though it should: {}",
                    difference.why
                ));
            }
            Some(difference) => {
                if !difference
                    .hostel
                    .split('|')
                    .any(|right| right == ours || right == "*")
                {
                    wrong.push(format!(
                        "{what}: Hostel {ours:?} instead of {:?}",
                        difference.hostel
                    ));
                }
            }
        }
    }

    fn difference(&self, what: &str) -> Option<&Difference> {
        self.differs
            .iter()
            .find(|d| d.what.eq_ignore_ascii_case(what))
    }
}

/// Headers by lower-case name, each with its values in order.
fn headers(response: &Response, port: u16) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &response.headers {
        let name = name.to_ascii_lowercase();
        if !IGNORED_HEADERS.iter().any(|(ignored, _)| *ignored == name) {
            let value = without_port(value.as_bytes(), port);
            all.entry(name)
                .or_default()
                .push(String::from_utf8_lossy(&value).into_owned());
        }
    }
    all
}

fn without_port(bytes: &[u8], port: u16) -> Vec<u8> {
    let digits = port.to_string();
    // Large bodies are generated by the cases and name no port.
    if bytes.len() > 64 * 1024 || !bytes.windows(digits.len()).any(|w| w == digits.as_bytes()) {
        return bytes.to_vec();
    }
    String::from_utf8_lossy(bytes)
        .replace(&digits, "PORT")
        .into_bytes()
}

fn body_difference(theirs: &[u8], ours: &[u8]) -> String {
    let at = theirs.iter().zip(ours).take_while(|(a, b)| a == b).count();
    let from = theirs[..at]
        .iter()
        .rposition(|&b| b == b'\n')
        .map_or(0, |n| n + 1);
    let part = |bytes: &[u8]| shortened(&String::from_utf8_lossy(&bytes[from.min(bytes.len())..]));
    format!(
        "body differs at byte {at} (nginx {} bytes, Hostel {}):\n      nginx  {}\n      Hostel {}",
        theirs.len(),
        ours.len(),
        part(theirs),
        part(ours)
    )
}

fn shortened(text: &str) -> String {
    format!("{:?}", text.chars().take(240).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Framing;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        Response {
            version: "HTTP/1.1".into(),
            status,
            reason: String::new(),
            headers: headers.iter().map(|&(n, v)| (n.into(), v.into())).collect(),
            body: body.into(),
            framing: Framing::Length,
            interim: Vec::new(),
        }
    }

    fn step(toml: &str) -> Step {
        toml::from_str(toml).expect("a step")
    }

    #[test]
    fn every_unlike_part_is_found() {
        let peer = answer(
            200,
            &[("X-A", "1"), ("X-A", "2"), ("Server", "nginx")],
            "at port 81",
        );
        let same = answer(
            200,
            &[("x-a", "1"), ("x-a", "2"), ("Server", "x")],
            "at port 82",
        );
        let step = step("");
        assert_eq!(step.compare(&peer, &same, (81, 82)), Vec::<String>::new());
        let order = answer(200, &[("X-A", "2"), ("X-A", "1")], "at port 82");
        assert_eq!(step.compare(&peer, &order, (81, 82)).len(), 1);
        let all = answer(404, &[("X-B", "1")], "at port");
        assert_eq!(step.compare(&peer, &all, (81, 82)).len(), 4);
    }

    #[test]
    fn a_declared_difference_must_happen_as_declared() {
        let step = step("[[differs]]\nwhat = \"status\"\nhostel = \"403|404\"\nwhy = \"x\"");
        let page = |status| answer(status, &[], "");
        assert!(step.compare(&page(200), &page(404), (1, 2)).is_empty());
        assert_eq!(step.compare(&page(200), &page(500), (1, 2)).len(), 1);
        assert_eq!(step.compare(&page(200), &page(200), (1, 2)).len(), 1);
    }
}
