//! Which names promise a secret, which a log, and what is never served. Pure, but for the first bytes of what may be a key.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Whether a file of this path, relative to home, holds secrets as a rule. `open` is asked where only its beginning can tell.
pub(super) fn is_one(path: &[u8], open: impl FnOnce() -> io::Result<OwnedFd>) -> bool {
    let name = last(path).to_ascii_lowercase();
    let is_named = NAMES.iter().any(|known| name == known.as_bytes());
    let is_settings = name.starts_with(b".env.") || name.starts_with(b"wp-config.php.");
    let is_backup = BACKUPS
        .iter()
        .any(|ending| name.ends_with(ending.as_bytes()));
    let is_placed = PLACES.iter().any(|place| {
        let before = path.strip_suffix(place.as_bytes());
        before.is_some_and(|before| before.is_empty() || before.ends_with(b"/"))
    });
    if is_named || is_settings || is_backup || is_placed {
        return true;
    }
    // Certificates have the same endings as keys.
    let may_be_key = KEYS.iter().any(|ending| name.ends_with(ending.as_bytes()));
    may_be_key && open().is_ok_and(holds_key)
}

/// Whether it is a log by its name.
pub(super) fn is_log(path: &[u8]) -> bool {
    let name = last(path).to_ascii_lowercase();
    name.ends_with(b".log") || [&b"error_log"[..], b"access_log"].contains(&name.as_slice())
}

/// Whether front and keeper refuse a path beneath the document root to every visitor: hidden, or an editor's copy.
pub(super) fn is_never_served(below: &Path) -> bool {
    let bytes = below.as_os_str().as_bytes();
    let is_hidden = |name: &[u8]| name.starts_with(b".");
    let is_copy = COPIES
        .iter()
        .any(|ending| bytes.ends_with(ending.as_bytes()));
    bytes.split(|byte| *byte == b'/').any(is_hidden) || is_copy
}

fn holds_key(file: OwnedFd) -> bool {
    let mut start = Vec::new();
    let read = File::from(file)
        .take(KEY_LOOK_BYTES)
        .read_to_end(&mut start);
    read.is_ok() && start.windows(MARK.len()).any(|window| window == MARK)
}

fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Of applications and tools, in lower case.
const NAMES: [&str; 24] = [
    "wp-config.php",      // WordPress
    "configuration.php",  // Joomla
    "localsettings.php",  // MediaWiki
    "settings.local.php", // Drupal
    "config.inc.php",     // phpMyAdmin, Roundcube
    "parameters.yml",     // Symfony
    "parameters.php",     // PrestaShop
    "env.php",            // Magento
    "config.php",         // Nextcloud, phpBB, Moodle
    "local.php",          // DokuWiki
    "users.auth.php",     // DokuWiki
    "auth.json",          // Composer
    ".env",
    ".htpasswd",
    ".my.cnf",
    ".pgpass",
    ".netrc",
    ".npmrc",
    ".git-credentials",
    ".s3cfg",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
];
/// By the end of the path.
const PLACES: [&str; 5] = [
    ".git/config",
    ".svn/wc.db",
    ".aws/credentials",
    "app/etc/local.xml",
    "sites/default/settings.php",
];
const BACKUPS: [&str; 8] = [
    ".sql", ".sql.gz", ".sql.bz2", ".sql.xz", ".sql.zst", ".sql.zip", ".sqlite", ".dump",
];
const KEYS: [&str; 3] = [".pem", ".key", ".crt"];
const MARK: &[u8] = b"PRIVATE KEY-----";
/// A key file may begin with comments or a certificate's text.
const KEY_LOOK_BYTES: u64 = 64 * 1024;
/// As the keeper's `files` has them.
const COPIES: [&str; 7] = ["~", ".bak", ".old", ".orig", ".save", ".swo", ".swp"];

#[cfg(test)]
mod tests {
    use super::*;

    fn is_secret(path: &str) -> bool {
        is_one(path.as_bytes(), || Err(io::ErrorKind::NotFound.into()))
    }

    #[test]
    fn names_of_secrets_are_known() {
        for path in [
            "public/wp-config.php",
            "public/wp-config.php.bak",
            ".env",
            "app/.env.local",
            "public/.git/config",
            ".git/config",
            "backup/2024.SQL.gz",
            ".ssh/id_ed25519",
        ] {
            assert!(is_secret(path), "{path}");
        }
        for path in [
            "public/index.php",
            "a.git/config",
            "x.env",
            "key",
            "certs/ca.pem",
        ] {
            assert!(!is_secret(path), "{path}");
        }
    }

    #[test]
    fn a_certificate_is_no_key() {
        let path = std::env::temp_dir().join(format!("hostel-key-{}", std::process::id()));
        let holds = |text: &str| {
            std::fs::write(&path, text).unwrap();
            is_one(b"x.pem", || Ok(File::open(&path)?.into()))
        };
        assert!(!holds("-----BEGIN CERTIFICATE-----\n"));
        assert!(holds("-----BEGIN RSA PRIVATE KEY-----\n"));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_is_hidden_is_never_served() {
        for path in [".git/config", "a/.env", "wp-config.php.bak", "x.sql~"] {
            assert!(is_never_served(Path::new(path)), "{path}");
        }
        assert!(!is_never_served(Path::new("dump.sql")));
    }
}
