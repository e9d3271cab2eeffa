//! The front: all network bytes, and everything between a client and a site's worker.
//!
//! Run by `hostel-front` as the front's own user, unprivileged, on one thread. It trusts the monitor alone; clients, keepers and
//! workers are checked byte by byte. It deliberately opens no file of a site, runs no script, knows no user or path.
//!
//! - into the server: [`accept`], [`http1`], [`body`]; what a request means: [`normalize`], [`route`], [`request`]
//! - sites and their processes: [`sites`], [`keeper`], [`lookup`]; to a worker and back: [`handoff`], [`exchange`], [`answer`]
//! - out to the client: [`reply`], [`static_file`], [`media_type`], [`error_page`], [`access_log`]
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
mod chunked;
mod clock;
pub mod error_page;
pub mod exchange;
pub mod front;
pub mod handoff;
pub mod head;
pub mod http1;
pub mod keeper;
pub mod logs;
pub mod lookup;
pub mod media_type;
pub mod monitor;
pub mod normalize;
pub mod reply;
pub mod request;
pub mod route;
pub mod sites;
pub mod spill;
pub mod static_file;
pub mod status;
