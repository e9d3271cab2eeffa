//! The Debian package on a bare Debian 12 with its own systemd: installed, serving, watched, upgraded, removed, purged.

mod booted;

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use booted::{Debian, package};
use hostel_e2e::{Request, Response, http, wait_until};

/// Where the package's default configuration serves.
const PORT: u16 = 80;
const PAGE: &str = "<?php echo 'hello from ', posix_getpwuid(posix_geteuid())['name'];";

/// A site as README tells to add one.
fn add_site(debian: &Debian) {
    let said = debian.must("hostel site add blog --domain blog.example");
    println!("{said}");
    let first = get().expect("the command has visited it, too");
    assert!(
        first.status == 200 && first.text().contains("blog"),
        "{first:?}"
    );
    // The page that the command has made becomes another one, and stays its user's.
    let file = debian.path("/srv/blog/public/index.php");
    std::fs::write(file, PAGE).expect("the tree is ours");
}

fn get() -> std::io::Result<Response> {
    http::exchange(PORT, &Request::get("blog.example", "/"))
}

/// Whether the site answers, within a time in which a server starts.
fn serves() -> bool {
    wait_until(Duration::from_secs(20), || {
        get().is_ok_and(|answer| answer.status == 200 && answer.text() == "hello from blog")
    })
}

fn main_pid(debian: &Debian) -> String {
    let said = debian.must("systemctl show --property MainPID --value hostel");
    said.trim().to_owned()
}

fn watchdog(debian: &Debian) -> String {
    debian.must("systemctl show --property WatchdogTimestampMonotonic --value hostel")
}

fn install(debian: &Debian, name: &str) {
    // What it depends on is there: there is no network here.
    debian.must(&format!(
        "apt-get install --yes --no-install-recommends --allow-downgrades ./{name}.deb"
    ));
}

#[test]
fn package_installs_serves_upgrades_and_goes() {
    let debian = Debian::boot();
    assert!(
        get().is_err(),
        "something else has port {PORT} in this network"
    );
    install(&debian, "old");
    assert_eq!(debian.must("systemctl is-active hostel").trim(), "active");
    assert_eq!(debian.must("systemctl is-enabled hostel").trim(), "enabled");
    debian.must("getent passwd hostel && hostel check");
    add_site(&debian);
    assert!(
        serves(),
        "{}",
        debian.must("tail /var/log/hostel/server.log")
    );
    let status = debian.must("hostel status");
    assert!(status.contains("blog"), "{status}");
    runs_as_it_should(&debian);
    is_documented(&debian);
    logs_rotate(&debian);
    comes_back(&debian);
    upgrades(&debian);
    keeps_backups(&debian);
    goes(&debian);
}

/// Under systemd's eyes, in its own control group, hardened.
fn runs_as_it_should(debian: &Debian) {
    let users = debian.must("ps -e -o user:20,comm --no-headers");
    for (user, program) in [
        ("root", "hostel-monitor"),
        ("hostel", "hostel-front"),
        ("blog", "hostel-keeper"),
        ("blog", "hostel-php"),
    ] {
        let runs = |line: &str| line.split_whitespace().eq([user, program]);
        assert!(users.lines().any(runs), "{program} as {user}\n{users}");
    }
    let group = debian.must("cat /proc/$(pidof -s hostel-keeper)/cgroup");
    assert!(group.contains("/system.slice/hostel.service"), "{group}");
    // The rules about who may connect where are in force: nft works in the unit's confinement.
    debian.must("nft list tables | grep hostel");
    let log = debian.must("cat /var/log/hostel/server.log");
    assert!(!log.contains(" error: "), "{log}");
    // The unit's confinement takes nothing from the sandboxes that they need for theirs.
    let attacks = debian.run("hostel prove --site blog").text;
    let all = attacks.lines().find(|line| line.starts_with("all "));
    let got_through = all.and_then(|line| line.split_whitespace().nth(3));
    assert_eq!(got_through, Some("0"), "{attacks}");
    // Only manual pages are not to be found, where there is no man.
    let verify = "systemd-analyze verify hostel.service 2>&1 | grep -v 'Command .man ' || true";
    assert_eq!(debian.must(verify).trim(), "");
    let exposure = debian.must("systemd-analyze security --no-pager hostel.service | tail -1");
    println!("{exposure}");
    let first = watchdog(debian);
    let heard = wait_until(Duration::from_secs(40), || watchdog(debian) != first);
    assert!(heard, "the watchdog has heard nothing");
    assert_eq!(
        debian
            .must("systemctl show --property NRestarts --value hostel")
            .trim(),
        "0"
    );
}

fn is_documented(debian: &Debian) {
    for file in [
        "/usr/share/man/man1/hostel.1.gz",
        "/usr/share/man/man1/hostel-check.1.gz",
        "/usr/share/bash-completion/completions/hostel",
        "/usr/share/zsh/vendor-completions/_hostel",
        "/usr/share/fish/vendor_completions.d/hostel.fish",
        "/usr/share/doc/hostel/config.md",
        "/usr/share/doc/hostel/copyright",
    ] {
        // The container's dpkg may be told to leave documents out; the package has them.
        let listed = debian.must(&format!("dpkg --listfiles hostel | grep -x {file}"));
        assert_eq!(listed.trim(), file);
    }
    debian.must("bash -n /usr/share/bash-completion/completions/hostel");
}

fn logs_rotate(debian: &Debian) {
    debian.must("logrotate --force /etc/logrotate.d/hostel");
    assert!(serves());
    for file in ["server.log", "blog/access.log"] {
        let path = format!("/var/log/hostel/{file}");
        let written = || {
            debian
                .run(&format!("test -s {path} && test -s {path}.1"))
                .success
        };
        assert!(wait_until(Duration::from_secs(5), written), "{path}");
    }
    let modes = debian.must("stat -c '%U:%G %a' /var/log/hostel/blog/access.log");
    assert_eq!(modes.trim(), "root:blog 640");
    assert!(
        debian
            .must("cat /var/log/hostel/blog/access.log")
            .contains("GET / ")
    );
}

/// A broken configuration is refused and changes nothing; a killed or stuck monitor is replaced.
fn comes_back(debian: &Debian) {
    debian.must("echo 'domains = 1' > /etc/hostel/sites.d/broken.toml");
    assert!(!debian.run("systemctl reload hostel").success);
    assert!(serves());
    debian.must("rm /etc/hostel/sites.d/broken.toml && systemctl reload hostel");
    let before = main_pid(debian);
    debian.must("kill -KILL $(systemctl show --property MainPID --value hostel)");
    let replaced = wait_until(Duration::from_secs(20), || {
        !["0", &before].contains(&main_pid(debian).as_str())
    });
    assert!(
        replaced && serves(),
        "{}",
        debian.must("systemctl status --no-pager hostel || true")
    );
}

/// The running server goes on as the new programs and nobody notices; what an administrator has written stays.
fn upgrades(debian: &Debian) {
    debian.must("echo '# mine' >> /etc/hostel/hostel.toml");
    let front = || debian.must("pidof hostel-front").trim().to_owned();
    let (monitor, before) = (main_pid(debian), front());
    let begun = Instant::now();
    let (sender, stop) = std::sync::mpsc::channel::<()>();
    let visitor = thread::spawn(move || {
        let (mut longest, mut right, mut lost) = (Duration::ZERO, 0, Vec::new());
        while matches!(stop.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
            let asked = Instant::now();
            match get() {
                Ok(answer) if answer.status == 200 => right += 1,
                other => lost.push(format!("{other:?}")),
            }
            longest = longest.max(asked.elapsed());
            thread::sleep(Duration::from_millis(10));
        }
        (longest, right, lost)
    });
    install(debian, "new");
    assert!(serves());
    sender.send(()).expect("the visitor waits for it");
    let (longest, right, lost) = visitor.join().expect("the visitor does not panic");
    println!(
        "upgrade: {:?}, {right} requests, {} lost, the slowest {longest:?}",
        begun.elapsed(),
        lost.len()
    );
    assert!(right > 0 && lost.is_empty(), "{lost:?}");
    assert_eq!(main_pid(debian), monitor);
    let is_new = wait_until(Duration::from_secs(60), || {
        let now = front();
        now != before && !now.contains(' ')
    });
    assert!(is_new, "the old front is still there");
    let version = debian.must("dpkg-query --show --showformat='${Version}' hostel");
    assert!(version.ends_with("+next"), "{version}");
    assert!(
        debian
            .must("tail -1 /etc/hostel/hostel.toml")
            .contains("# mine")
    );
    // One that an administrator has stopped stays stopped.
    debian.must("systemctl stop hostel");
    install(debian, "old");
    assert!(!debian.run("systemctl is-active hostel").success);
    debian.must("systemctl start hostel");
    assert!(serves());
}

/// The timer's service keeps all sites, in the unit's confinement, and a site comes back.
fn keeps_backups(debian: &Debian) {
    let verify = "systemd-analyze verify hostel-backup.service hostel-backup.timer 2>&1 | grep -v 'Command .man ' || true";
    assert_eq!(debian.must(verify).trim(), "");
    debian.must("printf '[backup]\\nto = \"/mnt/backups\"\\n' >> /etc/hostel/hostel.toml && hostel backup init");
    debian.must("systemctl enable --now hostel-backup.timer");
    let started = debian.run("systemctl start hostel-backup.service");
    assert!(
        started.success,
        "{}",
        debian.must("journalctl --no-pager --unit hostel-backup.service")
    );
    let list = debian.must("hostel backup list");
    assert_eq!(
        list.lines()
            .filter(|line| line.starts_with("blog "))
            .count(),
        1,
        "{list}"
    );
    debian.must("stat -c '%U %a' /mnt/backups | grep -x 'hostel-backup 700'");
    debian.must("rm /srv/blog/public/index.php && hostel restore blog --purge");
    assert!(serves());
}

/// Removed, nothing runs; purged, nothing is left but what is the administrator's.
fn goes(debian: &Debian) {
    debian.must("apt-get remove --yes hostel");
    assert!(get().is_err());
    let left = debian.must("ps -e -o comm --no-headers");
    assert!(!left.contains("hostel"), "{left}");
    assert!(
        !debian
            .run("nft list tables 2>/dev/null | grep hostel")
            .success
    );
    debian.must("test -f /etc/hostel/hostel.toml && test -f /var/log/hostel/server.log");
    debian.must("apt-get purge --yes hostel");
    let found =
        debian.must("find / -xdev -name '*hostel*' ! -path '/proc/*' ! -path '/sys/*' | sort");
    assert_eq!(
        found.trim(),
        "/etc/hostel",
        "more is left than sites' files"
    );
    assert_eq!(
        debian.must("find /etc/hostel -type f | sort").trim(),
        "/etc/hostel/backup.password\n/etc/hostel/sites.d/blog.toml"
    );
    assert_eq!(debian.must("cat /srv/blog/public/index.php"), PAGE);
    debian.must("getent passwd blog");
}

#[test]
fn package_is_as_lintian_wants() {
    let output = Command::new("lintian")
        .args(["--allow-root", "--fail-on", "error,warning"])
        .arg(package("old"))
        .output()
        .expect("lintian can be started (cargo xtask setup test)");
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}
