//! A keeper in its sandbox, and the two peers that it listens to.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hostel_sys::child::{self, Program};
use hostel_sys::fdpass;
use hostel_wire::front_keeper::{FileIdentity, FrontToKeeper, KeeperToFront, Resolution};
use hostel_wire::keeper_zygote::WorkerId;
use hostel_wire::limits;
use hostel_wire::monitor_keeper::{SiteSettings, ToKeeper};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// The site's user, a number that no account has.
pub(crate) const USER: u32 = 64_321;
/// Somebody else.
pub(crate) const OTHER: u32 = 64_322;
/// Longer than anything here should take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A home, and a keeper of it that has its settings and a first front.
pub(crate) struct Sandbox {
    directory: PathBuf,
    /// The process that waits for process 1 of the namespace, and ends it when it ends itself.
    pid: Option<Pid>,
    pub(crate) monitor: OwnedFd,
    pub(crate) front: OwnedFd,
}

impl Sandbox {
    /// A sandbox with an empty document root; `prepare` may fill it (paths are relative to home's parent).
    pub(crate) fn new(prepare: impl FnOnce(&Path)) -> Self {
        let directory = new_directory();
        for (name, owner) in [("home", USER), ("home/public", USER), ("other", OTHER)] {
            std::fs::create_dir(directory.join(name)).unwrap();
            own(&directory.join(name), owner, 0o700);
        }
        prepare(&directory);
        let (monitor, far) = fdpass::message_pair(false).unwrap();
        let pid = start(&far, Some(USER));
        let (front, _) = fdpass::message_pair(false).unwrap();
        let mut sandbox = Self {
            directory,
            pid: Some(pid),
            monitor,
            front,
        };
        sandbox.tell(&ToKeeper::Settings(Box::new(sandbox.settings())));
        sandbox.new_front();
        sandbox
    }

    /// A path beneath the parent of home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn settings(&self) -> SiteSettings {
        let text = |name| self.path(name).into_os_string().into_string().unwrap();
        SiteSettings {
            name: "blog".into(),
            user: "blog".into(),
            home: text("home"),
            root: text("home/public"),
            index: vec!["index.php".into(), "index.html".into()],
            script_extensions: vec!["php".into()],
            front_controller: String::new(),
            foreign_owners: false,
            group_is_own: true,
            php_ini_directory: "/etc/php/8.2/embed".into(),
            requests_per_worker: 0,
            fresh: hostel_wire::fresh::Fresh::Off,
            temporary_bytes_max: 0,
            php_values: Vec::new(),
        }
    }

    /// As the monitor.
    pub(crate) fn tell(&self, message: &ToKeeper) {
        fdpass::send(&self.monitor, &message.encode(), &[]).unwrap();
    }

    /// As the monitor: another front, which hears that the keeper is ready. The last one's socket closes.
    pub(crate) fn new_front(&mut self) {
        let (near, far) = fdpass::message_pair(false).unwrap();
        self.front = near;
        fdpass::send(&self.monitor, &ToKeeper::Front.encode(), &[far.as_fd()]).unwrap();
        drop(far);
        assert_eq!(self.hear().0, KeeperToFront::Ready);
    }

    /// As the front.
    pub(crate) fn ask(&self, question: &FrontToKeeper) {
        fdpass::send(&self.front, &question.encode(), &[]).unwrap();
    }

    /// As the front: the next message and what came with it.
    pub(crate) fn hear(&self) -> (KeeperToFront, Option<OwnedFd>) {
        assert!(readable(&self.front, PATIENCE), "the keeper says nothing");
        let mut buffer = vec![0; limits::MESSAGE_BYTES_MAX];
        let received = fdpass::receive(&self.front, &mut buffer).unwrap();
        assert_ne!(received.bytes, 0, "the keeper has closed its socket");
        let message = KeeperToFront::decode(&buffer[..received.bytes]).unwrap();
        assert_eq!(received.descriptors.len(), message.descriptors());
        (message, received.descriptors.into_iter().next())
    }

    /// As the front: what is at this path?
    pub(crate) fn resolve(
        &self,
        path: &str,
        known: Option<FileIdentity>,
    ) -> (Resolution, Option<OwnedFd>) {
        self.ask(&FrontToKeeper::Resolve {
            ticket: 77,
            path: path.as_bytes().to_vec(),
            known,
        });
        match self.hear() {
            (
                KeeperToFront::Resolved {
                    ticket: 77,
                    resolution,
                },
                file,
            ) => (resolution, file),
            other => panic!("{path}: {other:?}"),
        }
    }

    /// As the front: one more worker; the fake zygote does with it what `command` says. Returns the front's end.
    pub(crate) fn start_worker(&self, worker: u32, command: u8) -> OwnedFd {
        let (near, far) = fdpass::stream_pair(false).unwrap();
        rustix::io::write(&near, &[command]).unwrap();
        let question = FrontToKeeper::StartWorker(WorkerId(worker));
        fdpass::send(&self.front, &question.encode(), &[far.as_fd()]).unwrap();
        near
    }

    /// Wait for the keeper's end and return its status. All processes of the namespace have ended then.
    pub(crate) fn status(&mut self) -> i32 {
        let pid = self.pid.take().unwrap();
        wait(pid)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            kill_process(pid, Signal::KILL).unwrap();
            wait(pid);
        }
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

/// Give a file to a user.
pub(crate) fn own(path: &Path, user: u32, mode: u32) {
    std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, mode).unwrap();
}

/// Write a file of a user.
pub(crate) fn write(path: &Path, text: &str, user: u32, mode: u32) {
    std::fs::write(path, text).unwrap();
    own(path, user, mode);
}

/// Whether something is to be read before the time is over.
pub(crate) fn readable(socket: &OwnedFd, within: Duration) -> bool {
    let timeout = Timespec {
        tv_sec: within.as_secs().cast_signed(),
        tv_nsec: within.subsec_nanos().into(),
    };
    poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout)).unwrap() == 1
}

/// A directory that everybody may enter.
fn new_directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("hostel-keeper-it-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir(&path).unwrap();
    own(&path, 0, 0o755);
    path
}

/// Start a keeper as process 1 of new namespaces, with a /run of its own that holds the two programs. `None`: as root.
pub(crate) fn start(control: &OwnedFd, user: Option<u32>) -> Pid {
    let drop_to = user.map_or(String::new(), |user| {
        format!(
            "setpriv --reuid={user} --regid={user} --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs"
        )
    });
    let script = format!(
        "set -e; mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/hostel/bin; cd /run/hostel/bin; \
         cp \"$1\" hostel-keeper; cp \"$2\" hostel-php; cd /; exec {drop_to} /run/hostel/bin/hostel-keeper"
    );
    let text = |text: &str| CString::new(text).unwrap();
    let own_program = std::env::current_exe().unwrap();
    let own_program = CString::new(own_program.as_os_str().as_bytes()).unwrap();
    let mut arguments: Vec<_> = [
        "unshare",
        "--pid",
        "--mount",
        "--ipc",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--",
        "/bin/sh",
        "-c",
        &script,
        "sh",
        env!("CARGO_BIN_EXE_hostel-keeper"),
    ]
    .map(text)
    .into();
    arguments.push(own_program);
    child::start(&Program {
        path: text("/usr/bin/unshare"),
        arguments,
        environment: vec![text("PATH=/usr/bin:/bin:/usr/sbin:/sbin")],
        descriptors: &[control.as_fd()],
    })
    .unwrap()
}

/// Wait for a process's end, no longer than [`PATIENCE`], and return its status.
pub(crate) fn wait(pid: Pid) -> i32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some((_, status)) = waitpid(Some(pid), WaitOptions::NOHANG).unwrap() {
            return status.exit_status().unwrap_or(-1);
        }
        assert!(Instant::now() < deadline, "process {pid} does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
}
