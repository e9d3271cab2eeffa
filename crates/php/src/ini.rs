//! The layers of PHP's settings, made of a site's settings.
//!
//! Run by the zygote before PHP starts. From below: defaults that php.ini may override (in the shim), php.ini and its conf.d, what
//! a site in a view of its own needs, the site's own values; then .user.ini and ini_set, which cannot change what is locked. The
//! values come from a file of root, so this guards against mistakes, not attacks.

use std::ffi::{CString, NulError};
use std::fmt::Write as _;

use hostel_wire::monitor_keeper::SiteSettings;
use hostel_wire::view;

/// A setting of the site that cannot be passed to PHP.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IniError {
    /// A name that php.ini could not have.
    #[error("PHP setting '{0}': a name has letters, digits, '_', '.' and '-' only")]
    Name(String),
    /// A value that cannot stand on one line.
    #[error("PHP setting '{0}': its value has a line break")]
    Value(String),
    /// A value that C cannot hold.
    #[error("PHP settings hold a NUL byte")]
    Nul(#[from] NulError),
}

/// What PHP is started with.
#[derive(Debug)]
pub(crate) struct Ini {
    /// Lines as php.ini has them, read after it.
    pub(crate) entries: CString,
    /// Settings that scripts and .user.ini must not change.
    pub(crate) locked: Vec<CString>,
    /// Lists that only add to those of php.ini.
    pub(crate) disabled_functions: Vec<CString>,
    pub(crate) disabled_classes: Vec<CString>,
    /// Where OPcache's file cache may stand; empty for none. It is no line, since it has to be looked at first.
    pub(crate) file_cache: String,
}

impl Ini {
    pub(crate) fn new(settings: &SiteSettings) -> Result<Self, IniError> {
        let mut entries = String::new();
        for (name, value) in OURS {
            line(&mut entries, name, value);
        }
        let mut locked = Vec::new();
        let (mut disabled_functions, mut disabled_classes) = (Vec::new(), Vec::new());
        let mut file_cache = view::OPCACHE.to_owned();
        for setting in &settings.php_values {
            let name = setting.name.as_str();
            let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_name_byte) {
                return Err(IniError::Name(name.to_owned()));
            }
            if setting.value.contains(['\n', '\r']) {
                return Err(IniError::Value(name.to_owned()));
            }
            match name {
                "disable_functions" => disabled_functions.push(CString::new(&*setting.value)?),
                "disable_classes" => disabled_classes.push(CString::new(&*setting.value)?),
                "opcache.file_cache" => file_cache.clone_from(&setting.value),
                // Lists that are read while PHP starts and that are no settings afterwards.
                "extension" | "zend_extension" => line(&mut entries, name, &setting.value),
                _ => {
                    line(&mut entries, name, &setting.value);
                    if setting.admin {
                        locked.push(CString::new(name)?);
                    }
                }
            }
        }
        Ok(Self {
            entries: CString::new(entries)?,
            locked,
            disabled_functions,
            disabled_classes,
            file_cache,
        })
    }
}

fn line(entries: &mut String, name: &str, value: &str) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_ .,:/+-".contains(&byte);
    // Constants count outside of quotes alone; anything else could mean something there, or nothing, which would end PHP's
    // reading of all that follows.
    let written = if value.bytes().all(is_plain) || is_expression(value) || is_quoted(value) {
        writeln!(entries, "{name}={value}")
    } else {
        let escaped = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('$', "\\$");
        writeln!(entries, "{name}=\"{escaped}\"")
    };
    // Writing to a String cannot fail.
    debug_assert!(written.is_ok());
}

/// Whether this is of constants, such as `E_ALL & ~E_NOTICE`.
fn is_expression(value: &str) -> bool {
    value.split(['&', '|', '^']).all(|operand| {
        let word = operand.trim_start_matches([' ', '~', '!']).trim_end();
        let is_constant = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
        (word.starts_with("E_") && word.bytes().all(is_constant))
            || (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// Whether this is one text in quotes already.
fn is_quoted(value: &str) -> bool {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.is_some_and(|inner| !inner.contains(['"', '\\']))
}

/// What a site in its own view needs, whatever php.ini says; the site's own values come after it. Sessions are not among it:
/// Debian's PHP keeps them in `view::SESSIONS` unless told otherwise, and each site has a directory of its own there.
const OURS: &[(&str, &str)] = &[
    ("opcache.lockfile_path", view::LOCKS),
    // A file that was cut short, by a host that went down, is noticed and its script compiled anew.
    ("opcache.file_cache_consistency_checks", "1"),
    // They guard a cache that several users or roots share. Nothing is shared here, and they cost next to nothing.
    ("opcache.validate_permission", "1"),
    ("opcache.validate_root", "1"),
    // A setuid or setgid program, which the usual ones are, gains nothing in a sandbox.
    ("sendmail_path", SENDMAIL),
    // Which script has sent a message; the mail broker's log has it too.
    ("mail.add_x_header", "1"),
    // Debian's cron job cleans up the sessions of the whole host only, so PHP has to do it here.
    ("session.gc_probability", "1"),
    ("session.gc_divisor", "1000"),
];

/// Recipients are in the message, and a dot on a line of its own is part of it.
const SENDMAIL: &str = "/run/hostel/bin/hostel-sendmail -t -i";

#[cfg(test)]
mod tests {
    use super::*;
    use hostel_wire::monitor_keeper::PhpValue;

    fn ini(values: &[(&str, &str, bool)]) -> Result<Ini, IniError> {
        let value = |(name, value, admin): &(&str, &str, bool)| PhpValue {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            admin: *admin,
        };
        Ini::new(&SiteSettings {
            name: "blog".into(),
            user: "blog".into(),
            home: "/srv/blog".into(),
            root: "/srv/blog/public".into(),
            index: vec![],
            script_extensions: vec!["php".into()],
            front_controller: String::new(),
            foreign_owners: false,
            group_is_own: true,
            php_ini_directory: "/etc/php/8.2/embed".into(),
            requests_per_worker: 0,
            fresh: hostel_wire::fresh::Fresh::Off,
            temporary_bytes_max: 0,
            php_values: values.iter().map(value).collect(),
        })
    }

    #[test]
    fn constants_stay_bare_and_everything_else_is_quoted() {
        let ini = ini(&[
            ("error_reporting", "E_ALL & ~E_NOTICE", false),
            ("mail.x", "a;b \"$c\"", false),
            ("include_path", ".:/srv/x (old)", false),
        ])
        .unwrap();
        let entries = ini.entries.to_str().unwrap();
        assert!(
            entries.contains("\nerror_reporting=E_ALL & ~E_NOTICE\n"),
            "{entries}"
        );
        assert!(
            entries.contains("\nmail.x=\"a;b \\\"\\$c\\\"\"\n"),
            "{entries}"
        );
        assert!(
            entries.ends_with("\ninclude_path=\".:/srv/x (old)\"\n"),
            "{entries}"
        );
    }

    #[test]
    fn a_value_that_would_end_the_reading_is_quoted() {
        for value in [
            "&", "a!b", "p(w", "E_ALL &", "a b & c", "\"a\"b\"", "\"a\\\"",
        ] {
            let ini = ini(&[("x", value, true)]).unwrap();
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            let entries = ini.entries.to_str().unwrap();
            assert!(
                entries.ends_with(&format!("\nx=\"{escaped}\"\n")),
                "{entries}"
            );
        }
        for value in ["E_ALL & ~E_NOTICE", "E_ALL|E_STRICT", "1 ^ 2", "\"a b\""] {
            let ini = ini(&[("x", value, true)]).unwrap();
            let entries = ini.entries.to_str().unwrap();
            assert!(entries.ends_with(&format!("\nx={value}\n")), "{entries}");
        }
    }

    #[test]
    fn only_values_of_the_administrator_are_locked() {
        let ini = ini(&[
            ("a", "1", true),
            ("b", "1", false),
            ("extension", "x", true),
        ])
        .unwrap();
        assert_eq!(ini.locked, [CString::new("a").unwrap()]);
    }

    #[test]
    fn lists_that_only_add_do_not_replace_php_ini() {
        let ini = ini(&[("disable_functions", "exec, system", true)]).unwrap();
        assert!(!ini.entries.to_str().unwrap().contains("disable_functions"));
        assert_eq!(ini.disabled_functions.len(), 1);
    }

    #[test]
    fn the_file_cache_is_no_line_and_can_be_switched_off() {
        assert_eq!(ini(&[]).unwrap().file_cache, view::OPCACHE);
        let ini = ini(&[("opcache.file_cache", "", true)]).unwrap();
        assert_eq!(ini.file_cache, "");
        assert!(
            !ini.entries
                .to_str()
                .unwrap()
                .contains("opcache.file_cache=")
        );
    }

    #[test]
    fn mail_goes_to_the_program_of_the_view() {
        assert_eq!(SENDMAIL, format!("{} -t -i", view::SENDMAIL));
    }

    #[test]
    fn a_setting_cannot_become_two() {
        assert!(matches!(
            ini(&[("a", "1\nb=2", false)]),
            Err(IniError::Value(_))
        ));
        assert!(matches!(
            ini(&[("a=1;", "1", false)]),
            Err(IniError::Name(_))
        ));
        assert!(matches!(ini(&[("a", "1\0", false)]), Err(IniError::Nul(_))));
    }
}
