//! Which files a virtual host runs by PHP, and by which pool.

use super::super::pattern;
use super::super::source::Place;
use super::super::tree::Directive;
use super::host::Reading;

impl Reading<'_, '_> {
    /// `SetHandler`, for the files of this pattern or for all.
    pub(super) fn handler(&mut self, directive: &Directive, files: Option<&str>) {
        let place = &directive.place;
        let handler = directive.arg().unwrap_or_default();
        if let Some(address) = handler.strip_prefix("proxy:") {
            self.scripts(files, place);
            self.pass(address, place);
        } else if ["php", "fcgid-script", "fastcgi-script"]
            .iter()
            .any(|word| handler.contains(word))
        {
            self.scripts(files, place);
            self.ledger.carried(place, "script_extensions");
        } else {
            self.ledger.not_supported(place, "nothing but PHP is run");
        }
    }

    /// Files of this pattern are scripts.
    pub(super) fn scripts(&mut self, files: Option<&str>, place: &Place) {
        let Some(files) = files else {
            if self.extensions.is_empty() {
                self.extensions.push("php".to_owned());
            }
            return;
        };
        let found = pattern::extensions(files).or_else(|| {
            let extension = files
                .rsplit_once("*.")
                .map(|(_, extension)| extension.trim_end_matches('$'))?;
            let is_plain =
                !extension.is_empty() && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
            is_plain.then(|| vec![extension.to_ascii_lowercase()])
        });
        match found {
            Some(names) => self.add_extensions(names),
            None => self.ledger.not_supported(
                place,
                "which files it runs by PHP is not known from its pattern; see 'script_extensions'",
            ),
        }
    }

    pub(super) fn add_extensions(&mut self, names: Vec<String>) {
        for name in names {
            let is_plain =
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if is_plain && !self.extensions.contains(&name) && self.extensions.len() < 16 {
                self.extensions.push(name);
            }
        }
    }

    pub(super) fn add_handler(&mut self, directive: &Directive) {
        let kind = directive.arg().unwrap_or_default();
        let is_php = ["php", "fcgid-script", "fastcgi-script"]
            .iter()
            .any(|word| kind.contains(word))
            && !kind.contains("source");
        if !is_php {
            self.other(directive);
            return;
        }
        self.ledger.carried(&directive.place, "script_extensions");
        let names = directive
            .args
            .iter()
            .skip(1)
            .map(|name| name.trim_start_matches('.').to_ascii_lowercase());
        self.add_extensions(names.collect());
    }

    /// `ProxyPassMatch` to a pool; to anything else Hostel passes nothing.
    pub(super) fn proxy(&mut self, directive: &Directive) {
        let place = &directive.place;
        let (path, target) = match &directive.args[..] {
            [path, target, ..] => (path.as_str(), target.as_str()),
            _ => ("", directive.arg().unwrap_or_default()),
        };
        if target == "!" {
            self.ledger
                .not_needed(place, "Hostel passes no requests on");
        } else if target.contains("fcgi://") {
            let is_regex = directive.is("ProxyPassMatch");
            if is_regex && pattern::names_scripts(path) {
                self.ledger.not_supported(place, "only these scripts ran there; here every file runs that has an extension of 'script_extensions'");
            }
            self.scripts(Some(path).filter(|_| is_regex), place);
            self.pass(target, place);
        } else {
            self.ledger
                .not_supported(place, "Hostel passes no requests on; keep Apache for this");
        }
    }

    pub(super) fn external(&mut self, directive: &Directive) {
        let value = |option: &str| {
            let at = directive.args.iter().position(|arg| arg == option)?;
            directive.args.get(at + 1)
        };
        match value("-socket").or_else(|| value("-host")) {
            Some(address) => self.pass(&address.clone(), &directive.place),
            None => self.other(directive),
        }
    }

    /// `unix:/run/x.sock|fcgi://localhost`, `fcgi://127.0.0.1:9000/srv/x/$1`, or the name of a `<Proxy>`: the pool.
    pub(super) fn pass(&mut self, written: &str, place: &Place) {
        let address = match written.split_once('|') {
            Some((socket, _)) => socket.to_owned(),
            None => match self.around.proxies.get(written.trim_end_matches('/')) {
                Some(socket) => socket.clone(),
                None => {
                    let behind = written.strip_prefix("fcgi://").unwrap_or(written);
                    let is_socket = behind.starts_with('/') || behind.starts_with("unix:");
                    if is_socket {
                        behind
                    } else {
                        behind.split('/').next().unwrap_or_default()
                    }
                    .to_owned()
                }
            },
        };
        if self.pool.as_ref().is_some_and(|known| *known != address) {
            self.ledger.not_supported(
                place,
                "a site has one user and one PHP; make a site of its own for the other pool",
            );
            return;
        }
        self.pool = Some(address.clone());
        self.pools
            .join(&address, place, &mut self.draft, self.ledger);
    }
}
