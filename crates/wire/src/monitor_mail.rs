//! Monitor to mail broker: where mail goes and who may send how much; where to log. One way: the monitor reads nothing of it.
//!
//! The broker's socket stands on its descriptor [`CONTROL_DESCRIPTOR`](crate::view::CONTROL_DESCRIPTOR). End of file there ends the
//! broker; what is queued stays on the disk.

use std::fmt;

use crate::codec::{Malformed, Reader, Writer};
use crate::limits;

/// What the monitor tells the broker. Each comes with one descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToMail {
    /// This holds from now on: a file with a [`MailPolicy`].
    Apply,
    /// This is the log from now on: a file opened for appending.
    Log,
    /// The directory of the sites' sockets; before everything else.
    Sockets,
    /// The directory of the queue; before everything else.
    Queue,
}

/// Where mail goes, and who may send how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailPolicy {
    /// The server that takes everything.
    pub relay: Relay,
    /// The name by which the broker introduces itself, and the domain of addresses that have none.
    pub domain: String,
    /// Every site.
    pub sites: Vec<MailSite>,
}

/// An SMTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from listeners.
    pub security: Security,
    /// A certificate (PEM) that is trusted besides the host's; empty for none.
    pub certificate: String,
    /// How to log in, if at all.
    pub login: Option<Login>,
}

/// How a connection is kept from listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    None,
    /// TLS from the first byte.
    Tls,
    /// TLS once STARTTLS was said; without it nothing is sent.
    StartTls,
}

/// A name and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({:?}, …)", self.name)
    }
}

/// What the broker knows of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSite {
    /// Its name, which is that of its socket's directory.
    pub name: String,
    /// The user that its processes have; nobody else may use its socket.
    pub uid: u32,
    /// The address that its mail comes from where it names none.
    pub sender: String,
    /// Recipients in an hour.
    pub per_hour: u32,
    /// Recipients at once.
    pub burst: u32,
}

impl ToMail {
    /// How many descriptors come with each.
    pub const DESCRIPTORS: usize = 1;

    /// As bytes.
    pub fn encode(self) -> Vec<u8> {
        let kind = match self {
            Self::Apply => 1,
            Self::Log => 2,
            Self::Sockets => 3,
            Self::Queue => 4,
        };
        vec![kind]
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes {
            [1] => Ok(Self::Apply),
            [2] => Ok(Self::Log),
            [3] => Ok(Self::Sockets),
            [4] => Ok(Self::Queue),
            _ => Err(Malformed::Value("kind of message to the mail broker")),
        }
    }
}

impl MailPolicy {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        let relay = &self.relay;
        w.text(&relay.host).u16(relay.port);
        w.u8(match relay.security {
            Security::None => 0,
            Security::Tls => 1,
            Security::StartTls => 2,
        });
        w.text(&relay.certificate).bool(relay.login.is_some());
        if let Some(login) = &relay.login {
            w.text(&login.name).text(&login.password);
        }
        w.text(&self.domain).count(self.sites.len());
        for site in &self.sites {
            w.text(&site.name).u32(site.uid).text(&site.sender);
            w.u32(site.per_hour).u32(site.burst);
        }
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let relay = relay(&mut r)?;
        let domain = r.text(limits::DOMAIN_BYTES_MAX, "domain")?.to_owned();
        let count = r.count(limits::SITES_MAX, "sites")?;
        let sites = (0..count).map(|_| site(&mut r)).collect::<Result<_, _>>()?;
        r.end("mail policy")?;
        Ok(Self {
            relay,
            domain,
            sites,
        })
    }
}

fn relay(r: &mut Reader<'_>) -> Result<Relay, Malformed> {
    let host = r.text(limits::DOMAIN_BYTES_MAX, "host")?.to_owned();
    let port = r.u16("port")?;
    let security = match r.u8("security")? {
        0 => Security::None,
        1 => Security::Tls,
        2 => Security::StartTls,
        _ => return Err(Malformed::Value("security")),
    };
    let certificate = r.text(limits::MAIL_SECRET_FILE_BYTES_MAX, "certificate")?;
    let certificate = certificate.to_owned();
    let login = match r.bool("whether there is a login")? {
        true => Some(Login {
            name: r
                .text(limits::MAIL_SECRET_FILE_BYTES_MAX, "login")?
                .to_owned(),
            password: r
                .text(limits::MAIL_SECRET_FILE_BYTES_MAX, "password")?
                .to_owned(),
        }),
        false => None,
    };
    Ok(Relay {
        host,
        port,
        security,
        certificate,
        login,
    })
}

fn site(r: &mut Reader<'_>) -> Result<MailSite, Malformed> {
    Ok(MailSite {
        name: r.text(limits::SITE_NAME_BYTES_MAX, "name")?.to_owned(),
        uid: r.u32("uid")?,
        sender: r.text(limits::MAIL_SENDER_BYTES_MAX, "sender")?.to_owned(),
        per_hour: r.u32("per_hour")?,
        burst: r.u32("burst")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(security: Security, login: Option<Login>) -> MailPolicy {
        let site = MailSite {
            name: "blog".to_owned(),
            uid: 1001,
            sender: "blog@blog.example".to_owned(),
            per_hour: 200,
            burst: 50,
        };
        MailPolicy {
            relay: Relay {
                host: "mail.example".to_owned(),
                port: 587,
                security,
                certificate: "PEM".to_owned(),
                login,
            },
            domain: "host.example".to_owned(),
            sites: vec![site.clone(), site],
        }
    }

    #[test]
    fn every_message_survives_the_wire() {
        let login = Login {
            name: "a".to_owned(),
            password: "secret".to_owned(),
        };
        for policy in [
            policy(Security::None, None),
            policy(Security::Tls, None),
            policy(Security::StartTls, Some(login)),
        ] {
            let bytes = policy.encode();
            assert!((0..bytes.len()).all(|cut| MailPolicy::decode(&bytes[..cut]).is_err()));
            assert_eq!(MailPolicy::decode(&bytes), Ok(policy));
        }
        for message in [ToMail::Apply, ToMail::Log, ToMail::Sockets, ToMail::Queue] {
            assert_eq!(ToMail::decode(&message.encode()), Ok(message));
        }
        for bytes in [&[][..], &[0], &[5], &[1, 1]] {
            assert!(ToMail::decode(bytes).is_err());
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let login = Login {
            name: "a".to_owned(),
            password: "secret".to_owned(),
        };
        let shown = format!("{:?}", policy(Security::Tls, Some(login)));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
