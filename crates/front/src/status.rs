//! The state of the server as one JSON document, for who connects to the status socket.
//!
//! Run by the front. The socket was made by the monitor and only root can connect to it, so nothing is asked for and nothing is
//! read: the document is written and the connection closed.

use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hostel_wire::fresh::{Fresh, Watch};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;

use crate::front::{Front, Stage};
use crate::logs::Level;
use crate::pool::Means;
use crate::sites::Site;

/// Answer every connection with the document, one after the other.
pub async fn serve(listener: UnixListener, front: Rc<Front>) {
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    loop {
        let accepted = tokio::select! {
            biased;
            // The next front answers with what it has.
            () = front.drain.wait(Stage::HandedOver), if !front.drain.is_ending() => {
                if front.drain.is_ending() {
                    continue;
                }
                return;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((mut connection, _)) => {
                let mut text = document(&front, started).to_string();
                text.push('\n');
                let written = async {
                    connection.write_all(text.as_bytes()).await?;
                    connection.shutdown().await
                };
                // Who does not read what it asked for has lost it; the next one gets its turn.
                drop(tokio::time::timeout(WRITE_MAX, written).await);
            }
            Err(error) => {
                front
                    .logs
                    .server(Level::Warning, format_args!("status socket: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The whole document. `started` in seconds since 1970.
pub fn document(front: &Front, started: u64) -> Value {
    let sites = front.sites.all();
    let requests: u64 = sites.iter().map(|site| site.counters.requests.sum()).sum();
    json!({
        "server": {
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "started": started,
            "draining": front.drain.is_asked(),
            "connections": { "open": front.connections.open(), "accepted": front.connections.accepted.sum(), "refused": front.connections.refused.sum() },
            "requests": requests,
        },
        "sites": sites.iter().map(|site| describe(site)).collect::<Vec<_>>(),
    })
}

fn describe(site: &Site) -> Value {
    let census = site.pool.census();
    let counters = &site.counters;
    json!({
        "id": site.entry.id.0,
        "name": site.entry.name,
        "user": site.entry.user,
        "domains": site.entry.domains,
        "state": site.state_word(),
        "keeper": site.keeper().map(|keeper| keeper.pid),
        "fresh": fresh_word(site.entry.fresh, site.pool.means()),
        "running": site.running(),
        "woke": site.wake.describe(),
        "workers": {
            "max": site.entry.workers_max,
            "running_max": census.running_max,
            "starting": census.starting,
            "idle": census.idle,
            "busy": census.busy,
            "ending": census.ending,
            "started": site.pool.started.sum(),
            "crashed": site.pool.crashed.sum(),
        },
        "queue": { "length": census.queued, "peak": census.queue_peak, "max": site.entry.queue_max },
        "held": { "memory_bytes": site.memory.taken() },
        "connections": site.connections.taken(),
        "spill": { "bytes": site.spill_share.bytes(), "bytes_max": site.spill_share.bytes_max() },
        "requests": counters.requests.sum(),
        "errors": counters.errors.sum(),
        "bytes_received": counters.bytes_received.sum(),
        "bytes_sent": counters.bytes_sent.sum(),
    })
}

/// By which means no state survives a request: `"yes"` while no worker has answered yet, `null` where it may.
fn fresh_word(fresh: Fresh, means: Means) -> Option<&'static str> {
    match (fresh, means) {
        (Fresh::Off, _) => None,
        (Fresh::Fork, _) | (Fresh::On | Fresh::Paranoid, Means::Fork) => Some("fork"),
        // In the words of docs/fresh.md.
        (Fresh::On | Fresh::Paranoid, Means::Rewind(Watch::Written)) => Some("rewind-written"),
        (Fresh::On | Fresh::Paranoid, Means::Rewind(Watch::Private)) => Some("rewind-private"),
        (Fresh::On | Fresh::Paranoid, Means::Unknown) => Some("yes"),
    }
}

/// How long a reader of the document may take.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// The pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
