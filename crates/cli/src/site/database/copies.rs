//! What a copy of a site has in the place of the original's databases. Pure.

use hostel_config::database::{Database, Kind, Place, Served};

use crate::site::trouble::Trouble;

/// A database of a copy, or of a new site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copied {
    /// The copy's.
    pub(crate) database: Database,
    /// The name of the original one, where there is one and it is a server's.
    pub(crate) like: Option<String>,
}

/// The databases of a new site, of Debian's servers.
pub(crate) fn new(kinds: &[Kind], (name, user): (&str, &str)) -> Vec<Copied> {
    let mut made: Vec<Copied> = Vec::new();
    for kind in kinds {
        let database = Database::Served(Served {
            kind: *kind,
            name: free_name(*kind, name, &made),
            user: user.to_owned(),
            place: Place::Socket(kind.usual_socket().to_owned()),
            password_file: None,
        });
        made.push(Copied {
            database,
            like: None,
        });
    }
    made
}

/// The databases of a copy, in the order of the original's: a server's are named after the copy, and belong to its user, whom the server
/// knows by its socket; a file of SQLite's is where the original has it.
pub(crate) fn plan(
    originals: &[Database],
    (home, copy_home): (&str, &str),
    (name, user): (&str, &str),
) -> Result<Vec<Copied>, Trouble> {
    let mut copies: Vec<Copied> = Vec::new();
    for original in originals {
        let database = match original {
            Database::Sqlite(file) => {
                let below = file.strip_prefix(home).unwrap_or(file);
                Database::Sqlite(format!("{copy_home}{below}"))
            }
            Database::Served(served) => Database::Served(Served {
                kind: served.kind,
                name: free_name(served.kind, name, &copies),
                user: user.to_owned(),
                place: Place::Socket(socket(served, home)?),
                password_file: None,
            }),
        };
        let like = match original {
            Database::Served(served) => Some(served.name.clone()),
            Database::Sqlite(_) => None,
        };
        copies.push(Copied { database, like });
    }
    Ok(copies)
}

/// What an application in the copy has to be told, whose settings are nobody's business here.
pub(crate) fn told(copied: &Copied) -> Option<String> {
    let Database::Served(served) = &copied.database else {
        return None;
    };
    let place = match &served.place {
        Place::Socket(path) => format!("socket {path}"),
        Place::Address(address) => format!("address {address}"),
    };
    let (kind, name, user) = (served.kind.word(), &served.name, &served.user);
    let what = match &copied.like {
        Some(like) => {
            format!("change in the copy's files, where they name the {kind} database '{like}'")
        }
        None => format!("the {kind} database for the site's files to name"),
    };
    Some(format!(
        "{what}: database '{name}', user '{user}', {place}, no password"
    ))
}

/// A name of letters that need no quotes anywhere, none twice.
fn free_name(kind: Kind, site: &str, copies: &[Copied]) -> String {
    let letters = site.chars().map(|letter| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' => letter,
        _ => '_',
    });
    let base: String = letters.take(NAME_LETTERS_MAX).collect();
    let is_taken = |name: &str| {
        let mut all = copies.iter();
        all.any(|copy| matches!(&copy.database, Database::Served(one) if one.kind == kind && one.name == name))
    };
    let mut names = std::iter::once(base.clone()).chain((2..).map(|n: u32| format!("{base}_{n}")));
    names.find(|name| !is_taken(name)).unwrap_or(base)
}

/// The socket of the server, which must be the system's own: only there can root make a database.
fn socket(served: &Served, home: &str) -> Result<String, Trouble> {
    let refused = |why: &str| {
        Trouble::new(format!(
            "the {} database '{}' cannot be copied: {why}",
            served.kind.word(),
            served.name
        ))
        .hint("--no-databases copies the site without them")
    };
    match &served.place {
        Place::Socket(path) if std::path::Path::new(path).starts_with(home) => {
            Err(refused("its server is the site's own"))
        }
        Place::Socket(path) => Ok(path.clone()),
        Place::Address(address) => {
            let usual = match served.kind {
                Kind::Mysql => 3306,
                Kind::Postgresql => 5432,
            };
            match address.port() == usual {
                true => Ok(served.kind.usual_socket().to_owned()),
                false => Err(refused(
                    "nobody knows the socket of the server at its address",
                )),
            }
        }
    }
}

/// What is left for the number that tells two databases of a site apart.
const NAME_LETTERS_MAX: usize = 58;

#[cfg(test)]
mod tests {
    use super::*;

    fn served(kind: Kind, name: &str, place: Place) -> Database {
        Database::Served(Served {
            kind,
            name: name.to_owned(),
            user: "a".to_owned(),
            place,
            password_file: Some("/srv/a/pw".to_owned()),
        })
    }

    fn socket(path: &str) -> Place {
        Place::Socket(path.to_owned())
    }

    #[test]
    fn a_copy_has_databases_of_its_own_name_and_user() {
        let originals = [
            served(Kind::Mysql, "x", socket("/run/mysqld/other.sock")),
            served(
                Kind::Mysql,
                "y",
                Place::Address("127.0.0.1:3306".parse().unwrap()),
            ),
            served(
                Kind::Postgresql,
                "x",
                socket("/run/postgresql/.s.PGSQL.5432"),
            ),
            Database::Sqlite("/srv/a/data/app.db".to_owned()),
        ];
        let copies = plan(&originals, ("/srv/a", "/srv/b"), ("sta-ging.2", "b")).unwrap();
        let texts: Vec<String> = copies
            .iter()
            .map(|copy| copy.database.to_string())
            .collect();
        assert_eq!(
            texts,
            [
                "mysql database 'sta_ging_2'",
                "mysql database 'sta_ging_2_2'",
                "postgresql database 'sta_ging_2'",
                "sqlite database /srv/b/data/app.db",
            ]
        );
        for (copy, expected) in copies.iter().zip([
            "/run/mysqld/other.sock",
            "/run/mysqld/mysqld.sock",
            "/run/postgresql/.s.PGSQL.5432",
        ]) {
            let Database::Served(one) = &copy.database else {
                panic!("{copy:?}");
            };
            assert_eq!((one.user.as_str(), &one.password_file), ("b", &None));
            assert_eq!(one.place, socket(expected));
        }
        assert_eq!(copies[1].like.as_deref(), Some("y"));
    }

    #[test]
    fn a_server_that_root_cannot_ask_is_refused() {
        for place in [
            socket("/srv/a/mysqld.sock"),
            Place::Address("127.0.0.1:3307".parse().unwrap()),
        ] {
            let originals = [served(Kind::Mysql, "x", place)];
            assert!(plan(&originals, ("/srv/a", "/srv/b"), ("b", "b")).is_err());
        }
    }

    #[test]
    fn a_long_name_still_is_one() {
        let originals = [
            served(
                Kind::Postgresql,
                "x",
                socket("/run/postgresql/.s.PGSQL.5432"),
            ),
            served(
                Kind::Postgresql,
                "y",
                socket("/run/postgresql/.s.PGSQL.5432"),
            ),
        ];
        let name = "n".repeat(64);
        for copy in plan(&originals, ("/srv/a", "/srv/b"), (&name, "b")).unwrap() {
            let Database::Served(one) = &copy.database else {
                panic!("{copy:?}");
            };
            assert!(hostel_config::database::is_name(
                Kind::Postgresql,
                &one.name
            ));
        }
    }
}
