//! What a connection may do beyond one request at a time.

use std::time::Duration;

use hostel_front::connection::Patience;

use crate::client::Client;
use crate::server::Server;

const OPTIONS: &str = "OPTIONS * HTTP/1.1\r\nHost: x.example\r\n\r\n";

#[test]
fn requests_sent_ahead_are_answered_in_their_order() {
    let server = Server::start(Patience::default());
    let mut client = Client::connect(server.address());
    let paths = ["/.a", "/%", "/.b", "/../"];
    let ahead: String = (0..100)
        .map(|n| format!("GET {} HTTP/1.1\r\nHost: x.example\r\n\r\n", paths[n % 4]))
        .collect();
    client.send(ahead.as_bytes());
    for n in 0..100 {
        assert_eq!(client.answer().status, [403, 400, 403, 400][n % 4], "{n}");
    }
}

#[test]
fn a_request_cut_anywhere_is_the_same_request() {
    let server = Server::start(Patience::default());
    let request = "POST /.x HTTP/1.1\r\nHost: x.example\r\nContent-Length: 5\r\n\r\nabcde";
    let mut client = Client::connect(server.address());
    for cut in 1..request.len() {
        client.send(&request.as_bytes()[..cut]);
        std::thread::sleep(Duration::from_millis(1));
        client.send(&request.as_bytes()[cut..]);
        assert_eq!(client.answer().status, 403, "{cut}");
    }
}

#[test]
fn an_empty_line_before_a_request_may_come_in_pieces() {
    let server = Server::start(Patience::default());
    let mut client = Client::connect(server.address());
    for piece in ["\r", "\n\r", "\n", OPTIONS] {
        client.send(piece.as_bytes());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(client.answer().status, 200);
}

#[test]
fn the_client_decides_whether_the_connection_is_kept() {
    let server = Server::start(Patience::default());
    for (request, kept) in [
        ("GET /.x HTTP/1.1\r\nHost: x.example\r\n\r\n", true),
        (
            "GET /.x HTTP/1.1\r\nHost: x.example\r\nConnection: close\r\n\r\n",
            false,
        ),
        (
            "GET /.x HTTP/1.1\r\nHost: x.example\r\nConnection: a, Close\r\n\r\n",
            false,
        ),
        ("GET /.x HTTP/1.0\r\nHost: x.example\r\n\r\n", false),
        (
            "GET /.x HTTP/1.0\r\nHost: x.example\r\nConnection: keep-alive\r\n\r\n",
            true,
        ),
    ] {
        let mut client = Client::connect(server.address());
        client.send(request.as_bytes());
        let answer = client.answer();
        assert_eq!(
            answer.header("connection"),
            Some(if kept { "keep-alive" } else { "close" }),
            "{request}"
        );
        if kept {
            client.send(OPTIONS.as_bytes());
            assert_eq!(client.answer().status, 200);
        } else {
            assert!(client.is_closed(), "{request}");
        }
    }
}

#[test]
fn head_has_the_head_of_get_and_no_body() {
    let server = Server::start(Patience::default());
    let mut client = Client::connect(server.address());
    client.send(b"HEAD /.x HTTP/1.1\r\nHost: x.example\r\n\r\n");
    let head = client.answer_without_body();
    client.send(b"GET /.x HTTP/1.1\r\nHost: x.example\r\n\r\n");
    let get = client.answer();
    assert_eq!((head.status, get.status), (403, 403));
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert_eq!(get.header("server"), Some("hostel"));
    assert!(get.header("date").is_some());
    assert!(get.body.starts_with(b"<!DOCTYPE html>"));
}

#[test]
fn a_page_repeats_nothing_of_the_request() {
    let server = Server::start(Patience::default());
    let mut client = Client::connect(server.address());
    client.send(b"GET /.<script>evil HTTP/1.1\r\nHost: x.example\r\nReferer: evil\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 403);
    assert!(!String::from_utf8(answer.body).unwrap().contains("evil"));
}

#[test]
fn a_client_is_told_to_continue_only_where_its_body_is_wanted() {
    let server = Server::start(Patience::default());
    let expecting = |path: &str, length: u64| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: x.example\r\nExpect: 100-continue\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    let mut client = Client::connect(server.address());
    client.send(expecting("/x.php", 3).as_bytes());
    assert_eq!(client.answer().status, 100);
    client.send(b"abc");
    assert_eq!(client.answer().status, 503);
    client.send(expecting("/x.php", 1_000_001).as_bytes());
    assert_eq!(client.answer().status, 413);
    assert!(client.is_closed());
    let mut client = Client::connect(server.address());
    client.send(expecting("/.x.php", 3).as_bytes());
    assert_eq!(client.answer().status, 403);
    assert!(client.is_closed());
}

#[test]
fn an_answer_reaches_a_client_that_is_still_sending() {
    let server = Server::start(Patience::default());
    let mut client = Client::connect(server.address());
    client.send(b"POST /x.php HTTP/1.1\r\nHost: x.example\r\nContent-Length: 1000001\r\n\r\n");
    for _ in 0..16 {
        if client.try_send(&[b'a'; 64 * 1024]).is_err() {
            break;
        }
    }
    assert_eq!(client.answer().status, 413);
}

#[test]
fn a_client_that_has_finished_sending_still_gets_what_needs_no_worker() {
    let server = Server::start(Patience::default());
    let mut client = Client::connect(server.address());
    client.send(OPTIONS.as_bytes());
    client.finish();
    assert_eq!(client.answer().status, 200);
    assert!(client.is_closed());
}

#[test]
fn a_server_that_drains_lets_go_of_idle_connections_and_takes_no_more() {
    let server = Server::start(Patience::default());
    let mut idle = Client::connect(server.address());
    idle.send(OPTIONS.as_bytes());
    assert_eq!(idle.answer().status, 200);
    let mut begun = Client::connect(server.address());
    begun.send(b"OPTIONS * HTTP/1.1\r\n");
    let mut new = Client::connect(server.address());
    std::thread::sleep(Duration::from_millis(50));
    server.drain();
    assert!(idle.is_closed());
    new.send(OPTIONS.as_bytes());
    assert_eq!(new.answer().status, 200);
    assert!(new.is_closed());
    begun.send(b"Host: x.example\r\n\r\n");
    let answer = begun.answer();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(begun.is_closed());
}
