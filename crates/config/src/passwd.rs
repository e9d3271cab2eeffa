//! The system's users, with /etc/passwd read once for a whole configuration.
//!
//! Run by whoever reads the configuration: the monitor as root, `hostel` as who types it. It trusts /etc/passwd, which is root's. The C
//! library reads that file from its beginning for each name, which for ten thousand sites is a hundred million lines. What this
//! file does not answer beyond doubt is asked of the C library, so that nothing is found otherwise than it would find it.

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};

use hostel_sys::cred::{Gid, LookUpError, Uid, User};

use crate::users::UserLookUp;

/// The system's own database: /etc/passwd and whatever else nsswitch.conf names. As it was when this was made.
#[derive(Debug)]
pub struct SystemUsers(Entries);

/// The text and where in it the first entry of each name begins, by the name's hash: of ten thousand users most are asked for, and a
/// value for each would take longer to make than to find.
#[derive(Debug, Default)]
struct Entries {
    text: String,
    /// `None` where two names have one hash.
    begins: HashMap<u64, Option<usize>>,
    hashes: RandomState,
}

impl SystemUsers {
    /// Read the file, if it is the one that decides.
    #[must_use]
    pub fn read() -> Self {
        let text = |path| fs::read(path).unwrap_or_default();
        let entries = if files_come_first(&String::from_utf8_lossy(&text("/etc/nsswitch.conf"))) {
            let passwd = text("/etc/passwd");
            String::from_utf8(passwd)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
        } else {
            String::new()
        };
        Self(Entries::new(entries))
    }
}

impl UserLookUp for SystemUsers {
    fn by_name(&self, name: &str) -> Result<Option<User>, LookUpError> {
        match self.0.of(name) {
            Some(user) => Ok(Some(user)),
            None => User::by_name(name),
        }
    }
}

/// Whether what /etc/passwd says of a name cannot be overruled: it is asked before all else and its answer is taken.
fn files_come_first(nsswitch: &str) -> bool {
    let lines = nsswitch.lines();
    let mut sources = lines.filter_map(|line| line.trim_start().strip_prefix("passwd:"));
    let (Some(line), None) = (sources.next(), sources.next()) else {
        return false;
    };
    let mut words = line.split_whitespace();
    words.next() == Some("files") && !words.next().is_some_and(|word| word.starts_with('['))
}

impl Entries {
    fn new(text: String) -> Self {
        let hashes = RandomState::new();
        let mut begins = HashMap::new();
        let mut begin = 0;
        for line in text.split_inclusive('\n') {
            let name = name_of(line);
            let first = begins
                .entry(hashes.hash_one(name))
                .or_insert_with(|| Some(begin));
            // The first one of a name counts.
            let is_name =
                |first: usize| text.get(first..).is_some_and(|line| name_of(line) == name);
            *first = first.filter(|first| is_name(*first));
            begin += line.len();
        }
        Self {
            begins,
            hashes,
            text,
        }
    }

    /// The first entry of this name, if it is a plain one.
    fn of(&self, name: &str) -> Option<User> {
        let begin = (*self.begins.get(&self.hashes.hash_one(name))?)?;
        let line = self.text.get(begin..)?.lines().next()?;
        entry(line).filter(|user| user.name == name)
    }
}

fn name_of(line: &str) -> &str {
    let end = line.find([':', '\n', '\r']).unwrap_or(line.len());
    &line[..end]
}

fn entry(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, _] = fields[..] else {
        return None;
    };
    Some(User {
        name: name.to_owned(),
        uid: Uid(number(uid)?),
        gid: Gid(number(gid)?),
        home: home.into(),
    })
}

/// Digits and nothing else: no sign.
fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_plain_entry_of_a_name_counts() {
        let found = Entries::new(
            "a:x:1:2:About:/srv/a:/bin/sh\nb:x:+3:4::/:\nb:x:3:4::/:\nc:x:5:6\n d:x:7:8::/:\na:x:9:9::/:\n\ne:x:4294967296:1::/:\n"
                .to_owned(),
        );
        let a = found.of("a").expect("an entry");
        assert_eq!((a.uid, a.gid, a.home), (Uid(1), Gid(2), "/srv/a".into()));
        // Not understood beyond doubt: the C library is asked, and a later entry does not take their place.
        for name in ["b", "c", "e"] {
            assert_eq!(found.of(name), None, "{name}");
        }
        assert_eq!(found.of("d"), None);
        assert_eq!(found.of(" d").map(|user| user.uid), Some(Uid(7)));
    }

    #[test]
    fn other_sources_than_the_file_may_come_first() {
        for (text, expected) in [
            ("passwd: files\n", true),
            (
                "# passwd: sss\npasswd:\t files systemd\ngroup: files\n",
                true,
            ),
            ("passwd: sss files\n", false),
            ("passwd: files [SUCCESS=continue] sss\n", false),
            ("passwd: compat\n", false),
            ("passwd: files\npasswd: sss\n", false),
            ("group: files\n", false),
            ("", false),
        ] {
            assert_eq!(files_come_first(text), expected, "{text}");
        }
    }

    #[test]
    fn it_finds_what_the_c_library_finds() {
        let users = SystemUsers::read();
        let text = fs::read_to_string("/etc/passwd").expect("the host's file");
        for line in text.lines() {
            let name = line.split(':').next().unwrap_or_default();
            let library = User::by_name(name).expect("an answer");
            assert_eq!(users.by_name(name).expect("an answer"), library, "{name}");
        }
        let none = users.by_name("hostel-no-such-user").expect("an answer");
        assert_eq!(none, None);
    }
}
