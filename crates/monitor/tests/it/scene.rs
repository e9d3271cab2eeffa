//! An instance of the monitor in a directory of its own, with the parts that this program plays.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hostel_sys::cred::User;
use rustix::process::{Pid, Signal, kill_process};

/// The front's user, and two of sites.
pub(crate) const USERS: [&str; 3] = ["hostel-it-front", "hostel-it-a", "hostel-it-b"];

pub(crate) fn make_users() {
    for user in USERS {
        if User::by_name(user).unwrap().is_none() {
            command(
                "useradd",
                &["--system", "--user-group", "--no-create-home", user],
            );
        }
    }
}

pub(crate) fn remove_users() {
    for user in USERS {
        command("userdel", &[user]);
    }
}

fn command(program: &str, arguments: &[&str]) {
    let status = Command::new(program)
        .args(arguments)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

pub(crate) struct Scene {
    directory: PathBuf,
    pub(crate) port: u16,
    pub(crate) monitor: Option<Child>,
}

impl Scene {
    /// A directory with programs and a configuration; nothing runs yet.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = PathBuf::from(format!("/srv/hostel-it-{}-{count}", std::process::id()));
        for name in ["bin", "etc/sites.d", "homes"] {
            std::fs::create_dir_all(directory.join(name)).unwrap();
        }
        // As a build tree beneath a directory of root's: nobody else can reach the programs by path.
        std::fs::set_permissions(directory.join("bin"), PermissionsExt::from_mode(0o700)).unwrap();
        let own = std::env::current_exe().unwrap();
        let monitor = env!("CARGO_BIN_EXE_hostel-monitor");
        std::fs::copy(monitor, directory.join("bin/hostel-monitor")).unwrap();
        for name in [
            "hostel-firewall",
            "hostel-front",
            "hostel-keeper",
            "hostel-php",
            "hostel-sendmail",
        ] {
            std::fs::copy(&own, directory.join("bin").join(name)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let scene = Self {
            directory,
            port,
            monitor: None,
        };
        scene.configure("");
        scene
    }

    /// With this site, of the first user.
    pub(crate) fn with(self, site: &str) -> Self {
        self.site(site, USERS[1], "public");
        self
    }

    pub(crate) fn configure(&self, more: &str) {
        let (port, base) = (self.port, self.directory.display());
        let text = format!(
            "http = [\"127.0.0.1:{port}\"]\nstate = \"{base}/state\"\nlogs = \"{base}/logs\"\nrun = \"{base}/run\"\nuser = \"{}\"\nlog_level = \"debug\"\n{more}",
            USERS[0]
        );
        std::fs::write(self.path("etc/hostel.toml"), text).unwrap();
    }

    pub(crate) fn site(&self, name: &str, user: &str, root: &str) {
        let home = self.path("homes").join(name);
        std::fs::create_dir_all(home.join(root)).unwrap();
        let owner = User::by_name(user).unwrap().unwrap();
        chown(&home, Some(owner.uid.0), Some(owner.gid.0)).unwrap();
        std::fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).unwrap();
        let text = format!(
            "domains = [\"{name}.test\"]\nuser = \"{user}\"\nshare_user = true\nhome = \"{}\"\nroot = \"{root}\"\n",
            home.display()
        );
        std::fs::write(self.path(&format!("etc/sites.d/{name}.toml")), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.path("bin/hostel-monitor"));
        command
            .arg("--config")
            .arg(self.path("etc/hostel.toml"))
            .stdin(Stdio::null());
        command
    }

    /// Start the monitor and wait until it is ready.
    pub(crate) fn start(mut self) -> Self {
        let errors = std::fs::File::create(self.path("stderr")).unwrap();
        self.monitor = Some(self.command().stderr(errors).spawn().unwrap());
        self.wait_for("ready", || self.text("stderr").contains("ready: "));
        self
    }

    /// A command to the front, and its answer.
    pub(crate) fn front(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        writeln!(stream, "{command}").unwrap();
        let mut answer = String::new();
        // A front that ends on command gives no answer.
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    /// What the front has heard that begins so.
    pub(crate) fn heard(&self, prefix: &str) -> Vec<String> {
        let heard = self.front("heard");
        heard
            .lines()
            .filter(|line| line.starts_with(prefix))
            .map(str::to_owned)
            .collect()
    }

    /// Wake a site and give its keeper's process id.
    pub(crate) fn wake(&self, site: u32) -> i32 {
        self.front(&format!("wake {site}"));
        let prefix = format!("keeper {site} ");
        self.wait_for("keeper", || !self.heard(&prefix).is_empty());
        let last = self.heard(&prefix).pop().unwrap();
        last.strip_prefix(&prefix).unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        signal_process(self.pid(), signal);
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.monitor.as_ref().unwrap().id()).unwrap()
    }

    /// Wait for the monitor's end; whether it was a success.
    pub(crate) fn ended(&mut self, limit: Duration) -> bool {
        let begun = Instant::now();
        let mut monitor = self.monitor.take().unwrap();
        while begun.elapsed() < limit {
            if let Some(status) = monitor.try_wait().unwrap() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.monitor = Some(monitor);
        panic!("the monitor runs after {limit:?}\n{}", self.logs());
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn logs(&self) -> String {
        format!("{}{}", self.text("stderr"), self.text("logs/server.log"))
    }

    pub(crate) fn wait_for(&self, what: &str, condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "waited for {what}\n{}",
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(monitor) = &mut self.monitor {
            monitor.kill().unwrap();
            monitor.wait().unwrap();
        }
        // A firewall whose monitor was killed writes its last line into it.
        let begun = Instant::now();
        while let Err(error) = std::fs::remove_dir_all(&self.directory) {
            assert!(begun.elapsed() < Duration::from_secs(2), "{error}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub(crate) fn signal_process(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Whether a process is there and has not ended.
pub(crate) fn runs(pid: i32) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    status.is_ok_and(|text| !text.contains(") Z "))
}
