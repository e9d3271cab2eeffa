//! What an answer looks like.

use crate::front::{Answer, get};
use crate::site::{Site, Wishes};

fn answer(script: &str) -> Answer {
    let mut site = Site::start("answer", &Wishes::default());
    site.worker().front.ask(&get(script))
}

#[test]
fn hello_leaves_as_one_write() {
    let mut site = Site::start("basics", &Wishes::default());
    let mut worker = site.worker();
    let answer = worker.front.ask(&get("/hello.php"));
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(answer.lines, ["Content-type: text/html; charset=UTF-8"]);
    assert_eq!(worker.front.reads, 1);
    assert!(
        answer
            .end
            .is_some_and(|end| !end.last && end.memory_kib > 0)
    );
}

#[test]
fn headers_cookies_and_status_come_as_set() {
    let answer = answer("/headers.php");
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.lines,
        [
            "X-One: 1",
            "X-One: 2",
            "Set-Cookie: a=1",
            "Set-Cookie: b=2",
            "Content-type: text/html; charset=UTF-8"
        ]
    );
    let list = r#"["X-One: 1","X-One: 2","Set-Cookie: a=1","Set-Cookie: b=2"]"#;
    assert_eq!(answer.text(), format!("[false,404,{list}]"));
}

#[test]
fn location_means_302_after_get_and_post() {
    let mut site = Site::start("answer", &Wishes::default());
    let mut worker = site.worker();
    for method in ["GET", "POST"] {
        let mut ask = get("/redirect.php");
        ask.method = method;
        let answer = worker.front.ask(&ask);
        assert_eq!(
            (answer.status, answer.header("Location")),
            (302, Some("/elsewhere"))
        );
    }
}

#[test]
fn a_status_header_counts_unless_there_is_a_status_line() {
    let mut site = Site::start("answer", &Wishes::default());
    let mut worker = site.worker();
    let answer = worker.front.ask(&get("/status.php"));
    assert_eq!((answer.status, answer.header("Status")), (418, None));
    let answer = worker
        .front
        .ask(&get("/status.php?line=HTTP/1.1%20503%20Gone%20fishing"));
    assert_eq!(answer.status, 503);
}

#[test]
fn an_unchanged_answer_has_no_type() {
    let answer = answer("/not_modified.php");
    assert_eq!(
        (answer.status, answer.lines),
        (304, vec!["ETag: \"x\"".to_owned()])
    );
}

#[test]
fn too_large_a_head_becomes_502() {
    let answer = answer("/too_many.php");
    assert_eq!((answer.status, answer.body.len()), (502, 0));
    assert!(answer.logs[0].contains("header lines"), "{:?}", answer.logs);
}

#[test]
fn a_large_answer_comes_whole() {
    let answer = answer("/large.php");
    let expected: Vec<u8> = (0..1000_u32)
        .flat_map(|line| vec![b'A' + u8::try_from(line % 26).unwrap(); 3001])
        .collect();
    assert!(answer.body == expected);
}

#[test]
fn head_runs_the_script_and_sends_no_body() {
    let mut site = Site::start("answer", &Wishes::default());
    let mut ask = get("/headers.php");
    ask.method = "HEAD";
    let answer = site.worker().front.ask(&ask);
    assert_eq!((answer.status, answer.body.len()), (404, 0));
}

#[test]
fn flush_sends_what_is_there() {
    let mut site = Site::start("answer", &Wishes::default());
    let mut worker = site.worker();
    worker.front.send(&get("/flush.php"));
    let started = std::time::Instant::now();
    let _head = worker.front.next().unwrap();
    let (_, first) = worker.front.next().unwrap();
    assert_eq!(first, b"first");
    assert!(
        started.elapsed().as_millis() < 190,
        "the first part waited for the second"
    );
    let (_, second) = worker.front.next().unwrap();
    assert_eq!(second, b"second");
}

#[test]
fn a_finished_answer_is_complete_and_the_script_runs_on() {
    let answer = answer("/finish.php");
    assert!(answer.finished);
    assert_eq!(answer.text(), "before");
    assert_eq!(answer.logs, ["[true,false,0]", "shutdown ran"]);
}

#[test]
fn what_ends_in_an_error_is_500_and_in_the_log() {
    let mut site = Site::start("answer", &Wishes::default());
    let mut worker = site.worker();
    for (script, said) in [
        (
            "/fatal.php",
            "PHP Fatal error:  Uncaught Error: Call to a member function method() on null in",
        ),
        (
            "/exception.php",
            "PHP Fatal error:  Uncaught RuntimeException: broken\nin two lines in",
        ),
        ("/parse_error.php", "PHP Parse error:  syntax error"),
    ] {
        let answer = worker.front.ask(&get(script));
        assert_eq!((answer.status, answer.body.len()), (500, 0), "{script}");
        assert!(
            answer.logs.last().unwrap().starts_with(said),
            "{:?}",
            answer.logs
        );
    }
    let answer = worker.front.ask(&get("/late_fatal.php"));
    assert_eq!((answer.status, answer.text().as_str()), (200, "some"));
    assert!(answer.logs[0].contains("undefined function not_a_function()"));
}

#[test]
fn exit_ends_a_script_wherever_it_stands() {
    let mut site = Site::start("answer", &Wishes::default());
    let mut worker = site.worker();
    for (place, expected) in [
        ("plain", "a"),
        ("text", "b"),
        ("buffer", "C"),
        ("callback", "lost"),
        ("shutdown", "d"),
        ("destructor", "e[destructor][exit in destructor]"),
        ("handler", "f"),
        ("exception", "g"),
        ("include", "h"),
        ("generator", "i"),
        ("session", "j"),
        ("status", ""),
    ] {
        let answer = worker.front.ask(&get(&format!("/exit.php?where={place}")));
        assert_eq!(
            answer.text(),
            expected,
            "exit in {place}: {:?}",
            answer.logs
        );
        let hello = worker.front.ask(&get("/exit.php?where=text"));
        assert_eq!(
            (hello.status, hello.text().as_str()),
            (200, "b"),
            "after {place}"
        );
    }
}

#[test]
fn variables_are_those_of_nginx_and_php_fpm() {
    let mut site = Site::start("answer", &Wishes::default());
    let mut ask = get("/variables.php?a=1&b=2");
    ask.path_info = "/more/info";
    ask.headers.push(("X-Custom", "value".into()));
    ask.headers.push(("Cookie", "c=1".into()));
    let answer = site.worker().front.ask(&ask);
    let root = site.root();
    let root = root.to_str().unwrap();
    let home = site.directory.to_str().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "USER=tester\nHOME={home}\nHTTP_COOKIE=c=1\nHTTP_X_CUSTOM=value\nHTTP_HOST=test.example\nREDIRECT_STATUS=200\n\
         SERVER_NAME=test.example\nSERVER_PORT=8080\nSERVER_ADDR=127.0.0.1\nREMOTE_USER=\nREMOTE_PORT=40000\n\
         REMOTE_ADDR=127.0.0.1\nSERVER_SOFTWARE=hostel/{version}\nGATEWAY_INTERFACE=CGI/1.1\nREQUEST_SCHEME=http\n\
         SERVER_PROTOCOL=HTTP/1.1\nDOCUMENT_ROOT={root}\nDOCUMENT_URI=/variables.php\n\
         REQUEST_URI=/variables.php/more/info?a=1&b=2\nSCRIPT_NAME=/variables.php\nCONTENT_LENGTH=\nCONTENT_TYPE=\n\
         REQUEST_METHOD=GET\nQUERY_STRING=a=1&b=2\nSCRIPT_FILENAME={root}/variables.php\nPATH_INFO=/more/info\n\
         FCGI_ROLE=RESPONDER\nPHP_SELF=/variables.php/more/info\nREQUEST_TIME_FLOAT="
    );
    let text = answer.text();
    assert!(text.starts_with(&expected), "{text}");
    let rest: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("--"))
        .collect();
    // PHP_SELF and the two times are in $_SERVER alone.
    assert_eq!(rest[0], "--test.example false -3 []");
    assert_eq!(
        rest[1],
        r#"{"Cookie":"c=1","X-Custom":"value","Host":"test.example","Content-Length":"","Content-Type":""}"#
    );
    let file = format!("{root}/variables.php");
    let included = format!("[\"{}\"]", file.replace('/', "\\/"));
    assert_eq!(rest[2], format!("fpm-fcgi {root} {file} {included}"));
}

#[test]
fn the_log_is_bounded() {
    let answer = answer("/log.php");
    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.logs[0], "one line");
    assert_eq!(answer.logs[1].len(), hostel_wire::limits::LOG_BYTES_MAX);
    assert!(answer.logs.last().unwrap().contains("the rest is left out"));
    assert!(answer.logs.iter().map(String::len).sum::<usize>() < 300_000);
}
