//! The table `[mail]` of hostel.toml, and how much a site may send.

use std::net::IpAddr;
use std::path::Path;

use hostel_wire::limits;
use hostel_wire::monitor_mail::{Login, Relay, Security};

use crate::check::fine;
use crate::defaults;
use crate::errors::{Fault, Report};
use crate::files;
use crate::paths;
use crate::raw::RawSite;
use crate::read::{At, RawMail};
use crate::site::within;
use crate::table::{Mail, MailRate};
use crate::users::{self, UserLookUp};

/// The values, once each is known to be a string of a known key.
#[derive(Default)]
struct Given([Option<(String, u32)>; KEYS.len()]);

impl Given {
    fn take(&mut self, key: &str) -> Option<(String, u32)> {
        let index = KEYS.iter().position(|known| *known == key)?;
        self.0.get_mut(index)?.take()
    }
}

/// Where mail goes; `None` where that cannot be known, which the report then says.
pub(crate) fn check(
    raw: At<RawMail>,
    base: &Path,
    look_up: &dyn UserLookUp,
    report: &mut Report,
) -> Option<Mail> {
    let mut given = sort(raw.value, report);
    let or_default = |given: Option<(String, u32)>, default: &str| match given {
        Some((text, line)) => (text, Some(line)),
        None => (default.to_owned(), raw.line),
    };
    let (user, line) = or_default(given.take("user"), defaults::MAIL_USER);
    let user = fine(users::server("mail broker", &user, look_up), line, report);
    let domain = match given.take("domain") {
        Some((text, line)) => fine(host("domain", &text), Some(line), report),
        None => Some(host_name()),
    };
    let relay = relay(&mut given, raw.line, base, report);
    Some(Mail {
        user: user?,
        relay: relay?,
        domain: domain?,
    })
}

/// How much a site may send.
pub(crate) fn rate(raw: &RawSite, report: &mut Report) -> MailRate {
    let mut number = |key, given: &Option<At<i64>>, default| {
        let Some(given) = given else { return default };
        let number = within(key, given.value, 0, RATE_MAX);
        fine(number, given.line, report).unwrap_or(default)
    };
    MailRate {
        per_hour: number("mail_per_hour", &raw.mail_per_hour, defaults::MAIL_PER_HOUR),
        burst: number("mail_burst", &raw.mail_burst, defaults::MAIL_BURST),
    }
}

fn sort(raw: RawMail, report: &mut Report) -> Given {
    let mut given = Given::default();
    for (key, value, line) in raw.0 {
        let Some(index) = KEYS.iter().position(|known| *known == key) else {
            let fault = Fault::new(format!("unknown key '{}' in [mail]", key.escape_debug()));
            let hint = format!("the keys are: {}", KEYS.join(", "));
            report.add(line, fault.hint(hint));
            continue;
        };
        match value {
            Some(text) => given.0[index] = Some((text, line)),
            None => report.add(line, Fault::new(format!("'{key}' must be a string"))),
        }
    }
    given
}

fn relay(given: &mut Given, line: Option<u32>, base: &Path, report: &mut Report) -> Option<Relay> {
    let Some((smtp, smtp_line)) = given.take("smtp") else {
        let fault = Fault::new("[mail] has no 'smtp': there is no server to give mail to");
        report.add(line, fault.hint("such as smtp = \"127.0.0.1:25\""));
        return None;
    };
    let server = fine(server(&smtp), Some(smtp_line), report);
    let security = match given.take("tls") {
        Some((text, line)) => fine(security(&text), Some(line), report),
        None => server.as_ref().map(|(host, port)| usual(host, *port)),
    };
    let mut file = |key| {
        let (text, line) = given.take(key)?;
        fine(content(key, &text, base), Some(line), report)
    };
    let (password, certificate) = (file("password_file"), file("certificate"));
    let login = match (given.take("login"), password) {
        (Some((name, line)), Some(password)) => {
            let (host, _) = server.as_ref()?;
            if security == Some(Security::None) && !is_here(host) {
                let fault =
                    Fault::new("'login' without TLS: anybody on the way reads the password");
                report.add(line, fault.hint("tls = \"starttls\""));
            }
            let password = password.trim_end_matches(['\r', '\n']).to_owned();
            Some(Login { name, password })
        }
        (None, None) => None,
        (Some((_, line)), None) => {
            // One that cannot be read was told of.
            if report.errors.is_empty() {
                report.add(line, Fault::new("'login' needs a 'password_file'"));
            }
            None
        }
        (None, Some(_)) => {
            report.add(line, Fault::new("'password_file' needs a 'login'"));
            None
        }
    };
    let (host, port) = server?;
    Some(Relay {
        host,
        port,
        security: security?,
        certificate: certificate.unwrap_or_default(),
        login,
    })
}

/// `HOST:PORT`, `HOST`, `[V6]:PORT` or an address.
fn server(text: &str) -> Result<(String, u16), Fault> {
    let wrong = || {
        Fault::new(format!(
            "'smtp' = '{}' is not a server",
            text.escape_debug()
        ))
        .hint("a name or an address, and a port: \"smtp.example:587\", \"[::1]:25\"")
    };
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address.to_string(), defaults::SMTP_PORT));
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().map_err(|_| wrong())?),
        None => (text, defaults::SMTP_PORT),
    };
    let inner = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    if port == 0 {
        return Err(wrong());
    }
    match inner {
        Some(inner) if inner.parse::<IpAddr>().is_ok() => Ok((inner.to_owned(), port)),
        Some(_) => Err(wrong()),
        None => Ok((host("smtp", name).map_err(|_| wrong())?, port)),
    }
}

/// A name of a host. One without dots is one too.
fn host(key: &str, text: &str) -> Result<String, Fault> {
    let is_label = |label: &str| {
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len()) && !label.starts_with('-') && label.bytes().all(byte)
    };
    if text.len() <= limits::DOMAIN_BYTES_MAX && text.split('.').all(is_label) {
        return Ok(text.to_ascii_lowercase());
    }
    let fault = format!(
        "'{key}' = '{}' is not the name of a host",
        text.escape_debug()
    );
    Err(Fault::new(fault))
}

fn host_name() -> String {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    host("domain", &name).unwrap_or_else(|_| "localhost".to_owned())
}

fn security(text: &str) -> Result<Security, Fault> {
    match text {
        "none" => Ok(Security::None),
        "tls" => Ok(Security::Tls),
        "starttls" => Ok(Security::StartTls),
        _ => {
            let fault = Fault::new(format!("'tls' = '{}' is not known", text.escape_debug()));
            Err(fault.hint("\"starttls\", \"tls\" or \"none\""))
        }
    }
}

fn usual(host: &str, port: u16) -> Security {
    match port {
        _ if is_here(host) => Security::None,
        SMTPS => Security::Tls,
        _ => Security::StartTls,
    }
}

/// Whether what is said to it does not leave this host.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback())
}

/// What stands in a file of root's. One with a password is nobody else's to read.
fn content(key: &str, text: &str, base: &Path) -> Result<String, Fault> {
    let path = paths::below_or_absolute(key, text, base)?;
    let failed = |error: crate::Error| {
        let fault = Fault::new(format!("'{key}': {} {}", path.display(), error.message));
        match error.hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    };
    let (content, _) = files::read(&path).map_err(failed)?;
    let is_secret = key == "password_file";
    let others = |metadata: std::fs::Metadata| {
        use std::os::unix::fs::MetadataExt;
        metadata.mode() & 0o007 != 0
    };
    if is_secret && std::fs::symlink_metadata(&path).is_ok_and(others) {
        let fault = Fault::new(format!("'{key}': everybody can read {}", path.display()));
        return Err(fault.hint(format!("chmod 0600 {}", path.display())));
    }
    if content.len() > limits::MAIL_SECRET_FILE_BYTES_MAX {
        let fault = format!("'{key}': {} is larger than 64 KiB", path.display());
        return Err(Fault::new(fault));
    }
    Ok(content)
}

/// Recipients in an hour. Whoever sends more has a mail server.
const RATE_MAX: u32 = 1_000_000;
/// All keys of the table.
const KEYS: [&str; 7] = [
    "smtp",
    "tls",
    "certificate",
    "login",
    "password_file",
    "domain",
    "user",
];
/// SMTP within TLS (RFC 8314).
const SMTPS: u16 = 465;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_name_or_an_address_with_a_port() {
        for (text, host, port) in [
            ("smtp.example:587", "smtp.example", 587),
            ("Localhost", "localhost", 25),
            ("127.0.0.1:2525", "127.0.0.1", 2525),
            ("[::1]:25", "::1", 25),
            ("::1", "::1", 25),
        ] {
            assert_eq!(server(text).ok(), Some((host.to_owned(), port)), "{text}");
        }
        for text in [
            "", ":25", "a:", "a:0", "a:70000", "a b:25", "a\n:25", "[a]:25", "-a:25", "a..b:25",
        ] {
            assert!(server(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_this_host_is_spoken_to_in_the_clear_unasked() {
        assert_eq!(usual("localhost", 465), Security::None);
        assert_eq!(usual("127.0.0.2", 25), Security::None);
        assert_eq!(usual("::1", 25), Security::None);
        assert_eq!(usual("10.0.0.1", 25), Security::StartTls);
        assert_eq!(usual("smtp.example", 465), Security::Tls);
        assert_eq!(usual("smtp.example", 587), Security::StartTls);
    }
}
