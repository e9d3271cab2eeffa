//! The monitor keeps few capabilities, and says which it misses.

use std::process::{Command, Stdio};

use hostel_sys::capabilities::MONITOR;

use crate::scene::Scene;

pub(crate) const CASES: [(&str, fn()); 3] = [
    ("few capabilities are kept", few_are_kept),
    (
        "capabilities that are needed are named",
        needed_ones_are_named,
    ),
    (
        "capabilities of optional use are warned of",
        optional_ones_are_warned_of,
    ),
];

/// The monitor with what a container leaves to its root: `capabilities` as setpriv(1) has them.
fn container(scene: &Scene, capabilities: &str) -> Command {
    let monitor = scene.command();
    let mut command = Command::new("setpriv");
    command
        .args(["--inh-caps=-all", "--bounding-set", capabilities])
        .arg(monitor.get_program())
        .args(monitor.get_args())
        .stdin(Stdio::null());
    command
}

/// Those without which nothing runs, and no other.
fn list() -> String {
    let mut list = "-all".to_owned();
    for capability in MONITOR {
        if !capability.is_optional {
            let name = capability.name.trim_start_matches("CAP_").to_lowercase();
            list.push_str(&format!(",+{name}"));
        }
    }
    list
}

fn needed_ones_are_named() {
    let scene = Scene::new().with("a");
    let output = container(&scene, "-chown,-sys_admin").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        text.contains("root lacks CAP_SYS_ADMIN (namespaces")
            && text.contains(", CAP_CHOWN (")
            && text.contains("hint: "),
        "{text}"
    );
    assert!(!text.contains("CAP_SETUID"), "{text}");
}

fn optional_ones_are_warned_of() {
    let mut scene = Scene::new().with("a");
    let errors = std::fs::File::create(scene.path("stderr")).unwrap();
    let child = container(&scene, &list()).stderr(errors).spawn();
    scene.monitor = Some(child.unwrap());
    scene.wait_for("ready", || scene.text("stderr").contains("ready: "));
    let log = scene.text("logs/server.log");
    for name in ["CAP_FOWNER", "CAP_NET_BIND_SERVICE", "CAP_NET_ADMIN"] {
        assert!(log.contains(&format!("root lacks {name} (")), "{log}");
    }
    // What is left is enough for a site.
    scene.wake(1);
}

fn few_are_kept() {
    let scene = Scene::new().with("a").start();
    let status = std::fs::read_to_string(format!("/proc/{}/status", scene.pid())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1))
            .unwrap()
    };
    // kill, setgid, setuid, setpcap, chown, dac_read_search, fowner; net_admin; sys_admin. The ports are open.
    assert_eq!(field("CapEff:"), "00000000002011ed");
    for set in ["CapPrm:", "CapBnd:"] {
        assert_eq!(field(set), field("CapEff:"), "{set}");
    }
    for set in ["CapInh:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    scene.wake(1);
}
