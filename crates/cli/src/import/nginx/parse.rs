//! nginx's configuration as a tree, with its includes in their places.

use std::rc::Rc;

use super::super::ledger::Ledger;
use super::super::source::{ImportError, Place, Reader, whole};
use super::super::tree::{Directive, NESTING_MAX};
use super::lexer::{Lexer, Token};

/// Reads files into trees.
pub(crate) struct Parser<'p, 'f> {
    reader: &'p mut Reader<'f>,
    ledger: &'p mut Ledger,
    /// What relative includes are relative to: the directory of nginx.conf.
    prefix: String,
    nesting: usize,
}

impl<'p, 'f> Parser<'p, 'f> {
    pub(crate) fn new(reader: &'p mut Reader<'f>, ledger: &'p mut Ledger, prefix: &str) -> Self {
        Self {
            reader,
            ledger,
            prefix: prefix.to_owned(),
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
        is_data: bool,
    ) -> Result<Result<Vec<Directive>, String>, ImportError> {
        let text = match self.reader.open(path, from)? {
            Ok(text) => text,
            Err(why) => return Ok(Err(why)),
        };
        let file: Rc<str> = Rc::from(path);
        let mut open = Open {
            lexer: Lexer::new(&file, &text),
            file,
            count: 0,
        };
        let directives = self.block(&mut open, None, is_data)?;
        self.reader.close();
        Ok(Ok(directives))
    }

    /// Directives up to the end of the file, or to the brace that closes the block that was opened at this line.
    fn block(
        &mut self,
        open: &mut Open<'_>,
        opened: Option<u32>,
        is_data: bool,
    ) -> Result<Vec<Directive>, ImportError> {
        let mut directives = Vec::new();
        loop {
            let (name, line) = match (open.lexer.token()?, opened) {
                (None, None) => return Ok(directives),
                (None, Some(line)) => {
                    return Err(open.wrong(line, "this block is never closed by '}'"));
                }
                (Some((Token::Close, _)), Some(_)) => return Ok(directives),
                (Some((Token::Close, line)), None) => {
                    return Err(open.wrong(line, "'}' closes no block"));
                }
                (Some((Token::End, _)), _) => continue,
                (Some((Token::Open, line)), _) => {
                    return Err(open.wrong(line, "a block without a name"));
                }
                (Some((Token::Word(name), line)), _) => (name, line),
            };
            let directive = self.directive(open, name, line, is_data)?;
            if directive.is("include") && directive.block.is_none() {
                let included = self.include(&directive, is_data)?;
                directives.push(directive);
                directives.extend(included);
            } else {
                directives.push(directive);
            }
        }
    }

    fn directive(
        &mut self,
        open: &mut Open<'_>,
        name: String,
        line: u32,
        is_data: bool,
    ) -> Result<Directive, ImportError> {
        let place = Place {
            file: Rc::clone(&open.file),
            line,
            number: open.count,
        };
        open.count += 1;
        self.reader.directive(&place)?;
        let mut directive = Directive {
            place,
            name,
            args: Vec::new(),
            block: None,
        };
        loop {
            match open.lexer.token()? {
                Some((Token::Word(word), _)) => directive.args.push(word),
                Some((Token::End, _)) => break,
                Some((Token::Open, at)) => {
                    directive.block = Some(self.inner(open, &directive, at)?);
                    break;
                }
                Some((Token::Close, _)) | None => {
                    let what = format!(
                        "the directive '{}' does not end in ';'",
                        directive.name.escape_debug()
                    );
                    return Err(open.wrong(line, &what));
                }
            }
        }
        if !is_data || directive.is("include") {
            self.ledger.declare(&directive.place, directive.shown());
        }
        Ok(directive)
    }

    fn inner(
        &mut self,
        open: &mut Open<'_>,
        directive: &Directive,
        line: u32,
    ) -> Result<Vec<Directive>, ImportError> {
        if directive.name.ends_with("_by_lua_block") {
            open.lexer.foreign();
            return Ok(Vec::new());
        }
        if self.nesting >= NESTING_MAX {
            return Err(open.wrong(line, "blocks within blocks within blocks without end"));
        }
        self.nesting += 1;
        let is_data = DATA.contains(&directive.name.as_str());
        let block = self.block(open, Some(line), is_data);
        self.nesting -= 1;
        block
    }

    fn include(
        &mut self,
        directive: &Directive,
        is_data: bool,
    ) -> Result<Vec<Directive>, ImportError> {
        let Some(pattern) = directive.arg() else {
            self.ledger
                .not_supported(&directive.place, "includes nothing");
            return Ok(Vec::new());
        };
        let pattern = whole(&self.prefix, pattern);
        let mut all = Vec::new();
        self.ledger.carried(&directive.place, "read");
        for file in self.reader.expand(&pattern) {
            match self.file(&file, Some(&directive.place), is_data)? {
                Ok(directives) => all.extend(directives),
                Err(_) if STANDARD.iter().any(|name| file.ends_with(name)) => {
                    self.ledger.carried(
                        &directive.place,
                        "what this file usually has comes by itself; it was not found",
                    );
                }
                Err(why) => self
                    .ledger
                    .not_supported(&directive.place, format!("{file} cannot be read: {why}")),
            }
        }
        Ok(all)
    }
}

/// A file that is being read.
struct Open<'t> {
    lexer: Lexer<'t>,
    file: Rc<str>,
    count: u32,
}

impl Open<'_> {
    fn wrong(&self, line: u32, what: &str) -> ImportError {
        ImportError::Syntax {
            file: Rc::clone(&self.file),
            line,
            what: what.to_owned(),
        }
    }
}

/// Blocks of data: what is in them are no directives.
const DATA: [&str; 6] = [
    "geo",
    "map",
    "match",
    "split_clients",
    "types",
    "charset_map",
];
/// Files that every package of nginx has.
const STANDARD: [&str; 5] = [
    "/fastcgi_params",
    "/fastcgi.conf",
    "/fastcgi-php.conf",
    "/mime.types",
    "/proxy_params",
];

#[cfg(test)]
mod tests {
    use super::super::super::source::memory::Memory;
    use super::*;

    fn parse(files: &[(&str, &str)]) -> Result<(Vec<Directive>, Ledger), ImportError> {
        let files = Memory::new(files);
        let mut reader = Reader::new(&files);
        let mut ledger = Ledger::default();
        let mut parser = Parser::new(&mut reader, &mut ledger, "/n");
        let tree = parser.file("/n/nginx.conf", None, false)?.unwrap();
        Ok((tree, ledger))
    }

    #[test]
    fn blocks_and_includes_become_one_tree() {
        let (tree, ledger) = parse(&[
            (
                "/n/nginx.conf",
                "http { include sites/*;\n types { a/b c; } }",
            ),
            ("/n/sites/b", "server { listen 81; }"),
            ("/n/sites/a", "server {\n listen 80; }"),
        ])
        .unwrap();
        let http = tree[0].children();
        let names: Vec<_> = http
            .iter()
            .map(|one| (one.name.as_str(), &*one.place.file, one.place.line))
            .collect();
        assert_eq!(
            names,
            [
                ("include", "/n/nginx.conf", 1),
                ("server", "/n/sites/a", 1),
                ("server", "/n/sites/b", 1),
                ("types", "/n/nginx.conf", 2)
            ]
        );
        assert_eq!(ledger.entries().count(), 7, "what is in types is data");
    }

    #[test]
    fn mistakes_are_errors_with_their_line() {
        for (text, line) in [
            ("\na b", 2),
            ("a {\n\nb c;", 1),
            ("a;\n}", 2),
            ("{", 1),
            ("x { y }", 1),
        ] {
            match parse(&[("/n/nginx.conf", text)]) {
                Err(ImportError::Syntax { line: found, .. }) => assert_eq!(found, line, "{text:?}"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
        let deep = "a {".repeat(10_000);
        assert!(parse(&[("/n/nginx.conf", &deep)]).is_err());
    }

    #[test]
    fn loops_and_multiplying_includes_end() {
        let error = parse(&[
            ("/n/nginx.conf", "include a;"),
            ("/n/a", "\ninclude nginx.conf;"),
        ])
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "/n/a:2: includes /n/nginx.conf, which is being read already: a loop"
        );
        let mut files: Vec<(String, String)> = (0..15)
            .map(|n| {
                (
                    format!("/n/{n}"),
                    format!("include {0}; include {0}; include {0};", n + 1),
                )
            })
            .collect();
        files.push(("/n/nginx.conf".to_owned(), "include 0;".to_owned()));
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        assert!(matches!(parse(&files), Err(ImportError::TooMuch { .. })));
    }
}
