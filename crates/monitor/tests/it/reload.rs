//! A new configuration takes effect as a whole, or not at all.

use rustix::process::Signal;

use crate::scene::{Scene, USERS, runs};

pub(crate) fn sites() {
    let scene = Scene::new().with("a").with("b").with("c").start();
    let keepers = [scene.wake(1), scene.wake(2), scene.wake(3)];
    scene.site("b", USERS[1], "elsewhere");
    std::fs::remove_file(scene.path("etc/sites.d/c.toml")).unwrap();
    scene.site("d", USERS[2], "public");
    scene.signal(Signal::HUP);
    scene.wait_for("the changes", || scene.heard("end").len() == 2);
    let heard = scene.front("heard");
    let changes = heard.rsplit("begin\n").next().unwrap();
    assert_eq!(
        scene.heard("trial"),
        ["trial 4 b"],
        "awake, so it was tried"
    );
    assert_eq!(changes, "gone 3\ngone 2\nsite 5 d\nsite 4 b\nend");
    assert!(
        keepers.into_iter().all(runs),
        "nobody has released anything yet"
    );

    let new = scene.wake(4);
    scene.front("release 2");
    scene.front("release 3");
    scene.wait_for("the old ones' end", || {
        !runs(keepers[1]) && !runs(keepers[2])
    });
    assert!(runs(keepers[0]) && runs(new));
    // A message for a number that was given up comes too late and is no breach.
    let front = scene.front("pid");
    scene.front("release 2");
    scene.front("wake 3");
    scene.wake(5);
    assert_eq!(scene.front("pid"), front);

    scene.configure("php_ini = \"/etc/php/8.2/cli\"\n");
    scene.signal(Signal::HUP);
    scene.wait_for("a new table", || scene.heard("end").len() == 3);
    let heard = scene.front("heard");
    assert_eq!(
        heard.rsplit("begin\n").next().unwrap(),
        "gone 1\ngone 4\ngone 5\nsite 6 a\nsite 7 b\nsite 8 d\nend"
    );
}

pub(crate) fn broken() {
    let scene = Scene::new().with("a").start();
    let keeper = scene.wake(1);
    std::fs::write(scene.path("etc/sites.d/x.toml"), "domain = []\nroot = 5\n").unwrap();
    std::fs::write(
        scene.path("etc/sites.d/y.toml"),
        "domains = [\"a.test\"]\nuser = \"hostel-it-nobody\"\n",
    )
    .unwrap();
    scene.signal(Signal::HUP);
    scene.wait_for("the errors", || {
        scene.text("stderr").contains("nothing was changed")
    });
    for text in [scene.text("stderr"), scene.text("logs/server.log")] {
        assert!(
            text.contains("x.toml:1") && text.contains("x.toml:2"),
            "{text}"
        );
        assert!(
            text.contains("y.toml:2") && text.contains("hostel-it-nobody"),
            "{text}"
        );
    }
    assert_eq!(scene.heard("end").len(), 1);
    assert!(runs(keeper));

    for name in ["x", "y"] {
        std::fs::remove_file(scene.path(&format!("etc/sites.d/{name}.toml"))).unwrap();
    }
    scene.configure("");
    let text = scene
        .text("etc/hostel.toml")
        .replace("\"debug\"", "\"info\"");
    std::fs::write(scene.path("etc/hostel.toml"), text).unwrap();
    scene.signal(Signal::HUP);
    scene.wait_for("the reload", || scene.heard("end").len() == 2);
    assert!(
        scene
            .text("stderr")
            .contains("'log_level' of hostel.toml has changed, which takes a restart")
    );
}
