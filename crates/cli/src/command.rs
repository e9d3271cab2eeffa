//! `hostel exec` and `hostel shell`: one command of an administrator's in a new sandbox of a site, as the site's user.
//!
//! Run as root. The sandbox is started by the same sequence as the site's own and differs in nothing but what runs in it; one that runs
//! is never entered. What is in it is as hostile as the site: it gets pipes or a pseudo-terminal that were made for it, never
//! a descriptor of the administrator's, and what it writes is passed on and not looked at. It ends when this process does.
//!
//! - [`copy`]: bytes, both ways. [`keep`]: bytes for a document. [`session`]: signals, the terminal's size, the end. [`told`]: what would be run, and documents.

mod copy;
mod keep;
mod session;
mod told;

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use hostel_config::{Errors, Server, Site, SystemUsers};
use hostel_firewall::{Table, kernel};
use hostel_monitor::directories::Directories;
use hostel_monitor::launch::{Command, Difference, LaunchError, Launched, Programs, own_pipe};
use hostel_monitor::resources::Resources;
use hostel_sys::cred::Uid;
use hostel_sys::secure::SecureError;
use hostel_sys::spawn::StepFailed;
use hostel_sys::terminal::{self, isatty};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::output;
use session::Session;

/// What is typed for `exec`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExecOptions {
    /// The site's name
    site: String,
    /// Start nothing; only tell as whom, where and within which limits the command would run
    #[arg(long)]
    dry_run: bool,
    /// When it has ended, print one JSON document: its status, its time, and the first MiB of each of what it wrote
    #[arg(long)]
    json: bool,
    /// The command and its arguments, found by the PATH of the sandbox
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What is typed for `shell`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShellOptions {
    /// The site's name
    site: String,
    /// Start nothing; only tell as whom, where and within which limits the shell would run
    #[arg(long)]
    dry_run: bool,
}

/// Why a command was not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(
        "must be started by root, who alone can become the site's user\n  hint: sudo hostel exec SITE -- COMMAND"
    )]
    NotRoot,
    #[error("the configuration has errors\n{0}")]
    Configuration(Errors),
    #[error("there is no site '{0}'{1}")]
    NoSite(String, String),
    #[error(
        "nothing would hold the site to its 'egress': {0}\n  hint: the rules are kept in force by a running server: hostel serve"
    )]
    Egress(String),
    #[error("an argument holds a NUL byte")]
    Nul(#[from] std::ffi::NulError),
    #[error(transparent)]
    Directory(#[from] SecureError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("the sandbox was not started: {0}")]
    Step(StepFailed),
    #[error("cannot make pipes or a terminal")]
    Streams(#[source] io::Error),
    #[error("cannot {0}")]
    Session(&'static str, #[source] io::Error),
}

/// `hostel exec`: the command's status.
pub(crate) fn exec(config: &Path, options: &ExecOptions) -> ExitCode {
    let ExecOptions {
        site,
        dry_run,
        json,
        command,
    } = options;
    let outcome = match dry_run {
        true => would_run(config, site, command, *json),
        false => run(config, site, command, *json),
    };
    if let (Err(error), true) = (&outcome, json) {
        output::json(&told::failure(site, error));
    }
    finish("exec", outcome)
}

/// `hostel shell`: the shell's status.
pub(crate) fn shell(config: &Path, options: &ShellOptions) -> ExitCode {
    let words = [shell_path(), "-l"].map(OsString::from);
    let outcome = match options.dry_run {
        true => would_run(config, &options.site, &words, false),
        false => run(config, &options.site, &words, false),
    };
    finish("shell", outcome)
}

fn shell_path() -> &'static str {
    let [preferred, always] = SHELLS;
    if Path::new(preferred).exists() {
        preferred
    } else {
        always
    }
}

fn finish(name: &str, outcome: Result<u8, CommandError>) -> ExitCode {
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            let text = hostel_sys::causes::with_causes(&error);
            output::error(&format!("hostel {name}: {text}"));
            ExitCode::from(FAILED)
        }
    }
}

/// Tell it. What keeps it from being run is told in its place.
fn would_run(
    config: &Path,
    name: &str,
    words: &[OsString],
    as_json: bool,
) -> Result<u8, CommandError> {
    let server = permitted(config, name)?;
    let site = find(&server, name)?;
    Programs::open()?;
    match as_json {
        true => output::json(&told::plan(site, words)),
        false => told::print(site, words),
    }
    Ok(0)
}

fn run(config: &Path, name: &str, words: &[OsString], as_json: bool) -> Result<u8, CommandError> {
    let server = permitted(config, name)?;
    let site = find(&server, name)?;
    let typed = words;
    let words = words.iter().map(|word| CString::new(word.as_bytes()));
    let words = words.collect::<Result<Vec<_>, _>>()?;
    // Before anything is started: what comes from now on is an event.
    let session = Session::new().map_err(|error| CommandError::Session("take signals", error))?;
    let directories = Directories::open(&server)?;
    let programs = Programs::open()?;
    // Beside those of a server that runs with the same configuration.
    let groups = server.run.join(format!("exec-{}", std::process::id()));
    let resources = Resources::begin(&groups);
    let streams = Streams::new(site, as_json).map_err(CommandError::Streams)?;
    let ground = Ground {
        server: &server,
        site,
        directories: &directories,
        programs: &programs,
        resources: &resources,
    };
    let begun = Instant::now();
    let launched = ground.start(&streams, &words)?;
    let near = streams.near(&launched);
    let outcome = session.run(launched, near)?;
    if as_json {
        output::json(&told::outcome(site, typed, &outcome, begun.elapsed()));
    }
    Ok(session::status(outcome.ending))
}

/// The configuration, where the site may be started by whoever asks.
fn permitted(config: &Path, name: &str) -> Result<Server, CommandError> {
    if Uid::effective() != Uid::ROOT {
        return Err(CommandError::NotRoot);
    }
    let server =
        hostel_config::load(config, &SystemUsers::read()).map_err(CommandError::Configuration)?;
    if find(&server, name)?.egress.is_bounded() {
        holds_egress(&server)?;
    }
    Ok(server)
}

fn find<'s>(server: &'s Server, name: &str) -> Result<&'s Site, CommandError> {
    let found = server.sites.iter().find(|site| site.name == name);
    found.map(|site| &**site).ok_or_else(|| {
        let names: Vec<&str> = server
            .sites
            .iter()
            .take(NAMES_SHOWN)
            .map(|site| site.name.as_str())
            .collect();
        let hint = match names.len() {
            0 => String::new(),
            _ => format!("\n  hint: sites are {}", names.join(", ")),
        };
        CommandError::NoSite(output::escape(name), hint)
    })
}

/// As the monitor does not start such a site without its rules.
fn holds_egress(server: &Server) -> Result<(), CommandError> {
    match kernel::is_there(&Table::egress(&server.run)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(CommandError::Egress(
            "the packet filter has no rules for it".to_owned(),
        )),
        Err(error) => Err(CommandError::Egress(error.to_string())),
    }
}

/// What a sandbox is started from.
struct Ground<'a> {
    server: &'a Server,
    site: &'a Site,
    directories: &'a Directories,
    programs: &'a Programs,
    resources: &'a Resources,
}

impl Ground<'_> {
    fn start(&self, streams: &Streams, words: &[CString]) -> Result<Launched, CommandError> {
        let is_site = |number| {
            let mut users = self.server.sites.iter().map(|site| &site.user);
            users.any(|user| user.uid.0 == number || user.gid.0 == number)
        };
        let environment = environment(streams.has_terminal())?;
        let far = streams.far();
        let difference = Difference {
            environment: &environment,
            command: Some(Command {
                words,
                streams: Some(far),
                terminals: streams.terminals(),
            }),
            ..Difference::of_process()
        };
        Ok(self.programs.keeper(
            self.site,
            self.server,
            self.directories,
            self.resources,
            &is_site,
            &difference,
        )?)
    }
}

/// What the sandbox's programs read and write: both ends, as long as the sandbox was not started.
enum Streams {
    Terminal(terminal::Pair),
    /// The far ends, then the near ones, and whether what comes is kept.
    Pipes([OwnedFd; 3], [OwnedFd; 3], bool),
}

/// The administrator's ends.
pub(crate) enum Near {
    Terminal(OwnedFd),
    /// Input, output, errors; whether the last two are kept and not passed on.
    Pipes([OwnedFd; 3], bool),
}

impl Streams {
    /// A terminal where the administrator has one, else pipes; for a document always those.
    fn new(site: &Site, is_kept: bool) -> io::Result<Self> {
        let user = &site.user;
        if !is_kept && isatty(io::stdin()) && isatty(io::stdout()) {
            let pair = terminal::pair(user.uid, user.gid)?;
            terminal::copy_size(io::stdin(), &pair.near);
            return Ok(Self::Terminal(pair));
        }
        let pipe = || -> io::Result<(OwnedFd, OwnedFd)> {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
            own_pipe(&reader, user)?;
            Ok((reader, writer))
        };
        let (input, output, errors) = (pipe()?, pipe()?, pipe()?);
        // The near ends do not wait; the far ones do, as programs expect.
        for near in [&input.1, &output.0, &errors.0] {
            rustix::io::ioctl_fionbio(near, true)?;
        }
        Ok(Self::Pipes(
            [input.0, output.1, errors.1],
            [input.1, output.0, errors.0],
            is_kept,
        ))
    }

    fn has_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    fn far(&self) -> [BorrowedFd<'_>; 3] {
        match self {
            Self::Terminal(pair) => [pair.far.as_fd(), pair.far.as_fd(), pair.far.as_fd()],
            Self::Pipes([input, output, errors], ..) => {
                [input.as_fd(), output.as_fd(), errors.as_fd()]
            }
        }
    }

    fn terminals(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Terminal(pair) => Some(pair.file_system.as_fd()),
            Self::Pipes(..) => None,
        }
    }

    /// Once it runs: the far ends are the sandbox's alone, so that their end is heard.
    fn near(self, _: &Launched) -> Near {
        match self {
            Self::Terminal(pair) => Near::Terminal(pair.near),
            Self::Pipes(_, near, is_kept) => Near::Pipes(near, is_kept),
        }
    }
}

/// What programs expect to find besides what each command finds; nothing of the administrator's but the kind of terminal.
fn environment(has_terminal: bool) -> Result<Vec<CString>, CommandError> {
    let kind = std::env::var("TERM").ok().filter(|kind| is_kind(kind));
    let kind = kind.filter(|_| has_terminal);
    let variables = [
        format!("SHELL={}", shell_path()),
        format!("TERM={}", kind.as_deref().unwrap_or("dumb")),
    ];
    let variables = variables.into_iter().map(CString::new);
    Ok(variables.collect::<Result<Vec<_>, _>>()?)
}

/// Names of terminals, as terminfo has them.
fn is_kind(kind: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte);
    (1..=KIND_BYTES_MAX).contains(&kind.len()) && kind.bytes().all(is_letter)
}

/// Where it is not the command that has failed.
const FAILED: u8 = 125;
/// The first where the host has it, whose /usr is that of the view.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];
const KIND_BYTES_MAX: usize = 64;
/// Names of sites in a hint.
const NAMES_SHOWN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_terminal_is_a_name_and_nothing_else() {
        assert!(is_kind("xterm-256color") && is_kind("screen.xterm"));
        assert!(!is_kind("") && !is_kind("../x") && !is_kind("x\n") && !is_kind("ü"));
    }
}
