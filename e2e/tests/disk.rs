//! What bounds a site's temporary files and its home: project quotas, where the file system has them, which the guest of
//! `make test-vm` does; elsewhere the keeper, which removes the oldest temporary files.

use std::fs;
use std::time::Duration;

use hostel_e2e::{Instance, Site, User, wait_until};

/// The first sweep comes ten seconds after the start, the next ones a minute apart.
const SWEPT_WITHIN: Duration = Duration::from_secs(90);

const FILL: &str = "<?php
    $bytes = str_repeat('x', 1 << 20);
    foreach (range(1, 6) as $n) {
        foreach (['/tmp', '/var/tmp'] as $place) file_put_contents(\"$place/$n\", $bytes);
        usleep(1100000);
    }
    $held = fopen('/tmp/1', 'r');
    touch('/tmp/done');
    sleep(75);";

/// Writes files of a mebibyte until one does not fit, and says how many did.
const UNTIL_FULL: &str = "<?php
    for ($n = 0; $n < 20; $n++)
        if (@file_put_contents(\"{$_GET['place']}/fill$n\", str_repeat('x', 1 << 20)) !== 1 << 20) break;
    echo $n, ' ', exec(\"chattr -p 77 {$_GET['place']}/fill0 2>&1 && echo escaped\");";

/// Whether the file system that the tests' instances are on holds projects to bounds. The guest's of `make test-vm` does.
fn has_quotas() -> bool {
    let found = hostel_sys::quota::is_enforced(fs::File::open("/srv").expect("/srv"));
    let is_guest = std::env::var_os("HOSTEL_EXPECT_CGROUP").is_some();
    assert!(found || !is_guest, "the guest's /srv has no project quotas");
    found
}

fn site(toml: &str) -> Site {
    Site::new("a", User::One)
        .toml(toml)
        .file("public/fill.php", FILL)
        .file("public/full.php", UNTIL_FULL)
        .file("public/index.php", "<?php echo 'fine';")
        .file("public/earlier/file.txt", "there before any bound")
}

fn full(instance: &Instance, place: &str) -> (u32, String) {
    let text = instance
        .get("a.test", &format!("/full.php?place={place}"))
        .text();
    let (count, said) = text
        .split_once(' ')
        .unwrap_or_else(|| panic!("{text}\n{}", instance.logs()));
    (count.parse().expect("a number"), said.to_owned())
}

#[test]
fn temporary_files_are_bounded() {
    if has_quotas() {
        the_kernel_bounds_temporary_files();
    } else {
        beyond_the_bound_the_oldest_files_go_and_those_in_use_stay();
    }
}

fn the_kernel_bounds_temporary_files() {
    let instance = Instance::new("disk-hard")
        .site(site("temporary_bytes_max = \"8M\""))
        .start();
    let (count, said) = full(&instance, "/tmp");
    assert!((6..8).contains(&count), "{count} MiB fit into 8");
    assert!(said.contains("Operation not permitted"), "{said}");
    let (more, _) = full(&instance, "/var/tmp");
    assert_eq!(more, 0, "the bound is on both together");
    assert_eq!(instance.get("a.test", "/").text(), "fine");
    let log = fs::read_to_string(instance.path("logs/server.log")).expect("a log");
    assert!(!log.contains("has no project quotas"), "{log}");
}

#[test]
fn a_home_is_bounded_where_there_are_quotas_and_elsewhere_it_is_said() {
    let instance = Instance::new("disk-home")
        .site(site("home_bytes_max = \"8M\""))
        .start();
    let home = instance.home("a");
    let audit = || instance.command(&["audit", "--json"]).1;
    if !has_quotas() {
        for text in [
            fs::read_to_string(instance.path("logs/server.log")).expect("a log"),
            instance.command(&["check"]).1,
        ] {
            assert!(
                text.contains("nothing holds its home to 'home_bytes_max'"),
                "{text}"
            );
            assert!(text.contains("mounted with prjquota"), "{text}");
        }
        assert!(audit().contains("disk-not-bounded"));
        return;
    }
    instance.get("a.test", "/");
    let (count, said) = full(&instance, &home.display().to_string());
    assert!((6..8).contains(&count), "{count} MiB fit into 8");
    assert!(said.contains("Operation not permitted"), "{said}");
    // What was there before counts after the command of the audit.
    let earlier = home.join("public/earlier").display().to_string();
    assert!(full(&instance, &earlier).0 > 8);
    // Room for what is to be counted from now on.
    for n in 0..20 {
        for place in ["", "public/earlier/"] {
            let _ = fs::remove_file(home.join(format!("{place}fill{n}")));
        }
    }
    let found = audit();
    let document: serde_json::Value = serde_json::from_str(&found).expect("JSON");
    let findings = document["sites"][0]["findings"].as_array().expect("a list");
    let finding = findings
        .iter()
        .find(|finding| finding["check"] == "not-counted");
    let finding = finding.unwrap_or_else(|| panic!("{document:#}"));
    assert_eq!(finding["count"], 2, "public and earlier: {finding:#}");
    let command = finding["mend"].as_str().expect("a command");
    let done = std::process::Command::new("bash")
        .args(["-c", command])
        .output()
        .expect("bash");
    assert!(done.status.success(), "{command}: {done:?}");
    assert!(!audit().contains("not-counted"), "{command}");
    let (count, _) = full(&instance, &earlier);
    assert!((6..8).contains(&count), "{count} MiB fit into 8");
}

fn beyond_the_bound_the_oldest_files_go_and_those_in_use_stay() {
    let instance = Instance::new("disk-soft")
        .site(site("temporary_bytes_max = \"8M\""))
        .start();
    let log = fs::read_to_string(instance.path("logs/server.log")).expect("a log");
    assert!(log.contains("has no project quotas"), "{log}");
    let [tmp, var] = ["tmp", "var-tmp"].map(|name| instance.path("state/sites/a").join(name));
    let mut connection = instance.connect();
    let request = hostel_e2e::Request::get("a.test", "/fill.php");
    connection.send(&request.bytes()).expect("a connection");
    assert!(
        wait_until(SWEPT_WITHIN, || tmp.join("done").exists()),
        "{}",
        instance.logs()
    );
    let bytes = || -> u64 {
        let files = [&tmp, &var]
            .into_iter()
            .flat_map(|place| fs::read_dir(place).expect("it is there"));
        files
            .map(|file| {
                file.expect("it is there")
                    .metadata()
                    .expect("it is there")
                    .len()
            })
            .sum()
    };
    let swept = wait_until(SWEPT_WITHIN, || bytes() <= 8 << 20);
    assert!(swept, "{} bytes\n{}", bytes(), instance.logs());
    assert!(tmp.join("1").exists(), "it was open");
    assert!(
        !var.join("1").exists() && !tmp.join("2").exists(),
        "the oldest go first"
    );
    assert!(
        tmp.join("6").exists() && var.join("6").exists(),
        "the youngest stay"
    );
    let said = || {
        instance
            .log("a", "error")
            .contains("more than temporary_bytes_max (8388608)")
    };
    assert!(
        wait_until(Duration::from_secs(5), said),
        "{}",
        instance.logs()
    );
    assert_eq!(instance.get("a.test", "/").text(), "fine");
}
