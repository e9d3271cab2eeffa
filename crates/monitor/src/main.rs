//! `hostel-monitor`: reads the configuration, opens ports and logs, starts and stops everything else.
//!
//! Runs as root, always in the foreground, on one thread with one poll loop. It trusts the configuration, which is root's, and the kernel;
//! the front may ask it eight questions of five bytes, and it never reads from a site's process. It knows no HTTP, no
//! TLS, no PHP and follows no path that a site can change.
//!
//! - `start`: the numbered start-up, `takeover` what differs when it goes on for an earlier program.
//!   `listen`, `log`, `notify`: what it opens.
//! - `supervise`: the loop. `sites`, `front`: what it looks after; `requests`: what the front may ask; `control`: what root may;
//!   `reload`: a new configuration.
//! - `back_off`: how soon something is started again. How, and in which directories, is the library's.

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

mod control;
mod front;
mod listen;
mod log;
mod notify;
mod reload;
mod requests;
mod sites;
mod start;
mod supervise;
mod takeover;

use std::process::ExitCode;

fn main() -> ExitCode {
    let run = |monitor: Option<supervise::Monitor>| match monitor {
        Some(monitor) => Ok(monitor.run()?),
        None => Ok(()),
    };
    match start::start().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::say(&format!(
                "hostel-monitor: {}",
                hostel_sys::causes::with_causes(&error)
            ));
            ExitCode::FAILURE
        }
    }
}
