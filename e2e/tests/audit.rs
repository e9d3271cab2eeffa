//! `hostel audit`: each finding is planted, found, and gone once its command was run.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use hostel_e2e::site::{link_as, write_as};
use hostel_e2e::{Instance, Site, User, user};
use serde_json::Value;

/// A site that has nothing wrong but what this machine's disk lacks.
fn instance(name: &str) -> Instance {
    let site = Site::new("a", User::One)
        .file("public/index.php", "<?php echo 'fine';")
        .file("public/style.css", "a { color: red }");
    let instance = Instance::new(name).site(site);
    instance.write_configuration();
    instance
}

fn audit(instance: &Instance) -> (bool, Value) {
    let (fine, output, errors) = instance.command(&["audit", "--json"]);
    let document = serde_json::from_str(&output);
    (
        fine,
        document.unwrap_or_else(|e| panic!("{e}: {output}{errors}")),
    )
}

/// The finding of this check, among those of site `a` or of the host.
fn find<'a>(document: &'a Value, check: &str) -> Option<&'a Value> {
    let lists = [
        &document["sites"][0]["findings"],
        &document["host"]["findings"],
    ];
    let all = lists.into_iter().filter_map(Value::as_array).flatten();
    all.into_iter().find(|finding| finding["check"] == check)
}

fn found<'a>(document: &'a Value, check: &str) -> &'a Value {
    find(document, check).unwrap_or_else(|| panic!("{check} was not found: {document:#}"))
}

fn names(finding: &Value, path: &Path) -> bool {
    let paths = finding["paths"].as_array().expect("a list");
    paths.iter().any(|found| found.as_str() == path.to_str())
}

/// Run the command of a finding as an administrator would.
fn run(instance: &Instance, check: &str) -> String {
    let (_, before) = audit(instance);
    let command = found(&before, check)["mend"].as_str().expect("a command");
    let mut path = instance.program("").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let output = Command::new("bash")
        .args(["-c", command])
        .env("PATH", path)
        .output()
        .expect("bash");
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    command.to_owned()
}

/// Run it, and look again.
fn mend(instance: &Instance, check: &str) -> Value {
    let command = run(instance, check);
    let (_, after) = audit(instance);
    assert!(
        find(&after, check).is_none(),
        "{command} did not mend {check}: {after:#}"
    );
    after
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("root may");
}

#[test]
fn a_clean_site_scores_well() {
    let instance = instance("audit-clean");
    let (_, document) = audit(&instance);
    let site = &document["sites"][0];
    assert_eq!(site["files"], 3, "{site:#}");
    assert!(site["score"].as_f64().expect("a number") < 2.0, "{site:#}");
    for finding in site["findings"].as_array().expect("a list") {
        assert_ne!(finding["severity"], "severe", "{finding:#}");
    }
    let (fine, text, errors) = instance.command(&["audit", "--site", "a"]);
    assert!(text.contains("site a, 3 files: "), "{text}{errors}");
    // What this machine itself lacks may be severe; this site is not.
    let host = document["host"]["findings"].as_array().expect("a list");
    assert_eq!(
        fine,
        host.iter().all(|finding| finding["severity"] != "severe"),
        "{text}"
    );
    let (fine, _, errors) = instance.command(&["audit", "--site", "b"]);
    assert!(!fine && errors.contains("there is no site 'b'"), "{errors}");
}

#[test]
fn what_others_can_reach_is_judged_with_the_directories_above() {
    let instance = instance("audit-open");
    let home = instance.home("a");
    write_as(User::One, &home.join("upload/x.php"), "x");
    write_as(User::One, &home.join("upload/error.log"), "x");
    write_as(User::One, &home.join(".env"), "PASSWORD=x");
    write_as(User::One, &home.join("inner/.git/config"), "x");
    for (path, bits) in [
        ("upload", 0o777),
        ("upload/x.php", 0o666),
        ("upload/error.log", 0o666),
        (".env", 0o644),
        ("inner", 0o700),
    ] {
        mode(&home.join(path), bits);
    }
    let (_, closed) = audit(&instance);
    for check in [
        "writable-by-others",
        "readable-by-others",
        "secret-readable",
        "log-writable",
    ] {
        assert!(find(&closed, check).is_none(), "home is closed: {closed:#}");
    }
    mode(&home, 0o755);
    let (fine, open) = audit(&instance);
    assert!(!fine);
    assert!(names(
        found(&open, "writable-by-others"),
        &home.join("upload/x.php")
    ));
    assert!(names(
        found(&open, "log-writable"),
        &home.join("upload/error.log")
    ));
    let secrets = found(&open, "secret-readable");
    assert!(names(secrets, &home.join(".env")));
    assert_eq!(
        secrets["count"], 1,
        "what lies in a closed directory is no matter: {secrets:#}"
    );
    assert!(open["sites"][0]["score"].as_f64().expect("a number") > 8.0);
    mend(&instance, "secret-readable");
    mend(&instance, "log-writable");
    let command = found(&open, "writable-by-others")["mend"].as_str();
    assert!(command.is_some_and(|command| command.starts_with("hostel site apply a --config ")));
    let after = mend(&instance, "writable-by-others");
    assert!(find(&after, "readable-by-others").is_none());
    // Nobody else is in its group.
    assert_eq!(home.metadata().expect("home").mode() & 0o777, 0o750);
}

#[test]
fn a_group_with_other_members_counts_as_others() {
    let instance = instance("audit-group");
    let home = instance.home("a");
    let (_, web) = user::ids("www-data").expect("Debian's user www-data");
    chown(&home, None, Some(web)).expect("root may");
    mode(&home, 0o750);
    let (_, document) = audit(&instance);
    assert!(names(
        found(&document, "readable-by-others"),
        &home.join("public/index.php")
    ));
    mend(&instance, "readable-by-others");
}

#[test]
fn what_is_not_the_sites_is_found_wherever_it_lies() {
    let instance = instance("audit-owners");
    let home = instance.home("a");
    let (uid, _) = User::Two.ids();
    write_as(User::Two, &home.join("public/theirs.php"), "x");
    write_as(User::Two, &home.join("odd name's $(id)\n.php"), "x");
    write_as(User::Two, &home.join("their-tool"), "x");
    mode(&home.join("their-tool"), 0o4755);
    write_as(User::One, &home.join("own-tool"), "x");
    mode(&home.join("own-tool"), 0o4755);
    fs::write(instance.path("elsewhere"), "x").expect("root may");
    chown(instance.path("elsewhere"), Some(uid), None).expect("root may");
    fs::hard_link(instance.path("elsewhere"), home.join("linked")).expect("one file system");
    link_as(
        User::One,
        Path::new("/srv/somebody-else/secret"),
        &home.join("public/out"),
    );
    link_as(
        User::One,
        &home.join("public/index.php"),
        &home.join("public/in"),
    );
    link_as(
        User::One,
        Path::new("/usr/share/common-licenses/GPL-3"),
        &home.join("public/gpl"),
    );
    let (fine, document) = audit(&instance);
    assert!(!fine);
    let wrong = found(&document, "wrong-owner");
    assert!(names(wrong, &home.join("public/theirs.php")), "{wrong:#}");
    assert_eq!(wrong["count"], 3);
    let shown = wrong["paths"].as_array().expect("a list");
    assert!(
        shown
            .iter()
            .all(|path| !path.as_str().expect("text").contains('\n')),
        "{wrong:#}"
    );
    assert!(names(
        found(&document, "set-id-foreign"),
        &home.join("their-tool")
    ));
    assert!(names(
        found(&document, "set-id-own"),
        &home.join("own-tool")
    ));
    assert!(names(found(&document, "hard-link"), &home.join("linked")));
    let out = found(&document, "link-leads-out");
    assert_eq!(
        (out["count"].as_u64(), names(out, &home.join("public/out"))),
        (Some(1), true)
    );
    assert!(names(
        found(&document, "link-to-system"),
        &home.join("public/gpl")
    ));
    for check in [
        "hard-link",
        "set-id-foreign",
        "set-id-own",
        "link-leads-out",
    ] {
        mend(&instance, check);
    }
    // The first of these commands has given the tool away already; what it left is mended here.
    mend(&instance, "wrong-owner");
    let (site, _) = User::One.ids();
    let owner = |path: &str| home.join(path).metadata().expect("still there").uid();
    assert_eq!(owner("odd name's $(id)\n.php"), site);
    let elsewhere = instance.path("elsewhere").metadata().expect("still there");
    assert_eq!(
        elsewhere.uid(),
        uid,
        "a command for this home changed what lies outside of it"
    );
}

#[test]
fn an_access_list_is_found_where_it_lets_somebody_in() {
    let instance = instance("audit-acl");
    let home = instance.home("a");
    let grant = |who: &str, path: &Path| {
        let done = Command::new("setfacl").args(["-m", who]).arg(path).status();
        assert!(done.expect("setfacl is missing: install acl").success());
    };
    grant("user:www-data:r", &home.join("public/index.php"));
    let (_, closed) = audit(&instance);
    assert!(find(&closed, "acl").is_none(), "home is closed: {closed:#}");
    grant("user:www-data:rx", &home);
    let (_, open) = audit(&instance);
    let acl = found(&open, "acl");
    assert!(names(acl, &home), "{acl:#}");
    mend(&instance, "acl");
}

#[test]
fn a_backup_beneath_the_document_root_is_found() {
    let instance = instance("audit-served");
    let home = instance.home("a");
    write_as(User::One, &home.join("public/dump.sql"), "INSERT");
    write_as(User::One, &home.join("public/.env"), "never served");
    write_as(
        User::One,
        &home.join("public/wp-config.php"),
        "run, not served",
    );
    write_as(User::One, &home.join("dump.sql"), "outside of the root");
    let (_, document) = audit(&instance);
    let served = found(&document, "secret-served");
    assert_eq!(
        (
            served["count"].as_u64(),
            names(served, &home.join("public/dump.sql"))
        ),
        (Some(1), true)
    );
    mend(&instance, "secret-served");
    assert!(home.join(".private/dump.sql").exists());
}

#[test]
fn settings_of_php_and_the_servers_own_files() {
    let php = "[php.value]\ndisplay_errors = true\n[php.admin_value]\nallow_url_include = \"On\"\n\"opcache.validate_root\" = false\n";
    let site = Site::new("a", User::One)
        .file("public/index.php", "x")
        .toml(php);
    let instance = Instance::new("audit-settings").site(site);
    instance.write_configuration();
    let (_, document) = audit(&instance);
    let findings = document["sites"][0]["findings"].as_array().expect("a list");
    let settings: Vec<&str> = findings
        .iter()
        .filter(|finding| finding["check"] == "php-setting")
        .map(|finding| finding["what"].as_str().expect("text"))
        .collect();
    for name in [
        "display_errors",
        "allow_url_include",
        "opcache.validate_root",
    ] {
        assert!(
            settings.iter().any(|what| what.starts_with(name)),
            "{settings:?}"
        );
    }
    assert!(found(&document, "php-explained")["what"].as_str().is_some());
    for command in findings
        .iter()
        .filter(|finding| finding["check"] == "php-setting")
    {
        let command = command["mend"].as_str().expect("a command");
        assert!(
            Command::new("sh")
                .args(["-c", command])
                .status()
                .expect("sh")
                .success()
        );
    }
    let (_, document) = audit(&instance);
    assert!(find(&document, "php-setting").is_none(), "{document:#}");

    mode(&instance.site_file("a"), 0o644);
    mode(&instance.configuration(), 0o644);
    // One finding for each file that everybody can read.
    run(&instance, "settings-readable");
    mend(&instance, "settings-readable");
}

#[test]
fn what_a_site_must_have_and_has_not_is_mended_by_one_command() {
    let instance = instance("audit-lacks");
    // Logs are made at the first visit.
    let (_, document) = audit(&instance);
    assert!(
        found(&document, "not-made")["what"]
            .as_str()
            .is_some_and(|what| what.contains("logs"))
    );
    let mended = |check: &str| {
        let command = run(&instance, check);
        assert!(command.starts_with("hostel site apply a"), "{command}");
        let (_, after) = audit(&instance);
        assert!(find(&after, check).is_none(), "{check}: {after:#}");
    };
    mended("not-made");
    // All that is wrong with the directories at once.
    let (uid, gid) = User::One.ids();
    let [state, tmp, opcache, logs] = [
        "state/sites/a",
        "state/sites/a/tmp",
        "state/sites/a/opcache",
        "logs/a",
    ]
    .map(|path| instance.path(path));
    mode(&state, 0o755);
    mode(&tmp, 0o755);
    chown(&opcache, Some(User::Two.ids().0), None).expect("root may");
    chown(&logs, None, Some(0)).expect("root may");
    mode(&logs, 0o755);
    mended("server-file-open");
    let owner = |path: &Path| {
        let found = path.metadata().expect("still there");
        (found.uid(), found.gid(), found.mode() & 0o777)
    };
    assert_eq!(owner(&state), (0, 0, 0o711));
    assert_eq!(owner(&tmp), (uid, gid, 0o700));
    assert_eq!(owner(&opcache), (uid, gid, 0o700));
    assert_eq!(owner(&logs), (0, gid, 0o750));
    // No document root.
    fs::rename(
        instance.home("a").join("public"),
        instance.home("a").join("moved"),
    )
    .expect("root may");
    let (_, document) = audit(&instance);
    let lacks = found(&document, "incomplete")["what"].as_str();
    assert!(
        lacks.is_some_and(|what| what.contains("document root")),
        "{lacks:?}"
    );
    mended("incomplete");
    let root = instance.home("a").join("public");
    assert_eq!(owner(&root), (uid, gid, 0o755));
    // A removal that was begun.
    let record = instance.path("state/records/a.json");
    let removing =
        r#"{"removing": {"archive": "a-1", "purge": true, "with_home": false, "archived": false}}"#;
    fs::write(&record, removing).expect("root may");
    let (_, document) = audit(&instance);
    let begun = found(&document, "incomplete");
    assert_eq!(begun["mend"], "hostel site remove a");
    fs::remove_file(record).expect("written");
}

#[test]
fn processes_of_a_running_server_are_what_they_should_be() {
    let instance = instance("audit-running").start();
    assert_eq!(instance.get("a.test", "/").text(), "fine");
    let (_, document) = audit(&instance);
    assert!(
        find(&document, "server-not-running").is_none(),
        "{document:#}"
    );
    let of_the_site = document["sites"][0]["findings"].as_array().expect("a list");
    let privileged = of_the_site
        .iter()
        .find(|finding| finding["check"] == "process-privileges");
    assert_eq!(privileged, None);
    assert_eq!(
        instance.get("a.test", "/").text(),
        "fine",
        "an audit disturbs nobody"
    );
}

#[test]
fn processes_with_privileges_are_found() {
    let instance = instance("audit-privileged");
    // This program plays the monitor, with all that root has; two of its children a front and a keeper.
    let listener = UnixListener::bind(instance.path("run/status.sock")).expect("a free name");
    let mut children = [(); 3].map(|()| Command::new("sleep").arg("60").spawn().expect("sleep"));
    let [front, keeper, stranger] = [0, 1, 2].map(|place: usize| children[place].id());
    let status = format!(
        "{{\"server\": {{\"pid\": {front}}}, \"sites\": [{{\"name\": \"a\", \"keeper\": {keeper}}}]}}"
    );
    let answering = thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("hostel audit");
        client.write_all(status.as_bytes()).expect("it reads");
    });
    let (fine, document) = audit(&instance);
    answering.join().expect("it was asked");
    for child in &mut children {
        child.kill().expect("it is a child");
        child.wait().expect("it is a child");
    }
    assert!(!fine);
    let about = |list: &Value, pid: u32| {
        let findings = list["findings"].as_array().expect("a list").clone();
        let what = findings
            .into_iter()
            .filter(|finding| finding["check"] == "process-privileges");
        let mut what = what.map(|finding| finding["what"].as_str().expect("text").to_owned());
        what.find(|what| what.contains(&format!("process {pid} ")))
            .unwrap_or_default()
    };
    let host = &document["host"];
    assert!(
        about(host, std::process::id()).contains("without no_new_privs"),
        "{host:#}"
    );
    assert!(about(host, front).contains("has Uid 0"), "{host:#}");
    assert!(
        about(host, stranger).contains("neither front, firewall nor a site's"),
        "{host:#}"
    );
    let said = about(&document["sites"][0], keeper);
    for fault in [
        "CapEff",
        "no_new_privs",
        "seccomp",
        "has Uid 0",
        "the host's pid namespace",
    ] {
        assert!(said.contains(fault), "{fault}: {said}");
    }
}

#[test]
fn an_open_port_is_found_and_a_declared_one_is_not() {
    let instance =
        Instance::new("audit-ports").site(Site::new("a", User::One).file("public/index.php", "x"));
    instance.write_configuration();
    // In a network of its own, where nobody can reach what is opened.
    let script = r#"
        system("ip link set lo up");
        for my $address ("0.0.0.0:22", "0.0.0.0:3333", "127.0.0.1:4444") {
            push @open, IO::Socket::INET->new(LocalAddr => $address, Listen => 1) || exit 1;
        }
        system($ENV{AUDIT});
    "#;
    let hostel = hostel_e2e::programs().join("hostel");
    let audit = format!(
        "{hostel:?} audit --json --config {:?}",
        instance.configuration()
    );
    let output = Command::new("unshare")
        .args(["--net", "--", "perl", "-MIO::Socket::INET", "-e", script])
        .env("AUDIT", audit)
        .output()
        .expect("unshare (util-linux) and perl (perl-base)");
    let document: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let host = document["host"]["findings"].as_array().expect("a list");
    let ports = |check: &str| -> Vec<&str> {
        let of_it = host.iter().filter(|finding| finding["check"] == check);
        of_it
            .map(|finding| finding["what"].as_str().expect("text"))
            .collect()
    };
    let undeclared = ports("port-undeclared");
    assert_eq!(undeclared.len(), 1, "{undeclared:?}");
    assert!(
        undeclared[0].starts_with("TCP 0.0.0.0:3333 is open: perl"),
        "{undeclared:?}"
    );
    let local = ports("port-on-loopback");
    assert_eq!(local.len(), 1, "{local:?}");
    assert!(
        local[0].starts_with("TCP 127.0.0.1:4444 is open: perl"),
        "{local:?}"
    );
}

#[test]
fn sites_that_share_a_user_are_found() {
    let site = |name| Site::new(name, User::One).toml("share_user = true");
    let instance = Instance::new("audit-shared")
        .site(site("a"))
        .site(site("b"));
    instance.write_configuration();
    let (fine, document) = audit(&instance);
    assert!(!fine);
    let shared = found(&document, "user-shared")["what"]
        .as_str()
        .expect("text");
    assert!(shared.contains("that of b too"), "{shared}");
}

#[test]
fn a_link_in_place_of_a_home_is_told_and_not_followed() {
    let instance = instance("audit-link");
    let home = instance.home("a");
    fs::rename(&home, instance.path("moved")).expect("one file system");
    symlink(instance.path("moved"), &home).expect("root may");
    let (_, document) = audit(&instance);
    assert!(find(&document, "not-examined").is_some(), "{document:#}");
    assert!(document["sites"][0]["files"].is_null());
}
