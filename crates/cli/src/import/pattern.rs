//! The regular expressions of web servers, as far as a site's file has a place for what they say: which files are scripts, and which are hidden.
//!
//! This does not run them. What is not recognised is reported, and a person decides.

/// The extensions that a pattern such as `[^/]\.ph(p|tml)(/|$)` ends in; `None` where it does not say.
pub(crate) fn extensions(pattern: &str) -> Option<Vec<String>> {
    let (_, tail) = pattern.rsplit_once("\\.")?;
    let tail: Vec<char> = tail.chars().collect();
    let (found, _) = sequence(&tail, 0, 0)?;
    let mut names: Vec<String> = Vec::new();
    for name in found {
        let is_one = !name.is_empty() && name.len() <= EXTENSION_MAX;
        if is_one && !names.contains(&name) {
            names.push(name);
        }
    }
    // The usual one first.
    names.sort_by_key(|name| (name != "php", name.clone()));
    Some(names).filter(|names| !names.is_empty())
}

/// Whether a pattern of scripts means a few of them, or those of one directory: `^/index\.php(/|$)`.
pub(crate) fn names_scripts(pattern: &str) -> bool {
    let Some(rest) = pattern.strip_prefix('^') else {
        return false;
    };
    let rest = rest.trim_start_matches(['(', '/']);
    let rest = rest.strip_prefix("?:").unwrap_or(rest);
    let is_wide = [".+", ".*", "[^", "\\."]
        .iter()
        .any(|start| rest.starts_with(start));
    !is_wide
}

/// Whether a pattern means nothing but files that are hidden, or editors' backups; Hostel serves none of them.
pub(crate) fn is_hidden(pattern: &str) -> bool {
    let starts = [
        "/\\.",
        "^/\\.",
        "(^|/)\\.",
        "(?:^|/)\\.",
        ".*/\\.",
        "^.*/\\.",
        "^\\.",
        "(/\\.",
        "^(/\\.",
        "/.ht",
        "/.git",
        "/.svn",
        "/.hg",
        "/.bzr",
    ];
    starts.iter().any(|start| pattern.starts_with(start))
        || ["~$", "/~$", "^.*~$"].contains(&pattern)
}

/// What a sequence can be, and where it ends: at `$`, at a slash, or at what is not understood.
fn sequence(pattern: &[char], mut at: usize, depth: usize) -> Option<(Vec<String>, usize)> {
    let mut all = vec![String::new()];
    while let Some(character) = pattern.get(at) {
        let (options, next) = match character {
            '(' => match group(pattern, at, depth)? {
                Some(group) => group,
                // `(/|$)`: the extension ends before it.
                None => break,
            },
            '[' => class(pattern, at)?,
            character if character.is_ascii_alphanumeric() => {
                (vec![character.to_ascii_lowercase().to_string()], at + 1)
            }
            _ => break,
        };
        at = next;
        let is_optional = pattern.get(at) == Some(&'?');
        let mut longer = Vec::new();
        for before in &all {
            longer.extend(options.iter().map(|option| format!("{before}{option}")));
            if is_optional {
                longer.push(before.clone());
            }
        }
        at += usize::from(is_optional);
        if longer.len() > COUNT_MAX {
            return None;
        }
        all = longer;
    }
    Some((all, at))
}

type Options = (Vec<String>, usize);

/// What a group can be; the inner `None` if it is about what follows the extension.
fn group(pattern: &[char], at: usize, depth: usize) -> Option<Option<Options>> {
    if depth > DEPTH_MAX {
        return None;
    }
    let mut at = at + 1;
    if pattern.get(at) == Some(&'?') {
        if pattern.get(at + 1) != Some(&':') {
            return None;
        }
        at += 2;
    }
    let mut options = Vec::new();
    loop {
        let (found, end) = sequence(pattern, at, depth + 1)?;
        match pattern.get(end) {
            Some('|') => {
                options.extend(found);
                at = end + 1;
            }
            Some(')') => {
                options.extend(found);
                return Some(Some((options, end + 1)));
            }
            _ => return Some(None),
        }
    }
}

fn class(pattern: &[char], at: usize) -> Option<Options> {
    let end = pattern[at..]
        .iter()
        .position(|character| *character == ']')?
        + at;
    let mut options = Vec::new();
    let mut next = at + 1;
    while next < end {
        let from = pattern[next];
        if pattern.get(next + 1) == Some(&'-') && next + 2 < end {
            options.extend((from..=pattern[next + 2]).take(COUNT_MAX + 1));
            next += 3;
        } else {
            options.push(from);
            next += 1;
        }
    }
    let all_plain = options.iter().all(char::is_ascii_alphanumeric) && options.len() <= COUNT_MAX;
    let strings = options
        .iter()
        .map(|character| character.to_ascii_lowercase().to_string());
    all_plain.then(|| (strings.collect(), end + 1))
}

/// As many as hostel-config takes.
const COUNT_MAX: usize = 16;
const EXTENSION_MAX: usize = 16;
const DEPTH_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_what_a_pattern_ends_in() {
        for (pattern, expected) in [
            ("\\.php$", "php"),
            ("\\.php", "php"),
            ("[^/]\\.php(/|$)", "php"),
            ("^/index\\.php(/|$)", "php"),
            ("^/(?:index|remote|ocs/v[12])\\.php(?:$|/)", "php"),
            ("^(.+\\.php)(.*)$", "php"),
            ("^/(.*\\.php(/.*)?)$", "php"),
            (".+\\.ph(?:ar|p|tml)$", "php phar phtml"),
            (
                "\\.ph(p[3457]?|t|tml)$",
                "php php3 php4 php5 php7 pht phtml",
            ),
            ("\\.(php|phtml)$", "php phtml"),
            ("\\.php[345]?$", "php php3 php4 php5"),
            ("\\.PHP$", "php"),
        ] {
            assert_eq!(
                extensions(pattern).unwrap_or_default().join(" "),
                expected,
                "{pattern}"
            );
        }
        for pattern in [
            "",
            "^/x/",
            "\\.",
            "\\.(?!php)",
            "\\.[^x]",
            "\\.((((((((((a",
            "\\.[a-z]",
            "\\.[z",
        ] {
            assert_eq!(extensions(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn named_scripts_are_told_from_all() {
        for pattern in [
            "^/index\\.php(/|$)",
            "^/(index|app)\\.php",
            "^/phpmyadmin/(.+\\.php)$",
            "^/(?:a|b)\\.php",
        ] {
            assert!(names_scripts(pattern), "{pattern}");
        }
        for pattern in [
            "\\.php$",
            "^(.+\\.php)(.*)$",
            "^/.+\\.php$",
            "^/(.*\\.php(/.*)?)$",
            "[^/]\\.php(/|$)",
        ] {
            assert!(!names_scripts(pattern), "{pattern}");
        }
    }

    #[test]
    fn hidden_files_are_told_from_others() {
        for pattern in [
            "/\\.ht",
            "/\\.",
            "/\\.(?!well-known).*",
            "(^|/)\\.",
            "^\\.ht",
            "~$",
        ] {
            assert!(is_hidden(pattern), "{pattern}");
        }
        for pattern in [
            "\\.(sql|bak)$",
            "^/(config|tmp)/",
            "/uploads/.*\\.php$",
            "\\.php$",
        ] {
            assert!(!is_hidden(pattern), "{pattern}");
        }
    }
}
