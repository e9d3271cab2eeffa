//! Sites' mail, from PHP's `mail()` to an SMTP server: what arrives, what is refused, what nothing is lost by.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hostel_e2e::process::signal_by_id;
use hostel_e2e::user::ids;
use hostel_e2e::{Instance, MailServer, Signal, Site, User, patience, wait_until};
use serde_json::Value;

/// `mail()` with what the request says; then what it has answered.
const SEND: &str = "<?php
    $ok = mail($_GET['to'] ?? 'a@b.test', $_GET['subject'] ?? 'Hello', $_GET['body'] ?? 'text', $_GET['headers'] ?? '', $_GET['options'] ?? '');
    echo $ok ? 'sent' : 'failed';";
/// A command of the site's, with what the request says as its input.
const RUN: &str = "<?php
    $process = proc_open($_GET['command'] . ' 2>&1', [['pipe', 'r'], ['pipe', 'w']], $pipes);
    fwrite($pipes[0], $_GET['input'] ?? ''); fclose($pipes[0]);
    echo stream_get_contents($pipes[1]), '=', proc_close($process);";
const SENDMAIL: &str = "/run/hostel/bin/hostel-sendmail";

fn site(name: &str, user: User) -> Site {
    Site::new(name, user)
        .file("public/send.php", SEND)
        .file("public/run.php", RUN)
        .file("public/index.php", "<?php echo 'fine';")
}

fn two_sites(name: &str, server: &MailServer) -> Instance {
    Instance::new(name)
        .settings(&server.settings())
        .site(site("a", User::One))
        .site(site("b", User::Two))
        .start()
}

fn query(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", hostel_e2e::encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn send(instance: &Instance, host: &str, pairs: &[(&str, &str)]) -> String {
    instance
        .get(host, &format!("/send.php?{}", query(pairs)))
        .text()
}

fn run(instance: &Instance, host: &str, command: &str, input: &str) -> String {
    let pairs = [("command", command), ("input", input)];
    instance
        .get(host, &format!("/run.php?{}", query(&pairs)))
        .text()
}

fn mail_log(instance: &Instance) -> String {
    fs::read_to_string(instance.path("logs/mail.log")).unwrap_or_default()
}

#[test]
fn mail_arrives_as_it_was_sent() {
    let mut server = MailServer::new("arrives");
    server.start();
    let attach = "<?php
        $file = chunk_split(base64_encode(random_bytes(5 << 20)));
        file_put_contents('/tmp/attached', $file);
        $head = \"MIME-Version: 1.0\\r\\nContent-Type: multipart/mixed; boundary=b\";
        $body = \"--b\\r\\nContent-Type: text/plain\\r\\n\\r\\nsee\\r\\n--b\\r\\nContent-Transfer-Encoding: base64\\r\\n\\r\\n{$file}--b--\";
        echo mail('a@b.test', 'attached', $body, $head) ? md5($file) : 'failed';";
    let instance = Instance::new("mail")
        .settings(&server.settings())
        .site(site("a", User::One).file("public/attach.php", attach))
        .start();
    let long = "ä".repeat(1100);
    let body = format!("Grüße\n.\n..\nFrom here\n{long}\nend");
    let sent = send(
        &instance,
        "a.test",
        &[
            ("to", "One <one@b.test>, two@b.test"),
            ("subject", "Größe"),
            ("body", &body),
            (
                "headers",
                "From: Shop <shop@a.test>\r\nCc: three@b.test\r\nBcc: four@b.test\r\nX-Own: 1",
            ),
            ("options", "-fbounces@a.test"),
        ],
    );
    assert_eq!(sent, "sent", "{}", instance.logs());
    let mail = server.wait_for(1).remove(0);
    assert_eq!(mail.sender, "bounces@a.test");
    assert_eq!(
        mail.recipients,
        ["one@b.test", "two@b.test", "three@b.test", "four@b.test"]
    );
    let head = mail.head();
    let has = |line: &str| head.iter().any(|one| one == line);
    for line in [
        "X-Hostel-Site: a",
        "X-Hostel-Script: send.php (as the site says)",
        "From: Shop <shop@a.test>",
        "Cc: three@b.test",
        "To: One <one@b.test>, two@b.test",
        "Subject: Größe",
        "X-Own: 1",
    ] {
        assert!(has(line), "{line} is not in {head:#?}");
    }
    assert!(
        head[0].starts_with("Received: from site a (uid "),
        "{head:#?}"
    );
    assert!(
        !mail.text().contains("four@b.test"),
        "Bcc is in the message"
    );
    assert!(
        head.iter()
            .any(|line| line.starts_with("Message-ID: <") && line.ends_with("@host.test>"))
    );
    assert!(head.iter().any(|line| line.starts_with("Date: ")));
    assert!(
        mail.text
            .split(|byte| *byte == b'\n')
            .all(|line| line.len() <= 999)
    );
    assert_eq!(
        mail.body().replace("\r\n ", "").trim_end(),
        body.replace('\n', "\r\n")
    );

    // Without a sender or a From of its own: its usual one.
    assert_eq!(send(&instance, "a.test", &[]), "sent");
    let mail = server.wait_for(2).remove(1);
    let usual = format!("{}@a.test", User::One.name());
    assert_eq!(mail.sender, usual);
    assert!(
        mail.head().contains(&format!("From: {usual}")),
        "{:?}",
        mail.head()
    );

    let sum = instance.get("a.test", "/attach.php").text();
    let mail = server.wait_for(3).remove(2);
    let (_, file) = mail
        .text()
        .split_once("base64\r\n\r\n")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("the attachment");
    let file = file
        .strip_suffix("\r\n")
        .unwrap_or(&file)
        .strip_suffix("--b--")
        .expect("its end")
        .to_owned();
    let attached =
        fs::read(instance.path("state/sites/a/tmp/attached")).expect("what was attached");
    assert_eq!(sum.len(), 32, "{sum}");
    assert!(file.as_bytes() == attached, "the attachment is another one");
    assert!(
        mail_log(&instance).contains("<one@b.test> sent"),
        "{}",
        mail_log(&instance)
    );
}

#[test]
fn a_server_behind_tls_and_a_login_gets_mail_too() {
    let mut server = MailServer::secure("secure");
    server.start();
    let instance = two_sites("mail-secure", &server);
    assert_eq!(send(&instance, "a.test", &[("to", "one@b.test")]), "sent");
    wait_until(Duration::from_secs(20), || !server.mails().is_empty());
    let arrived = server.mails();
    assert_eq!(arrived.len(), 1, "{}", mail_log(&instance));
    assert_eq!(arrived[0].recipients, ["one@b.test"]);
}

#[test]
fn whoever_starts_sendmail_is_understood() {
    let mut server = MailServer::new("sendmail");
    server.start();
    let instance = two_sites("mail-sendmail", &server);
    let to = |command: &str, input: &str| run(&instance, "a.test", command, input);
    assert_eq!(
        to(
            &format!("{SENDMAIL} -oi -r me@a.test one@b.test two"),
            "Subject: x\n\nbody\n"
        ),
        "=0"
    );
    let mail = server.wait_for(1).remove(0);
    assert_eq!(
        (mail.sender.as_str(), mail.recipients.as_slice()),
        (
            "me@a.test",
            &["one@b.test".to_owned(), "two@host.test".to_owned()][..]
        )
    );
    // One that closes all descriptors, as Python does before it starts a program.
    let python = "python3 -c \"import subprocess; print(subprocess.run(['/run/hostel/bin/hostel-sendmail', 'c@b.test'], input=b'Subject: y\\n\\nz').returncode)\"";
    assert_eq!(to(python, ""), "0\n=0");
    assert_eq!(server.wait_for(2)[1].recipients, ["c@b.test"]);
    for (command, input, status, said) in [
        ("-bs", "", 64, "-bs is not supported"),
        ("-z", "", 64, "unknown option -z"),
        ("-t", "Subject: x\n\n", 65, "there are no recipients"),
        (
            "'a b@c.test'",
            "x",
            65,
            "holds a character that no address has",
        ),
    ] {
        let answer = to(&format!("{SENDMAIL} {command}"), input);
        assert!(
            answer.contains(said) && answer.ends_with(&format!("={status}")),
            "{command}: {answer}"
        );
    }
    let answer = to(
        &format!("head -c 27000000 /dev/zero | {SENDMAIL} a@b.test"),
        "",
    );
    assert!(answer.contains("larger than 25 MiB"), "{answer}");
}

#[test]
fn neither_envelope_nor_stamp_can_be_forged() {
    let mut server = MailServer::new("forged");
    server.start();
    let instance = two_sites("mail-forged", &server);
    for input in [
        "To: x@b.test\nX-Hostel-Site: b\nReceived: from site b\n\nX-Hostel-Site: b\n",
        "To: x@b.test\r\nA: 1\rX-Hostel-Site: b\rx-hostel-script: c\r\n\r\n.\r\nMAIL FROM:<b@b.test>\r\n",
        "To: x@b.test\n\n\r\n.\r\nRSET\r\n\n.\nQUIT\n\r.\rDATA\r",
    ] {
        assert_eq!(
            run(&instance, "a.test", &format!("{SENDMAIL} -t"), input),
            "=0"
        );
    }
    let mails = server.wait_for(3);
    for mail in &mails {
        let head = mail.head();
        let stamps: Vec<_> = head
            .iter()
            .filter(|line| line.to_lowercase().starts_with("x-hostel-"))
            .collect();
        assert_eq!(stamps, ["X-Hostel-Site: a"], "{head:#?}");
        assert_eq!(mail.recipients, ["x@b.test"]);
        assert!(head[0].starts_with("Received: from site a "), "{head:#?}");
    }
    for (options, input) in [
        (
            "-t -f \"$(printf 'a@b.test\\nRCPT TO:<y@b.test>')\"",
            "To: x@b.test\n\n",
        ),
        ("-t -f 'a@b.test> SIZE=1'", "To: x@b.test\n\n"),
        ("\"$(printf 'x@b.test\\r\\nDATA')\"", "Subject: x\n\n"),
    ] {
        let answer = run(&instance, "a.test", &format!("{SENDMAIL} {options}"), input);
        assert!(answer.ends_with("=65"), "{options}: {answer}");
    }
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(
        server.mails().len(),
        3,
        "something that was refused was sent"
    );
}

#[test]
fn a_server_that_is_away_and_a_broker_that_is_killed_lose_nothing() {
    let mut server = MailServer::new("away");
    let mut instance = two_sites("mail-away", &server);
    let mut sent = Vec::new();
    for number in 0..12 {
        let to = format!("n{number}@b.test");
        let host = if number % 2 == 0 { "a.test" } else { "b.test" };
        assert_eq!(
            send(&instance, host, &[("to", &to)]),
            "sent",
            "{}",
            instance.logs()
        );
        sent.push(to);
        if number % 4 == 3 {
            let broker = instance.running("hostel-mail").remove(0);
            signal_by_id(broker.pid, Signal::KILL);
            assert!(wait_until(Duration::from_secs(20), || instance
                .running("hostel-mail")
                .iter()
                .any(|one| one.pid != broker.pid)));
        }
    }
    assert!(server.mails().is_empty());
    let (ok, said, errors) = instance.command(&["mail", "queue", "--json"]);
    assert!(ok && said.contains("\"messages\": 6"), "{said}{errors}");
    // The status has it beside all else of a site.
    let (_, said, errors) = instance.command(&["status", "--json"]);
    let status: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {errors}"));
    for site in status["sites"].as_array().expect("a list") {
        let mail = &site["mail"];
        assert_eq!(mail["messages"], 6, "{site:#}");
        assert!(mail["bytes"].as_u64() > Some(100), "{site:#}");
        assert!(mail["oldest_seconds"].is_u64(), "{site:#}");
    }
    let (_, said, _) = instance.command(&["status"]);
    assert!(said.contains("MAIL WAITING"), "{said}");
    server.start();
    let mut arrived: Vec<String> = server
        .wait_for(12)
        .into_iter()
        .flat_map(|mail| mail.recipients)
        .collect();
    arrived.sort();
    sent.sort();
    assert_eq!(arrived, sent);
    let is_empty =
        || fs::read_dir(instance.path("state/mail")).is_ok_and(|mut names| names.next().is_none());
    assert!(
        wait_until(Duration::from_secs(5), is_empty),
        "the queue is not empty"
    );

    // What waits when the whole server ends is delivered after its next start.
    server.stop();
    assert_eq!(send(&instance, "a.test", &[("to", "last@b.test")]), "sent");
    instance.stop();
    server.start();
    instance.serve();
    assert_eq!(server.wait_for(13)[12].recipients, ["last@b.test"]);
}

#[test]
fn the_rate_refuses_the_site_that_has_reached_it_alone() {
    let mut server = MailServer::new("rate");
    server.start();
    let instance = Instance::new("mail-rate")
        .settings(&server.settings())
        .site(site("a", User::One).toml("mail_per_hour = 10\nmail_burst = 3"))
        .site(site("b", User::Two))
        .site(site("c", User::Three).toml("mail_per_hour = 0"))
        .start();
    for expected in ["sent", "sent", "sent", "failed"] {
        assert_eq!(send(&instance, "a.test", &[]), expected);
    }
    assert_eq!(send(&instance, "b.test", &[]), "sent");
    assert_eq!(send(&instance, "c.test", &[]), "failed");
    assert_eq!(server.wait_for(4).len(), 4);
    let told = |site: &str, text: &str| {
        let told = wait_until(Duration::from_secs(5), || {
            instance.log(site, "error").contains(text)
        });
        assert!(told, "{}", instance.log(site, "error"));
    };
    told(
        "a",
        "not accepted: the site may send to 10 recipients an hour, 3 at once",
    );
    told("c", "not accepted: the site may not send mail");
    assert!(mail_log(&instance).contains("site a: refused: the site may send"));
}

#[test]
fn one_recipient_does_not_hold_up_another() {
    let mut server = MailServer::new("slow");
    server.start();
    let instance = two_sites("mail-slow", &server);
    assert_eq!(send(&instance, "a.test", &[("to", "slow@b.test")]), "sent");
    let begun = Instant::now();
    assert_eq!(
        send(
            &instance,
            "b.test",
            &[("to", "refused@b.test, later@b.test, good@b.test")]
        ),
        "sent"
    );
    assert_eq!(send(&instance, "b.test", &[("to", "next@b.test")]), "sent");
    let mails = server.wait_for(2);
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(mails[0].recipients, ["good@b.test"]);
    assert_eq!(mails[1].recipients, ["next@b.test"]);
    let log = mail_log(&instance);
    for text in [
        "<refused@b.test> failed: ",
        "550",
        "<later@b.test> deferred: ",
        "451",
        "<good@b.test> sent",
    ] {
        assert!(log.contains(text), "{text}: {log}");
    }
}

#[test]
fn ten_thousand_hostile_packets_harm_nobody() {
    let mut server = MailServer::new("hostile");
    server.start();
    let script = include_str!("../mail/hostile.py");
    let attack = "<?php exec('python3 ' . dirname(__DIR__) . '/hostile.py 2500 > /tmp/said' . $_GET['n'] . ' 2>&1 &');";
    let instance = Instance::new("mail-hostile")
        .settings(&server.settings())
        .site(
            site("a", User::One)
                .file("hostile.py", script)
                .file("public/attack.php", attack),
        )
        .site(site("b", User::Two))
        .start();
    let broker = instance.running("hostel-mail").remove(0);
    let said: Vec<_> = (0..4)
        .map(|n| instance.path(&format!("state/sites/a/tmp/said{n}")))
        .collect();
    for n in 0..4 {
        assert_eq!(
            instance.get("a.test", &format!("/attack.php?n={n}")).status,
            200
        );
    }
    let begun = Instant::now();
    let has_ended = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| !text.is_empty());
    let (mut count, mut slowest) = (0, Duration::ZERO);
    while !said.iter().all(has_ended) {
        assert!(
            begun.elapsed() < patience(Duration::from_secs(140)),
            "the attacks do not end"
        );
        // As many as the site may send at once.
        if count < 40 {
            let begun = Instant::now();
            assert_eq!(
                send(&instance, "b.test", &[]),
                "sent",
                "{}",
                instance.logs()
            );
            slowest = slowest.max(begun.elapsed());
            count += 1;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let took = begun.elapsed();
    println!(
        "10,000 hostile packets in {took:?}; {count} messages of another site meanwhile, the slowest took {slowest:?}"
    );
    for path in &said {
        let said = fs::read_to_string(path).expect("just read");
        assert!(said.starts_with("refused 2"), "{said}");
    }
    assert!(count > 3 && slowest < patience(Duration::from_secs(5)));
    assert_eq!(server.wait_for(count).len(), count);
    assert_eq!(
        instance.running("hostel-mail").remove(0).pid,
        broker.pid,
        "the broker is another one"
    );
    // The site itself is as able as before.
    assert_eq!(send(&instance, "a.test", &[]), "sent");
    let log = mail_log(&instance);
    assert!(
        log.lines().count() < 2000,
        "the log was flooded: {} lines",
        log.lines().count()
    );
    let files = fs::read_dir(format!("/proc/{}/fd", broker.pid))
        .expect("the broker")
        .count();
    assert!(files < 40, "{files} descriptors are open");
}

#[test]
fn a_full_disk_is_a_temporary_error() {
    let mut server = MailServer::new("full");
    server.start();
    let instance = Instance::new("mail-full");
    let (uid, gid) = ids("hostel-mail").expect("hostel-mail exists");
    let queue = instance.path("state/mail").display().to_string();
    let options = format!("size=256k,mode=0700,uid={uid},gid={gid}");
    let mount =
        "mkdir -p \"$1\" && mount -t tmpfs -o \"$2\" tmpfs \"$1\" && shift 2 && exec \"$@\"";
    let instance = instance
        .launcher(&["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, "sh", &queue, &options])
        .settings(&server.settings())
        .site(site("a", User::One).file("public/large.php", "<?php echo mail('a@b.test', 'x', str_repeat(\"line\\n\", 100000)) ? 'sent' : 'failed';"))
        .start();
    assert_eq!(instance.get("a.test", "/large.php").text(), "failed");
    let text = "not accepted: the server cannot queue it: No space left on device";
    let told = wait_until(Duration::from_secs(5), || {
        instance.log("a", "error").contains(text)
    });
    assert!(told, "{}", instance.log("a", "error"));
    // What has room goes on.
    assert_eq!(send(&instance, "a.test", &[]), "sent");
    assert_eq!(server.wait_for(1).len(), 1);
}

#[test]
fn without_a_mail_server_mail_fails_with_a_clear_word_and_a_reload_changes_that() {
    let mut server = MailServer::new("without");
    server.start();
    let mut instance = Instance::new("mail-without")
        .site(site("a", User::One))
        .start();
    assert_eq!(send(&instance, "a.test", &[]), "failed");
    let text = "hostel-sendmail: this server is not set up to send mail";
    let told = wait_until(Duration::from_secs(5), || {
        instance.log("a", "error").contains(text)
    });
    assert!(told, "{}", instance.log("a", "error"));
    assert!(instance.running("hostel-mail").is_empty());

    instance = instance.settings(&server.settings());
    instance.write_configuration();
    instance.reload();
    let works = wait_until(Duration::from_secs(20), || {
        send(&instance, "a.test", &[]) == "sent"
    });
    assert!(works, "{}", instance.logs());
    assert_eq!(server.wait_for(1).len(), 1);
    let broker = instance.running("hostel-mail").remove(0);
    let (uid, _) = ids("hostel-mail").expect("hostel-mail exists");
    let status = fs::read_to_string(format!("/proc/{}/status", broker.pid)).expect("its status");
    let has = |line: String| status.lines().any(|one| one == line);
    assert!(has(format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}")), "{status}");
    assert!(
        has("CapEff:\t0000000000000000".to_owned())
            && has("NoNewPrivs:\t1".to_owned())
            && has("Seccomp:\t2".to_owned()),
        "{status}"
    );
    assert_eq!(instance.stop().processes, [""; 0]);
}
