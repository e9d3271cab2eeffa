//! `hostel-front`: all network bytes of the server.
//!
//! Started by the monitor as the front's own user, with the monitor's socket on descriptor 3. It refuses to run with any privilege, ends
//! with the monitor, and does what the library of this crate says.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use hostel_front::disk::THREADS_MAX;
use hostel_front::dispatch::Dispatch;
use hostel_front::front::{Front, Stage};
use hostel_front::logs::{Level, Logs};
use hostel_front::monitor::{self, Monitor, MonitorError};
use hostel_front::pressure::Pressure;
use hostel_front::sites::{SWEEP, Services, Sites};
use hostel_front::spill::Spill;
use hostel_front::{accept, status};
use hostel_sys::cred::Dropped;
use hostel_sys::front_sandbox::{Enforced, FrontSandboxError};
use hostel_sys::{child, cred, front_sandbox, process};
use hostel_wire::front_monitor::ToMonitor;
use hostel_wire::view;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Why the front could not begin or has to end.
#[derive(Debug, thiserror::Error)]
enum FrontError {
    #[error("cannot make the process non-dumpable: {0}")]
    Dumpable(io::Error),
    #[error("refusing to run with privileges: {0}")]
    Privileged(#[from] cred::NotDropped),
    #[error("cannot ask to be ended with the parent: {0}")]
    Parent(io::Error),
    #[error("no control socket: {0}; hostel-front is started by hostel-monitor only")]
    Control(io::Error),
    #[error("cannot start the event loop: {0}")]
    Runtime(io::Error),
    #[error("cannot listen: {0}")]
    Listen(io::Error),
    #[error(transparent)]
    Sandbox(#[from] FrontSandboxError),
    #[error(transparent)]
    Monitor(#[from] MonitorError),
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The server's log may not be there yet, and nobody is left to tell where this cannot be written.
            drop(writeln!(io::stderr(), "hostel-front: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), FrontError> {
    let parent = process::parent();
    // 1: nobody of the same user can look into this process. Exec had reset it.
    process::set_non_dumpable().map_err(FrontError::Dumpable)?;
    // 2: the proof that whatever follows is done without privileges.
    let dropped = cred::prove_dropped()?;
    // 3: end with the monitor. The change of user, which came before, would have undone it.
    process::end_with_parent(parent).map_err(FrontError::Parent)?;
    // 4: the one descriptor that the monitor gave.
    let number = u8::try_from(view::CONTROL_DESCRIPTOR)
        .map_err(|_| FrontError::Control(io::ErrorKind::InvalidInput.into()))?;
    let control = child::inherited_descriptor(number).map_err(FrontError::Control)?;
    // 5: one thread for everything but waits for the disk.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS_MAX)
        .build()
        .map_err(FrontError::Runtime)?;
    LocalSet::new().block_on(&runtime, run(control, dropped))
}

async fn run(control: OwnedFd, dropped: Dropped) -> Result<(), FrontError> {
    let monitor = Rc::new(Monitor::new(control).map_err(FrontError::Control)?);
    let logs = Rc::new(Logs::new(Level::Information));
    let pressure = Pressure::open();
    // 6: settings, sockets, files, the table.
    let beginning = monitor::begin(&monitor, &logs).await?;
    // 7: what is not open now is never opened, and nothing is started; before any byte of a client's.
    let enforced = front_sandbox::enter(beginning.spill.as_fd(), &dropped)?;
    if enforced != Enforced::Whole {
        logs.server(Level::Warning, format_args!("{}", weaker(enforced)));
    }
    let services = Services {
        logs: Rc::clone(&logs),
        spill: Rc::new(Spill::new(beginning.spill)),
        monitor: Rc::clone(&monitor),
        files: Rc::default(),
        dispatch: Rc::new(Dispatch::new(pressure)),
        turns: Rc::default(),
        supplies: Rc::default(),
        disk: Rc::default(),
    };
    let spill = Rc::clone(&services.spill);
    let front = Rc::new(Front::new(Sites::new(services), Rc::clone(&logs), spill));
    front.sites.change(&[], beginning.table);
    // 8: the tasks.
    let mut listeners = JoinSet::new();
    for listener in beginning.listeners {
        let listener = std::net::TcpListener::from(listener);
        let listener = nonblocking(listener, std::net::TcpListener::set_nonblocking)
            .and_then(TcpListener::from_std)
            .map_err(FrontError::Listen)?;
        listeners.spawn_local(accept::serve(listener, Rc::clone(&front)));
    }
    if let Some(listener) = beginning.status {
        let listener = std::os::unix::net::UnixListener::from(listener);
        let listener = nonblocking(listener, std::os::unix::net::UnixListener::set_nonblocking)
            .and_then(UnixListener::from_std)
            .map_err(FrontError::Listen)?;
        spawn_local(status::serve(listener, Rc::clone(&front)));
    }
    spawn_local(Rc::clone(&front).sweep());
    // 9: serve, until the monitor says that it is enough.
    monitor.send(ToMonitor::Ready);
    logs.server(Level::Information, format_args!("ready"));
    let ended = serve(&front, &monitor, listeners).await;
    if let Err(error) = &ended {
        logs.server(Level::Error, format_args!("ending: {error}"));
    }
    logs.flush();
    Ok(ended?)
}

/// Do what the monitor says, to the last request.
async fn serve(
    front: &Rc<Front>,
    monitor: &Monitor,
    mut listeners: JoinSet<()>,
) -> Result<(), MonitorError> {
    let (stage, wait) = monitor::follow(front, monitor).await?;
    front.drain.ask(stage);
    let finish = async {
        while listeners.join_next().await.is_some() {}
        front.connections.all_ended().await;
        while front.sites.all().iter().any(|site| !site.is_quiet()) {
            tokio::time::sleep(SWEEP).await;
        }
    };
    // Clients that have not asked again until shortly before the end are closed the door to.
    let until = Instant::now() + wait;
    let close_idle = async {
        sleep_until(until.checked_sub(LAST_ANSWERS).unwrap_or(until)).await;
        front.drain.ask(Stage::Ending);
        std::future::pending::<()>().await;
    };
    let in_time = tokio::select! {
        finished = timeout_at(until, finish) => finished.is_ok(),
        () = close_idle => false,
        // A site may still be woken by a running request; a second order to end changes nothing but the wait.
        followed = follow_on(front, monitor) => return Err(followed),
    };
    if !in_time {
        front.logs.server(
            Level::Warning,
            format_args!("requests still ran after {} seconds", wait.as_secs()),
        );
    }
    front.logs.flush();
    monitor.send(ToMonitor::Drained);
    Ok(())
}

async fn follow_on(front: &Rc<Front>, monitor: &Monitor) -> MonitorError {
    loop {
        match monitor::follow(front, monitor).await {
            Ok((stage, _)) => front.drain.ask(stage),
            Err(error) => return error,
        }
    }
}

/// What a kernel that lacks Landlock, or its newer rules, means for this process.
fn weaker(enforced: Enforced) -> &'static str {
    match enforced {
        Enforced::Whole => "the front's sandbox is whole",
        Enforced::Partly => {
            "this kernel has no rules of Landlock's for ports, sockets and signals: the front is kept from them by its filter of system calls alone"
        }
        Enforced::Not => {
            "this kernel has no Landlock, or it is switched off: the front is kept from files by its filter of system calls and its user alone"
        }
    }
}

/// What is left then for requests that come at the last moment.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

fn nonblocking<L>(listener: L, set: fn(&L, bool) -> io::Result<()>) -> io::Result<L> {
    set(&listener, true)?;
    Ok(listener)
}
