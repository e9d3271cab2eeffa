//! Bodies of requests, and credentials.

use crate::front::{get, post};
use crate::site::{Site, Wishes};
use hostel_wire::front_worker::to_worker;

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn a_form_arrives() {
    let mut site = Site::start("body", &Wishes::default());
    let mut ask = post("/post.php", FORM, b"a=1&b[]=2&b[]=3");
    ask.headers.push(("Cookie", "c=4".into()));
    ask.headers.push(("Cookie", "d=5".into()));
    let answer = site.worker().front.ask(&ask);
    assert_eq!(
        answer.text(),
        r#"[{"a":"1","b":["2","3"]},[],15,"POST","15",{"c":"4","d":"5"}]"#
    );
}

#[test]
fn ten_megabytes_are_uploaded() {
    let values = [("upload_max_filesize", "20M"), ("post_max_size", "30M")];
    let wishes = Wishes {
        values: &values,
        ..Wishes::default()
    };
    let mut site = Site::start("body", &wishes);
    let content: Vec<u8> = (0..10_000_000_u32)
        .map(|index| index.to_le_bytes()[usize::from(index % 7 == 0)])
        .collect();
    let mut body = b"--XX\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--XX\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"big.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        .to_vec();
    body.extend(&content);
    body.extend(b"\r\n--XX--\r\n");
    site.write("public/expected.bin", "");
    std::fs::write(site.root().join("expected.bin"), &content).unwrap();
    site.write(
        "public/md5.php",
        "<?php echo md5_file(__DIR__ . '/expected.bin');",
    );
    let mut worker = site.worker();
    let answer = worker.front.ask(&post(
        "/upload.php",
        "multipart/form-data; boundary=XX",
        &body,
    ));
    let md5 = worker.front.ask(&get("/md5.php")).text();
    let expected = format!(r#"["big.bin",10000000,0,true,"\/tmp","{md5}",{{"note":"hello"}}]"#);
    assert_eq!(answer.text(), expected);
}

#[test]
fn any_method_may_have_a_body() {
    let mut site = Site::start("body", &Wishes::default());
    let mut worker = site.worker();
    let body = vec![b'q'; 300_000];
    for method in ["PUT", "POST", "PATCH", "DELETE"] {
        let mut ask = post("/input.php", "application/octet-stream", &body);
        ask.method = method;
        let answer = worker.front.ask(&ask);
        assert!(
            answer.text().starts_with("300000 "),
            "{method}: {}",
            answer.text()
        );
    }
}

#[test]
fn a_body_that_nobody_reads_is_passed_over() {
    let mut site = Site::start("body", &Wishes::default());
    let mut worker = site.worker();
    let body = vec![b'q'; 500_000];
    for _ in 0..3 {
        let mut ask = post("/ignore.php", "application/octet-stream", &body);
        for method in ["PUT", "POST"] {
            ask.method = method;
            assert_eq!(worker.front.ask(&ask).text(), "ignored");
        }
        // A large answer while the body still comes.
        ask.script = "/echo_all.php";
        ask.method = "PUT";
        assert_eq!(worker.front.ask(&ask).body.len(), 3_000_000);
        // A script that is not there.
        ask.script = "/none.php";
        assert_eq!(worker.front.ask(&ask).missing, Some(0));
    }
}

#[test]
fn a_body_that_is_cut_ends_there() {
    let mut site = Site::start("body", &Wishes::default());
    let mut worker = site.worker();
    let ask = post("/input.php", "application/octet-stream", b"0123456789");
    worker.front.next_number();
    let mut bytes = worker.front.request(&ask);
    bytes.extend(worker.front.frame(to_worker::BODY, b"0123"));
    bytes.extend(worker.front.frame(to_worker::BODY_END, &[0]));
    worker.front.send_bytes(&bytes);
    // Nobody takes the answer, but the exchange ends and the worker serves on.
    assert!(worker.front.answer().unwrap().end.is_some());
    assert_eq!(worker.front.ask(&get("/ignore.php")).text(), "ignored");
}

#[test]
fn more_than_post_max_size_leaves_an_empty_form() {
    let values = [("post_max_size", "1K")];
    let wishes = Wishes {
        values: &values,
        ..Wishes::default()
    };
    let mut site = Site::start("body", &wishes);
    let mut worker = site.worker();
    let body = format!("a={}", "x".repeat(100_000));
    let answer = worker.front.ask(&post("/post.php", FORM, body.as_bytes()));
    assert!(answer.text().starts_with("[[],[]"), "{}", answer.text());
    assert!(
        answer.logs[0].contains("exceeds the limit"),
        "{:?}",
        answer.logs
    );
    assert_eq!(worker.front.ask(&get("/ignore.php")).text(), "ignored");
}

#[test]
fn credentials_are_taken_apart() {
    let mut site = Site::start("body", &Wishes::default());
    let mut worker = site.worker();
    let mut ask = get("/auth.php");
    assert_eq!(worker.front.ask(&ask).text(), r#"[null,null,null,"",null]"#);
    ask.headers.push(("Authorization", "Basic am9lOnB3".into()));
    assert_eq!(
        worker.front.ask(&ask).text(),
        r#"["joe","pw",null,"joe",null]"#
    );
    ask.headers.pop();
    ask.headers
        .push(("Authorization", "Digest username=\"joe\"".into()));
    assert_eq!(
        worker.front.ask(&ask).text(),
        r#"[null,null,"username=\"joe\"","",null]"#
    );
    // Nothing of it is left for the next request.
    assert_eq!(
        worker.front.ask(&get("/auth.php")).text(),
        r#"[null,null,null,"",null]"#
    );
}
