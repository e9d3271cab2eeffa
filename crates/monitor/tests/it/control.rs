//! What an administrator may ask of the running monitor, and who else may not.

use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use hostel_sys::{fdpass, memory_file};
use hostel_wire::admin::{Change, Outcome, Question, Report};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt,
};

use crate::scene::{Scene, USERS, runs};

pub(crate) const CASES: [(&str, fn()); 4] = [
    ("a reload is reported", reported),
    ("a dry run changes nothing", dry_run),
    ("a broken configuration is reported", broken),
    ("who does not ask is sent away", silent),
];

pub(crate) fn connected(scene: &Scene) -> Result<OwnedFd, Errno> {
    let kind = SocketType::SEQPACKET;
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    let limit = Some(Duration::from_secs(20));
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, limit)?;
    connect(
        &socket,
        &SocketAddrUnix::new(scene.path("run/control.sock"))?,
    )?;
    Ok(socket)
}

pub(crate) fn ask(scene: &Scene, question: Question) -> Report {
    let socket = connected(scene).unwrap();
    fdpass::send(&socket, &question.encode(), &[]).unwrap();
    report(&socket)
}

pub(crate) fn report(socket: &OwnedFd) -> Report {
    let mut buffer = [0; 1];
    let mut received = fdpass::receive(socket, &mut buffer).unwrap();
    assert_eq!(buffer, Report::MESSAGE);
    let file = received.descriptors.pop().unwrap();
    Report::decode(&memory_file::read(file, Report::BYTES_MAX).unwrap()).unwrap()
}

fn changes(report: &Report) -> Vec<(&str, &Change)> {
    let sites = report.sites.iter();
    sites
        .map(|site| (site.name.as_str(), &site.change))
        .collect()
}

const RELOAD: Question = Question::Reload { is_dry_run: false };

fn reported() {
    let scene = Scene::new().with("a").with("b").with("c").start();
    let metadata = std::fs::metadata(scene.path("run/control.sock")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    assert_eq!(metadata.uid(), 0);
    let same = ask(&scene, RELOAD);
    assert_eq!((same.outcome, same.unchanged), (Outcome::Done, 3));
    assert_eq!(changes(&same), []);
    scene.site("b", USERS[1], "elsewhere");
    std::fs::remove_file(scene.path("etc/sites.d/c.toml")).unwrap();
    scene.site("d", USERS[2], "public");
    let report = ask(&scene, RELOAD);
    assert_eq!((report.outcome, report.unchanged), (Outcome::Done, 1));
    let told = [
        ("b", &Change::Changed),
        ("c", &Change::Removed),
        ("d", &Change::Added),
    ];
    assert_eq!(changes(&report), told);
    assert!(report.notes.is_empty() && report.problems.is_empty());
}

fn dry_run() {
    let scene = Scene::new().with("a").start();
    scene.site("b", USERS[2], "public");
    let report = ask(&scene, Question::Reload { is_dry_run: true });
    assert_eq!(report.outcome, Outcome::WouldBeDone);
    assert_eq!(changes(&report), [("b", &Change::Added)]);
    assert_eq!(scene.heard("end").len(), 1);
    // What was read for it is not taken for what runs.
    assert_eq!(changes(&ask(&scene, RELOAD)), [("b", &Change::Added)]);
}

fn broken() {
    let scene = Scene::new().with("a").start();
    let keeper = scene.wake(1);
    std::fs::write(scene.path("etc/sites.d/x.toml"), "domain = []\nroot = 5\n").unwrap();
    for is_dry_run in [true, false] {
        let report = ask(&scene, Question::Reload { is_dry_run });
        assert_eq!(report.outcome, Outcome::Refused);
        let lines: Vec<u32> = report.problems.iter().map(|one| one.line).collect();
        assert!(lines.contains(&1) && lines.contains(&2), "{report:?}");
        let of_x = |file: &str| file.ends_with("/sites.d/x.toml");
        assert!(report.problems.iter().all(|one| of_x(&one.file)));
    }
    assert!(runs(keeper));
    assert_eq!(scene.heard("end").len(), 1);
}

fn silent() {
    let scene = Scene::new().with("a").start();
    let idle = connected(&scene).unwrap();
    let wrong = connected(&scene).unwrap();
    fdpass::send(&wrong, &[9; 100], &[]).unwrap();
    // The third in the queue has its answer, for the first is sent away after a while and the second at once.
    assert_eq!(ask(&scene, RELOAD).outcome, Outcome::Done);
    for socket in [idle, wrong] {
        let end = fdpass::receive(&socket, &mut [0; 8]).map(|received| received.bytes);
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
}
