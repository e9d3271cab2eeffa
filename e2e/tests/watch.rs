//! What a view holds of the host is replaced outside: awake sites see it within seconds, and no request is lost.
//!
//! Each server runs in a mount namespace with an /etc and a /run of its own, so that nothing of this machine is replaced.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hostel_e2e::load::Connections;
use hostel_e2e::process::signal_by_id;
use hostel_e2e::{Instance, Load, Request, Response, Signal, Site, User, user, wait_until};

/// A second of quiet, and the start of a keeper and of PHP on a busy machine.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// Long enough for a change that must not have an effect to have one.
const NOT_SEEN_FOR: Duration = Duration::from_secs(4);
const SERVICE_MAX: Duration = Duration::from_secs(30);

const SHOW: &str = "<?php echo @file_get_contents($_GET['path']) ?: 'nothing';";
const QUICK: &str = "<?php usleep(2000); echo 'answer ', $_GET['n'];";
const DATABASES: &str = "<?php
    mysqli_report(MYSQLI_REPORT_OFF);
    $database = @new mysqli('localhost', 'root', '');
    $answer = $database->connect_errno ? $database->connect_error : $database->query('SELECT 6 * 7')->fetch_row()[0];
    $redis = @stream_socket_client('unix:///run/redis/redis-server.sock', $errno, $error, 2);
    if ($redis) fwrite($redis, \"PING\\r\\n\");
    echo $answer, ' ', $redis ? trim(fgets($redis)) : $error;";

fn instance(name: &str) -> Instance {
    let site = Site::new("a", User::One)
        .file("public/index.php", QUICK)
        .file("public/show.php", SHOW)
        .file("public/databases.php", DATABASES);
    Instance::new(name).on_a_host_of_its_own().site(site)
}

fn load(instance: &Instance) -> Load {
    let request = |n: u32| Request::get("a.test", &format!("/?n={n}"));
    let right = |n: u32, response: &Response| {
        response.status == 200 && response.text() == format!("answer {n}")
    };
    Load::start(instance.port(), 3, Connections::New, request, right)
}

fn show(instance: &Instance, path: &str) -> String {
    instance
        .get("a.test", &format!("/show.php?path={path}"))
        .text()
}

fn keepers(instance: &Instance) -> Vec<i32> {
    instance
        .running("hostel-keeper")
        .iter()
        .map(|keeper| keeper.pid)
        .collect()
}

/// Replace a file as programs do: by renaming.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("the instance's directory");
    fs::rename(&new, path).expect("one file system");
}

#[test]
fn a_replaced_resolv_conf_is_seen_and_a_rewritten_one_needs_no_new_keeper() {
    let instance = instance("watch-resolv").start();
    let path = instance.path("host-etc/resolv.conf");
    let seen = |text: &str| show(&instance, "/etc/resolv.conf") == text;
    replace(&path, "first");
    assert!(
        wait_until(SEEN_WITHIN, || seen("first")),
        "{}",
        instance.logs()
    );
    let before = keepers(&instance);

    fs::write(&path, "rewritten").expect("the instance's directory");
    assert!(
        seen("rewritten"),
        "a mount of a file shows what is written into it"
    );
    std::thread::sleep(NOT_SEEN_FOR);
    assert_eq!(keepers(&instance), before);

    let load = load(&instance);
    load.wait_for(50);
    replace(&path, "second");
    assert!(
        wait_until(SEEN_WITHIN, || seen("second")),
        "{}",
        instance.logs()
    );
    let many = wait_until(SEEN_WITHIN, || {
        keepers(&instance).iter().all(|pid| !before.contains(pid))
    });
    assert!(
        many,
        "the old keeper is still there: {:?}",
        keepers(&instance)
    );
    load.wait_for(200);
    let counts = load.finish();
    assert_eq!(
        (counts.lost(), counts.wrong.len()),
        (0, 0),
        "{counts:?}\n{}",
        instance.logs()
    );
    println!("{} requests, none lost", counts.right);
}

#[test]
fn many_replacements_at_once_are_one_and_a_sleeping_site_is_left_alone() {
    let instance = instance("watch-many").start();
    replace(&instance.path("host-etc/hosts"), "127.0.0.1 asleep");
    std::thread::sleep(NOT_SEEN_FOR);
    assert_eq!(keepers(&instance), Vec::<i32>::new(), "nobody has visited");

    assert_eq!(show(&instance, "/etc/hosts"), "127.0.0.1 asleep");
    let zone = instance.path("host-etc/localtime");
    for count in 0..5 {
        replace(
            &instance.path("host-etc/hosts"),
            &format!("127.0.0.1 awake{count}"),
        );
        replace(
            &instance.path("host-etc/services"),
            &format!("x {count}/tcp"),
        );
        let _ = fs::remove_file(&zone);
        symlink("/usr/share/zoneinfo/Asia/Tokyo", &zone).expect("the instance's directory");
        std::thread::sleep(Duration::from_millis(100));
    }
    let seen = || {
        show(&instance, "/etc/hosts") == "127.0.0.1 awake4"
            && show(&instance, "/etc/services") == "x 4/tcp"
    };
    assert!(wait_until(SEEN_WITHIN, seen), "{}", instance.logs());
    let log = fs::read_to_string(instance.path("logs/server.log")).expect("a log");
    assert_eq!(
        log.matches("was replaced; so is its keeper").count(),
        1,
        "{log}"
    );
}

#[test]
fn restarted_databases_are_reached_again_and_no_request_is_lost() {
    let instance = instance("watch-databases");
    let places = Places::of(&instance);
    let running = places.start();
    let instance = instance.start();
    let answers = || instance.get("a.test", "/databases.php").text();
    assert_eq!(answers(), "42 +PONG", "{}", instance.logs());

    let load = load(&instance);
    load.wait_for(50);
    let begun = Instant::now();
    for service in running {
        service.stop();
    }
    let _again = places.start();
    let up = begun.elapsed();
    let back = wait_until(SEEN_WITHIN, || answers() == "42 +PONG");
    assert!(back, "{}\n{}", answers(), instance.logs());
    println!(
        "databases back after {up:?}, reached after {:?}",
        begun.elapsed()
    );
    load.wait_for(200);
    let counts = load.finish();
    assert_eq!(
        (counts.lost(), counts.wrong.len()),
        (0, 0),
        "{counts:?}\n{}",
        instance.logs()
    );
    println!("{} requests meanwhile, none lost", counts.right);
}

#[test]
fn a_directory_of_sockets_that_appears_later_is_seen() {
    let instance = instance("watch-later").start();
    assert_eq!(show(&instance, "/run/memcached/file"), "nothing");
    let directory = instance.path("host-run/memcached");
    fs::create_dir(&directory).expect("the instance's directory");
    fs::write(directory.join("file"), "there").expect("it was just made");
    let seen = wait_until(SEEN_WITHIN, || {
        show(&instance, "/run/memcached/file") == "there"
    });
    assert!(seen, "{}", instance.logs());
}

/// Where a MariaDB and a Redis of the test's own keep their data and their sockets.
struct Places {
    data: PathBuf,
    run: PathBuf,
}

impl Places {
    fn of(instance: &Instance) -> Self {
        let data = instance.path("databases");
        fs::create_dir_all(&data).expect("the instance's directory");
        // The instance's directory is root's alone to write; the databases' users only have to pass.
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).expect("it was just made");
        Self {
            data,
            run: instance.path("host-run"),
        }
    }

    /// Start both, as their packages do: in a directory that is made anew.
    fn start(&self) -> [Service; 2] {
        [self.mariadb(), self.redis()]
    }

    fn mariadb(&self) -> Service {
        let (data, sockets) = (self.data.join("mariadb"), self.run.join("mysqld"));
        give(&sockets, "mysql");
        if !data.exists() {
            give(&data, "mysql");
            let made = Command::new("mariadb-install-db")
                .args(["--no-defaults", "--user=mysql", "--skip-test-db"])
                .arg(format!("--datadir={}", data.display()))
                .output()
                .expect("mariadb-install-db is missing: install mariadb-server");
            assert!(
                made.status.success(),
                "{}",
                String::from_utf8_lossy(&made.stderr)
            );
        }
        let socket = sockets.join("mysqld.sock");
        let mut command = Command::new("/usr/sbin/mariadbd");
        command
            .args([
                "--no-defaults",
                "--user=mysql",
                "--skip-networking",
                "--skip-grant-tables",
            ])
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--pid-file={}", data.join("pid").display()))
            .arg(format!("--socket={}", socket.display()));
        Service::start(command, sockets, &socket)
    }

    fn redis(&self) -> Service {
        let sockets = self.run.join("redis");
        give(&sockets, "redis");
        let socket = sockets.join("redis-server.sock");
        let mut command = Command::new("runuser");
        command
            .args([
                "-u",
                "redis",
                "--",
                "redis-server",
                "--port",
                "0",
                "--save",
                "",
                "--unixsocketperm",
                "777",
            ])
            .arg("--unixsocket")
            .arg(&socket);
        Service::start(command, sockets, &socket)
    }
}

/// A database that runs. Dropped, it is ended, by its process id.
struct Service {
    server: Child,
    sockets: PathBuf,
}

impl Service {
    fn start(mut command: Command, sockets: PathBuf, socket: &Path) -> Self {
        let server = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let server = server.unwrap_or_else(|e| {
            panic!("{command:?}: {e}: install mariadb-server and redis-server")
        });
        let service = Self { server, sockets };
        let answers = wait_until(SERVICE_MAX, || UnixStream::connect(socket).is_ok());
        assert!(answers, "nothing answers on {}", socket.display());
        service
    }

    /// End it, and remove the directory of its socket.
    fn stop(self) {
        let sockets = self.sockets.clone();
        drop(self);
        fs::remove_dir_all(sockets).expect("nobody else's");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let pid = i32::try_from(self.server.id()).expect("a process id fits");
        signal_by_id(pid, Signal::TERM);
        if !wait_until(SERVICE_MAX, || {
            matches!(self.server.try_wait(), Ok(Some(_)))
        }) {
            signal_by_id(pid, Signal::KILL);
            let _ = self.server.wait();
        }
    }
}

fn give(directory: &Path, name: &str) {
    let (uid, gid) = user::ids(name).unwrap_or_else(|| panic!("user {name} is missing"));
    fs::create_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    chown(directory, Some(uid), Some(gid)).expect("root may");
}
