//! Apache 2.4: its virtual hosts, by whichever module they run as a user of their own.
//!
//! `parse` is the language, `host` what a virtual host becomes, with its `sections` and `scripts`, `rewrite` its rules, `known` what all other directives mean here.
//! `.htaccess` files are not read: they lie in homes, and are the sites' own.

mod host;
mod known;
pub(crate) mod parse;
mod rewrite;
mod scripts;
mod sections;

use std::collections::BTreeMap;

use super::draft::Draft;
use super::ledger::Ledger;
use super::php_fpm::Pools;
use super::source::{ImportError, Reader, parent};
use super::tree::Directive;
use host::{Around, Outcome};
use parse::Parser;

/// The sites of these files.
///
/// # Errors
/// See [`ImportError`].
pub(crate) fn read(
    paths: &[String],
    reader: &mut Reader<'_>,
    pools: &mut Pools,
    ledger: &mut Ledger,
) -> Result<Vec<Draft>, ImportError> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(reader.typed(path, &MAIN, "")?);
    }
    let server_root = files.first().map_or_else(
        || "/etc/apache2".to_owned(),
        |file| server_root(file, reader),
    );
    let mut tree = Vec::new();
    let mut parser = Parser::new(reader, ledger, &server_root);
    for path in files {
        match parser.file(&path, None)? {
            Ok(directives) => tree.extend(directives),
            Err(why) => return Err(ImportError::Read { path, why }),
        }
    }
    let modules = std::mem::take(&mut parser.modules);
    let hosts: Vec<&Directive> = tree.iter().filter(|one| one.is("VirtualHost")).collect();
    let around = Around {
        settings: tree.iter().filter(|one| !one.is("VirtualHost")).collect(),
        proxies: proxies(&tree),
        knows_modules: !modules.is_empty(),
        has_php_module: modules.iter().any(|name| name.starts_with("php")),
    };
    let (mut drafts, mut redirects) = (Vec::new(), Vec::new());
    for virtual_host in hosts {
        match host::read(virtual_host, &around, pools, ledger) {
            Outcome::Site(draft) => drafts.push(*draft),
            Outcome::Redirect(redirect) => redirects.push(redirect),
            Outcome::Nothing => {}
        }
    }
    // The server outside of all virtual hosts is a site only where there are none.
    if drafts.is_empty() && redirects.is_empty() {
        drafts.extend(host::main(&around, pools, ledger));
    }
    for redirect in redirects {
        redirect.place(&mut drafts, ledger);
    }
    note_rest(&tree, ledger);
    Ok(drafts)
}

/// Everything that no virtual host has looked at.
fn note_rest(directives: &[Directive], ledger: &mut Ledger) {
    for directive in directives {
        // Of what is beneath `/` alone, a site sees nothing.
        let is_of_root = directive.is("Directory") && directive.arg() == Some("/");
        if is_of_root {
            for child in directive.children() {
                ledger.not_needed(&child.place, "a site sees its home alone");
            }
        }
        if let Some((list, text)) = known::verdict(directive) {
            ledger.otherwise(&directive.place, list, text);
        }
        note_rest(directive.children(), ledger);
    }
}

/// `<Proxy "unix:/run/x.sock|fcgi://name">`: the socket by its name.
fn proxies(tree: &[Directive]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for directive in tree {
        if directive.is("Proxy")
            && let Some((socket, name)) = directive.arg().and_then(|arg| arg.split_once('|'))
        {
            found.insert(name.trim_end_matches('/').to_owned(), socket.to_owned());
        }
        found.extend(proxies(directive.children()));
    }
    found
}

/// The directory that includes are relative to: that of the main file, which is at or above the file.
fn server_root(file: &str, reader: &Reader<'_>) -> String {
    let mut directory = parent(file);
    loop {
        let names = reader.files.names(directory);
        if names.iter().any(|name| MAIN.contains(&name.as_str())) {
            // Red Hat: /etc/httpd/conf/httpd.conf
            let is_inner = directory.ends_with("/conf");
            return if is_inner {
                parent(directory)
            } else {
                directory
            }
            .to_owned();
        }
        if directory == "/" || directory == "." {
            return "/etc/apache2".to_owned();
        }
        directory = parent(directory);
    }
}

const MAIN: [&str; 2] = ["apache2.conf", "httpd.conf"];

#[cfg(test)]
mod tests;
