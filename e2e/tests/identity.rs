//! Whose files are served, as whom scripts run, and what each process still may: seen from outside.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use hostel_e2e::http::{Request, Response};
use hostel_e2e::process::{Process, wait_until};
use hostel_e2e::site::{link_as, write_as};
use hostel_e2e::{Instance, Site, User};

/// Says as whom it runs and where it stands.
const WHO: &str = "<?php echo 'ran as ', posix_geteuid(), ' from ', __FILE__;";
/// The document root is looked at anew at least so often, and PHP looks at a script's file every two seconds.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

fn site(name: &str, user: User) -> Site {
    Site::new(name, user)
        .file("public/who.php", WHO)
        .file("public/index.php", WHO)
        .file("public/a.txt", "a text")
}

fn instance(name: &str) -> Instance {
    Instance::new(name)
        .site(site("a", User::One))
        .site(site("b", User::Two))
        .start()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("root may");
}

/// Wait for this status: answers may be a second old.
fn becomes(instance: &Instance, path: &str, status: u16) {
    let is_so = || instance.get("a.test", path).status == status;
    let last = || instance.get("a.test", path);
    assert!(
        wait_until(SEEN_WITHIN, is_so),
        "{path}: {:?}\n{}",
        last(),
        instance.logs()
    );
}

#[test]
fn every_process_has_what_it_needs_and_no_more() {
    let instance = instance("privileges");
    assert_eq!(instance.get("a.test", "/who.php").status, 200);
    let of = |process: &Process, name: &str| process.status(name).unwrap_or_default();
    let mut unprivileged = vec![];
    for program in ["hostel-front", "hostel-keeper", "hostel-php"] {
        let running = instance.running(program);
        assert!(!running.is_empty(), "no {program}");
        unprivileged.extend(running);
    }
    for process in &unprivileged {
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(of(process, set), "0000000000000000", "{set}: {process:?}");
        }
        assert_eq!(of(process, "NoNewPrivs"), "1", "{process:?}");
        assert_eq!(of(process, "Seccomp"), "2", "{process:?}");
        assert_ne!(process.uid, 0, "{process:?}");
    }
    let monitor = Process::find(instance.monitor_pid()).expect("it runs");
    let kept = of(&monitor, "CapEff");
    for set in ["CapPrm", "CapBnd"] {
        assert_eq!(of(&monitor, set), kept, "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(of(&monitor, set), "0000000000000000", "{set}");
    }
    assert_eq!(of(&monitor, "NoNewPrivs"), "1");
    let kept = u64::from_str_radix(&kept, 16).expect("a number");
    // CAP_DAC_OVERRIDE, CAP_NET_BIND_SERVICE, CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_PTRACE, CAP_SYS_BOOT.
    for capability in [1, 10, 16, 17, 19, 22] {
        assert_eq!(kept & (1 << capability), 0, "capability {capability}");
    }
}

#[test]
fn the_front_holds_its_spill_directory_and_logs_and_no_other_file() {
    let instance = instance("front-files");
    let large = vec![b'x'; 3_000_000];
    let request = Request::new("POST", "a.test", "/who.php").plain_body(large);
    assert_eq!(instance.send(&request).status, 200);
    assert_eq!(instance.get("a.test", "/a.txt").text(), "a text");
    let front = instance.running("hostel-front").remove(0);
    let directory = instance.path("").display().to_string();
    let spill = instance.path("state/spill").display().to_string();
    // Standard output and error are the monitor's.
    let opened = front.descriptors().into_iter();
    for (number, target) in opened.filter(|(number, _)| !["0", "1", "2"].contains(&number.as_str()))
    {
        let is_file = target.starts_with('/') && target != "/dev/null";
        let is_own = target.starts_with(&spill)
            || target.contains("/logs/")
            // By which it tells how busy the host is; for reading, and the same for everybody.
            || ["/proc/pressure/cpu", "/proc/pressure/memory", "/proc/meminfo", "/proc/stat"].contains(&target.as_str())
            // Served: passed by the site's keeper.
            || target.contains("/public/");
        assert!(!is_file || is_own, "descriptor {number}: {target}");
        assert!(
            !target.starts_with(&directory) || is_own,
            "descriptor {number}: {target}"
        );
    }
    assert_eq!(fs::read_dir(&spill).expect("the directory").count(), 0);
}

#[test]
fn a_root_that_somebody_else_can_write_is_refused() {
    let instance = instance("writable-root");
    let (home, root) = (instance.home("a"), instance.home("a").join("public"));
    // Open to all, but nobody else gets there: that is how many hosts are.
    mode(&root, 0o777);
    assert_eq!(instance.get("a.test", "/who.php").status, 200);
    assert_eq!(instance.get("a.test", "/a.txt").status, 200);
    // Writable by the group, which is the user's own.
    mode(&home, 0o755);
    mode(&root, 0o775);
    becomes(&instance, "/a.txt", 200);
    becomes(&instance, "/who.php", 200);

    let (_, other) = User::Two.ids();
    for refused in ["everybody", "another site's group", "above the root"] {
        match refused {
            "everybody" => mode(&root, 0o757),
            "another site's group" => {
                mode(&root, 0o775);
                chown(&root, None, Some(other)).expect("root may");
            }
            _ => mode(&home, 0o777),
        }
        for path in ["/a.txt", "/who.php", "/", "/nothing", "/nothing.php"] {
            becomes(&instance, path, 500);
        }
        // Nobody else suffers.
        let neighbour = instance.get("b.test", "/who.php");
        assert!(neighbour.text().starts_with("ran as "), "{neighbour:?}");
        let (_, own) = User::One.ids();
        chown(&root, None, Some(own)).expect("root may");
        mode(&home, 0o755);
        mode(&root, 0o755);
        for path in ["/a.txt", "/who.php", "/"] {
            becomes(&instance, path, 200);
        }
    }
    let log = instance.log("a", "error");
    let public = root.display();
    assert!(
        log.contains(&format!(
            "{public} can be written by everybody (hint: chmod o-w {public})"
        )) && log.contains(&format!("written by group {other}")),
        "{log}"
    );
    let server = fs::read_to_string(instance.path("logs/server.log")).expect("the log");
    assert!(
        server.contains("site a: the document root is not served: "),
        "{server}"
    );
    assert!(!instance.log("b", "error").contains("document root"));
}

#[test]
fn files_of_other_owners_are_neither_served_nor_run() {
    let mut instance = instance("owners");
    let root = instance.home("a").join("public");
    let secret = instance.home("b").join("public/a.txt");
    for (name, text) in [
        ("given.txt", "theirs"),
        ("given.php", WHO),
        ("index-static/index.html", "theirs"),
        ("index-script/index.php", WHO),
    ] {
        write_as(User::One, &root.join(name).with_file_name("own.txt"), "own");
        write_as(User::Two, &root.join(name), text);
    }
    fs::hard_link(&secret, root.join("hard.txt")).expect("one file system");
    link_as(User::Two, &root.join("a.txt"), &root.join("their-link.txt"));
    link_as(User::One, &root.join("a.txt"), &root.join("own-link.txt"));
    link_as(
        User::One,
        &root.join("given.php"),
        &root.join("to-given.php"),
    );
    link_as(
        User::One,
        Path::new("/proc/self/environ"),
        &root.join("environ.txt"),
    );
    link_as(User::One, Path::new("/dev/shm"), &root.join("shared"));
    link_as(
        User::One,
        Path::new("/proc/self/environ"),
        &root.join("environ.php"),
    );
    let closed = [
        "/given.txt",
        "/given.php",
        "/index-static/",
        "/index-script/",
        "/hard.txt",
        "/their-link.txt",
        "/to-given.php",
        "/environ.txt",
        "/environ.php",
        "/shared/",
    ];
    for path in closed {
        let answer = instance.get("a.test", path);
        assert!(matches!(answer.status, 403 | 404), "{path}: {answer:?}");
        assert!(!answer.text().contains("ran as"), "{path}: {answer:?}");
    }
    assert_eq!(instance.get("a.test", "/own-link.txt").text(), "a text");
    // The front controller is a script as any other.
    chown(root.join("index.php"), Some(User::Two.ids().0), None).expect("root may");
    becomes(&instance, "/no/such/address", 403);

    // Where the administrator allows it, files of others are served; as whom scripts run does not change.
    let site = site("c", User::Three).toml("foreign_owners = true");
    instance.add_site(site);
    let root = instance.home("c").join("public");
    write_as(User::Two, &root.join("given.txt"), "theirs");
    write_as(User::Two, &root.join("given.php"), WHO);
    instance.reload();
    let served = || instance.get("c.test", "/given.txt").text() == "theirs";
    assert!(wait_until(SEEN_WITHIN, served), "{}", instance.logs());
    let answer = instance.get("c.test", "/given.php");
    let (uid, _) = User::Three.ids();
    assert!(
        answer.text().starts_with(&format!("ran as {uid} from ")),
        "{answer:?}"
    );
}

#[test]
fn no_script_runs_where_others_can_write() {
    let instance = Instance::new("uploads")
        .site(
            site("a", User::One)
                .file("public/uploads/photo.jpg", "photo")
                .file("public/uploads/avatar.php", WHO)
                .file(
                    "public/closed/x.php",
                    "<?php echo 'prepended: ', ini_get('user_agent');",
                )
                .file("private.txt", "a secret"),
        )
        .start();
    let root = instance.home("a").join("public");
    let uploads = root.join("uploads");
    mode(&instance.home("a"), 0o755);
    mode(&uploads, 0o777);
    // What a neighbour with a shell could do: a link to a file of the site's that no visitor may see.
    let private = instance.home("a").join("private.txt");
    link_as(User::Two, &private, &uploads.join("private.txt"));
    becomes(&instance, "/uploads/photo.jpg", 200);
    becomes(&instance, "/uploads/avatar.php", 403);
    becomes(&instance, "/uploads/private.txt", 403);
    assert_eq!(instance.get("a.test", "/who.php").status, 200);
    let told = || {
        let log = instance.log("a", "error");
        log.contains("no script is run where others can write: ")
    };
    assert!(wait_until(SEEN_WITHIN, told), "{}", instance.logs());
    mode(&uploads, 0o755);
    becomes(&instance, "/uploads/avatar.php", 200);
    // Settings of somebody else's, left behind from when he could.
    write_as(
        User::Two,
        &root.join("closed/.user.ini"),
        "user_agent = theirs\n",
    );
    assert_eq!(
        instance.get("a.test", "/closed/x.php").text(),
        "prepended: "
    );
}

/// A request for site `a` on a connection of its own, and what must not come back.
#[test]
fn nothing_in_a_request_names_a_user_or_a_script_of_another_site() {
    let instance = instance("smuggling");
    let other = instance.home("b").join("public/who.php");
    let other = other.display().to_string();
    let get = |target: &str| Request::get("a.test", target);
    let mut requests = vec![
        get(&other),
        get(&format!("/who.php{other}")),
        get("/who.php/../../../b/public/who.php"),
        get("/..%2f..%2fb%2fpublic%2fwho.php"),
        get("/%2e%2e/%2e%2e/b/public/who.php"),
        get("//b.test/who.php"),
        get("/who.php%00.txt"),
        get("/who.php%0d%0aHost:%20b.test"),
        get("/who.php/x.php/..%2f..%2fb"),
        get("/who.txt/.php"),
        get("/a.txt/who.php"),
        get("/a.txt%00.php"),
        get("http://a.test/who.php"),
        get("http://b.test@a.test/who.php"),
        Request::get("b.test:80@a.test", "/who.php"),
        Request::get("a.test,b.test", "/who.php"),
        Request::get("a.test\u{a0}b.test", "/who.php"),
        get("/who.php").header("Host", "b.test"),
    ];
    let (uid, _) = User::Two.ids();
    for (name, value) in [
        ("SCRIPT_FILENAME", other.as_str()),
        ("Script-Filename", &other),
        ("X-Script-Filename", &other),
        ("DOCUMENT_ROOT", &other),
        ("PHP_VALUE", &format!("auto_prepend_file={other}")),
        ("PHP-Value", &format!("auto_prepend_file={other}")),
        ("PHP_ADMIN_VALUE", "open_basedir=/"),
        ("X-Accel-Redirect", &other),
        ("X-Sendfile", &other),
        ("X-Original-URL", &other),
        ("X-Rewrite-URL", "/../b/public/who.php"),
        ("X-Forwarded-Host", "b.test"),
        ("X-Forwarded-Server", "b.test"),
        ("X-Host", "b.test"),
        ("Forwarded", "host=b.test;proto=https"),
        ("X-Forwarded-User", "hostel-t2"),
        ("X-User", "hostel-t2"),
        ("Remote-User", "hostel-t2"),
        ("X-Uid", &uid.to_string()),
        ("Proxy", "http://b.test/"),
        ("X-HTTP-Method-Override", "EXEC"),
    ] {
        requests.push(get("/who.php").header(name, value));
    }
    // In each case whatever ran is site a's, as site a's user.
    for request in requests {
        let mut connection = instance.connect();
        let Ok(answer) = connection.exchange(&request) else {
            continue; // refused by closing
        };
        is_of(&instance, "a", User::One, &request, &answer);
    }
}

#[test]
fn each_request_of_a_connection_goes_to_the_site_that_it_names() {
    let instance = instance("hosts");
    let mut connection = instance.connect();
    for turn in 0..6 {
        for (host, site, user) in [
            ("a.test", "a", User::One),
            ("b.test", "b", User::Two),
            ("A.TEST:80", "a", User::One),
            ("b.test.", "b", User::Two),
        ] {
            let request = Request::get(host, &format!("/who.php?turn={turn}"));
            let answer = connection.exchange(&request).expect("an answer");
            assert_eq!(answer.status, 200, "{host}: {answer:?}");
            is_of(&instance, site, user, &request, &answer);
        }
        // RFC 9112, 3.2.2: the target's host goes before the header.
        let request = Request::get("a.test", "http://b.test/who.php");
        let answer = connection.exchange(&request).expect("an answer");
        if answer.status == 200 {
            is_of(&instance, "b", User::Two, &request, &answer);
        } else {
            connection = instance.connect();
        }
    }
}

/// Where a script ran, it was this site's as this user.
fn is_of(instance: &Instance, site: &str, user: User, request: &Request, answer: &Response) {
    let text = answer.text();
    if let Some(at) = text.find("ran as ") {
        let home = instance.home(site);
        let expected = format!("ran as {} from {}/", user.ids().0, home.display());
        assert!(text[at..].starts_with(&expected), "{request:?}: {text}");
    }
    assert!(!text.contains("<?php"), "{request:?}: {text}");
}
