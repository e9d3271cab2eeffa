//! `hostel-mail`: takes the mail of sites, and gives it to the one server that the configuration names.
//!
//! Started by the monitor as a user of its own, without any privilege. It trusts the monitor, and the mail server with the mail. Sites are hostile:
//! what they submit is checked, counted, stamped with who they are and queued on the disk before they are answered. It
//! reads no file of a site's but sealed memory, and writes to its queue and the sockets' directory alone. One thread, and a few for the
//! disk.
//!
//! - `control`: what the monitor says. `sockets`: where sites come in. `intake`: one message of theirs, by `head`, `lines`, `address` and `rate`.
//! - `queue`: on the disk. `deliver`: whose turn it is. `smtp`: one message to the server. `broker`: what they share. `log`: the log.

#![forbid(unsafe_code)]

mod address;
mod broker;
mod control;
mod deliver;
mod head;
mod intake;
mod lines;
mod log;
mod queue;
mod rate;
mod smtp;
mod sockets;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use hostel_sys::cred::Dropped;
use hostel_sys::sandbox::SandboxError;
use hostel_sys::{child, cred, mail_sandbox, process};
use hostel_wire::monitor_mail::MailPolicy;
use hostel_wire::view;
use rustix::fs::Mode;
use rustix::process::umask;
use tokio::runtime;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use broker::Broker;
use control::{Control, ControlError, Said};
use log::Log;
use queue::Queue;
use sockets::Sockets;

/// Why the broker could not begin or has to end.
#[derive(Debug, thiserror::Error)]
enum MailError {
    #[error("cannot {0}: {1}")]
    Begin(&'static str, io::Error),
    #[error("refusing to run with privileges: {0}")]
    Privileged(#[from] cred::NotDropped),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("the monitor has begun with something else than directories, a log and a policy")]
    Beginning,
    #[error("cannot close the sandbox: {0}")]
    Sandbox(#[from] SandboxError),
    #[error("cannot read the queue: {0}")]
    Queue(io::Error),
    #[error("cannot watch for sites: {0}")]
    Sockets(io::Error),
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If nobody listens there is nobody to tell.
            drop(writeln!(io::stderr(), "hostel-mail: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), MailError> {
    let parent = process::parent();
    let failed = |what| move |error| MailError::Begin(what, error);
    // 1: nobody of the same user can look into this process. Exec had reset it.
    process::set_non_dumpable().map_err(failed("make the process non-dumpable"))?;
    // 2: the proof that whatever follows is done without privileges.
    let dropped = cred::prove_dropped()?;
    // 3: end with the monitor.
    process::end_with_parent(parent).map_err(failed("end with the parent"))?;
    // 4: the one descriptor that the monitor gave.
    let number = u8::try_from(view::CONTROL_DESCRIPTOR)
        .map_err(|_| failed("find the socket")(io::ErrorKind::InvalidInput.into()))?;
    let control = child::inherited_descriptor(number).map_err(failed("find the socket"))?;
    // 5: sockets are for the users of sites; files of the queue have modes of their own.
    umask(Mode::empty());
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(DISK_THREADS_MAX)
        .build()
        .map_err(failed("start the runtime"))?;
    runtime.block_on(LocalSet::new().run_until(run(control, dropped)))
}

/// What the monitor says at first.
struct Beginning {
    sockets: OwnedFd,
    queue: OwnedFd,
    log: File,
    policy: MailPolicy,
}

async fn begin(control: &Control) -> Result<Option<Beginning>, MailError> {
    let (mut sockets, mut queue, mut log) = (None, None, None);
    while let Some(said) = control.hear().await? {
        match said {
            Said::Sockets(file) => sockets = Some(file),
            Said::Queue(file) => queue = Some(file),
            Said::Log(file) => log = Some(file),
            Said::Apply(policy) => {
                let (Some(sockets), Some(queue), Some(log)) = (sockets, queue, log) else {
                    return Err(MailError::Beginning);
                };
                return Ok(Some(Beginning {
                    sockets,
                    queue,
                    log,
                    policy,
                }));
            }
        }
    }
    Ok(None)
}

async fn run(control: OwnedFd, dropped: Dropped) -> Result<(), MailError> {
    let control = Control::new(control)?;
    // 6: directories, log, policy.
    let Some(beginning) = begin(&control).await? else {
        return Ok(());
    };
    let log = Rc::new(Log::default());
    log.open(beginning.log);
    let port = beginning.policy.relay.port;
    // 7: the sandbox, before anything of a site's is read.
    let written = [beginning.sockets.as_fd(), beginning.queue.as_fd()];
    mail_sandbox::enter(&written, &[port, DNS], &dropped)?;
    // 8: what is queued, and the sites' sockets.
    let sockets = Sockets::new(beginning.sockets).map_err(MailError::Sockets)?;
    let broker = Broker::new(Queue::new(beginning.queue), Rc::clone(&log));
    let broker = Rc::new(broker.map_err(MailError::Queue)?);
    broker.apply(beginning.policy);
    log.say(None, format_args!("ready"));
    spawn_local(deliver::run(Rc::clone(&broker)));
    let listening = sockets.run(Rc::clone(&broker));
    // 9: serve until the monitor says that it is enough.
    let ended = tokio::select! {
        ended = follow(&control, &broker, port) => ended,
        error = listening => Err(MailError::Sockets(error)),
    };
    if let Err(error) = &ended {
        log.say(None, format_args!("ending: {error}"));
    }
    // A delivery that is cut off is done again by the next broker.
    let _ = timeout(END_WITHIN, broker.pending.end()).await;
    ended
}

async fn follow(control: &Control, broker: &Broker, port: u16) -> Result<(), MailError> {
    while let Some(said) = control.hear().await? {
        match said {
            Said::Log(file) => broker.log.open(file),
            Said::Apply(policy) if policy.relay.port != port => {
                broker.log.say(
                    None,
                    format_args!("the server has another port: the monitor starts another broker"),
                );
                return Ok(());
            }
            Said::Apply(policy) => broker.apply(policy),
            Said::Sockets(_) | Said::Queue(_) => return Err(MailError::Beginning),
        }
    }
    Ok(())
}

/// Threads that wait for the disk.
const DISK_THREADS_MAX: usize = 8;
/// Less than the monitor waits.
const END_WITHIN: Duration = Duration::from_secs(4);
/// Name servers answer over TCP what is too long for UDP.
const DNS: u16 = 53;
