//! Words, braces and semicolons, as `ngx_conf_read_token` tells them apart.

use std::rc::Rc;

use super::super::source::ImportError;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    /// `;`
    End,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// The tokens of a text, each with its line.
pub(crate) struct Lexer<'t> {
    file: Rc<str>,
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    line: u32,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(file: &Rc<str>, text: &'t str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self {
            file: Rc::clone(file),
            rest: text.chars().peekable(),
            line: 1,
        }
    }

    /// The next token; `None` at the end.
    ///
    /// # Errors
    /// Quotes that are never closed, or something right behind them.
    pub(crate) fn token(&mut self) -> Result<Option<(Token, u32)>, ImportError> {
        loop {
            let Some(character) = self.rest.peek().copied() else {
                return Ok(None);
            };
            let line = self.line;
            let token = match character {
                ' ' | '\t' | '\r' | '\n' => {
                    self.next();
                    continue;
                }
                '#' => {
                    while self.rest.peek().is_some_and(|character| *character != '\n') {
                        self.next();
                    }
                    continue;
                }
                ';' => Token::End,
                '{' => Token::Open,
                '}' => Token::Close,
                '"' | '\'' => return Ok(Some((Token::Word(self.quoted(character)?), line))),
                _ => return Ok(Some((Token::Word(self.word()), line))),
            };
            self.next();
            return Ok(Some((token, line)));
        }
    }

    /// What stands up to the brace that closes one that was read: code of another language.
    pub(crate) fn foreign(&mut self) {
        let mut depth = 1_usize;
        while let Some(character) = self.next() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// A word that is not quoted. In it `${` begins a variable, and quotes are plain.
    fn word(&mut self) -> String {
        let mut word = String::new();
        let mut after_dollar = false;
        while let Some(character) = self.rest.peek().copied() {
            let ends = matches!(character, ' ' | '\t' | '\r' | '\n' | ';')
                || (character == '{' && !after_dollar);
            if ends {
                break;
            }
            self.next();
            after_dollar = character == '$';
            if character == '\\' {
                self.escape(&mut word);
            } else {
                word.push(character);
            }
        }
        word
    }

    fn quoted(&mut self, quote: char) -> Result<String, ImportError> {
        let line = self.line;
        self.next();
        let mut word = String::new();
        loop {
            match self.next() {
                None => return Err(self.wrong(line, "these quotes are never closed")),
                Some(character) if character == quote => break,
                Some('\\') => self.escape(&mut word),
                Some(character) => word.push(character),
            }
        }
        match self.rest.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | ';' | '{' | ')') => Ok(word),
            Some(character) => {
                let what = format!("'{}' stands right behind quotes", character.escape_debug());
                Err(self.wrong(self.line, &what))
            }
        }
    }

    /// A backslash was read: it stays before what it has no meaning for.
    fn escape(&mut self, word: &mut String) {
        match self.rest.peek().copied() {
            Some(character @ ('"' | '\'' | '\\')) => word.push(character),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(character) => {
                word.push('\\');
                word.push(character);
            }
            None => word.push('\\'),
        }
        self.next();
    }

    fn next(&mut self) -> Option<char> {
        let character = self.rest.next()?;
        if character == '\n' {
            self.line = self.line.saturating_add(1);
        }
        Some(character)
    }

    fn wrong(&self, line: u32, what: &str) -> ImportError {
        ImportError::Syntax {
            file: Rc::clone(&self.file),
            line,
            what: what.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Result<Vec<(Token, u32)>, ImportError> {
        let mut lexer = Lexer::new(&Rc::from("f"), text);
        let mut found = Vec::new();
        while let Some(token) = lexer.token()? {
            found.push(token);
        }
        Ok(found)
    }

    #[test]
    fn words_quotes_comments_and_braces() {
        let word = |text: &str, line| (Token::Word(text.to_owned()), line);
        let found =
            tokens("a b;# c {\nlocation ~ \\.php$ { x \"q \\\" ;{\" 'it\\'s'; }\n${x}y ${a}{")
                .unwrap();
        assert_eq!(
            found,
            [
                word("a", 1),
                word("b", 1),
                (Token::End, 1),
                word("location", 2),
                word("~", 2),
                word("\\.php$", 2),
                (Token::Open, 2),
                word("x", 2),
                word("q \" ;{", 2),
                word("it's", 2),
                (Token::End, 2),
                (Token::Close, 2),
                word("${x}y", 3),
                word("${a}", 3),
                (Token::Open, 3),
            ]
        );
    }

    #[test]
    fn quotes_must_close_and_stand_apart() {
        for text in ["a \"b", "a 'b\n", "\"a\"b;"] {
            assert!(tokens(text).is_err(), "{text}");
        }
        assert!(tokens("if (\"a\") {").is_ok());
    }
}
