//! Who dies is replaced; the others do not notice more than they must.

use std::time::Duration;

use rustix::process::Signal;

use crate::scene::{Scene, runs, signal_process};

pub(crate) fn front_dies() {
    let scene = Scene::new().with("a").start();
    let keeper = scene.wake(1);
    assert_eq!(scene.front("hello 1"), "hello from a");
    let front = scene.front("pid");
    signal_process(front.parse().unwrap(), Signal::KILL);
    // The listening socket stays: a client waits instead of being refused.
    let next = scene.front("pid");
    assert_ne!(next, front);
    assert!(!runs(front.parse().unwrap()));
    scene.wait_for("the keeper", || {
        scene.heard("keeper") == [format!("keeper 1 {keeper}")]
    });
    assert_eq!(scene.front("hello 1"), "hello from a");
    assert_eq!(scene.heard("site"), ["site 1 a"]);
    assert_eq!(scene.heard("logs"), ["logs 1"]);
    assert!(runs(keeper));
    assert!(
        scene
            .logs()
            .contains("the front was killed by signal 9; another one starts in 100ms")
    );
}

pub(crate) fn front_breaks_rules() {
    let scene = Scene::new().with("a").start();
    for command in [
        "raw x",
        "raw toolng",
        "raw far-too-long",
        "wake 99",
        "release 1",
    ] {
        let front = scene.front("pid");
        scene.front(command);
        scene.wait_for("its end", || !runs(front.parse().unwrap()));
        assert_ne!(scene.front("pid"), front, "{command}");
    }
    let logs = scene.logs();
    for text in [
        "message ends within site",
        "bytes follow the end of message to the monitor",
        "it has sent WakeSite(SiteId(99)), which it may not now",
        "it has sent SiteReleased(SiteId(1)), which it may not now",
        "message or its descriptors were cut",
        "another one starts in 1.6s",
    ] {
        assert!(logs.contains(text), "no '{text}' in\n{logs}");
    }
}

pub(crate) fn flood() {
    let mut scene = Scene::new().with("a").start();
    scene.wake(1);
    scene.front("flood 200000");
    assert_eq!(scene.heard("keeper").len(), 1);
    scene.signal(Signal::TERM);
    assert!(scene.ended(Duration::from_secs(3)), "{}", scene.logs());
}

pub(crate) fn keeper_dies() {
    let scene = Scene::new()
        .with("dies")
        .with("sleeps")
        .with("steady")
        .start();
    for (count, wait) in (1..).zip([100, 200, 400]) {
        scene.front("wake 1");
        scene.wait_for("a death", || scene.heard("down 1").len() == count);
        let expected = format!("down 1 Died {wait}");
        assert_eq!(scene.heard("down 1").pop(), Some(expected));
    }
    scene.front("wake 2");
    scene.wait_for("sleep", || scene.heard("down 2") == ["down 2 Asleep 0"]);

    let keeper = scene.wake(3);
    signal_process(keeper, Signal::KILL);
    scene.wait_for("a death", || scene.heard("down 3") == ["down 3 Died 100"]);
    assert!(
        scene
            .logs()
            .contains("site steady: the keeper was killed by signal 9")
    );
    assert!(
        scene
            .logs()
            .contains("site dies: the keeper ended with status 3")
    );
}

pub(crate) fn keeper_given_up() {
    let scene = Scene::new().with("a").start();
    let keeper = scene.wake(1);
    // A visitor alone does not end it.
    scene.front("wake 1");
    assert!(runs(keeper));
    scene.front("replace 1");
    scene.wait_for("its death", || scene.heard("down 1") == ["down 1 Died 100"]);
    scene.wait_for("another one", || scene.heard("keeper 1").len() == 2);
    assert!(!runs(keeper));
    assert!(
        scene
            .logs()
            .contains("site a: the front gave up its keeper")
    );
}

pub(crate) fn not_started() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new().with("a").start();
    let homes = scene.path("homes");
    std::fs::set_permissions(&homes, PermissionsExt::from_mode(0o777)).unwrap();
    scene.front("wake 1");
    scene.wait_for("the failure", || {
        scene.heard("down 1") == ["down 1 SpawnFailed 100"]
    });
    let hint = format!("hint: chmod go-w {}", homes.display());
    assert!(scene.logs().contains(&hint), "{}", scene.logs());

    // What only the child can find out comes back as a step.
    std::fs::set_permissions(&homes, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::remove_dir(scene.path("run/view")).unwrap();
    scene.front("wake 1");
    scene.wait_for("the failure", || scene.heard("down 1").len() == 2);
    assert_eq!(
        scene.heard("down 1").pop().unwrap(),
        "down 1 SpawnFailed 200"
    );
    let step =
        "site a: not started: step 3 (attach the root of the view): No such file or directory";
    assert!(scene.logs().contains(step), "{}", scene.logs());
}
