//! The text of a site's file: written anew, or changed with its comments kept. Pure; what it says is checked by hostel_config.

use hostel_config::database::{Database, Place};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value};

use super::options::Edit;
use super::trouble::Trouble;

/// What a new file says. What has its default is not written.
#[derive(Debug, Default)]
pub(crate) struct Settings<'a> {
    pub(crate) domains: &'a [String],
    pub(crate) user: Option<&'a str>,
    pub(crate) share_user: bool,
    pub(crate) home: Option<&'a str>,
    pub(crate) root: Option<&'a str>,
    pub(crate) php_value: &'a [String],
    pub(crate) php_admin_value: &'a [String],
    pub(crate) databases: &'a [&'a Database],
}

/// The text of a new file.
pub(crate) fn new(settings: &Settings<'_>) -> Result<String, Trouble> {
    let mut document = DocumentMut::new();
    identity(&mut document, settings);
    if let Some(root) = settings.root {
        set(&mut document, "root", root.into());
    }
    php(&mut document, "value", settings.php_value)?;
    php(&mut document, "admin_value", settings.php_admin_value)?;
    databases(&mut document, settings.databases);
    Ok(document.to_string())
}

/// The text of a copy's file: as the other one's, but for who and where it is.
pub(crate) fn copy(
    text: &str,
    home_of_original: &str,
    settings: &Settings<'_>,
) -> Result<String, Trouble> {
    let mut document = parse(text)?;
    for key in ["user", "share_user", "home", "suspended", "database"] {
        document.remove(key);
    }
    // A root that is absolute lies beneath the other one's home.
    if let Some(root) = document.get("root").and_then(Item::as_str)
        && let Ok(below) = std::path::Path::new(root).strip_prefix(home_of_original)
    {
        let below = match below.to_string_lossy() {
            here if here.is_empty() => ".".to_owned(),
            below => below.into_owned(),
        };
        set(&mut document, "root", below.into());
    }
    identity(&mut document, settings);
    databases(&mut document, settings.databases);
    Ok(document.to_string())
}

/// The entries of `[[database]]`. What has its default is not written.
fn databases(document: &mut DocumentMut, databases: &[&Database]) {
    let mut entries = ArrayOfTables::new();
    for database in databases {
        let mut entry = Table::new();
        let mut say = |key: &str, value: &str| entry.insert(key, toml_edit::value(value));
        match database {
            Database::Sqlite(file) => {
                say("kind", "sqlite");
                say("file", file);
            }
            Database::Served(served) => {
                say("kind", served.kind.word());
                say("name", &served.name);
                match &served.place {
                    Place::Socket(path) if path == served.kind.usual_socket() => {}
                    Place::Socket(path) => drop(say("socket", path)),
                    Place::Address(address) => drop(say("address", &address.to_string())),
                }
            }
        }
        entries.push(entry);
    }
    if !entries.is_empty() {
        document.insert("database", Item::ArrayOfTables(entries));
    }
}

/// The text with changes.
pub(crate) fn edit(text: &str, edit: &Edit) -> Result<String, Trouble> {
    let mut document = parse(text)?;
    domains(&mut document, edit)?;
    for setting in &edit.set {
        let (key, value) = pair(setting)?;
        may_be_set(key)?;
        // A word that is no TOML is meant as text.
        let value = value.parse::<Value>().unwrap_or_else(|_| value.into());
        set(&mut document, key, value);
    }
    for key in &edit.unset {
        may_be_set(key)?;
        document.remove(key);
    }
    php(&mut document, "value", &edit.php_value)?;
    php(&mut document, "admin_value", &edit.php_admin_value)?;
    for name in &edit.unset_php {
        let tables = ["value", "admin_value"];
        let mut removed = false;
        for table in tables {
            let table = document.get_mut("php").and_then(|php| php.get_mut(table));
            let table = table.and_then(Item::as_table_like_mut);
            removed |= table.and_then(|table| table.remove(name)).is_some();
        }
        if !removed {
            return Err(Trouble::new(format!(
                "the PHP setting '{name}' does not stand in the file"
            )));
        }
    }
    Ok(document.to_string())
}

/// The text with the site suspended, or not.
pub(crate) fn suspend(text: &str, suspended: bool) -> Result<String, Trouble> {
    let mut document = parse(text)?;
    if suspended {
        set(&mut document, "suspended", true.into());
    } else {
        document.remove("suspended");
    }
    Ok(document.to_string())
}

/// The text with user and home written out, which may have been those that the site's name gives.
pub(crate) fn fix(text: &str, user: &str, home: &str) -> Result<String, Trouble> {
    let mut document = parse(text)?;
    for (key, value) in [("user", user), ("home", home)] {
        if !document.contains_key(key) {
            set(&mut document, key, value.into());
        }
    }
    Ok(document.to_string())
}

fn parse(text: &str) -> Result<DocumentMut, Trouble> {
    text.parse()
        .map_err(|error| Trouble::new(format!("the site's file is not TOML: {error}")))
}

fn identity(document: &mut DocumentMut, settings: &Settings<'_>) {
    let domains: Array = settings.domains.iter().collect();
    set(document, "domains", domains.into());
    if let Some(user) = settings.user {
        set(document, "user", user.into());
    }
    if settings.share_user {
        set(document, "share_user", true.into());
    }
    if let Some(home) = settings.home {
        set(document, "home", home.into());
    }
}

/// A value, with the comment behind the old one.
fn set(document: &mut DocumentMut, key: &str, mut value: Value) {
    if let Some(old) = document.get(key).and_then(Item::as_value) {
        *value.decor_mut() = old.decor().clone();
    }
    document.insert(key, Item::Value(value));
}

fn domains(document: &mut DocumentMut, edit: &Edit) -> Result<(), Trouble> {
    if edit.add_domain.is_empty() && edit.remove_domain.is_empty() {
        return Ok(());
    }
    let item = document.get_mut("domains").and_then(Item::as_array_mut);
    let array = item.ok_or_else(|| Trouble::new("the file has no list 'domains'"))?;
    let place = |array: &Array, domain: &str| {
        let same = |value: &Value| {
            value
                .as_str()
                .is_some_and(|value| value.eq_ignore_ascii_case(domain))
        };
        array.iter().position(same)
    };
    for domain in &edit.add_domain {
        if place(array, domain).is_none() {
            array.push(domain);
        }
    }
    for domain in &edit.remove_domain {
        let Some(place) = place(array, domain) else {
            return Err(Trouble::new(format!("the site has no domain '{domain}'")));
        };
        array.remove(place);
    }
    Ok(())
}

fn php(document: &mut DocumentMut, table: &str, settings: &[String]) -> Result<(), Trouble> {
    for setting in settings {
        let (name, value) = pair(setting)?;
        let empty = || {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        };
        let php = document.entry("php").or_insert_with(empty);
        let php = php.as_table_like_mut();
        let php = php.ok_or_else(|| Trouble::new("'php' in the file is not a table"))?;
        let table = php
            .entry(table)
            .or_insert_with(|| Item::Table(Table::new()))
            .as_table_like_mut()
            .ok_or_else(|| Trouble::new(format!("'php.{table}' in the file is not a table")))?;
        table.insert(name, Item::Value(value.into()));
    }
    Ok(())
}

fn pair(text: &str) -> Result<(&str, &str), Trouble> {
    text.split_once('=')
        .map(|(name, value)| (name.trim(), value.trim()))
        .ok_or_else(|| {
            Trouble::new(format!("'{text}' has no '='")).hint("write NAME=VALUE, in one word")
        })
}

/// What belongs to whom the files belong is not changed by changing a line.
fn may_be_set(key: &str) -> Result<(), Trouble> {
    match key {
        "user" | "home" => Err(Trouble::new(format!(
            "'{key}' is not changed by 'edit': the files of the site belong to its user"
        ))
        .hint("hostel site clone makes a copy as another user, in another home")),
        "domains" => Err(Trouble::new("'domains' is not changed by --set")
            .hint("--add-domain and --remove-domain")),
        "php" => Err(Trouble::new("'php' is not changed by --set")
            .hint("--php-value, --php-admin-value and --unset-php")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostel_config::database::{Kind, Served};

    fn none() -> Edit {
        Edit {
            name: "blog".into(),
            add_domain: Vec::new(),
            remove_domain: Vec::new(),
            set: Vec::new(),
            unset: Vec::new(),
            php_value: Vec::new(),
            php_admin_value: Vec::new(),
            unset_php: Vec::new(),
            how: crate::site::options::How {
                dry_run: false,
                json: false,
            },
        }
    }

    fn words(all: &[&str]) -> Vec<String> {
        all.iter().map(|&one| one.to_owned()).collect()
    }

    const TEXT: &str = "# the blog\ndomains = [\"a.example\"] # its name\nworkers_max = 3 # few\n\n[php.value]\nmemory_limit = \"64M\"\n";

    #[test]
    fn a_new_file_says_what_is_not_the_default() {
        let domains = words(&["a.example", "b.example"]);
        let php = words(&["memory_limit=128M", "x.y=a=\"b\""]);
        let settings = Settings {
            domains: &domains,
            php_value: &php,
            ..Settings::default()
        };
        assert_eq!(
            new(&settings).unwrap(),
            "domains = [\"a.example\", \"b.example\"]\n\n[php.value]\nmemory_limit = \"128M\"\n\"x.y\" = 'a=\"b\"'\n"
        );
        let bad = words(&["memory_limit"]);
        let settings = Settings {
            domains: &domains,
            php_value: &bad,
            ..Settings::default()
        };
        assert!(new(&settings).is_err());
    }

    #[test]
    fn a_change_keeps_comments() {
        let mut change = none();
        change.add_domain = words(&["B.example", "A.example"]);
        change.set = words(&["workers_max=4", "root=htdocs"]);
        change.php_value = words(&["memory_limit=1G"]);
        change.php_admin_value = words(&["open_basedir=/x"]);
        assert_eq!(
            edit(TEXT, &change).unwrap(),
            "# the blog\ndomains = [\"a.example\", \"B.example\"] # its name\nworkers_max = 4 # few\nroot = \"htdocs\"\n\n\
             [php.value]\nmemory_limit = \"1G\"\n\n[php.admin_value]\nopen_basedir = \"/x\"\n"
        );
        assert_eq!(edit(TEXT, &none()).unwrap(), TEXT);
    }

    #[test]
    fn what_is_not_there_or_not_a_matter_of_a_line_is_refused() {
        type Change = fn(&mut Edit);
        let changes: [Change; 5] = [
            |change| change.remove_domain = words(&["c.example"]),
            |change| change.unset_php = words(&["x"]),
            |change| change.set = words(&["user=bob"]),
            |change| change.unset = words(&["home"]),
            |change| change.set = words(&["workers_max"]),
        ];
        for (place, make) in changes.into_iter().enumerate() {
            let mut change = none();
            make(&mut change);
            assert!(edit(TEXT, &change).is_err(), "{place}");
        }
    }

    #[test]
    fn suspending_is_undone_without_a_trace() {
        let suspended = suspend(TEXT, true).unwrap();
        assert!(suspended.contains("\nsuspended = true\n"), "{suspended}");
        assert_eq!(suspend(&suspended, true).unwrap(), suspended);
        assert_eq!(suspend(&suspended, false).unwrap(), TEXT);
    }

    #[test]
    fn a_copy_has_its_own_databases() {
        let text = "domains = [\"a.example\"]\n\n[[database]]\nkind = \"mysql\"\nname = \"a\"\npassword_file = \"pw\"\n\n[php.value]\nx = \"y\"\n";
        let domains = words(&["b.example"]);
        let served = |socket: &str| {
            Database::Served(Served {
                kind: Kind::Mysql,
                name: "b".into(),
                user: "b".into(),
                place: Place::Socket(socket.into()),
                password_file: None,
            })
        };
        let databases = [
            served("/run/mysqld/mysqld.sock"),
            served("/run/mysqld/other.sock"),
            Database::Sqlite("/srv/b/app.db".into()),
        ];
        let settings = Settings {
            domains: &domains,
            databases: &databases.iter().collect::<Vec<_>>(),
            ..Settings::default()
        };
        assert_eq!(
            copy(text, "/srv/a", &settings).unwrap(),
            "domains = [\"b.example\"]\n\n[php.value]\nx = \"y\"\n\n[[database]]\nkind = \"mysql\"\nname = \"b\"\n\n\
             [[database]]\nkind = \"mysql\"\nname = \"b\"\nsocket = \"/run/mysqld/other.sock\"\n\n\
             [[database]]\nkind = \"sqlite\"\nfile = \"/srv/b/app.db\"\n"
        );
    }

    #[test]
    fn a_copy_is_somewhere_else() {
        let text = "domains = [\"a.example\"]\nuser = \"a\"\nhome = \"/srv/a\"\nroot = \"/srv/a/web\"\nworkers_max = 2\n";
        let domains = words(&["b.example"]);
        let settings = Settings {
            domains: &domains,
            ..Settings::default()
        };
        assert_eq!(
            copy(text, "/srv/a", &settings).unwrap(),
            "domains = [\"b.example\"]\nroot = \"web\"\nworkers_max = 2\n"
        );
        assert_eq!(
            fix("domains = []\n", "a", "/srv/a").unwrap(),
            "domains = []\nuser = \"a\"\nhome = \"/srv/a\"\n"
        );
    }
}
