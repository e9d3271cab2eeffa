//! What docs/from-the-guide.md promises: a command for each step of the usual guide, and results that are as good or better,
//! as `ps`, `stat` and requests show.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use hostel_e2e::{Instance, user};

/// Who asks, whom the page runs as, and which scripts PHP's cache holds.
const PAGE: &str = "<?php echo get_current_user(), ' ', posix_geteuid(), ' ', \
     implode(',', array_keys(opcache_get_status()['scripts'] ?? []));";

/// What `hostel …` prints, which must succeed.
fn done(instance: &Instance, words: &[&str]) -> String {
    let (fine, output, errors) = instance.command(words);
    assert!(fine, "{words:?}: {output}{errors}");
    output
}

/// Whether a user with these numbers, in these groups alone, can read a file.
fn can_read(uid: u32, gid: u32, groups: &[u32], path: &Path) -> bool {
    let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
    let groups = match groups.is_empty() {
        true => "--clear-groups".to_owned(),
        false => format!("--groups={}", groups.join(",")),
    };
    let status = Command::new("setpriv")
        .args([format!("--reuid={uid}"), format!("--regid={gid}"), groups])
        .arg("cat")
        .arg(path)
        .output()
        .expect("setpriv and cat are there")
        .status;
    status.success()
}

/// The line of a process in /proc/PID/status.
fn status_line(pid: i32, key: &str) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let numbers = line.expect("every process has it").split_whitespace();
    numbers.filter_map(|number| number.parse().ok()).collect()
}

#[test]
fn each_step_of_the_guide_is_a_command_with_a_result_as_good_or_better() {
    let instance = Instance::new("guide").start();
    let names = ["one", "two"].map(|short| format!("gd{}{short}", std::process::id()));
    let fronts = instance.running("hostel-front");
    let monitor = instance.monitor_pid();

    // Users, ownership, modes, pool, virtual host, restart: one command for each site.
    for name in &names {
        let home = instance.home(name).display().to_string();
        let domain = format!("{name}.test");
        let words = ["site", "add", name, "--domain", &domain, "--home", &home];
        let dry = done(&instance, &[&words[..], &["--dry-run"]].concat());
        assert!(dry.contains(name.as_str()) && user::ids(name).is_none());
        done(&instance, &words);
    }
    // Nothing was restarted for it.
    assert_eq!(instance.running("hostel-front"), fronts);
    assert_eq!(instance.monitor_pid(), monitor);

    let ids = names.each_ref().map(|name| user::ids(name).expect("made"));
    for (name, (uid, gid)) in names.iter().zip(ids) {
        // `stat`: the guide has 770 and the web server in the group; here it is the user's alone.
        let home = instance.home(name);
        let found = fs::metadata(&home).expect("made");
        assert_eq!((found.uid(), found.gid()), (uid, gid));
        assert_eq!(found.permissions().mode() & 0o7777, 0o700);
        let page = home.join("public/index.php");
        fs::write(&page, PAGE).expect("the site's page becomes another one");
        assert_eq!(fs::metadata(&page).expect("there").uid(), uid);
        // As it would be without home's mode: so that what keeps others out is the directory.
        fs::set_permissions(&page, PermissionsExt::from_mode(0o644)).expect("made");
    }
    let pages = names
        .each_ref()
        .map(|name| instance.home(name).join("public/index.php"));
    let [(first, first_group), (second, second_group)] = ids;
    let front = fronts.first().expect("it serves");
    let groups = status_line(front.pid, "Groups:");
    for ((uid, gid), page) in ids.into_iter().zip(&pages) {
        assert!(can_read(uid, gid, &[], page), "its own user can");
        assert!(!groups.contains(&gid), "the front is in no site's group");
        let front_group = status_line(front.pid, "Gid:")[0];
        assert!(!can_read(front.uid, front_group, &groups, page));
    }
    assert!(!can_read(second, second_group, &[], &pages[0]));
    assert!(!can_read(first, first_group, &[], &pages[1]));

    // Requests: each page runs as its user, with an OPcache that knows of no other site.
    let answers = names.each_ref().map(|name| {
        let host = format!("{name}.test");
        let mut text = String::new();
        let is_new = hostel_e2e::wait_until(
            hostel_e2e::patience(std::time::Duration::from_secs(10)),
            || {
                text = instance.get(&host, "/").text();
                text.starts_with(name.as_str())
            },
        );
        assert!(is_new, "{text}");
        text
    });
    for (index, (text, (uid, _))) in answers.iter().zip(ids).enumerate() {
        let other = &names[1 - index];
        assert!(text.contains(&format!(" {uid} ")), "{text}");
        assert!(!text.contains(other.as_str()), "{text}");
    }

    // `ps`: every PHP and keeper belongs to the user of a site, and each user has one of its own.
    for program in ["hostel-php", "hostel-keeper"] {
        let running = instance.running(program);
        assert!(
            running
                .iter()
                .all(|process| [first, second].contains(&process.uid))
        );
        for (uid, _) in ids {
            assert!(
                running.iter().any(|process| process.uid == uid),
                "{program}"
            );
        }
    }
    let status = done(&instance, &["status"]);
    assert!(names.iter().all(|name| status.contains(name.as_str())));

    // `nginx -t`: what is wrong is told with its file and line, and changes nothing.
    let broken = instance.site_file("broken");
    fs::write(&broken, "domains = [\"x.test\"]\ncolour = 1\n").expect("sites.d");
    for words in [["check"], ["reload"]] {
        let (fine, output, errors) = instance.command(&words);
        let said = output + &errors;
        assert!(!fine && said.contains("broken.toml:2"), "{words:?}: {said}");
    }
    assert_eq!(instance.get(&format!("{}.test", names[0]), "/").status, 200);
    fs::remove_file(broken).expect("written above");
    done(&instance, &["reload"]);

    // The firewall: who may connect where, by site.
    let rules = done(&instance, &["firewall"]);
    assert!(
        names.iter().all(|name| rules.contains(name.as_str())),
        "{rules}"
    );

    // And all of it goes again.
    for name in &names {
        done(&instance, &["site", "remove", name, "--purge"]);
        assert!(user::ids(name).is_none() && !instance.home(name).exists());
    }
}
