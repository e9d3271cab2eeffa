//! Servers that modules speak to, on sockets of their own in a directory of their own, for as long as a test runs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::modules::UNPACKED;

/// How long a server may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Servers {
    pub(crate) directory: PathBuf,
    running: Vec<Child>,
}

impl Servers {
    /// Redis, memcached, MariaDB and PostgreSQL; where the test is root, each as the user that its package made for it.
    pub(crate) fn start() -> Self {
        let directory =
            std::env::temp_dir().join(format!("hostel-php-servers-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
        std::fs::set_permissions(&directory, open).unwrap();
        let mut servers = Self {
            directory,
            running: Vec::new(),
        };
        servers.caches();
        servers.mariadb();
        servers.postgresql();
        for socket in [
            "redis.sock",
            "memcached.sock",
            "mysql.sock",
            ".s.PGSQL.5432",
        ] {
            servers.wait_for(socket);
        }
        servers
    }

    fn at(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    fn caches(&mut self) {
        let arguments = ["--port", "0", "--save", "", "--unixsocketperm", "777"];
        let (socket, place) = (self.at("redis.sock"), self.at(""));
        let arguments = [&arguments[..], &["--unixsocket", &socket, "--dir", &place]].concat();
        self.run("redis", "redis-server", &arguments);
        let socket = self.at("memcached.sock");
        let program = format!("{UNPACKED}/usr/bin/memcached");
        self.run(
            "nobody",
            &program,
            &["-s", &socket, "-a", "777", "-m", "16"],
        );
    }

    /// Without tables of rights it lets everybody in who reaches its socket.
    fn mariadb(&mut self) {
        let (data, socket) = (self.at("mariadb"), self.at("mysql.sock"));
        assert!(
            as_user("mysql", "mkdir", &[&data])
                .status()
                .unwrap()
                .success()
        );
        let arguments = [
            "--no-defaults",
            "--skip-grant-tables",
            "--skip-networking",
            "--innodb-log-file-size=8M",
        ];
        let arguments = [&arguments[..], &["--socket", &socket, "--datadir", &data]].concat();
        self.run("mysql", "mariadbd", &arguments);
    }

    fn postgresql(&mut self) {
        let (data, place) = (self.at("postgresql"), self.at(""));
        let programs = newest("/usr/lib/postgresql");
        let arguments = [
            "-U",
            "tester",
            "-A",
            "trust",
            "--no-sync",
            "--no-instructions",
            "-D",
            &data,
        ];
        let made = as_user("postgres", &format!("{programs}/bin/initdb"), &arguments)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        self.run(
            "postgres",
            &format!("{programs}/bin/postgres"),
            &["-F", "-h", "", "-D", &data, "-k", &place],
        );
    }

    fn run(&mut self, user: &str, program: &str, arguments: &[&str]) {
        let log = std::fs::File::create(self.directory.join(format!("{user}.log"))).unwrap();
        let mut command = as_user(user, program, arguments);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.running.push(command.spawn().unwrap());
    }

    fn wait_for(&self, socket: &str) {
        let until = Instant::now() + PATIENCE;
        while std::os::unix::net::UnixStream::connect(self.directory.join(socket)).is_err() {
            assert!(
                Instant::now() < until,
                "no server at {socket}; logs stand in {}",
                self.directory.display()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for server in &mut self.running {
            let _ = server.kill();
            let _ = server.wait();
        }
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

fn as_user(user: &str, program: &str, arguments: &[&str]) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args([
            format!("--reuid={user}"),
            "--clear-groups".to_owned(),
            "--pdeathsig=KILL".to_owned(),
        ]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(arguments).current_dir("/");
    command
}

/// The one directory in it whose name is the greatest.
fn newest(directory: &str) -> String {
    let entries = std::fs::read_dir(Path::new(directory)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.max().unwrap().to_str().unwrap().to_owned()
}
