//! What the barriers cost: by system call, and by spawn. Only run by its name, for the figures:
//! `cargo test --release -p hostel-sys --test it cost`.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use hostel_sys::layers::{Layer, Layers};
use hostel_sys::spawn::{Program, Progress};

use crate::attempts::attempt;
use crate::sandbox::{Answers, Scene, progress};

/// In nanoseconds each: a call that does next to nothing, one whose arguments are filtered, files of the system and of home.
pub(crate) fn print_costs() {
    for when in ["site", "worker"] {
        if when == "worker" {
            assert_eq!(attempt("worker", "enter"), "yes");
        }
        let mut socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        println!(
            "cost {when} getppid={}",
            each(300_000, || {
                let _ = rustix::process::getppid();
            })
        );
        println!(
            "cost {when} setsockopt={}",
            each(100_000, || {
                rustix::net::sockopt::set_socket_reuseaddr(&mut socket, true).unwrap();
            })
        );
        for (name, path) in [
            ("open system", "/usr/share/zoneinfo/Etc/UTC"),
            ("open home", "/tmp/probe-cost"),
            ("open proc", "/proc/self/statm"),
        ] {
            std::fs::write("/tmp/probe-cost", "text").unwrap();
            println!(
                "cost {when} {name}={}",
                each(50_000, || {
                    let mut text = [0; 64];
                    let read = File::open(path).and_then(|mut file| file.read(&mut text));
                    assert!(read.is_ok(), "{path}");
                })
            );
        }
    }
}

/// The best of many short runs: what else the machine does only ever adds.
fn each(count: u32, mut call: impl FnMut()) -> u128 {
    let mut best = Duration::MAX;
    for _ in 0..200 {
        let begun = Instant::now();
        for _ in 0..count / 100 {
            call();
        }
        best = best.min(begun.elapsed());
    }
    best.as_nanos() * 100 / u128::from(count)
}

const BARRIERS: [(&str, &[Layer]); 4] = [
    (
        "neither",
        &[Layer::Landlock, Layer::SystemCalls, Layer::WorkerLandlock],
    ),
    ("seccomp alone", &[Layer::Landlock, Layer::WorkerLandlock]),
    ("Landlock alone", &[Layer::SystemCalls]),
    ("both", &[]),
];

pub(crate) fn figures() {
    if !std::env::args().any(|argument| argument == "cost") {
        return;
    }
    for (name, left_out) in BARRIERS {
        let layers = left_out
            .iter()
            .fold(Layers::ALL, |all, layer| all.without(*layer));
        let mut scene = Scene::new("cost");
        scene.layers = layers;
        let answers: Answers = scene.probe(&["cost:all".to_owned()]);
        for (what, nanoseconds) in answers.iter().filter(|(what, _)| what.starts_with("cost ")) {
            println!("  {name}: {what}: {nanoseconds} ns");
        }
        let mut times: Vec<Duration> = (0..40).map(|_| spawn(layers)).collect();
        times.sort();
        println!(
            "  {name}: spawn to exec, of 40: best {:?}, median {:?}",
            times[0], times[20]
        );
    }
}

/// From the plan to the exec of the program, without the making of the view.
fn spawn(layers: Layers) -> Duration {
    let mut scene = Scene::new("cost");
    scene.layers = layers;
    let view = scene.view("view");
    let begun = Instant::now();
    let child = scene.spawn(Program::InView(c"/run/hostel/bin/probe"), Some(view), &[]);
    while child.progress().unwrap() == Progress::Pending {
        std::thread::yield_now();
    }
    let took = begun.elapsed();
    assert_eq!(progress(&child), Progress::Started);
    child.kill();
    while child.ended().unwrap().is_none() {
        std::thread::yield_now();
    }
    took
}
