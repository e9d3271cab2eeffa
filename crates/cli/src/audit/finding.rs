//! One thing that was found, and the command that mends it.

use super::checks::Check;

/// One finding. Texts may hold anything: whoever prints them escapes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) check: Check,
    /// What was found.
    pub(crate) what: String,
    /// How often.
    pub(crate) count: u64,
    /// The first of the paths, where it is about paths.
    pub(crate) paths: Vec<String>,
    /// The command, as root types it; `None` where no command can mend it.
    pub(crate) mend: Option<String>,
}

impl Finding {
    /// Something found once, that no command mends.
    pub(crate) fn new(check: Check, what: impl Into<String>) -> Self {
        Self {
            check,
            what: what.into(),
            count: 1,
            paths: Vec::new(),
            mend: None,
        }
    }

    /// With the command that mends it.
    pub(crate) fn mend(self, command: impl Into<String>) -> Self {
        Self {
            mend: Some(command.into()),
            ..self
        }
    }

    /// With a path that it is about.
    pub(crate) fn path(mut self, path: impl Into<String>) -> Self {
        self.paths.push(path.into());
        self
    }
}
