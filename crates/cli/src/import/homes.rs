//! Where the homes of imported sites are: the directory that the site may see, around its document root.

use std::collections::BTreeMap;
use std::path::Path;

use super::source::{parent, whole};

/// A site, as far as its home depends on it.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// Sites of one user may share a home.
    pub(crate) user: String,
    /// The user's home in the database of users, if it has one.
    pub(crate) user_home: Option<String>,
    /// The document root.
    pub(crate) root: String,
    /// Other directories that the site uses.
    pub(crate) places: Vec<String>,
}

/// A home for each, in their order; none lies within another. `None` where that cannot be.
pub(crate) fn homes(wishes: &[Wish]) -> Vec<Option<String>> {
    let mut by_user = BTreeMap::<&str, Vec<usize>>::new();
    for (number, wish) in wishes.iter().enumerate() {
        by_user.entry(&wish.user).or_default().push(number);
    }
    let mut found: Vec<Option<String>> = wishes.iter().map(around).collect();
    for numbers in by_user.values().filter(|numbers| numbers.len() > 1) {
        let own: Vec<String> = numbers
            .iter()
            .filter_map(|number| found[*number].clone())
            .collect();
        let nested = own
            .iter()
            .any(|one| own.iter().any(|other| one != other && holds(one, other)));
        let common = own
            .iter()
            .cloned()
            .reduce(|one, other| common(&one, &other));
        let common = common.filter(|common| is_one_site_s(common));
        let others = |common: &str| {
            let foreign = wishes
                .iter()
                .enumerate()
                .filter(|(number, _)| !numbers.contains(number));
            foreign
                .into_iter()
                .all(|(_, wish)| !holds(common, &wish.root) && !holds(&wish.root, common))
        };
        // One home for all, where that is a directory of theirs alone: they can read each other anyway.
        if let Some(common) =
            common.filter(|common| others(common) && (nested || is_personal(common, &own)))
        {
            for number in numbers {
                found[*number] = Some(common.clone());
            }
        }
    }
    without_nesting(wishes, found)
}

/// The narrowest directory that holds root and what the site needs beside it.
fn around(wish: &Wish) -> Option<String> {
    let root = whole("/", &wish.root);
    let user_home = wish.user_home.as_deref().map(|home| whole("/", home));
    if let Some(home) = user_home.filter(|home| is_one_site_s(home) && holds(home, &root)) {
        return Some(home);
    }
    // As panels lay them out: /home/USER/web/DOMAIN/public_html.
    if let Some(home) = named_after(&wish.user, &root) {
        return Some(home);
    }
    let mut home = root.clone();
    // A release of Capistrano's: /srv/app/current/public.
    while DOCUMENT_ROOTS.contains(&last(&home)) && is_one_site_s(parent(&home)) {
        home = parent(&home).to_owned();
    }
    for place in &wish.places {
        let place = whole("/", place);
        let both = common(&home, &place);
        // Only what is beside the root, not what half of the disk has in common with it.
        if is_one_site_s(&both) && parent(&home) == both {
            home = both;
        }
    }
    Some(home).filter(|home| is_home(home))
}

/// The directory above the root that has the user's name.
fn named_after(user: &str, root: &str) -> Option<String> {
    let at = root.find(&format!("/{user}/"))?;
    let home = &root[..at + 1 + user.len()];
    is_one_site_s(home).then(|| home.to_owned())
}

/// A home that lies in another one becomes that one if the user is the same, else it is narrowed, else there is none.
fn without_nesting(wishes: &[Wish], mut found: Vec<Option<String>>) -> Vec<Option<String>> {
    for _ in 0..2 {
        let mut by_home = BTreeMap::<String, usize>::new();
        for (number, home) in found.iter().enumerate() {
            if let Some(home) = home {
                by_home.entry(home.clone()).or_insert(number);
            }
        }
        for number in 0..found.len() {
            let Some(inner) = found[number].clone() else {
                continue;
            };
            let outer = above(&inner).find_map(|directory| by_home.get(directory).copied());
            let Some(outer) = outer.filter(|outer| {
                found[*outer]
                    .as_ref()
                    .is_some_and(|home| holds(home, &inner))
            }) else {
                continue;
            };
            if wishes[outer].user == wishes[number].user {
                let home = found[outer].clone();
                found[number] = home;
                continue;
            }
            let narrow = whole("/", &wishes[outer].root);
            if !holds(&narrow, &inner) && is_home(&narrow) {
                found[outer] = Some(narrow);
            } else {
                found[number] = None;
            }
        }
    }
    // Two users cannot have one home.
    let mut owners = BTreeMap::<String, &str>::new();
    for (home, wish) in found.iter_mut().zip(wishes) {
        let Some(path) = home.clone() else { continue };
        if *owners.entry(path).or_insert(&wish.user) != wish.user {
            *home = None;
        }
    }
    found
}

/// The directories above a path, the nearest first.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(parent(path)), |path| Some(parent(path)))
        .take_while(|path| *path != "/" && *path != ".")
}

/// Whether a path is another one or lies beneath it.
pub(crate) fn holds(directory: &str, path: &str) -> bool {
    Path::new(path).starts_with(directory)
}

/// Whether hostel-config takes it as a home.
fn is_home(path: &str) -> bool {
    hostel_sys::home::check_place(Path::new(path), &[]).is_ok()
}

/// The same, and no directory in which hosts have all of their sites.
fn is_one_site_s(path: &str) -> bool {
    is_home(path) && !ABOVE.contains(&path)
}

/// Whether it is named as what one user has: at most one level above one of the homes.
fn is_personal(common: &str, homes: &[String]) -> bool {
    homes
        .iter()
        .any(|home| home == common || parent(home) == common)
}

fn common(one: &str, other: &str) -> String {
    let parts = one.split('/').zip(other.split('/'));
    let same: Vec<&str> = parts
        .take_while(|(one, other)| one == other)
        .map(|(one, _)| one)
        .collect();
    let path = same.join("/");
    if path.is_empty() {
        "/".to_owned()
    } else {
        path
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// Names that document roots have: what belongs to the site too is beside them.
const DOCUMENT_ROOTS: [&str; 14] = [
    "current",
    "docroot",
    "document_root",
    "html",
    "htdocs",
    "httpdocs",
    "pub",
    "public",
    "public_html",
    "public_shtml",
    "web",
    "webroot",
    "www",
    "wwwroot",
];

/// What hosts have all their sites in: no home, though one could be there.
const ABOVE: [&str; 9] = [
    "/var/www",
    "/var/www/html",
    "/var/www/vhosts",
    "/var/www/clients",
    "/srv/www",
    "/home/www",
    "/var/vhosts",
    "/www",
    "/srv/http",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(user: &str, root: &str) -> Wish {
        Wish {
            user: user.to_owned(),
            user_home: None,
            root: root.to_owned(),
            places: Vec::new(),
        }
    }

    fn found(wishes: &[Wish]) -> Vec<String> {
        homes(wishes)
            .into_iter()
            .map(Option::unwrap_or_default)
            .collect()
    }

    #[test]
    fn a_home_is_what_holds_the_document_root() {
        for (root, home) in [
            ("/srv/blog/public", "/srv/blog"),
            ("/srv/app/current/public/", "/srv/app"),
            ("/home/alice/public_html", "/home/alice"),
            ("/var/www/example.com", "/var/www/example.com"),
            ("/var/www/example.com/html", "/var/www/example.com"),
            (
                "/var/www/clients/client1/web1/web",
                "/var/www/clients/client1/web1",
            ),
            ("/srv/public", "/srv/public"),
            ("/srv/x/y", "/srv/x/y"),
            ("/usr/share/phpmyadmin", ""),
            ("/", ""),
            ("/var/www/html", "/var/www/html"),
        ] {
            assert_eq!(found(&[wish("a", root)]), [home], "{root}");
        }
    }

    #[test]
    fn a_user_s_own_home_and_what_stands_beside_the_root_count() {
        let mut one = wish("alice", "/home/alice/web/a.example/public_html");
        one.user_home = Some("/home/alice".to_owned());
        assert_eq!(found(&[one]), ["/home/alice"]);
        assert_eq!(
            found(&[wish("alice", "/home/alice/web/a.example/public_html")]),
            ["/home/alice"]
        );
        let mut one = wish("alice", "/data/sites/shop");
        one.places = vec!["/tmp".to_owned(), "/data/sites/shop-private".to_owned()];
        assert_eq!(found(&[one]), ["/data/sites"]);
    }

    #[test]
    fn no_home_lies_within_another() {
        let nested = [wish("a", "/srv/a/x/public"), wish("b", "/srv/a/b/public")];
        assert_eq!(found(&nested), ["/srv/a/x/public", "/srv/a/b"]);
        let two = [wish("a", "/srv/a/public"), wish("b", "/srv/a/public/b")];
        assert_eq!(found(&two), ["/srv/a", ""]);
        let two = [wish("a", "/data/x/web"), wish("b", "/data/x/other")];
        assert_eq!(found(&two), ["/data/x/web", "/data/x/other"]);
        let same = [
            wish("a", "/home/a/web/one.example/public_html"),
            wish("a", "/home/a/web/two.example/public_html"),
        ];
        assert_eq!(found(&same), ["/home/a", "/home/a"]);
        let same = [wish("u", "/data/x/one/html"), wish("u", "/data/x/two/html")];
        assert_eq!(found(&same), ["/data/x", "/data/x"]);
        let same = [wish("a", "/srv/a/public"), wish("a", "/srv/a/public/b")];
        assert_eq!(found(&same), ["/srv/a", "/srv/a"]);
    }
}
