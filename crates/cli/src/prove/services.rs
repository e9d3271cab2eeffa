//! Services of another user's on loopback, for sites to keep away from.
//!
//! Held by `hostel prove` as root, and closed when dropped. Who connects is told nothing and counts as having reached them.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use serde_json::{Value, json};

/// What listens.
#[derive(Debug)]
pub(crate) struct Services {
    any: TcpListener,
    /// `None` where this host has a mail server, which is the canary then.
    mail: Option<TcpListener>,
}

impl Services {
    /// Listen.
    ///
    /// # Errors
    /// There is no free port on loopback.
    pub(crate) fn listen() -> io::Result<Self> {
        let on = |port| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            listener.set_nonblocking(true)?;
            io::Result::Ok(listener)
        };
        Ok(Self {
            any: on(0)?,
            mail: on(MAIL).ok(),
        })
    }

    /// What attackers are told.
    pub(crate) fn targets(&self) -> Value {
        json!({ "any": self.any.local_addr().map_or(0, |address| address.port()), "mail": MAIL })
    }

    /// Who has come since the last time.
    pub(crate) fn touched(&self) -> Vec<String> {
        let any = (&self.any, "a service");
        let mail = self.mail.iter().map(|listener| (listener, "port 25"));
        let mut found = Vec::new();
        for (listener, name) in mail.chain([any]) {
            while listener.accept().is_ok() {
                found.push(format!("a connection to {name} of root's on loopback"));
            }
        }
        found
    }
}

/// SMTP
const MAIL: u16 = 25;
