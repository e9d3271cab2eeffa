//! PHP settings of other servers: which of them a site's file has, and which have no meaning here.

use hostel_wire::limits;

use super::draft::PhpSetting;
use super::homes::holds;
use super::source::parent;

/// What becomes of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As TOML.
    Carried(String),
    NotNeeded(&'static str),
    NotSupported(String),
}

/// Judge a setting of a site with this home; `shares` if another site has the same user.
pub(crate) fn judge(name: &str, setting: &PhpSetting, home: &str, shares: bool) -> Verdict {
    let value = setting.value.trim();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || name.len() > limits::PHP_NAME_BYTES_MAX || !name.bytes().all(allowed) {
        return Verdict::NotSupported("this is no name of a PHP setting".to_owned());
    }
    if value.len() > limits::PHP_VALUE_BYTES_MAX || value.chars().any(char::is_control) {
        return Verdict::NotSupported(
            "the value is too long or holds control characters".to_owned(),
        );
    }
    if GONE.contains(&name) {
        return Verdict::NotNeeded("PHP 8 has no such setting");
    }
    match name {
        "extension" | "zend_extension" => Verdict::NotSupported(
            "modules are the same for all sites: phpenmod, or another 'php_ini' in hostel.toml"
                .to_owned(),
        ),
        "open_basedir" if !shares => {
            Verdict::NotNeeded("a site sees nothing but its home and the system's programs")
        }
        "session.save_path" if !is_path(value) => carried(setting),
        "session.save_path" | "upload_tmp_dir" | "sys_temp_dir" | "soap.wsdl_cache_dir" => {
            inside_or(
                value,
                home,
                setting,
                "a site has its own sessions and its own /tmp",
            )
        }
        "error_log" | "mail.log" | "xdebug.log" | "xdebug.output_dir" => inside_or(
            value,
            home,
            setting,
            "what PHP says is in the site's error.log",
        ),
        "opcache.file_cache" => inside_or(
            value,
            home,
            setting,
            "OPcache has a directory of the site's own",
        ),
        "opcache.lockfile_path" | "opcache.validate_permission" | "opcache.validate_root" => {
            Verdict::NotNeeded("no OPcache is shared")
        }
        "auto_prepend_file" | "auto_append_file" if !can_be_seen(value, home) => {
            Verdict::NotSupported(format!(
                "{value} is outside of the site's home {home}; copy it there and set '{name}' in [php.value]"
            ))
        }
        _ => carried(setting),
    }
}

/// Directories in the value of `open_basedir`, `session.save_path` and others, by which a home is found.
pub(crate) fn places(name: &str, value: &str) -> Vec<String> {
    let is_list = name == "open_basedir";
    if !is_list && !["session.save_path", "upload_tmp_dir", "error_log"].contains(&name) {
        return Vec::new();
    }
    let parts = value
        .split(':')
        .map(str::trim)
        .filter(|part| part.starts_with('/'));
    let place = |part: &str| {
        let path = part.trim_end_matches('/');
        if name == "error_log" {
            parent(path)
        } else {
            path
        }
        .to_owned()
    };
    parts.map(place).collect()
}

fn inside_or(value: &str, home: &str, setting: &PhpSetting, otherwise: &'static str) -> Verdict {
    let path = value.rsplit(';').next().unwrap_or(value);
    if holds(home, path) {
        carried(setting)
    } else {
        Verdict::NotNeeded(otherwise)
    }
}

/// `3;/path` is one too; `tcp://…` is none.
fn is_path(value: &str) -> bool {
    value
        .rsplit(';')
        .next()
        .is_some_and(|path| path.starts_with('/'))
}

fn can_be_seen(value: &str, home: &str) -> bool {
    !value.starts_with('/') || holds(home, value) || holds("/usr", value)
}

fn carried(setting: &PhpSetting) -> Verdict {
    let value = setting.value.trim();
    if !setting.is_flag {
        return Verdict::Carried(super::toml::string(value));
    }
    let on = ["1", "on", "yes", "true"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word));
    Verdict::Carried(on.to_string())
}

/// What panels still write.
const GONE: [&str; 14] = [
    "allow_call_time_pass_reference",
    "magic_quotes_gpc",
    "magic_quotes_runtime",
    "mysql.allow_persistent",
    "register_globals",
    "register_long_arrays",
    "safe_mode",
    "safe_mode_exec_dir",
    "safe_mode_gid",
    "safe_mode_include_dir",
    "sql.safe_mode",
    "suhosin.executor.func.blacklist",
    "suhosin.session.encrypt",
    "track_errors",
];

#[cfg(test)]
mod tests {
    use super::super::source::Place;
    use super::*;

    fn verdict(name: &str, value: &str, is_flag: bool) -> Verdict {
        let place = Place {
            file: "f".into(),
            line: 1,
            number: 0,
        };
        let setting = PhpSetting {
            value: value.to_owned(),
            is_flag,
            is_admin: true,
            place,
        };
        judge(name, &setting, "/home/a", false)
    }

    #[test]
    fn settings_are_carried_unless_they_have_no_meaning_here() {
        let is = |text: &str| Verdict::Carried(text.to_owned());
        assert_eq!(verdict("memory_limit", "256M", false), is("\"256M\""));
        assert_eq!(verdict("display_errors", "Off", true), is("false"));
        assert_eq!(verdict("log_errors", "1", true), is("true"));
        assert_eq!(
            verdict("error_log", "/home/a/log/php.log", false),
            is("\"/home/a/log/php.log\"")
        );
        assert_eq!(
            verdict("session.save_path", "tcp://127.0.0.1:6379", false),
            is("\"tcp://127.0.0.1:6379\"")
        );
        assert_eq!(
            verdict("session.save_path", "2;/home/a/s", false),
            is("\"2;/home/a/s\"")
        );
        for (name, value) in [
            ("open_basedir", "/home/a:/tmp"),
            ("session.save_path", "/var/lib/php/a"),
            ("error_log", "/var/log/php/a.log"),
            ("safe_mode", "off"),
        ] {
            assert!(
                matches!(verdict(name, value, false), Verdict::NotNeeded(_)),
                "{name}"
            );
        }
        for (name, value) in [
            ("extension", "redis.so"),
            ("auto_prepend_file", "/etc/waf.php"),
            ("a b", "1"),
            ("x", "a\nb"),
        ] {
            assert!(
                matches!(verdict(name, value, false), Verdict::NotSupported(_)),
                "{name}"
            );
        }
    }

    #[test]
    fn directories_are_found_in_values() {
        assert_eq!(
            places("open_basedir", "/home/a/web/:/tmp:."),
            ["/home/a/web", "/tmp"]
        );
        assert_eq!(places("error_log", "/home/a/log/x.log"), ["/home/a/log"]);
        assert!(places("memory_limit", "/x").is_empty());
    }
}
