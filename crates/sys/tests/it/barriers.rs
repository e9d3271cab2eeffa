//! What each layer is for: an attempt fails behind it, and succeeds in a sandbox from which it was left out.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use hostel_sys::layers::{Layer, Layers};
use hostel_sys::sandbox::calls::{SITES, When};
use hostel_sys::sandbox::features;

use crate::sandbox::{Answers, Scene, is};

/// What the probe says of these attempts behind all layers but those.
fn without(layers: &[Layer], prepare: impl FnOnce(&mut Scene) -> Vec<String>) -> Answers {
    let mut scene = Scene::new("barriers");
    scene.layers = layers
        .iter()
        .fold(Layers::ALL, |all, layer| all.without(*layer));
    let attempts = prepare(&mut scene);
    scene.probe(&attempts)
}

fn tries(attempts: &[&str]) -> Vec<String> {
    attempts.iter().map(|text| (*text).to_owned()).collect()
}

/// Each call that is always denied answers as the list says, and those with arguments for these arguments alone.
pub(crate) fn denied_calls() {
    let mut attempts = vec!["calls:listed"];
    attempts.extend(BY_ARGUMENTS.map(|(attempt, _)| attempt));
    let behind = without(&[], |_| tries(&attempts));
    let mut listed = 0;
    for entry in SITES {
        if let When::Always = entry.when {
            for (name, _) in entry.calls {
                let answer = entry.answer.errno().to_string();
                assert_eq!(behind.get(*name), Some(&answer), "{name}: {}", entry.reason);
                listed += 1;
            }
        }
    }
    assert!(listed > 50, "only {listed} calls");
    is(&behind, &BY_ARGUMENTS);

    let open = without(&[Layer::SystemCalls], |_| tries(&attempts));
    is(
        &open,
        &[
            ("SYS_unshare", "0"),
            ("socket:diagnosis", "yes"),
            ("personality:change", "yes"),
        ],
    );
    for name in [
        "SYS_clone3",
        "SYS_ptrace",
        "SYS_keyctl",
        "SYS_name_to_handle_at",
        "terminal:type",
    ] {
        assert_ne!(open.get(name), behind.get(name), "{name}");
    }
}

const DENIED: &str = "PermissionDenied";
const MISSING: &str = "Unsupported";
/// What is denied with some arguments, and what stays.
const BY_ARGUMENTS: [(&str, &str); 24] = [
    ("socket:inet stream", "yes"),
    ("socket:inet6 datagram", "yes"),
    ("socket:unix stream", "yes"),
    ("socket:routes", "yes"),
    ("socket:inet raw", DENIED),
    ("socket:packet", DENIED),
    ("socket:alg", DENIED),
    ("socket:vsock", DENIED),
    ("socket:mptcp", DENIED),
    ("socket:diagnosis", DENIED),
    ("socket:pair tipc", DENIED),
    ("clone:thread", "yes"),
    ("clone:program", "yes"),
    ("clone:user", DENIED),
    ("clone:mount", DENIED),
    ("make:fifo", "yes"),
    ("make:device", DENIED),
    ("personality:ask", "yes"),
    ("personality:change", DENIED),
    ("terminal:type", DENIED),
    ("attributes:project", DENIED),
    ("attributes:flags", DENIED),
    // open_tree_attr, which some kernels have, and one that none has.
    ("number:467", MISSING),
    ("number:2000", MISSING),
];

/// A world-writable directory that has found its way into the view.
pub(crate) fn landlock_is_a_second_barrier_for_files() {
    if features().landlock_abi.is_none() {
        println!("skipped: this kernel has no Landlock");
        return;
    }
    let prepare = |scene: &mut Scene| {
        scene.place.directory("open", 0, 0o777);
        scene.place.directory("open/theirs", 61002, 0o777);
        vec![
            format!("write:{}", scene.path("open")),
            format!("list:{}", scene.path("open/theirs")),
            format!("write:{}", scene.path("blog")),
            "write:/tmp".to_owned(),
        ]
    };
    let written = |answers: &Answers| -> Vec<String> {
        let writes = answers
            .iter()
            .filter(|(name, _)| name.starts_with("write:"));
        let ends = writes.map(|(name, answer)| {
            let (_, end) = name.rsplit_once('/').unwrap();
            format!("{end} {answer}")
        });
        ends.collect()
    };
    let behind = without(&[], prepare);
    assert_eq!(written(&behind), ["blog yes", "open NotFound", "tmp yes"]);
    let second = without(&[Layer::View], prepare);
    assert_eq!(
        written(&second),
        ["blog yes", "open PermissionDenied", "tmp yes"]
    );
    let open = without(&[Layer::View, Layer::Landlock], prepare);
    assert_eq!(written(&open), ["blog yes", "open yes", "tmp yes"]);
}

/// What programs need of files works behind it.
pub(crate) fn landlock_leaves_what_is_needed() {
    let attempts = |scene: &mut Scene| {
        let mut attempts = tries(&[
            "move:/tmp",
            "move:/dev/shm",
            "device:/dev/null",
            "clone:program",
            "overwrite:/proc/self/comm",
        ]);
        attempts.push(format!("move:{}", scene.path("blog")));
        attempts
    };
    let answers = without(&[], attempts);
    for (name, answer) in answers.iter().filter(|(name, _)| name.starts_with("move:")) {
        assert_eq!(answer, "yes", "{name}");
    }
    is(
        &answers,
        &[("device:/dev/null", "yes"), ("clone:program", "yes")],
    );
    if features().landlock_abi.is_some() {
        // Nobody may open that of a non-dumpable process.
        let dumpable = [Layer::NonDumpable, Layer::Landlock];
        let behind = without(&dumpable[..1], attempts);
        is(
            &behind,
            &[("overwrite:/proc/self/comm", "PermissionDenied")],
        );
        let open = without(&dumpable, attempts);
        is(&open, &[("overwrite:/proc/self/comm", "yes")]);
    }
}

pub(crate) fn abstract_sockets_and_ports() {
    let name = format!("hostel-sys-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let ports = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [allowed, other] = ports.each_ref().map(|port| {
        let number = port.local_addr().unwrap().port();
        (number, format!("port:{number}"))
    });
    let attempts = vec![
        format!("abstract:{name}"),
        allowed.1.clone(),
        other.1.clone(),
    ];
    let prepare = |scene: &mut Scene| {
        scene.tcp_ports = Some(vec![allowed.0]);
        attempts.clone()
    };
    let abi = features().landlock_abi.unwrap_or(0);
    let denied = |since| {
        if abi >= since {
            "PermissionDenied"
        } else {
            "yes"
        }
    };
    let behind = without(&[], prepare);
    is(
        &behind,
        &[
            (&attempts[0], denied(6)),
            (&attempts[1], "yes"),
            (&attempts[2], denied(4)),
        ],
    );
    let open = without(&[Layer::Landlock], prepare);
    let all = without(&[], |_| attempts.clone());
    for attempt in &attempts {
        assert_eq!(open[attempt], "yes", "{attempt}");
    }
    is(&all, &[(&attempts[1], "yes"), (&attempts[2], "yes")]);
}

/// Each other layer, left out, is not there.
pub(crate) fn each_layer_can_be_left_out() {
    let nothing = |_: &mut Scene| Vec::new();
    let answers = without(&[Layer::User], nothing);
    is(
        &answers,
        &[
            ("dropped", "yes"),
            ("Uid", "0 0 0 0"),
            ("CapEff", "0000000000000000"),
        ],
    );
    let answers = without(&[Layer::Capabilities], nothing);
    is(
        &answers,
        &[("dropped", "yes"), ("Uid", "61001 61001 61001 61001")],
    );
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"] {
        assert_ne!(answers[set], "0000000000000000", "{set}");
    }
    let answers = without(&[Layer::NoNewPrivileges], nothing);
    is(
        &answers,
        &[("dropped", "yes"), ("NoNewPrivs", "0"), ("Seccomp", "0")],
    );
    let answers = without(&[Layer::ProcessNamespace], nothing);
    let processes: Vec<&str> = answers["processes"].split(',').collect();
    let test = std::process::id().to_string();
    assert!(
        answers["pid"] != "1" && processes.contains(&test.as_str()),
        "{processes:?}"
    );
    let answers = without(&[Layer::ResourceLimits], nothing);
    assert_ne!(answers["limit-open-files"], "1024/1024");
    // With a number that nothing of the spawn's takes.
    let shadow = std::fs::File::open("/etc/shadow").unwrap();
    let stray = rustix::io::fcntl_dupfd_cloexec(shadow, 50).unwrap();
    rustix::io::fcntl_setfd(&stray, rustix::io::FdFlags::empty()).unwrap();
    let answers = without(&[Layer::Descriptors], nothing);
    drop(stray);
    assert!(
        answers["descriptors"].starts_with("0,1,2,3,"),
        "{}",
        answers["descriptors"]
    );
    let dumpable = |layers| without(layers, nothing)["dumpable"].clone();
    assert_eq!(
        (dumpable(&[]), dumpable(&[Layer::NonDumpable])),
        ("0".into(), "1".into())
    );
}

/// The last layer, that a worker adds: no process but its own is reached, and what is denied to scripts alone is denied.
pub(crate) fn a_worker_is_alone() {
    let attempts = || tries(&["worker:before", "worker:enter", "worker:after"]);
    let before = "read yes, signal yes, own yes, move yes, dumpable yes";
    let read = match features().landlock_abi {
        Some(_) => "PermissionDenied",
        None => "yes",
    };
    let signal = match features().landlock_abi {
        Some(6..) => "PermissionDenied",
        _ => "yes",
    };
    let after =
        format!("read {read}, signal {signal}, own yes, move yes, dumpable PermissionDenied");
    let answers = without(&[], |_| attempts());
    is(
        &answers,
        &[
            ("worker:before", before),
            ("worker:enter", "yes"),
            ("worker:after", &after),
        ],
    );
    let answers = without(&[Layer::WorkerLandlock, Layer::SystemCalls], |_| attempts());
    is(&answers, &[("worker:after", before)]);
}
