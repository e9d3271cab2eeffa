//! A site's databases: `[[database]]`, for backup, restore and copies.
//!
//! Read by monitor and command line, as root; pure. Nothing is asked of a database here, and no password is read: that is done by the
//! site's user, in the site's sandbox. What is named here ends up in arguments and statements, so names are few letters.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use hostel_sys::view::DATABASE_SOCKETS;
use hostel_wire::egress::{Egress, Host};
use hostel_wire::limits::DATABASES_MAX;

use crate::check::fine;
use crate::entries::{Fields, numbered};
use crate::errors::{Fault, Report};
use crate::paths;
use crate::read::{At, RawEntries};
use crate::table::Site;

/// A site that has databases, with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteDatabases {
    /// The site's name.
    pub site: String,
    /// In the order of the file, at most 16; none twice.
    pub databases: Vec<Database>,
}

/// One database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// That of a server.
    Served(Served),
    /// A file of SQLite's: an absolute path beneath home. Whether a symbolic link is on the way is not known.
    Sqlite(String),
}

/// The database of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Of which one.
    pub kind: Kind,
    /// Its name: letters, digits, `_`, `-`, `.` and `$`, no `-` or `.` first.
    pub name: String,
    /// Who asks for it: the same letters.
    pub user: String,
    /// Where the server listens.
    pub place: Place,
    /// A path beneath home of a file with the password, for the site's user to read; `None` where the server knows the Linux user.
    pub password_file: Option<String>,
}

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// MariaDB or MySQL.
    Mysql,
    /// PostgreSQL.
    Postgresql,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A socket with a name in the site's view: in a directory of the system's databases, or beneath home.
    Socket(String),
    /// An address of this host that the site may connect to.
    Address(SocketAddr),
}

impl Kind {
    /// As it is written in a file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mysql => "mysql",
            Self::Postgresql => "postgresql",
        }
    }

    /// Where Debian's server listens.
    pub fn usual_socket(self) -> &'static str {
        match self {
            Self::Mysql => "/run/mysqld/mysqld.sock",
            Self::Postgresql => "/run/postgresql/.s.PGSQL.5432",
        }
    }

    /// The longest name that the server takes.
    fn name_bytes_max(self) -> usize {
        match self {
            Self::Mysql => 64,
            Self::Postgresql => 63,
        }
    }
}

impl Database {
    /// A name for a file with what was dumped of it: the number that it has in the site's file, from 0, and letters that every file system takes.
    pub fn file_name(&self, number: usize) -> String {
        match self {
            Self::Served(served) => {
                let ending = match served.kind {
                    Kind::Mysql => "sql",
                    Kind::Postgresql => "pgdump",
                };
                format!("{number}-{}-{}.{ending}", served.kind.word(), served.name)
            }
            Self::Sqlite(_) => format!("{number}-sqlite.db"),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served(served) => write!(f, "{} database '{}'", served.kind.word(), served.name),
            Self::Sqlite(file) => write!(f, "sqlite database {file}"),
        }
    }
}

/// Whether a name may be that of a database or of a database's user.
pub fn is_name(kind: Kind, text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte);
    let begins = !text.starts_with(['-', '.']) && !text.ends_with('.');
    (1..=kind.name_bytes_max()).contains(&text.len()) && begins && text.bytes().all(is_letter)
}

/// The databases of one site; what is wrong with them goes to the report.
pub(crate) fn check(
    given: Option<At<RawEntries>>,
    site: &Site,
    report: &mut Report,
) -> Vec<Database> {
    let mut checked = Vec::new();
    for (_, entry) in numbered(DATABASES_MAX, "database", given, report) {
        let mut fields = Fields::new("database", &KEYS, entry, report);
        let Some(engine) = fields.needed("kind", engine) else {
            continue;
        };
        let of_other: &[&str] = match engine {
            Some(_) => &["file"],
            None => &["name", "user", "password_file", "socket", "address"],
        };
        for key in of_other {
            if !fields.has(key) {
                continue;
            }
            let word = engine.map_or("sqlite", Kind::word);
            let fault = Fault::new(format!("'{key}' has no meaning for kind = \"{word}\""));
            let line = fields.line_of(key);
            fields.report.add(line, fault);
        }
        let line = fields.line;
        let database = match engine {
            Some(kind) => served(kind, &mut fields, site).map(Database::Served),
            None => fields
                .needed("file", |text| beneath("file", text, site))
                .map(Database::Sqlite),
        };
        let Some(database) = database else {
            continue;
        };
        if checked.iter().any(|other| is_same(other, &database)) {
            report.add(line, Fault::new(format!("the {database} is given twice")));
        }
        checked.push(database);
    }
    checked
}

fn is_same(one: &Database, other: &Database) -> bool {
    match (one, other) {
        (Database::Served(a), Database::Served(b)) => {
            (a.kind, &a.name, &a.place) == (b.kind, &b.name, &b.place)
        }
        (Database::Sqlite(a), Database::Sqlite(b)) => a == b,
        (Database::Served(_), Database::Sqlite(_)) | (Database::Sqlite(_), Database::Served(_)) => {
            false
        }
    }
}

fn served(kind: Kind, fields: &mut Fields<'_>, site: &Site) -> Option<Served> {
    let name = fields.needed("name", |text| self::name(kind, text));
    let user_line = fields.line_of("user");
    let user = match fields.has("user") {
        true => fields.text("user", |text| self::name(kind, text)),
        false => fine(
            self::name(kind, &site.user.name),
            Some(user_line),
            fields.report,
        ),
    };
    let password_file = match fields.has("password_file") {
        true => Some(fields.text("password_file", |text| beneath("password_file", text, site))?),
        false => None,
    };
    let place = place(kind, fields, site);
    if matches!(place, Some(Place::Address(_))) && password_file.is_none() {
        let fault = Fault::new("[[database]] has an 'address' and no 'password_file'");
        let line = fields.line_of("address");
        fields.report.add(
            line,
            fault.hint(
                "without a password a server knows a Linux user by its socket only: use 'socket'",
            ),
        );
        return None;
    }
    Some(Served {
        kind,
        name: name?,
        user: user?,
        place: place?,
        password_file,
    })
}

fn place(kind: Kind, fields: &mut Fields<'_>, site: &Site) -> Option<Place> {
    match (fields.has("socket"), fields.has("address")) {
        (true, true) => {
            let line = fields.line_of("address");
            let fault = Fault::new("[[database]] has both 'socket' and 'address'");
            fields.report.add(line, fault);
            None
        }
        (_, true) => fields.text("address", |text| address(text, site)),
        (true, false) => fields.text("socket", |text| socket(kind, text, site)),
        (false, false) => Some(Place::Socket(kind.usual_socket().to_owned())),
    }
}

/// `None` for SQLite.
fn engine(text: &str) -> Result<Option<Kind>, Fault> {
    match text {
        "mysql" => Ok(Some(Kind::Mysql)),
        "postgresql" => Ok(Some(Kind::Postgresql)),
        "sqlite" => Ok(None),
        _ => Err(
            Fault::new(format!("'kind' = '{}' is unknown", text.escape_debug()))
                .hint("\"mysql\" (MariaDB too), \"postgresql\" or \"sqlite\""),
        ),
    }
}

fn name(kind: Kind, text: &str) -> Result<String, Fault> {
    if is_name(kind, text) {
        return Ok(text.to_owned());
    }
    let message = format!("'{}' cannot be a name in [[database]]", text.escape_debug());
    Err(Fault::new(message).hint(format!(
        "letters, digits, '_', '-', '.' and '$', at most {} of them, and neither '-' nor '.' first",
        kind.name_bytes_max()
    )))
}

fn beneath(key: &str, text: &str, site: &Site) -> Result<String, Fault> {
    let home = Path::new(&site.home);
    let path = paths::below_or_absolute(key, text, home)?;
    if path == home || !path.starts_with(home) {
        let message = format!(
            "'{key}' = '{}' is not beneath the home",
            text.escape_debug()
        );
        return Err(Fault::new(message).hint("a site sees its home alone"));
    }
    paths::text(&path)
}

fn socket(kind: Kind, text: &str, site: &Site) -> Result<Place, Fault> {
    if !text.starts_with('/') {
        let message = format!(
            "'socket' = '{}' is not an absolute path",
            text.escape_debug()
        );
        return Err(Fault::new(message).hint(format!("such as {}", kind.usual_socket())));
    }
    let path = paths::text(&paths::below_or_absolute("socket", text, Path::new("/"))?)?;
    // In a view the one is a link to the other.
    let path = match path.strip_prefix("/var/run/") {
        Some(rest) => format!("/run/{rest}"),
        None => path,
    };
    let is_beneath = |directory: &str| Path::new(&path).starts_with(directory);
    if !DATABASE_SOCKETS.into_iter().any(is_beneath) && !is_beneath(&site.home) {
        let message = format!("the socket {path} is not in the site's view");
        return Err(Fault::new(message).hint(
            "sites see the sockets beneath /run/mysqld and /run/postgresql and in their homes: let the server listen there",
        ));
    }
    if path.len() > SOCKET_BYTES_MAX {
        return Err(Fault::new(format!(
            "'socket' is {} bytes long; a socket's name has room for {SOCKET_BYTES_MAX}",
            path.len()
        )));
    }
    let file = path.rsplit('/').next().unwrap_or_default();
    if kind == Kind::Postgresql && postgresql_port(file).is_none() {
        return Err(
            Fault::new(format!("the socket {path} is none of PostgreSQL's"))
                .hint("they are named .s.PGSQL. and the port, such as .s.PGSQL.5432"),
        );
    }
    Ok(Place::Socket(path))
}

/// The port in the name of a socket of PostgreSQL's.
pub fn postgresql_port(file: &str) -> Option<u16> {
    file.strip_prefix(".s.PGSQL.")?.parse().ok()
}

fn address(text: &str, site: &Site) -> Result<Place, Fault> {
    let wrong = |why: &str| Fault::new(format!("'address' = '{}' {why}", text.escape_debug()));
    let Ok(address) = text.parse::<SocketAddr>() else {
        return Err(wrong("is not an address with a port").hint("such as \"127.0.0.1:3306\""));
    };
    if !address.ip().is_loopback() || address.port() == 0 {
        return Err(wrong("is none of this host's own")
            .hint("127.0.0.1 or [::1] and a port; a database of another host is not dumped"));
    }
    if !permits(site, address) {
        return Err(wrong("is where the site may not connect to")
            .hint(format!("services = [\"{address}\"]")));
    }
    Ok(Place::Address(address))
}

/// Whether the firewall lets the site connect there.
fn permits(site: &Site, address: SocketAddr) -> bool {
    let by_service = site.services.iter().any(|service| {
        let is_every = service.ip().is_unspecified() && service.is_ipv4() == address.is_ipv4();
        service.port() == address.port() && (is_every || service.ip() == address.ip())
    });
    by_service
        || match &site.egress {
            Egress::Usual | Egress::All => USUAL_PORTS.contains(&address.port()),
            Egress::None => false,
            Egress::Listed(places) => places.iter().any(|place| {
                place.host == Host::Address(address.ip()) && place.port == address.port()
            }),
        }
}

const KEYS: [&str; 7] = [
    "kind",
    "name",
    "file",
    "user",
    "password_file",
    "socket",
    "address",
];
/// Of the databases on this host that every site may connect to, those that are known here.
const USUAL_PORTS: [u16; 2] = [3306, 5432];
/// The kernel's.
const SOCKET_BYTES_MAX: usize = 107;
