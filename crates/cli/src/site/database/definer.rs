//! What a dump of MariaDB's says of who made views, triggers, routines and events is left out: they then belong to whoever loads it.
//!
//! Pure. Who loads a dump is a site's user of the database, who may make things for nobody but itself; in a copy of a site that is
//! another one than in the original. Only lines that `mariadb-dump` begins such a statement with are touched: rows never begin a line so.

/// Works on a stream, whatever parts it comes in.
#[derive(Debug, Default)]
pub(super) struct Undefined {
    /// The beginning of a line of which it is not yet known what it is.
    begun: Vec<u8>,
    /// The rest of the line is passed on.
    is_known: bool,
}

impl Undefined {
    /// One more part.
    pub(super) fn take(&mut self, mut part: &[u8], to: &mut Vec<u8>) {
        while !part.is_empty() {
            let end = part.iter().position(|byte| *byte == b'\n');
            let line = part.get(..end.map_or(part.len(), |end| end + 1));
            let line = line.unwrap_or_default();
            part = part.get(line.len()..).unwrap_or_default();
            if self.is_known {
                to.extend_from_slice(line);
            } else {
                self.begun.extend_from_slice(line);
                if end.is_some() || self.begun.len() >= LOOK_AT || !may_begin(&self.begun) {
                    to.extend_from_slice(&without(&self.begun));
                    self.begun.clear();
                    self.is_known = true;
                }
            }
            if end.is_some() {
                self.is_known = false;
            }
        }
    }

    /// What is left at the end.
    pub(super) fn finish(&mut self, to: &mut Vec<u8>) {
        to.append(&mut self.begun);
    }
}

/// Whether a line that begins with this may be one that is touched.
fn may_begin(text: &[u8]) -> bool {
    BEGINNINGS.iter().any(|beginning| {
        let length = text.len().min(beginning.len());
        text.get(..length) == beginning.as_bytes().get(..length)
    })
}

/// The line without its definer.
fn without(line: &[u8]) -> Vec<u8> {
    let rest = BEGINNINGS.iter().find_map(|beginning| {
        let rest = line.strip_prefix(beginning.as_bytes())?;
        let after = after_account(rest)?;
        let kept = beginning.strip_suffix(DEFINER).unwrap_or(beginning);
        Some([kept.as_bytes(), after.strip_prefix(b" ").unwrap_or(after)].concat())
    });
    rest.unwrap_or_else(|| line.to_vec())
}

/// What follows `user`@`host`, or a role by itself.
fn after_account(text: &[u8]) -> Option<&[u8]> {
    let after = after_quoted(text)?;
    match after.strip_prefix(b"@") {
        Some(host) => after_quoted(host),
        None => Some(after),
    }
}

fn after_quoted(text: &[u8]) -> Option<&[u8]> {
    let (&quote, mut rest) = text.split_first()?;
    if quote != b'`' && quote != b'"' {
        return None;
    }
    loop {
        let end = rest.iter().position(|byte| *byte == quote)?;
        rest = rest.get(end + 1..)?;
        match rest.strip_prefix(&[quote]) {
            // Written twice it is one of the name.
            Some(more) => rest = more,
            None => return Some(rest),
        }
    }
}

const DEFINER: &str = "DEFINER=";
const BEGINNINGS: [&str; 4] = [
    "CREATE DEFINER=",
    "/*!50013 DEFINER=",
    "/*!50003 CREATE*/ /*!50017 DEFINER=",
    "/*!50106 CREATE*/ /*!50117 DEFINER=",
];
/// More than the longest beginning and two names of the greatest length.
const LOOK_AT: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str, part: usize) -> String {
        let mut undefined = Undefined::default();
        let mut to = Vec::new();
        for part in text.as_bytes().chunks(part) {
            undefined.take(part, &mut to);
        }
        undefined.finish(&mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn definers_are_left_out_and_nothing_else() {
        let long = "x".repeat(10_000);
        for (line, expected) in [
            (
                "/*!50013 DEFINER=`root`@`localhost` SQL SECURITY DEFINER */",
                "/*!50013 SQL SECURITY DEFINER */",
            ),
            (
                "/*!50003 CREATE*/ /*!50017 DEFINER=`a``b`@`%`*/ /*!50003 TRIGGER t BEFORE",
                "/*!50003 CREATE*/ /*!50017 */ /*!50003 TRIGGER t BEFORE",
            ),
            (
                "/*!50106 CREATE*/ /*!50117 DEFINER=`a`@`h`*/ /*!50106 EVENT `e`",
                "/*!50106 CREATE*/ /*!50117 */ /*!50106 EVENT `e`",
            ),
            (
                "CREATE DEFINER=`r`@`l` PROCEDURE `p`()",
                "CREATE PROCEDURE `p`()",
            ),
            (
                "CREATE DEFINER=\"r\"@\"l\" PACKAGE \"pk\"",
                "CREATE PACKAGE \"pk\"",
            ),
            (
                "CREATE DEFINER=`role` FUNCTION `f`()",
                "CREATE FUNCTION `f`()",
            ),
            (
                "CREATE DEFINER=CURRENT_USER FUNCTION f()",
                "CREATE DEFINER=CURRENT_USER FUNCTION f()",
            ),
            ("CREATE DEFINER=`unfinished", "CREATE DEFINER=`unfinished"),
            (
                "(2,'CREATE DEFINER=`x`@`y` ');",
                "(2,'CREATE DEFINER=`x`@`y` ');",
            ),
            (&long, &long),
            ("", ""),
        ] {
            let text = format!("before\n{line}\nafter");
            let expected = format!("before\n{expected}\nafter");
            for part in [1, 7, 100_000] {
                assert_eq!(taken(&text, part), expected, "in parts of {part}");
            }
        }
    }
}
