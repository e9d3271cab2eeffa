//! One client's connection from its first request to its last (RFC 9112).
//!
//! Run by the front, one task per connection. Requests are read one behind the other and answered in their order; a client that
//! sends ahead finds its requests in the same order and gives way to others after some of them. What is not a request for
//! certain ends the connection. It decides nothing about requests: that is [`crate::request`].

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::connection::{Connection, ReadError};
use crate::error_page;
use crate::front::{Front, Stage};
use crate::head::{Head, HeadError, Search};
use crate::logs::Level;
use crate::request::{self, After};

/// What comes next on a connection.
enum Next {
    /// A request, whose first byte was there at this time.
    Request(Instant),
    /// Nothing any more.
    End,
    /// Something that is not a request.
    Refused(HeadError),
    /// A request that did not become whole in time.
    TimedOut,
}

/// Serve a connection until its end.
pub async fn serve(mut connection: Connection, front: Rc<Front>) {
    let mut head = Head::default();
    let mut in_a_row = 0;
    let mut is_new = true;
    loop {
        let status = match next_head(&mut connection, &mut head, &front, is_new).await {
            Next::Request(started) => {
                is_new = false;
                match request::serve(&mut connection, &head, &front, started).await {
                    After::KeepAlive => {}
                    After::Close => return,
                    After::Linger => return connection.linger().await,
                    After::Reset => return connection.reset(),
                }
                in_a_row += 1;
                if connection.input.is_empty() {
                    in_a_row = 0;
                } else if in_a_row == REQUESTS_IN_A_ROW_MAX {
                    in_a_row = 0;
                    tokio::task::yield_now().await;
                }
                continue;
            }
            Next::End => return,
            Next::Refused(error) => {
                let address = connection.remote.ip();
                front.logs.server(
                    Level::Debugging,
                    format_args!("refused a request of {address}: {error}"),
                );
                error.status()
            }
            Next::TimedOut => 408,
        };
        let sent = error_page::send(
            &mut connection,
            &Head::default(),
            status.into(),
            None,
            false,
        )
        .await;
        match sent {
            Ok(()) => return connection.linger().await,
            Err(_) => return,
        }
    }
}

/// Read until there is a whole head; `is_new` before the first request of a connection.
async fn next_head(
    connection: &mut Connection,
    head: &mut Head,
    front: &Front,
    is_new: bool,
) -> Next {
    let mut search = Search::default();
    let (waited, mut started) = (Instant::now(), None);
    loop {
        if started.is_none() {
            skip_empty_lines(connection);
        }
        // A lone CR may yet become an empty line; everything else is, or becomes, a head.
        let deadline = if matches!(connection.input.as_slice(), b"" | b"\r") {
            connection.release_room();
            waited + front.connections.patience(connection.patience.idle)
        } else {
            let started = *started.get_or_insert_with(Instant::now);
            match take_head(connection, head, &mut search) {
                Ok(true) => return Next::Request(started),
                Ok(false) => started + front.connections.patience(connection.patience.head),
                Err(error) => return Next::Refused(error),
            }
        };
        let read = tokio::select! {
            biased;
            read = connection.read_more(deadline) => read,
            () = front.drain.wait(Stage::Ending), if started.is_none() => {
                if !is_new {
                    return Next::End;
                }
                // Who has just connected is about to ask, and would not know that it may ask again.
                connection.read_more(deadline.min(Instant::now() + FIRST_REQUEST_WAIT)).await
            }
            // The deadline may be another one now.
            () = front.connections.crowd() => continue,
        };
        match read {
            Ok(()) => {}
            Err(ReadError::TimedOut) if started.is_some() => return Next::TimedOut,
            Err(ReadError::TimedOut | ReadError::Closed | ReadError::Broken(_)) => {
                return Next::End;
            }
        }
    }
}

/// Take a head from what was read; whether there was a whole one.
fn take_head(
    connection: &mut Connection,
    head: &mut Head,
    search: &mut Search,
) -> Result<bool, HeadError> {
    let Some(end) = search.end_of_head(&connection.input)? else {
        return Ok(false);
    };
    head.read(connection.input.get(..end).unwrap_or_default())?;
    connection.consume(end);
    Ok(true)
}

/// Some clients send a line end too many behind a body (RFC 9112, section 2.2).
fn skip_empty_lines(connection: &mut Connection) {
    while connection.input.starts_with(b"\r\n") {
        connection.consume(2);
    }
}

/// How long a connection without a request yet is kept when the server drains.
const FIRST_REQUEST_WAIT: Duration = Duration::from_millis(500);

/// Requests that one client may have answered in a row, having sent them ahead, before others have their turn.
const REQUESTS_IN_A_ROW_MAX: usize = 16;
