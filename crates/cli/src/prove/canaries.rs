//! What the server has that no site may reach: secrets, a socket, processes; looked at from outside after each attack.
//!
//! Made by `hostel prove` as root in the server's own directories, and removed when dropped. All of it is open to every user
//! as far as its own mode goes, so that what stops an attack is the sandbox and not the mode of one file.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use hostel_config::Server;
use serde_json::{Value, json};

use super::services::Services;
use super::stage::random_text;
use hostel_sys::signal::Signals;
use rustix::process::Signal;

/// A text that nobody but its owner can know.
#[derive(Debug, Clone)]
pub(crate) struct Secret {
    /// Where it stands, for the report.
    pub(crate) place: String,
    pub(crate) text: String,
}

/// A process that has to live on, unchanged.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pid: u32,
    name: String,
    state: String,
}

/// The server's canaries.
#[derive(Debug)]
pub(crate) struct ServerCanaries {
    pub(crate) secrets: Vec<Secret>,
    files: Vec<PathBuf>,
    directories: Vec<PathBuf>,
    socket: PathBuf,
    listener: UnixListener,
    processes: Vec<Watched>,
    services: Services,
    targets: Value,
    run: String,
    signals: Signals,
    /// Whether whoever started the suite wants it to end.
    pub(crate) is_interrupted: bool,
    before: String,
}

impl ServerCanaries {
    /// Put them in their places.
    ///
    /// # Errors
    /// One of the server's directories cannot be written, or signals cannot be taken as events.
    pub(crate) fn new(server: &Server, config: &Path, run: &str) -> io::Result<Self> {
        let config = std::path::absolute(config)?;
        let around = config.parent().unwrap_or(Path::new("/"));
        let directories: Vec<PathBuf> = [around, &server.state, &server.logs, &server.run]
            .map(Path::to_owned)
            .into();
        let signals = Signals::new(&[Signal::INT, Signal::TERM, Signal::HUP, CANARY_SIGNAL])?;
        let socket = server.run.join(format!("{run}.sock"));
        let listener = UnixListener::bind(&socket)?;
        let mut canaries = Self {
            secrets: Vec::new(),
            files: Vec::new(),
            directories,
            socket,
            listener,
            // Not the running server: what the suite finds out must not be found out on it.
            processes: watch([std::process::id()]),
            services: Services::listen()?,
            targets: Value::Null,
            run: run.to_owned(),
            signals,
            is_interrupted: false,
            before: String::new(),
        };
        fs::set_permissions(&canaries.socket, Permissions::from_mode(0o666))?;
        canaries.listener.set_nonblocking(true)?;
        for directory in canaries.directories.clone() {
            canaries.secret_file(&directory.join(format!(".hostel-prove-{run}")))?;
        }
        canaries.before = canaries.look();
        let pids: Vec<u32> = canaries
            .processes
            .iter()
            .map(|process| process.pid)
            .collect();
        canaries.targets = json!({
            "files": canaries.files,
            "directories": canaries.directories,
            "config": config,
            "sites": server.sites_directory,
            "socket": canaries.socket,
            "status": server.run.join("status.sock"),
            "pids": pids,
            "services": canaries.services.targets(),
            "signal": CANARY_SIGNAL.as_raw(),
            "run": run,
        });
        Ok(canaries)
    }

    /// What an attacker is told about the server.
    pub(crate) fn targets(&self) -> &Value {
        &self.targets
    }

    /// What was touched since the last time.
    pub(crate) fn touched(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        let now = self.look();
        if now != self.before {
            found.push(format!(
                "the server's files changed: {}",
                difference(&self.before, &now)
            ));
            self.remove_planted();
            self.before = self.look();
        }
        while let Ok(Some(signal)) = self.signals.take() {
            if signal == CANARY_SIGNAL {
                found.push("a signal to a process of root's".to_owned());
            } else {
                self.is_interrupted = true;
            }
        }
        while let Ok((mut peer, _)) = self.listener.accept() {
            // Said to whoever connects, so that what speaks counts as reached by its own words too.
            let _ = peer.write_all(b"hostel-prove\n");
            found.push(format!("a connection to {}", self.socket.display()));
        }
        found.extend(self.services.touched());
        found.extend(changes(&mut self.processes));
        found
    }

    /// What stands beside the canaries with their name.
    fn planted(&self) -> Vec<PathBuf> {
        let name = format!(".hostel-prove-{}", self.run);
        let entries = self
            .directories
            .iter()
            .filter_map(|path| fs::read_dir(path).ok());
        let mut found: Vec<PathBuf> = entries
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&name))
            .map(|entry| entry.path())
            .filter(|path| !self.files.contains(path))
            .collect();
        found.sort_unstable();
        found
    }

    fn remove_planted(&self) {
        for path in self.planted() {
            // Made by an attack as a file; what it is instead stays, and is told at each look.
            let _ = fs::remove_file(path);
        }
    }

    fn secret_file(&mut self, path: &Path) -> io::Result<()> {
        let text = random_text()?;
        fs::write(path, &text)?;
        self.files.push(path.to_owned());
        self.secrets.push(Secret {
            place: path.display().to_string(),
            text,
        });
        fs::set_permissions(path, Permissions::from_mode(0o644))
    }

    /// The canary files, and the names of what stands beside them where the server itself creates nothing while it runs.
    fn look(&self) -> String {
        let mut lines = Vec::new();
        for path in &self.files {
            let mut text = String::new();
            let read =
                fs::File::open(path).and_then(|file| file.take(4096).read_to_string(&mut text));
            let mode = fs::symlink_metadata(path).map(|found| found.permissions().mode());
            lines.push(format!("{} {read:?} {mode:?} {text}", path.display()));
        }
        let planted = self.planted();
        lines.extend(planted.iter().map(|path| path.display().to_string()));
        lines.join("\n")
    }
}

impl Drop for ServerCanaries {
    fn drop(&mut self) {
        self.remove_planted();
        for path in self.files.iter().chain([&self.socket]) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    crate::output::error(&format!(
                        "hostel prove: cannot remove {}: {error}",
                        path.display()
                    ));
                }
                Ok(()) | Err(_) => {}
            }
        }
    }
}

/// Watch processes by their ids, as they are now.
pub(crate) fn watch(pids: impl IntoIterator<Item = u32>) -> Vec<Watched> {
    pids.into_iter().filter_map(Watched::of).collect()
}

/// What became of the watched processes; those that changed are taken as they are from now on.
pub(crate) fn changes(watched: &mut Vec<Watched>) -> Vec<String> {
    let mut found = Vec::new();
    watched.retain_mut(|before| match Watched::of(before.pid) {
        Some(now) if now.state == before.state => true,
        Some(now) => {
            found.push(format!(
                "process {} ({}) changed: {}",
                before.pid,
                before.name,
                difference(&before.state, &now.state)
            ));
            *before = now;
            true
        }
        None => {
            found.push(format!("process {} ({}) ended", before.pid, before.name));
            false
        }
    });
    found
}

/// The lines that only one of two texts has.
pub(crate) fn difference(before: &str, now: &str) -> String {
    let only = |these: &str, those: &str| {
        let lines = these.lines();
        let others: Vec<&str> = those.lines().collect();
        lines
            .filter(|line| !others.contains(line))
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(", ")
    };
    format!("[{}] became [{}]", only(before, now), only(now, before))
}

impl Watched {
    /// Its start, nice value, policy and allowed processors; its state only as to whether it is stopped or dead, or is about to be: a
    /// signal that ends it counts from when it was sent, since a busy machine may let it take effect after the look.
    fn of(pid: u32) -> Option<Self> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
        let stat = read("stat")?;
        let (before, after) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        if matches!(field(0), "Z" | "X") {
            return None;
        }
        let status = read("status")?;
        let is_stopped = matches!(field(0), "T" | "t") || is_to_end(&status);
        let allowed = status
            .lines()
            .find(|line| line.starts_with("Cpus_allowed_list"))?;
        let score = read("oom_score_adj").unwrap_or_default();
        Some(Self {
            pid,
            name: before.split_once('(')?.1.to_owned(),
            // By proc(5): the nice value is field 19, the start 22, the policy 41; the state is field 3.
            state: format!(
                "stopped {is_stopped}\nnice {}\nstarted {}\npolicy {}\n{allowed}\nscore {}",
                field(16),
                field(19),
                field(38),
                score.trim()
            ),
        })
    }
}

/// Whether SIGKILL or SIGSTOP waits for a process with this `status` file: nothing can keep it from ending or stopping.
fn is_to_end(status: &str) -> bool {
    let sure = [Signal::KILL, Signal::STOP].map(|signal| 1_u64 << (signal.as_raw() - 1));
    let masks = status.lines().filter_map(|line| {
        let mask = ["SigPnd:", "ShdPnd:"].iter();
        mask.filter_map(|name| line.strip_prefix(name)).next()
    });
    masks
        .filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .any(|mask| sure.iter().any(|bit| mask & bit != 0))
}

/// To a process of root's: taken as an event by this one.
const CANARY_SIGNAL: Signal = Signal::USR2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_sent_what_it_cannot_refuse_counts_as_ended() {
        let with =
            |own: &str, shared: &str| format!("Name:\tx\nSigPnd:\t{own}\nShdPnd:\t{shared}\n");
        let none = "0000000000000000";
        assert!(is_to_end(&with("0000000000000100", none)), "SIGKILL");
        assert!(is_to_end(&with(none, "0000000000040000")), "SIGSTOP");
        assert!(!is_to_end(&with(none, "0000000000010000")), "SIGCHLD");
        assert!(!is_to_end(&with(none, none)));
    }
}
