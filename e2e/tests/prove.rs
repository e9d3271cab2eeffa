//! `hostel prove`: nothing gets through between two hostile sites, each attack gets through in its control, nothing is left behind.
//!
//! The controls need programs that can leave layers out, which `cargo xtask e2e` builds. With HOSTEL_BLESS set they write
//! docs/attacks.md anew; without, the document must say what they saw.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use hostel_e2e::process::{self, with_mounts_of};
use hostel_e2e::{Instance, Leftovers, Signal, Site, User, wait_until};
use serde_json::Value;

/// The world, for attacks on other machines: a second network namespace behind the one of this test, where somebody listens at
/// the addresses that are attacked. `cargo xtask e2e` runs each program of tests in a namespace of its own; elsewhere this fails.
struct World(Child);

impl World {
    fn new() -> Self {
        let links = ip("-oneline link");
        let is_alone = links.lines().count() == 1;
        assert!(
            is_alone,
            "not in a network namespace of its own: run `cargo xtask e2e prove`"
        );
        let child = Command::new("unshare")
            .args(["--net", "sleep", "600"])
            .spawn();
        let world = Self(child.expect("unshare can be started (package util-linux)"));
        let namespace = format!("/proc/{}/ns/net", world.0.id());
        let own = fs::read_link("/proc/self/ns/net").expect("/proc");
        assert!(wait_until(Duration::from_secs(5), || {
            fs::read_link(&namespace).is_ok_and(|other| other != own)
        }));
        ip(&format!(
            "link add here type veth peer name there netns {}",
            world.0.id()
        ));
        for arguments in [
            "address add 198.51.100.1/24 dev here",
            "link set here up",
            "route add default dev here",
            "-6 route add default dev here",
        ] {
            ip(arguments);
        }
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let namespace = fs::File::open(namespace).expect("the namespace of a child");
            let network = Some(rustix::thread::LinkNameSpaceType::Network);
            // This thread alone goes there.
            rustix::thread::move_into_link_name_space(namespace.as_fd(), network)
                .expect("root may");
            for arguments in [
                "link set lo up",
                "link set there up",
                "address add 169.254.169.254/32 dev there",
                "address add 192.0.2.25/32 dev there",
                "route add default dev there",
                "-6 address add fd00:ec2::254/128 dev there nodad",
                "-6 address add 2001:db8::25/128 dev there nodad",
                "-6 route add default dev there",
            ] {
                ip(arguments);
            }
            let [web, mail] =
                [80, 25].map(|port| TcpListener::bind(("::", port)).expect("nobody else is there"));
            ready.send(()).expect("the test waits");
            std::thread::spawn(move || mail.incoming().for_each(drop));
            web.incoming().for_each(drop);
        });
        is_ready.recv().expect("the world is made");
        world
    }
}

impl Drop for World {
    fn drop(&mut self) {
        ip("link del here");
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.expect("ip can be started (package iproute2)");
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Two sites of two users, both of whom are attacker and victim.
fn two_sites(name: &str) -> Instance {
    Instance::new(name)
        .site(site("a", User::One))
        .site(site("b", User::Two))
}

/// With bounds that the attacks on them can reach.
fn site(name: &str, user: User) -> Site {
    Site::new(name, user)
        .toml("memory_max = \"512M\"\ntemporary_bytes_max = \"16M\"\nhome_bytes_max = \"64M\"")
        .file("public/index.php", format!("<?php echo '{name}';"))
}

/// Whether the kernel's Landlock has scopes for signals and abstract sockets: Linux 6.12 and later.
fn has_scopes() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc");
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse().ok());
    (numbers.next(), numbers.next()) >= (Some(6_u32), Some(12_u32))
}

/// What gets through where Landlock has no scopes.
const WITHOUT_SCOPES: [&str; 3] = [
    "network-abstract",
    "processes-own-zygote",
    "processes-sibling-kill",
];
/// What gets through where a file system has no project quotas.
const WITHOUT_QUOTAS: [&str; 2] = ["resources-home", "resources-temporary-files"];

fn prove(instance: &Instance, programs: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(programs.join("hostel"));
    command.arg("prove").args(arguments).arg("--config");
    command.arg(instance.configuration()).stdin(Stdio::null());
    command
}

/// What was printed, as a document; the status must be this.
fn document(output: &Output, status: i32) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{errors}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn attacks(site: &Value) -> &[Value] {
    site["attacks"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// There are some on what the server does not have.
fn may_be_untried(attack: &Value) -> bool {
    text(attack, "why").contains("neither TLS nor HTTP/2")
}

/// The ids of the table.
fn listed(instance: &Instance) -> BTreeSet<String> {
    let output = prove(instance, &hostel_e2e::programs(), &["--list", "--json"]).output();
    let list = document(&output.expect("hostel can be started"), 0);
    let ids: Vec<String> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|attack| text(attack, "id").to_owned())
        .collect();
    let unique: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(unique.len(), ids.len(), "each id once");
    unique
}

/// Files that carry the suite's name, and processes that live in a view of the instance, beside those of its own server.
fn left(instance: &Instance) -> Vec<String> {
    let mut left = Vec::new();
    let mut directories = vec![instance.path("")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains("prove")
                || path.starts_with(instance.path("run"))
                    && name.ends_with(".sock")
                    && !["status.sock", "control.sock"].contains(&name.as_str())
            {
                left.push(path.display().to_string());
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push(path);
            }
        }
    }
    let own = instance.processes();
    let strays = with_mounts_of(&instance.path(""));
    let strays = strays
        .iter()
        .filter(|stray| !own.iter().any(|process| process.pid == stray.pid));
    left.extend(strays.map(|stray| format!("process {} {}", stray.program, stray.pid)));
    for kind in ["shm", "msg", "sem"] {
        let objects = fs::read_to_string(format!("/proc/sysvipc/{kind}")).expect("/proc");
        let uids = [User::One, User::Two].map(|user| user.ids().0.to_string());
        let is_ours = |line: &&str| {
            line.split_whitespace()
                .any(|word| uids.iter().any(|uid| uid == word))
        };
        left.extend(
            objects
                .lines()
                .skip(1)
                .filter(is_ours)
                .map(|line| format!("{kind} {line}")),
        );
    }
    left
}

#[test]
fn prove_between_two_hostile_sites() {
    // The server's directory has a name without the suite's, by which its own things are told from the suite's.
    let _world = World::new();
    let mut instance = two_sites("hostile").start();
    let listed = listed(&instance);
    let output = prove(&instance, &hostel_e2e::programs(), &["--network", "--json"])
        .output()
        .expect("hostel can be started");
    let document = document(&output, 0);
    let sites = document["sites"].as_array().expect("sites");
    assert_eq!(sites.len(), 2);
    let mut not_stopped = BTreeSet::new();
    for site in sites {
        let ids: BTreeSet<String> = attacks(site)
            .iter()
            .map(|attack| text(attack, "id").to_owned())
            .collect();
        assert_eq!(ids, listed, "{}: each attack has an outcome", site["site"]);
        for attack in attacks(site) {
            let said = format!(
                "{}: {}: {} ({})",
                text(attack, "id"),
                text(attack, "outcome"),
                text(attack, "why"),
                text(attack, "evidence")
            );
            println!("{said}");
            match text(attack, "outcome") {
                "stopped" => assert!(!text(attack, "evidence").is_empty(), "{said}"),
                // What it lacks is named.
                "not stopped here" => {
                    assert!(!text(attack, "why").is_empty(), "{said}");
                    not_stopped.insert(text(attack, "id").to_owned());
                }
                // Only what was not asked for, or what the server does not have.
                "not tried" => assert!(may_be_untried(attack), "{said}"),
                _ => panic!("{said}"),
            }
        }
    }
    assert_eq!(document["counts"]["got through"], 0);
    // But for disks without quotas, exactly what this kernel's Landlock is too old for.
    not_stopped.retain(|id| !WITHOUT_QUOTAS.contains(&id.as_str()));
    let expected: &[&str] = if has_scopes() { &[] } else { &WITHOUT_SCOPES };
    let expected = expected.iter().map(|id| (*id).to_owned()).collect();
    assert_eq!(not_stopped, expected);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("a: 1 of "), "progress is shown: {errors}");
    assert_eq!(left(&instance), Vec::<String>::new());
    assert_eq!(instance.get("a.test", "/").text(), "a");
    assert_eq!(instance.get("b.test", "/").text(), "b");
    assert_eq!(instance.stop(), Leftovers::default());
}

#[test]
fn prove_one_site_alone() {
    let instance =
        Instance::new("alone").site(Site::new("a", User::One).file("public/index.php", "x"));
    instance.write_configuration();
    let output = prove(&instance, &hostel_e2e::programs(), &["--json"])
        .output()
        .expect("hostel can be started");
    let document = document(&output, 0);
    let site = &document["sites"][0];
    assert_eq!(site["victim"], Value::Null);
    let of = |id: &str| {
        attacks(site)
            .iter()
            .find(|attack| text(attack, "id") == id)
            .expect("it is in the table")
    };
    assert_eq!(text(of("files-path"), "outcome"), "not tried");
    assert!(text(of("files-path"), "why").contains("no other site"));
    assert_eq!(text(of("files-server-read"), "outcome"), "stopped");
    assert_eq!(left(&instance), Vec::<String>::new());
}

#[test]
fn prove_says_why_it_cannot_run() {
    let instance = two_sites("cannot");
    instance.write_configuration();
    for (arguments, why) in [
        (["--site", "nobody"], "no site is called 'nobody'"),
        (["--victim", "nobody"], "no site is called 'nobody'"),
    ] {
        let output = prove(&instance, &hostel_e2e::programs(), &arguments)
            .output()
            .expect("hostel can be started");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(why), "{errors}");
    }
    fs::write(instance.configuration(), "nonsense = 1").expect("hostel.toml");
    let output = prove(&instance, &hostel_e2e::programs(), &[])
        .output()
        .expect("hostel can be started");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(left(&instance), Vec::<String>::new());
}

#[test]
fn prove_that_is_interrupted_leaves_nothing() {
    let instance = two_sites("interrupted");
    instance.write_configuration();
    let started = prove(&instance, &hostel_e2e::programs(), &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut running: Child = started.expect("hostel can be started");
    let begun = wait_until(Duration::from_secs(20), || {
        let homes = fs::read_dir(instance.home("b"))
            .into_iter()
            .flatten()
            .flatten();
        homes
            .into_iter()
            .any(|entry| entry.file_name().to_string_lossy().contains("prove"))
    });
    assert!(begun, "the victim's things are there while it runs");
    process::signal_by_id(
        i32::try_from(running.id()).expect("a process id"),
        Signal::INT,
    );
    let ended = wait_until(Duration::from_secs(30), || {
        matches!(running.try_wait(), Ok(Some(_)))
    });
    if !ended {
        let _ = running.kill();
    }
    let status = running.wait().expect("its status");
    assert!(ended, "it ends soon after SIGINT");
    assert_eq!(status.code(), Some(2));
    assert_eq!(left(&instance), Vec::<String>::new());
}

#[test]
fn prove_controls_get_through() {
    let programs = std::env::var_os("HOSTEL_CONTROLS_BIN").map(PathBuf::from);
    let programs = programs.filter(|path| path.join("hostel").exists());
    let programs = programs.expect("HOSTEL_CONTROLS_BIN names programs with the feature `controls`: run `cargo xtask e2e prove_controls`");
    let _world = World::new();
    let instance = two_sites("control").start();
    let arguments = ["--site", "a", "--network", "--controls", "--json"];
    let output = prove(&instance, &programs, &arguments)
        .output()
        .expect("hostel can be started");
    let document = document(&output, 0);
    let attacks = attacks(&document["sites"][0]);
    let mut wrong = Vec::new();
    for attack in attacks {
        let control = &attack["control"];
        let is_right = match (text(attack, "outcome"), text(control, "outcome")) {
            ("stopped", "got through" | "not stopped here") => true,
            // The machine has nothing that could be reached, or network attacks were not asked for.
            ("stopped", "not tried") => text(control, "why").starts_with("it needs "),
            ("not tried", "not tried") => may_be_untried(attack),
            ("not stopped here", _) => true,
            _ => false,
        };
        if !is_right {
            wrong.push(format!(
                "{}: {} ({}), {}: {} ({} {})",
                text(attack, "id"),
                text(attack, "outcome"),
                text(attack, "evidence"),
                text(control, "how"),
                text(control, "outcome"),
                text(control, "why"),
                text(control, "evidence"),
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(left(&instance), Vec::<String>::new());

    // A layer that is missing is told by the status.
    let without = prove(
        &instance,
        &programs,
        &["--site", "a", "--without", "view,landlock,user", "--json"],
    );
    let output = { without }.output().expect("hostel can be started");
    assert_eq!(output.status.code(), Some(1));
    // What is shipped has no such option.
    let output = prove(&instance, &hostel_e2e::programs(), &["--without", "view"])
        .output()
        .expect("hostel can be started");
    assert_eq!(output.status.code(), Some(2));

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/attacks.md");
    if std::env::var_os("HOSTEL_BLESS").is_some() {
        let alone = ["--site", "a", "--alone", "--json"];
        let output = prove(&instance, &programs, &alone).output();
        let alone = self::document(&output.expect("hostel can be started"), 0);
        fs::write(&path, page(attacks, &alone["sites"][0])).expect("docs can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    for attack in attacks {
        let row = row(attack);
        assert!(
            written.contains(&row),
            "docs/attacks.md lacks `{row}`: run with HOSTEL_BLESS=1"
        );
    }
    let rows = written
        .lines()
        .filter(|line| line.starts_with("| `"))
        .count();
    assert_eq!(
        rows,
        attacks.len(),
        "docs/attacks.md has other attacks: run with HOSTEL_BLESS=1"
    );
}

/// What the document says of an attack on every machine.
fn row(attack: &Value) -> String {
    let layers: Vec<&str> = attack["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    format!(
        "| `{}` | {} | {} | {}",
        text(attack, "id"),
        text(attack, "title"),
        layers.join(", "),
        text(&attack["control"], "how")
    )
}

/// The layers that stopped an attack without any of the others.
fn enough_alone(attack: &Value, alone: &Value) -> String {
    let layers = attack["layers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let stopped = text(&attack["control"], "how").starts_with("without");
    if !stopped {
        return String::new();
    }
    if let [only] = layers {
        return only.as_str().unwrap_or_default().to_owned();
    }
    let tried = alone["alone"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let enough = tried
        .iter()
        .filter(|one| text(one, "id") == text(attack, "id") && text(one, "outcome") == "stopped");
    enough
        .map(|one| text(one, "layer"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn page(attacks: &[Value], alone: &Value) -> String {
    let mut page = String::from(INTRODUCTION);
    let mut groups: Vec<&str> = Vec::new();
    for attack in attacks {
        let group = text(attack, "group");
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    for group in groups {
        let title = group[..1].to_uppercase() + &group[1..];
        page.push_str(&format!("\n## {title}\n\n{HEAD}"));
        for attack in attacks
            .iter()
            .filter(|attack| text(attack, "group") == group)
        {
            let control = &attack["control"];
            let seen = match text(control, "outcome") {
                "not tried" => text(control, "why"),
                outcome => outcome,
            };
            let enough = enough_alone(attack, alone);
            page.push_str(&format!("{} | {seen} | {enough} |\n", row(attack)));
        }
    }
    page
}

const HEAD: &str = "| attack | what is tried | what stands in its way | control | in the control | enough alone |\n| --- | --- | --- | --- | --- | --- |\n";
const INTRODUCTION: &str = "# The attacks of `hostel prove`

Written by `cargo xtask e2e prove_controls_get_through` with HOSTEL_BLESS=1, from what it saw; do not edit. Every attack was stopped. The control leaves
out all the layers that stand in its way, or does the same thing in a way that is permitted, and the same judge must see it get through.
The last column names the layers each of which stopped it when all the others of its row were left out; a layer that stands in
the way without being there may be a barrier all the same, since what takes the place of a layer that is left out is coarse
([spawn.md](spawn.md)). [prove.md](prove.md) explains the rest.
";
