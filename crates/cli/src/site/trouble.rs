//! Why a command of `hostel site`, `backup` or `restore` was refused or failed, for the person who typed it.

use std::fmt;
use std::path::Path;

use hostel_sys::causes::with_causes;

/// What was tried, on what, why it failed, and what to do. Nobody but a person decides anything by it, so it is text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
}

impl Trouble {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Something that was done to a file or directory of root's.
    pub(crate) fn at(what: &str, path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |error| {
            let trouble = Self::new(format!("cannot {what} {}: {error}", path.display()));
            match error.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    trouble.hint(AGAIN)
                }
                _ => trouble,
            }
        }
    }

    /// An error whose message may hold its hint.
    pub(crate) fn of(error: &dyn std::error::Error) -> Self {
        Self::of_text(&with_causes(error))
    }

    /// A message that may hold its hint.
    pub(crate) fn of_text(text: &str) -> Self {
        for begin in ["\n  hint: ", "; hint: ", " (hint: "] {
            if let Some((what, hint)) = text.split_once(begin) {
                let hint = if begin.contains('(') {
                    hint.replacen(')', "", 1)
                } else {
                    hint.to_owned()
                };
                return Self::new(what).hint(hint);
            }
        }
        Self::new(text)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hostel: {}", self.what)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Trouble {}

const AGAIN: &str = "make room, then run the same command again: it goes on where this one ended";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_found_wherever_it_stands() {
        for text in ["x\n  hint: do y", "x; hint: do y", "x (hint: do y)"] {
            let trouble = Trouble::of_text(text);
            assert_eq!(trouble, Trouble::new("x").hint("do y"), "{text}");
            assert_eq!(trouble.to_string(), "hostel: x\n  hint: do y");
        }
        assert_eq!(Trouble::of_text("x").hint, None);
    }
}
