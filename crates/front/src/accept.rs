//! New connections of clients.
//!
//! Run by the front, one task per listening socket. It trusts nobody: the number of connections is bounded. A client that has more
//! than its part is closed the door to; when all are taken new ones wait in the kernel's queue. It reads nothing itself.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::connection::{Connection, Patience};
use crate::connections::NoConnection;
use crate::front::{Front, Stage};
use crate::http1;
use crate::logs::Level;
use crate::turns::Place;

/// Take connections and serve each in a task of its own, until the server drains. Needs a `LocalSet`.
pub async fn serve(listener: TcpListener, front: Rc<Front>) {
    serve_patiently(listener, front, Patience::default()).await;
}

/// As [`serve`], with other bounds for how long a client may take.
pub async fn serve_patiently(listener: TcpListener, front: Rc<Front>, patience: Patience) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = front.drain.wait(Stage::HandedOver) => return take_backlog(&listener, &front, patience).await,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => begin(stream, remote, &front, patience).await,
            Err(error) => {
                // Out of descriptors or memory, or the client has gone again: either way others wait behind it.
                front.logs.server(
                    Level::Warning,
                    format_args!("a connection could not be accepted: {error}"),
                );
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Serve those who have connected already, which nobody else will.
async fn take_backlog(listener: &TcpListener, front: &Rc<Front>, patience: Patience) {
    while let Ok(Ok((stream, remote))) = timeout(Duration::ZERO, listener.accept()).await {
        begin(stream, remote, front, patience).await;
    }
}

/// Serve a connection, once there is room for it.
async fn begin(stream: TcpStream, remote: SocketAddr, front: &Rc<Front>, patience: Patience) {
    let connected = loop {
        match front.connections.enter(remote.ip()) {
            Ok(connected) => break connected,
            Err(NoConnection::Full) => tokio::time::sleep(PAUSE).await,
            Err(error @ NoConnection::Greedy) => return refuse(remote, front, error),
        }
    };
    let place = Place::new(&front.turns.stranger(remote.ip()));
    // A client that has gone already has no address any more and needs no answer.
    if let Ok(connection) = Connection::new(stream, remote, patience, Rc::clone(&place)) {
        let front = Rc::clone(front);
        tokio::task::spawn_local(async move {
            let serving = http1::serve(connection, Rc::clone(&front));
            front.turns.run(&place, serving).await;
            drop(connected);
        });
    }
}

/// It is closed without a word: an answer would cost what is short. The log names it now and then.
fn refuse(remote: SocketAddr, front: &Front, error: NoConnection) {
    let before = front.connections.refused.sum();
    front.connections.refused.add(1);
    if before.is_multiple_of(REFUSED_LOGGED) {
        front.logs.server(
            Level::Warning,
            format_args!(
                "a connection of {} was closed at once: {error} ({} so far)",
                remote.ip(),
                before + 1
            ),
        );
    }
}

/// One of so many closed connections stands in the log.
const REFUSED_LOGGED: u64 = 1000;
/// How long to wait where there is no room for another connection.
const PAUSE: Duration = Duration::from_millis(20);
