//! What other servers' configurations become: Hostel's site files, and a report of every directive.
//!
//! Run by whoever types `hostel import`. The files are read as that user, and their text is taken as untrusted: includes are bounded in
//! depth, number and size, and a loop is an error. Nothing of it is executed or looked up on the network. Nothing here prints or writes.
//!
//! - `source`: the files, by way of a trait so that tests have theirs in memory; `glob`: which ones a pattern means.
//! - `tree`: directives as nginx and Apache have them; `ledger`: in which of three lists each one is; `report`: the lists as text.
//! - `nginx`, `apache`, `php_fpm`: a parser each, and what the directives mean here. `pattern`: the few regular expressions that matter.
//! - `draft`: a site while it is put together; `redirect`: servers that are none; `homes`, `names`, `finish`: drafts → site files; `toml`: their text;
//!   `verify`: that hostel-config takes them.

pub(crate) mod apache;
pub(crate) mod draft;
pub(crate) mod finish;
mod glob;
mod homes;
pub(crate) mod ledger;
mod names;
pub(crate) mod nginx;
pub(crate) mod pattern;
pub(crate) mod php_fpm;
mod php_values;
mod redirect;
pub(crate) mod report;
pub(crate) mod source;
mod toml;
mod tree;
pub(crate) mod verify;

use hostel_config::UserLookUp;

use draft::Draft;
use finish::SiteFile;
use ledger::Ledger;
use php_fpm::Pools;
use source::{Files, ImportError, Reader};

/// Which configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// nginx, with pools of php-fpm where given.
    Nginx,
    /// Apache 2.4, with pools of php-fpm where given.
    Apache,
    /// Pools alone: users and settings of PHP, without domains.
    PhpFpm,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Imported {
    /// By name.
    pub(crate) sites: Vec<SiteFile>,
    /// Every directive.
    pub(crate) ledger: Ledger,
}

/// Read the configurations at these paths, and what they become.
///
/// # Errors
/// A file that was named cannot be read, is not understood, or includes itself.
pub(crate) fn import(
    server: Server,
    paths: &[String],
    php_fpm: &[String],
    files: &dyn Files,
    users: &dyn UserLookUp,
) -> Result<Imported, ImportError> {
    let mut ledger = Ledger::default();
    let mut reader = Reader::new(files);
    let pool_paths = if server == Server::PhpFpm {
        paths
    } else {
        php_fpm
    };
    let mut pools = Pools::read(pool_paths, &mut reader, &mut ledger)?;
    let drafts: Vec<Draft> = match server {
        Server::Nginx => nginx::read(paths, &mut reader, &mut pools, &mut ledger)?,
        Server::Apache => apache::read(paths, &mut reader, &mut pools, &mut ledger)?,
        Server::PhpFpm => pools.drafts(&mut ledger),
    };
    pools.finish(&mut ledger);
    let sites = finish::finish(drafts, users, &mut ledger);
    ledger.close();
    Ok(Imported { sites, ledger })
}

#[cfg(test)]
mod tests;
