//! Makes and removes databases and their accounts, for sites that are copied and removed.
//!
//! Run as root, over the socket of the system's own server, which is asked as its administrator: MariaDB as root, PostgreSQL as the Linux user
//! `postgres`. No socket of a site's is spoken to. Every name in a statement is of few letters, which are checked
//! again here; nothing in a database is looked at but what the server itself keeps.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use hostel_config::database::{Kind, Place, Served, is_name, postgresql_port};

use super::postgresql::newest;
use crate::output;
use crate::site::record::MadeDatabase;
use crate::site::trouble::Trouble;

/// What a server has of what a database needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Present {
    pub(crate) database: bool,
    pub(crate) account: bool,
}

/// What a server has of it; refused where others could get at what is to be made.
pub(crate) fn look(served: &Served) -> Result<Present, Trouble> {
    let (name, account) = (checked(served)?.0, &served.user);
    let question = match served.kind {
        Kind::Mysql => format!(
            "SELECT (SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='{name}'), \
             (SELECT COUNT(*) FROM mysql.user WHERE User='{account}'), \
             (SELECT COUNT(*) FROM mysql.db WHERE '{name}' LIKE Db AND User<>'{account}');"
        ),
        Kind::Postgresql => format!(
            "SELECT (SELECT count(*) FROM pg_catalog.pg_database WHERE datname='{name}'), \
             (SELECT count(*) FROM pg_catalog.pg_roles WHERE rolname='{account}'), 0;"
        ),
    };
    let text = ask(served, &question)?;
    let numbers: Vec<u64> = text.split_whitespace().flat_map(str::parse).collect();
    match numbers[..] {
        [0, _, rights] if rights > 0 => Err(Trouble::new(format!(
            "other accounts have rights on databases of the name '{name}' already"
        ))
        .hint(format!(
            "SELECT User, Host, Db FROM mysql.db WHERE '{name}' LIKE Db; REVOKE them, or give the site another name"
        ))),
        [database, account, _] => Ok(Present {
            database: database > 0,
            account: account > 0,
        }),
        _ => Err(Trouble::new(format!(
            "the {} server gave no answer to a question: {}",
            served.kind.word(),
            output::escape(&text)
        ))),
    }
}

/// Make a database, with the character set of another one of the same server, and the account that alone may use it. What is there of it is left.
pub(crate) fn make(served: &Served, like: Option<&str>) -> Result<(), Trouble> {
    let (name, account) = checked(served)?;
    if let Some(like) = like.filter(|like| !is_name(served.kind, like)) {
        return Err(no_original(served, &output::escape(like)));
    }
    let present = look(served)?;
    let mut statements = String::new();
    match served.kind {
        Kind::Mysql => {
            let settings = match like {
                Some(like) => settings_of_mysql(served, like)?,
                None => NEW_MYSQL.to_owned(),
            };
            // An underscore in the name of a grant stands for any letter.
            let alone = name.replace('_', "\\_");
            let by_socket = match is_mariadb(served)? {
                true => "VIA unix_socket",
                false => "WITH auth_socket",
            };
            statements.push_str(&format!(
                "CREATE DATABASE IF NOT EXISTS `{name}` {settings};\n"
            ));
            if !present.account {
                statements.push_str(&format!(
                    "CREATE USER IF NOT EXISTS '{account}'@'localhost' IDENTIFIED {by_socket};\n"
                ));
            }
            statements.push_str(&format!(
                "GRANT ALL PRIVILEGES ON `{alone}`.* TO '{account}'@'localhost';\n"
            ));
        }
        Kind::Postgresql => {
            if !present.account {
                statements.push_str(&format!(
                    "CREATE ROLE \"{account}\" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;\n"
                ));
            }
            if !present.database {
                let settings = match like {
                    Some(like) => settings_of_postgresql(served, like)?,
                    None => String::new(),
                };
                statements.push_str(&format!(
                    "CREATE DATABASE \"{name}\" OWNER \"{account}\"{settings} ALLOW_CONNECTIONS false;\n"
                ));
            }
            // Every account may connect to every new database, until that is taken away.
            statements.push_str(&format!(
                "REVOKE ALL ON DATABASE \"{name}\" FROM PUBLIC;\nALTER DATABASE \"{name}\" ALLOW_CONNECTIONS true;\n"
            ));
        }
    }
    ask(served, &statements).map(drop)
}

/// Remove what was made for a site. What is gone already is none the worse.
pub(crate) fn remove(made: &MadeDatabase) -> Result<(), Trouble> {
    let served = made.served();
    let (name, account) = checked(&served)?;
    let mut statements = match served.kind {
        Kind::Mysql => format!("DROP DATABASE IF EXISTS `{name}`;\n"),
        Kind::Postgresql => format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE);\n"),
    };
    if made.account_made {
        statements.push_str(&match served.kind {
            Kind::Mysql => format!("DROP USER IF EXISTS '{account}'@'localhost';\n"),
            Kind::Postgresql => format!("DROP ROLE IF EXISTS \"{account}\";\n"),
        });
    }
    ask(&served, &statements).map(drop)
}

/// The name and the account, of letters that need no quoting; in the system's own directory.
fn checked(served: &Served) -> Result<(&str, &str), Trouble> {
    for name in [&served.name, &served.user] {
        if !is_name(served.kind, name) {
            return Err(Trouble::new(format!(
                "'{}' cannot be the name of a database or its account",
                output::escape(name)
            )));
        }
    }
    Ok((&served.name, &served.user))
}

fn is_mariadb(served: &Served) -> Result<bool, Trouble> {
    Ok(ask(served, "SELECT VERSION();")?.contains("MariaDB"))
}

fn settings_of_mysql(served: &Served, like: &str) -> Result<String, Trouble> {
    let text = ask(
        served,
        &format!(
            "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME \
             FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='{like}';"
        ),
    )?;
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        [set, collation] if is_setting(set) && is_setting(collation) => {
            Ok(format!("CHARACTER SET {set} COLLATE {collation}"))
        }
        _ => Err(no_original(served, like)),
    }
}

fn settings_of_postgresql(served: &Served, like: &str) -> Result<String, Trouble> {
    let text = ask(
        served,
        &format!(
            "SELECT pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype \
             FROM pg_catalog.pg_database WHERE datname='{like}';"
        ),
    )?;
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        [encoding, collation, letters] if words.iter().copied().all(is_setting) => Ok(format!(
            " TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE '{collation}' LC_CTYPE '{letters}'"
        )),
        _ => Err(no_original(served, like)),
    }
}

fn no_original(served: &Served, like: &str) -> Trouble {
    Trouble::new(format!(
        "the {} server has no database '{like}' that could be copied",
        served.kind.word()
    ))
    .hint("look at [[database]] in the file of the site that is copied: its name and socket")
}

/// A name of a character set, a collation or a locale.
fn is_setting(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(is_letter)
}

/// Have statements done by the server; what it answers, values with blanks between them.
fn ask(served: &Served, statements: &str) -> Result<String, Trouble> {
    let Place::Socket(socket) = &served.place else {
        return Err(Trouble::new(
            "a server is administered over its socket only",
        ));
    };
    let path = Path::new(socket);
    if !["/run/mysqld", "/run/postgresql"]
        .iter()
        .any(|own| path.starts_with(own))
    {
        return Err(Trouble::new(format!(
            "the socket {socket} is not that of the system's own server"
        )));
    }
    let failed = |why: &str| {
        let kind = served.kind.word();
        Trouble::new(format!(
            "cannot administer the {kind} server at {socket}: {why}"
        ))
        .hint(match served.kind {
            Kind::Mysql => "root must be able to say `mariadb` without a password, as on Debian, and the server must run",
            Kind::Postgresql => "the user postgres must be able to say `psql` without a password, as on Debian, and the server must run",
        })
    };
    let (program, arguments) = match served.kind {
        Kind::Mysql => (MARIADB, mariadb(socket)),
        Kind::Postgresql => {
            let psql = newest("psql").map_err(|error| failed(&error.to_string()))?;
            (SETPRIV, as_postgres(psql, socket))
        }
    };
    let child = Command::new(program)
        .args(&arguments)
        .env_clear()
        .envs([
            ("LC_ALL", "C"),
            ("HOME", "/nonexistent"),
            ("PGCONNECT_TIMEOUT", "30"),
        ])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| failed(&format!("{program}: {error}")))?;
    if let Some(mut input) = child.stdin.take() {
        // One that ends early says why.
        let _ = input.write_all(statements.as_bytes());
    }
    let output = child.wait_with_output();
    let output = output.map_err(|error| failed(&error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(&output::escape(said.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn mariadb(socket: &str) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--no-defaults",
        "--user=root",
        "--protocol=socket",
        "--batch",
        "--raw",
        "--skip-column-names",
        "--binary-mode",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--socket={socket}"));
    arguments
}

fn as_postgres(psql: String, socket: &str) -> Vec<String> {
    let (directory, file) = socket.rsplit_once('/').unwrap_or(("", socket));
    let port = postgresql_port(file).unwrap_or_default();
    let mut arguments: Vec<String> = [
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        "--no-new-privs",
        "--",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(psql);
    let words = [
        "--no-psqlrc",
        "--no-password",
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--field-separator= ",
        "--set=ON_ERROR_STOP=1",
        "--username=postgres",
        "--dbname=postgres",
    ];
    arguments.extend(words.map(str::to_owned));
    arguments.extend([format!("--host={directory}"), format!("--port={port}")]);
    arguments
}

/// What applications of today ask for.
const NEW_MYSQL: &str = "CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci";
const MARIADB: &str = "/usr/bin/mariadb";
const SETPRIV: &str = "/usr/bin/setpriv";

#[cfg(test)]
mod tests {
    use super::*;

    fn served(name: &str, socket: &str) -> Served {
        Served {
            kind: Kind::Mysql,
            name: name.to_owned(),
            user: "b".to_owned(),
            place: Place::Socket(socket.to_owned()),
            password_file: None,
        }
    }

    #[test]
    fn no_server_but_the_systems_is_administered() {
        for socket in ["/srv/blog/mysqld.sock", "/run/mysqldx/s", "/tmp/s"] {
            let trouble = look(&served("blog", socket)).unwrap_err();
            assert!(trouble.what.contains("not that of the system"), "{trouble}");
        }
    }

    #[test]
    fn a_name_that_would_need_quoting_is_refused() {
        for name in ["a'b", "a`b", "a\"b", "a\\b", "", "a b"] {
            let trouble = look(&served(name, "/run/mysqld/x")).unwrap_err();
            assert!(trouble.what.contains("cannot be the name"), "{trouble}");
            let trouble = make(&served("blog", "/run/mysqld/x"), Some(name)).unwrap_err();
            assert!(trouble.what.contains("could be copied"), "{trouble}");
        }
        assert!(is_setting("utf8mb4_general_ci") && is_setting("en_US.UTF-8"));
        assert!(!is_setting("x' y") && !is_setting(""));
    }
}
