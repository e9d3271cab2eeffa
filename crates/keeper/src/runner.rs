//! The runner: process 1 of a sandbox in which one command of the site runs, such as `hostel exec`, a cron entry or a daemon.
//!
//! The program `hostel-keeper` under another name, started in the keeper's place by the same sequence; the site's user, like all that it
//! starts. It starts the command, reaps what that leaves behind, passes signals on, and ends with the command's status, upon which
//! the kernel ends the rest. It trusts whoever started it, who may say stop; the command may be hostile and can do nothing to it. Nothing of
//! the command's input or output passes through it.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{Duration, Instant};

use hostel_sys::child::{self, Program};
use hostel_sys::cred::{self, Dropped};
use hostel_sys::signal::{self, Ending, Reaped, Signals};
use hostel_sys::wait::wait;
use hostel_sys::{fdpass, process, sandbox, terminal};
use hostel_wire::monitor_keeper::ToKeeper;
use hostel_wire::{limits, view};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The name of the second half: what becomes the command.
pub(crate) const COMMAND: &str = "hostel-command";

/// Why a command was not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("a command is started by `hostel exec`, `hostel shell` or hostel-jobs")]
    Usage,
    #[error("cannot make the process non-dumpable")]
    Dumpable(#[source] io::Error),
    #[error("privileges are left")]
    Privileged(#[from] cred::NotDropped),
    #[error("cannot ask to be ended with the parent")]
    Parent(#[source] io::Error),
    #[error("not process 1 of a namespace")]
    NotFirst,
    #[error("no control socket")]
    Control(#[source] io::Error),
    #[error("cannot take signals as events")]
    Signals(#[source] io::Error),
    #[error("cannot start the command")]
    Start(#[from] child::StartError),
    #[error("cannot wait")]
    Wait(#[source] io::Error),
    #[error("cannot begin a session")]
    Session(#[source] io::Error),
    #[error(transparent)]
    Sandbox(#[from] sandbox::SandboxError),
    #[error("cannot change to the home {}", .0.to_string_lossy())]
    Home(OsString, #[source] io::Error),
    #[error("cannot run '{}'", .0.to_string_lossy())]
    Command(OsString, #[source] io::Error),
}

impl RunError {
    /// What shells answer too; what is not the command's fault has a number of its own.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Command(_, error) if error.kind() == io::ErrorKind::NotFound => NOT_FOUND,
            Self::Command(..) => NOT_RUN,
            _ => FAILED,
        }
    }
}

/// Run a command as process 1; its status. `words`: how, and the command.
pub(crate) fn run(words: &[OsString], is_alone: bool) -> Result<u8, RunError> {
    // 1: nobody of the same user can look into this process. Exec had reset it.
    process::set_non_dumpable().map_err(RunError::Dumpable)?;
    // 2: the proof that whatever follows is done without privileges.
    let dropped = cred::prove_dropped()?;
    // 3: end with who started this, whose id is 0 in here.
    process::end_with_parent(process::parent()).map_err(RunError::Parent)?;
    // 4: the end of this process has to be the end of all others.
    if is_alone && rustix::process::getpid() != Pid::INIT {
        return Err(RunError::NotFirst);
    }
    // 5: the socket of who started this.
    let number = u8::try_from(view::CONTROL_DESCRIPTOR).map_err(|_| RunError::Usage)?;
    let control = child::inherited_descriptor(number).map_err(RunError::Control)?;
    rustix::io::ioctl_fionbio(&control, true).map_err(|error| RunError::Control(error.into()))?;
    // 6: deaths of children and what is passed on, as events.
    let mut taken = vec![Signal::CHILD];
    taken.extend(PASSED_ON);
    let signals = Signals::new(&taken).map_err(RunError::Signals)?;
    // 7: the command; then the loop.
    let mut runner = Runner {
        command: start(words, &dropped)?,
        control: Some(control),
        signals,
        until: None,
    };
    runner.turns()
}

/// The command in its own process, before it is itself.
fn start(words: &[OsString], _: &Dropped) -> Result<Pid, RunError> {
    let text = |bytes: Vec<u8>| CString::new(bytes).map_err(|_| RunError::Usage);
    let mut arguments = vec![text(COMMAND.into())?];
    for word in words {
        arguments.push(text(word.as_bytes().to_vec())?);
    }
    let mut environment = Vec::new();
    for (name, value) in std::env::vars_os() {
        let variable = [name.into_vec(), b"=".to_vec(), value.into_vec()].concat();
        environment.push(text(variable)?);
    }
    let started = child::start(&Program {
        path: text(format!("{}/hostel-keeper", view::PROGRAMS).into())?,
        arguments,
        environment,
        descriptors: &[],
    });
    Ok(started?)
}

/// The second half, in a process that the runner has started: a session, the last barriers, then the command in its place.
pub(crate) fn become_command(words: &[OsString]) -> Result<std::convert::Infallible, RunError> {
    let [how, name, arguments @ ..] = words else {
        return Err(RunError::Usage);
    };
    let dropped = cred::prove_dropped()?;
    let has_terminal = how == view::WITH_TERMINAL;
    terminal::begin_session(has_terminal.then(io::stdin)).map_err(RunError::Session)?;
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/".into());
    if let Err(error) = rustix::process::chdir(home.as_bytes()) {
        return Err(RunError::Home(home, error.into()));
    }
    sandbox::restrict_scripts(&dropped)?;
    let error = child::become_program(name, arguments);
    Err(RunError::Command(name.clone(), error))
}

/// A command under way.
struct Runner {
    command: Pid,
    /// `None` once there is nobody who could say more.
    control: Option<OwnedFd>,
    signals: Signals,
    /// When everything ends that has not ended by itself.
    until: Option<Instant>,
}

impl Runner {
    /// Until the command has ended, or nobody wants it any more.
    fn turns(&mut self) -> Result<u8, RunError> {
        loop {
            let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
            polled.extend(
                self.control
                    .as_ref()
                    .map(|control| PollFd::new(control, PollFlags::IN)),
            );
            wait(&mut polled, self.until).map_err(RunError::Wait)?;
            while let Some(signal) = self.signals.take().map_err(RunError::Signals)? {
                self.pass_on(signal);
            }
            while let Reaped::Child(pid, ending) = signal::reap().map_err(RunError::Wait)? {
                if pid == self.command {
                    return Ok(status(ending));
                }
            }
            if !self.hear() || self.until.is_some_and(|until| until <= Instant::now()) {
                return Ok(status(Ending::Signalled(KILLED)));
            }
        }
    }

    /// To the command and those that it has not put apart.
    fn pass_on(&self, signal: Signal) {
        if signal == Signal::CHILD {
            return;
        }
        // It is a group of its own from its first moments on; before, it is alone. It may have ended.
        if kill_process_group(self.command, signal).is_err() {
            let _ = kill_process(self.command, signal);
        }
    }

    /// What who started this has to say; whether there still is somebody.
    fn hear(&mut self) -> bool {
        let Some(control) = &self.control else {
            return true;
        };
        let mut buffer = vec![0; limits::MESSAGE_BYTES_MAX];
        match fdpass::receive(control, &mut buffer) {
            Ok(received) if received.bytes == 0 => false,
            Ok(received) => {
                let bytes = buffer.get(..received.bytes).unwrap_or_default();
                if let Ok(ToKeeper::Stop { seconds }) = ToKeeper::decode(bytes) {
                    self.until = Some(Instant::now() + Duration::from_secs(seconds.into()));
                    // Those who are gone need not be told.
                    let _ = signal::signal_all_others(Signal::TERM);
                }
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(_) => false,
        }
    }
}

/// As a shell tells it.
fn status(ending: Ending) -> u8 {
    match ending {
        Ending::Exited(status) => status,
        Ending::Signalled(signal) => signal.saturating_add(128),
    }
}

/// Signals that mean the command.
const PASSED_ON: [Signal; 6] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
];
/// SIGKILL.
const KILLED: u8 = 9;
/// Where it is not the command that has failed, as `docker run` and `env` have it.
const FAILED: u8 = 125;
/// There is such a file, and it cannot be run.
const NOT_RUN: u8 = 126;
/// There is none.
const NOT_FOUND: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_what_a_shell_would_tell() {
        assert_eq!(status(Ending::Exited(7)), 7);
        assert_eq!(status(Ending::Signalled(15)), 143);
        let missing = RunError::Command("x".into(), io::ErrorKind::NotFound.into());
        assert_eq!(missing.status(), 127);
        let denied = RunError::Command("x".into(), io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied.status(), 126);
        assert_eq!(RunError::Usage.status(), 125);
    }
}
