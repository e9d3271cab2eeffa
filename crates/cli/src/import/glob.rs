//! File name patterns as glob(3) has them: `*`, `?` and `[…]` within one component. There is no `**`, so no pattern walks the disk.

use super::source::Files;

/// Whether it is more than a path.
pub(crate) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// The files and directories that an absolute pattern means, sorted.
pub(crate) fn expand(files: &dyn Files, pattern: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    for (number, part) in parts.iter().enumerate() {
        let is_last = number + 1 == parts.len();
        let mut next = Vec::new();
        for directory in &found {
            if !is_pattern(part) {
                next.push(format!("{directory}/{part}"));
                continue;
            }
            let here = if directory.is_empty() { "/" } else { directory };
            let mut names = files.names(here);
            names.retain(|name| matches(part, name));
            names.sort();
            next.extend(names.into_iter().map(|name| format!("{directory}/{name}")));
            if next.len() > FOUND_MAX {
                next.truncate(FOUND_MAX);
                break;
            }
        }
        if !is_last {
            next.retain(|path| files.is_directory(path));
        } else if !is_pattern(part) {
            // Behind a pattern a plain name is looked for, and not taken for granted.
            next.retain(|path| files.exists(path));
        }
        found = next;
    }
    found
}

/// Whether a name fits one component of a pattern. A leading dot is matched by a dot alone.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // Where to go on when what follows the last `*` does not fit: it takes one character more.
    let (mut at, mut of, mut retry) = (0, 0, None);
    while of < name.len() {
        let step = one(&pattern, at, name[of]);
        match step {
            Step::Any => {
                retry = Some((at + 1, of));
                at += 1;
                continue;
            }
            Step::Fits(next) => {
                at = next;
                of += 1;
                continue;
            }
            Step::Fails => {}
        }
        let Some((back, taken)) = retry else {
            return false;
        };
        retry = Some((back, taken + 1));
        (at, of) = (back, taken + 1);
    }
    pattern[at..].iter().all(|character| *character == '*')
}

enum Step {
    Any,
    Fits(usize),
    Fails,
}

fn one(pattern: &[char], at: usize, character: char) -> Step {
    match pattern.get(at) {
        Some('*') => Step::Any,
        Some('?') => Step::Fits(at + 1),
        Some('[') => match class(&pattern[at + 1..], character) {
            Some((true, length)) => Step::Fits(at + 1 + length),
            Some((false, _)) => Step::Fails,
            // Never closed: a bracket like any other character.
            None if character == '[' => Step::Fits(at + 1),
            None => Step::Fails,
        },
        Some(wanted) if *wanted == character => Step::Fits(at + 1),
        _ => Step::Fails,
    }
}

/// Whether a class has the character, and how long it is with its bracket.
fn class(rest: &[char], character: char) -> Option<(bool, usize)> {
    let is_negated = matches!(rest.first(), Some('!' | '^'));
    let start = usize::from(is_negated);
    let mut at = start;
    let mut has = false;
    loop {
        let from = *rest.get(at)?;
        if from == ']' && at > start {
            return Some((has != is_negated, at + 1));
        }
        if rest.get(at + 1) == Some(&'-') && rest.get(at + 2).is_some_and(|to| *to != ']') {
            let to = *rest.get(at + 2)?;
            has |= (from..=to).contains(&character);
            at += 3;
        } else {
            has |= from == character;
            at += 1;
        }
    }
}

/// No directory of sites has more.
const FOUND_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::super::source::memory::Memory;
    use super::*;

    #[test]
    fn names_fit_as_in_a_shell() {
        for (pattern, name) in [
            ("*", "a"),
            ("*.conf", "a.conf"),
            ("a*b*c", "aXbYbZc"),
            ("?[a-c]!", "xb!"),
            ("[!a]x", "bx"),
            ("[]x]", "]"),
            (".*", ".a"),
            ("[", "["),
            ("é?", "éü"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*", ".hidden"),
            ("*.conf", "a.conf~"),
            ("[!a]x", "ax"),
            ("a", "ab"),
            ("", "a"),
            ("a?", "a"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_endless_time() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(2000)));
    }

    #[test]
    fn patterns_may_stand_in_directories_too() {
        let files = Memory::new(&[
            ("/e/b/x.conf", ""),
            ("/e/a/x.conf", ""),
            ("/e/c/y", ""),
            ("/e/f", ""),
        ]);
        assert_eq!(
            expand(&files, "/e/*/x.conf"),
            ["/e/a/x.conf", "/e/b/x.conf"]
        );
        assert_eq!(
            expand(&files, "/e/[ab]/*.conf"),
            ["/e/a/x.conf", "/e/b/x.conf"]
        );
        assert!(expand(&files, "/none/*").is_empty());
    }
}
