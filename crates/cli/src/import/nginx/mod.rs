//! nginx: its server blocks, and for each the pool of php-fpm that it passes scripts to.
//!
//! `lexer` and `parse` are the language, `blocks` tells server blocks apart, `server` is what one becomes, with its `pool`, `location` what its locations add, `script` what
//! answers for paths that lead to nothing, `known` what all other directives mean here.

mod blocks;
mod known;
pub(crate) mod lexer;
mod location;
pub(crate) mod parse;
mod pool;
pub(crate) mod script;
mod server;

use std::collections::BTreeMap;

use super::draft::Draft;
use super::ledger::Ledger;
use super::php_fpm::Pools;
use super::source::{ImportError, Reader, parent};
use super::tree::Directive;
use parse::Parser;
use server::{Around, Outcome};

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
    let mut tree = Vec::new();
    for path in paths {
        for file in reader.typed(path, &["nginx.conf"], "")? {
            let prefix = prefix(&file, reader);
            match Parser::new(reader, ledger, &prefix).file(&file, None, false)? {
                Ok(directives) => tree.extend(directives),
                Err(why) => return Err(ImportError::Read { path: file, why }),
            }
        }
    }
    Ok(drafts(&tree, pools, ledger))
}

fn drafts(tree: &[Directive], pools: &mut Pools, ledger: &mut Ledger) -> Vec<Draft> {
    let (mut drafts, mut redirects) = (Vec::new(), Vec::new());
    // A file of a site alone stands where http's block would be.
    let tops = std::iter::once(tree).chain(
        tree.iter()
            .filter(|one| one.is("http"))
            .map(Directive::children),
    );
    let upstreams = upstreams(tree);
    for top in tops {
        let around = Around {
            settings: top.iter().filter(|one| one.block.is_none()).collect(),
            upstreams: &upstreams,
        };
        for server in top
            .iter()
            .filter(|one| one.is("server") && one.block.is_some())
        {
            match server::read(server, &around, pools, ledger) {
                Outcome::Site(draft) => drafts.push(*draft),
                Outcome::Redirect(redirect) => redirects.push(redirect),
                Outcome::Nothing => {}
            }
        }
    }
    for redirect in redirects {
        redirect.place(&mut drafts, ledger);
    }
    note_rest(tree, ledger);
    drafts
}

/// Everything that no server block has looked at.
fn note_rest(directives: &[Directive], ledger: &mut Ledger) {
    for directive in directives {
        if let Some((list, text)) = known::verdict(directive) {
            ledger.otherwise(&directive.place, list, text);
        }
        note_rest(directive.children(), ledger);
    }
}

/// Upstreams by name: where their first server is.
fn upstreams(tree: &[Directive]) -> BTreeMap<String, &Directive> {
    let inner = tree
        .iter()
        .filter(|one| one.is("http"))
        .flat_map(|one| one.children());
    let all = tree.iter().chain(inner).filter(|one| one.is("upstream"));
    all.filter_map(|one| Some((one.arg()?.to_owned(), one)))
        .collect()
}

/// The directory that includes are relative to: that of nginx.conf, which is at or above the file.
fn prefix(file: &str, reader: &Reader<'_>) -> String {
    let mut directory = parent(file);
    loop {
        if reader
            .files
            .names(directory)
            .iter()
            .any(|name| name == "nginx.conf")
        {
            return directory.to_owned();
        }
        if directory == "/" || directory == "." {
            break;
        }
        directory = parent(directory);
    }
    let directory = parent(file);
    let known = [
        "/sites-enabled",
        "/sites-available",
        "/conf.d",
        "/vhosts.d",
        "/snippets",
    ];
    if known.iter().any(|end| directory.ends_with(end)) {
        return parent(directory).to_owned();
    }
    directory.to_owned()
}

#[cfg(test)]
mod tests;
