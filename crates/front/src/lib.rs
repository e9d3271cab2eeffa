//! The front: all network bytes, and everything between a client and a site's worker.
//!
//! Run by `hostel-front` as the front's own user, unprivileged, on one thread. It trusts the monitor alone; clients, keepers and
//! workers are checked byte by byte. It deliberately opens no file of a site, runs no script, knows no user or path.
//!
//! - into the server: [`accept`], [`connections`], [`connection`], [`http1`], [`head`], [`body`], [`chunked`]
//! - what a request means, and its way through the server: [`normalize`], [`route`], [`request`]
//! - sites and their processes: [`sites`], [`keeper`], [`lookup`]
//! - who may run: [`scheduler`], which decides and does nothing, [`dispatch`], [`pressure`]; what sites share of the front itself: [`turns`], [`supply`], [`disk`]
//! - to a worker and back: [`handoff`], [`pool`], [`worker`], [`exchange`], [`answer`]
//! - out to the client: [`reply`], [`deliver`], [`static_file`], [`conditional`], [`byte_range`], [`media_type`], [`error_page`]; [`access_log`], [`clock`]
//! - the server itself: [`front`], [`monitor`], [`spill`], [`logs`], [`status`]

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::wildcard_enum_match_arm
    )
)]

pub mod accept;
pub mod access_log;
pub mod answer;
pub mod body;
pub mod byte_range;
pub mod chunked;
pub mod clock;
pub mod conditional;
pub mod connection;
pub mod connections;
#[cfg(test)]
mod costs;
pub mod deliver;
pub mod disk;
pub mod dispatch;
pub mod error_page;
pub mod exchange;
mod failure;
mod frames;
pub mod front;
pub mod handoff;
pub mod head;
pub mod http1;
pub mod jobs;
pub mod keeper;
mod link;
mod log_file;
pub mod logs;
pub mod lookup;
pub mod media_type;
pub mod monitor;
pub mod normalize;
pub mod pool;
pub mod pressure;
pub mod reply;
pub mod request;
pub mod route;
pub mod scheduler;
pub mod sites;
pub mod spill;
pub mod static_file;
pub mod status;
pub mod supply;
pub mod turns;
mod wake;
pub mod worker;
