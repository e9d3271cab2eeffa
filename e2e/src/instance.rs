//! A throw-away Hostel: own directory beneath /srv, own port, own users' sites; started, asked, stopped, cleared away.
//!
//! What fails here panics with what is missing and what to do: a test that cannot run has failed.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::http::{self, Connection, Request, Response};
use crate::process::{self, Process, Signal, wait_until};
use crate::site::Site;
use crate::user;

/// From `hostel serve` to the first answer.
const START_MAX: Duration = Duration::from_secs(15);
/// From SIGTERM to the end.
const STOP_MAX: Duration = Duration::from_secs(20);
/// A server's own log is printed at a failure, at most its last lines.
const LOG_LINES_SHOWN: usize = 60;

/// A throw-away Hostel. Dropped, it is stopped and its directory removed; its logs are printed when the test panics.
#[derive(Debug)]
pub struct Instance {
    directory: PathBuf,
    programs: PathBuf,
    port: u16,
    monitor: Option<Child>,
    sites: Vec<Site>,
    settings: String,
    launcher: Vec<String>,
}

/// What a stopped instance left behind; all empty is right.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Processes that were of the instance and still run.
    pub processes: Vec<String>,
    /// Mounts that name its directory.
    pub mounts: Vec<String>,
    /// Sockets: the port where it still answers, the status socket's path where it still exists.
    pub sockets: Vec<String>,
}

impl Instance {
    /// Make the directory and the users; nothing runs yet. `name` shows in messages and in the directory's name.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests make users and start a server as root: run them as root"
        );
        user::ensure_all();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let unique = format!("/srv/hostel-test-{}-{number}-{name}", std::process::id());
        let directory = PathBuf::from(unique);
        for part in ["homes", "etc/sites.d", "logs", "state", "run"] {
            fs::create_dir_all(directory.join(part)).expect("/srv can be written by root");
        }
        Self {
            directory,
            programs: programs(),
            port: free_port(),
            monitor: None,
            sites: Vec::new(),
            settings: String::new(),
            launcher: Vec::new(),
        }
    }

    /// Run the programs of another directory, such as one with a hostile worker in it.
    pub fn programs(mut self, directory: &Path) -> Self {
        directory.clone_into(&mut self.programs);
        self
    }

    /// Start the server through another program: its words, after which those of `hostel serve` follow. It must become it.
    pub fn launcher(mut self, words: &[&str]) -> Self {
        self.launcher = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Serve in a mount namespace whose /etc is a copy and whose /run is empty: the directories `host-etc` and `host-run` of the
    /// instance, where a test can replace what it likes. Programs started elsewhere use them by those paths.
    pub fn on_a_host_of_its_own(self) -> Self {
        let [etc, run] = ["host-etc", "host-run"].map(|name| self.path(name));
        let copied = Command::new("cp").args(["-a", "/etc"]).arg(&etc).status();
        assert!(
            copied.is_ok_and(|status| status.success()),
            "/etc was not copied"
        );
        fs::create_dir_all(&run).expect("the instance's directory");
        let [etc, run] = [etc, run].map(|path| path.display().to_string());
        let script =
            "mount --bind \"$1\" /etc && mount --bind \"$2\" /run && shift 2 && exec \"$@\"";
        let mut words = vec!["unshare", "--mount", "--propagation", "private"];
        words.extend(["sh", "-c", script, "sh", &etc, &run]);
        self.launcher(&words)
    }

    /// Lines for hostel.toml beyond the paths, the port and the user.
    pub fn settings(mut self, toml: &str) -> Self {
        self.settings.push_str(toml);
        self.settings.push('\n');
        self
    }

    /// Add a site: its files are written at once, its configuration too.
    pub fn site(mut self, site: Site) -> Self {
        self.add_site(site);
        self
    }

    /// Add a site to an instance that may run: it takes a [`Self::reload`] until it is served.
    pub fn add_site(&mut self, site: Site) {
        let home = self.home(&site.name);
        site.write(&home);
        fs::write(self.site_file(&site.name), site.configuration(&home)).expect("sites.d");
        self.sites.push(site);
    }

    /// Write hostel.toml, start `hostel serve` and wait for its first answer.
    pub fn start(mut self) -> Self {
        self.write_configuration();
        self.serve();
        self
    }

    /// Write hostel.toml without starting anything, for `hostel check`.
    pub fn write_configuration(&self) {
        let toml = format!(
            "http = [\"127.0.0.1:{}\"]\nsites = \"sites.d\"\nstate = {:?}\nlogs = {:?}\nrun = {:?}\nuser = \"{}\"\n{}",
            self.port,
            self.path("state"),
            self.path("logs"),
            self.path("run"),
            user::FRONT,
            self.settings
        );
        fs::write(self.configuration(), toml).expect("hostel.toml");
    }

    /// Start `hostel serve` again, after [`Self::stop`] or [`Self::kill_monitor`], and wait for its first answer.
    pub fn serve(&mut self) {
        check_programs(&self.programs);
        let output = fs::File::create(self.path("serve.out")).expect("the instance's directory");
        let errors = output.try_clone().expect("a descriptor");
        let begun = Instant::now();
        let mut words = self.launcher.iter().map(OsString::from).collect::<Vec<_>>();
        words.push(self.program("hostel").into());
        let child = Command::new(&words[0])
            .args(&words[1..])
            .args(["serve", "--config"])
            .arg(self.configuration())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|e| panic!("starting {}: {e}", self.program("hostel").display()));
        self.monitor = Some(child);
        let answered = wait_until(START_MAX, || {
            let child = self.monitor.as_mut().expect("just started");
            if let Ok(Some(status)) = child.try_wait() {
                panic!("`hostel serve` ended at once: {status}\n{}", self.logs());
            }
            self.answers()
        });
        assert!(
            answered,
            "no answer on port {} within {START_MAX:?}",
            self.port
        );
        println!(
            "{} serves on port {} after {} ms",
            self.directory.display(),
            self.port,
            begun.elapsed().as_millis()
        );
    }

    /// SIGTERM, wait for the end, and say what is left.
    pub fn stop(&mut self) -> Leftovers {
        let ours = self.processes();
        let Some(mut monitor) = self.monitor.take() else {
            return Leftovers::default();
        };
        process::signal_by_id(pid_of(&monitor), Signal::TERM);
        let ended = wait_until(STOP_MAX, || matches!(monitor.try_wait(), Ok(Some(_))));
        if !ended {
            end(&mut monitor);
            panic!(
                "the monitor did not end within {STOP_MAX:?} of SIGTERM\n{}",
                self.logs()
            );
        }
        self.leftovers(&ours)
    }

    /// SIGKILL to the monitor, as if the kernel had chosen it. The caller then asks for [`Self::leftovers`].
    pub fn kill_monitor(&mut self) {
        let mut monitor = self.monitor.take().expect("it runs");
        end(&mut monitor);
    }

    /// SIGHUP: read the configuration again.
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// Send the monitor a signal.
    pub fn signal(&self, signal: Signal) {
        let monitor = self.monitor.as_ref().expect("it runs");
        process::signal_by_id(pid_of(monitor), signal);
    }

    /// What is there of the instance: of these processes, of its mounts, of its sockets.
    pub fn leftovers(&self, processes: &[Process]) -> Leftovers {
        let directory = self.directory.to_string_lossy().into_owned();
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc");
        let mut left = Leftovers::default();
        let sandboxed = process::with_mounts_of(&self.directory);
        for process in processes.iter().filter(|p| p.runs()).chain(&sandboxed) {
            let line = format!("{} {}", process.program, process.pid);
            if !left.processes.contains(&line) {
                left.processes.push(line);
            }
        }
        let lines = mounts.lines().filter(|line| line.contains(&directory));
        left.mounts = lines.map(str::to_owned).collect();
        if Connection::open(self.port).is_ok() {
            left.sockets.push(format!("port {}", self.port));
        }
        for socket in ["run/status.sock", "run/control.sock"] {
            let socket = self.path(socket);
            if socket.exists() {
                left.sockets.push(socket.display().to_string());
            }
        }
        left
    }

    /// The monitor and everything beneath it.
    pub fn processes(&self) -> Vec<Process> {
        let Some(monitor) = &self.monitor else {
            return Vec::new();
        };
        let pid = pid_of(monitor);
        let mut all = process::descendants(pid);
        all.extend(Process::find(pid));
        all
    }

    /// All but what the firewall starts, which comes and goes: it runs nft when anybody on this host has changed rules.
    pub fn lasting_processes(&self) -> Vec<Process> {
        let firewalls = self.running("hostel-firewall");
        let mut all = self.processes();
        all.retain(|process| !firewalls.iter().any(|one| one.pid == process.parent));
        all
    }

    /// The processes of one program, such as `hostel-front`.
    pub fn running(&self, program: &str) -> Vec<Process> {
        let mut all = self.processes();
        all.retain(|process| process.program == program);
        all
    }

    /// PHP zygotes: the `hostel-php` whose parent is a keeper.
    pub fn zygotes(&self) -> Vec<Process> {
        let keepers = self.running("hostel-keeper");
        let mut php = self.running("hostel-php");
        php.retain(|p| keepers.iter().any(|keeper| keeper.pid == p.parent));
        php
    }

    /// PHP workers: the `hostel-php` whose parent is a zygote.
    pub fn workers(&self) -> Vec<Process> {
        let zygotes = self.zygotes();
        let mut php = self.running("hostel-php");
        php.retain(|p| zygotes.iter().any(|zygote| zygote.pid == p.parent));
        php
    }

    /// One request on a connection of its own. A failure to get any answer panics.
    pub fn send(&self, request: &Request) -> Response {
        http::exchange(self.port, request)
            .unwrap_or_else(|e| panic!("{request:?}: {e}\n{}", self.logs()))
    }

    /// GET of a path of a site's domain.
    pub fn get(&self, host: &str, target: &str) -> Response {
        self.send(&Request::get(host, target))
    }

    /// A connection to the port.
    pub fn connect(&self) -> Connection {
        Connection::open(self.port).expect("the port takes connections")
    }

    /// Run `hostel` with these arguments and `--config` of this instance; its status, output and errors.
    pub fn command(&self, arguments: &[&str]) -> (bool, String, String) {
        let output = Command::new(self.program("hostel"))
            .args(arguments)
            .arg("--config")
            .arg(self.configuration())
            .stdin(Stdio::null())
            .output()
            .expect("hostel can be started");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    /// The port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The monitor's process id.
    pub fn monitor_pid(&self) -> i32 {
        pid_of(self.monitor.as_ref().expect("it runs"))
    }

    /// A path beneath the instance's directory.
    pub fn path(&self, below: &str) -> PathBuf {
        self.directory.join(below)
    }

    /// The home of a site.
    pub fn home(&self, site: &str) -> PathBuf {
        self.path("homes").join(site)
    }

    /// hostel.toml.
    pub fn configuration(&self) -> PathBuf {
        self.path("etc/hostel.toml")
    }

    /// The file of a site in sites.d.
    pub fn site_file(&self, site: &str) -> PathBuf {
        self.path("etc/sites.d").join(format!("{site}.toml"))
    }

    /// A site's log, `access` or `error`, as it stands; empty where there is none yet.
    pub fn log(&self, site: &str, kind: &str) -> String {
        let path = self.path("logs").join(site).join(format!("{kind}.log"));
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
    }

    /// The server's own log and what `hostel serve` printed, their last lines.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        let mut files = vec![self.path("serve.out"), self.path("logs/server.log")];
        for site in &self.sites {
            files.push(self.path("logs").join(&site.name).join("error.log"));
        }
        for file in files {
            let content = fs::read(&file).unwrap_or_default();
            let content = String::from_utf8_lossy(&content);
            let lines: Vec<&str> = content.lines().collect();
            let from = lines.len().saturating_sub(LOG_LINES_SHOWN);
            text.push_str(&format!(
                "--- {}\n{}\n",
                file.display(),
                lines[from..].join("\n")
            ));
        }
        text
    }

    fn answers(&self) -> bool {
        http::exchange(self.port, &Request::get("is-it-up.invalid", "/")).is_ok()
    }

    /// One of the programs, such as `hostel`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.logs());
        }
        if let Some(mut monitor) = self.monitor.take() {
            process::signal_by_id(pid_of(&monitor), Signal::TERM);
            if !wait_until(STOP_MAX, || matches!(monitor.try_wait(), Ok(Some(_)))) {
                end(&mut monitor);
            }
        }
        // A view that still holds the homes would make removing them dangerous: leave everything where it is and say so.
        let held = wait_until(Duration::from_secs(2), || {
            process::with_mounts_of(&self.directory).is_empty()
        });
        if !held {
            println!(
                "{} is kept: processes still use it",
                self.directory.display()
            );
        } else if let Err(e) = remove(&self.directory) {
            println!("removing {}: {e}", self.directory.display());
        }
    }
}

/// A port of the loopback address that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// The directory of the programs under test: HOSTEL_BIN, else ../target/release.
pub fn programs() -> PathBuf {
    match std::env::var_os("HOSTEL_BIN") {
        Some(directory) => PathBuf::from(directory),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release"),
    }
}

/// The programs that a server needs beside each other.
pub const PROGRAMS: [&str; 10] = [
    "hostel",
    "hostel-monitor",
    "hostel-firewall",
    "hostel-resolver",
    "hostel-jobs",
    "hostel-front",
    "hostel-keeper",
    "hostel-php",
    "hostel-mail",
    "hostel-sendmail",
];

fn check_programs(directory: &Path) {
    for name in PROGRAMS {
        let path = directory.join(name);
        assert!(
            path.exists(),
            "{} is missing: build with `cargo build --release`, or set HOSTEL_BIN to the directory of the programs",
            path.display()
        );
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    if mounts.contains(&*directory.to_string_lossy()) {
        return Err(io::Error::other("something is mounted beneath it"));
    }
    fs::remove_dir_all(directory)
}

fn end(child: &mut Child) {
    process::signal_by_id(pid_of(child), Signal::KILL);
    // Only a child that was waited for before can fail here.
    let _ = child.wait();
}

fn pid_of(child: &Child) -> i32 {
    i32::try_from(child.id()).expect("a process id fits")
}
