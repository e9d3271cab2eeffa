//! Which scripts run.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::front::get;
use crate::site::{Site, Wishes, give_to_stranger};

/// As `Missing` has it.
const NOT_THERE: Option<u8> = Some(0);
const FORBIDDEN: Option<u8> = Some(1);

#[test]
fn only_named_scripts_of_the_user_or_root_run() {
    let mut site = Site::start("scripts", &Wishes::default());
    let root = site.root();
    symlink(root.join("index.php"), root.join("link.php")).unwrap();
    symlink(root.join("index.php"), root.join("link.txt")).unwrap();
    symlink("/proc/self/status", root.join("proc.php")).unwrap();
    symlink("/proc/self/exe", root.join("magic.php")).unwrap();
    symlink("/dev/null", root.join("null.php")).unwrap();
    symlink("loop.php", root.join("loop.php")).unwrap();
    let fifo = root.join("fifo.php");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o644.into(),
        0,
    )
    .unwrap();
    let mut worker = site.worker();
    for (script, expected) in [
        ("/none.php", NOT_THERE),
        ("/none/none.php", NOT_THERE),
        ("/index.php/none.php", NOT_THERE),
        ("/directory.php", NOT_THERE),
        ("/script.txt", FORBIDDEN),
        ("/UPPER.PHP", FORBIDDEN),
        ("/link.txt", FORBIDDEN),
        ("/../public/index.php", FORBIDDEN),
        ("/./index.php", FORBIDDEN),
        ("//index.php", FORBIDDEN),
        ("index.php", FORBIDDEN),
        ("/", FORBIDDEN),
        ("/proc.php", FORBIDDEN),
        ("/magic.php", FORBIDDEN),
        ("/null.php", FORBIDDEN),
        ("/loop.php", FORBIDDEN),
        ("/fifo.php", FORBIDDEN),
    ] {
        let answer = worker.front.ask(&get(script));
        assert_eq!(answer.missing, expected, "{script}: {}", answer.text());
        assert_eq!((answer.status, answer.body.len()), (0, 0), "{script}");
    }
    let file = root.join("index.php");
    for script in ["/index.php", "/link.php"] {
        let answer = worker.front.ask(&get(script));
        assert_eq!(answer.text(), format!("ran {}", file.display()));
    }
}

#[test]
fn permissions_count_though_the_script_is_in_opcache() {
    let mut site = Site::start("scripts", &Wishes::default());
    let file = site.root().join("index.php");
    let mut worker = site.worker();
    assert_eq!(worker.front.ask(&get("/index.php")).missing, None);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(worker.front.ask(&get("/index.php")).missing, FORBIDDEN);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    if give_to_stranger(&file) {
        assert_eq!(worker.front.ask(&get("/index.php")).missing, FORBIDDEN);
    }
}

#[test]
fn a_switched_document_root_counts_soon() {
    let values = [("opcache.revalidate_freq", "0")];
    let wishes = Wishes {
        values: &values,
        ..Wishes::default()
    };
    let site = Site::prepare("releases", &wishes);
    // The document root becomes a link, as `current` of a deploy is.
    let root = site.root();
    let releases = site.directory.join("releases");
    assert_eq!(site.said(), hostel_wire::keeper_zygote::FromZygote::Ready);
    std::fs::rename(&root, &releases).unwrap();
    symlink(releases.join("one"), &root).unwrap();
    let mut site = site;
    let mut worker = site.worker();
    assert_eq!(worker.front.ask(&get("/index.php")).text(), "one");
    symlink(releases.join("two"), site.directory.join("next")).unwrap();
    std::fs::rename(site.directory.join("next"), &root).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(worker.front.ask(&get("/index.php")).text(), "two");
}
