//! PHP settings that weaken a site: of php.ini with its conf.d, and of the site's own file, which comes after them.
//!
//! `.user.ini` and ini_set are the site's own affair: they change what PHP lets scripts change, for this site alone.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use hostel_config::{Server, Site};

use super::checks::Check;
use super::finding::Finding;
use super::shell;

/// A setting, the value that it should have, PHP's own default, and why.
struct Setting {
    name: &'static str,
    wanted: bool,
    default: bool,
    why: &'static str,
}

/// What php.ini says that weakens every site, and why two usual hardenings are no matter here.
pub(super) fn examine_host(server: &Server) -> Vec<Finding> {
    let ini = Ini::read(Path::new(&server.php_ini_directory));
    let mut findings: Vec<Finding> = SETTINGS
        .iter()
        .filter_map(|setting| ini.judge(setting))
        .collect();
    findings.extend(EXPLAINED.map(|text| Finding::new(Check::PhpExplained, text)));
    findings
}

/// What a site's own file says.
pub(super) fn examine(server: &Server, site: &Site) -> Vec<Finding> {
    let file = server.sites_directory.join(format!("{}.toml", site.name));
    let judge = |setting: &Setting| {
        let value = site
            .php_values
            .iter()
            .rev()
            .find(|value| value.name == setting.name)?;
        (is_on(&value.value) != setting.wanted).then(|| {
            let what = format!("{} = {}: {}", setting.name, value.value, setting.why);
            let path = file.display().to_string();
            let line = format!(
                "/^[[:space:]]*\"\\?{}\"\\?[[:space:]]*=/d",
                setting.name.replace('.', "\\.")
            );
            let command = format!(
                "sed -i {} {}",
                shell::word(line.as_bytes()),
                shell::word(path.as_bytes())
            );
            Finding::new(Check::PhpSetting, what)
                .mend(command)
                .path(path)
        })
    };
    SETTINGS.iter().chain(&OPCACHE).filter_map(judge).collect()
}

/// What php.ini and the files of conf.d say, the last one last.
struct Ini {
    /// Value and file of each setting.
    values: HashMap<String, (String, PathBuf)>,
    main: PathBuf,
}

impl Ini {
    fn read(directory: &Path) -> Self {
        let main = directory.join("php.ini");
        let listed = fs::read_dir(directory.join("conf.d"))
            .into_iter()
            .flatten()
            .flatten();
        let mut more: Vec<PathBuf> = listed.map(|entry| entry.path()).collect();
        more.retain(|path| path.extension().is_some_and(|extension| extension == "ini"));
        more.sort();
        let mut values = HashMap::new();
        for path in std::iter::once(main.clone()).chain(more) {
            let text = fs::read(&path).unwrap_or_default();
            for (name, value) in String::from_utf8_lossy(&text).lines().filter_map(parse) {
                values.insert(name.to_owned(), (value.to_owned(), path.clone()));
            }
        }
        Self { values, main }
    }

    fn judge(&self, setting: &Setting) -> Option<Finding> {
        let found = self.values.get(setting.name);
        let is_on = found.map_or(setting.default, |(value, _)| is_on(value));
        if is_on == setting.wanted {
            return None;
        }
        let name = setting.name;
        let wanted = if setting.wanted { "On" } else { "Off" };
        let (said, path, command) = match found {
            Some((value, path)) => {
                let path = path.clone();
                let edit = format!("s/^[[:space:]]*{name}[[:space:]]*=.*/{name} = {wanted}/");
                (
                    format!("{name} = {value}"),
                    path,
                    format!("sed -i {}", shell::word(edit.as_bytes())),
                )
            }
            None => {
                let edit = format!("$a {name} = {wanted}");
                let command = format!("sed -i {}", shell::word(edit.as_bytes()));
                (
                    format!("{name} is not set, and on by default"),
                    self.main.clone(),
                    command,
                )
            }
        };
        let path = path.display().to_string();
        let finding = Finding::new(Check::PhpSetting, format!("{said}: {}", setting.why));
        let command = format!("{command} {}", shell::word(path.as_bytes()));
        Some(finding.mend(command).path(path))
    }
}

/// `name = value ; comment`; sections and comments are nothing.
fn parse(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let value = value.trim();
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.split('"').next());
    Some((
        name,
        quoted.unwrap_or_else(|| value.split(';').next().unwrap_or_default().trim()),
    ))
}

/// As PHP reads a truth value; `stderr` and `stdout` of display_errors show errors too.
fn is_on(value: &str) -> bool {
    let value = value.trim().trim_matches('"').to_ascii_lowercase();
    let number = value.parse::<i64>().is_ok_and(|number| number != 0);
    number || ["on", "yes", "true", "stderr", "stdout"].contains(&value.as_str())
}

const SETTINGS: [Setting; 4] = [
    Setting {
        name: "allow_url_include",
        wanted: false,
        default: false,
        why: "a script that includes what a visitor names runs the visitor's code",
    },
    Setting {
        name: "display_errors",
        wanted: false,
        default: true,
        why: "visitors see paths, queries and sometimes passwords",
    },
    Setting {
        name: "enable_dl",
        wanted: false,
        default: true,
        why: "dl() loads machine code that the site has written past disable_functions",
    },
    Setting {
        name: "expose_php",
        wanted: false,
        default: true,
        why: "each answer tells PHP's version",
    },
];
/// Set by hostel-php for every site; only a site's own file can take them away.
const OPCACHE: [Setting; 2] = [
    Setting {
        name: "opcache.validate_permission",
        wanted: true,
        default: true,
        why: "Hostel sets it for every site; nothing is shared, so it costs little and protects little, but there is no reason to take it away",
    },
    Setting {
        name: "opcache.validate_root",
        wanted: true,
        default: true,
        why: "Hostel sets it for every site; nothing is shared, so it costs little and protects little, but there is no reason to take it away",
    },
];
/// What other guides ask for.
const EXPLAINED: [&str; 3] = [
    "open_basedir is not needed: PHP's own check of paths can be got around, while in a site's view other sites' files do not exist",
    "disable_functions is not needed: exec and its like run as the site's user, in the site's sandbox, without privileges",
    "opcache.validate_permission and opcache.validate_root guard caches that several users share; each site has an OPcache of its own, and both are set all the same",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_an_ini_file() {
        assert_eq!(
            parse("display_errors = On ; shown"),
            Some(("display_errors", "On"))
        );
        assert_eq!(parse("a.b=\"x ; y\" ; z"), Some(("a.b", "x ; y")));
        assert_eq!(parse("; display_errors = On"), None);
        assert_eq!(parse("[PHP]"), None);
        assert_eq!(
            parse("error_prepend_string = \"<span style='x=y'>\""),
            Some(("error_prepend_string", "<span style='x=y'>"))
        );
    }

    #[test]
    fn what_counts_as_on() {
        for on in ["1", "On", "yes", "TRUE", "stderr", "\"1\""] {
            assert!(is_on(on), "{on}");
        }
        for off in ["", "0", "off", "No", "none"] {
            assert!(!is_on(off), "{off}");
        }
    }

    #[test]
    fn the_last_file_decides_and_a_default_counts() {
        let directory = std::env::temp_dir().join(format!("hostel-ini-{}", std::process::id()));
        fs::create_dir_all(directory.join("conf.d")).unwrap();
        fs::write(
            directory.join("php.ini"),
            "enable_dl = On\nexpose_php = Off\ndisplay_errors=0\n",
        )
        .unwrap();
        fs::write(
            directory.join("conf.d/20-x.ini"),
            "enable_dl = Off\nexpose_php = On\n",
        )
        .unwrap();
        let ini = Ini::read(&directory);
        let found: Vec<_> = SETTINGS
            .iter()
            .filter_map(|setting| ini.judge(setting))
            .collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.starts_with("expose_php = On"));
        assert!(found[0].paths[0].ends_with("20-x.ini"));
        fs::remove_dir_all(&directory).unwrap();
        let found = Ini::read(&directory);
        assert!(
            SETTINGS
                .iter()
                .filter_map(|setting| found.judge(setting))
                .count()
                == 3
        );
    }
}
