//! A MariaDB of the test's own: its directory, its socket, its process; ended by process id.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::process::{Signal, signal_by_id, wait_until};
use crate::user;

/// Where Debian's PHP looks for the database, and so a directory that a site's view has.
const USUAL_SOCKET: &str = "/run/mysqld/mysqld.sock";
const START_MAX: Duration = Duration::from_secs(30);
const STOP_MAX: Duration = Duration::from_secs(20);

/// The password of the database's one user.
pub const PASSWORD: &str = "not a secret, on loopback";

/// A MariaDB of a user `wordpress`.
#[derive(Debug)]
pub struct Database {
    server: Child,
    directory: PathBuf,
    socket: PathBuf,
    /// What an application writes as the database's host.
    pub host: String,
}

impl Database {
    /// Start it in a new directory, with these empty databases. It takes the usual socket if that is free, else the usual port of the
    /// loopback address.
    pub fn start(directory: PathBuf, names: &[&str]) -> Self {
        let (uid, gid) = user::ids("mysql").expect("user mysql is missing: install mariadb-server");
        if !Path::new("/run/mysqld").exists() {
            fs::create_dir("/run/mysqld").expect("/run can be written");
            chown("/run/mysqld", Some(uid), Some(gid)).expect("/run can be written");
        }
        fs::create_dir_all(&directory).expect("the instance's directory");
        chown(&directory, Some(uid), Some(gid)).expect("it was just made");
        let data = install(&directory);
        let first = directory.join("first.sql");
        fs::write(&first, first_statements(names)).expect("it was just made");
        let mut command = Command::new("/usr/sbin/mariadbd");
        command
            .args([
                "--no-defaults",
                "--user=mysql",
                "--skip-name-resolve",
                "--innodb-flush-log-at-trx-commit=0",
            ])
            .arg(format!("--datadir={}", data.display()))
            .arg(format!(
                "--pid-file={}",
                directory.join("mariadbd.pid").display()
            ))
            .arg(format!("--init-file={}", first.display()));
        let (socket, host) = if UnixStream::connect(USUAL_SOCKET).is_err() {
            command.arg("--skip-networking");
            (PathBuf::from(USUAL_SOCKET), "localhost".to_owned())
        } else {
            // The port at which sites may reach a database; in a network of the test's own it is free.
            command.args(["--bind-address=127.0.0.1", "--port=3306"]);
            (directory.join("mariadbd.sock"), "127.0.0.1".to_owned())
        };
        command.arg(format!("--socket={}", socket.display()));
        let log = fs::File::create(directory.join("mariadbd.log")).expect("it was just made");
        let server = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let mut database = Self {
            server: server.expect("mariadbd is missing: install mariadb-server"),
            directory,
            socket,
            host,
        };
        let answers = wait_until(START_MAX, || {
            let ended = database.server.try_wait().ok().flatten();
            assert!(
                ended.is_none(),
                "mariadbd ended at once\n{}",
                database.log()
            );
            UnixStream::connect(&database.socket).is_ok()
        });
        assert!(
            answers,
            "mariadbd does not answer within {START_MAX:?}\n{}",
            database.log()
        );
        database
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("mariadbd.log")).unwrap_or_default()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let pid = i32::try_from(self.server.id()).expect("a process id fits");
        signal_by_id(pid, Signal::TERM);
        if !wait_until(STOP_MAX, || matches!(self.server.try_wait(), Ok(Some(_)))) {
            signal_by_id(pid, Signal::KILL);
            let _ = self.server.wait();
        }
    }
}

fn install(directory: &Path) -> PathBuf {
    let data = directory.join("data");
    let made = Command::new("mariadb-install-db")
        .args([
            "--no-defaults",
            "--user=mysql",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ])
        .arg(format!("--datadir={}", data.display()))
        .output()
        .expect("mariadb-install-db is missing: install mariadb-server");
    assert!(
        made.status.success(),
        "mariadb-install-db: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    data
}

fn first_statements(names: &[&str]) -> String {
    let mut sql = String::new();
    for name in names {
        sql.push_str(&format!("CREATE DATABASE {name};\n"));
    }
    for host in ["localhost", "127.0.0.1"] {
        sql.push_str(&format!(
            "CREATE USER 'wordpress'@'{host}' IDENTIFIED BY '{PASSWORD}';\n"
        ));
        for name in names {
            sql.push_str(&format!("GRANT ALL ON {name}.* TO 'wordpress'@'{host}';\n"));
        }
    }
    sql
}

/// A file of the system must be there; the message says what to install.
pub fn require(path: &str, package: &str) {
    assert!(
        Path::new(path).exists(),
        "{path} is missing: install {package}"
    );
}
