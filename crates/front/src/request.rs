//! The way of a request through the front, from a read head to a line in the log.
//!
//! Run by the front, once per request. 1 what nobody may ask; 2 the site, and its turn; 3 the length of the body; 4 the path; 5 script or
//! not; 6 the body; 7 the worker; 8 what the site's map says of the path; 9 the log. Each step is a call and any may end the
//! way with a page. It trusts nothing of the request and nothing of the site; who checks what stands in the called modules. It
//! keeps no state between requests.

use std::rc::Rc;

use hostel_wire::codec::Writer;
use hostel_wire::front_worker::RequestHead;
use tokio::time::Instant;

use crate::access_log;
use crate::body::{self, BodyError, Places};
use crate::connection::Connection;
use crate::deliver::{self, DeliverError, End};
use crate::error_page::{self, Incident, Refusal};
use crate::failure::{Failure, SUSPENDED};
use crate::front::Front;
use crate::handoff::{self, Answer, Outcome};
use crate::head::{BodyLength, Head};
use crate::lookup::{self, Found, ServedFile, SiteUnavailable};
use crate::normalize;
use crate::reply::{self, Framing};
use crate::route;
use crate::sites::Site;
use crate::spill::Body;
use crate::static_file::{self, FileError};

/// What is to become of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// Another request may follow.
    KeepAlive,
    /// Close.
    Close,
    /// Close, once the client has stopped sending.
    Linger,
    /// Close so that the client sees that the answer was cut.
    Reset,
}

/// Answer one request. `started` is when its first byte was there.
pub(crate) async fn serve(
    connection: &mut Connection,
    head: &Head,
    front: &Front,
    started: Instant,
) -> After {
    connection.begin_request();
    // 1. A proxy we are not, and TRACE only helps who wants to read a visitor's cookies.
    if matches!(head.method(), b"CONNECT" | b"TRACE") {
        let refusal = Refusal {
            status: 405,
            line: ALLOW_ANY,
            advice: None,
        };
        return refuse_without_site(connection, head, refusal).await;
    }
    // 2. The site. It is held until the request ends.
    let running = match route::site(&front.sites, head.host()) {
        Ok(site) => site.begin(),
        Err(error) => return refuse_without_site(connection, head, error.status().into()).await,
    };
    let mut request = Request {
        connection,
        head,
        front,
        site: running.site(),
        unread: Unread::of(head),
    };
    let answered = match request.come_in().await {
        Ok(()) => request.answer().await,
        Err(failure) => Err(failure),
    };
    let after = match answered {
        Ok(after) => after,
        Err(failure) => request.conclude(failure).await,
    };
    // 9. The log.
    request.log(started);
    after
}

/// A request whose site is known.
struct Request<'a> {
    connection: &'a mut Connection,
    head: &'a Head,
    front: &'a Front,
    site: &'a Rc<Site>,
    unread: Unread,
}

/// What of the request still stands between this answer and the next request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unread {
    Nothing,
    /// So little that reading it is cheaper than a new connection.
    Little(u64),
    /// Too much, or nobody knows how much.
    Much,
}

impl Request<'_> {
    /// Wait for the site's turn. From here on the connection counts as one of the site's, which may have too many.
    async fn come_in(&mut self) -> Result<(), Failure> {
        let (connection, site) = (&mut *self.connection, self.site);
        let is_known = connection.of_site.as_ref();
        if !is_known.is_some_and(|taken| taken.is_of(&site.connections)) {
            connection.of_site = site.connections.take(1);
        }
        let turns = &self.front.turns;
        turns.enter(&connection.place, &site.account).await;
        if connection.of_site.is_none() {
            // It makes room for others'.
            self.unread = Unread::Much;
            return Err(SiteUnavailable::Crowded.into());
        }
        Ok(())
    }

    /// Steps 3 to 8.
    async fn answer(&mut self) -> Result<After, Failure> {
        // Before anything could wake the site.
        if self.site.entry.suspended {
            return Err(Failure::Refused(SUSPENDED));
        }
        // 3. A body that the site does not take is refused before the client sends it.
        if let BodyLength::Sized(length) = self.head.body()
            && length > self.site.entry.body_bytes_max
        {
            self.unread = Unread::Much;
            return Err(BodyError::TooLarge.into());
        }
        if self.head.target() == b"*" {
            return self.send_options().await;
        }
        // 4. The path.
        let mut path = Vec::with_capacity(self.head.path().len());
        normalize::path(self.head.path(), &mut path)?;
        // 5. A path that names a script goes to a worker, who alone knows whether it is there.
        let mut tried = None;
        if let Some(length) = route::script_length(&path, &self.site.entry.script_extensions) {
            let (script, path_info) = path.split_at_checked(length).unwrap_or((&path, b""));
            if route::is_hidden(script) {
                return Err(Failure::refused(403));
            }
            // 6. The body, whole, so that a slow client holds no worker.
            let body = self.take_in_body().await?;
            // 7. The worker.
            match self.run(script, path_info, body).await? {
                Outcome::Answer(answer) => return self.deliver(answer).await,
                Outcome::Missing {
                    forbidden: true, ..
                } => return Err(Failure::refused(403)),
                Outcome::Missing { body, .. } => tried = Some((script, body)),
            }
        }
        // 8. Everything else is what the site's map says it is.
        if route::is_hidden(&path) {
            return Err(Failure::refused(403));
        }
        let look_up = lookup::look_up(self.site, &path);
        match self.connection.unless_client_leaves(look_up).await?? {
            Found::File(file) => self.send_file(&file).await,
            Found::Directory => self.redirect(&path).await,
            Found::Forbidden => Err(Failure::refused(403)),
            Found::NotFound => Err(Failure::refused(404)),
            Found::RootRefused(reason) => {
                self.site.root_is_refused(&reason);
                Err(Failure::Failed(500.into(), reason))
            }
            Found::Failed(errno) => {
                let reason = std::io::Error::from_raw_os_error(errno);
                Err(Failure::Failed(
                    500.into(),
                    format!("the path could not be looked at: {reason}"),
                ))
            }
            Found::Script(script) => self.run_found(&script, tried).await,
        }
    }

    /// The script that answers for a path which does not name one: an index, or the front controller.
    async fn run_found(
        &mut self,
        script: &[u8],
        tried: Option<(&[u8], Body)>,
    ) -> Result<After, Failure> {
        let body = match tried {
            // The same one again would be missing again.
            Some((before, _)) if before == script => return Err(Failure::refused(404)),
            Some((_, body)) => body,
            None => self.take_in_body().await?,
        };
        match self.run(script, b"", body).await? {
            Outcome::Answer(answer) => self.deliver(answer).await,
            Outcome::Missing { forbidden, .. } => {
                Err(Failure::refused(if forbidden { 403 } else { 404 }))
            }
        }
    }

    async fn take_in_body(&mut self) -> Result<Body, Failure> {
        if self.head.expects_continue() && self.connection.input.is_empty() {
            let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
            self.connection.output.extend_from_slice(interim);
            self.connection.send(b"", b"").await?;
        }
        let length = self.head.body();
        let bytes_max = self.site.entry.body_bytes_max;
        // Where this fails, nobody knows where the next request begins.
        self.unread = Unread::Much;
        let places = Places {
            spill: &self.front.spill,
            share: &self.site.spill_share,
            memory: &self.site.memory,
        };
        let body = body::take_in(self.connection, length, bytes_max, places).await?;
        self.unread = Unread::Nothing;
        self.site.counters.bytes_received.add(body.length());
        Ok(body)
    }

    async fn run(
        &mut self,
        script: &[u8],
        path_info: &[u8],
        body: Body,
    ) -> Result<Outcome, Failure> {
        let payload = self.encode(script, path_info, body.length());
        let run = handoff::run(self.site, payload, body);
        Ok(self.connection.unless_client_leaves(run).await??)
    }

    /// The request as the worker gets it. SERVER_NAME is the site's first domain whatever the client called it, as in nginx.
    fn encode(&self, script: &[u8], path_info: &[u8], body_bytes: u64) -> Vec<u8> {
        let head = self.head;
        let path = [script, path_info].concat();
        let mut payload = Writer::append_to(Vec::with_capacity(PAYLOAD_BYTES));
        RequestHead {
            https: false,
            body_bytes,
            method: head.method(),
            target: head.target(),
            query: head.query().unwrap_or_default(),
            path: &path,
            script,
            path_info,
            protocol: head.protocol(),
            server_name: self
                .site
                .entry
                .domains
                .first()
                .map_or(&b""[..], String::as_bytes),
            server_address: self.connection.local_text.as_bytes(),
            server_port: self.connection.local.port(),
            remote_address: self.connection.remote_text.as_bytes(),
            remote_port: self.connection.remote.port(),
            headers: head.headers().collect(),
        }
        .encode(&mut payload);
        payload.finish()
    }

    async fn deliver(&mut self, answer: Answer) -> Result<After, Failure> {
        let Answer {
            status,
            headers,
            mut body,
        } = answer;
        let status = headers.status(status)?;
        let keep_alive = self.keep_alive();
        let sent = deliver::send(
            self.connection,
            self.head,
            status,
            &headers,
            &mut body,
            keep_alive,
        )
        .await;
        match sent {
            Ok(End::Whole) => Ok(self.settle(keep_alive).await),
            Ok(End::Close) => Ok(After::Close),
            Ok(End::Reset) => Ok(After::Reset),
            Err(DeliverError::CutEarly(cut)) => Err(cut.into()),
            Err(DeliverError::ClientLeft(_) | DeliverError::Send(_)) => Err(Failure::ClientLeft),
        }
    }

    async fn send_file(&mut self, file: &ServedFile) -> Result<After, Failure> {
        if !matches!(self.head.method(), b"GET" | b"HEAD") {
            return Err(Failure::Refused(Refusal {
                status: 405,
                line: b"Allow: GET, HEAD\r\n",
                advice: None,
            }));
        }
        let keep_alive = self.keep_alive();
        match static_file::send(self.connection, self.head, file, keep_alive).await {
            Ok(()) => Ok(self.settle(keep_alive).await),
            Err(FileError::Condition) => Err(Failure::refused(412)),
            Err(FileError::Unreadable(error)) => {
                let reason = format!("a file could not be read: {error}");
                Err(Failure::Failed(500.into(), reason))
            }
            Err(FileError::Cut(_) | FileError::Send(_)) => Err(Failure::ClientLeft),
        }
    }

    /// The address of a directory ends in a slash, so that what its index names is found beneath it. The new address is a path
    /// without scheme and host, which a client completes by what it knows better than we do (a proxy may stand between).
    async fn redirect(&mut self, path: &[u8]) -> Result<After, Failure> {
        if !matches!(self.head.method(), b"GET" | b"HEAD" | b"POST") {
            return Err(Failure::Refused(Refusal {
                status: 405,
                line: b"Allow: GET, HEAD, POST\r\n",
                advice: None,
            }));
        }
        let mut location = b"Location: ".to_vec();
        for byte in path {
            if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(byte) {
                location.push(*byte);
            } else {
                location.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
        }
        location.push(b'/');
        if let Some(query) = self.head.query() {
            location.push(b'?');
            location.extend_from_slice(query);
        }
        location.extend_from_slice(b"\r\n");
        self.send_empty(301, &location).await
    }

    /// `OPTIONS *` asks about the server, not about a page.
    async fn send_options(&mut self) -> Result<After, Failure> {
        self.send_empty(200, ALLOW_ANY).await
    }

    async fn send_empty(&mut self, status: u16, line: &[u8]) -> Result<After, Failure> {
        let keep_alive = self.keep_alive();
        let out = &mut self.connection.output;
        reply::append_head(out, status, &[line], Framing::Length(0), keep_alive);
        self.connection.begin_answer(status);
        self.connection.send(b"", b"").await?;
        Ok(self.settle(keep_alive).await)
    }

    /// Answer a failure with its page.
    async fn conclude(&mut self, failure: Failure) -> After {
        let (refusal, incident) = match failure {
            Failure::ClientLeft => return After::Close,
            Failure::Refused(refusal) => (refusal, None),
            Failure::Failed(refusal, reason) => {
                let incident = Incident::new();
                let text = format!("request {incident}: {} {reason}", refusal.status);
                self.front.logs.site_error(self.site, text.as_bytes());
                (refusal, Some(incident))
            }
        };
        // A failure within an answer has left nothing to be sent, and a page none of it in front of itself.
        self.connection.output.clear();
        let keep_alive = self.keep_alive();
        let sent =
            error_page::send(self.connection, self.head, refusal, incident, keep_alive).await;
        match sent {
            Ok(()) => self.settle(keep_alive).await,
            Err(_) => After::Close,
        }
    }

    /// Whether another request may follow this answer.
    fn keep_alive(&self) -> bool {
        self.head.keep_alive() && !self.front.drain.is_asked() && self.unread != Unread::Much
    }

    /// What is to become of the connection behind a whole answer that announced `keep_alive`.
    async fn settle(&mut self, keep_alive: bool) -> After {
        settle(self.connection, self.unread, keep_alive).await
    }

    fn log(&mut self, started: Instant) {
        let (status, bytes) = self.connection.answered().unwrap_or((CLIENT_LEFT, 0));
        let counters = &self.site.counters;
        counters.bytes_sent.add(bytes);
        if status >= 500 {
            counters.errors.add(1);
        }
        let mut line = std::mem::take(&mut self.connection.line);
        line.clear();
        access_log::append(
            &mut line,
            &access_log::Entry {
                remote: &self.connection.remote_text,
                head: self.head,
                status,
                bytes,
                duration: started.elapsed(),
                site: &self.site.entry.name,
            },
        );
        self.front.logs.access(self.site, &line);
        self.connection.line = line;
    }
}

/// The page for a request of which no site knows, nor its log.
async fn refuse_without_site(connection: &mut Connection, head: &Head, refusal: Refusal) -> After {
    let unread = if head.method() == b"CONNECT" {
        Unread::Much
    } else {
        Unread::of(head)
    };
    let keep_alive = head.keep_alive() && unread != Unread::Much && refusal.status != 400;
    match error_page::send(connection, head, refusal, None, keep_alive).await {
        Ok(()) => settle(connection, unread, keep_alive).await,
        Err(_) => After::Close,
    }
}

async fn settle(connection: &mut Connection, unread: Unread, keep_alive: bool) -> After {
    match unread {
        Unread::Little(length) if keep_alive => match body::skip(connection, length).await {
            Ok(()) => After::KeepAlive,
            Err(_) => After::Close,
        },
        Unread::Nothing if keep_alive => After::KeepAlive,
        Unread::Nothing if connection.input.is_empty() => After::Close,
        Unread::Nothing | Unread::Little(_) | Unread::Much => After::Linger,
    }
}

impl Unread {
    /// Before anything of the body was read. A client that waits for `100 Continue` may or may not send it afterwards.
    fn of(head: &Head) -> Self {
        match head.body() {
            BodyLength::Nothing => Self::Nothing,
            BodyLength::Sized(length)
                if length <= SKIPPED_BYTES_MAX && !head.expects_continue() =>
            {
                Self::Little(length)
            }
            BodyLength::Sized(_) | BodyLength::Chunked => Self::Much,
        }
    }
}

/// The methods that the server knows of itself; scripts may know more.
const ALLOW_ANY: &[u8] = b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";
/// What is logged, as nginx does, where a client left before the head of its answer was sent.
const CLIENT_LEFT: u16 = 499;
/// A body that nobody wants is read up to this size, so that the connection can be kept.
const SKIPPED_BYTES_MAX: u64 = 64 * 1024;
/// Room for the usual request.
const PAYLOAD_BYTES: usize = 2 * 1024;
