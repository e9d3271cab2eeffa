//! One message to the server, by way of `lettre`.
//!
//! The server is the administrator's, trusted with the mail and with nothing else: its answers are bounded by `lettre`, and every step has a
//! limit of time. Each recipient has an outcome of its own, so that one that is refused does not hold up the others.

use std::time::Duration;

use hostel_sys::causes::with_causes;
use hostel_wire::monitor_mail::{Relay, Security};
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};

use crate::queue::Envelope;

/// The server, ready to be connected to.
pub(crate) struct Server {
    relay: Relay,
    name: ClientId,
    tls: Option<TlsParameters>,
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server has taken it.
    Sent,
    /// Later perhaps.
    Deferred(String),
    /// Never.
    Failed(String),
}

/// The server cannot be used at the moment, whatever the message.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unusable(String);

/// The relay's settings do not fit together.
#[derive(Debug, thiserror::Error)]
#[error("the certificates cannot be used: {0}")]
pub(crate) struct BadTls(Error);

impl Server {
    /// Reads the host's certificates where TLS is spoken.
    pub(crate) fn new(relay: &Relay, domain: &str) -> Result<Self, BadTls> {
        let tls = match relay.security {
            Security::None => None,
            Security::Tls | Security::StartTls => Some(tls(relay).map_err(BadTls)?),
        };
        Ok(Self {
            relay: relay.clone(),
            name: ClientId::Domain(domain.to_owned()),
            tls,
        })
    }

    /// Connect, introduce, log in.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let address = (self.relay.host.as_str(), self.relay.port);
        let at_once = self
            .tls
            .clone()
            .filter(|_| self.relay.security == Security::Tls);
        let wait = Some(CONNECT_WITHIN);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, wait, &self.name, at_once, None).await?;
        if let (Security::StartTls, Some(tls)) = (self.relay.security, self.tls.clone()) {
            connection.starttls(tls, &self.name).await?;
        }
        if let Some(login) = &self.relay.login {
            let credentials = Credentials::new(login.name.clone(), login.password.clone());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
        }
        Ok(connection)
    }

    /// Give it a message. One outcome for each recipient, in order.
    pub(crate) async fn deliver(
        &self,
        envelope: &Envelope,
        text: &[u8],
    ) -> Result<Vec<Outcome>, Unusable> {
        let connected = tokio::time::timeout(BEGIN_WITHIN, self.connect()).await;
        let mut connection = connected
            .map_err(|_| Unusable(format!("no answer within {BEGIN_WITHIN:?}")))?
            .map_err(|error| Unusable(with_causes(&error)))?;
        let sent = tokio::time::timeout(MESSAGE_WITHIN, transact(&mut connection, envelope, text));
        let outcomes = match sent.await {
            Ok(outcomes) => outcomes,
            Err(_) => {
                let text = format!("the server took longer than {MESSAGE_WITHIN:?}");
                return Ok(all(envelope, &Outcome::Deferred(text)));
            }
        };
        // It has the message, or has refused it; how it says goodbye changes nothing.
        let _ = tokio::time::timeout(QUIT_WITHIN, connection.abort()).await;
        Ok(outcomes)
    }
}

fn tls(relay: &Relay) -> Result<TlsParameters, Error> {
    let mut builder = TlsParameters::builder(relay.host.clone());
    if !relay.certificate.is_empty() {
        builder =
            builder.add_root_certificate(Certificate::from_pem(relay.certificate.as_bytes())?);
    }
    builder.build()
}

async fn transact(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    text: &[u8],
) -> Vec<Outcome> {
    let parameters = match parameters(connection, envelope, text) {
        Ok(parameters) => parameters,
        Err(why) => return all(envelope, &Outcome::Failed(why.to_owned())),
    };
    let sender = match envelope.sender.as_str() {
        "" => None,
        sender => match sender.parse::<Address>() {
            Ok(sender) => Some(sender),
            Err(error) => return all(envelope, &Outcome::Failed(error.to_string())),
        },
    };
    if let Err(error) = connection.command(Mail::new(sender, parameters)).await {
        return all(envelope, &outcome(&error));
    }
    let mut outcomes = Vec::new();
    for recipient in &envelope.recipients {
        outcomes.push(match recipient.parse::<Address>() {
            Ok(address) => match connection.command(Rcpt::new(address, Vec::new())).await {
                Ok(_) => Outcome::Sent,
                Err(error) => outcome(&error),
            },
            Err(error) => Outcome::Failed(error.to_string()),
        });
    }
    if !outcomes.contains(&Outcome::Sent) {
        return outcomes;
    }
    // The end of its last line is that of the message.
    let text = text.strip_suffix(b"\r\n").unwrap_or(text);
    let taken = match connection.command(Data).await {
        Ok(_) => connection.message_iter(text.chunks(CHUNK_BYTES)).await,
        Err(error) => Err(error),
    };
    if let Err(error) = taken {
        let outcome = outcome(&error);
        let accepted = outcomes.iter_mut().filter(|one| **one == Outcome::Sent);
        accepted.for_each(|one| *one = outcome.clone());
    }
    outcomes
}

/// What the server must be able to do for this message.
fn parameters(
    connection: &AsyncSmtpConnection,
    envelope: &Envelope,
    text: &[u8],
) -> Result<Vec<MailParameter>, &'static str> {
    let server = connection.server_info();
    let mut parameters = Vec::new();
    let addresses = envelope.recipients.iter().chain([&envelope.sender]);
    if !addresses.into_iter().all(|address| address.is_ascii()) {
        if !server.supports_feature(Extension::SmtpUtfEight) {
            return Err("the server takes no addresses with letters outside of ASCII (SMTPUTF8)");
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    // A server that does not say so gets the eight bits all the same, as from everybody else: they mostly arrive.
    if !text.is_ascii() && server.supports_feature(Extension::EightBitMime) {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(parameters)
}

fn all(envelope: &Envelope, outcome: &Outcome) -> Vec<Outcome> {
    vec![outcome.clone(); envelope.recipients.len()]
}

/// An error that is no answer of the server's may be gone the next time.
fn outcome(error: &Error) -> Outcome {
    match error.is_permanent() {
        true => Outcome::Failed(with_causes(error)),
        false => Outcome::Deferred(with_causes(error)),
    }
}

const CONNECT_WITHIN: Duration = Duration::from_secs(20);
const BEGIN_WITHIN: Duration = Duration::from_secs(60);
/// RFC 5321 asks for ten minutes for the last answer alone; a server that needs that holds up its own site only.
const MESSAGE_WITHIN: Duration = Duration::from_secs(600);
const QUIT_WITHIN: Duration = Duration::from_secs(5);
const CHUNK_BYTES: usize = 64 * 1024;
