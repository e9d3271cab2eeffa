//! PHP of one site: the zygote, and the workers that it forks.
//!
//! Started by the site's keeper at the first PHP request, as the site's user in the site's view; the only program that links
//! libphp. It trusts the keeper with the site's settings, and the front with one request at a time. From the moment that a
//! script runs in a worker, that worker counts as hostile, and so do its siblings and the zygote.
//!
//! `main` is the order of start: 1 unreadable, 2 proof, 3 bound to the keeper, 4 settings, 5 PHP, 6 the zygote's loop, 7 in a worker what
//! it takes to be put back, its own layer of the sandbox, and its loop.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use hostel_rewind::{Base, Rewind};
use hostel_sys::child::inherited_descriptor;
use hostel_sys::cred::{Dropped, prove_dropped};
use hostel_sys::process::{close_all_but, end_with_parent, parent, set_non_dumpable};
use hostel_sys::sandbox::restrict_scripts;
use hostel_wire::codec::Malformed;
use hostel_wire::fresh::Fresh;
use hostel_wire::keeper_zygote::ToZygote;
use hostel_wire::view::CONTROL_DESCRIPTOR;
use rustix::fs::Mode;
use rustix::process::umask;

use crate::engine::Engine;
use crate::fresh::Means;
use crate::trial::Record;
use crate::zygote::{Control, Ended, Zygote, ZygoteError};

mod basic_auth;
#[allow(unsafe_code, reason = "PHP calls it with C's pointers")]
mod callbacks;
mod channel;
#[allow(unsafe_code, reason = "the only caller of the shim")]
mod engine;
mod exchange;
#[allow(unsafe_code, reason = "declares the shim's functions")]
mod ffi;
mod file_cache;
mod fresh;
mod ini;
#[allow(unsafe_code, reason = "says of what any bytes are a value")]
mod keys;
#[allow(unsafe_code, reason = "says of what any bytes are a value")]
mod looks;
mod modules;
#[allow(unsafe_code, reason = "memory that outlives a rewind")]
mod outliving;
#[allow(unsafe_code, reason = "fork and _exit have no safe wrapper")]
mod process;
mod reply;
mod request;
mod serve;
#[allow(unsafe_code, reason = "memory that processes share")]
mod trial;
mod variables;
mod warm;
mod zygote;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nobody else to tell.
            let _ = writeln!(std::io::stderr(), "hostel-php: {}", causes(&*error));
            ExitCode::FAILURE
        }
    }
}

/// There is nobody else to tell.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "hostel-php: {text}");
}

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

fn run() -> Result<(), Box<dyn Error>> {
    let keeper = parent();
    // 1. Nobody else of the site's user reads this process's memory; exec has reset it.
    set_non_dumpable()?;
    // 2. Whatever else holds, PHP never starts with a privilege.
    let dropped = prove_dropped()?;
    // 3. The site's processes end together.
    end_with_parent(keeper)?;
    umask(Mode::from_raw_mode(0o022));
    close_all_but(&[0, 1, 2, CONTROL_DESCRIPTOR])?;
    let mut control = Control::new(inherited_descriptor(u8::try_from(CONTROL_DESCRIPTOR)?)?);
    // 4. What the site is.
    let settings = match control.receive()? {
        Some((ToZygote::Settings(settings), _)) => settings,
        Some((ToZygote::Fork(_) | ToZygote::Kill(_), _)) => {
            return Err(Malformed::Value("message before settings").into());
        }
        None => return Err(ZygoteError::NoSettings.into()),
    };
    match settings.fresh {
        Fresh::On | Fresh::Paranoid => process::keep_heap(),
        Fresh::Off | Fresh::Fork => {}
    }
    // 5. PHP, whose shared memory all workers will have in common.
    let mut engine = Engine::start(&dropped, &settings)?;
    let means = fresh::means(settings.fresh, &engine);
    let (record, base) = fresh::record(means)?;
    // 6. The zygote's loop; in a worker, the control socket and the signals are closed when it returns.
    match Zygote::new(control, record, base)?.run()? {
        Ended::Zygote => Ok(()),
        // 6a. As a worker up to the checkpoint, but in nobody's way.
        Ended::Trial(base) => {
            rustix::thread::set_name(c"hostel-trial")?;
            rustix::process::nice(19)?;
            let rewind = worker_begins(&mut engine, &dropped, means, None, base);
            if let Some(record) = record {
                trial::conduct(&mut engine, rewind, record);
            }
            process::end_process(0)
        }
        // 7. A worker.
        Ended::Worker(socket, base) => {
            rustix::thread::set_name(c"hostel-worker")?;
            let rewind = worker_begins(&mut engine, &dropped, means, record, base);
            let served = serve::run(engine, &settings, means, socket, rewind, record);
            if let Err(error) = &served {
                say(&format!("worker: {error}"));
            }
            // Not by returning: the C library would run what PHP's modules left for the zygote's exit.
            process::end_process(i32::from(served.is_err()))
        }
    }
}

/// What a new process does before it may serve. It ends where that fails.
fn worker_begins(
    engine: &mut Engine,
    dropped: &Dropped,
    means: Means,
    record: Option<&Record>,
    base: Option<Base>,
) -> Option<Rewind> {
    // 7a. What it takes to be put back after each request.
    let rewind = match fresh::prepare(engine, means, record, base) {
        Ok(rewind) => rewind,
        Err(error) => {
            say(&format!("worker: {}", causes(&error)));
            process::end_process(1);
        }
    };
    // 7b. From here on it reaches no other process of the site, and neither does what its scripts start.
    if let Err(error) = restrict_scripts(dropped) {
        say(&format!("worker: {}", causes(&error)));
        process::end_process(1);
    }
    rewind
}
