//! The barriers within a site's sandbox, as scripts meet them: what a script must not reach, and what every application needs.

use std::fs;
use std::thread;
use std::time::Duration;

use hostel_e2e::{Browser, Instance, Part, Request, Site, User, programs, wait_until};
use hostel_sys::sandbox::features;
use serde_json::Value;

/// Tries every other process of the sandbox: its memory, its environment, and two signals that do nothing.
const OTHERS: &str = r#"<?php
$tried = [];
foreach (scandir('/proc') as $pid) {
    if (!ctype_digit($pid) || $pid == getmypid()) continue;
    $mode = @file_get_contents("/proc/$pid/environ");
    $memory = @fopen("/proc/$pid/mem", 'rb');
    $maps = @file_get_contents("/proc/$pid/maps");
    $probe = posix_kill((int) $pid, 0);
    $errno = posix_get_last_error();
    $tried[$pid] = [
        'name' => trim(@file_get_contents("/proc/$pid/comm")),
        'environment' => $mode, 'memory' => $memory !== false, 'maps' => $maps,
        'signal' => $probe, 'errno' => $errno, 'window' => posix_kill((int) $pid, SIGWINCH),
    ];
}
echo json_encode($tried);"#;

/// Two children of its own: one that it may signal, one that is left running.
const CHILDREN: &str = r#"<?php
$own = proc_open(['sleep', '20'], [], $pipes);
$pid = proc_get_status($own)['pid'];
usleep(200000); // until it is another program: until then it is as unreadable as this one
$environment = file_get_contents("/proc/$pid/environ") !== false;
$ended = proc_terminate($own, 9);
$left = (int) trim(shell_exec('sleep 20 >/dev/null 2>&1 & echo $!'));
file_put_contents('/tmp/left', $left);
sleep(2);
echo json_encode(['environment' => $environment, 'ended' => $ended, 'left' => posix_kill($left, 15)]);"#;

/// What applications do with files, programs and sockets.
const NEEDS: &str = r#"<?php
$home = getenv('HOME'); $seen = [];
session_start(); $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1; $seen['session'] = $_SESSION['count'];
$seen['upload'] = isset($_FILES['file']) && move_uploaded_file($_FILES['file']['tmp_name'], "$home/public/uploaded");
$seen['opcache'] = opcache_get_status(false)['opcache_statistics']['num_cached_scripts'] > 0;
@mkdir("$home/one"); @mkdir("$home/two");
file_put_contents("$home/one/file", 'x');
$seen['rename'] = rename("$home/one/file", "$home/two/file");
$seen['link'] = link("$home/two/file", "$home/one/link") && unlink("$home/one/link");
@rmdir("$home/two/moved"); @mkdir("$home/one/deep");
$seen['rename of a directory'] = rename("$home/one/deep", "$home/two/moved");
$seen['rename between mounts'] = file_put_contents('/tmp/file', 'y') && rename('/tmp/file', "$home/two/other");
$seen['chmod'] = chmod("$home/two/file", 0640) && touch("$home/two/file", 1000);
$seen['truncate'] = ftruncate(fopen("$home/two/file", 'r+'), 0);
$seen['lock'] = flock(fopen("$home/two/file", 'r+'), LOCK_EX);
$seen['shm'] = file_put_contents('/dev/shm/x', 'y') === 1;
$seen['system v'] = ($s = shm_attach(ftok(__FILE__, 'a'), 1000)) && shm_put_var($s, 1, 'v') && shm_remove($s);
$seen['fifo'] = posix_mkfifo("$home/two/fifo" . uniqid(), 0600);
$seen['null'] = file_put_contents('/dev/null', 'x') === 1;
$seen['random'] = strlen(random_bytes(8)) === 8 && strlen(file_get_contents('/dev/urandom', false, null, 0, 8)) === 8;
$seen['shell'] = trim(shell_exec('echo $((6*7)) | cat 2>&1')) === '42';
$seen['pipes'] = trim(shell_exec("bash -c 'diff <(echo a) <(echo a) && echo same' 2>&1"));
$has = fn($program) => trim(shell_exec("command -v $program 2>&1") ?? '') !== '';
$seen['git'] = !$has('git') ? null : trim(shell_exec("cd $home && rm -rf repository && git init -q repository 2>&1 && cd repository && echo a > a && git add a && git -c user.name=a -c user.email=a@b commit -qm a 2>&1 && git log --format=%s"));
$seen['node'] = !$has('node') ? null : trim(shell_exec('node -e "require(\'fs\').readFile(\'/etc/passwd\', (e, d) => { new (require(\'worker_threads\').Worker)(\'1\', {eval: true}).on(\'exit\', c => console.log(\'exit\', c, require(\'child_process\').execSync(\'echo child\').toString().trim())) })" 2>&1'));
$seen['perl'] = trim(shell_exec('perl -e \'if (fork() == 0) { exit 3 } wait; print $? >> 8\' 2>&1'));
$pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); fwrite($pair[0], 'z');
$seen['pair'] = fread($pair[1], 1);
$socket = "unix://$home/two/" . uniqid();
$server = stream_socket_server($socket);
$seen['unix'] = is_resource(stream_socket_client($socket));
$tcp = stream_socket_server('tcp://127.0.0.1:0');
$udp = stream_socket_client('udp://127.0.0.1:9');
$seen['sockets'] = is_resource($tcp) && is_resource($udp);
$seen['limit'] = set_time_limit(5);
echo json_encode($seen);"#;

/// What a script must not be able to do by way of a program.
const DENIED: &str = r#"<?php
echo json_encode([
    'user namespace' => trim(shell_exec('unshare --user --map-root-user id -u 2>&1')),
    'mount' => trim(shell_exec('perl -e \'my ($a, $b) = ("tmpfs", "/tmp"); print syscall(165, $a, $b, $a, 0, 0) < 0 ? $! : "mounted"\' 2>&1')),
    'raw socket' => trim(shell_exec('perl -MSocket -e \'socket(S, PF_INET, SOCK_RAW, 1) and print "open" or print $!\' 2>&1')),
    'packet socket' => trim(shell_exec('perl -e \'socket(S, 17, 3, 768) and print "open" or print $!\' 2>&1')),
    'trace' => trim(shell_exec('perl -e \'print syscall(101, 0, 0, 0, 0) < 0 ? $! : "traced"\' 2>&1')),
    'write to proc' => trim(shell_exec('sh -c "echo x > /proc/self/comm" 2>&1')),
    'dumpable' => trim(shell_exec('perl -e \'print syscall(157, 4, 1, 0, 0, 0) < 0 ? $! : "dumpable"\' 2>&1')),
]);"#;

fn site() -> Site {
    Site::new("a", User::One)
        .file("public/others.php", OTHERS)
        .file("public/children.php", CHILDREN)
        .file("public/needs.php", NEEDS)
        .file("public/denied.php", DENIED)
        .file("public/wait.php", "<?php sleep(2); echo 'waited';")
        .file("public/pid.php", "<?php $pid = (int) @file_get_contents('/tmp/left'); echo $pid < 2 ? 'not yet' : (posix_kill($pid, 0) ? 'reached' : posix_strerror(posix_get_last_error()));")
}

fn json(instance: &Instance, path: &str) -> Value {
    let answer = instance.get("a.test", path);
    let text = answer.text();
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{error}: {text}\n{}", instance.logs()))
}

/// Since Linux 6.12.
fn signals_are_kept_in() -> bool {
    features().landlock_abi.is_some_and(|version| version >= 6)
}

#[test]
fn a_worker_reaches_no_other_process_of_its_site() {
    let instance = Instance::new("worker").site(site()).start();
    let port = instance.port();
    let sibling = thread::spawn(move || {
        hostel_e2e::http::exchange(port, &Request::get("a.test", "/wait.php"))
    });
    let one = || !instance.workers().is_empty();
    assert!(
        wait_until(Duration::from_secs(5), one),
        "{}",
        instance.logs()
    );
    let tried = json(&instance, "/others.php");
    let tried = tried.as_object().expect("a table");
    let named = |name: &str| tried.values().filter(|other| other["name"] == name).count();
    assert_eq!(named("hostel-keeper"), 1, "{tried:?}");
    assert_eq!(named("hostel-php"), 1, "{tried:?}");
    assert!(named("hostel-worker") >= 1, "{tried:?}");
    for (pid, other) in tried {
        assert_eq!(other["environment"], false, "{pid}: {other}");
        assert_eq!(other["memory"], false, "{pid}: {other}");
        assert_eq!(other["maps"], false, "{pid}: {other}");
        if signals_are_kept_in() {
            assert_eq!(other["signal"], false, "{pid}: {other}");
            assert_eq!(other["errno"], 1, "{pid}: {other}");
            assert_eq!(other["window"], false, "{pid}: {other}");
        }
    }
    let answer = sibling.join().expect("no panic").expect("an answer");
    assert_eq!(answer.text(), "waited");
}

#[test]
fn a_worker_keeps_the_processes_that_it_starts() {
    let instance = Instance::new("children").site(site()).start();
    let port = instance.port();
    let parent = thread::spawn(move || {
        hostel_e2e::http::exchange(port, &Request::get("a.test", "/children.php"))
    });
    // While the first worker is busy, another one answers: it sees the process, and does not reach it.
    let mut answer = String::new();
    let is_told = || {
        answer = instance.get("a.test", "/pid.php").text();
        answer != "not yet"
    };
    assert!(
        wait_until(Duration::from_secs(5), is_told),
        "{}",
        instance.logs()
    );
    let right = match signals_are_kept_in() {
        true => "Operation not permitted",
        false => "reached",
    };
    assert_eq!(answer, right);
    let seen = parent.join().expect("no panic").expect("an answer");
    let seen: Value = serde_json::from_slice(&seen.body).expect("a table");
    assert_eq!(seen["environment"], true, "{seen}");
    assert_eq!(seen["ended"], true, "{seen}");
    assert_eq!(seen["left"], true, "{seen}");
}

#[test]
fn what_applications_need_works() {
    let instance = Instance::new("needs").site(site()).start();
    let mut browser = Browser::new(instance.port(), "a.test");
    let part = Part {
        name: "file",
        file: Some(("a.txt", "text/plain")),
        content: b"uploaded",
    };
    browser.get("/needs.php").expect("an answer");
    let answer = browser.upload("/needs.php", &[part]).expect("an answer");
    let text = answer.text();
    let seen: Value = serde_json::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{error}: {text}\n{}", instance.logs()));
    let expected = [
        ("session", Value::from(2)),
        ("pipes", "same".into()),
        ("git", "a".into()),
        ("node", "exit 0 child".into()),
        ("perl", "3".into()),
        ("pair", "z".into()),
    ];
    for (name, value) in seen.as_object().expect("a table") {
        if value.is_null() {
            println!("{name} is not tried: it is not installed here");
            continue;
        }
        let right = expected.iter().find(|(known, _)| known == name);
        assert_eq!(
            value,
            right.map_or(&Value::Bool(true), |(_, right)| right),
            "{name}: {seen}"
        );
    }
    let uploaded = fs::read_to_string(instance.home("a").join("public/uploaded"));
    assert_eq!(uploaded.expect("the upload"), "uploaded");
}

#[test]
fn what_nobody_needs_is_denied() {
    let instance = Instance::new("denied").site(site()).start();
    let seen = json(&instance, "/denied.php");
    for (name, value) in seen.as_object().expect("a table") {
        let text = value.as_str().unwrap_or_default();
        assert!(
            text.contains("not permitted") || text.contains("ermission denied"),
            "{name}: {seen}"
        );
    }
}

/// Only tests leave layers out, in programs that were built for it.
#[test]
fn no_shipped_program_knows_how_to_leave_a_layer_out() {
    for name in hostel_e2e::PROGRAMS {
        let program = fs::read(programs().join(name)).expect("the program");
        let word = b"HOSTEL_WITHOUT";
        assert!(
            !program.windows(word.len()).any(|part| part == word),
            "{name}"
        );
    }
}
