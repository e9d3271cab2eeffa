use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::*;
use crate::answer::{Answer, Budget, Channel, Verdict};
use crate::connection::tests::pair;
use crate::handoff::{HandoffError, Outcome};

/// How an answer ended, and the bytes of its body as they are logged.
#[derive(Debug, Clone, Copy)]
struct Sent {
    end: End,
    bytes: u64,
}

/// What the worker does, in order.
#[derive(Clone, Copy)]
enum Step {
    Body(&'static [u8]),
    Pause,
    Complete,
    Die,
}
use Step::{Body, Complete, Die, Pause};

/// What a client sees of a worker that answers with these lines and takes these steps.
async fn answer(
    request: &str,
    lines: &[&str],
    steps: &[Step],
) -> (Result<Sent, DeliverError>, String) {
    let channel = Channel::new(&Budget::in_memory(1_000_000));
    let mut headers = ReplyHeaders::default();
    for line in lines {
        headers.push(line.as_bytes()).unwrap();
    }
    channel.decide(Verdict::Head(200, headers));
    // What is there before the first pause is there before the front begins.
    let begun = steps
        .iter()
        .take_while(|step| !matches!(step, Pause))
        .count();
    let act = |step: &Step| match step {
        Body(bytes) => assert!(matches!(channel.push(bytes), crate::answer::Push::Taken)),
        Complete => channel.complete(),
        Die => channel.fail(HandoffError::WorkerDied, true),
        Pause => {}
    };
    steps[..begun].iter().for_each(act);
    let Ok(Outcome::Answer(Answer {
        status,
        headers,
        mut body,
    })) = std::future::poll_fn(|cx| channel.poll_verdict(cx)).await
    else {
        panic!("no answer");
    };
    let (mut connection, mut client) = pair().await;
    let mut head = Head::default();
    head.read(format!("{request}\r\nHost: x\r\n\r\n").as_bytes())
        .unwrap();
    let working = async {
        for step in &steps[begun..] {
            tokio::time::sleep(Duration::from_millis(5)).await;
            act(step);
        }
    };
    let sending = async {
        let sent = send(
            &mut connection,
            &head,
            headers.status(status).unwrap(),
            &headers,
            &mut body,
            true,
        )
        .await;
        let bytes = connection.answered().map_or(0, |(_, bytes)| bytes);
        drop(connection);
        sent.map(|end| Sent { end, bytes })
    };
    let mut bytes = Vec::new();
    let (sent, (), read) = tokio::join!(sending, working, client.read_to_end(&mut bytes));
    read.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    // The date changes from second to second.
    let text = text
        .split("\r\n")
        .filter(|line| !line.starts_with("Date: "))
        .collect::<Vec<_>>()
        .join("\n");
    (sent, text)
}

const GET: &str = "GET / HTTP/1.1";

#[tokio::test]
async fn a_whole_answer_has_its_length() {
    let (sent, text) = answer(GET, &["A: b"], &[Body(b"hello"), Complete]).await;
    let sent = sent.unwrap();
    assert_eq!((sent.bytes, sent.end), (5, End::Whole));
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\nServer: hostel\nA: b\nContent-Length: 5\nConnection: keep-alive\n\nhello"
    );
}

#[tokio::test]
async fn an_answer_that_goes_on_is_sent_in_chunks() {
    let steps = [Body(b"one"), Pause, Body(b"three"), Complete];
    let (sent, text) = answer(GET, &[], &steps).await;
    assert_eq!(sent.unwrap().end, End::Whole);
    assert!(
        text.ends_with("chunked\nConnection: keep-alive\n\n3\none\n5\nthree\n0\n\n"),
        "{text}"
    );
}

#[tokio::test]
async fn http_1_0_learns_the_end_from_the_connection() {
    let steps = [Body(b"one"), Pause, Body(b"two"), Complete];
    let (sent, text) = answer("GET / HTTP/1.0", &[], &steps).await;
    assert_eq!(sent.unwrap().end, End::Close);
    assert!(text.ends_with("Connection: close\n\nonetwo"), "{text}");
    let (sent, _) = answer("GET / HTTP/1.0", &[], &[Body(b"one"), Pause, Die]).await;
    assert_eq!(sent.unwrap().end, End::Reset);
}

#[tokio::test]
async fn a_declared_length_is_a_promise_that_is_enforced() {
    let steps = [Body(b"one"), Pause, Body(b"two"), Complete];
    let (sent, text) = answer(GET, &["Content-Length: 6"], &steps).await;
    assert_eq!(sent.unwrap().end, End::Whole);
    assert!(text.ends_with("\nonetwo"), "{text}");
    let (sent, text) = answer(GET, &["Content-Length: 4"], &steps).await;
    assert_eq!(sent.unwrap().end, End::Close);
    assert!(text.ends_with("\nonet"), "{text}");
    let (sent, text) = answer(GET, &["Content-Length: 9"], &steps).await;
    assert_eq!(sent.unwrap().end, End::Close);
    assert!(
        text.contains("Content-Length: 9\n") && text.ends_with("\nonetwo"),
        "{text}"
    );
    // Where the length is known it is not believed.
    let whole = [Body(b"one"), Complete];
    let (sent, text) = answer(GET, &["Content-Length: 9"], &whole).await;
    assert_eq!(sent.unwrap().end, End::Whole);
    assert!(text.contains("Content-Length: 3\n"), "{text}");
}

#[tokio::test]
async fn a_cut_answer_never_passes_for_whole() {
    let (sent, text) = answer(GET, &[], &[Body(b"one"), Pause, Die]).await;
    assert_eq!(sent.unwrap().end, End::Close);
    assert!(text.ends_with("3\none\n"), "{text}");
    let (sent, text) = answer(GET, &[], &[Die]).await;
    assert!(
        matches!(sent, Err(DeliverError::CutEarly(_))) && text.is_empty(),
        "{text}"
    );
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let head = "HEAD / HTTP/1.1";
    let (sent, text) = answer(head, &["Content-Length: 7"], &[Complete]).await;
    assert_eq!((sent.unwrap().bytes, text.ends_with("\n\n")), (0, true));
    assert!(text.contains("Content-Length: 7\n"), "{text}");
    let (_, text) = answer(head, &[], &[Complete]).await;
    assert!(!text.contains("Content-Length"), "{text}");
    let (_, text) = answer(head, &[], &[Body(b"hello"), Pause, Complete]).await;
    assert!(!text.contains("hello"), "{text}");
}

#[tokio::test]
async fn a_status_without_a_body_has_none() {
    for status in [204, 304] {
        let lines = [&*format!("Status: {status}"), "Content-Length: 5"];
        let (sent, text) = answer(GET, &lines, &[Body(b"hello"), Complete]).await;
        assert_eq!(sent.unwrap().end, End::Whole);
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
        assert!(
            !text.contains("hello") && !text.contains("Content-Length"),
            "{text}"
        );
    }
}
