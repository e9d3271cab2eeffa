//! Whole requests: a client on one side, a scripted keeper and worker on the other.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::time::Duration;

use hostel_front::accept;
use hostel_wire::front_keeper::{FileIdentity, KeeperToFront, Resolution};
use hostel_wire::front_monitor::SiteEntry;
use hostel_wire::front_worker::{RequestHead, from_worker};
use hostel_wire::keeper_zygote::Death;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn_blocking, spawn_local};

use crate::client::{Answer, Client};
use crate::front::{Peer, Player, Stage, end, head, patient_entry, play};

/// A front that listens.
async fn listen() -> (Stage, SocketAddr) {
    listen_with(patient_entry()).await
}

async fn listen_with(entry: SiteEntry) -> (Stage, SocketAddr) {
    let stage = Stage::new(entry);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn_local(accept::serve(listener, Rc::clone(&stage.front)));
    (stage, address)
}

/// A client, on a thread of its own.
fn client<T: Send + 'static>(
    address: SocketAddr,
    act: impl FnOnce(&mut Client) -> T + Send + 'static,
) -> JoinHandle<T> {
    spawn_blocking(move || act(&mut Client::connect(address)))
}

/// A client that asks once.
fn ask(address: SocketAddr, method: &str, target: &str) -> JoinHandle<Answer> {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: x.example\r\n\r\n");
    client(address, move |client| {
        client.send(request.as_bytes());
        client.answer()
    })
}

/// The question for this path must come next; this is the answer.
async fn resolve(keeper: &Peer, path: &str, resolution: Resolution, file: Option<&File>) {
    let (ticket, asked, _) = keeper.question().await;
    assert_eq!(asked.escape_ascii().to_string(), path);
    keeper.resolve(ticket, resolution, file);
}

fn script(path: &str) -> Resolution {
    Resolution::Script {
        path: path.as_bytes().to_vec(),
    }
}

/// An open file of a site with this content, and how a keeper names it.
fn file(name: &str, content: &[u8]) -> (File, Resolution) {
    let path = std::env::temp_dir().join(format!("hostel-front-{}-{name}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    let file = File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let metadata = file.metadata().unwrap();
    let nanoseconds = |value: i64| u32::try_from(value).unwrap();
    let identity = FileIdentity {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), nanoseconds(metadata.mtime_nsec())),
        changed: (metadata.ctime(), nanoseconds(metadata.ctime_nsec())),
    };
    let name = name.as_bytes().to_vec();
    (file, Resolution::File { identity, name })
}

/// The worker says that the script is not there.
async fn say_missing(worker: &mut Player) {
    let mut bytes = worker.make(from_worker::MISSING, &[0]);
    bytes.extend(worker.make(from_worker::END, &end(false)));
    worker.write(&bytes).await;
}

#[test]
fn a_suspended_site_answers_by_itself_and_is_not_woken() {
    play(async {
        let entry = SiteEntry {
            suspended: true,
            ..patient_entry()
        };
        let (stage, address) = listen_with(entry).await;
        for (method, target) in [("GET", "/"), ("POST", "/a.php"), ("GET", "/style.css")] {
            let answer = ask(address, method, target).await.unwrap();
            assert_eq!(answer.status, 503, "{method} {target}");
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(body.contains("suspended"), "{body}");
        }
        let asked = tokio::time::timeout(Duration::from_millis(50), stage.asked());
        assert!(asked.await.is_err());
    });
}

#[test]
fn a_script_gets_the_request_and_the_client_its_answer() {
    play(async {
        let (stage, address) = listen().await;
        let visit = client(address, |client| {
            client.send(
                b"GET http://X.example:81/d/%61.php/in%20fo?q=%20 HTTP/1.1\r\nHost: y\r\nX-A: 1\r\n\
                  X_A: 2\r\nProxy: 3\r\nx-a: 4\r\n\r\n",
            );
            let first = client.answer();
            client.send(b"GET /b.php HTTP/1.1\r\nHost: x.example\r\n\r\n");
            (first, client.answer())
        });
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        let payload = worker.request().await;
        let request = RequestHead::decode(&payload).unwrap();
        let remote_port = request.remote_port;
        assert_ne!(remote_port, 0);
        assert_eq!(
            request,
            RequestHead {
                https: false,
                body_bytes: 0,
                method: b"GET",
                target: b"/d/%61.php/in%20fo?q=%20",
                query: b"q=%20",
                path: b"/d/a.php/in fo",
                script: b"/d/a.php",
                path_info: b"/in fo",
                protocol: b"HTTP/1.1",
                server_name: b"x.example",
                server_address: b"127.0.0.1",
                server_port: address.port(),
                remote_address: b"127.0.0.1",
                remote_port,
                headers: vec![(b"Host", b"X.example:81"), (b"X-A", b"1"), (b"x-a", b"4")],
            }
        );
        let answer = worker.answer(b"one");
        worker.write(&answer).await;
        let payload = worker.request().await;
        let request = RequestHead::decode(&payload).unwrap();
        assert_eq!(
            (request.script, request.path_info),
            (&b"/b.php"[..], &b""[..])
        );
        let answer = worker.answer(b"two");
        worker.write(&answer).await;
        let (first, second) = visit.await.unwrap();
        assert_eq!((first.status, &first.body[..]), (200, &b"one"[..]));
        assert_eq!(first.header("x-test"), Some("yes"));
        assert_eq!(first.header("content-length"), Some("3"));
        assert_eq!((second.status, &second.body[..]), (200, &b"two"[..]));
    });
}

#[test]
fn a_file_is_sent_and_takes_no_other_method() {
    play(async {
        let (stage, address) = listen().await;
        let (file, resolution) = file("a.css", b"body {}");
        let visit = client(address, |client| {
            client.send(b"GET /d//a.css?v=1 HTTP/1.1\r\nHost: x.example\r\n\r\n");
            let get = client.answer();
            client
                .send(b"POST /d/a.css HTTP/1.1\r\nHost: x.example\r\nContent-Length: 3\r\n\r\nabc");
            let post = client.answer();
            client.send(b"HEAD /d/a.css HTTP/1.1\r\nHost: x.example\r\n\r\n");
            (get, post, client.answer_without_body())
        });
        let keeper = stage.wake().await;
        resolve(&keeper, "/d/a.css", resolution, Some(&file)).await;
        let (get, post, head) = visit.await.unwrap();
        assert_eq!((get.status, &get.body[..]), (200, &b"body {}"[..]));
        assert_eq!(get.header("content-type"), Some("text/css"));
        assert_eq!(post.status, 405);
        assert_eq!(post.header("allow"), Some("GET, HEAD"));
        assert_eq!(
            (head.status, head.header("content-length")),
            (200, Some("7"))
        );
        assert_eq!(head.header("etag"), get.header("etag"));
    });
}

#[test]
fn what_the_keeper_says_has_its_status() {
    play(async {
        let (stage, address) = listen().await;
        let visits = [
            ("/none", Resolution::NotFound, 404),
            ("/closed", Resolution::Forbidden, 403),
            ("/broken", Resolution::Failed(5), 500),
        ];
        let mut keeper = None;
        for (path, resolution, status) in visits {
            let visit = ask(address, "GET", path);
            if keeper.is_none() {
                keeper = Some(stage.wake().await);
            }
            resolve(keeper.as_ref().unwrap(), path, resolution, None).await;
            let answer = visit.await.unwrap();
            assert_eq!(answer.status, status, "{path}");
            let page = String::from_utf8(answer.body).unwrap();
            let number = page.split("Request ").nth(1).map(|rest| &rest[..16]);
            // A failure has a number, by which it is found in the log.
            assert_eq!(number.is_some(), status == 500, "{page}");
            assert!(number.is_none_or(|number| stage.error_log().contains(number)));
        }
    });
}

#[test]
fn a_directory_without_its_slash_is_redirected() {
    play(async {
        let (stage, address) = listen().await;
        let visit = ask(address, "GET", "/a%20b/%0d%0a%c3%a9?x=%20");
        let keeper = stage.wake().await;
        let path = "/a b/\\r\\n\\xc3\\xa9";
        resolve(&keeper, path, Resolution::Directory, None).await;
        let answer = visit.await.unwrap();
        assert_eq!(answer.status, 301);
        assert_eq!(
            answer.header("location"),
            Some("/a%20b/%0D%0A%C3%A9/?x=%20")
        );
        let visit = ask(address, "DELETE", "/a%20b/%0d%0a%c3%a9");
        assert_eq!(visit.await.unwrap().status, 405);
    });
}

#[test]
fn a_path_that_leads_to_nothing_is_for_the_front_controller() {
    play(async {
        let (stage, address) = listen().await;
        // First a path that names no script, then one whose script is missing.
        let visit = ask(address, "GET", "/2026/hello/?p=1");
        let keeper = stage.wake().await;
        resolve(&keeper, "/2026/hello/", script("/index.php"), None).await;
        let mut worker = keeper.start_worker().await;
        let payload = worker.request().await;
        let request = RequestHead::decode(&payload).unwrap();
        assert_eq!(request.target, b"/2026/hello/?p=1");
        assert_eq!(request.path, b"/index.php");
        assert_eq!(
            (request.script, request.path_info),
            (&b"/index.php"[..], &b""[..])
        );
        assert_eq!(request.query, b"p=1");
        let answer = worker.answer(b"post");
        worker.write(&answer).await;
        assert_eq!(visit.await.unwrap().body, b"post");

        let visit = client(address, |client| {
            client.send(
                b"POST /gone.php/info HTTP/1.1\r\nHost: x.example\r\nContent-Length: 3\r\n\r\nabc",
            );
            client.answer()
        });
        let payload = worker.request().await;
        let request = RequestHead::decode(&payload).unwrap();
        assert_eq!(
            (request.script, request.path_info),
            (&b"/gone.php"[..], &b"/info"[..])
        );
        // A worker takes the body of a script that is not there, too.
        assert_eq!(worker.body().await, (b"abc".to_vec(), true));
        say_missing(&mut worker).await;
        resolve(&keeper, "/gone.php/info", script("/index.php"), None).await;
        let payload = worker.request().await;
        let request = RequestHead::decode(&payload).unwrap();
        assert_eq!(request.script, b"/index.php");
        assert_eq!(worker.body().await, (b"abc".to_vec(), true));
        let answer = worker.answer(b"kept");
        worker.write(&answer).await;
        assert_eq!(visit.await.unwrap().body, b"kept");
    });
}

#[test]
fn a_missing_script_is_not_tried_twice() {
    play(async {
        let (stage, address) = listen().await;
        let visit = ask(address, "GET", "/index.php");
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        say_missing(&mut worker).await;
        resolve(&keeper, "/index.php", script("/index.php"), None).await;
        assert_eq!(visit.await.unwrap().status, 404);
    });
}

#[test]
fn a_body_arrives_whole_whatever_its_size_and_form() {
    play(async {
        let (stage, address) = listen().await;
        let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let sent = content.clone();
        let visit = client(address, move |client| {
            let length = format!("Content-Length: {}", sent.len());
            let mut answers = Vec::new();
            for line in [length.as_str(), "Transfer-Encoding: chunked"] {
                let head = format!("POST /a.php HTTP/1.1\r\nHost: x.example\r\n{line}\r\n\r\n");
                client.send(head.as_bytes());
                if line == length {
                    client.send(&sent);
                } else {
                    for part in sent.chunks(70_001) {
                        client.send(format!("{:X}\r\n", part.len()).as_bytes());
                        client.send(part);
                        client.send(b"\r\n");
                    }
                    client.send(b"0\r\n\r\n");
                }
                answers.push(client.answer().status);
            }
            answers
        });
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        for _ in 0..2 {
            let payload = worker.request().await;
            let request = RequestHead::decode(&payload).unwrap();
            assert_eq!(request.body_bytes, content.len() as u64);
            let (body, complete) = worker.body().await;
            assert!(complete && body == content);
            let answer = worker.answer(b"");
            worker.write(&answer).await;
        }
        assert_eq!(visit.await.unwrap(), [200, 200]);
    });
}

#[test]
fn bodies_have_no_more_of_the_disk_than_the_sites_share() {
    let mut entry = patient_entry();
    entry.body_bytes_max = 10_000_000;
    entry.spill_bytes_max = 4_000_000;
    play(async {
        let (stage, address) = listen_with(entry).await;
        let post = |length: usize| {
            client(address, move |client| {
                let head = format!(
                    "POST /a.php HTTP/1.1\r\nHost: x.example\r\nContent-Length: {length}\r\n\r\n"
                );
                client.send(head.as_bytes());
                client.send(&vec![b'x'; length]);
                client.answer()
            })
        };
        let first = post(3_000_000);
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        // While the first body lies on the disk a second one has no room, but one that fits into memory does not ask.
        let refused = post(2_500_000).await.unwrap();
        assert_eq!(refused.status, 503);
        assert!(stage.error_log().contains("spill_bytes_max"));
        let small = post(1_000_000);
        assert!(worker.body().await.1);
        let answer = worker.answer(b"1");
        worker.write(&answer).await;
        assert_eq!(first.await.unwrap().status, 200);
        worker.request().await;
        worker.body().await;
        let answer = worker.answer(b"2");
        worker.write(&answer).await;
        assert_eq!(small.await.unwrap().status, 200);
        // What could never fit is not even read.
        assert_eq!(post(5_000_000).await.unwrap().status, 413);
        // And the first one's part was given back.
        let again = post(3_000_000);
        worker.request().await;
        worker.body().await;
        let answer = worker.answer(b"3");
        worker.write(&answer).await;
        assert_eq!(again.await.unwrap().status, 200);
    });
}

#[test]
fn an_answer_that_goes_on_reaches_the_client_before_it_ends() {
    play(async {
        let (stage, address) = listen().await;
        let (seen, mut has_seen) = tokio::sync::mpsc::unbounded_channel();
        let visit = client(address, move |client| {
            client.send(b"GET /a.php HTTP/1.1\r\nHost: x.example\r\n\r\n");
            client.wait_for(b"first");
            seen.send(()).unwrap();
            client.answer()
        });
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let mut bytes = worker.make(from_worker::HEAD, &head(200, &[]));
        bytes.extend(worker.make(from_worker::BODY, b"first"));
        worker.write(&bytes).await;
        has_seen.recv().await.unwrap();
        let mut bytes = worker.make(from_worker::BODY, b" second");
        bytes.extend(worker.make(from_worker::END, &end(false)));
        worker.write(&bytes).await;
        let answer = visit.await.unwrap();
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        assert_eq!(answer.body, b"first second");
    });
}

#[test]
fn a_worker_is_told_that_the_client_has_left() {
    play(async {
        let (stage, address) = listen().await;
        let mut keeper = None;
        // By closing, and by closing the sending side only, which nginx takes for the same.
        for half in [false, true] {
            let (left, leave) = std::sync::mpsc::channel::<()>();
            let visit = client(address, move |client| {
                client.send(b"GET /a.php HTTP/1.1\r\nHost: x.example\r\n\r\n");
                leave.recv().unwrap();
                if half {
                    client.finish();
                    assert!(client.is_closed());
                }
            });
            if keeper.is_none() {
                keeper = Some(stage.wake().await);
            }
            let mut worker = keeper.as_ref().unwrap().start_worker().await;
            worker.request().await;
            left.send(()).unwrap();
            visit.await.unwrap();
            worker.is_left().await;
            let mut bytes = worker.make(from_worker::HEAD, &head(200, &[]));
            bytes.extend(worker.make(from_worker::END, &end(true)));
            worker.write(&bytes).await;
            keeper
                .as_ref()
                .unwrap()
                .say(KeeperToFront::WorkerDied(worker.id, Death::Exited(0)));
        }
    });
}

#[test]
fn a_worker_that_fails_costs_one_request() {
    play(async {
        let (stage, address) = listen().await;
        let visit = ask(address, "GET", "/a.php");
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let id = worker.id;
        drop(worker);
        keeper.say(KeeperToFront::WorkerDied(id, Death::Signalled(11)));
        assert_eq!(visit.await.unwrap().status, 502);
        let visit = ask(address, "GET", "/a.php");
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let answer = worker.answer(b"well");
        worker.write(&answer).await;
        assert_eq!(visit.await.unwrap().body, b"well");
    });
}

#[test]
fn an_answer_that_is_none_becomes_a_page() {
    play(async {
        let (stage, address) = listen().await;
        let visit = ask(address, "GET", "/a.php");
        let keeper = stage.wake().await;
        let mut worker = keeper.start_worker().await;
        worker.request().await;
        let mut bytes = worker.make(from_worker::HEAD, &head(200, &[b"A: b\r\nSet-Cookie: c=d"]));
        bytes.extend(worker.make(from_worker::END, &end(false)));
        worker.write(&bytes).await;
        let answer = visit.await.unwrap();
        assert_eq!(answer.status, 502);
        assert_eq!(answer.header("set-cookie"), None);
    });
}
