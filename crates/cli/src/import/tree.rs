//! Directives as nginx and Apache have them: a name, arguments, and for some a block of further ones.

use super::source::Place;

/// One directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directive {
    /// Where it stands.
    pub(crate) place: Place,
    /// Its name, as written.
    pub(crate) name: String,
    /// Its arguments, without their quotes.
    pub(crate) args: Vec<String>,
    /// What stands in its braces, or between `<X>` and `</X>`.
    pub(crate) block: Option<Vec<Directive>>,
}

impl Directive {
    /// Whether it has this name, whatever the case.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The first argument.
    pub(crate) fn arg(&self) -> Option<&str> {
        self.args.first().map(String::as_str)
    }

    /// The directives in its block.
    pub(crate) fn children(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }

    /// As a report shows it: on one line, and not too long.
    pub(crate) fn shown(&self) -> String {
        let mut text = self.name.clone();
        for arg in &self.args {
            text.push(' ');
            text.push_str(arg);
        }
        let is_plain = |character: char| !character.is_control();
        if text.chars().count() <= SHOWN_MAX && text.chars().all(is_plain) {
            return text;
        }
        let mut short: String = text
            .chars()
            .map(|character| {
                if character.is_control() {
                    ' '
                } else {
                    character
                }
            })
            .take(SHOWN_MAX)
            .collect();
        if text.chars().count() > SHOWN_MAX {
            short.push('…');
        }
        short
    }
}

/// The first of a list with this name.
pub(crate) fn first<'d>(directives: &'d [Directive], name: &str) -> Option<&'d Directive> {
    directives.iter().find(|directive| directive.is(name))
}

/// A line of a terminal.
const SHOWN_MAX: usize = 100;
/// Blocks in blocks; nginx and Apache need five.
pub(crate) const NESTING_MAX: usize = 64;
