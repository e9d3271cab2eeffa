//! `hostel exec` and `hostel shell`: a command of an administrator's runs as the site, sees what the site sees, and leaves nothing.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use hostel_e2e::{Instance, Process, Signal, Site, Terminal, User, process, wait_until};

/// What the tests' sandboxes take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);

fn instance(name: &str) -> Instance {
    let instance = Instance::new(name)
        .site(
            Site::new("a", User::One)
                .file("public/index.php", "<?php echo posix_geteuid();")
                .file("wp", "#!/usr/bin/env php\n<?php echo 'args ', implode(',', array_slice($argv, 1)), ' in ', getcwd(), ' as ', posix_geteuid(), ' by ', PHP_SAPI;\n"),
        )
        .site(Site::new("b", User::Two).file("secret", "of b"));
    instance.write_configuration();
    let wp = instance.home("a").join("wp");
    fs::set_permissions(&wp, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("home");
    instance
}

fn hostel(instance: &Instance, words: &[&str]) -> Command {
    let mut command = Command::new(instance.program("hostel"));
    command
        .arg("--config")
        .arg(instance.configuration())
        .args(words)
        .stdin(Stdio::null());
    command
}

fn exec(instance: &Instance, words: &[&str]) -> Output {
    let all = [&["exec", "a", "--"], words].concat();
    hostel(instance, &all).output().expect("hostel starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

fn no_sandbox_is_left(instance: &Instance) {
    let left = || process::with_mounts_of(&instance.path(""));
    assert!(
        wait_until(GONE_WITHIN, || left().is_empty()),
        "left: {:?}",
        left()
    );
}

#[test]
fn a_command_runs_as_the_site_and_sees_what_it_sees() {
    let instance = instance("exec-view");
    let (uid, gid) = User::One.ids();
    let id = exec(
        &instance,
        &[
            "sh",
            "-c",
            "id -u; id -g; id -G; pwd; echo $HOME $USER $LOGNAME $LANG $TERM $PATH",
        ],
    );
    let home = instance.home("a").display().to_string();
    let expected = format!(
        "{uid}\n{gid}\n{gid}\n{home}\n{home} hostel-t1 hostel-t1 C.UTF-8 dumb /usr/local/bin:/usr/bin:/bin"
    );
    assert_eq!(said(&id), expected, "{id:?}");
    // The environment is clean of what the administrator has in it.
    let mut command = hostel(&instance, &["exec", "a", "--", "env"]);
    let output = command.env("SECRET", "x").output().expect("hostel starts");
    assert!(output.status.success() && !said(&output).contains("SECRET"));
    let b = instance.home("b").display().to_string();
    let logs = instance.path("logs").display().to_string();
    let configuration = instance.configuration().display().to_string();
    for hidden in [
        "/etc/shadow",
        &b,
        &logs,
        &configuration,
        "/etc/cron.d",
        "/run/systemd",
    ] {
        let looked = exec(&instance, &["ls", hidden]);
        assert_eq!(looked.status.code(), Some(2), "{hidden}: {looked:?}");
    }
    let own = exec(
        &instance,
        &[
            "sh",
            "-c",
            "echo made > made && cat made && ps -o pid= -A | wc -l",
        ],
    );
    let lines = said(&own);
    assert!(lines.starts_with("made\n"), "{own:?}");
    // The runner, the shell, ps and wc.
    let processes: u32 = lines
        .lines()
        .nth(1)
        .and_then(|n| n.trim().parse().ok())
        .unwrap_or(0);
    assert!((2..=5).contains(&processes), "{own:?}");
    // Every barrier of the site that serves: no privilege to win, filters and no descriptor but its own.
    let status = exec(&instance, &["cat", "/proc/self/status"]);
    let status = said(&status);
    for line in [
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
    ] {
        assert!(status.contains(line), "{line} in {status}");
    }
    // Of the shell, which waits; with a pipe it might still hold an end of that.
    let descriptors = said(&exec(&instance, &["sh", "-c", "ls /proc/$$/fd; true"]));
    let beyond = descriptors
        .split_whitespace()
        .any(|number| number.parse().is_ok_and(|n: u32| (3..10).contains(&n)));
    assert!(!beyond, "{descriptors}");
    no_sandbox_is_left(&instance);
}

#[test]
fn a_status_is_the_commands() {
    let instance = instance("exec-status");
    for (words, status) in [
        (&["true"][..], 0),
        (&["sh", "-c", "exit 7"], 7),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["no-such-command"], 127),
        (&["/etc/hosts"], 126),
        // The rest ends with the command.
        (&["sh", "-c", "sleep 1000 & sleep 1000 & exit 3"], 3),
    ] {
        let output = exec(&instance, words);
        assert_eq!(output.status.code(), Some(status), "{words:?}: {output:?}");
    }
    let missing = exec(&instance, &["no-such-command"]);
    let text = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(text.contains("cannot run 'no-such-command'"), "{text}");
    let unknown = hostel(&instance, &["exec", "nobody", "--", "true"])
        .output()
        .expect("hostel starts");
    let text = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(125), "{text}");
    assert!(
        text.contains("there is no site 'nobody'") && text.contains("hint: sites are a, b"),
        "{text}"
    );
    no_sandbox_is_left(&instance);
}

#[test]
fn a_dry_run_starts_nothing_and_a_document_tells_how_it_went() {
    let instance = instance("exec-told");
    let (uid, gid) = User::One.ids();
    let home = instance.home("a");
    let ask = |words: &[&str]| {
        let output = hostel(&instance, words).output().expect("hostel starts");
        let document = serde_json::from_slice::<serde_json::Value>(&output.stdout);
        (output.status.code(), document.unwrap_or_default(), output)
    };
    let touch = home.join("touched").display().to_string();
    let dry = ["exec", "a", "--dry-run", "--json", "--", "touch", &touch];
    let (code, plan, output) = ask(&dry);
    assert_eq!(code, Some(0), "{output:?}");
    assert_eq!(plan["dry_run"], true);
    assert_eq!((&plan["uid"], &plan["gid"]), (&uid.into(), &gid.into()));
    assert_eq!(plan["directory"], *home.display().to_string());
    assert_eq!(plan["command"][1], *touch);
    assert!(
        plan["limits"]["processes_max"].as_u64() > Some(0),
        "{plan:#}"
    );
    for words in [
        &["exec", "a", "--dry-run", "--", "touch", &touch][..],
        &["shell", "a", "--dry-run"],
    ] {
        let (code, _, output) = ask(words);
        let text = said(&output);
        assert_eq!(code, Some(0));
        assert!(
            text.contains("nothing was started") && text.contains(&format!("uid {uid}")),
            "{text}"
        );
    }
    assert!(!home.join("touched").exists());
    no_sandbox_is_left(&instance);
    let (code, _, _) = ask(&["exec", "nobody", "--dry-run", "--", "true"]);
    assert_eq!(code, Some(125));

    let script = "echo out; echo err >&2; head -c 2000000 /dev/zero; exit 7";
    let (code, document, output) = ask(&["exec", "a", "--json", "--", "sh", "-c", script]);
    assert_eq!(code, Some(7), "{output:?}");
    assert_eq!(
        (&document["status"], &document["signal"]),
        (&7.into(), &serde_json::Value::Null)
    );
    assert_eq!(document["errors"]["text"], "err\n");
    assert_eq!(
        (&document["output"]["bytes"], &document["output"]["is_cut"]),
        (&2_000_004.into(), &true.into())
    );
    let text = document["output"]["text"].as_str().expect("text");
    assert!(
        text.starts_with("out\n") && text.len() == 1 << 20,
        "{}",
        text.len()
    );
    let (code, document, _) = ask(&["exec", "a", "--json", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(
        (code, &document["output"]["text"]),
        (Some(137), &"".into()),
        "{document:#}"
    );
    let (code, document, _) = ask(&["exec", "nobody", "--json", "--", "true"]);
    assert!(
        document["error"]
            .as_str()
            .is_some_and(|text| text.contains("'nobody'"))
    );
    assert_eq!(code, Some(125));
}

#[test]
fn ten_megabytes_pass_through_unchanged() {
    let instance = instance("exec-bytes");
    let bytes: Vec<u8> = (0..10_u32 << 20)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut child = hostel(
        &instance,
        &["exec", "a", "--", "sh", "-c", "tee /dev/stderr"],
    )
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .expect("hostel starts");
    let mut input = child.stdin.take().expect("piped");
    let (mut output, mut errors) = (
        child.stdout.take().expect("piped"),
        child.stderr.take().expect("piped"),
    );
    let given = bytes.clone();
    let writer = thread::spawn(move || input.write_all(&given).expect("it reads all"));
    let second = thread::spawn(move || {
        let mut all = Vec::new();
        errors.read_to_end(&mut all).expect("a pipe");
        all
    });
    let mut all = Vec::new();
    output.read_to_end(&mut all).expect("a pipe");
    writer.join().expect("no panic");
    assert!(child.wait().expect("a child").success());
    assert!(all == bytes, "{} bytes of output", all.len());
    assert!(second.join().expect("no panic") == bytes);
    // Whoever reads no more is not waited for.
    let cut = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "'{}' --config '{}' exec a -- yes | head -1",
            instance.program("hostel").display(),
            instance.configuration().display()
        ))
        .output()
        .expect("sh starts");
    assert_eq!(said(&cut), "y");
    no_sandbox_is_left(&instance);
}

#[test]
fn the_tools_of_php_applications_work() {
    let instance = instance("exec-tools");
    let (uid, _) = User::One.ids();
    let php = exec(
        &instance,
        &[
            "php",
            "-r",
            "echo posix_geteuid(), ' ', ini_get('memory_limit');",
        ],
    );
    assert_eq!(said(&php), format!("{uid} -1"), "{php:?}");
    let home = instance.home("a").display().to_string();
    let wp = exec(&instance, &["./wp", "plugin", "list"]);
    assert_eq!(
        said(&wp),
        format!("args plugin,list in {home} as {uid} by cli"),
        "{wp:?}"
    );
    let git = exec(
        &instance,
        &[
            "sh",
            "-c",
            "git init -q repo && cd repo && git config user.email a@b && git config user.name a && touch x && git add x && git commit -qm x && git log --format=%s",
        ],
    );
    assert_eq!(said(&git), "x", "{git:?}");
}

#[test]
fn composer_installs_what_the_site_then_serves() {
    let mut instance = Instance::new("exec-composer").site(
        Site::new("a", User::One)
            .file("composer.json", COMPOSER)
            .file("library/composer.json", "{\"name\": \"own/library\", \"version\": \"1.0\", \"autoload\": {\"psr-4\": {\"Own\\\\\": \"src\"}}}")
            .file("library/src/Word.php", "<?php namespace Own; class Word { const SAID = 'by way of composer'; }")
            .file("public/index.php", "<?php require '../vendor/autoload.php'; echo Own\\Word::SAID;"),
    );
    instance.write_configuration();
    let installed = exec(&instance, &["composer", "install", "--no-interaction"]);
    assert!(installed.status.success(), "{installed:?}");
    instance.serve();
    assert_eq!(instance.get("a.test", "/").text(), "by way of composer");
    let (uid, _) = User::One.ids();
    let autoload = instance.home("a").join("vendor/autoload.php");
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(autoload).expect("it is there"));
    assert_eq!(owner, uid);
}

/// A library beside it, copied: no network is needed.
const COMPOSER: &str = r#"{
    "name": "own/site",
    "repositories": [
        {"packagist.org": false},
        {"type": "path", "url": "library", "options": {"symlink": false}}
    ],
    "require": {"own/library": "1.0"}
}"#;

#[test]
fn limits_hold_for_commands_as_for_the_web() {
    let instance = Instance::new("exec-limits")
        .site(Site::new("a", User::One).toml("processes_max = 20\nmemory_max = \"128M\""));
    instance.write_configuration();
    let bomb = exec(
        &instance,
        &[
            "sh",
            "-c",
            "i=0; while [ $i -lt 60 ]; do sleep 100 & i=$((i+1)); done; echo all",
        ],
    );
    assert!(!said(&bomb).contains("all"), "{bomb:?}");
    let eater = exec(
        &instance,
        &["php", "-r", "$a = str_repeat('x', 400 << 20); echo 'all';"],
    );
    assert!(
        !said(&eater).contains("all") && !eater.status.success(),
        "{eater:?}"
    );
    no_sandbox_is_left(&instance);
}

#[test]
fn signals_reach_the_command_and_its_end_is_the_end_of_all() {
    let instance = instance("exec-signals");
    let mut child = hostel(
        &instance,
        &[
            "exec",
            "a",
            "--",
            "sh",
            "-c",
            "trap 'echo got; exit 9' TERM; echo up; while :; do sleep 0.1; done",
        ],
    )
    .stdout(Stdio::piped())
    .spawn()
    .expect("hostel starts");
    let mut output = child.stdout.take().expect("piped");
    let mut up = [0; 3];
    output.read_exact(&mut up).expect("it says so");
    process::signal_by_id(i32::try_from(child.id()).expect("small"), Signal::TERM);
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("a pipe");
    assert_eq!(rest, "got\n");
    assert_eq!(child.wait().expect("a child").code(), Some(9));
    // A killed hostel takes the sandbox with it.
    let mut child = hostel(
        &instance,
        &[
            "exec",
            "a",
            "--",
            "sh",
            "-c",
            "sleep 1000 & echo up; sleep 1000",
        ],
    )
    .stdout(Stdio::piped())
    .spawn()
    .expect("hostel starts");
    child
        .stdout
        .take()
        .expect("piped")
        .read_exact(&mut up)
        .expect("it says so");
    assert!(!process::with_mounts_of(&instance.path("")).is_empty());
    child.kill().expect("it runs");
    child.wait().expect("a child");
    no_sandbox_is_left(&instance);
}

fn shell(instance: &Instance) -> Terminal {
    let program = instance.program("hostel").display().to_string();
    let configuration = instance.configuration().display().to_string();
    let mut terminal = Terminal::start(&[&program, "--config", &configuration, "shell", "a"]);
    terminal.wait_for("$ ");
    // The words in two parts, so that what is typed is not taken for what is said.
    terminal.press(b"PS1=; echo rea''dy\r");
    terminal.wait_for("ready\r\n");
    terminal
}

#[test]
fn a_shell_has_a_terminal_of_its_own() {
    let instance = instance("shell");
    let mut terminal = shell(&instance);
    terminal.press(b"tty; id -u; echo do''ne\r");
    let (uid, _) = User::One.ids();
    terminal.wait_for(&format!("/dev/pts/0\r\n{uid}\r\ndone"));
    terminal.resize(33, 111);
    terminal.press(b"while [ \"$(stty size)\" != '33 111' ]; do sleep 0.1; done; echo siz''ed\r");
    terminal.wait_for("sized");
    // Ctrl-C reaches the program in front, and not the shell or hostel.
    terminal.press(b"sh -c 'echo st''arted; exec sleep 1000'\r");
    terminal.wait_for("started");
    terminal.press(&[3]);
    terminal.press(b"echo in''terrupted $?\r");
    terminal.wait_for("interrupted 130");
    // There is one terminal, which can be opened and set, and no way to others.
    terminal.press(b"ls /dev/pts | tr '\\n' ' '; stty -F /dev/tty -echo && stty -F /dev/tty echo && echo s''et\r");
    terminal.wait_for("0 ptmx set");
    terminal.press(b"cat /dev/pts/ptmx; echo tri''ed\r");
    terminal.wait_for("denied\r\ntried");
    terminal.press(b"exit 5\r");
    assert_eq!(terminal.ended().code(), Some(5));
    assert!(terminal.is_sane());
    no_sandbox_is_left(&instance);
}

#[test]
fn a_site_types_nothing_at_the_administrators_terminal() {
    let instance = instance("shell-tiocsti");
    let mut terminal = shell(&instance);
    // 0x5412 is TIOCSTI; each descriptor that leads to a terminal, and the terminal of the session, are tried.
    let script = "my @all = (*STDIN, *STDOUT, *STDERR);\n\
                  for my $path ('/dev/tty', '/dev/pts/0') { open(my $one, '+<', $path) or die; push @all, $one }\n\
                  for my $one (@all) { my $key = '#'; print ioctl($one, 0x5412, $key) ? 'typed' : 'stopped ' . ($! + 0), \"\\n\" }\n";
    fs::write(instance.home("a").join("type.pl"), script).expect("home");
    terminal.press(b"perl type.pl; echo tri''ed\r");
    terminal.wait_for("stopped 1\r\nstopped 1\r\nstopped 1\r\nstopped 1\r\nstopped 1\r\ntried");
    // Who is killed leaves nothing behind; the terminal it was at is nobody's who could restore it.
    process::signal_by_id(terminal.pid(), Signal::KILL);
    terminal.ended();
    no_sandbox_is_left(&instance);
    let mut terminal = shell(&instance);
    process::signal_by_id(terminal.pid(), Signal::TERM);
    terminal.ended();
    assert!(terminal.is_sane(), "the terminal was left in raw mode");
    no_sandbox_is_left(&instance);
}

#[test]
fn a_shell_without_a_terminal_reads_commands() {
    let instance = instance("shell-pipe");
    let mut child = hostel(&instance, &["shell", "a"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("hostel starts");
    let mut input = child.stdin.take().expect("piped");
    input
        .write_all(b"tty; echo $0; exit 4\n")
        .expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("a child");
    assert_eq!(said(&output), "not a tty\n/bin/bash");
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn commands_and_the_web_run_beside_each_other() {
    let mut instance = instance("exec-beside").start();
    let (uid, _) = User::One.ids();
    assert_eq!(instance.get("a.test", "/").text(), uid.to_string());
    let keepers = instance
        .running("hostel-keeper")
        .iter()
        .map(|one| one.pid)
        .collect::<Vec<_>>();
    // Its own sandbox: it does not see the site's processes, but its files.
    let seen = exec(
        &instance,
        &[
            "sh",
            "-c",
            "ps -A -o comm= | grep -c php; echo x > public/new.txt; touch /tmp/new",
        ],
    );
    assert_eq!(said(&seen), "0", "{seen:?}");
    assert_eq!(instance.get("a.test", "/new.txt").text(), "x\n");
    let after = instance
        .running("hostel-keeper")
        .iter()
        .map(|one| one.pid)
        .collect::<Vec<_>>();
    assert_eq!(keepers, after);
    let monitor = Process::find(instance.monitor_pid());
    assert!(monitor.is_some());
    let left = instance.stop();
    assert_eq!(left, hostel_e2e::Leftovers::default());
}
