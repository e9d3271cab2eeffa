//! `RewriteRule`: the front controller, which every application brings; all other rules are told.

use super::super::ledger::Ledger;
use super::super::nginx::script::{Script, script};
use super::super::tree::Directive;

/// What a rule with its conditions does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    /// What leads to nothing is this script's.
    Front(Script),
    /// It says what holds here anyway.
    NotNeeded(&'static str),
    /// Visitors are sent to this address.
    Redirect(String),
    NotSupported(&'static str),
}

/// Judge a rule; its conditions are the `RewriteCond` right above it.
pub(crate) fn judge(rule: &Directive, conditions: &[&Directive]) -> Rule {
    let [pattern, target, ..] = &rule.args[..] else {
        return Rule::NotSupported("a rule without a target");
    };
    let flags = rule
        .args
        .get(2)
        .map(|flags| flags.trim_matches(['[', ']']).to_ascii_uppercase())
        .unwrap_or_default();
    let has = |name: &str| {
        flags
            .split(',')
            .any(|flag| flag.trim() == name || flag.trim().starts_with(&format!("{name}=")))
    };
    let for_missing = conditions.iter().all(|one| is_about_missing(one));
    if target == "-" {
        return match () {
            () if has("F") || has("G") || has("R") => Rule::NotSupported(
                "OPEN HERE: there are no rules for paths; move what nobody may see out of the document root",
            ),
            () if has("E") || has("ENV") => Rule::NotNeeded(
                "PHP has the Authorization header by itself, and there are no variables",
            ),
            () => Rule::NotNeeded("files that exist are served"),
        };
    }
    if target.contains("://") || has("R") {
        return Rule::Redirect(target.clone());
    }
    let everything = [
        ".", "^", ".*", "^.*$", "^.*", "(.*)", "^(.*)$", "^(.*)", "^(.+)$", "^/(.*)$", "^/.*$",
        "^/(.+)$", ".?", "^/?(.*)$", "^", "^$|.*",
    ];
    // Symfony: where the application stands is found by a rule before.
    let target = target.strip_prefix("%{ENV:BASE}").unwrap_or(target);
    match script(target) {
        Some(script)
            if everything.contains(&pattern.as_str()) && for_missing && !conditions.is_empty() =>
        {
            Rule::Front(script)
        }
        Some(_) if everything.contains(&pattern.as_str()) && conditions.is_empty() => {
            Rule::NotSupported(
                "everything went to this script; here files that exist are served: see 'front_controller'",
            )
        }
        _ => Rule::NotSupported(
            "there are no rewritten paths; a 'front_controller' gets what leads to nothing",
        ),
    }
}

/// Note a condition or a rule in the same way.
pub(crate) fn note(rule: &Directive, conditions: &[&Directive], what: &Rule, ledger: &mut Ledger) {
    for one in conditions.iter().copied().chain([rule]) {
        match what {
            Rule::Front(_) => ledger.carried(&one.place, "front_controller"),
            Rule::NotNeeded(text) => ledger.not_needed(&one.place, *text),
            Rule::NotSupported(text) => ledger.not_supported(&one.place, *text),
            Rule::Redirect(_) => ledger.not_supported(
                &one.place,
                "there are no redirects; let the application do it",
            ),
        }
    }
}

/// `%{REQUEST_FILENAME} !-f`, or a file that applications leave out.
fn is_about_missing(condition: &Directive) -> bool {
    let [tested, pattern, ..] = &condition.args[..] else {
        return false;
    };
    let pattern = pattern.as_str();
    let about_file = tested.contains("REQUEST_FILENAME}") || tested.contains("DOCUMENT_ROOT}");
    let about_path = tested.contains("REQUEST_URI}");
    (about_file && ["!-f", "!-d", "!-l", "!-s", "!-F"].contains(&pattern))
        || (about_path
            && pattern.starts_with('!')
            && (pattern.contains("favicon") || pattern.contains("index")))
}

#[cfg(test)]
mod tests {
    use super::super::super::source::Place;
    use super::*;

    fn directive(name: &str, args: &[&str]) -> Directive {
        Directive {
            place: Place {
                file: "f".into(),
                line: 1,
                number: 0,
            },
            name: name.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            block: None,
        }
    }

    #[test]
    fn the_usual_front_controllers_are_recognised() {
        let file = directive("RewriteCond", &["%{REQUEST_FILENAME}", "!-f"]);
        let uri = directive("RewriteCond", &["%{REQUEST_URI}", "!=/favicon.ico"]);
        for (pattern, target) in [
            (".", "/index.php"),
            ("^", "index.php"),
            ("^(.*)$", "index.php?q=$1"),
            ("^", "%{ENV:BASE}/index.php"),
            (".*", "index.php/$1"),
        ] {
            let rule = directive("RewriteRule", &[pattern, target, "[L,QSA]"]);
            assert!(
                matches!(judge(&rule, &[&file, &uri]), Rule::Front(_)),
                "{pattern} {target}"
            );
            assert!(
                matches!(judge(&rule, &[]), Rule::NotSupported(_)),
                "{pattern} {target}"
            );
        }
    }

    #[test]
    fn other_rules_are_told() {
        let https = directive("RewriteCond", &["%{HTTPS}", "off"]);
        let rule = |args: &[&str]| judge(&directive("RewriteRule", args), &[&https]);
        assert_eq!(
            rule(&["^", "https://a.example%{REQUEST_URI}", "[R=301]"]),
            Rule::Redirect("https://a.example%{REQUEST_URI}".to_owned())
        );
        assert!(
            matches!(rule(&["^\\.git", "-", "[F]"]), Rule::NotSupported(text) if text.starts_with("OPEN HERE"))
        );
        assert!(matches!(
            rule(&["^index\\.php$", "-", "[L]"]),
            Rule::NotNeeded(_)
        ));
        assert!(
            matches!(rule(&["^", "/index.php"]), Rule::NotSupported(_)),
            "not only for what is missing"
        );
        assert!(matches!(
            rule(&["^wiki/(.*)", "/doku.php?id=$1"]),
            Rule::NotSupported(_)
        ));
        assert!(matches!(rule(&["x"]), Rule::NotSupported(_)));
    }
}
