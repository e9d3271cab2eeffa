//! Names that the imported files need: domains, sites, users.

use std::collections::BTreeSet;

use hostel_wire::limits;

/// Whether hostel-config takes it as a domain.
pub(crate) fn is_domain(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(allowed)
    };
    text.len() <= limits::DOMAIN_BYTES_MAX && name.split('.').all(label)
}

/// Whether it can be a user's name.
pub(crate) fn is_user(name: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let others = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    name.bytes().next().is_some_and(first)
        && name.bytes().all(others)
        && name.len() <= limits::USER_NAME_BYTES_MAX
}

/// The name of a site made of a domain or of a user's name, unlike those that are taken; it is taken then.
pub(crate) fn site(text: &str, taken: &mut BTreeSet<String>) -> String {
    let text = text.strip_prefix("*.").unwrap_or(text).to_ascii_lowercase();
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let clean: String = text
        .chars()
        .map(|character| if allowed(character) { character } else { '-' })
        .take(limits::SITE_NAME_BYTES_MAX)
        .collect();
    let clean = clean.trim_start_matches(['-', '_', '.']);
    let clean = if clean.is_empty() { "site" } else { clean };
    unlike(clean, limits::SITE_NAME_BYTES_MAX, |name| {
        // The server's own log has this name.
        name != "server.log" && taken.insert(name.to_owned())
    })
}

/// The name of a user of the site's own.
pub(crate) fn user(site: &str, is_free: impl FnMut(&str) -> bool) -> String {
    let text: String = site.replace('.', "-");
    let text = if text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        text
    } else {
        format!("s{text}")
    };
    unlike(&text, limits::USER_NAME_BYTES_MAX, is_free)
}

/// The text, or the text with a number behind it.
fn unlike(text: &str, length_max: usize, mut is_free: impl FnMut(&str) -> bool) -> String {
    let cut = |room: usize| text.chars().take(room).collect::<String>();
    let mut name = cut(length_max);
    let mut number = 2_u32;
    while !is_free(&name) {
        let end = format!("-{number}");
        name = cut(length_max - end.len()) + &end;
        number += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_get_names_that_they_can_have() {
        let mut taken = BTreeSet::new();
        assert_eq!(site("*.Blog.example", &mut taken), "blog.example");
        assert_eq!(site("blog.example", &mut taken), "blog.example-2");
        assert_eq!(site("blog.example", &mut taken), "blog.example-3");
        assert_eq!(site("_x y", &mut taken), "x-y");
        assert_eq!(site("", &mut taken), "site");
        assert_eq!(site("server.log", &mut taken), "server.log-2");
        let long = "a".repeat(100);
        assert_eq!(site(&long, &mut taken).len(), 64);
        assert!(site(&long, &mut taken).ends_with("a-2"));
    }

    #[test]
    fn users_of_their_own_are_free_and_allowed() {
        let mut taken = BTreeSet::from(["blog-example".to_owned()]);
        let name = user("blog.example", |name| taken.insert(name.to_owned()));
        assert_eq!(name, "blog-example-2");
        let name = user("1a.example", |name| taken.insert(name.to_owned()));
        assert!(is_user(&name), "{name}");
        let name = user(&"b".repeat(64), |name| taken.insert(name.to_owned()));
        assert!(is_user(&name), "{name}");
    }
}
