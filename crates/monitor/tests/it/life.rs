//! Start, stop, and what stands on the disk.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::{Duration, Instant};

use hostel_sys::cred::User;
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open};

use crate::scene::{Scene, USERS, runs, signal_process};

pub(crate) fn ready() {
    let mut scene = Scene::new().with("a").with("b");
    let notify = UnixDatagram::bind(scene.path("notify")).unwrap();
    notify
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let errors = std::fs::File::create(scene.path("stderr")).unwrap();
    let mut command = scene.command();
    command
        .env("NOTIFY_SOCKET", scene.path("notify"))
        .stderr(errors);
    scene.monitor = Some(command.spawn().unwrap());
    let mut buffer = [0; 100];
    let length = notify.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"READY=1");
    let line = format!(
        "hostel: ready: 2 sites on http://127.0.0.1:{}\n",
        scene.port
    );
    let said = scene.text("stderr");
    let before = said.strip_suffix(&line).expect(&said);
    // What this host lacks for the limits of sites, if anything.
    let is_warning = |line: &str| line.starts_with("hostel: warning: limits of sites: ");
    assert!(before.lines().all(is_warning), "{before}");
    let heard = scene.front("heard");
    let expected = [
        "settings 3",
        "descriptor ServerLog",
        "descriptor SpillDirectory",
        "descriptor StatusListener",
        "descriptor HttpListener",
        "begin",
        "site 1 a",
        "site 2 b",
        "end",
    ];
    assert_eq!(heard.lines().collect::<Vec<_>>(), expected);
}

pub(crate) fn files() {
    let scene = Scene::new().with("a").start();
    scene.wake(1);
    let ids = |user: &str| {
        let user = User::by_name(user).unwrap().unwrap();
        (user.uid.0, user.gid.0)
    };
    let ((front, front_gid), (a, gid)) = (ids(USERS[0]), ids(USERS[1]));
    for (name, owner, group, mode) in [
        ("run/status.sock", 0, 0, 0o600),
        ("run/view", 0, 0, 0o700),
        ("state/spill", front, front_gid, 0o700),
        ("state/sites/a", 0, 0, 0o711),
        ("state/sites/a/tmp", a, gid, 0o700),
        ("state/sites/a/var-tmp", a, gid, 0o700),
        ("state/sites/a/sessions", a, gid, 0o700),
        ("state/sites/a/opcache", a, gid, 0o700),
        ("logs/server.log", 0, 0, 0o640),
        ("logs/a", 0, gid, 0o750),
        ("logs/a/access.log", 0, gid, 0o640),
        ("logs/a/error.log", 0, gid, 0o640),
    ] {
        let status = std::fs::symlink_metadata(scene.path(name)).unwrap();
        let found = (status.uid(), status.gid(), status.mode() & 0o7777);
        assert_eq!(found, (owner, group, mode), "{name}");
    }
}

/// Flags of descriptor 0 as /proc has them, and the working directory.
pub(crate) fn nothing_in_common() {
    let mut scene = Scene::new().with("a").with("b");
    let errors = std::fs::File::create(scene.path("stderr")).unwrap();
    let mut command = scene.command();
    // As a shell does it in a directory that is closed to others.
    command.current_dir(scene.path("bin")).stderr(errors);
    scene.monitor = Some(command.spawn().unwrap());
    scene.wait_for("ready", || scene.text("stderr").contains("ready: "));
    let [a, b] = [scene.wake(1), scene.wake(2)];
    let name = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    scene.wait_for("exec", || {
        [a, b].into_iter().all(|pid| name(pid) == "hostel-keeper\n")
    });
    let front: i32 = scene.front("pid").parse().unwrap();
    for pid in [scene.pid(), front, a, b] {
        let directory = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
        assert_eq!(directory.to_str(), Some("/"), "process {pid}");
    }
    let flags = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/fdinfo/0")).unwrap();
    let before = [flags(b), flags(front)];
    set_nonblocking(a, 0);
    assert_ne!(flags(a), before[0]);
    assert_eq!([flags(b), flags(front)], before);
}

/// What a process does to its own descriptor.
fn set_nonblocking(pid: i32, number: i32) {
    let process = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    let descriptor = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).unwrap();
    let flags = rustix::fs::fcntl_getfl(&descriptor).unwrap();
    rustix::fs::fcntl_setfl(&descriptor, flags | OFlags::NONBLOCK).unwrap();
}

/// Start what must fail, and give what it says.
fn failure(scene: &Scene) -> String {
    let output = scene.command().stderr(Stdio::piped()).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

pub(crate) fn second_instance() {
    let scene = Scene::new().with("a").start();
    let text = failure(&scene);
    assert!(text.contains("another instance runs with"), "{text}");
    // The first one did not suffer.
    assert!(scene.path("run/status.sock").exists());
    scene.wake(1);
}

pub(crate) fn address_in_use() {
    let scene = Scene::new().with("a");
    let held = TcpListener::bind(("127.0.0.1", scene.port)).unwrap();
    let text = failure(&scene);
    assert!(
        text.contains("Address in use") || text.contains("in use"),
        "{text}"
    );
    assert!(text.contains("hint: another program does"), "{text}");
    drop(held);
}

pub(crate) fn terminate() {
    let mut scene = Scene::new().with("a").with("b").start();
    let keepers = [scene.wake(1), scene.wake(2)];
    let front = scene.front("pid").parse().unwrap();
    scene.signal(Signal::TERM);
    assert!(scene.ended(Duration::from_secs(3)), "{}", scene.logs());
    assert!(!runs(front) && !keepers.into_iter().any(runs));
    assert!(!scene.path("run/status.sock").exists() && !scene.path("run/view").exists());
    assert!(
        scene
            .text("logs/server.log")
            .ends_with("monitor info: stopped\n")
    );
    TcpListener::bind(("127.0.0.1", scene.port)).unwrap();
}

pub(crate) fn terminate_twice() {
    let mut scene = Scene::new().with("stubborn").start();
    let keeper = scene.wake(1);
    scene.front("silent");
    scene.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(200));
    assert!(runs(scene.pid()), "it must wait for the front");
    scene.signal(Signal::INT);
    assert!(scene.ended(Duration::from_secs(2)), "{}", scene.logs());
    assert!(!runs(keeper));
}

pub(crate) fn kill() {
    let mut scene = Scene::new().with("a").with("stubborn").start();
    let keepers = [scene.wake(1), scene.wake(2)];
    let front: i32 = scene.front("pid").parse().unwrap();
    signal_process(scene.pid(), Signal::KILL);
    let begun = Instant::now();
    while runs(front) || keepers.into_iter().any(runs) {
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "processes are left"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(!scene.ended(Duration::from_secs(1)));
}

pub(crate) fn reopen() {
    let scene = Scene::new().with("a").start();
    scene.wake(1);
    scene.front("log 1 before");
    std::fs::rename(scene.path("logs/a/access.log"), scene.path("logs/a/old")).unwrap();
    std::fs::rename(scene.path("logs/server.log"), scene.path("logs/old")).unwrap();
    scene.front("log 1 still");
    scene.signal(Signal::USR1);
    scene.wait_for("the logs again", || scene.heard("logs 1").len() == 2);
    scene.front("log 1 after");
    assert_eq!(scene.text("logs/a/old"), "before\nstill\n");
    assert_eq!(scene.text("logs/a/access.log"), "after\n");
    assert_eq!(scene.heard("descriptor ServerLog").len(), 2);
    scene.wait_for("a line", || {
        scene.text("logs/server.log").contains("logs reopened")
    });
}

/// As a package does it: a new file under the old name, while the old one still runs.
pub(crate) fn replaced_programs() {
    let scene = Scene::new().with("a").start();
    for name in ["hostel-front", "hostel-keeper", "hostel-php"] {
        let path = scene.path("bin").join(name);
        std::fs::copy(&path, scene.path("new")).unwrap();
        std::fs::rename(scene.path("new"), &path).unwrap();
    }
    assert!(runs(scene.wake(1)));
    let front = scene.front("pid");
    scene.front("exit");
    assert_ne!(scene.front("pid"), front);
}
