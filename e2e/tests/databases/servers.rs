//! A MariaDB and a PostgreSQL of the test's own: their directories, their sockets among the system's, their processes; ended by process id.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use hostel_e2e::process::{Signal, signal_by_id};
use hostel_e2e::{user, wait_until};

const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(30);
const VERSION: &str = "/usr/lib/postgresql/15/bin";

/// A running server of databases.
#[derive(Debug)]
pub(crate) struct Server {
    process: Option<Child>,
    command: Vec<String>,
    log: PathBuf,
    pub(crate) socket: PathBuf,
    is_mariadb: bool,
}

impl Server {
    /// A MariaDB with its directory beneath `directory`, where root and every Linux user who has an account get in by the socket.
    pub(crate) fn mariadb(directory: &Path) -> Self {
        let name = format!("hostel-test-{}.sock", std::process::id());
        Self::mariadb_at(directory, Path::new("/run/mysqld"), &name)
    }

    /// The same with a socket elsewhere.
    pub(crate) fn mariadb_at(directory: &Path, sockets: &Path, name: &str) -> Self {
        let sockets = directory_of(&sockets.display().to_string(), "mysql");
        let data = directory_of(
            &directory.join("mariadb-data").display().to_string(),
            "mysql",
        );
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--user=mysql", "--skip-test-db"])
            .arg(format!("--datadir={}", data.display()))
            .output();
        fine("mariadb-install-db", made);
        let socket = sockets.join(name);
        let command = vec![
            "/usr/sbin/mariadbd".to_owned(),
            "--no-defaults".to_owned(),
            "--user=mysql".to_owned(),
            "--skip-networking".to_owned(),
            "--event-scheduler=OFF".to_owned(),
            format!("--datadir={}", data.display()),
            format!("--pid-file={}", data.join("pid").display()),
            format!("--socket={}", socket.display()),
        ];
        Self::start(command, directory.join("mariadb.log"), socket, true)
    }

    /// The same with PostgreSQL.
    pub(crate) fn postgresql(directory: &Path) -> Self {
        let sockets = directory_of("/run/postgresql", "postgres");
        let data = directory_of(
            &directory.join("postgresql-data").display().to_string(),
            "postgres",
        );
        let made = as_postgres(&format!("{VERSION}/initdb"))
            .args([
                "--auth=peer",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ])
            .arg(format!("--pgdata={}", data.display()))
            .output();
        fine("initdb", made);
        let port = 20_000 + std::process::id() % 30_000;
        let socket = sockets.join(format!(".s.PGSQL.{port}"));
        let words = as_postgres(&format!("{VERSION}/postgres"));
        let mut command = vec![words.get_program().to_string_lossy().into_owned()];
        command.extend(
            words
                .get_args()
                .map(|word| word.to_string_lossy().into_owned()),
        );
        command.extend(
            [
                "-D",
                &data.display().to_string(),
                "-p",
                &port.to_string(),
                "-k",
                &sockets.display().to_string(),
                "-c",
                "listen_addresses=",
            ]
            .map(str::to_owned),
        );
        Self::start(command, directory.join("postgresql.log"), socket, false)
    }

    fn start(command: Vec<String>, log: PathBuf, socket: PathBuf, is_mariadb: bool) -> Self {
        let mut server = Self {
            process: None,
            command,
            log,
            socket,
            is_mariadb,
        };
        server.start_again();
        server
    }

    /// Start it, after it was killed too.
    pub(crate) fn start_again(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("the instance's directory");
        let started = Command::new(&self.command[0])
            .args(&self.command[1..])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(started.unwrap_or_else(|e| {
            panic!(
                "{}: {e}: install mariadb-server and postgresql",
                self.command[0]
            )
        }));
        let answers = wait_until(START_MAX, || {
            UnixStream::connect(&self.socket).is_ok()
                && self.try_ask(None, "SELECT 1").status.success()
        });
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        assert!(answers, "{} does not answer\n{log}", self.socket.display());
    }

    /// End it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        signal_by_id(
            i32::try_from(process.id()).expect("a process id fits"),
            Signal::KILL,
        );
        let _ = process.wait();
    }

    /// Have the administrator's statements done, in a database or none; what is answered.
    pub(crate) fn ask(&self, database: Option<&str>, statements: &str) -> String {
        let output = self.try_ask(database, statements);
        assert!(
            output.status.success(),
            "{statements}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn try_ask(&self, database: Option<&str>, statements: &str) -> Output {
        let mut command = match self.is_mariadb {
            true => {
                let mut command = Command::new("/usr/bin/mariadb");
                command
                    .args([
                        "--no-defaults",
                        "--batch",
                        "--skip-column-names",
                        "--user=root",
                    ])
                    .arg(format!("--socket={}", self.socket.display()))
                    .args(database.map(|name| format!("--database={name}")))
                    .arg(format!("--execute={statements}"));
                command
            }
            false => {
                let mut command = as_postgres(&format!("{VERSION}/psql"));
                let port = self.socket.extension().expect("a port").to_string_lossy();
                command
                    .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
                    .args(["--set=ON_ERROR_STOP=1", "--host=/run/postgresql"])
                    .arg(format!("--port={port}"))
                    .arg(format!("--dbname={}", database.unwrap_or("postgres")))
                    .arg(format!("--command={statements}"));
                command
            }
        };
        command
            .current_dir("/")
            .output()
            .expect("a client of the database's")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        let pid = i32::try_from(process.id()).expect("a process id fits");
        // PostgreSQL waits for its clients with the other one.
        signal_by_id(
            pid,
            if self.is_mariadb {
                Signal::TERM
            } else {
                Signal::INT
            },
        );
        if !wait_until(STOP_MAX, || matches!(process.try_wait(), Ok(Some(_)))) {
            signal_by_id(pid, Signal::KILL);
            let _ = process.wait();
        }
        let _ = fs::remove_file(&self.socket);
    }
}

fn as_postgres(program: &str) -> Command {
    let mut command = Command::new("/usr/bin/setpriv");
    command
        .args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--",
            program,
        ])
        .current_dir("/");
    command
}

fn directory_of(path: &str, owner: &str) -> PathBuf {
    let path = PathBuf::from(path);
    if !path.exists() {
        let (uid, gid) = user::ids(owner).unwrap_or_else(|| {
            panic!("user {owner} is missing: install mariadb-server and postgresql")
        });
        fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        chown(&path, Some(uid), Some(gid)).expect("root may");
        let mode = match path.ends_with("mariadb-data") || path.ends_with("postgresql-data") {
            true => 0o700,
            false => 0o755,
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("root may");
    }
    path
}

fn fine(what: &str, made: std::io::Result<Output>) {
    let made =
        made.unwrap_or_else(|e| panic!("{what}: {e}: install mariadb-server and postgresql"));
    assert!(
        made.status.success(),
        "{what}: {}",
        String::from_utf8_lossy(&made.stderr)
    );
}
