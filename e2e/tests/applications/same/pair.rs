//! Two servers with the same site, asked the same at the same time: what they answer must be the same, apart from what must differ.

use std::ops::Range;

use hostel_e2e::{Browser, Request, Response, encode};

use crate::html;

/// Redirects in a row.
const REDIRECTS_MAX: usize = 10;

/// What must differ: the characters of this kind after this text.
pub(crate) type Mark = (&'static str, Kind);

/// Which characters.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Letters and digits.
    Word,
    /// Digits, points, and what stands in lists of numbers.
    Number,
    /// The name of an instance's directory.
    Place,
    /// Not what is after a text, but words of so many hexadecimal digits.
    Hex(usize),
    /// All up to the end of an attribute's value.
    Value,
}

impl Kind {
    fn holds(self, character: char) -> bool {
        match self {
            Self::Word => character.is_ascii_alphanumeric(),
            Self::Place => character.is_ascii_alphanumeric() || character == '-',
            Self::Hex(_) => character.is_ascii_digit() || ('a'..='f').contains(&character),
            Self::Number => character.is_ascii_digit() || ".,:|".contains(character),
            Self::Value => !"\"'<>".contains(character),
        }
    }
}

/// One visitor of both servers.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    host: &'static str,
    sides: [Browser; 2],
    /// What each side calls its database: `{db}` in what is sent to it.
    databases: [&'static str; 2],
    marks: &'static [Mark],
    pub(crate) requests: usize,
}

/// What both have answered.
pub(crate) type Answers = [Response; 2];

impl Pair {
    /// `ports`: of the server with which the other one is compared, and of that one.
    pub(crate) fn new(
        host: &'static str,
        ports: [u16; 2],
        databases: [&'static str; 2],
        marks: &'static [Mark],
    ) -> Self {
        Self {
            host,
            sides: ports.map(|port| Browser::new(port, host)),
            databases,
            marks,
            requests: 0,
        }
    }

    /// GET.
    pub(crate) fn get(&mut self, target: &str) -> Answers {
        let databases = self.databases;
        self.send(|host, side| Request::get(host, &target.replace("{db}", databases[side])))
    }

    /// POST of a form, whose fields may be made of what a side has answered before.
    pub(crate) fn post(
        &mut self,
        target: &str,
        fields: impl Fn(usize) -> Vec<(String, String)>,
    ) -> Answers {
        let databases = self.databases;
        self.send(|host, side| {
            let own = |text: &str| text.replace("{db}", databases[side]);
            let pairs: Vec<_> = fields(side)
                .iter()
                .map(|(name, value)| format!("{}={}", encode(&own(name)), encode(&own(value))))
                .collect();
            let kind = "application/x-www-form-urlencoded";
            Request::new("POST", host, &own(target)).body(kind, pairs.join("&"))
        })
    }

    /// What `request` makes for each side, and then what both are redirected to.
    pub(crate) fn send(&mut self, request: impl Fn(&str, usize) -> Request) -> Answers {
        let mut requests = [0, 1].map(|side| request(self.host, side));
        for _ in 0..REDIRECTS_MAX {
            let answers = self.exchange(&requests);
            if !matches!(answers[0].status, 301 | 302 | 303 | 307 | 308) {
                return answers;
            }
            requests = [0, 1].map(|side| {
                let location = answers[side].header("Location").unwrap_or("/");
                // A location may be a query alone.
                let target = self.sides[side].target_of(location);
                let slash = if target.starts_with('?') { "/" } else { "" };
                Request::get(self.host, &format!("{slash}{target}"))
            });
        }
        panic!("redirected in a circle: {requests:?}");
    }

    fn exchange(&mut self, requests: &[Request; 2]) -> Answers {
        self.requests += 1;
        let answers = [0, 1].map(|side| {
            let answer = self.sides[side].send(requests[side].clone());
            answer.unwrap_or_else(|e| panic!("{:?}: {e}", requests[side]))
        });
        let told = [0, 1].map(|side| self.told(side, &answers[side]));
        if told[0] != told[1] {
            let [one, other] = around_difference(&told);
            panic!("{:?}\n--- pooled\n{one}\n--- fresh\n{other}", requests[0]);
        }
        answers
    }

    /// An answer without what must differ.
    fn told(&self, side: usize, answer: &Response) -> String {
        let mut text = format!("{}\n", answer.status);
        for name in ["Content-Type", "Location", "X-Php-User", "Cache-Control"] {
            let value = answer.header(name).unwrap_or_default();
            text.push_str(&format!("{name}: {value}\n"));
        }
        for cookie in answer.all("Set-Cookie") {
            let name = cookie.split('=').next().unwrap_or_default();
            text.push_str(&format!("Set-Cookie: {name}\n"));
        }
        text.push_str(&answer.text());
        // A list of both, in which a side's own is chosen.
        let own = self.databases[side];
        let mut text = text.replace(
            &format!("<option selected>{own}"),
            &format!("<option>{own}"),
        );
        for name in self.databases {
            text = text.replace(name, "{db}");
        }
        for (mark, kind) in self.marks {
            text = match kind {
                Kind::Hex(length) => without_words(&text, *length, *kind),
                _ => without(&text, mark, *kind),
            };
        }
        without_times(&text)
    }
}

/// A text whose characters of this kind after each of these marks are `#`.
fn without(text: &str, mark: &str, kind: Kind) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut parts = text.split(mark);
    kept.push_str(parts.next().unwrap_or_default());
    for part in parts {
        kept.push_str(mark);
        kept.push('#');
        kept.push_str(part.trim_start_matches(|character| kind.holds(character)));
    }
    kept
}

/// A text whose words of this kind and of this length are `#`.
fn without_words(text: &str, length: usize, kind: Kind) -> String {
    let mut kept = String::with_capacity(text.len());
    for part in text.split_inclusive(|character: char| !character.is_ascii_alphanumeric()) {
        let word = part.trim_end_matches(|character: char| !character.is_ascii_alphanumeric());
        let is_one = word.len() == length && word.chars().all(|character| kind.holds(character));
        kept.push_str(if is_one { "#" } else { word });
        kept.push_str(&part[word.len()..]);
    }
    kept
}

/// Times of the clock, how long ago something was, and seconds since 1970 become `@`: two answers need not be of the same second.
fn without_times(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let length = digits(bytes, at..bytes.len());
        if length == 0 {
            let next = text[at..].chars().next().map_or(1, char::len_utf8);
            kept.push_str(&text[at..at + next]);
            at += next;
            continue;
        }
        let mut end = at + length;
        let is_clock = length <= 2 && bytes.get(end) == Some(&b':');
        if is_clock && digits(bytes, end + 1..bytes.len()) == 2 {
            end += 3;
            if bytes.get(end) == Some(&b':') && digits(bytes, end + 1..bytes.len()) == 2 {
                end += 3;
            }
            kept.push('@');
        } else if let Some(age) = age(&text[end..]) {
            end += age;
            kept.push('@');
        } else if length == 10 && bytes[at] == b'1' {
            kept.push('@');
        } else {
            kept.push_str(&text[at..end]);
        }
        at = end;
    }
    kept
}

/// How long what follows the number is in `5 seconds ago`.
fn age(text: &str) -> Option<usize> {
    const UNITS: [&str; 4] = [" second", " min", " minute", " hour"];
    UNITS.iter().find_map(|unit| {
        let rest = text.strip_prefix(unit)?;
        let rest = rest.strip_prefix('s').unwrap_or(rest);
        Some(text.len() - rest.strip_prefix(" ago")?.len())
    })
}

fn digits(bytes: &[u8], range: Range<usize>) -> usize {
    let bytes = bytes.get(range).unwrap_or_default();
    bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count()
}

/// Where two texts begin to differ, with what stands around.
fn around_difference([one, other]: &[String; 2]) -> [String; 2] {
    let same = one
        .chars()
        .zip(other.chars())
        .take_while(|(a, b)| a == b)
        .count();
    [one, other].map(|text| {
        text.chars()
            .skip(same.saturating_sub(300))
            .take(700)
            .collect()
    })
}

/// The hidden fields of a form, which begins with `from`.
pub(crate) fn hidden(answer: &Response, from: &str) -> Vec<(String, String)> {
    let text = answer.text();
    let form = html::between(&text, from, "</form>");
    html::tags(form, "input")
        .into_iter()
        .filter(|tag| tag.get("type").is_some_and(|kind| kind == "hidden"))
        .filter_map(|tag| Some((tag.get("name")?.clone(), tag.get("value").cloned()?)))
        .collect()
}

/// Some more fields.
pub(crate) fn with(
    mut fields: Vec<(String, String)>,
    more: &[(&str, &str)],
) -> Vec<(String, String)> {
    for (name, value) in more {
        fields.retain(|(there, _)| there != name);
        fields.push(((*name).to_owned(), (*value).to_owned()));
    }
    fields
}

#[test]
fn what_must_differ_is_taken_out_and_nothing_else() {
    let text = without_words("a deadbeef12 in deadbeef123", 10, Kind::Hex(10));
    assert_eq!(text, "a # in deadbeef123");
    let text = "a nonce=12ab&x at 9:05 pm, 19:20:33, 1764271234 17642712345 1:2, 5 seconds ago, 1 minute ago, 2 mins ago, 5 seconds";
    let text = without(text, "nonce=", Kind::Word);
    let expected = "a nonce=#&x at @ pm, @, @ 17642712345 1:2, @, @, @, 5 seconds";
    assert_eq!(without_times(&text), expected);
}
