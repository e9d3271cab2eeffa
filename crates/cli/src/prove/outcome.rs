//! How an attack went, and the evidence in few words.

use std::collections::BTreeMap;

use super::scene::Ran;
use crate::output::escape;

/// How an attack went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing was reached.
    Stopped,
    /// Something was reached.
    GotThrough,
    /// Something was reached, since this kernel lacks what would stop it: this.
    NotStoppedHere(String),
    /// It was not tried, for this reason.
    NotTried(String),
}

impl Outcome {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::GotThrough => "got through",
            Self::NotStoppedHere(_) => "not stopped here",
            Self::NotTried(_) => "not tried",
        }
    }

    /// What is lacking, or why it was not tried.
    pub(crate) fn why(&self) -> Option<&str> {
        match self {
            Self::Stopped | Self::GotThrough => None,
            Self::NotStoppedHere(why) | Self::NotTried(why) => Some(why),
        }
    }
}

/// What the attacker was answered, each answer once with how often it came; and why nothing was tried, if so.
pub(crate) fn evidence(ran: &Ran) -> (Result<(), String>, String) {
    let mut answers = BTreeMap::<String, usize>::new();
    let mut why = None;
    let mut tries = 0;
    for answer in &ran.visits {
        tries += 1;
        let line = answer
            .split(|byte| *byte == b'\r')
            .next()
            .unwrap_or_default();
        let line = match line {
            [] => "no answer".to_owned(),
            line => shown(&String::from_utf8_lossy(line)),
        };
        *answers.entry(line).or_default() += 1;
    }
    why = why.or(ran.unvisited.clone());
    for exchange in &ran.attacker {
        let text = exchange.answer.text();
        for line in text.lines() {
            let mut fields = line.splitn(4, '\t');
            match (fields.next(), fields.next(), fields.next(), fields.next()) {
                (Some("try"), Some(_), Some(how), Some(text)) => {
                    tries += 1;
                    let reason = match how {
                        "failed" => last_part(text),
                        _ => "nothing of worth".to_owned(),
                    };
                    *answers.entry(reason).or_default() += 1;
                }
                (Some("not tried"), Some(text), ..) => why = Some(shown(text)),
                _ => {}
            }
        }
        if let Some(ending) = exchange.ending.as_ref().filter(|_| tries == 0) {
            let log = String::from_utf8_lossy(&exchange.answer.log);
            let said = format!("{} {text} {log}", ending.in_words());
            why = why.or_else(|| Some(format!("it tried nothing: {}", shown(&said))));
        }
    }
    let mut counted: Vec<(String, usize)> = answers.into_iter().collect();
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let counted: Vec<String> = counted
        .into_iter()
        .map(|(reason, count)| match count {
            1 => reason,
            count => format!("{reason} ({count} times)"),
        })
        .collect();
    let tried = match why {
        Some(why) if tries == 0 => Err(why),
        Some(_) | None => Ok(()),
    };
    (tried, cut(&counted.join("; "), EVIDENCE_CHARACTERS_MAX))
}

/// PHP's messages end in the kernel's answer: `file_get_contents(/x): Failed to open stream: Permission denied`. Paths in
/// it would make each answer another one.
fn last_part(message: &str) -> String {
    let last = message.rsplit(": ").next().unwrap_or(message);
    let words = last.split_whitespace();
    let words = words.map(|word| if word.contains('/') { "…" } else { word });
    shown(&words.collect::<Vec<_>>().join(" "))
}

/// What was reached. Names of the victim's files and words of its scripts are among it, which are as hostile as the attacker's.
pub(crate) fn shown_reached(reached: &[String]) -> String {
    cut(&escape(&reached.join("; ")), REACHED_CHARACTERS_MAX)
}

/// What a site said, as it may be shown: escaped and short.
fn shown(text: &str) -> String {
    cut(&escape(text.trim()), REASON_CHARACTERS_MAX)
}

fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

const REASON_CHARACTERS_MAX: usize = 160;
const EVIDENCE_CHARACTERS_MAX: usize = 400;
const REACHED_CHARACTERS_MAX: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_site_has_named_cannot_command_a_terminal() {
        let reached = ["the victim's things changed: /srv/b/\u{1b}]0;x\u{7}\n\u{202e}".to_owned()];
        let text = shown_reached(&reached);
        assert!(
            text.chars()
                .all(|character| (' '..='~').contains(&character)),
            "{text}"
        );
        assert_eq!(
            shown_reached(&["x".repeat(9000)]).chars().count(),
            REACHED_CHARACTERS_MAX + 1
        );
    }
}
