//! The pool of php-fpm that a server passes scripts to, and what it passes with them.

use super::super::php_fpm;
use super::super::tree::Directive;
use super::known;
use super::server::Reading;

impl Reading<'_, '_> {
    /// `fastcgi_pass`: the pool.
    pub(crate) fn pass(&mut self, directive: &Directive) {
        let place = &directive.place;
        let mut address = self.resolved(directive.arg().unwrap_or_default());
        if let Some(upstream) = self.around.upstreams.get(&address) {
            self.ledger
                .carried(&upstream.place, "the pool that listens there");
            let mut servers = upstream.children().iter().filter(|one| one.is("server"));
            if let Some(server) = servers.next() {
                self.ledger
                    .carried(&server.place, "the pool that listens there");
                address = server.arg().unwrap_or_default().to_owned();
            }
            for server in servers {
                self.ledger
                    .not_needed(&server.place, "a site has one pool of workers");
            }
        }
        if let Some(known) = self.pool.as_ref().filter(|known| **known != address) {
            self.ledger.not_supported(place, format!("a site has one user and one PHP, here those of {known}; make a site of its own for the other pool"));
            return;
        }
        self.pool = Some(address.clone());
        self.pools
            .join(&address, place, &mut self.draft, self.ledger);
    }

    pub(crate) fn parameter(&mut self, directive: &Directive) {
        let place = &directive.place;
        let (Some(name), Some(value)) = (directive.args.first(), directive.args.get(1)) else {
            self.ledger.not_supported(place, "has no value");
            return;
        };
        match name.as_str() {
            "PHP_VALUE" | "PHP_ADMIN_VALUE" => {
                let kind = if name == "PHP_VALUE" { "php_value" } else { "php_admin_value" };
                for line in value.lines() {
                    if let Some((name, value)) = line.split_once('=') {
                        let value = value.trim().trim_matches('"').to_owned();
                        php_fpm::setting(name.trim(), value, kind, place, &mut self.draft, self.ledger);
                    }
                }
            }
            "HTTPS" if value != "on" => self.ledger.not_needed(place, "PHP has it by itself"),
            "HTTPS" => self.ledger.not_supported(place, known::NO_TLS),
            name if known::PARAMETERS.contains(&name) => self.ledger.not_needed(place, "PHP has it by itself"),
            _ => self.ledger.not_supported(
                place,
                "a site has no environment variables of its own; put this into the application's configuration (.env, config.php)",
            ),
        }
    }

    pub(super) fn set(&mut self, directive: &Directive) {
        if let (Some(name), Some(value)) = (directive.args.first(), directive.args.get(1)) {
            let value = self.resolved(value);
            self.variables.insert(name.clone(), value);
            self.ledger
                .not_needed(&directive.place, "put in where it is used");
        }
    }

    /// With the variables that were set to fixed text.
    pub(super) fn resolved(&self, text: &str) -> String {
        let mut text = text.replace("${", "$").replace('}', "");
        // Longest first, so that `$a` does not take the beginning of `$ab`.
        let mut names: Vec<&String> = self.variables.keys().collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        for name in names {
            let value = &self.variables[name];
            if text.len().saturating_add(value.len()) < TEXT_MAX {
                text = text.replacen(name.as_str(), value, 1);
            }
        }
        text
    }
}

/// Variables that hold variables grow.
const TEXT_MAX: usize = 4096;
