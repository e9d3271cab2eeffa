//! Sites and the rules of where they may connect to.

use std::time::Duration;

use rustix::process::Signal;

use crate::scene::{Scene, USERS, runs, signal_process};

pub(crate) const CASES: [(&str, fn()); 5] = [
    ("sites wait for the firewall", waits),
    ("without rules what is bounded does not start", fails),
    ("without a firewall neither", missing),
    ("a reload changes the rules", reload),
    ("a firewall that dies is replaced", dies),
];

fn answers(scene: &Scene, how: &str) {
    std::fs::write(scene.path("firewall"), how).unwrap();
}

/// What it has noted that begins so.
fn noted(scene: &Scene, prefix: &str) -> Vec<String> {
    let text = scene.text("firewall-heard");
    let lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
    lines.map(str::to_owned).collect()
}

fn pid(scene: &Scene) -> i32 {
    noted(scene, "process ").pop().unwrap().parse().unwrap()
}

/// A site that may connect to nothing.
fn closed(scene: &Scene, name: &str) {
    scene.site(name, USERS[2], "public");
    let path = scene.path(&format!("etc/sites.d/{name}.toml"));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("egress = \"none\"\n{text}")).unwrap();
}

fn waits() {
    let scene = Scene::new().with("a");
    answers(&scene, "later");
    let mut scene = scene.start();
    scene.front("wake 1");
    scene.wait_for("the rules", || noted(&scene, "apply ") == ["1 a"]);
    std::thread::sleep(Duration::from_millis(300));
    assert!(scene.heard("keeper 1").is_empty(), "{}", scene.logs());
    // Another one is told the same, and this one answers.
    std::fs::remove_file(scene.path("firewall")).unwrap();
    signal_process(pid(&scene), Signal::KILL);
    scene.wait_for("the keeper", || !scene.heard("keeper 1").is_empty());
    assert_eq!(noted(&scene, "apply "), ["1 a", "1 a"]);
    // It ends after everything else, and is waited for.
    scene.signal(Signal::TERM);
    assert!(scene.ended(Duration::from_secs(5)), "{}", scene.logs());
    assert_eq!(noted(&scene, "the end").len(), 1);
}

fn fails() {
    let scene = Scene::new().with("open");
    closed(&scene, "closed");
    answers(&scene, "failed");
    let scene = scene.start();
    // By name, the closed one is the first.
    scene.front("wake 1");
    scene.wait_for("the refusal", || {
        scene.heard("down 1") == ["down 1 SpawnFailed 100"]
    });
    scene.wake(2);
    for text in [
        "firewall: no nft here; ",
        "site closed: not started: nothing would hold it",
    ] {
        assert!(
            scene.text("logs/server.log").contains(text),
            "{}",
            scene.logs()
        );
    }
    let warning = "hostel: warning: sites may connect anywhere: no nft here\n";
    assert!(scene.text("stderr").contains(warning), "{}", scene.logs());
    // A reload asks again, though nothing has changed.
    std::fs::remove_file(scene.path("firewall")).unwrap();
    scene.signal(Signal::HUP);
    scene.wait_for("the rules", || noted(&scene, "apply ").len() == 2);
    scene.wake(1);
}

fn missing() {
    let scene = Scene::new().with("open");
    closed(&scene, "closed");
    std::fs::remove_file(scene.path("bin/hostel-firewall")).unwrap();
    let scene = scene.start();
    scene.wake(2);
    scene.front("wake 1");
    scene.wait_for("the refusal", || !scene.heard("down 1").is_empty());
    assert!(scene.heard("keeper 1").is_empty());
}

fn reload() {
    let scene = Scene::new().with("a").with("b").start();
    let keeper = scene.wake(2);
    scene.signal(Signal::HUP);
    scene.wait_for("the reload", || scene.logs().contains("reloaded: 0 sites"));
    assert_eq!(noted(&scene, "apply "), ["1 a b"], "nothing has changed");
    // The site is gone, but its requests may still run: its user is held to what it was.
    std::fs::remove_file(scene.path("etc/sites.d/b.toml")).unwrap();
    std::fs::remove_file(scene.path("etc/sites.d/a.toml")).unwrap();
    closed(&scene, "c");
    scene.signal(Signal::HUP);
    scene.wait_for("the rules", || noted(&scene, "apply ").len() == 2);
    assert_eq!(noted(&scene, "apply ")[1], "2 c a b");
    assert!(runs(keeper));
    scene.wake(3);
}

fn dies() {
    let scene = Scene::new().with("a").start();
    let keeper = scene.wake(1);
    let first = pid(&scene);
    signal_process(first, Signal::KILL);
    scene.wait_for("another one", || noted(&scene, "apply ").len() == 2);
    assert!(pid(&scene) != first && runs(keeper));
    assert!(
        scene
            .logs()
            .contains("the firewall has ended, its rules stay")
    );
    // Killed with the monitor it would not be; it learns by the end of its socket.
    signal_process(scene.pid(), Signal::KILL);
    scene.wait_for("its end", || noted(&scene, "the end").len() == 1);
}
