//! What a command of `hostel site` tells: each step when it is done, what was noticed, and at the end one document for programs.

use serde_json::{Value, json};

use super::options::How;
use super::trouble::Trouble;
use crate::output;

/// Collects what is done; in words it is printed as it happens.
pub(crate) struct Report {
    site: String,
    how: How,
    steps: Vec<String>,
    notes: Vec<String>,
    more: serde_json::Map<String, Value>,
    /// Of which site the next words are, where a command is about several.
    about: String,
    /// Nothing is to be changed.
    only_looks: bool,
}

impl Report {
    pub(crate) fn new(site: &str, how: How) -> Self {
        Self {
            site: site.to_owned(),
            how,
            steps: Vec::new(),
            notes: Vec::new(),
            more: serde_json::Map::new(),
            about: String::new(),
            only_looks: false,
        }
    }

    /// For what changes nothing.
    pub(crate) fn of_a_look(about: &str, json: bool) -> Self {
        let how = How {
            dry_run: false,
            json,
        };
        Self {
            only_looks: true,
            ..Self::new(about, how)
        }
    }

    /// Whether only a document is wanted.
    pub(crate) fn is_json(&self) -> bool {
        self.how.json
    }

    /// What follows is about this site.
    pub(crate) fn about(&mut self, site: Option<&str>) {
        self.about = site.map_or_else(String::new, |site| format!("{site}: "));
    }

    pub(crate) fn is_dry(&self) -> bool {
        self.how.dry_run
    }

    /// A step that is done, or would be.
    pub(crate) fn step(&mut self, words: String) {
        let words = format!("{}{words}", self.about);
        if !self.how.json {
            let mark = if self.how.dry_run { "would" } else { "done:" };
            output::line(&format!("{mark} {}", output::escape(&words)));
        }
        self.steps.push(words);
    }

    /// Something that is neither a step nor an error.
    pub(crate) fn note(&mut self, words: String) {
        let words = format!("{}{words}", self.about);
        if !self.how.json {
            output::line(&output::escape(&words));
        }
        self.notes.push(words);
    }

    /// A value of the document.
    pub(crate) fn value(&mut self, key: &str, value: impl Into<Value>) {
        self.more.insert(key.to_owned(), value.into());
    }

    /// How far something is that takes longer than a second; it is not part of the result.
    pub(crate) fn progress(&self, words: &str) {
        output::error(&format!("{}: {}", self.site, output::escape(words)));
    }

    /// Whether anything was or would be changed.
    pub(crate) fn changed(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The end, good or bad.
    pub(crate) fn finish(mut self, failed: Option<&Trouble>) {
        if let Some(trouble) = failed {
            // Errors of a configuration have several lines.
            output::error(&trouble.to_string());
        } else if !self.changed() && !self.only_looks && !self.how.json {
            output::line(&format!("{}: nothing to do", self.site));
        }
        if !self.how.json {
            return;
        }
        let mut document = json!({
            "site": self.site,
            "dry_run": self.how.dry_run,
            "changed": self.changed(),
            "steps": self.steps,
            "notes": self.notes,
            "error": failed.map(|trouble| json!({ "what": trouble.what, "hint": trouble.hint })),
        });
        if let Some(document) = document.as_object_mut() {
            document.append(&mut self.more);
        }
        output::json(&document);
    }
}
