//! What the three importers share: the input is two files, the first of which is read and may include the other.

#[path = "../../../crates/cli/src/import/mod.rs"]
#[allow(dead_code, reason = "the command line uses what a target does not")]
mod import;

use hostel_config::UserLookUp;
use hostel_sys::cred::{LookUpError, User};

pub(crate) use import::Server;

/// Import the input, and look at what must hold of every result.
pub(crate) fn run(server: Server, input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (first, second) = text.split_once('\u{1}').unwrap_or((&text, ""));
    let files = Two(first, second);
    let paths = ["/c/first".to_owned()];
    let Ok(imported) = import::import(server, &paths, &[], &files, &Nobody) else {
        return;
    };
    for (place, entry) in imported.ledger.entries() {
        assert!(place.line >= 1);
        assert!(entry.list.is_some());
        assert!(!entry.text.is_empty());
        assert!(!entry.directive.contains(['\n', '\r', '\u{1b}']));
    }
    for site in &imported.sites {
        // One key a line, and nothing that was imported begins one.
        for line in site.text.lines().skip(1) {
            assert!(line.is_empty() || line.starts_with(['[', '"']) || line.contains(" = "));
            assert!(!line.chars().any(char::is_control));
        }
    }
}

struct Two<'t>(&'t str, &'t str);

impl import::source::Files for Two<'_> {
    fn read(&self, path: &str, _: usize) -> Result<String, String> {
        match path {
            "/c/first" => Ok(self.0.to_owned()),
            "/c/second" => Ok(self.1.to_owned()),
            _ => Err("no such file".to_owned()),
        }
    }

    fn names(&self, directory: &str) -> Vec<String> {
        if directory == "/c" {
            vec!["first".to_owned(), "second".to_owned()]
        } else {
            Vec::new()
        }
    }

    fn is_directory(&self, path: &str) -> bool {
        path == "/c"
    }

    fn exists(&self, path: &str) -> bool {
        ["/c", "/c/first", "/c/second"].contains(&path)
    }
}

struct Nobody;

impl UserLookUp for Nobody {
    fn by_name(&self, _: &str) -> Result<Option<User>, LookUpError> {
        Ok(None)
    }
}
