//! What answers for paths that lead to nothing: `try_files`, `rewrite`, and a script that everything goes to.

/// The target of a fallback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A status, or a directory's page: nothing of the site's own.
    None,
    /// A script.
    Script(Script),
    /// `@name`
    Named(String),
    /// Something that no site's file has a place for.
    Other,
}

/// A script that gets what leads to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// From the document root, with its slash.
    pub(crate) path: String,
    /// Arguments that are added to those of the request, such as `q=$uri`.
    pub(crate) added: String,
    /// Whether it gets the path as PATH_INFO.
    pub(crate) has_path_info: bool,
}

impl Script {
    /// What differs, for the report; `None` where nothing does.
    pub(crate) fn difference(&self) -> Option<String> {
        let added = &self.added;
        if !self.is_usable() {
            return Some(format!(
                "no front_controller is set: nothing would tell it '{added}'; let the application use addresses with the script in them"
            ));
        }
        if !added.is_empty() {
            return Some(format!(
                "front_controller is set, but it gets the request's own arguments, and not '{added}' besides; an application that reads REQUEST_URI needs no more"
            ));
        }
        let text =
            "front_controller is set, and finds the path in REQUEST_URI instead of PATH_INFO";
        self.has_path_info.then(|| text.to_owned())
    }

    /// Whether it can do its work without what is not passed.
    pub(crate) fn is_usable(&self) -> bool {
        let name = self.added.split('=').next().unwrap_or_default();
        // Names of what is only another form of the path, by applications that read REQUEST_URI too.
        ["", "q", "_url", "url", "_route_", "route", "p"].contains(&name)
            && !self.added.contains('&')
    }
}

/// The last argument of `try_files`, or the target of a `rewrite`.
pub(crate) fn target(text: &str) -> Target {
    if let Some(name) = text.strip_prefix('@') {
        return Target::Named(name.to_owned());
    }
    if text.starts_with('=') {
        return Target::None;
    }
    script(text).map_or(Target::Other, Target::Script)
}

/// A script with what is behind it.
pub(crate) fn script(text: &str) -> Option<Script> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let (path, query) = match path.split_once("$is_args") {
        Some((path, rest)) => (path, format!("{rest}{query}")),
        None => (path, query.to_owned()),
    };
    let end = path.find(".php")? + ".php".len();
    let (script, behind) = path.split_at(end);
    let behind_is_path = behind.is_empty() || behind.starts_with(['/', '$']);
    if script.contains(['$', '*', '(', ':']) || !behind_is_path {
        return None;
    }
    let added: Vec<&str> = query
        .split('&')
        .filter(|part| !["", "$args", "$query_string", "$is_args$args", "$is_args"].contains(part))
        .collect();
    Some(Script {
        path: format!("/{}", script.trim_start_matches('/')),
        added: added.join("&"),
        has_path_info: !behind.is_empty(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_told_from_what_is_passed_to_them() {
        for (text, path, added, has_path_info) in [
            ("/index.php", "/index.php", "", false),
            ("/index.php?$args", "/index.php", "", false),
            ("/index.php$is_args$args", "/index.php", "", false),
            ("/index.php?$query_string", "/index.php", "", false),
            ("/index.php?q=$uri&$args", "/index.php", "q=$uri", false),
            ("index.php", "/index.php", "", false),
            ("/app.php/$1", "/app.php", "", true),
            ("/index.php$request_uri", "/index.php", "", true),
            ("/a/b.php?x=$1", "/a/b.php", "x=$1", false),
        ] {
            let found = script(text).unwrap();
            assert_eq!(
                (
                    found.path.as_str(),
                    found.added.as_str(),
                    found.has_path_info
                ),
                (path, added, has_path_info),
                "{text}"
            );
        }
        for text in [
            "/index.html",
            "$uri.php",
            "https://x/index.php",
            "/index.phpx",
            "/",
        ] {
            assert_eq!(script(text), None, "{text}");
        }
        assert_eq!(target("=404"), Target::None);
        assert_eq!(target("@x"), Target::Named("x".to_owned()));
        assert!(script("/index.php?q=$uri").unwrap().is_usable());
        assert!(!script("/doku.php?id=$1").unwrap().is_usable());
    }
}
