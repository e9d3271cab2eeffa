//! As much of HTML as a test needs: tags with their attributes, the fields of forms, the files that a page names.

use std::collections::{BTreeMap, BTreeSet};

/// What kind of file a page names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Script,
    Style,
    Picture,
}

/// The attributes of every tag of this name, in order, entities decoded. Comments and scripts are not told apart from the rest.
pub(crate) fn tags(html: &str, name: &str) -> Vec<BTreeMap<String, String>> {
    let open = format!("<{name}");
    html.match_indices(&open)
        .filter_map(|(at, _)| {
            let rest = &html[at + open.len()..];
            let separated = rest.starts_with([' ', '\n', '\t', '>', '/']);
            separated.then(|| attributes(rest))
        })
        .collect()
}

fn attributes(mut rest: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([' ', '\n', '\t', '\r', '/']);
        let end = rest
            .find(['=', '>', ' ', '\n', '\t', '/'])
            .unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() {
            return found;
        }
        rest = &rest[end..];
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
            let from = usize::from(quote.is_some());
            let until = match quote {
                Some(quote) => after[from..].find(quote),
                None => after.find([' ', '>', '\n']),
            };
            let length = until.unwrap_or(after.len() - from);
            value = &after[from..from + length];
            rest = after.get(from + length + from..).unwrap_or_default();
        }
        found.insert(name.to_ascii_lowercase(), decode(value));
    }
}

/// The value of the first input field of this name.
pub(crate) fn field(html: &str, name: &str) -> String {
    tags(html, "input")
        .into_iter()
        .find(|tag| tag.get("name").is_some_and(|n| n == name))
        .and_then(|mut tag| tag.remove("value"))
        .unwrap_or_else(|| panic!("the page has no field {name:?}:\n{}", cut(html)))
}

/// What stands between two marks.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before)
        .and_then(|(_, rest)| rest.split_once(after))
        .map_or_else(
            || {
                panic!(
                    "nothing between {before:?} and {after:?} in:\n{}",
                    cut(text)
                )
            },
            |(found, _)| found,
        )
}

/// The scripts, styles and pictures of this host that a page at `directory` (with both slashes) names, as request targets.
pub(crate) fn files(html: &str, host: &str, directory: &str) -> BTreeSet<(Kind, String)> {
    let html = &without_script_bodies(html);
    let mut named: Vec<(Kind, String)> = Vec::new();
    let mut add = |kind, url: Option<&String>| named.extend(url.map(|url| (kind, url.clone())));
    for tag in tags(html, "script") {
        add(Kind::Script, tag.get("src"));
    }
    for tag in tags(html, "link") {
        let relation = tag.get("rel").map(String::as_str).unwrap_or_default();
        if relation.split(' ').any(|word| word == "stylesheet") {
            add(Kind::Style, tag.get("href"));
        } else if relation.contains("icon") {
            add(Kind::Picture, tag.get("href"));
        }
    }
    for tag in tags(html, "img") {
        add(Kind::Picture, tag.get("src"));
        let candidates = tag.get("srcset").map(String::as_str).unwrap_or_default();
        for candidate in candidates
            .split(',')
            .filter_map(|c| c.split_whitespace().next())
        {
            add(Kind::Picture, Some(&candidate.to_owned()));
        }
    }
    named
        .into_iter()
        .filter_map(|(kind, url)| Some((kind, target(&url, host, directory)?)))
        .collect()
}

/// Scripts hold templates and texts of HTML whose addresses are not yet filled in.
fn without_script_bodies(html: &str) -> String {
    let mut kept = String::new();
    let mut rest = html;
    while let Some((before, script)) = rest.split_once("<script") {
        let (head, body) = script.split_once('>').unwrap_or((script, ""));
        kept.push_str(before);
        kept.push_str(&format!("<script{head}>"));
        rest = body.split_once("</script").map_or("", |(_, after)| after);
    }
    kept + rest
}

/// The pictures and fonts of this host that a style sheet at `target` names, as request targets.
pub(crate) fn named_by_style(style: &str, host: &str, at: &str) -> Vec<String> {
    let path = at.split('?').next().unwrap_or_default();
    let directory = &path[..=path.rfind('/').unwrap_or_default()];
    style
        .split("url(")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|url| url.trim().trim_matches(['"', '\'']))
        .filter_map(|url| target(url.split('#').next()?, host, directory))
        .filter(|target| target != directory)
        .collect()
}

/// The request target of a URL on this host.
fn target(url: &str, host: &str, directory: &str) -> Option<String> {
    let own = format!("//{host}/");
    let url = url.strip_prefix("http:").unwrap_or(url);
    if let Some(path) = url.strip_prefix(&own) {
        Some(format!("/{path}"))
    } else if url.starts_with("//") || url.contains(':') {
        None // another host's, or data: within the page
    } else if url.starts_with('/') {
        Some(url.to_owned())
    } else {
        Some(format!("{directory}{url}"))
    }
}

fn decode(text: &str) -> String {
    [
        ("&#038;", "&"),
        ("&#039;", "'"),
        ("&quot;", "\""),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (entity, character)| {
        text.replace(entity, character)
    })
}

/// The beginning of a page, for messages.
pub(crate) fn cut(html: &str) -> String {
    html.chars().take(3000).collect()
}

#[test]
fn tags_and_files_are_found() {
    let page = "<a href='/x'><img alt=\"a > b\" src=/p.png srcset='/1.png 1x, /2.png 2x'><script src='s.js?a=1&amp;b' async></script>\
                <link rel=\"stylesheet\" href='http://a.test/c.css' /><link rel=canonical href='/no'><img src='//other/x.png'>\
                <input type=hidden name=\"n\" value='v&quot;'/>";
    assert_eq!(field(page, "n"), "v\"");
    let found: Vec<_> = files(page, "a.test", "/d/").into_iter().collect();
    let expected = [
        (Kind::Script, "/d/s.js?a=1&b"),
        (Kind::Style, "/c.css"),
        (Kind::Picture, "/1.png"),
        (Kind::Picture, "/2.png"),
        (Kind::Picture, "/p.png"),
    ];
    assert_eq!(found, expected.map(|(kind, path)| (kind, path.to_owned())));
}
