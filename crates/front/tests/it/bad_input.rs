//! What is malformed or ambiguous, byte for byte: the status of the answer and whether the connection ends.

use std::time::Duration;

use hostel_front::connection::Patience;

use crate::client::Client;
use crate::server::Server;

/// Whether another request may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Closed,
    Kept,
}
use Then::{Closed, Kept};

/// The end of a head that would be sound by itself.
const HOST: &str = "Host: x.example\r\n\r\n";

/// (request, status, what becomes of the connection)
type Case = (String, u16, Then);

fn case(request: impl AsRef<str>, status: u16, then: Then) -> Case {
    (request.as_ref().to_owned(), status, then)
}

/// `head` with a sound Host behind it.
fn hosted(head: &str, status: u16, then: Then) -> Case {
    case(format!("{head}\r\n{HOST}"), status, then)
}

/// A sound request line and Host with other header lines before the Host.
fn with_lines(lines: &str, status: u16, then: Then) -> Case {
    case(
        format!("OPTIONS * HTTP/1.1\r\n{lines}\r\n{HOST}"),
        status,
        then,
    )
}

fn request_lines() -> Vec<Case> {
    vec![
        hosted("OPTIONS * HTTP/1.1", 200, Kept),
        case(format!("\r\n\r\nOPTIONS * HTTP/1.1\r\n{HOST}"), 200, Kept),
        hosted("GET / HTTP/1.2", 505, Closed),
        hosted("GET / HTTP/2.0", 505, Closed),
        hosted("GET / HTTP/0.9", 505, Closed),
        case("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, Closed),
        case("GET /\r\n\r\n", 400, Closed),
        hosted("GET / HTTP/1.10", 400, Closed),
        hosted("GET / HTTP/1", 400, Closed),
        hosted("GET / http/1.1", 400, Closed),
        hosted("GET / HTTPS/1.1", 400, Closed),
        hosted("GET / HTTP/1.1 ", 400, Closed),
        hosted("GET  / HTTP/1.1", 400, Closed),
        hosted("GET /  HTTP/1.1", 400, Closed),
        hosted("GET\t/\tHTTP/1.1", 400, Closed),
        hosted(" GET / HTTP/1.1", 400, Closed),
        hosted("GET /a b HTTP/1.1", 400, Closed),
        hosted("GET", 400, Closed),
        hosted("GET HTTP/1.1", 400, Closed),
        hosted("get / HTTP/1.1", 400, Closed),
        hosted("G\u{1}T / HTTP/1.1", 400, Closed),
        hosted("GE(T / HTTP/1.1", 400, Closed),
        hosted(&format!("{} / HTTP/1.1", "A".repeat(33)), 501, Closed),
        hosted("GET a HTTP/1.1", 400, Closed),
        hosted("GET * HTTP/1.1", 400, Closed),
        hosted("GET x.example:80 HTTP/1.1", 400, Closed),
        hosted("GET /a#b HTTP/1.1", 400, Closed),
        hosted("GET /a\u{1}b HTTP/1.1", 400, Closed),
        hosted("GET /a\u{7f}b HTTP/1.1", 400, Closed),
        hosted("GET /a\0b HTTP/1.1", 400, Closed),
        hosted("GET ftp://x.example/ HTTP/1.1", 400, Closed),
        hosted(&format!("GET /{} HTTP/1.1", "a".repeat(9000)), 414, Closed),
        hosted(&format!("GET /?{} HTTP/1.1", "a".repeat(9000)), 414, Closed),
        case("A".repeat(8192), 414, Closed),
        case("\u{16}\u{3}\u{1}\u{2}", 400, Closed),
        case("\n", 400, Closed),
        case(format!("\nGET / HTTP/1.1\r\n{HOST}"), 400, Closed),
        case(format!("\rGET / HTTP/1.1\r\n{HOST}"), 400, Closed),
        hosted("CONNECT x.example:443 HTTP/1.1", 405, Closed),
        hosted("TRACE / HTTP/1.1", 405, Kept),
    ]
}

fn header_lines() -> Vec<Case> {
    vec![
        case("OPTIONS * HTTP/1.1\nHost: x.example\r\n\r\n", 400, Closed),
        case("OPTIONS * HTTP/1.1\r\nHost: x.example\n\n", 400, Closed),
        case("OPTIONS * HTTP/1.1\r\nHost: x.example\r\n\n", 400, Closed),
        case(
            "OPTIONS * HTTP/1.1\r\nHost: x.example\r\r\n\r\n",
            400,
            Closed,
        ),
        with_lines("A: b\n c", 400, Closed),
        with_lines("A: b\r\n c", 400, Closed),
        with_lines("A: b\r\n\tc", 400, Closed),
        with_lines(" A: b", 400, Closed),
        with_lines("A : b", 400, Closed),
        with_lines("A\t: b", 400, Closed),
        with_lines("Content-Length : 0", 400, Closed),
        with_lines("A", 400, Closed),
        with_lines(": b", 400, Closed),
        with_lines("A B: c", 400, Closed),
        with_lines("A(: c", 400, Closed),
        with_lines("\u{e9}: c", 400, Closed),
        with_lines("A: b\0c", 400, Closed),
        with_lines("A: b\rc", 400, Closed),
        with_lines("A: b\u{1}c", 400, Closed),
        with_lines("A: b\u{7f}c", 400, Closed),
        with_lines("A: \u{e9}\u{ff}", 200, Kept),
        with_lines("A:b", 200, Kept),
        with_lines("A:", 200, Kept),
        with_lines(&["A: b"; 99].join("\r\n"), 200, Kept),
        with_lines(&["A: b"; 100].join("\r\n"), 431, Closed),
        with_lines(&format!("A: {}", "b".repeat(30_000)), 200, Kept),
        with_lines(&format!("A: {}", "b".repeat(40_000)), 431, Closed),
        with_lines("Expect: 200-ok", 417, Closed),
    ]
}

fn hosts() -> Vec<Case> {
    let get = |rest: &str| format!("GET /.hidden HTTP/1.1\r\n{rest}\r\n\r\n");
    vec![
        case("GET / HTTP/1.1\r\n\r\n", 400, Closed),
        case(get("Host: x.example\r\nHost: x.example"), 400, Closed),
        case(get("Host: x.example\r\nhost: y.example"), 400, Closed),
        case(get("Host:"), 400, Closed),
        case(get("Host: x.example, y.example"), 400, Closed),
        case(get("Host: x.example/"), 400, Closed),
        case(get("Host: user@x.example"), 400, Closed),
        case(get("Host: x.example:port"), 400, Closed),
        case(get("Host: x..example"), 400, Closed),
        case(get("Host: [::1"), 400, Closed),
        case(get("Host: %78.example"), 400, Closed),
        case(get("Host: unknown.example"), 421, Kept),
        case(get("Host: [::1]:80"), 421, Kept),
        case(get("Host: X.Example.:8080"), 403, Kept),
        case("GET /.hidden HTTP/1.0\r\n\r\n", 421, Closed),
        case(
            "GET /.hidden HTTP/1.0\r\nHost: x.example\r\n\r\n",
            403,
            Closed,
        ),
        case(
            "GET http://x.example/.hidden HTTP/1.1\r\nHost: unknown.example\r\n\r\n",
            403,
            Kept,
        ),
        case(
            "GET http://unknown.example/ HTTP/1.1\r\nHost: x.example\r\n\r\n",
            421,
            Kept,
        ),
        case("GET http://x.example/.hidden HTTP/1.1\r\n\r\n", 400, Closed),
        hosted("GET http://user@x.example/ HTTP/1.1", 400, Closed),
        hosted("GET http:///x HTTP/1.1", 400, Closed),
    ]
}

fn bodies() -> Vec<Case> {
    vec![
        with_lines(
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            400,
            Closed,
        ),
        with_lines(
            "Transfer-Encoding: chunked\r\nContent-Length: 3",
            400,
            Closed,
        ),
        with_lines("Content-Length: 0\r\nContent-Length: 0", 400, Closed),
        with_lines("Content-Length: 0\r\ncontent-length: 3", 400, Closed),
        with_lines("Content-Length: 0, 0", 400, Closed),
        with_lines("Content-Length: +0", 400, Closed),
        with_lines("Content-Length: -1", 400, Closed),
        with_lines("Content-Length: 0x0", 400, Closed),
        with_lines("Content-Length: 1 0", 400, Closed),
        with_lines("Content-Length:", 400, Closed),
        with_lines("Content-Length: 99999999999999999999", 400, Closed),
        with_lines("Content-Length: 1000001", 413, Closed),
        with_lines("Content_Length: 5", 200, Kept),
        with_lines("Transfer_Encoding: chunked", 200, Kept),
        with_lines("Transfer-Encoding: gzip", 400, Closed),
        with_lines("Transfer-Encoding: gzip, chunked", 400, Closed),
        with_lines("Transfer-Encoding: chunked, chunked", 400, Closed),
        with_lines(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            400,
            Closed,
        ),
        with_lines("Transfer-Encoding: identity", 400, Closed),
        with_lines("Transfer-Encoding: xchunked", 400, Closed),
        with_lines("Transfer-Encoding: \"chunked\"", 400, Closed),
        with_lines("Transfer-Encoding:", 400, Closed),
        with_lines("Transfer-Encoding: \u{b}chunked", 400, Closed),
        case(
            format!("POST /.hidden HTTP/1.0\r\nTransfer-Encoding: chunked\r\n{HOST}0\r\n\r\n"),
            400,
            Closed,
        ),
        case(
            format!("OPTIONS * HTTP/1.1\r\nContent-Length: 3\r\n{HOST}abc"),
            200,
            Kept,
        ),
        case(chunked("0\r\n\r\n"), 503, Kept),
        case(chunked("3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n"), 503, Kept),
        case(chunked("3\r\nabcd\r\n0\r\n\r\n"), 400, Closed),
        case(chunked("3 \r\nabc\r\n0\r\n\r\n"), 400, Closed),
        case(chunked("3\nabc\n0\n\n"), 400, Closed),
        case(chunked("-3\r\nabc\r\n0\r\n\r\n"), 400, Closed),
        case(chunked("0x3\r\nabc\r\n0\r\n\r\n"), 400, Closed),
        case(chunked("\r\n"), 400, Closed),
        case(chunked("ffffffffffffffff\r\n"), 400, Closed),
        case(chunked(&format!("3;{}\r\n", "a".repeat(300))), 400, Closed),
        case(
            chunked(&format!("0\r\nA: {}", "a".repeat(5000))),
            400,
            Closed,
        ),
        case(
            chunked(&format!("{:x}\r\n{}", 1_000_001, "a".repeat(1_000_001))),
            413,
            Closed,
        ),
    ]
}

fn trailers() -> Vec<Case> {
    vec![
        case(chunked("0\r\nA:\r\nb: \u{e9}\r\n\r\n"), 503, Kept),
        case(chunked("0\r\nA\r\n\r\n"), 400, Closed),
        case(chunked("0\r\n: b\r\n\r\n"), 400, Closed),
        case(chunked("0\r\nA : b\r\n\r\n"), 400, Closed),
        case(chunked("0\r\n A: b\r\n\r\n"), 400, Closed),
        case(chunked("0\r\nA(: b\r\n\r\n"), 400, Closed),
        case(chunked("0\r\n\u{e9}: b\r\n\r\n"), 400, Closed),
        case(chunked("0\r\nA: b\r\n c\r\n\r\n"), 400, Closed),
        case(chunked("0\r\nA: b\0\r\n\r\n"), 400, Closed),
        case(chunked("0\r\nA: b\n\r\n"), 400, Closed),
        case(chunked("0\r\nA: b\rc\r\n\r\n"), 400, Closed),
        case(chunked("0\r\nA: b\r\n\r\r\n"), 400, Closed),
        case(chunked("0\r\nGET / HTTP/1.1\r\n\r\n"), 400, Closed),
    ]
}

/// A chunked POST to a script; the site of these tests has no worker, so that a sound one is answered with 503.
fn chunked(body: &str) -> String {
    format!("POST /x.php HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n{HOST}{body}")
}

fn paths() -> Vec<Case> {
    let cases = [
        ("/../", 400),
        ("/a/../../b", 400),
        ("/%2e%2e/b", 400),
        ("/..%2fb", 400),
        ("/a%00.php", 400),
        ("/a%", 400),
        ("/a%4", 400),
        ("/a%gg", 400),
        ("/.git/config", 403),
        ("/%2egit/config", 403),
        ("/a/..%2f.git/config", 403),
        ("//.htpasswd", 403),
        ("/.git/hooks.php", 403),
        ("/wp-config.php~", 403),
        ("/wp-config.php.bak", 403),
    ];
    let mut cases: Vec<_> = cases
        .iter()
        .map(|(path, status)| hosted(&format!("GET {path} HTTP/1.1"), *status, Kept))
        .collect();
    cases.push(hosted(
        &format!("GET /{} HTTP/1.1", "a".repeat(5000)),
        414,
        Kept,
    ));
    cases
}

fn check(cases: &[Case]) {
    let server = Server::start(Patience::default());
    for (request, status, then) in cases {
        let shown: String = request.escape_debug().take(120).collect();
        let mut client = Client::connect(server.address());
        client.send(latin1(request).as_slice());
        let answer = client.answer();
        assert_eq!(answer.status, *status, "{shown}");
        let announced = answer.header("connection").unwrap_or_default();
        match then {
            Closed => {
                assert_eq!(announced, "close", "{shown}");
                assert!(client.is_closed(), "still open after {shown}");
            }
            Kept => {
                assert_eq!(announced, "keep-alive", "{shown}");
                client.send(format!("OPTIONS * HTTP/1.1\r\n{HOST}").as_bytes());
                assert_eq!(client.answer().status, 200, "after {shown}");
            }
        }
    }
}

/// The characters up to U+00FF as one byte each, so that a case can hold any byte.
fn latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).expect("cases use one byte per character"))
        .collect()
}

#[test]
fn request_lines_are_taken_strictly() {
    check(&request_lines());
}

#[test]
fn header_lines_are_taken_strictly() {
    check(&header_lines());
}

#[test]
fn a_request_has_one_host() {
    check(&hosts());
}

#[test]
fn a_request_has_one_length() {
    check(&bodies());
    check(&trailers());
}

#[test]
fn a_path_has_one_meaning() {
    check(&paths());
}

#[test]
fn the_table_has_at_least_sixty_cases_of_different_bytes() {
    let all = [
        request_lines(),
        header_lines(),
        hosts(),
        bodies(),
        trailers(),
        paths(),
    ]
    .concat();
    let mut refused: Vec<_> = all
        .into_iter()
        .filter(|(_, status, _)| *status >= 400)
        .map(|(request, ..)| request)
        .collect();
    refused.sort();
    refused.dedup();
    assert!(refused.len() >= 60, "{}", refused.len());
}

#[test]
fn whoever_sends_too_slowly_is_told_so() {
    let server = Server::start(Patience {
        head: Duration::from_millis(100),
        body: Duration::from_millis(100),
        idle: Duration::from_secs(30),
        ..Patience::default()
    });
    for request in [
        "G",
        "GET / HTTP/1.1\r\nHost: x",
        "POST /x.php HTTP/1.1\r\nHost: x.example\r\nContent-Length: 5\r\n\r\nabc",
        "POST /x.php HTTP/1.1\r\nHost: x.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ] {
        let mut client = Client::connect(server.address());
        client.send(request.as_bytes());
        let answer = client.answer();
        assert_eq!(answer.status, 408, "{request}");
        assert!(client.is_closed(), "{request}");
    }
}

#[test]
fn a_head_that_drips_is_ended_by_its_whole_time_not_by_each_wait() {
    let server = Server::start(Patience {
        head: Duration::from_millis(300),
        ..Patience::default()
    });
    let mut client = Client::connect(server.address());
    let began = std::time::Instant::now();
    for byte in b"GET / HTTP/1.1\r\nHost: x.example\r\nA-long-header: abcdefgh\r\n\r\n" {
        if client.try_send(&[*byte]).is_err() || client.has_answer() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(client.answer().status, 408);
    assert!(began.elapsed() < Duration::from_millis(900));
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let server = Server::start(Patience {
        idle: Duration::from_millis(100),
        ..Patience::default()
    });
    let mut client = Client::connect(server.address());
    assert!(client.is_closed());
    let mut client = Client::connect(server.address());
    client.send(format!("OPTIONS * HTTP/1.1\r\n{HOST}").as_bytes());
    assert_eq!(client.answer().status, 200);
    assert!(client.is_closed());
}
