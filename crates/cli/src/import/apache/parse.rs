//! Apache's configuration as a tree: lines, sections, continued lines, variables, conditions, includes in their places.
//!
//! `<IfModule>` and its kin are decided here: what is in one that holds stands where the section was, what is in another is told and left out.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::super::ledger::Ledger;
use super::super::source::{ImportError, Place, Reader, whole};
use super::super::tree::{Directive, NESTING_MAX};

/// Reads files into trees; what one file defines holds in the next.
pub(crate) struct Parser<'p, 'f> {
    reader: &'p mut Reader<'f>,
    ledger: &'p mut Ledger,
    /// What relative includes are relative to.
    server_root: String,
    variables: BTreeMap<String, String>,
    /// The modules that were loaded; none was seen if only virtual hosts are read.
    pub(crate) modules: BTreeSet<String>,
    nesting: usize,
}

/// A line, put together from its continuations.
struct Line {
    text: String,
    number: u32,
}

/// A file that is being read.
struct Open {
    file: Rc<str>,
    lines: std::vec::IntoIter<Line>,
    count: u32,
}

impl<'p, 'f> Parser<'p, 'f> {
    pub(crate) fn new(
        reader: &'p mut Reader<'f>,
        ledger: &'p mut Ledger,
        server_root: &str,
    ) -> Self {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            reader,
            ledger,
            server_root: server_root.to_owned(),
            variables: ENVIRONMENT.iter().map(own).collect(),
            modules: BTreeSet::new(),
            nesting: 0,
        }
    }

    /// The directives of a file; the inner error is that it cannot be read.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub(crate) fn file(
        &mut self,
        path: &str,
        from: Option<&Place>,
    ) -> Result<Result<Vec<Directive>, String>, ImportError> {
        let text = match self.reader.open(path, from)? {
            Ok(text) => text,
            Err(why) => return Ok(Err(why)),
        };
        let mut open = Open {
            file: Rc::from(path),
            lines: lines(&text).into_iter(),
            count: 0,
        };
        let directives = self.block(&mut open, None, true)?;
        self.reader.close();
        Ok(Ok(directives))
    }

    /// Directives up to the end of the file, or of the section that was opened. Where `holds` is not so, none of them counts.
    fn block(
        &mut self,
        open: &mut Open,
        section: Option<(&str, u32)>,
        holds: bool,
    ) -> Result<Vec<Directive>, ImportError> {
        let mut all = Vec::new();
        while let Some(line) = open.lines.next() {
            let text = self.substituted(&line.text);
            if let Some(name) = text.strip_prefix("</") {
                let name = name.trim_end().trim_end_matches('>').trim();
                match section {
                    Some((opened, _)) if opened.eq_ignore_ascii_case(name) => return Ok(all),
                    _ => {
                        let what = format!("</{}> closes no section", name.escape_debug());
                        return Err(open.wrong(line.number, &what));
                    }
                }
            }
            self.line(open, &text, line.number, holds, &mut all)?;
        }
        match section {
            None => Ok(all),
            Some((name, line)) => {
                let what = format!("the section <{}> is never closed", name.escape_debug());
                Err(open.wrong(line, &what))
            }
        }
    }

    fn line(
        &mut self,
        open: &mut Open,
        text: &str,
        number: u32,
        holds: bool,
        all: &mut Vec<Directive>,
    ) -> Result<(), ImportError> {
        let place = Place {
            file: Rc::clone(&open.file),
            line: number,
            number: open.count,
        };
        open.count += 1;
        self.reader.directive(&place)?;
        let is_section = text.starts_with('<');
        let text = if is_section {
            text.trim_start_matches('<')
                .trim_end()
                .strip_suffix('>')
                .unwrap_or(text)
        } else {
            text
        };
        let mut words = words(text).into_iter();
        let directive = Directive {
            name: words.next().unwrap_or_default(),
            args: words.collect(),
            block: is_section.then(Vec::new),
            place,
        };
        let shown = directive.shown();
        let shown = if is_section {
            format!("<{shown}>")
        } else {
            shown
        };
        self.ledger.declare(&directive.place, shown);
        if !holds {
            self.ledger.not_needed(
                &directive.place,
                "in a section whose condition does not hold",
            );
        }
        if is_section {
            return self.section(open, directive, holds, all);
        }
        if holds {
            self.simple(&directive, all)?;
            all.push(directive);
        }
        Ok(())
    }

    fn section(
        &mut self,
        open: &mut Open,
        mut directive: Directive,
        holds: bool,
        all: &mut Vec<Directive>,
    ) -> Result<(), ImportError> {
        if self.nesting >= NESTING_MAX {
            return Err(open.wrong(
                directive.place.line,
                "sections within sections within sections without end",
            ));
        }
        let condition = self.condition(&directive);
        self.nesting += 1;
        let name = directive.name.clone();
        let inner_holds = holds && condition.unwrap_or(true);
        let inner = self.block(open, Some((&name, directive.place.line)), inner_holds)?;
        self.nesting -= 1;
        if !holds {
            return Ok(());
        }
        match condition {
            None => {
                directive.block = Some(inner);
                all.push(directive);
            }
            Some(true) => {
                self.ledger
                    .carried(&directive.place, "the condition is taken to hold");
                all.extend(inner);
            }
            Some(false) => self
                .ledger
                .not_needed(&directive.place, "the condition does not hold"),
        }
        Ok(())
    }

    /// Directives that matter while reading.
    fn simple(
        &mut self,
        directive: &Directive,
        all: &mut Vec<Directive>,
    ) -> Result<(), ImportError> {
        match directive.name.to_ascii_lowercase().as_str() {
            "define" => {
                let name = directive.arg().unwrap_or_default().to_owned();
                let value = directive.args.get(1).cloned().unwrap_or_default();
                self.variables.insert(name, value);
                self.ledger
                    .not_needed(&directive.place, "put in where it is used");
            }
            "undefine" => {
                self.variables.remove(directive.arg().unwrap_or_default());
                self.ledger
                    .not_needed(&directive.place, "put in where it is used");
            }
            "loadmodule" => {
                self.modules
                    .insert(directive.arg().unwrap_or_default().to_ascii_lowercase());
                self.ledger
                    .not_needed(&directive.place, "there are no modules to load");
            }
            "serverroot" => {
                self.server_root = whole("/", directive.arg().unwrap_or("/"));
                self.ledger
                    .not_needed(&directive.place, "the server's own affair");
            }
            "include" | "includeoptional" => all.extend(self.include(directive)?),
            _ => {}
        }
        Ok(())
    }

    fn include(&mut self, directive: &Directive) -> Result<Vec<Directive>, ImportError> {
        let Some(pattern) = directive.arg() else {
            self.ledger
                .not_supported(&directive.place, "includes nothing");
            return Ok(Vec::new());
        };
        let pattern = whole(&self.server_root, pattern);
        let is_optional = directive.is("IncludeOptional");
        self.ledger.carried(&directive.place, "read");
        let mut all = Vec::new();
        let mut left = self.reader.expand(&pattern);
        left.reverse();
        let mut listed = 0;
        while let Some(path) = left.pop() {
            if self.reader.files.is_directory(&path) {
                listed += 1;
                if listed > DIRECTORIES_MAX {
                    self.ledger
                        .not_supported(&directive.place, "more directories than are read");
                    break;
                }
                let mut names = self.reader.files.names(&path);
                names.sort();
                left.extend(names.into_iter().rev().map(|name| format!("{path}/{name}")));
                continue;
            }
            match self.file(&path, Some(&directive.place))? {
                Ok(directives) => all.extend(directives),
                Err(_) if is_optional => self
                    .ledger
                    .carried(&directive.place, "there is no such file"),
                Err(why) => self
                    .ledger
                    .not_supported(&directive.place, format!("{path} cannot be read: {why}")),
            }
        }
        Ok(all)
    }

    /// Whether a section's condition holds; `None` if it has none that can be told now.
    fn condition(&self, directive: &Directive) -> Option<bool> {
        let arg = directive.arg().unwrap_or_default();
        let (is_negated, name) = match arg.strip_prefix('!') {
            Some(name) => (true, name.trim_start()),
            None => (false, arg),
        };
        match directive.name.to_ascii_lowercase().as_str() {
            // Where no module is seen to be loaded, what a host has written for a module is meant to be used.
            "ifmodule" => Some(self.has_module(name) != is_negated),
            "ifdefine" => Some(self.variables.contains_key(name) != is_negated),
            "iffile" => Some(self.reader.files.exists(name) != is_negated),
            "ifversion" => Some(version(&directive.args)),
            _ => None,
        }
    }

    fn has_module(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        // `mod_php.c` and `php_module` are the same one.
        let short = name
            .trim_end_matches(".c")
            .trim_start_matches("mod_")
            .trim_end_matches("_module")
            .to_owned();
        let short = if short == "itk" {
            "mpm_itk".to_owned()
        } else {
            short
        };
        if self.modules.is_empty() {
            return true;
        }
        self.modules.contains(&format!("{short}_module"))
            || (short.starts_with("php") && self.modules.contains("php_module"))
    }

    /// With `${X}` replaced, where X is defined.
    fn substituted(&self, text: &str) -> String {
        let mut done = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, behind) = rest.split_at(at);
            done.push_str(before);
            let name = behind[2..].split_once('}').map(|(name, _)| name);
            match name.and_then(|name| Some((self.variables.get(name)?, name.len() + 3))) {
                Some((value, length)) if done.len() + value.len() < LINE_BYTES_MAX => {
                    done.push_str(value);
                    rest = &behind[length..];
                }
                _ => {
                    done.push_str("${");
                    rest = &behind[2..];
                }
            }
        }
        done.push_str(rest);
        done
    }
}

impl Open {
    fn wrong(&self, line: u32, what: &str) -> ImportError {
        ImportError::Syntax {
            file: Rc::clone(&self.file),
            line,
            what: what.to_owned(),
        }
    }
}

/// Lines that say something, with those that a backslash continues.
fn lines(text: &str) -> Vec<Line> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut all = Vec::new();
    let mut begun: Option<Line> = None;
    for (number, line) in text.lines().enumerate() {
        let number = u32::try_from(number + 1).unwrap_or(u32::MAX);
        let (part, goes_on) = match line.trim_end_matches('\r').strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line.trim_end_matches('\r'), false),
        };
        let mut whole = begun.take().unwrap_or_else(|| Line {
            text: String::new(),
            number,
        });
        whole.text.push_str(part);
        if goes_on {
            begun = Some(whole);
        } else {
            all.push(whole);
        }
    }
    all.extend(begun);
    for line in &mut all {
        line.text = line.text.trim().to_owned();
    }
    all.retain(|line| !line.text.is_empty() && !line.text.starts_with('#'));
    all
}

/// The words of a line, as `ap_getword_conf` takes them apart.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest
            .peek()
            .is_some_and(|character| character.is_whitespace())
        {
            rest.next();
        }
        let Some(first) = rest.peek().copied() else {
            return words;
        };
        let mut word = String::new();
        if matches!(first, '"' | '\'') {
            rest.next();
            while let Some(character) = rest.next() {
                match character {
                    '\\' if rest
                        .peek()
                        .is_some_and(|next| *next == first || *next == '\\') =>
                    {
                        word.extend(rest.next())
                    }
                    character if character == first => break,
                    character => word.push(character),
                }
            }
        } else {
            while let Some(character) = rest.next_if(|character| !character.is_whitespace()) {
                word.push(character);
            }
        }
        words.push(word);
    }
}

/// `<IfVersion >= 2.4>`, for a 2.4 as Debian has it.
fn version(args: &[String]) -> bool {
    let (operator, number) = match args {
        [one] => {
            let digits = one
                .find(|character: char| character.is_ascii_digit())
                .unwrap_or(one.len());
            one.split_at(digits)
        }
        [operator, number, ..] => (operator.as_str(), number.as_str()),
        [] => return true,
    };
    let (operator, is_negated) = match operator.strip_prefix('!') {
        Some(operator) => (operator, true),
        None => (operator, false),
    };
    let asked: Vec<u32> = number
        .split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect();
    let ours = &VERSION[..asked.len().min(VERSION.len())];
    let holds = match operator {
        "<" => ours < &asked[..],
        "<=" => ours <= &asked[..],
        ">" => ours > &asked[..],
        ">=" => ours >= &asked[..],
        _ => ours == &asked[..],
    };
    holds != is_negated
}

const VERSION: [u32; 3] = [2, 4, 62];
/// What Debian's /etc/apache2/envvars sets; it is a shell script, which nobody runs here.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("APACHE_LOG_DIR", "/var/log/apache2"),
    ("APACHE_RUN_DIR", "/var/run/apache2"),
    ("APACHE_LOCK_DIR", "/var/lock/apache2"),
    ("APACHE_PID_FILE", "/var/run/apache2/apache2.pid"),
    ("APACHE_RUN_USER", "www-data"),
    ("APACHE_RUN_GROUP", "www-data"),
];
/// Apache's own bound of a line.
const LINE_BYTES_MAX: usize = 16 << 20;
/// `Include DIRECTORY` goes down; configurations are shallow.
const DIRECTORIES_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::super::super::source::memory::Memory;
    use super::*;

    fn parse(files: &[(&str, &str)]) -> Result<(Vec<Directive>, Ledger), ImportError> {
        let files = Memory::new(files);
        let mut reader = Reader::new(&files);
        let mut ledger = Ledger::default();
        let mut parser = Parser::new(&mut reader, &mut ledger, "/a");
        let tree = parser.file("/a/apache2.conf", None)?.unwrap();
        Ok((tree, ledger))
    }

    fn shown(tree: &[Directive]) -> Vec<String> {
        let one = |one: &Directive| format!("{}:{}", one.place.line, one.shown());
        tree.iter().map(one).collect()
    }

    #[test]
    fn lines_quotes_variables_and_sections() {
        let text = "# c\nDefine root /srv/x\nDocumentRoot \"${root}/a b\"\nServerAlias a \\\n  b\n<Directory '${root}'>\nX ${none} \"q \\\" \\d\"\n</Directory>";
        let (tree, _) = parse(&[("/a/apache2.conf", text)]).unwrap();
        assert_eq!(
            shown(&tree),
            [
                "2:Define root /srv/x",
                "3:DocumentRoot /srv/x/a b",
                "4:ServerAlias a b",
                "6:Directory /srv/x"
            ]
        );
        assert_eq!(shown(tree[3].children()), ["7:X ${none} q \" \\d"]);
    }

    #[test]
    fn conditions_are_decided_by_the_modules_that_are_loaded() {
        let text = "<IfModule mod_x.c>\nA 1\n</IfModule>\n<IfModule !mod_x.c>\nA 2\n</IfModule>\n<IfVersion < 2.4>\nA 3\n</IfVersion>\n<IfDefine y>\nA 4\n</IfDefine>";
        let (tree, ledger) = parse(&[("/a/apache2.conf", text)]).unwrap();
        assert_eq!(shown(&tree), ["2:A 1"]);
        assert_eq!(ledger.entries().count(), 8);
        let loaded = format!("LoadModule z_module z.so\n{text}");
        let (tree, _) = parse(&[("/a/apache2.conf", &loaded)]).unwrap();
        assert_eq!(shown(&tree), ["1:LoadModule z_module z.so", "6:A 2"]);
    }

    #[test]
    fn includes_stand_in_their_places() {
        let (tree, ledger) = parse(&[
            (
                "/a/apache2.conf",
                "Include d/*.conf\nIncludeOptional none\nInclude none\nInclude e\nZ",
            ),
            ("/a/d/2.conf", "B"),
            ("/a/d/1.conf", "A"),
            ("/a/e/f/3", "C"),
        ])
        .unwrap();
        assert_eq!(
            shown(&tree).join(" "),
            "1:A 1:B 1:Include d/*.conf 2:IncludeOptional none 3:Include none 1:C 4:Include e 5:Z"
        );
        assert_eq!(
            ledger
                .of(super::super::super::ledger::List::NotSupported)
                .count(),
            1
        );
        let error = parse(&[("/a/apache2.conf", "\nInclude apache2.conf")]).unwrap_err();
        assert!(matches!(error, ImportError::Loop { line: 2, .. }));
    }

    #[test]
    fn sections_must_close_in_order() {
        for text in ["<A>", "</A>", "<A>\n</B>", "<A>\n<B>\n</A>\n</B>"] {
            assert!(
                matches!(
                    parse(&[("/a/apache2.conf", text)]),
                    Err(ImportError::Syntax { .. })
                ),
                "{text}"
            );
        }
        let deep = "<A>\n".repeat(10_000);
        assert!(parse(&[("/a/apache2.conf", &deep)]).is_err());
    }

    #[test]
    fn versions_are_compared() {
        let holds =
            |args: &[&str]| version(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        assert!(
            holds(&[">=", "2.4"]) && holds(&["<", "2.5"]) && holds(&[">2.2"]) && holds(&["2.4"])
        );
        assert!(!holds(&["<", "2.4"]) && !holds(&["!>=", "2.4"]) && !holds(&["2.2"]));
    }
}
