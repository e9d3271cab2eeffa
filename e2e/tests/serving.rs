//! What visitors get: hosts, links that stay within a site and those that do not, slow clients, bounds, logs, status.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use hostel_e2e::load::Connections;
use hostel_e2e::site::{link_as, own, write_as};
use hostel_e2e::{Framing, Instance, Load, Request, Signal, Site, User, patience, wait_until};

/// The bound of the design: what changed on disk is seen within a second; the rest is for a busy machine.
const STALE_MAX: Duration = Duration::from_millis(1500);

fn one_site(name: &str, site: Site) -> Instance {
    Instance::new(name).site(site).start()
}

fn wait_for(what: &str, limit: Duration, done: impl FnMut() -> bool) {
    assert!(wait_until(limit, done), "not within {limit:?}: {what}");
}

#[test]
fn hosts_lead_to_sites() {
    let site = |name: &str, user, domains: &[&str]| {
        Site::new(name, user)
            .domains(domains)
            .file("public/index.html", name.to_owned())
    };
    let instance = Instance::new("hosts")
        .site(site("plain", User::One, &["plain.test", "www.plain.test"]))
        .site(site("wild", User::Two, &["*.wild.test"]))
        .site(site(
            "exact",
            User::Three,
            &["exact.wild.test", "*.deep.wild.test"],
        ))
        .start();
    for (host, expected) in [
        ("plain.test", "plain"),
        ("www.plain.test", "plain"),
        ("PLAIN.Test", "plain"),
        ("plain.test.", "plain"),
        ("plain.test:8080", "plain"),
        ("a.wild.test", "wild"),
        ("a.b.wild.test", "wild"),
        ("exact.wild.test", "exact"),
        ("x.deep.wild.test", "exact"),
        ("deep.wild.test", "wild"),
    ] {
        assert_eq!(instance.get(host, "/").text(), expected, "{host}");
    }
    for host in [
        "wild.test",
        "unknown.test",
        "plain.test.evil",
        "xplain.test",
        "127.0.0.1",
        "wildtest",
    ] {
        let answer = instance.get(host, "/");
        assert!(
            [404, 421].contains(&answer.status),
            "{host}: {}",
            answer.status
        );
        assert!(
            !answer.text().contains("plain") || host.contains("plain"),
            "{host}: {}",
            answer.text()
        );
    }
    let absolute = Request::get("unknown.test", "http://plain.test/");
    assert_eq!(
        instance.send(&absolute).text(),
        "plain",
        "the target's host goes before the Host header"
    );
}

#[test]
fn links_stay_within_the_site_and_the_system() {
    let b = Site::new("b", User::Two)
        .file("public/secret.txt", "b's secret")
        .file("public/secret.php", "<?php echo \"b's secret\";");
    let a = Site::new("a", User::One)
        .file("storage/app/public/photo.txt", "photo")
        .file("elsewhere/script.php", "<?php echo 'linked script';")
        .file("public/index.html", "a");
    let instance = Instance::new("links").site(a).site(b).start();
    let (home, other) = (instance.home("a"), instance.home("b"));
    let public = home.join("public");
    for open in [&other, &other.join("public")] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o755)).expect("b's home");
    }
    link_as(
        User::One,
        &home.join("storage/app/public"),
        &public.join("storage"),
    );
    link_as(
        User::One,
        Path::new("../storage/app/public"),
        &public.join("relative"),
    );
    link_as(
        User::One,
        &home.join("elsewhere/script.php"),
        &public.join("linked.php"),
    );
    link_as(
        User::One,
        Path::new("/usr/share/common-licenses/GPL-3"),
        &public.join("licence.txt"),
    );
    assert_eq!(instance.get("a.test", "/storage/photo.txt").text(), "photo");
    assert_eq!(
        instance.get("a.test", "/relative/photo.txt").text(),
        "photo"
    );
    assert_eq!(
        instance.get("a.test", "/linked.php").text(),
        "linked script"
    );
    assert!(
        instance
            .get("a.test", "/licence.txt")
            .text()
            .contains("GNU GENERAL PUBLIC LICENSE")
    );

    link_as(User::One, &other.join("public"), &public.join("theirs"));
    link_as(
        User::One,
        &other.join("public/secret.txt"),
        &public.join("theirs.txt"),
    );
    link_as(
        User::One,
        &other.join("public/secret.php"),
        &public.join("theirs.php"),
    );
    link_as(
        User::One,
        Path::new("../../b/public/secret.txt"),
        &public.join("up.txt"),
    );
    link_as(
        User::One,
        &instance.configuration(),
        &public.join("conf.txt"),
    );
    link_as(
        User::One,
        Path::new("/proc/1/environ"),
        &public.join("environ.txt"),
    );
    link_as(
        User::One,
        Path::new("/etc/shadow"),
        &public.join("shadow.txt"),
    );
    fs::hard_link(other.join("public/secret.txt"), public.join("hard.txt"))
        .expect("one file system");
    fs::hard_link(other.join("public/secret.php"), public.join("hard.php"))
        .expect("one file system");
    symlink("endless", public.join("endless")).expect("public");
    for path in [
        "/theirs/secret.txt",
        "/theirs/secret.php",
        "/theirs.txt",
        "/theirs.php",
        "/up.txt",
        "/conf.txt",
        "/environ.txt",
        "/shadow.txt",
        "/hard.txt",
        "/hard.php",
        "/endless",
        "/../../b/public/secret.txt",
        "/%2e%2e/%2e%2e/b/public/secret.txt",
        "/..%2f..%2fb/public/secret.txt",
    ] {
        let answer = instance.get("a.test", path);
        assert!(
            [400, 403, 404].contains(&answer.status),
            "{path}: {}",
            answer.status
        );
        assert!(
            !answer.text().contains("secret'") && !answer.text().contains("b's"),
            "{path}: {}",
            answer.text()
        );
    }
}

#[test]
fn a_release_is_switched_under_load() {
    let mut site = Site::new("a", User::One).toml("root = \"current/public\"");
    for release in ["1", "2"] {
        site = site
            .file(&format!("releases/{release}/public/file.txt"), release)
            .file(
                &format!("releases/{release}/public/index.php"),
                format!("<?php echo '{release}', '';"),
            );
    }
    let mut instance = Instance::new("switch").site(site);
    let home = instance.home("a");
    link_as(User::One, Path::new("releases/1"), &home.join("current"));
    instance = instance.start();
    let request = |n: u32| {
        Request::get(
            "a.test",
            if n.is_multiple_of(2) {
                "/file.txt"
            } else {
                "/"
            },
        )
    };
    let load = Load::start(
        instance.port(),
        3,
        Connections::Kept,
        request,
        |_, response| response.status == 200 && ["1", "2"].contains(&response.text().as_str()),
    );
    load.wait_for(50);
    for round in 0..6 {
        let release = if round % 2 == 0 {
            "releases/2"
        } else {
            "releases/1"
        };
        link_as(User::One, Path::new(release), &home.join("next"));
        fs::rename(home.join("next"), home.join("current")).expect("one directory");
        thread::sleep(Duration::from_millis(300));
    }
    link_as(User::One, Path::new("releases/2"), &home.join("next"));
    fs::rename(home.join("next"), home.join("current")).expect("one directory");
    thread::sleep(STALE_MAX);
    for path in ["/file.txt", "/", "/file.txt", "/"] {
        assert_eq!(
            instance.get("a.test", path).text(),
            "2",
            "{path} is of the old release"
        );
    }
    let counts = load.finish();
    assert_eq!(counts.lost(), 0, "{counts:?}");
    assert!(counts.right > 200, "{counts:?}");
}

#[test]
fn a_closed_or_changed_parent_is_seen_within_a_second() {
    let site = Site::new("a", User::One)
        .file("public/deep/er/hot.txt", "hot")
        .file("public/other/er/hot.txt", "another");
    let instance = one_site("closed", site);
    let public = instance.home("a").join("public");
    let hot = || instance.get("a.test", "/deep/er/hot.txt");
    let last_served = |text: &str| {
        let begun = Instant::now();
        let mut last = Duration::ZERO;
        while begun.elapsed() < STALE_MAX + Duration::from_millis(500) {
            if hot().text() == text {
                last = begun.elapsed();
            }
            thread::sleep(Duration::from_millis(5));
        }
        last
    };
    assert_eq!(hot().text(), "hot");
    fs::set_permissions(public.join("deep"), fs::Permissions::from_mode(0o000)).expect("public");
    let last = last_served("hot");
    assert!(
        last <= STALE_MAX,
        "served {last:?} after its parent was closed"
    );
    assert!([403, 404].contains(&hot().status));
    fs::set_permissions(public.join("deep"), fs::Permissions::from_mode(0o755)).expect("public");
    wait_for("open again", STALE_MAX, || hot().text() == "hot");
    fs::rename(public.join("deep"), public.join("old")).expect("public");
    fs::rename(public.join("other"), public.join("deep")).expect("public");
    let last = last_served("hot");
    assert!(
        last <= STALE_MAX,
        "served {last:?} after another took its place"
    );
    assert_eq!(hot().text(), "another");
    write_as(
        User::One,
        &public.join("deep/er/hot.txt"),
        "changed in place",
    );
    wait_for("changed", STALE_MAX, || hot().text() == "changed in place");
}

#[test]
fn a_slow_download_holds_no_worker() {
    let script =
        "<?php for ($i = 0; $i < 320; $i++) { echo str_repeat(chr(65 + $i % 26), 65536); }";
    let site = Site::new("a", User::One)
        .toml("workers_max = 1")
        .file("public/big.php", script)
        .file("public/hello.php", "<?php echo 'hello';");
    let instance = one_site("slow-download", site);
    let mut slow = instance.connect();
    slow.send(&Request::get("a.test", "/big.php").bytes())
        .expect("sent");
    let head = slow.receive_head().expect("a head");
    assert_eq!(head.status, 200);
    // The one worker must become free although nobody reads.
    let begun = Instant::now();
    assert_eq!(instance.get("a.test", "/hello.php").text(), "hello");
    assert!(
        begun.elapsed() < patience(Duration::from_secs(3)),
        "waited {:?} for the worker",
        begun.elapsed()
    );
    let body = slow.finish_body(&head).expect("the rest");
    assert_eq!(body.len(), 320 * 65536);
    for (index, block) in body.chunks(65536).enumerate() {
        let letter = b'A' + u8::try_from(index % 26).expect("a letter");
        assert!(
            block.iter().all(|&b| b == letter),
            "block {index} is broken"
        );
    }
}

#[test]
fn a_slow_upload_holds_no_worker_and_arrives_whole() {
    let script = "<?php $h = hash_init('sha256'); $n = 0; $f = fopen('php://input', 'r'); while (($s = fread($f, 65536)) !== '' && $s !== false) { hash_update($h, $s); $n += strlen($s); } echo $n, ' ', hash_final($h);";
    let site = Site::new("a", User::One)
        .toml("workers_max = 1\n[php.value]\npost_max_size = \"200M\"")
        .file("public/take.php", script)
        .file("public/sum.php", "<?php echo strlen(str_repeat('0123456789abcdef', 1 << 21)), ' ', hash('sha256', str_repeat('0123456789abcdef', 1 << 21));")
        .file("public/hello.php", "<?php echo 'hello';");
    let instance = one_site("slow-upload", site);
    let body = b"0123456789abcdef".repeat(1 << 21);
    let mut slow = instance.connect();
    let head = format!(
        "POST /take.php HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    slow.send(head.as_bytes()).expect("sent");
    slow.send(&body[..1000]).expect("sent");
    for _ in 0..5 {
        assert_eq!(instance.get("a.test", "/hello.php").text(), "hello");
        thread::sleep(Duration::from_millis(50));
    }
    slow.send(&body[1000..]).expect("sent");
    let answer = slow.receive("POST").expect("an answer");
    assert_eq!(answer.text(), instance.get("a.test", "/sum.php").text());
}

#[test]
fn a_body_beyond_the_bound_is_refused() {
    let site = Site::new("a", User::One)
        .toml("body_bytes_max = \"1M\"")
        .file("public/index.php", "<?php echo 'ran';");
    let instance = one_site("too-large", site);
    let mut connection = instance.connect();
    let head = b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n";
    connection.send(head).expect("sent");
    let answer = connection
        .receive("POST")
        .expect("an answer before the body");
    assert_eq!((answer.status, answer.interim.as_slice()), (413, &[][..]));
    let mut connection = instance.connect();
    connection
        .send(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        .expect("sent");
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    for _ in 0..20 {
        if connection.send(&chunk).is_err() {
            break;
        }
    }
    assert_eq!(connection.receive("POST").expect("an answer").status, 413);
}

#[test]
fn the_queue_is_bounded_in_length_and_time() {
    let site = Site::new("a", User::One)
        .toml("workers_max = 1\nqueue_max = 2\nqueue_seconds_max = 2")
        .file(
            "public/sleep.php",
            "<?php usleep((int) $_GET['ms'] * 1000); echo 'slept';",
        );
    let instance = one_site("queue", site);
    assert_eq!(instance.get("a.test", "/sleep.php?ms=0").text(), "slept");
    let port = instance.port();
    let ask = move |ms: u32| {
        thread::spawn(move || {
            let request = Request::get("a.test", &format!("/sleep.php?ms={ms}"));
            let begun = Instant::now();
            (
                hostel_e2e::http::exchange(port, &request).expect("an answer"),
                begun.elapsed(),
            )
        })
    };
    let threads: Vec<_> = (0..7)
        .map(|_| {
            thread::sleep(Duration::from_millis(20));
            ask(700)
        })
        .collect();
    let answers: Vec<_> = threads
        .into_iter()
        .map(|t| t.join().expect("no panic"))
        .collect();
    let refused: Vec<_> = answers.iter().filter(|(a, _)| a.status == 503).collect();
    assert_eq!(
        refused.len(),
        4,
        "one runs, two wait: {:?}",
        answers.iter().map(|(a, _)| a.status).collect::<Vec<_>>()
    );
    for (answer, took) in refused {
        let seconds = answer
            .header("Retry-After")
            .expect("Retry-After")
            .parse::<u32>()
            .expect("seconds");
        assert!((1..=120).contains(&seconds));
        assert!(
            *took < patience(Duration::from_millis(500)),
            "refused after {took:?}"
        );
    }
    assert_eq!(
        answers.iter().filter(|(a, _)| a.text() == "slept").count(),
        3
    );

    let running = ask(4000);
    thread::sleep(Duration::from_millis(200));
    let (waited, took) = ask(0).join().expect("no panic");
    assert_eq!(waited.status, 503);
    assert!(waited.header("Retry-After").is_some());
    assert!(
        (1500..3500).contains(&took.as_millis()),
        "gave up after {took:?}"
    );
    assert_eq!(running.join().expect("no panic").0.text(), "slept");
}

#[test]
fn a_stuck_worker_is_killed() {
    let site = Site::new("a", User::One)
        .toml("workers_max = 1\nrequest_seconds_max = 1\n[php.value]\nmax_execution_time = 0")
        .file("public/pid.php", "<?php echo getmypid();")
        .file("public/sleep.php", "<?php sleep(20); echo 'slept';")
        .file("public/spin.php", "<?php while (true) { }")
        .file(
            "public/began.php",
            "<?php echo str_repeat('x', 100000); flush(); sleep(20);",
        );
    let instance = one_site("stuck", site);
    let mut pid = instance.get("a.test", "/pid.php").text();
    for path in ["/sleep.php", "/spin.php"] {
        let begun = Instant::now();
        let answer = instance.get("a.test", path);
        assert_eq!(answer.status, 504, "{path}");
        let took = begun.elapsed();
        assert!(
            (900..3000).contains(&took.as_millis()),
            "{path} took {took:?}"
        );
        let next = instance.get("a.test", "/pid.php").text();
        assert_ne!(next, pid, "{path}: the stuck worker still serves");
        pid = next;
    }
    // An answer that has begun cannot become a 504: it must be cut so that the client notices.
    let mut connection = instance.connect();
    let cut = connection.exchange(&Request::get("a.test", "/began.php"));
    assert!(
        cut.is_err(),
        "a cut answer looked complete: {} bytes",
        cut.expect("complete").body.len()
    );
}

#[test]
fn output_is_streamed_and_an_abort_is_noticed() {
    let stream = "<?php header('Content-Type: text/plain'); echo 'first'; ob_flush(); flush(); usleep(1500000); echo 'second';";
    let abort = "<?php ignore_user_abort((bool) $_GET['ignore']); register_shutdown_function(function () { file_put_contents(__DIR__ . '/end-' . $_GET['ignore'], connection_status() . ' ' . connection_aborted()); }); for ($i = 0; $i < 60; $i++) { echo str_repeat('x', 8192); @ob_flush(); flush(); usleep(50000); } file_put_contents(__DIR__ . '/all-' . $_GET['ignore'], 'ran to the end');";
    let site = Site::new("a", User::One)
        .file("public/stream.php", stream)
        .file("public/abort.php", abort);
    let instance = one_site("stream", site);
    let mut connection = instance.connect();
    let begun = Instant::now();
    connection
        .send(&Request::get("a.test", "/stream.php").bytes())
        .expect("sent");
    let head = connection.receive_head().expect("a head");
    let first = connection.some(1024).expect("a part");
    let after = begun.elapsed();
    assert!(
        after < patience(Duration::from_millis(1200)),
        "the first part came after {after:?}"
    );
    assert!(String::from_utf8_lossy(&first).contains("first"));
    assert!(head.header("Content-Length").is_none());
    assert!(String::from_utf8_lossy(&connection.some(1024).expect("more")).contains("second"));

    for ignore in ["0", "1"] {
        let mut connection = instance.connect();
        connection
            .send(&Request::get("a.test", &format!("/abort.php?ignore={ignore}")).bytes())
            .expect("sent");
        connection.receive_head().expect("a head");
        drop(connection);
    }
    let public = instance.home("a").join("public");
    let read = |name: &str| fs::read_to_string(public.join(name)).unwrap_or_default();
    wait_for("both scripts end", Duration::from_secs(8), || {
        !read("end-0").is_empty() && !read("end-1").is_empty()
    });
    assert_eq!(
        (read("end-0").as_str(), read("end-1").as_str()),
        ("1 1", "1 1")
    );
    assert!(
        read("all-0").is_empty(),
        "a script ran on though its client had left"
    );
    assert_eq!(read("all-1"), "ran to the end");
}

#[test]
fn connections_are_kept_and_pipelined() {
    let site = Site::new("a", User::One)
        .file(
            "public/n.php",
            "<?php usleep((int) ($_GET['ms'] ?? 0) * 1000); echo 'n=', $_GET['n'];",
        )
        .file("public/file.txt", "file")
        .file(
            "public/early.php",
            "<?php header('HTTP/1.1 103 Early Hints'); echo 'body';",
        );
    let instance = one_site("kept", site);
    let mut connection = instance.connect();
    let mut bytes = Vec::new();
    for target in [
        "/n.php?n=1&ms=100",
        "/file.txt",
        "/n.php?n=2",
        "/nothing",
        "/n.php?n=3",
    ] {
        bytes.extend(Request::get("a.test", target).bytes());
    }
    connection.send(&bytes).expect("sent");
    let mut texts = Vec::new();
    for _ in 0..5 {
        let answer = connection.receive("GET").expect("an answer");
        texts.push(if answer.status == 200 {
            answer.text()
        } else {
            answer.status.to_string()
        });
    }
    assert_eq!(texts, ["n=1", "file", "n=2", "404", "n=3"]);
    let answer =
        connection.exchange(&Request::get("a.test", "/n.php?n=4").header("Connection", "close"));
    assert!(answer.expect("an answer").closes());
    assert!(connection.rest().expect("the end").is_empty());

    let mut old = instance.connect();
    old.send(b"GET /n.php?n=5 HTTP/1.0\r\nHost: a.test\r\n\r\n")
        .expect("sent");
    let answer = old.receive("GET").expect("an answer");
    assert_eq!(answer.text(), "n=5");
    assert_ne!(answer.framing, Framing::Chunked, "HTTP/1.0 knows no chunks");
    // A 1xx status that PHP sets as its only one would leave the client waiting.
    let early = instance.get("a.test", "/early.php");
    assert!(early.status >= 200, "{}", early.status);
}

#[test]
fn multiple_ranges_come_as_parts() {
    let site = Site::new("a", User::One).file("public/file.txt", "0123456789abcdefghij");
    let instance = one_site("ranges", site);
    let answer =
        instance.send(&Request::get("a.test", "/file.txt").header("Range", "bytes=0-2,5-6,-3"));
    assert_eq!(answer.status, 206);
    let media_type = answer.header("Content-Type").expect("a type").to_owned();
    let boundary = media_type
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("parts");
    let text = answer.text();
    let parts: Vec<&str> = text.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 5, "{text}");
    for (part, (range, content)) in
        parts[1..4]
            .iter()
            .zip([("0-2", "012"), ("5-6", "56"), ("17-19", "hij")])
    {
        assert!(
            part.contains(&format!("Content-Range: bytes {range}/20")),
            "{part}"
        );
        assert!(
            part.ends_with(&format!("\r\n\r\n{content}\r\n")),
            "{part:?}"
        );
    }
    // Many ranges that overlap are an attack on memory and bandwidth.
    let many = (0..400).map(|_| "0-19").collect::<Vec<_>>().join(",");
    let answer = instance
        .send(&Request::get("a.test", "/file.txt").header("Range", &format!("bytes={many}")));
    assert!(answer.body.len() < 4000, "{} bytes", answer.body.len());
}

#[test]
fn a_large_file_arrives_whole_and_slowly_read() {
    let block: Vec<u8> = (0..1 << 16)
        .map(|n: u32| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
        .collect();
    let content = block.repeat(1024);
    let site = Site::new("a", User::One)
        .file("public/large.bin", content.clone())
        .file("public/small.txt", "small");
    let instance = one_site("large-file", site);
    let mut slow = instance.connect();
    slow.send(&Request::get("a.test", "/large.bin").bytes())
        .expect("sent");
    let head = slow.receive_head().expect("a head");
    assert_eq!(
        head.header("Content-Length"),
        Some(content.len().to_string().as_str())
    );
    assert_eq!(instance.get("a.test", "/small.txt").text(), "small");
    assert!(
        slow.finish_body(&head).expect("the rest") == content,
        "the file was broken on its way"
    );
}

#[test]
fn logs_cannot_be_forged_and_are_the_groups_to_read() {
    let script =
        "<?php error_log(\"first\\n[22-Nov-2026 00:00:00 UTC] forged line\\x1b[31m\"); echo 'ok';";
    let site = Site::new("a", User::One)
        .file("public/index.php", script)
        .file("public/file.txt", "file");
    let instance = one_site("logs", site);
    let request = Request::get("a.test", "/?q=%22%0a%1bforged")
        .header("User-Agent", "agent \" with \\ and ü")
        .header("Referer", "http://from.test/\" - - forged");
    assert_eq!(instance.send(&request).text(), "ok");
    assert_eq!(instance.get("a.test", "/file.txt").status, 200);
    assert_eq!(instance.get("a.test", "/missing.txt").text(), "ok");
    wait_for("three lines", Duration::from_secs(3), || {
        instance.log("a", "access").lines().count() >= 3
    });
    let log = instance.log("a", "access");
    assert_eq!(log.lines().count(), 3, "{log}");
    for line in log.lines() {
        assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
        assert!(line.chars().all(|c| !c.is_control()), "{line:?}");
        assert_eq!(quoted_fields(line), 3, "request, referer and agent: {line}");
        assert!(
            line.contains(" a ") || line.ends_with(" a"),
            "the site's name: {line}"
        );
    }
    assert!(
        log.contains("\"GET /?q=%22%0a%1bforged HTTP/1.1\" 200 2 "),
        "{log}"
    );
    wait_for("the error", Duration::from_secs(3), || {
        instance.log("a", "error").contains("forged line")
    });
    let errors = instance.log("a", "error");
    assert!(
        errors
            .lines()
            .all(|line| !line.starts_with("[22-Nov-2026 00:00:00 UTC]")),
        "{errors}"
    );
    assert!(!errors.contains('\u{1b}'), "{errors:?}");

    let directory = instance.path("logs/a");
    let metadata = directory.metadata().expect("made");
    assert_eq!(
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777),
        (0, User::One.ids().1, 0o750)
    );
    for kind in ["access", "error"] {
        let metadata = directory
            .join(format!("{kind}.log"))
            .metadata()
            .expect("made");
        assert_eq!(
            (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777),
            (0, User::One.ids().1, 0o640),
            "{kind}"
        );
    }

    let (old, new) = (directory.join("access.log.1"), directory.join("access.log"));
    fs::rename(&new, &old).expect("the log's directory");
    instance.signal(Signal::USR1);
    wait_for("a new file", Duration::from_secs(3), || new.exists());
    wait_for("the new file in use", Duration::from_secs(5), || {
        instance.get("a.test", "/file.txt?after");
        instance.log("a", "access").contains("/file.txt?after")
    });
}

#[test]
fn a_flood_of_messages_fills_no_disk_and_stops_no_visitor() {
    let flood = "<?php for ($i = 0; $i < 20000; $i++) { error_log(str_repeat('flood ', 100)); } echo 'flooded';";
    let site = Site::new("a", User::One)
        .file("public/flood.php", flood)
        .file("public/hello.php", "<?php echo 'hello';");
    let instance = one_site("flood", site);
    let port = instance.port();
    let begun = Instant::now();
    let flooding = thread::spawn(move || {
        hostel_e2e::http::exchange(port, &Request::get("a.test", "/flood.php"))
    });
    for _ in 0..10 {
        assert_eq!(instance.get("a.test", "/hello.php").text(), "hello");
    }
    let answer = flooding.join().expect("no panic").expect("an answer");
    assert_eq!(answer.text(), "flooded");
    // The budget of an error log is 1000 lines in a second.
    let lines = instance.log("a", "error").lines().count();
    let seconds = usize::try_from(begun.elapsed().as_secs()).expect("few") + 2;
    assert!(
        (100..=1100 * seconds).contains(&lines),
        "{lines} lines of 20000 in {seconds} s"
    );
}

/// How many fields in double quotes a line has, `\"` within them not counted.
fn quoted_fields(line: &str) -> usize {
    let plain = line
        .replace("\\\\", "")
        .replace("\\\"", "")
        .replace("\\x22", "");
    plain.matches('"').count() / 2
}

#[test]
fn the_status_tells_sites_processes_and_requests() {
    let site = |name: &str, user| Site::new(name, user).file("public/index.php", "<?php echo 1;");
    let instance = Instance::new("status")
        .site(site("awake", User::One))
        .site(site("asleep", User::Two))
        .start();
    for _ in 0..7 {
        assert_eq!(instance.get("awake.test", "/").text(), "1");
    }
    let (ok, output, errors) = instance.command(&["status", "--json"]);
    assert!(ok, "{errors}");
    let status: serde_json::Value = serde_json::from_str(&output).expect("JSON");
    let sites = status["sites"].as_array().expect("a list of sites");
    let find = |name: &str| {
        sites
            .iter()
            .find(|site| site["name"] == name)
            .expect("the site")
    };
    assert_eq!(sites.len(), 2);
    assert_eq!(find("awake")["user"], User::One.name());
    assert_eq!(find("awake")["requests"], 7, "{output}");
    assert_eq!(find("asleep")["requests"], 0, "{output}");
    let keeper = instance.running("hostel-keeper");
    assert_eq!(
        keeper.len(),
        1,
        "the site without a visitor must have no process"
    );
    assert!(
        output.contains(&keeper[0].pid.to_string()),
        "the keeper's id: {output}"
    );
    let (ok, text, _) = instance.command(&["status"]);
    assert!(
        ok && text.contains("awake") && text.contains("asleep"),
        "{text}"
    );
}

#[test]
fn php_settings_of_the_site_hold() {
    let script = "<?php ini_set('memory_limit', '1G'); @ini_set('display_errors', '1'); echo ini_get('memory_limit'), ' ', ini_get('display_errors'), ' ', ini_get('upload_max_filesize'), ' ', function_exists('exec') ? 'exec' : 'no exec';";
    let site = Site::new("a", User::One)
        .toml("[php.value]\ndisplay_errors = false\nupload_max_filesize = \"9M\"\n[php.admin_value]\nmemory_limit = \"48M\"\ndisable_functions = \"exec\"")
        .file("public/index.php", script)
        .file("public/.user.ini", "memory_limit = 2G\n");
    let instance = one_site("settings", site);
    assert_eq!(instance.get("a.test", "/").text(), "48M 1 9M no exec");
}

#[test]
fn what_is_not_there_is_said_plainly() {
    let site = Site::new("a", User::One).file("public/here.txt", "here");
    let instance = one_site("plain", site);
    own(&instance.home("a"), User::One);
    for path in [
        "/nothing",
        "/nothing.php",
        "/here.txt/below",
        "/.env",
        "/.git/config",
    ] {
        let answer = instance.get("a.test", path);
        assert!(
            [403, 404].contains(&answer.status),
            "{path}: {}",
            answer.status
        );
        assert_eq!(
            answer
                .header("Content-Type")
                .map(|t| t.starts_with("text/")),
            Some(true),
            "{path}"
        );
    }
    assert_eq!(
        instance.get("a.test", "/").status,
        403,
        "no listing of a directory"
    );
}
