//! Reloads and upgrades of a server that is being visited: nobody notices, and what does not work does not take the place of
//! what does.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hostel_e2e::{
    Connection, Instance, MailServer, PROGRAMS, Request, Response, Site, User, programs, wait_until,
};

const RELOADS: u32 = 50;
const ADDED: usize = 100;
const UPGRADES: u32 = 5;
/// A start of a helper, of its jobs, a delivery.
const SOON: Duration = Duration::from_secs(20);
/// Sites of the hundred that come and go together.
const AT_ONCE: usize = 10;

/// A site with a page of 50 ms, one that says what it was sent, one that says a setting, and a file.
fn site(name: &str, user: User) -> Site {
    Site::new(name, user)
        .file("public/index.php", "<?php echo 'here';")
        .file("public/slow.php", "<?php usleep(50000); echo 'slow';")
        .file("public/post.php", "<?php echo strlen(file_get_contents('php://input')), md5(file_get_contents('php://input'));")
        .file("public/limit.php", "<?php echo ini_get('memory_limit');")
        .file("public/file.txt", "a file".repeat(4000))
}

/// What a client has seen.
#[derive(Debug, Default)]
struct Seen {
    right: u32,
    /// Connections that were closed between two requests, before anything was sent.
    closed: u32,
    lost: Vec<String>,
    slowest: Duration,
}

/// Ask for one thing after the other until `stop`. Once a request was sent everything but its right answer is a loss.
fn client(port: u16, host: &'static str, keeps: bool, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut kept: Option<Connection> = None;
    let body = "posted ".repeat(1000);
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let get = |target| (Request::get(host, target), "GET");
        let (request, wanted) = match number % 4 {
            0 => (get("/file.txt").0, "a filea file"),
            1 => (get("/slow.php").0, "slow"),
            2 => (get("/").0, "here"),
            _ => (
                Request::new("POST", host, "/post.php").body("text/plain", body.as_bytes()),
                "7000",
            ),
        };
        let begun = Instant::now();
        match exchange(port, &mut kept, &mut seen.closed, &request) {
            Ok(answer) if answer.status == 200 && answer.text().starts_with(wanted) => {
                seen.right += 1;
                if !keeps || answer.closes() {
                    kept = None;
                }
            }
            Ok(answer) => {
                let text: String = answer.text().chars().take(100).collect();
                seen.lost
                    .push(format!("{host} {number}: {} {text}", answer.status));
            }
            Err(error) => {
                seen.lost.push(format!("{host} {number}: {error}"));
                kept = None;
            }
        }
        seen.slowest = seen.slowest.max(begun.elapsed());
    }
    seen
}

fn exchange(
    port: u16,
    kept: &mut Option<Connection>,
    closed: &mut u32,
    request: &Request,
) -> io::Result<Response> {
    let is_closed = kept.as_ref().map(Connection::is_closed).transpose()?;
    if is_closed == Some(true) {
        *closed += 1;
        *kept = None;
    }
    if kept.is_none() {
        *kept = Some(Connection::open(port)?);
    }
    kept.as_mut().expect("made above").exchange(request)
}

/// Clients of all kinds on some sites.
struct Visitors {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Seen>>,
}

impl Visitors {
    fn begin(port: u16, hosts: &[&'static str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let kinds = hosts
            .iter()
            .flat_map(|host| [(*host, true), (*host, false)]);
        let begin = |(host, keeps)| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || client(port, host, keeps, &stop))
        };
        let threads = kinds.map(begin).collect();
        Self { stop, threads }
    }

    fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for thread in self.threads {
            let seen = thread.join().expect("a client does not panic");
            all.right += seen.right;
            all.closed += seen.closed;
            all.lost.extend(seen.lost);
            all.slowest = all.slowest.max(seen.slowest);
        }
        all
    }
}

fn done(instance: &Instance, arguments: &[&str]) -> String {
    let (success, output, errors) = instance.command(arguments);
    assert!(
        success,
        "{arguments:?}: {output}{errors}\n{}",
        instance.logs()
    );
    output
}

/// Give a site another setting.
fn set_limit(instance: &Instance, name: &str, original: &str, megabytes: u32) {
    let text = format!("{original}\n[php.value]\nmemory_limit = \"{megabytes}M\"\n");
    fs::write(instance.site_file(name), text).expect("sites.d");
}

fn monitor_of(instance: &Instance) -> Vec<i32> {
    let all = instance.running("hostel-monitor");
    all.iter().map(|process| process.pid).collect()
}

#[test]
fn reloads_new_sites_and_upgrades_lose_no_request() {
    let mut instance = Instance::new("live")
        .site(site("a", User::One))
        .site(site("b", User::Two))
        .site(site("c", User::Three))
        .start();
    let hosts = ["a.test", "b.test", "c.test"];
    for host in hosts {
        assert_eq!(instance.get(host, "/").text(), "here");
    }
    let original = fs::read_to_string(instance.site_file("b")).expect("written");
    let monitor = monitor_of(&instance);
    let visitors = Visitors::begin(instance.port(), &hosts);
    let begun = Instant::now();
    let (mut added, mut reloads, mut upgrades) = (0, 0, 0);
    while reloads < RELOADS {
        let fresh: Vec<String> = (added..ADDED.min(added + AT_ONCE))
            .map(|number| format!("n{number}"))
            .collect();
        for name in &fresh {
            let file = Site::new(name, User::Four)
                .toml("share_user = true")
                .file("public/index.php", "<?php echo 'new';");
            instance.add_site(file);
        }
        set_limit(&instance, "b", &original, 100 + reloads);
        let output = done(&instance, &["reload", "--json"]);
        assert!(output.contains("\"b\""), "{output}");
        reloads += 1;
        let limit = instance.get("b.test", "/limit.php").text();
        assert_eq!(limit, format!("{}M", 99 + reloads));
        if let Some(name) = fresh.first() {
            assert_eq!(instance.get(&format!("{name}.test"), "/").text(), "new");
        }
        for name in &fresh {
            fs::remove_file(instance.site_file(name)).expect("written");
        }
        added += fresh.len();
        if reloads % (RELOADS / UPGRADES) == 0 {
            done(&instance, &["reload"]);
            let fronts = instance.running("hostel-front");
            done(&instance, &["upgrade"]);
            upgrades += 1;
            let front = instance.running("hostel-front");
            assert!(
                front.iter().any(|new| !fronts.contains(new)),
                "no new front"
            );
        }
    }
    let took = begun.elapsed();
    let seen = visitors.end();
    println!(
        "{} requests in {took:.1?} during {reloads} reloads, {added} sites added and removed, {upgrades} upgrades: {} lost, {} connections closed between requests, slowest {:.2?}",
        seen.right,
        seen.lost.len(),
        seen.closed,
        seen.slowest
    );
    assert_eq!(seen.lost, Vec::<String>::new(), "{}", instance.logs());
    assert!(seen.right > 500, "{seen:?}");
    assert_eq!(added, ADDED);
    assert_eq!(monitor_of(&instance), monitor, "another monitor");
    let one_front = || instance.running("hostel-front").len() == 1;
    assert!(
        wait_until(Duration::from_secs(40), one_front),
        "an old front remains"
    );
    assert_eq!(instance.get("a.test", "/").text(), "here");
    assert_eq!(instance.stop(), hostel_e2e::Leftovers::default());
}

#[test]
fn a_changed_site_that_cannot_start_goes_on_as_it_was() {
    let instance = Instance::new("falls-back")
        .site(site("a", User::One))
        .site(site("b", User::Two))
        .start();
    for host in ["a.test", "b.test"] {
        assert_eq!(instance.get(host, "/").text(), "here");
    }
    let keepers = instance.running("hostel-keeper");
    let original = fs::read_to_string(instance.site_file("b")).expect("written");
    let broken =
        format!("{original}\n[php.admin_value]\n\"opcache.preload\" = \"/nonexistent.php\"\n");
    fs::write(instance.site_file("b"), broken).expect("sites.d");
    let visitors = Visitors::begin(instance.port(), &["a.test", "b.test"]);
    let (success, output, errors) = instance.command(&["reload"]);
    assert!(!success, "{output}{errors}");
    assert!(
        errors.contains("b goes on as it was: PHP did not start"),
        "{output}{errors}\n{}",
        instance.logs()
    );
    let log = fs::read_to_string(instance.path("logs/server.log")).expect("a log");
    assert!(log.contains("site b goes on as it was"), "{log}");
    let now = instance.running("hostel-keeper");
    assert!(
        keepers.iter().all(|old| now.contains(old)),
        "a keeper was replaced"
    );
    // The next reload tries again, and says so in JSON too.
    let (success, output, _) = instance.command(&["reload", "--json"]);
    assert!(
        !success && output.contains("\"kept\": [\n    {"),
        "{output}"
    );
    // A home that cannot be used.
    let moved = original.replace("/homes/b", "/homes/none");
    assert_ne!(moved, original);
    fs::write(instance.site_file("b"), moved).expect("sites.d");
    let (success, output, errors) = instance.command(&["reload"]);
    assert!(
        !success && errors.contains("b goes on as it was: it was not started"),
        "{output}{errors}"
    );
    set_limit(&instance, "b", &original, 77);
    done(&instance, &["reload"]);
    assert_eq!(instance.get("b.test", "/limit.php").text(), "77M");
    let seen = visitors.end();
    assert_eq!(seen.lost, Vec::<String>::new(), "{}", instance.logs());
}

#[test]
fn a_reload_of_a_broken_configuration_tells_every_error() {
    let instance = Instance::new("tells").site(site("a", User::One)).start();
    assert_eq!(instance.get("a.test", "/").text(), "here");
    let keepers = instance.running("hostel-keeper");
    fs::write(
        instance.site_file("x"),
        "domains = [\"x.test\"]\nuser = \"hostel-no-such-user\"\nworkers_max = 0\n",
    )
    .expect("sites.d");
    fs::write(instance.site_file("y"), "domains = \"not a list\"\n").expect("sites.d");
    for dry in [&["reload", "--dry-run"][..], &["reload"]] {
        let (success, output, errors) = instance.command(dry);
        assert!(!success);
        for told in ["x.toml:2", "hostel-no-such-user", "x.toml:3", "y.toml:1"] {
            assert!(errors.contains(told), "{told}: {output}{errors}");
        }
        assert!(errors.contains("nothing was changed"), "{errors}");
    }
    for name in ["x", "y"] {
        fs::remove_file(instance.site_file(name)).expect("written");
    }
    assert_eq!(instance.running("hostel-keeper"), keepers);
    let output = done(&instance, &["reload"]);
    assert!(output.contains("0 changed, 1 unchanged"), "{output}");
}

/// The programs in a directory where they can be replaced.
fn own_programs(name: &str) -> PathBuf {
    let directory = PathBuf::from(format!(
        "/srv/hostel-programs-{name}-{}",
        std::process::id()
    ));
    fs::create_dir_all(&directory).expect("/srv");
    for program in PROGRAMS {
        fs::copy(programs().join(program), directory.join(program)).expect("built programs");
    }
    directory
}

#[test]
fn an_upgrade_to_programs_that_do_not_work_leaves_the_old_ones_serving() {
    let directory = own_programs("broken");
    let instance = Instance::new("upgrade")
        .programs(&directory)
        .site(site("a", User::One))
        .start();
    assert_eq!(instance.get("a.test", "/").text(), "here");
    let fronts = instance.running("hostel-front");
    let visitors = Visitors::begin(instance.port(), &["a.test"]);
    for (program, script) in [
        ("hostel-front", "#!/bin/sh\nexit 3\n"),
        ("hostel-monitor", "#!/bin/sh\nexit 3\n"),
        ("hostel-monitor", "not a program at all"),
    ] {
        let (place, new) = (directory.join(program), directory.join("new"));
        let old = fs::read(&place).expect("copied");
        let replace = |content: &[u8]| {
            fs::write(&new, content).expect("/srv");
            let mode = Command::new("chmod").arg("755").arg(&new).status();
            assert!(mode.is_ok_and(|status| status.success()));
            fs::rename(&new, &place).expect("/srv");
        };
        replace(script.as_bytes());
        let (success, output, errors) = instance.command(&["upgrade"]);
        assert!(!success, "{program}: {output}{errors}");
        assert!(
            errors.contains("the old programs go on"),
            "{program}: {output}{errors}"
        );
        assert_eq!(instance.running("hostel-front"), fronts);
        replace(&old);
    }
    // A new file of each program is what an upgrade is for.
    done(&instance, &["upgrade"]);
    assert_eq!(instance.get("a.test", "/").text(), "here");
    let seen = visitors.end();
    assert_eq!(seen.lost, Vec::<String>::new(), "{}", instance.logs());
    drop(instance);
    fs::remove_dir_all(directory).expect("made above");
}

#[test]
fn nobody_but_root_may_ask() {
    let instance = Instance::new("asks").site(site("a", User::One)).start();
    let socket = instance.path("run/control.sock");
    let script = "use Socket; use Errno; socket(my $s, AF_UNIX, SOCK_SEQPACKET, 0) or die; \
        if (!connect($s, sockaddr_un($ARGV[0]))) { print $!{EACCES} ? 'denied' : $!; exit } \
        send($s, \"\\x01\\x00\", MSG_NOSIGNAL); recv($s, my $answer, 1, 0); \
        print length($answer // '') ? 'answered' : 'closed';";
    let ask = |user: &str| {
        let output = Command::new("setpriv")
            .args([
                "--reuid",
                user,
                "--clear-groups",
                "/usr/bin/perl",
                "-e",
                script,
            ])
            .arg(&socket)
            .output()
            .expect("setpriv and perl");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(ask("root"), "answered");
    for user in [User::One.name(), "hostel", "nobody"] {
        assert_eq!(ask(user), "denied", "{user}");
    }
    // Even where the mode lets everybody in, the kernel's word on who it is counts.
    let mode = Command::new("chmod").arg("666").arg(&socket).status();
    assert!(mode.is_ok_and(|status| status.success()));
    for user in [User::One.name(), "hostel", "nobody"] {
        assert_eq!(ask(user), "closed", "{user}");
    }
}

#[test]
fn an_upgrade_replaces_the_mail_broker_and_the_jobs_and_loses_no_mail() {
    let mut mail = MailServer::new("upgrade");
    mail.start();
    let send = "<?php echo mail('to@example.test', $_GET['subject'], 'text') ? 'sent' : 'failed';";
    let jobs = "[[daemon]]\nname = 'work'\ncommand = 'sleep 1000'\n";
    let instance = Instance::new("upgrade-helpers")
        .settings(&mail.settings())
        .site(
            Site::new("a", User::One)
                .file("public/send.php", send)
                .toml(jobs),
        )
        .start();
    let pids = |program: &str| -> Vec<i32> {
        let found = instance.running(program);
        found.iter().map(|process| process.pid).collect()
    };
    let daemons = || pids("sleep");
    assert!(wait_until(SOON, || daemons().len() == 1));
    let before = (pids("hostel-mail"), pids("hostel-jobs"), daemons());
    for number in 0..3 {
        let target = format!("/send.php?subject=mail-{number}");
        assert_eq!(instance.get("a.test", &target).text(), "sent");
        done(&instance, &["upgrade"]);
        let target = format!("/send.php?subject=more-{number}");
        assert_eq!(instance.get("a.test", &target).text(), "sent");
    }
    let is_replaced = wait_until(SOON, || {
        let now = (pids("hostel-mail"), pids("hostel-jobs"), daemons());
        now.0.len() == 1
            && now.1.len() == 1
            && now.2.len() == 1
            && now.0 != before.0
            && now.1 != before.1
            && now.2 != before.2
    });
    let (mails, helpers, left) = (pids("hostel-mail"), pids("hostel-jobs"), daemons());
    assert!(
        is_replaced,
        "{before:?}: {mails:?} {helpers:?} {left:?}\n{}",
        instance.logs()
    );
    let arrived = |subject: &str| {
        let line = format!("Subject: {subject}");
        let mails = mail.mails();
        mails
            .iter()
            .filter(|mail| mail.head().contains(&line))
            .count()
    };
    for number in 0..3 {
        for subject in [format!("mail-{number}"), format!("more-{number}")] {
            let came = wait_until(SOON, || arrived(&subject) > 0);
            assert!(came, "{subject} has not arrived\n{}", instance.logs());
            assert_eq!(arrived(&subject), 1, "{subject} has arrived twice");
        }
    }
}
