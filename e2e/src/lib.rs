//! A throw-away host for the end-to-end tests: users, sites, a Hostel, nginx and php-fpm beside it, and a raw HTTP client.
//!
//! ```no_run
//! use hostel_e2e::{Instance, Request, Site, User};
//!
//! let mut hostel = Instance::new("example")
//!     .settings("php_ini = \"/etc/php/8.2/fpm\"")             // lines for hostel.toml
//!     .site(
//!         Site::new("a", User::One)                           // domain a.test, home <instance>/homes/a, 0700
//!             .toml("workers_max = 2")                        // lines for sites.d/a.toml
//!             .file("public/index.php", "<?php echo 1;"),     // written and given to the user
//!     )
//!     .start();                                               // returns when the port answers
//! assert_eq!(hostel.get("a.test", "/").text(), "1");          // or .send(&Request), .connect() for a raw connection
//! let left = hostel.stop();                                   // SIGTERM; dropping the instance does it too
//! assert_eq!(left, hostel_e2e::Leftovers::default());
//! ```
//!
//! - [`Instance`]: start, stop, signals, its processes (`running("hostel-front")`, `zygotes()`, `workers()`), logs, paths,
//!   `command(&["check"])` for the command line. It prints logs when a test panics, and removes its directory.
//! - [`Request`], [`Response`], [`Connection`]: exact bytes out, status, headers and body (chunked too) back.
//! - [`Browser`]: cookies, forms, uploads, redirects, for applications.
//! - [`Peer`]: nginx and php-fpm on the same document root as the same user.
//! - [`Database`]: a MariaDB of the test's own.
//! - [`Scene`]: what `hostel site` does, and what is left of it anywhere.
//! - [`SmallDisk`]: a full disk. [`killed_after`]: a command that is killed on its way.
//! - [`Terminal`]: a terminal with a program at it: keys, the screen, its size.
//! - [`random`]: numbers by chance, from a seed that is told.
//! - [`network`]: a network of the test's own, with a world outside.
//! - [`load`]: many requests from a few threads, counted.
//!
//! The tests run as root, on the loopback address alone, need the packages that `cargo xtask setup test` installs, and fail
//! with the name of what is missing. They find the programs under HOSTEL_BIN or ../target/release. On a slow machine
//! HOSTEL_SLOW multiplies their time limits ([`patience`]).

mod browser;
pub mod case;
mod control_group;
pub mod database;
pub mod http;
mod instance;
pub mod load;
mod mail_server;
pub mod network;
pub mod peer;
pub mod process;
pub mod random;
mod scene;
pub mod site;
mod small_disk;
pub mod terminal;
pub mod user;

pub use browser::{Browser, Part, encode, multipart};
pub use control_group::{CONTROL_GROUPS, group_of, has_control_groups, site_groups};
pub use database::Database;
pub use http::{Connection, Framing, Request, Response};
pub use instance::{Instance, Leftovers, PROGRAMS, free_port, programs};
pub use load::Load;
pub use mail_server::{Mail, MailServer};
pub use peer::Peer;
pub use process::{Process, Signal, killed_after, patience, wait_until};
pub use scene::{Outcome, Scene};
pub use site::Site;
pub use small_disk::SmallDisk;
pub use terminal::Terminal;
pub use user::User;
