//! A site for tests: the program as an unprivileged user, with the test in the place of its keeper and of the front.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hostel_sys::fdpass;
use hostel_wire::fresh::Fresh;
use hostel_wire::keeper_zygote::{Death, FromZygote, ToZygote, WorkerId};
use hostel_wire::limits::MESSAGE_BYTES_MAX;
use hostel_wire::monitor_keeper::{PhpValue, SiteSettings};

use crate::front::Front;

/// The user and group that a site's PHP runs as where the test is root: numbers that no account has.
const USER: u32 = 61_234;
/// How long anything in a test may take.
const PATIENCE: Duration = Duration::from_secs(20);

static NEXT: AtomicU32 = AtomicU32::new(1);

pub(crate) struct Site {
    pub(crate) directory: PathBuf,
    pub(crate) settings: SiteSettings,
    zygote: Child,
    control: OwnedFd,
    environment: Vec<(String, String)>,
    next_worker: u32,
}

/// What a test says about its site.
#[derive(Default)]
pub(crate) struct Wishes<'a> {
    /// `%h` in a value stands for the site's home.
    pub(crate) values: &'a [(&'a str, &'a str)],
    pub(crate) admin_values: &'a [(&'a str, &'a str)],
    pub(crate) requests_per_worker: u32,
    pub(crate) fresh: Fresh,
    /// Lines for a php.ini of the site's own, with OPcache as the only module.
    pub(crate) php_ini: Option<&'a str>,
    /// Not even OPcache, where there is a php.ini of the site's own.
    pub(crate) without_modules: bool,
    /// Lines for a file of their own beside it, which load and set up more modules.
    pub(crate) module_ini: Option<&'a str>,
    /// What PHP's environment has more than a path; `%h` as above.
    pub(crate) environment: Vec<(&'a str, String)>,
}

impl Site {
    /// A site whose document root is this folder of `tests/cases`, with PHP started.
    pub(crate) fn start(case: &str, wishes: &Wishes<'_>) -> Self {
        let mut site = Self::start_untried(case, wishes);
        if wishes.fresh.is_by_best_means() {
            site.await_trial();
        }
        site
    }

    /// The same, before it is known whether workers may be put back.
    pub(crate) fn start_untried(case: &str, wishes: &Wishes<'_>) -> Self {
        let mut site = Self::prepare(case, wishes);
        assert_eq!(site.said(), FromZygote::Ready);
        site.next_worker = 1;
        site
    }

    /// Have a first worker end, upon which it is tried whether workers may be put back, and wait until that is known.
    pub(crate) fn await_trial(&mut self) {
        let first = self.worker();
        self.tell(&ToZygote::Kill(first.id), &[]);
        self.died(first.id);
        let zygote = self.zygote_pid();
        let children = format!("/proc/{zygote}/task/{zygote}/children");
        // The zygote has begun it before it looks at what else it is told.
        let second = self.worker();
        let deadline = Instant::now() + PATIENCE;
        while std::fs::read_to_string(&children).unwrap().trim() != second.pid.to_string() {
            assert!(Instant::now() < deadline, "the trial does not end");
            std::thread::sleep(Duration::from_micros(200));
        }
        self.tell(&ToZygote::Kill(second.id), &[]);
        self.died(second.id);
    }

    /// The same, without waiting for PHP.
    pub(crate) fn prepare(case: &str, wishes: &Wishes<'_>) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hostel-php-test-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let root = directory.join("public");
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/cases")
            .join(case);
        copy(&from, &root);
        for own in ["lock", "sessions", "tmp", "cache", "ini/conf.d"] {
            std::fs::create_dir_all(directory.join(own)).unwrap();
        }
        // The build may stand in a directory that is closed to the site's user.
        let program = directory.join("hostel-php");
        copy_program(&program);
        if let Some(text) = wishes.php_ini {
            std::fs::write(directory.join("ini/php.ini"), text).unwrap();
            if !wishes.without_modules {
                let module = directory.join("ini/conf.d/10-opcache.ini");
                std::fs::write(module, "zend_extension=opcache.so\n").unwrap();
            }
        }
        if let Some(text) = wishes.module_ini {
            std::fs::write(directory.join("ini/conf.d/90-more.ini"), text).unwrap();
        }
        give_away(&directory);
        let closed = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(directory.join("cache"), closed).unwrap();

        let settings = settings(&directory, wishes);
        let (control, theirs) = fdpass::message_pair(false).unwrap();
        let home = directory.to_str().unwrap();
        let in_text =
            |(name, value): &(&str, String)| ((*name).to_owned(), value.replace("%h", home));
        let environment: Vec<_> = wishes.environment.iter().map(in_text).collect();
        let zygote = start(&program, &directory, theirs, &environment);
        let site = Self {
            directory,
            settings,
            zygote,
            control,
            environment,
            next_worker: 0,
        };
        let message = ToZygote::Settings(Box::new(site.settings.clone()));
        site.tell(&message, &[]);
        site
    }

    /// End PHP, and start another one.
    pub(crate) fn restart(&mut self) {
        let (control, theirs) = fdpass::message_pair(false).unwrap();
        self.control = control;
        assert!(self.zygote.wait().unwrap().success());
        let program = self.directory.join("hostel-php");
        self.zygote = start(&program, &self.directory, theirs, &self.environment);
        let message = ToZygote::Settings(Box::new(self.settings.clone()));
        self.tell(&message, &[]);
        assert_eq!(self.said(), FromZygote::Ready);
    }

    /// A new worker, seen as the front sees it.
    pub(crate) fn worker(&mut self) -> Worker {
        let (ours, theirs) = fdpass::stream_pair(true).unwrap();
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        self.tell(&ToZygote::Fork(id), &[theirs.as_fd()]);
        drop(theirs);
        let pid = match self.said() {
            FromZygote::Forked(forked, pid) => {
                assert_eq!(forked, id);
                pid
            }
            other => panic!("expected a worker, got {other:?}"),
        };
        Worker {
            id,
            pid,
            front: Front::new(ours),
        }
    }

    pub(crate) fn tell(&self, message: &ToZygote, descriptors: &[std::os::fd::BorrowedFd<'_>]) {
        fdpass::send(&self.control, &message.encode(), descriptors).unwrap();
    }

    /// The zygote's next message.
    pub(crate) fn said(&self) -> FromZygote {
        let said = self.said_or_closed();
        said.unwrap_or_else(|| panic!("the zygote ended: {}", self.stderr()))
    }

    /// `None` when the zygote has ended.
    fn said_or_closed(&self) -> Option<FromZygote> {
        crate::front::wait(self.control.as_fd(), PATIENCE);
        let mut buffer = vec![0; MESSAGE_BYTES_MAX];
        let received = match fdpass::receive(&self.control, &mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
            received => received.unwrap(),
        };
        (received.bytes > 0).then(|| FromZygote::decode(&buffer[..received.bytes]).unwrap())
    }

    /// The zygote could not start: what it said.
    pub(crate) fn failed(mut self) -> String {
        assert_eq!(self.said_or_closed(), None);
        assert!(!self.zygote.wait().unwrap().success());
        self.stderr()
    }

    pub(crate) fn died(&self, worker: WorkerId) -> Death {
        match self.said() {
            FromZygote::Died(died, death) => {
                assert_eq!(died, worker);
                death
            }
            other => panic!("expected a death, got {other:?}"),
        }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.join("public")
    }

    /// What all processes of the site said on standard error.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.directory.join("stderr")).unwrap()
    }

    pub(crate) fn zygote_pid(&self) -> u32 {
        self.zygote.id()
    }

    /// Write a file as the site's own.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        give_away(&self.directory);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Closing the socket ends the zygote, and the kernel ends its workers; the rest is for a zygote that hangs.
        let (unused, _) = fdpass::message_pair(false).unwrap();
        drop(std::mem::replace(&mut self.control, unused));
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline
            && self.zygote.try_wait().is_ok_and(|status| status.is_none())
        {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.zygote.kill();
        let _ = self.zygote.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) pid: u32,
    pub(crate) front: Front,
}

fn settings(directory: &Path, wishes: &Wishes<'_>) -> SiteSettings {
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let value = |(name, value): &(&str, &str), admin| PhpValue {
        name: (*name).to_owned(),
        value: value.replace("%h", directory.to_str().unwrap()),
        admin,
    };
    let lock = text(directory.join("lock"));
    let sessions = text(directory.join("sessions"));
    let mut php_values = vec![
        value(&("opcache.lockfile_path", &lock), false),
        value(&("session.save_path", &sessions), false),
        // Else OPcache leaves out what was written within the last two seconds, which is all that a test has.
        value(&("opcache.file_update_protection", "0"), false),
        // There is no view that would have a directory for it.
        value(&("opcache.file_cache", ""), false),
    ];
    php_values.extend(wishes.values.iter().map(|one| value(one, false)));
    php_values.extend(wishes.admin_values.iter().map(|one| value(one, true)));
    let system = "/etc/php/8.2/embed".to_owned();
    SiteSettings {
        name: "test".into(),
        user: "tester".into(),
        home: text(directory.to_owned()),
        root: text(directory.join("public")),
        index: vec!["index.php".into()],
        script_extensions: vec!["php".into()],
        front_controller: String::new(),
        foreign_owners: false,
        group_is_own: true,
        php_ini_directory: wishes
            .php_ini
            .map_or(system, |_| text(directory.join("ini"))),
        requests_per_worker: wishes.requests_per_worker,
        fresh: wishes.fresh,
        temporary_bytes_max: 0,
        php_values,
    }
}

/// As a keeper starts it: the control socket on descriptor 3, no privilege, no capability.
fn start(
    program: &Path,
    directory: &Path,
    control: OwnedFd,
    environment: &[(String, String)],
) -> Child {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={USER}"))
            .arg(format!("--regid={USER}"));
        command.args([
            "--clear-groups",
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--ambient-caps=-all",
        ]);
        command.arg("--no-new-privs").arg(program);
        command
    } else {
        let mut command = Command::new("setpriv");
        command
            .args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"])
            .arg(program);
        command
    };
    let errors = std::fs::File::create(directory.join("stderr")).unwrap();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .current_dir("/")
        .env_clear();
    command.env("PATH", "/usr/bin:/bin");
    command.envs(environment.iter().cloned());
    // SAFETY: what runs in the child is a system call and no more.
    unsafe { command.pre_exec(move || put_at_3(&control)) };
    command.spawn().unwrap()
}

fn put_at_3(control: &OwnedFd) -> io::Result<()> {
    // SAFETY: number 3 belongs to nobody in a child that is about to exec.
    match unsafe { libc::dup2(control.as_raw_fd(), 3) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Copy `hostel-php` by a process of its own. Were the copy open for writing here, a child that another test forks meanwhile
/// would hold it open too, until its exec, and the kernel runs no program that somebody may write ("Text file busy").
fn copy_program(to: &Path) {
    let mut cp = Command::new("/bin/cp");
    let copied = cp.arg(env!("CARGO_BIN_EXE_hostel-php")).arg(to).status();
    assert!(copied.unwrap().success(), "{} was not copied", to.display());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Make everything the site's own.
fn give_away(path: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let metadata = std::fs::symlink_metadata(path).unwrap();
    std::os::unix::fs::lchown(path, Some(USER), Some(USER)).unwrap();
    if metadata.is_dir() {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        for entry in std::fs::read_dir(path).unwrap() {
            give_away(&entry.unwrap().path());
        }
    }
}

/// Make a file somebody else's, and say whether that could be done.
pub(crate) fn give_to_stranger(path: &Path) -> bool {
    chown(path, Some(USER + 1), Some(USER + 1)).is_ok()
}
