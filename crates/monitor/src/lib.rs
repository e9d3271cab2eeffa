//! How Hostel's processes are started, for the two programs of root that start them: `hostel-monitor` and `hostel prove`.
//!
//! Runs as root, in a process with one thread. It trusts the configuration, which is root's. It serves nobody and
//! waits for nothing; what it decides is the configuration's, so that a sandbox which is proven is the one that serves.
//!
//! - [`directories`]: the directories of an instance. [`launch`]: front and keepers. [`resources`]: what bounds sites.

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

pub mod directories;
pub mod launch;
pub mod resources;
