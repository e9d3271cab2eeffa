//! Sendmail's options: those that PHP and others give, and those that change nothing here.

use std::ffi::OsString;

use hostel_wire::mail::Submission;

/// It was called for something that it does not do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownUse {
    #[error("an argument is not UTF-8")]
    Text,
    #[error(
        "{0} is not supported: this program only takes messages (hint: -t, -i, -f ADDRESS, recipients)"
    )]
    Mode(String),
    #[error("{0} needs a value")]
    Value(String),
    #[error("unknown option {0}")]
    Option(String),
}

/// Read them.
pub(crate) fn read(arguments: impl Iterator<Item = OsString>) -> Result<Submission, UnknownUse> {
    let mut found = Submission {
        takes_recipients: false,
        sender: None,
        recipients: Vec::new(),
    };
    let mut words = arguments.map(|word| word.into_string().map_err(|_| UnknownUse::Text));
    while let Some(word) = words.next().transpose()? {
        let Some(option) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
            found.recipients.extend(addresses(&word));
            continue;
        };
        if option == "-" {
            for word in words.by_ref() {
                found.recipients.extend(addresses(&word?));
            }
            break;
        }
        let mut letters = option.chars();
        let letter = letters.next().unwrap_or_default();
        let rest = letters.as_str();
        // The rest of the word, or the next one.
        let mut value = || match rest {
            "" => words.next().unwrap_or(Err(UnknownUse::Value(word.clone()))),
            rest => Ok(rest.to_owned()),
        };
        match letter {
            'f' | 'r' => found.sender = Some(value()?),
            'b' if rest == "m" => {}
            'b' | 'q' => return Err(UnknownUse::Mode(word)),
            // The sender's name, the message's kind, notices, an envelope's number, options by name, a log.
            'F' | 'B' | 'N' | 'R' | 'V' | 'O' | 'L' | 'X' | 'h' | 'p' => drop(value()?),
            // How errors are told, whether a dot ends the message (it never does here), and the like.
            'o' | 'e' => {}
            _ => {
                for letter in option.chars() {
                    match letter {
                        't' => found.takes_recipients = true,
                        'i' | 'm' | 'n' | 'v' | 'U' | 'G' => {}
                        _ => return Err(UnknownUse::Option(word)),
                    }
                }
            }
        }
    }
    Ok(found)
}

/// One word may name several, as Sendmail has it.
fn addresses(word: &str) -> impl Iterator<Item = String> {
    let all = word.split(',').map(str::trim);
    all.filter(|one| !one.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<Submission, UnknownUse> {
        read(words.iter().map(OsString::from))
    }

    #[test]
    fn what_php_and_others_say_is_understood() {
        for words in [
            &["-t", "-i", "-fa@b.example"][..],
            &["-ti", "-f", "a@b.example"],
            &["-oi", "-t", "-r", "a@b.example", "-odb"],
            &["-t", "-bm", "-F", "Some One", "-ra@b.example"],
        ] {
            let found = of(words).unwrap();
            assert!(found.takes_recipients, "{words:?}");
            assert_eq!(found.sender.as_deref(), Some("a@b.example"), "{words:?}");
            assert_eq!(found.recipients, [""; 0], "{words:?}");
        }
        let found = of(&["-i", "a@b.example,c", "--", "-d@e.example"]).unwrap();
        assert_eq!(found.recipients, ["a@b.example", "c", "-d@e.example"]);
        assert_eq!((found.takes_recipients, found.sender), (false, None));
        assert_eq!(of(&["-f", ""]).unwrap().sender.as_deref(), Some(""));
    }

    #[test]
    fn what_is_not_done_is_told() {
        for word in ["-bs", "-bp", "-bd", "-q", "-q30m"] {
            assert_eq!(of(&[word]), Err(UnknownUse::Mode(word.to_owned())));
        }
        assert_eq!(of(&["-t", "-f"]), Err(UnknownUse::Value("-f".to_owned())));
        assert_eq!(of(&["-tz"]), Err(UnknownUse::Option("-tz".to_owned())));
    }
}
