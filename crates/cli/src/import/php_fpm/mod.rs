//! php-fpm: its pools, by the socket on which web servers reach them.
//!
//! `ini` is the language, `directives` what most of them mean here.

pub(crate) mod directives;
pub(crate) mod ini;

use std::collections::BTreeMap;

use super::draft::{Draft, From, PhpSetting};
use super::ledger::Ledger;
use super::php_values;
use super::source::{ImportError, Place, Reader, parent, whole};
use ini::Entry;

/// All pools that were read.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    pools: Vec<Pool>,
    by_name: BTreeMap<String, usize>,
    /// By the address that they listen on, in one form.
    by_listener: BTreeMap<String, usize>,
    /// Whether any file of pools was named.
    were_given: bool,
}

#[derive(Debug)]
struct Pool {
    name: String,
    entries: Vec<Entry>,
    is_used: bool,
}

impl Pools {
    /// Read these files.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub(crate) fn read(
        paths: &[String],
        reader: &mut Reader<'_>,
        ledger: &mut Ledger,
    ) -> Result<Self, ImportError> {
        let mut pools = Self {
            were_given: !paths.is_empty(),
            ..Self::default()
        };
        for path in paths {
            for file in reader.typed(path, &["php-fpm.conf"], ".conf")? {
                if let Err(why) = pools.file(&file, None, reader, ledger)? {
                    return Err(ImportError::Read { path: file, why });
                }
            }
        }
        for (number, pool) in pools.pools.iter().enumerate() {
            if let Some(listener) = pool.listen() {
                pools.by_listener.entry(listener).or_insert(number);
            }
        }
        Ok(pools)
    }

    /// One file and those that it includes; the inner error is that it cannot be read.
    fn file(
        &mut self,
        path: &str,
        from: Option<&Place>,
        reader: &mut Reader<'_>,
        ledger: &mut Ledger,
    ) -> Result<Result<(), String>, ImportError> {
        let text = match reader.open(path, from)? {
            Ok(text) => text,
            Err(why) => return Ok(Err(why)),
        };
        for entry in ini::parse(path, &text)? {
            reader.directive(&entry.place)?;
            ledger.declare(&entry.place, entry.shown());
            if entry.key == "include" {
                self.include(&entry, path, reader, ledger)?;
                continue;
            }
            match entry.section.as_deref() {
                None | Some("global") => global(&entry, ledger),
                Some(_) => self.add(entry, ledger),
            }
        }
        reader.close();
        Ok(Ok(()))
    }

    fn include(
        &mut self,
        entry: &Entry,
        path: &str,
        reader: &mut Reader<'_>,
        ledger: &mut Ledger,
    ) -> Result<(), ImportError> {
        let pattern = whole(parent(path), &entry.value);
        ledger.carried(&entry.place, "read");
        for file in reader.expand(&pattern) {
            if let Err(why) = self.file(&file, Some(&entry.place), reader, ledger)? {
                ledger.not_supported(&entry.place, format!("{file} cannot be read: {why}"));
            }
        }
        Ok(())
    }

    fn add(&mut self, entry: Entry, ledger: &mut Ledger) {
        let name = entry.section.clone().unwrap_or_default();
        let next = self.pools.len();
        let number = *self.by_name.entry(name.clone()).or_insert(next);
        if number == next {
            self.pools.push(Pool {
                name,
                entries: Vec::new(),
                is_used: false,
            });
        }
        let Some(pool) = self.pools.get_mut(number) else {
            return;
        };
        // Of two lines for the same thing php-fpm takes the later one; these two are lists.
        let is_list =
            ["access.suppress_path", "listen.allowed_clients"].contains(&entry.key.as_str());
        let same = |known: &Entry| known.key == entry.key && known.sub == entry.sub && !is_list;
        pool.entries.retain(|known| {
            let is_same = same(known);
            if is_same {
                ledger.not_needed(&known.place, "a later line of the same pool is what counts");
            }
            !is_same
        });
        pool.entries.push(entry);
    }

    /// Give a site what the pool says that its web server hands scripts to, at the place that names the address.
    pub(crate) fn join(
        &mut self,
        address: &str,
        place: &Place,
        draft: &mut Draft,
        ledger: &mut Ledger,
    ) {
        if let Some(number) = self.listening(address) {
            ledger.carried(
                place,
                "user and PHP settings of the pool that listens there",
            );
            self.apply(number, draft, ledger);
        } else if self.were_given {
            ledger.not_supported(
                place,
                "no pool that was read listens there; the site gets a user of its own",
            );
        } else {
            ledger.not_supported(place, "which user this is, a pool's file says: give it by --php-fpm; the site gets a user of its own");
        }
    }

    /// The pool that listens there, as a web server names it: `unix:/run/x.sock`, `127.0.0.1:9000`.
    fn listening(&self, address: &str) -> Option<usize> {
        self.by_listener.get(&listener(address, "/")).copied()
    }

    /// What a pool says of the site that it runs.
    fn apply(&mut self, number: usize, draft: &mut Draft, ledger: &mut Ledger) {
        let Some(pool) = self.pools.get_mut(number) else {
            return;
        };
        pool.is_used = true;
        for entry in &pool.entries {
            pool.apply(entry, draft, ledger);
        }
    }

    /// A site for each pool, where there is no web server's configuration.
    pub(crate) fn drafts(&mut self, ledger: &mut Ledger) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for number in 0..self.pools.len() {
            let pool = &self.pools[number];
            let Some(first) = pool.entries.first() else {
                continue;
            };
            let mut draft = Draft::new(&first.place);
            draft.name_hint = Some(pool.name.clone());
            self.apply(number, &mut draft, ledger);
            drafts.push(draft);
        }
        drafts
    }

    /// Say of the pools that nothing passes requests to what they are here.
    pub(crate) fn finish(&self, ledger: &mut Ledger) {
        for pool in self.pools.iter().filter(|pool| !pool.is_used) {
            for entry in &pool.entries {
                ledger.not_needed(
                    &entry.place,
                    format!(
                        "no server that was read passes requests to the pool {}",
                        pool.name
                    ),
                );
            }
        }
    }
}

impl Pool {
    fn value(&self, entry: &Entry) -> String {
        entry.value.replace("$pool", &self.name)
    }

    fn get(&self, key: &str) -> Option<String> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(self.value(entry))
    }

    fn listen(&self) -> Option<String> {
        let prefix = self.get("prefix").unwrap_or_else(|| "/".to_owned());
        self.get("listen").map(|listen| listener(&listen, &prefix))
    }

    fn apply(&self, entry: &Entry, draft: &mut Draft, ledger: &mut Ledger) {
        let value = self.value(entry);
        let place = &entry.place;
        match (entry.key.as_str(), entry.sub.as_deref()) {
            ("user", None) => {
                // What ran PHP is what counts, whatever else the web server's files say of users.
                if let Some(known) = draft.user.take().filter(|known| known.place != *place) {
                    if known.value == value {
                        ledger.not_needed(&known.place, "the pool says the same");
                    } else {
                        ledger.not_supported(
                            &known.place,
                            format!("PHP ran as {value}, which is the site's one user"),
                        );
                    }
                }
                // `finish` says what becomes of it.
                draft.user = Some(From::new(value, place));
            }
            ("group", None) => self.group(&value, place, ledger),
            ("request_terminate_timeout", None) => terminate(&value, place, draft, ledger),
            ("env", Some(name)) => {
                let (list, text) = directives::environment(name);
                ledger.note(place, list, text);
            }
            ("php_value" | "php_flag" | "php_admin_value" | "php_admin_flag", Some(name)) => {
                setting(name, value, &entry.key, place, draft, ledger);
            }
            ("security.limit_extensions", None)
                if draft.extensions.is_none() && draft.root.is_none() =>
            {
                let names = value
                    .split_whitespace()
                    .map(|name| name.trim_start_matches('.').to_owned());
                let names: Vec<String> = names
                    .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
                    .collect();
                draft.extensions = Some(names).filter(|names| !names.is_empty());
                ledger.carried(place, "script_extensions");
            }
            (key, _) => match directives::pool(key, &value) {
                Some((list, text)) => ledger.note(place, list, text),
                None => {
                    ledger.not_supported(place, "php-fpm's manual has no such directive for a pool")
                }
            },
        }
    }

    fn group(&self, group: &str, place: &Place, ledger: &mut Ledger) {
        let user = self.get("user").unwrap_or_default();
        if group == user || group.is_empty() {
            ledger.not_needed(place, "a site has the primary group of its user");
        } else {
            ledger.not_supported(
                place,
                format!("a site has the primary group of its user alone: where files need the group {group}, give them to the user's own"),
            );
        }
    }
}

/// A setting of PHP, from whatever server.
pub(crate) fn setting(
    name: &str,
    value: String,
    kind: &str,
    place: &Place,
    draft: &mut Draft,
    ledger: &mut Ledger,
) {
    draft.places.extend(php_values::places(name, &value));
    let setting = PhpSetting {
        value,
        is_flag: kind.ends_with("_flag"),
        is_admin: kind.starts_with("php_admin"),
        place: place.clone(),
    };
    if let Some(before) = draft
        .php
        .get(name)
        .filter(|before| before.place != setting.place)
    {
        // One that scripts may not change goes before one that they may.
        if before.is_admin && !setting.is_admin {
            ledger.not_needed(place, "another line locks this setting");
            return;
        }
        ledger.not_needed(
            &before.place,
            "another line for this setting is what counts",
        );
    }
    draft.php.insert(name.to_owned(), setting);
}

fn terminate(value: &str, place: &Place, draft: &mut Draft, ledger: &mut Ledger) {
    match directives::seconds(value) {
        Some(0) => ledger.not_supported(
            place,
            "a request has always a bound, 300 seconds if nothing is said: write 'request_seconds_max' where one takes longer",
        ),
        Some(seconds) if seconds <= SECONDS_MAX => {
            draft.request_seconds = Some(From::new(seconds, place));
            ledger.carried(place, "request_seconds_max");
        }
        Some(_) => {
            draft.request_seconds = Some(From::new(SECONDS_MAX, place));
            ledger.not_supported(place, "'request_seconds_max' is set to its largest value, one day");
        }
        None => ledger.not_supported(place, "this is no duration"),
    }
}

fn global(entry: &Entry, ledger: &mut Ledger) {
    match directives::global(&entry.key) {
        Some((list, text)) => ledger.note(&entry.place, list, text),
        None => ledger.not_supported(
            &entry.place,
            "php-fpm's manual has no such directive for [global]",
        ),
    }
}

/// An address in one form: a path, or a port of this host.
fn listener(address: &str, prefix: &str) -> String {
    let address = address.trim().trim_matches('"');
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_port(address) {
        return format!("port {address}");
    }
    let path = address.strip_prefix("unix:").unwrap_or(address);
    // As php-fpm tells them apart: what has a port behind a colon is none.
    if path.contains('/') || !path.contains(':') {
        let path = whole(prefix, path);
        // The same directory by its two names.
        return match path.strip_prefix("/var/run/") {
            Some(rest) => format!("/run/{rest}"),
            None => path,
        };
    }
    match address.rsplit_once(':') {
        Some((host, port)) if HERE.contains(&host) && is_port(port) => format!("port {port}"),
        _ => address.to_owned(),
    }
}

/// This host.
const HERE: [&str; 7] = [
    "127.0.0.1",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "localhost",
    "*",
    "",
];
/// A day, as hostel-config has it.
const SECONDS_MAX: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::super::ledger::List;
    use super::super::source::memory::Memory;
    use super::*;

    fn read(files: &[(&str, &str)], ledger: &mut Ledger) -> Result<Pools, ImportError> {
        let files = Memory::new(files);
        let mut reader = Reader::new(&files);
        Pools::read(&["/p/php-fpm.conf".to_owned()], &mut reader, ledger)
    }

    #[test]
    fn pools_are_found_by_their_sockets() {
        let mut ledger = Ledger::default();
        let text = "include = d/*.conf\n[a]\nuser = alice\nlisten = /var/run/php/$pool.sock\n[b]\nlisten = 9001\n";
        let c = "[c]\nprefix = /srv/$pool\nlisten = php.sock\n";
        let pools = read(
            &[("/p/php-fpm.conf", text), ("/p/d/c.conf", c)],
            &mut ledger,
        )
        .unwrap();
        assert_eq!(pools.listening("unix:/run/php/a.sock"), Some(1));
        assert_eq!(pools.listening("localhost:9001"), Some(2));
        assert_eq!(pools.listening("[::1]:9001"), Some(2));
        assert_eq!(pools.listening("unix:/srv/c/php.sock"), Some(0));
        assert_eq!(pools.listening("127.0.0.1:9000"), None);
    }

    #[test]
    fn a_loop_of_includes_is_an_error() {
        let error = read(
            &[("/p/php-fpm.conf", "include=/p/*.conf")],
            &mut Ledger::default(),
        )
        .unwrap_err();
        assert!(
            matches!(error, ImportError::Loop { line: 1, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_pool_fills_a_site() {
        let mut ledger = Ledger::default();
        let text = "[a]\nuser = alice\ngroup = web\nlisten = 1\nphp_value[x] = 1\nphp_admin_value[x] = 2\nrequest_terminate_timeout = 5m\nenv[KEY] = v\nenv[TMP] = /t\nnonsense = 1\npm.max_children = 1\npm.max_children = 2\n";
        let mut pools = read(&[("/p/php-fpm.conf", text)], &mut ledger).unwrap();
        let mut draft = Draft::new(&pools.pools[0].entries[0].place.clone());
        pools.apply(0, &mut draft, &mut ledger);
        assert_eq!(draft.user.map(|user| user.value), Some("alice".to_owned()));
        assert_eq!(draft.php["x"].value, "2");
        assert_eq!(
            draft.request_seconds.map(|seconds| seconds.value),
            Some(300)
        );
        let unsupported: Vec<u32> = ledger
            .of(List::NotSupported)
            .map(|(place, _)| place.line)
            .collect();
        assert_eq!(unsupported, [3, 8, 10]);
    }
}
