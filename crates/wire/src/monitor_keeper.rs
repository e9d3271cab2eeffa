//! Monitor to keeper, one way: settings, a new front, the end.
//!
//! The monitor never reads from this socket. The keeper's control socket stands on descriptor
//! [`CONTROL_DESCRIPTOR`](crate::view::CONTROL_DESCRIPTOR) after exec.

use crate::codec::{Malformed, Reader, Writer};
use crate::fresh::Fresh;
use crate::front_monitor::{read_texts, write_texts};
use crate::limits;

/// What the monitor tells a keeper. `Settings` comes first, then `Front`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToKeeper {
    /// A (new) front. One descriptor: the socket to it. An earlier front's socket and its workers are given up.
    Front,
    /// The site's settings.
    Settings(Box<SiteSettings>),
    /// End everything that runs in the site, within `seconds`.
    Stop {
        /// The longest wait before the rest is killed.
        seconds: u32,
    },
}

/// What a site's own processes are told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteSettings {
    /// The site's name.
    pub name: String,
    /// Its user's name.
    pub user: String,
    /// Its home, an absolute path, the same inside and outside of the view.
    pub home: String,
    /// Its document root, an absolute path beneath home (or home itself). May be or lie behind a symbolic link.
    pub root: String,
    /// Names that are tried, in order, where a directory is asked for.
    pub index: Vec<String>,
    /// Extensions, without the dot, of the files that PHP runs.
    pub script_extensions: Vec<String>,
    /// The script, relative to the root and with a leading slash, that answers for paths that lead to nothing; empty for none.
    pub front_controller: String,
    /// Whether files of owners other than the site's user and root are served and run.
    pub foreign_owners: bool,
    /// Whether no other site's user is in the primary group of this site's user.
    pub group_is_own: bool,
    /// The directory of php.ini as PHPRC names it, such as `/etc/php/8.2/embed`; modules are read from its `conf.d`.
    pub php_ini_directory: String,
    /// After how many requests a worker is replaced; 0 for never.
    pub requests_per_worker: u32,
    /// What becomes of a worker's state after a request.
    pub fresh: Fresh,
    /// The most bytes of its temporary files that the keeper is to leave; 0 where the kernel bounds them.
    pub temporary_bytes_max: u64,
    /// Settings of the site's PHP.
    pub php_values: Vec<PhpValue>,
}

/// One PHP setting of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhpValue {
    /// Its name, such as `memory_limit`.
    pub name: String,
    /// Its value as php.ini would have it.
    pub value: String,
    /// Whether scripts and .user.ini are kept from changing it.
    pub admin: bool,
}

impl ToKeeper {
    /// How many descriptors come with this message.
    pub fn descriptors(&self) -> usize {
        match self {
            Self::Front => 1,
            Self::Settings(_) | Self::Stop { .. } => 0,
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Front => {
                w.u8(1);
            }
            Self::Settings(settings) => settings.encode(w.u8(2)),
            Self::Stop { seconds } => {
                w.u8(3).u32(*seconds);
            }
        }
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("kind")? {
            1 => Self::Front,
            2 => Self::Settings(Box::new(SiteSettings::decode(&mut r)?)),
            3 => Self::Stop {
                seconds: r.u32("seconds")?,
            },
            _ => return Err(Malformed::Value("kind of message to the keeper")),
        };
        r.end("message to the keeper")?;
        Ok(message)
    }
}

impl SiteSettings {
    pub(crate) fn encode(&self, w: &mut Writer) {
        w.text(&self.name)
            .text(&self.user)
            .text(&self.home)
            .text(&self.root);
        write_texts(w, &self.index);
        write_texts(w, &self.script_extensions);
        w.text(&self.front_controller)
            .bool(self.foreign_owners)
            .bool(self.group_is_own)
            .text(&self.php_ini_directory)
            .u32(self.requests_per_worker);
        self.fresh.encode(w);
        w.u64(self.temporary_bytes_max);
        w.count(self.php_values.len());
        for value in &self.php_values {
            w.text(&value.name).text(&value.value).bool(value.admin);
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            name: r.text(limits::SITE_NAME_BYTES_MAX, "name")?.to_owned(),
            user: r.text(limits::USER_NAME_BYTES_MAX, "user")?.to_owned(),
            home: r.text(limits::PATH_BYTES_MAX, "home")?.to_owned(),
            root: r.text(limits::PATH_BYTES_MAX, "root")?.to_owned(),
            index: read_texts(r, limits::LIST_MAX, limits::LIST_NAME_BYTES_MAX, "index")?,
            script_extensions: read_texts(
                r,
                limits::LIST_MAX,
                limits::LIST_NAME_BYTES_MAX,
                "extensions",
            )?,
            front_controller: r
                .text(limits::PATH_BYTES_MAX, "front controller")?
                .to_owned(),
            foreign_owners: r.bool("foreign owners")?,
            group_is_own: r.bool("group")?,
            php_ini_directory: r
                .text(limits::PATH_BYTES_MAX, "php.ini directory")?
                .to_owned(),
            requests_per_worker: r.u32("requests per worker")?,
            fresh: Fresh::decode(r)?,
            temporary_bytes_max: r.u64("temporary_bytes_max")?,
            php_values: PhpValue::decode_all(r)?,
        })
    }
}

impl PhpValue {
    fn decode_all(r: &mut Reader<'_>) -> Result<Vec<Self>, Malformed> {
        let count = r.count(limits::PHP_VALUES_MAX, "PHP settings")?;
        (0..count)
            .map(|_| {
                Ok(Self {
                    name: r
                        .text(limits::PHP_NAME_BYTES_MAX, "PHP setting's name")?
                        .to_owned(),
                    value: r
                        .text(limits::PHP_VALUE_BYTES_MAX, "PHP setting's value")?
                        .to_owned(),
                    admin: r.bool("PHP setting's kind")?,
                })
            })
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn settings() -> SiteSettings {
        SiteSettings {
            name: "blog".into(),
            user: "blog".into(),
            home: "/srv/blog".into(),
            root: "/srv/blog/public".into(),
            index: vec!["index.php".into(), "index.html".into()],
            script_extensions: vec!["php".into()],
            front_controller: "/index.php".into(),
            foreign_owners: false,
            group_is_own: true,
            php_ini_directory: "/etc/php/8.2/embed".into(),
            requests_per_worker: 1000,
            fresh: Fresh::Fork,
            temporary_bytes_max: 2 << 30,
            php_values: vec![PhpValue {
                name: "memory_limit".into(),
                value: "256M".into(),
                admin: true,
            }],
        }
    }

    #[test]
    fn every_message_survives_the_wire() {
        for message in [
            ToKeeper::Front,
            ToKeeper::Settings(Box::new(settings())),
            ToKeeper::Stop { seconds: 5 },
        ] {
            let bytes = message.encode();
            assert_eq!(ToKeeper::decode(&bytes), Ok(message.clone()));
            for cut in 0..bytes.len() {
                assert!(
                    ToKeeper::decode(&bytes[..cut]).is_err(),
                    "{message:?} cut at {cut}"
                );
            }
        }
    }
}
