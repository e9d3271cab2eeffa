//! The configuration: TOML files of root become a checked, immutable table.
//!
//! Run by the monitor (as root) and by `hostel` (as whoever types it). It trusts files that only root can write, and says no
//! to others; what they say is checked in full, and every error of every file is collected. It starts nothing, changes
//! nothing and looks at no file of a site: whether a home exists and is sound is found out when the site starts.
//!
//! - `files`: which files are read, and which are refused.
//! - `raw`: what may be written; its doc comments are the reference manual. `read` turns TOML into it.
//! - `check`: files → table, by way of `server`, `backup`, `mail`, `site` and `between` (what two sites may not share); `names`, `paths`, `php`
//!   and `users` know single values, `entries` lists of tables, `passwd` the system's users.
//! - [`table`]: the result. [`jobs`] and [`calendar`]: what runs beside the web, and when. [`database`]: sites' databases.

#![forbid(unsafe_code)]

pub mod backup;
mod between;
pub mod calendar;
mod check;
pub mod database;
mod defaults;
mod disk;
mod egress;
mod entries;
mod errors;
mod files;
#[cfg(feature = "fixtures")]
pub mod fixtures;
pub mod jobs;
mod mail;
mod names;
mod passwd;
mod paths;
mod php;
mod raw;
mod read;
mod resources;
mod server;
mod site;
pub mod table;
mod users;

pub use backup::Backup;
pub use between::warnings;
pub use check::{
    Loader, check_site_name, load, load_changed, read_text, run_directory, state_directory,
};
pub use disk::{QUOTA_HINT, disk_warnings};
pub use errors::{Error, Errors};
pub use hostel_wire::egress::{Destination, Egress, Host};
pub use passwd::SystemUsers;
pub use raw::{Key, SERVER_KEYS, SITE_KEYS};
pub use table::{Limits, LogLevel, Mail, MailRate, Server, Site};
pub use users::UserLookUp;
