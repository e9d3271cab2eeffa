//! `hostel-jobs`: starts what runs beside the web: the `[[cron]]` and `[[daemon]]` entries of sites, at their times.
//!
//! Runs as root with what the monitor has left of root's capabilities, which starts it where a site has such entries and ends it. It trusts
//! the configuration, which is root's, and the monitor. Each run is a new sandbox of its site, started by the code that starts
//! keepers; of what runs in it, it learns that it has ended, and with which status. It never reads a byte of it: what a job
//! writes goes by a pipe to the front, which writes logs. It speaks to no network and runs nothing as root.
//!
//! - `schedule`: one entry: when it is to be started or stopped; pure. `run`: a sandbox under way.
//! - `service`: the loop. `report`: what `hostel status` shows.

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

mod report;
mod run;
mod schedule;
mod service;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use hostel_monitor::launch::{LaunchError, Programs};
use hostel_sys::signal::Signals;
use hostel_sys::{child, process};
use hostel_wire::view;
use rustix::process::Signal;

use service::{Service, ServiceError};

/// Why it did not start, or ended.
#[derive(Debug, thiserror::Error)]
enum JobsError {
    #[error("hostel-monitor starts it, with the configuration's file as its argument")]
    Usage,
    #[error("cannot {0}")]
    Prepare(&'static str, #[source] io::Error),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Service(#[from] ServiceError),
}

fn main() -> ExitCode {
    match start().and_then(|service| Ok(service.run()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("hostel-jobs: {}\n", hostel_sys::causes::with_causes(&error));
            // Nobody is left to be told of a failure.
            let _ = rustix::io::write(io::stderr(), text.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<Service, JobsError> {
    let failed = |what| move |error| JobsError::Prepare(what, error);
    process::set_non_dumpable().map_err(failed("make the process non-dumpable"))?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [path] = &arguments[..] else {
        return Err(JobsError::Usage);
    };
    let number = u8::try_from(view::CONTROL_DESCRIPTOR).map_err(|_| JobsError::Usage)?;
    let monitor = child::inherited_descriptor(number).map_err(failed("use the control socket"))?;
    // To a whole service or terminal: the monitor decides when this process ends.
    let signals = Signals::new(&[Signal::HUP, Signal::INT, Signal::TERM, Signal::USR1])
        .map_err(failed("take signals as events"))?;
    Ok(Service::new(
        path.into(),
        monitor,
        signals,
        Programs::open()?,
    ))
}
