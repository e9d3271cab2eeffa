//! An error with all that it comes from, as logs and people are told it.
//!
//! Used by every program that tells an error of ours, whose own text leaves out its source's.

use std::error::Error;

/// In one line: what failed, and behind colons why.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the log")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_whole_story_is_told() {
        let error = Outer(std::io::Error::other("no room"));
        assert_eq!(with_causes(&error), "cannot open the log: no room");
    }
}
