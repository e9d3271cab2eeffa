//! The files of a configuration: who may be read, how much of it, and in which order.
//!
//! They are opened as whoever types the command. What they say is not trusted: a configuration that includes itself, or more files than
//! any host has, is an error and no endless work.

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use super::glob;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ImportError {
    /// A path that was typed.
    #[error("reading {path}: {why}")]
    Read { path: String, why: String },
    /// A typed directory without a configuration in it.
    #[error(
        "reading {path}: no configuration files are in this directory (looked for {wanted})\n  hint: name the file itself"
    )]
    Nothing { path: String, wanted: &'static str },
    /// Not the language.
    #[error("{file}:{line}: {what}")]
    Syntax {
        file: Rc<str>,
        line: u32,
        what: String,
    },
    /// It includes itself.
    #[error("{file}:{line}: includes {included}, which is being read already: a loop")]
    Loop {
        file: Rc<str>,
        line: u32,
        included: String,
    },
    /// A bound.
    #[error(
        "{file}:{line}: {what}; at most {max} are read\n  hint: import the sites in several parts"
    )]
    TooMuch {
        file: Rc<str>,
        line: u32,
        what: &'static str,
        max: usize,
    },
}

/// Where a directive stands. Sorted, they are in the order of the files' names and lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The file.
    pub(crate) file: Rc<str>,
    /// The line, from 1.
    pub(crate) line: u32,
    /// The how manieth directive of the file it is, for two on one line.
    pub(crate) number: u32,
}

/// A file system, as far as it is needed.
pub(crate) trait Files {
    /// The text of a file, at most so many bytes; the error in words.
    fn read(&self, path: &str, bytes_max: usize) -> Result<String, String>;
    /// The names in a directory, in any order; none where there is no such directory.
    fn names(&self, directory: &str) -> Vec<String>;
    /// Whether it is a directory.
    fn is_directory(&self, path: &str) -> bool;
    /// Whether there is anything.
    fn exists(&self, path: &str) -> bool;
}

/// The host's.
#[derive(Debug)]
pub(crate) struct Disk;

impl Files for Disk {
    fn read(&self, path: &str, bytes_max: usize) -> Result<String, String> {
        let text = |error: std::io::Error| error.to_string();
        // A pipe would block as soon as it is opened, and a device could never end.
        if !std::fs::metadata(path).map_err(text)?.is_file() {
            return Err("is not a regular file".to_owned());
        }
        let file = File::open(path).map_err(text)?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(text)?;
        if bytes.len() > bytes_max {
            return Err(format!("has more than {bytes_max} bytes"));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .take(NAMES_MAX)
            .collect()
    }

    fn is_directory(&self, path: &str) -> bool {
        Path::new(path).is_dir()
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }
}

/// Reads files within bounds, and knows which are open.
pub(crate) struct Reader<'f> {
    pub(crate) files: &'f dyn Files,
    open: Vec<String>,
    count: usize,
    bytes: usize,
    directives: Cell<usize>,
}

impl<'f> Reader<'f> {
    /// Nothing was read yet.
    pub(crate) fn new(files: &'f dyn Files) -> Self {
        Self {
            files,
            open: Vec::new(),
            count: 0,
            bytes: 0,
            directives: Cell::new(0),
        }
    }

    /// Begin a file; `from` is where it is included. Ended by [`Self::close`]. The inner error is that of the file itself.
    pub(crate) fn open(
        &mut self,
        path: &str,
        from: Option<&Place>,
    ) -> Result<Result<String, String>, ImportError> {
        let (file, line) = from.map_or_else(
            || (Rc::from(path), 1),
            |place| (Rc::clone(&place.file), place.line),
        );
        if self.open.iter().any(|open| open == path) {
            let included = path.to_owned();
            return Err(ImportError::Loop {
                file,
                line,
                included,
            });
        }
        let too_much = |what, max| {
            let file = Rc::clone(&file);
            Err(ImportError::TooMuch {
                file,
                line,
                what,
                max,
            })
        };
        if self.open.len() >= DEPTH_MAX {
            return too_much("files that include files that include files", DEPTH_MAX);
        }
        self.count += 1;
        if self.count > FILES_MAX {
            return too_much("too many files", FILES_MAX);
        }
        let text = match self.files.read(path, FILE_BYTES_MAX) {
            Ok(text) => text,
            Err(why) => return Ok(Err(why)),
        };
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > BYTES_MAX {
            return too_much("too many bytes", BYTES_MAX);
        }
        self.open.push(path.to_owned());
        Ok(Ok(text))
    }

    /// The file that was opened last is done.
    pub(crate) fn close(&mut self) {
        self.open.pop();
    }

    /// Count one more directive.
    pub(crate) fn directive(&self, place: &Place) -> Result<(), ImportError> {
        self.directives.set(self.directives.get() + 1);
        if self.directives.get() <= DIRECTIVES_MAX {
            return Ok(());
        }
        Err(ImportError::TooMuch {
            file: Rc::clone(&place.file),
            line: place.line,
            what: "too many directives",
            max: DIRECTIVES_MAX,
        })
    }

    /// The files that a pattern means, sorted; a plain path is itself, whether it exists or not.
    pub(crate) fn expand(&self, pattern: &str) -> Vec<String> {
        if !glob::is_pattern(pattern) {
            return vec![pattern.to_owned()];
        }
        glob::expand(self.files, pattern)
    }

    /// What is meant by a path that was typed: a file, the main file of a directory, or else its files that end in one of these.
    pub(crate) fn typed(
        &self,
        path: &str,
        main: &[&str],
        ends: &'static str,
    ) -> Result<Vec<String>, ImportError> {
        if !self.files.is_directory(path) {
            return Ok(vec![path.to_owned()]);
        }
        let directory = path.trim_end_matches('/');
        let mut names = self.files.names(directory);
        if let Some(main) = main
            .iter()
            .find(|main| names.iter().any(|name| name == *main))
        {
            return Ok(vec![format!("{directory}/{main}")]);
        }
        names.sort();
        names.retain(|name| {
            let is_hidden = name.starts_with('.') || name.ends_with('~');
            !is_hidden && (ends.is_empty() || name.ends_with(ends))
        });
        let paths = names.into_iter().map(|name| format!("{directory}/{name}"));
        let found: Vec<_> = paths
            .filter(|path| !self.files.is_directory(path))
            .collect();
        if found.is_empty() {
            let wanted = if ends.is_empty() { "any file" } else { ends };
            let path = path.to_owned();
            return Err(ImportError::Nothing { path, wanted });
        }
        Ok(found)
    }
}

/// A path as a configuration writes it, made whole: relative ones to `base`; `.` and repeated slashes go, `..` is resolved by name.
pub(crate) fn whole(base: &str, path: &str) -> String {
    let joined = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{base}/{path}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The directory of a file.
pub(crate) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((parent, _)) => parent,
        None => ".",
    }
}

/// nginx and Apache nest includes by a few; more is a mistake.
const DEPTH_MAX: usize = 16;
/// A host with twenty thousand sites, each with a few snippets.
const FILES_MAX: usize = 100_000;
/// No configuration file was seen with more than some hundred kilobytes.
const FILE_BYTES_MAX: usize = 8 << 20;
const BYTES_MAX: usize = 256 << 20;
/// Includes of includes grow by multiplication; this is where it ends.
const DIRECTIVES_MAX: usize = 2_000_000;
/// As many as sites may exist, and some.
const NAMES_MAX: usize = 100_000;

/// Files in memory.
#[cfg(test)]
pub(crate) mod memory {
    use super::Files;

    /// Path and text.
    #[derive(Debug, Default)]
    pub(crate) struct Memory(pub(crate) Vec<(String, String)>);

    impl Memory {
        pub(crate) fn new(files: &[(&str, &str)]) -> Self {
            let own = |&(path, text): &(&str, &str)| (path.to_owned(), text.to_owned());
            Self(files.iter().map(own).collect())
        }
    }

    impl Files for Memory {
        fn read(&self, path: &str, _: usize) -> Result<String, String> {
            let found = self.0.iter().find(|(known, _)| known == path);
            found
                .map(|(_, text)| text.clone())
                .ok_or_else(|| "no such file".to_owned())
        }

        fn names(&self, directory: &str) -> Vec<String> {
            let directory = format!("{}/", directory.trim_end_matches('/'));
            let below = self
                .0
                .iter()
                .filter_map(|(path, _)| path.strip_prefix(&directory));
            let mut names: Vec<_> = below
                .map(|rest| rest.split('/').next().unwrap_or(rest).to_owned())
                .collect();
            names.dedup();
            names
        }

        fn is_directory(&self, path: &str) -> bool {
            let path = format!("{}/", path.trim_end_matches('/'));
            self.0.iter().any(|(known, _)| known.starts_with(&path))
        }

        fn exists(&self, path: &str) -> bool {
            self.is_directory(path) || self.0.iter().any(|(known, _)| known == path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::memory::Memory;
    use super::*;

    #[test]
    fn paths_are_made_whole() {
        assert_eq!(
            whole("/etc/nginx", "conf.d/../a//b/./c"),
            "/etc/nginx/a/b/c"
        );
        assert_eq!(whole("/etc/nginx", "/x/"), "/x");
        assert_eq!(whole("/", "../../x"), "/x");
        assert_eq!(parent("/etc/x"), "/etc");
        assert_eq!(parent("/x"), "/");
    }

    #[test]
    fn a_file_that_is_open_is_not_opened_again() {
        let files = Memory::new(&[("/a", "x")]);
        let mut reader = Reader::new(&files);
        assert_eq!(reader.open("/a", None), Ok(Ok("x".to_owned())));
        assert!(matches!(
            reader.open("/a", None),
            Err(ImportError::Loop { .. })
        ));
        reader.close();
        assert_eq!(reader.open("/a", None), Ok(Ok("x".to_owned())));
        assert!(matches!(reader.open("/b", None), Ok(Err(_))));
    }

    #[test]
    fn a_directory_is_its_main_file_or_all_that_fits() {
        let files = Memory::new(&[
            ("/n/nginx.conf", ""),
            ("/n/x", ""),
            ("/p/b.conf", ""),
            ("/p/a.conf", ""),
            ("/p/c", ""),
        ]);
        let reader = Reader::new(&files);
        assert_eq!(
            reader.typed("/n", &["nginx.conf"], ""),
            Ok(vec!["/n/nginx.conf".to_owned()])
        );
        let both = vec!["/p/a.conf".to_owned(), "/p/b.conf".to_owned()];
        assert_eq!(reader.typed("/p/", &["main"], ".conf"), Ok(both));
        assert!(matches!(
            reader.typed("/p", &[], ".ini"),
            Err(ImportError::Nothing { .. })
        ));
    }
}
