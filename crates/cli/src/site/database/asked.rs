//! Which database, as the child in the sandbox is told: one message of root's, written by root and read by the site's user.

use hostel_config::database::{Database, Kind, Place, Served};
use hostel_wire::codec::{Malformed, Reader, Writer};
use hostel_wire::limits::PATH_BYTES_MAX;

pub(super) fn encode(database: &Database) -> Vec<u8> {
    let mut w = Writer::new();
    match database {
        Database::Sqlite(file) => w.u8(0).text(file),
        Database::Served(served) => {
            let kind = match served.kind {
                Kind::Mysql => 1,
                Kind::Postgresql => 2,
            };
            w.u8(kind).text(&served.name).text(&served.user);
            match &served.place {
                Place::Socket(path) => w.u8(0).text(path),
                Place::Address(address) => w.u8(1).text(&address.to_string()),
            };
            w.text(served.password_file.as_deref().unwrap_or_default())
        }
    };
    w.finish()
}

pub(super) fn decode(bytes: &[u8]) -> Result<Database, Malformed> {
    let mut r = Reader::new(bytes);
    let path = |r: &mut Reader<'_>, field| r.text(PATH_BYTES_MAX, field).map(str::to_owned);
    let database = match r.u8("kind")? {
        0 => Database::Sqlite(path(&mut r, "file")?),
        kind @ (1 | 2) => Database::Served(Served {
            kind: if kind == 1 {
                Kind::Mysql
            } else {
                Kind::Postgresql
            },
            name: path(&mut r, "name")?,
            user: path(&mut r, "user")?,
            place: match r.u8("kind of place")? {
                0 => Place::Socket(path(&mut r, "socket")?),
                1 => {
                    let address = path(&mut r, "address")?;
                    let address = address.parse();
                    Place::Address(address.map_err(|_| Malformed::Value("address"))?)
                }
                _ => return Err(Malformed::Value("kind of place")),
            },
            password_file: Some(path(&mut r, "password file")?).filter(|path| !path.is_empty()),
        }),
        _ => return Err(Malformed::Value("kind")),
    };
    r.end("message")?;
    Ok(database)
}

/// Room for the longest of these messages.
pub(super) const BYTES_MAX: usize = 5 * PATH_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_database_survives_and_no_part_of_one_is_one() {
        let served = |kind, place, password_file: Option<&str>| {
            Database::Served(Served {
                kind,
                name: "blog".into(),
                user: "b".into(),
                place,
                password_file: password_file.map(str::to_owned),
            })
        };
        for database in [
            Database::Sqlite("/srv/a/app.db".into()),
            served(Kind::Mysql, Place::Socket("/run/x".into()), None),
            served(
                Kind::Postgresql,
                Place::Address("[::1]:5432".parse().unwrap()),
                Some("/srv/a/pw"),
            ),
        ] {
            let bytes = encode(&database);
            assert!(bytes.len() < BYTES_MAX);
            assert_eq!(decode(&bytes), Ok(database));
            for cut in 0..bytes.len() {
                assert!(decode(&bytes[..cut]).is_err());
            }
        }
    }
}
