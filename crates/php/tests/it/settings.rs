//! The layers of settings, and what workers share.

use crate::front::{Front, get};
use crate::site::{Site, Wishes};

/// Before, what ini_set answered, after.
fn show(front: &mut Front, script: &str, name: &str, to: Option<&str>) -> String {
    let query = match to {
        Some(to) => format!("{script}?name={name}&to={to}"),
        None => format!("{script}?name={name}"),
    };
    front.ask(&get(&query)).text()
}

#[test]
fn the_site_s_values_go_above_php_ini_and_user_ini_above_them() {
    let wishes = Wishes {
        values: &[
            // Unquoted it would end PHP's reading, and all that follows would be left out.
            ("arg_separator.input", "&"),
            ("precision", "9"),
            ("error_reporting", "E_ALL & ~E_NOTICE"),
            ("user_agent", "a;b \"c\" $d"),
            ("opcache.memory_consumption", "64"),
        ],
        admin_values: &[
            ("memory_limit", "99M"),
            ("opcache.max_accelerated_files", "3000"),
        ],
        php_ini: Some(
            "precision = 3\nserialize_precision = 4\nmemory_limit = 5M\nshort_open_tag = On\n",
        ),
        ..Wishes::default()
    };
    let mut site = Site::start("settings", &wishes);
    let front = &mut site.worker().front;
    assert_eq!(
        show(front, "/show.php", "serialize_precision", None),
        r#"["4",null,"4"]"#
    );
    assert_eq!(
        show(front, "/show.php", "error_reporting", None),
        r#"["32759",null,"32759"]"#
    );
    assert_eq!(
        show(front, "/show.php", "user_agent", None),
        r#"["a;b \"c\" $d",null,"a;b \"c\" $d"]"#
    );
    assert_eq!(
        show(front, "/show.php", "opcache.memory_consumption", None),
        r#"["64",null,"64"]"#
    );
    // .user.ini, from the document root down, and ini_set above it.
    assert_eq!(
        show(front, "/show.php", "precision", Some("8")),
        r#"["6","6","8"]"#
    );
    assert_eq!(
        show(front, "/sub/deeper/show.php", "precision", None),
        r#"["7",null,"7"]"#
    );
    assert_eq!(
        show(front, "/sub/deeper/show.php", "arg_separator.output", None),
        r#"["|",null,"|"]"#
    );
    assert_eq!(
        show(front, "/show.php", "arg_separator.output", None),
        r#"["&",null,"&"]"#
    );
    assert_eq!(
        show(front, "/show.php", "precision", None),
        r#"["6",null,"6"]"#
    );
    // What the administrator locked, neither changes.
    assert_eq!(
        show(front, "/show.php", "memory_limit", Some("1G")),
        r#"["99M",false,"99M"]"#
    );
    assert_eq!(
        show(front, "/show.php", "memory_limit", None),
        r#"["99M",null,"99M"]"#
    );
}

#[test]
fn disabled_functions_only_grow() {
    let wishes = Wishes {
        admin_values: &[
            ("disable_functions", "system, passthru"),
            ("disable_classes", "SplStack"),
        ],
        php_ini: Some("disable_functions = exec\n"),
        ..Wishes::default()
    };
    let mut site = Site::start("settings", &wishes);
    let answer = site.worker().front.ask(&get("/functions.php"));
    assert_eq!(
        answer.text(),
        r#"[false,false,false,0,"exec,system, passthru"]"#
    );
}

#[test]
fn workers_of_a_site_share_opcache() {
    let mut site = Site::start("settings", &Wishes::default());
    let (mut one, mut two) = (site.worker(), site.worker());
    let first = one.front.ask(&get("/opcache.php")).text();
    let second = two.front.ask(&get("/opcache.php")).text();
    let (one_pid, two_pid) = (one.pid, two.pid);
    assert_eq!(first, format!("[{one_pid},true,2,false,2]"));
    assert_eq!(
        second,
        format!("[{two_pid},true,2,true,2]"),
        "the second worker compiled anew"
    );
}

#[test]
fn a_site_does_not_start_without_opcache_unless_told() {
    let wishes = Wishes {
        values: &[("opcache.lockfile_path", "/nonexistent")],
        ..Wishes::default()
    };
    let said = Site::prepare("settings", &wishes).failed();
    assert!(said.contains("Unable to create lock file"), "{said}");
    let wishes = Wishes {
        values: &[("opcache.enable", "0")],
        ..Wishes::default()
    };
    let mut site = Site::start("settings", &wishes);
    assert_eq!(
        site.worker()
            .front
            .ask(&get("/show.php?name=opcache.enable"))
            .text(),
        r#"["0",null,"0"]"#
    );
}

#[test]
fn a_missing_opcache_is_named() {
    let wishes = Wishes {
        php_ini: Some(""),
        without_modules: true,
        ..Wishes::default()
    };
    let said = Site::prepare("settings", &wishes).failed();
    assert!(said.contains("apt-get install php8.2-opcache"), "{said}");
    let wishes = Wishes {
        php_ini: Some("opcache.enable = 0"),
        without_modules: true,
        ..Wishes::default()
    };
    let mut site = Site::start("settings", &wishes);
    let answer = site.worker().front.ask(&get("/show.php?name=precision"));
    assert_eq!(answer.status, 200);
}

#[test]
fn a_script_can_be_preloaded() {
    let wishes = Wishes {
        values: &[("opcache.preload", "%h/public/preload.php")],
        ..Wishes::default()
    };
    let mut site = Site::start("settings", &wishes);
    let answer = site.worker().front.ask(&get("/preloaded.php"));
    assert_eq!(answer.text(), "preloaded");
}

#[test]
fn a_setting_that_cannot_be_passed_on_is_named() {
    let wishes = Wishes {
        values: &[("memory limit", "1M")],
        ..Wishes::default()
    };
    let said = Site::prepare("settings", &wishes).failed();
    assert!(said.contains("PHP setting 'memory limit'"), "{said}");
}
