//! What a process is and sees after the whole sequence.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use hostel_sys::cred::{Gid, Uid, User};
use hostel_sys::fdpass::message_pair;
use hostel_sys::home::open_home;
use hostel_sys::layers::{Layer, Layers};
use hostel_sys::rlimit::Limits;
use hostel_sys::signal::Ending;
use hostel_sys::spawn::{Child, Plan, Program, Progress, Step, StepFailed, spawn};
use hostel_sys::view::{View, ViewPlan};

use crate::homes::Place;
use crate::probe::session_keyring;

const UID: u32 = 61001;
const OTHER: u32 = 61002;

/// What the probe said, by name.
pub(crate) type Answers = BTreeMap<String, String>;

/// Two sites and a server's directories.
pub(crate) struct Scene {
    pub(crate) place: Place,
    user: User,
    program: File,
    null: File,
    log_reader: OwnedFd,
    log: OwnedFd,
    control: (OwnedFd, OwnedFd),
    pub(crate) layers: Layers,
    pub(crate) tcp_ports: Option<Vec<u16>>,
}

impl Scene {
    pub(crate) fn new(name: &str) -> Self {
        let place = Place::new(name);
        let home = place.directory("blog", UID, 0o700);
        place.directory("shop", OTHER, 0o755);
        std::fs::write(place.path().join("shop/secret"), "x").unwrap();
        for directory in ["tmp", "var-tmp", "sessions", "opcache"] {
            place.directory(&format!("state/{directory}"), UID, 0o700);
        }
        place.directory("view", 0, 0o700);
        place.directory("etc", 0, 0o755);
        let (log_reader, log) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        Self {
            user: User {
                name: "hostel-blog".to_owned(),
                uid: Uid(UID),
                gid: Gid(UID),
                home,
            },
            program: File::open("/proc/self/exe").unwrap(),
            null: File::options()
                .read(true)
                .write(true)
                .open("/dev/null")
                .unwrap(),
            log_reader,
            log,
            control: message_pair(true).unwrap(),
            layers: Layers::ALL,
            tcp_ports: None,
            place,
        }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.place.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn view(&self, mount_point: &str) -> View {
        let home = open_home(&self.user.home, self.user.uid, &[]).unwrap();
        let own: Vec<File> = ["tmp", "var-tmp", "sessions", "opcache"]
            .map(|name| File::open(self.path(&format!("state/{name}"))).unwrap())
            .into();
        let targets = [
            "/tmp",
            "/var/tmp",
            "/var/lib/php/sessions",
            "/var/lib/php/opcache",
        ];
        let own: Vec<(BorrowedFd<'_>, &str)> = own.iter().map(AsFd::as_fd).zip(targets).collect();
        View::prepare(&ViewPlan {
            user: &self.user,
            group: "hostel-blog",
            home: home.as_fd(),
            own: &own,
            programs: &[(self.program.as_fd(), "/run/hostel/bin/probe")],
            locks: "/run/hostel/lock",
            php_ini_directory: Path::new("/etc/php/8.2/embed"),
            terminals: None,
            is_site: &|number| number == UID || number == OTHER,
            layers: self.layers,
            mount_point: Path::new(&self.path(mount_point)),
        })
        .unwrap()
    }

    pub(crate) fn spawn(
        &self,
        program: Program<'_>,
        view: Option<View>,
        attempts: &[String],
    ) -> Child {
        let arguments: Vec<CString> = ["hostel-probe".to_owned(), "probe".to_owned()]
            .iter()
            .chain(attempts)
            .map(|argument| CString::new(argument.as_str()).unwrap())
            .collect();
        spawn(Plan {
            program,
            arguments: &arguments,
            environment: &[c"PATH=/usr/bin:/bin".to_owned()],
            uid: self.user.uid,
            gid: self.user.gid,
            descriptors: [
                self.null.as_fd(),
                self.log.as_fd(),
                self.log.as_fd(),
                self.control.1.as_fd(),
            ],
            limits: Limits {
                open_files: 1024,
                processes: Some(100),
                data_bytes: Some(256 << 20),
            },
            group: None,
            view,
            tcp_ports: self.tcp_ports.clone(),
            layers: self.layers,
        })
        .unwrap()
    }

    /// Spawn the probe in its sandbox and read all that it has to say.
    pub(crate) fn probe(self, attempts: &[String]) -> Answers {
        let child = self.spawn(
            Program::InView(c"/run/hostel/bin/probe"),
            Some(self.view("view")),
            attempts,
        );
        self.answers(child)
    }

    fn answers(self, child: Child) -> Answers {
        assert_eq!(progress(&child), Progress::Started);
        drop(self.log);
        let mut text = String::new();
        File::from(self.log_reader)
            .read_to_string(&mut text)
            .unwrap();
        let status = wait(&child);
        assert_eq!(status, Some(0), "the probe failed:\n{text}");
        text.lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

pub(crate) fn progress(child: &Child) -> Progress {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        match child.progress().unwrap() {
            Progress::Pending => std::thread::sleep(Duration::from_millis(1)),
            end => return end,
        }
    }
    Progress::Pending
}

/// The exit status.
fn wait(child: &Child) -> Option<u8> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        match child.ended().unwrap() {
            None => std::thread::sleep(Duration::from_millis(1)),
            Some(Ending::Exited(status)) => return Some(status),
            Some(Ending::Signalled(_)) => return None,
        }
    }
    child.kill();
    None
}

pub(crate) fn is(answers: &Answers, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(
            answers.get(*name).map(String::as_str),
            Some(*value),
            "{name}"
        );
    }
}

pub(crate) fn identity_and_privileges() {
    let answers = Scene::new("identity").probe(&[]);
    let (uid, none) = ([UID.to_string().as_str(); 4].join(" "), "0000000000000000");
    is(
        &answers,
        &[
            ("dropped", "yes"),
            ("Uid", &uid),
            ("Gid", &uid),
            ("Groups", ""),
            ("CapInh", none),
            ("CapPrm", none),
            ("CapEff", none),
            ("CapBnd", none),
            ("CapAmb", none),
            ("NoNewPrivs", "1"),
            ("become-root", "PermissionDenied"),
            ("mount", "PermissionDenied"),
            ("chroot", "PermissionDenied"),
            ("bind-low-port", "PermissionDenied"),
            ("raise-core", "PermissionDenied"),
            ("raise-files", "PermissionDenied"),
        ],
    );
}

pub(crate) fn limits() {
    let answers = Scene::new("limits").probe(&[]);
    is(
        &answers,
        &[
            ("limit-core", "0/0"),
            ("limit-open-files", "1024/1024"),
            ("limit-processes", "100/100"),
            ("limit-data", "268435456/268435456"),
            ("limit-locked", "65536/65536"),
            ("limit-messages", "819200/819200"),
            ("limit-signals", "1024/1024"),
            ("limit-real-time", "0/0"),
            ("limit-nice", "0/0"),
            ("oom_score_adj", "200"),
        ],
    );
    // Whatever hierarchies there are, it stands at the top of each.
    let groups: Vec<&str> = answers["cgroup"].split('|').collect();
    assert!(!groups.is_empty());
    for group in groups {
        assert!(group.ends_with(":/"), "{group}");
    }
}

pub(crate) fn descriptors_and_environment() {
    // Descriptors without close-on-exec, as a careless library would leave them.
    let stray = rustix::io::dup(File::open("/etc/shadow").unwrap()).unwrap();
    let answers = Scene::new("descriptors").probe(&[]);
    drop(stray);
    is(
        &answers,
        &[
            ("descriptors", "0,1,2,3"),
            ("environment", "PATH:/usr/bin:/bin"),
            ("working-directory", "/"),
            ("SigBlk", "0000000000000000"),
            ("Umask", "0022"),
        ],
    );
}

/// As under systemd or after a log-in, where the monitor has a session keyring.
#[allow(unsafe_code, reason = "keyctl has no safe wrapper")]
pub(crate) fn keys() {
    let no_name = std::ptr::null::<libc::c_char>();
    // SAFETY: without a name nothing is read from memory.
    let own =
        unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, no_name) };
    assert!(own > 0, "{}", std::io::Error::last_os_error());
    assert_eq!(session_keyring(), own);
    let refused = -i64::from(libc::EPERM);
    let answers = Scene::new("keys").probe(&[]);
    assert_eq!(answers["keyring"], refused.to_string());
    // And if there were a way around the filter, there would be none of the monitor's keys.
    let mut scene = Scene::new("keys");
    scene.layers = Layers::ALL.without(Layer::SystemCalls);
    let answers = scene.probe(&[]);
    let keyring: i64 = answers["keyring"].parse().unwrap();
    assert!(keyring > 0 && keyring != own, "{keyring}, the test's {own}");
}

/// Whoever closes such a socket last waits, and that may be the front.
pub(crate) fn no_socket_lingers() {
    let answers = Scene::new("linger").probe(&[]);
    is(
        &answers,
        &[
            ("linger", "yes, Ok(None)"),
            ("no-delay", "yes"),
            ("io-uring", "38"),
        ],
    );
}

pub(crate) fn processes() {
    let answers = Scene::new("processes").probe(&[]);
    is(
        &answers,
        &[
            ("pid", "1"),
            ("parent", "0"),
            ("processes", "1"),
            ("death-signal", "Some(9)"),
        ],
    );
}

pub(crate) fn what_is_visible() {
    let scene = Scene::new("visible");
    let gone = ["shop", "shop/secret", "state", "etc", "view"]
        .map(|name| format!("list:{}", scene.path(name)));
    let home = format!("list:{}", scene.path("blog"));
    let mut attempts: Vec<String> = [
        "list:/etc/hostel",
        "list:/var/lib/hostel",
        "list:/var/log",
        "list:/root",
        "list:/home",
        "list:/sys",
        "read:/etc/shadow",
        "list:/etc/apache2",
        "list:/etc/php/8.2/fpm",
        "list:/run/php",
        "read:/proc/1/mem",
        "read:/etc/ld.so.cache",
        "read:/dev/urandom",
        "list:/usr/bin",
    ]
    .map(str::to_owned)
    .into();
    attempts.extend(gone.iter().cloned());
    attempts.push(home.clone());
    let place = scene
        .place
        .path()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let answers = scene.probe(&attempts);
    for attempt in gone
        .iter()
        .map(String::as_str)
        .chain(attempts.iter().map(String::as_str).take(10))
    {
        assert_eq!(
            answers.get(attempt).map(String::as_str),
            Some("NotFound"),
            "{attempt}"
        );
    }
    is(
        &answers,
        &[
            (&home, "yes"),
            ("read:/proc/1/mem", "PermissionDenied"),
            ("read:/etc/ld.so.cache", "yes"),
            ("read:/dev/urandom", "yes"),
            ("list:/usr/bin", "yes"),
            ("srv", &place),
            (
                "dev",
                "fd,full,null,random,shm,stderr,stdin,stdout,urandom,zero",
            ),
        ],
    );
    only_the_view(&answers);
}

/// No directory of the host's own, and no mount that gives more than it must.
fn only_the_view(answers: &Answers) {
    let root = answers.get("root").unwrap();
    for name in ["sys", "root", "home", "boot", "mnt", "opt", "media", "work"] {
        assert!(
            !root.split(',').any(|there| there == name),
            "/{name} in {root}"
        );
    }
    let mounts = answers.get("mounts").unwrap();
    assert!(
        !mounts.contains("shared:") && !mounts.contains("master:"),
        "{mounts}"
    );
    for line in mounts.split('|').filter(|line| !line.is_empty()) {
        assert!(
            line.contains("nosuid"),
            "a mount lets set-user-id programs work: {line}"
        );
        assert!(
            line.contains("nodev") || line.contains(" /dev/"),
            "a mount has devices: {line}"
        );
    }
}

pub(crate) fn what_is_writable() {
    let scene = Scene::new("writable");
    let home = format!("write:{}", scene.path("blog"));
    let above = format!("write:{}", scene.path(""));
    let attempts = [
        home.as_str(),
        above.as_str(),
        "write:/tmp",
        "write:/var/tmp",
        "write:/var/lib/php/sessions",
        "write:/var/lib/php/opcache",
        "write:/dev/shm",
        "write:/run/hostel/lock",
        "write:/",
        "write:/usr",
        "write:/usr/bin",
        "write:/etc",
        "write:/run",
        "write:/run/hostel",
        "write:/run/hostel/bin",
        "write:/dev",
        "write:/var",
        "write:/srv",
        "write:/proc",
    ]
    .map(str::to_owned);
    let answers = scene.probe(&attempts);
    for attempt in &attempts {
        let may = attempt == &home
            || ["/tmp", "/sessions", "/opcache", "/shm", "/lock"]
                .iter()
                .any(|end| attempt.ends_with(end));
        assert_eq!(answers.get(attempt).unwrap() == "yes", may, "{attempt}");
    }
}

pub(crate) fn accounts() {
    let answers = Scene::new("accounts").probe(&[]);
    let passwd = answers.get("passwd").unwrap();
    assert!(passwd.contains("root:x:0:0:"), "{passwd}");
    assert!(
        passwd.contains(&format!("|hostel-blog:x:{UID}:{UID}::/srv/")),
        "{passwd}"
    );
    let group = answers.get("group").unwrap();
    assert!(
        group.ends_with(&format!("|hostel-blog:x:{UID}:|")),
        "{group}"
    );
    for line in passwd.split('|').filter(|line| !line.is_empty()) {
        let uid: u32 = line.split(':').nth(2).unwrap().parse().unwrap();
        assert!(uid < 1000 || uid == 65534 || uid == UID, "{line}");
    }
}

pub(crate) fn host_mounts_stay() {
    let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    Scene::new("mounts").probe(&[]);
    assert_eq!(
        std::fs::read_to_string("/proc/self/mountinfo").unwrap(),
        before
    );
}

pub(crate) fn a_failing_step_is_told() {
    let failed = |step, errno| {
        Progress::Failed(StepFailed {
            step,
            errno,
            what: None,
        })
    };
    let scene = Scene::new("fails");
    let child = scene.spawn(
        Program::InView(c"/run/hostel/bin/none"),
        Some(scene.view("view")),
        &[],
    );
    let told = progress(&child);
    assert_eq!(told, failed(Step::Exec, libc::ENOENT));
    assert_eq!(wait(&child), Some(125));
    let Progress::Failed(told) = told else {
        unreachable!()
    };
    assert_eq!(
        told.to_string(),
        "step 22 (exec the program): No such file or directory (os error 2)"
    );

    let child = scene.spawn(
        Program::InView(c"/run/hostel/bin/probe"),
        Some(scene.view("nowhere")),
        &[],
    );
    assert_eq!(progress(&child), failed(Step::AttachRoot, libc::ENOENT));
    wait(&child);
}

pub(crate) fn without_a_view() {
    let scene = Scene::new("front");
    let stray = rustix::io::dup(File::open("/etc/shadow").unwrap()).unwrap();
    let child = scene.spawn(Program::Descriptor(scene.program.as_fd()), None, &[]);
    let pid = child.pid.to_string();
    let answers = scene.answers(child);
    drop(stray);
    is(
        &answers,
        &[
            ("dropped", "yes"),
            ("pid", &pid),
            ("parent", &std::process::id().to_string()),
            ("descriptors", "0,1,2,3"),
            ("Groups", ""),
            ("death-signal", "Some(9)"),
        ],
    );
}

pub(crate) fn front_closed_in() {
    let scene = Scene::new("front-closed");
    let spill = scene.place.directory("spill", UID, 0o700);
    let attempts = ["front".to_owned(), spill.to_str().unwrap().to_owned()];
    let child = scene.spawn(Program::Descriptor(scene.program.as_fd()), None, &attempts);
    let answers = scene.answers(child);
    is(
        &answers,
        &[("unnamed", "yes"), ("thread", "ran"), ("pair", "yes")],
    );
    for refused in [
        "named", "read", "list", "make", "exec", "connect", "listen", "unix", "signal",
    ] {
        is(&answers, &[(refused, "no")]);
    }
    // The filter sees no paths: elsewhere is Landlock's part.
    if answers["whole"] == "true" {
        is(&answers, &[("unnamed-elsewhere", "no")]);
    } else {
        println!("not tried: unnamed files elsewhere, since this kernel's Landlock is not whole");
    }
}
