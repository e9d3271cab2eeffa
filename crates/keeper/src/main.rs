//! `hostel-keeper`: process 1 of a site's sandbox.
//!
//! Started by the monitor, as the site's user, inside the site's view. It opens static files for the front, starts PHP and
//! reaps everything else of the site. It trusts the monitor, and the front with the site; its zygote, like any other process
//! of the site, may be hostile and can harm nothing but the site. It runs no script, speaks no HTTP and writes no file. One
//! thread, one poll loop. Under other names it is the sweeper (`sweep`) and process 1 of a sandbox for one command (`runner`).

#![forbid(unsafe_code)]

mod files;
mod keeper;
mod outbox;
mod processes;
mod runner;
mod stderr;
mod sweep;
mod sweeper;
mod zygote;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use hostel_sys::layers::{Layer, Layers};
use hostel_sys::signal::Signals;
use hostel_sys::{child, cred, process};
use hostel_wire::view;
use rustix::process::{Pid, Signal};

use keeper::{Keeper, KeeperError};
use runner::RunError;
use sweep::SweepError;

/// Why the keeper could not begin.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("cannot make the process non-dumpable")]
    Dumpable(#[source] io::Error),
    #[error("privileges are left")]
    Privileged(#[source] cred::NotDropped),
    #[error("cannot ask to be ended with the parent")]
    Parent(#[source] io::Error),
    #[error("not process 1 of a namespace: hostel-keeper is started by hostel-monitor only")]
    NotFirst,
    #[error("no control socket")]
    Control(#[source] io::Error),
    #[error("cannot take signals as events")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    #[error(transparent)]
    Sweep(#[from] SweepError),
    #[error(transparent)]
    Run(#[from] RunError),
}

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let (name, words) = match words.split_first() {
        Some((name, words)) => (name.to_str().unwrap_or_default(), words),
        None => ("", &[][..]),
    };
    let outcome = match name {
        sweep::NAME => sweep::run(words)
            .map(|()| ExitCode::SUCCESS)
            .map_err(StartError::from),
        view::RUNNER => runner::run(words, is_alone())
            .map(ExitCode::from)
            .map_err(StartError::from),
        runner::COMMAND => match runner::become_command(words) {
            Ok(never) => match never {},
            Err(error) => Err(error.into()),
        },
        _ => start()
            .and_then(|keeper| Ok(keeper.run()?))
            .map(|()| ExitCode::SUCCESS),
    };
    match outcome {
        Ok(status) => status,
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(source) = cause {
                text = format!("{text}: {source}");
                cause = source.source();
            }
            stderr::say(&text);
            match error {
                StartError::Run(error) => ExitCode::from(error.status()),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Whether this process has a process namespace of its own, as it has but in tests.
fn is_alone() -> bool {
    Layers::of_process().has(Layer::ProcessNamespace)
}

fn start() -> Result<Keeper, StartError> {
    // 1: nobody of the same user can look into this process. Exec had reset it.
    process::set_non_dumpable().map_err(StartError::Dumpable)?;
    // 2: the proof that whatever follows is done without privileges.
    let dropped = cred::prove_dropped().map_err(StartError::Privileged)?;
    // 3: end with the monitor. Its id is 0 in here, since it is outside of the namespace.
    process::end_with_parent(process::parent()).map_err(StartError::Parent)?;
    // 4: the end of this process has to be the end of all others of the site.
    if is_alone() && rustix::process::getpid() != Pid::INIT {
        return Err(StartError::NotFirst);
    }
    // 5: the one descriptor that the monitor gave.
    let number = u8::try_from(view::CONTROL_DESCRIPTOR)
        .map_err(|_| StartError::Control(io::ErrorKind::InvalidInput.into()))?;
    let monitor = child::inherited_descriptor(number).map_err(StartError::Control)?;
    // 6: deaths of children, as events.
    let signals = Signals::new(&[Signal::CHILD]).map_err(StartError::Signals)?;
    // 7: the site's settings; then the loop.
    Ok(Keeper::new(monitor, signals, dropped)?)
}
