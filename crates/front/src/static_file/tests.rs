use std::fs::File;

use hostel_wire::front_keeper::FileIdentity;
use tokio::io::AsyncReadExt;
use tokio::task::LocalSet;

use super::*;

/// What is logged of an answer.
#[derive(Debug, Clone, Copy)]
struct Sent {
    status: u16,
    bytes: u64,
}
use crate::connection::tests::pair;

/// A file without a name that holds `content` but promises `size` bytes.
fn file(name: &str, content: &[u8], size: u64) -> ServedFile {
    let directory = File::open(std::env::temp_dir()).unwrap();
    let file = crate::spill::Spill::new(directory.into()).create().unwrap();
    file.write_all_at(content, 0).unwrap();
    let identity = FileIdentity {
        device: 1,
        inode: 2,
        size,
        modified: (784_111_777, 0),
        changed: (784_111_777, 0),
    };
    let disk = std::rc::Rc::new(crate::disk::Disk::default()).site();
    ServedFile::of(file, identity, name.as_bytes().to_vec(), &disk)
}

/// What `file` is answered with, to a request with these lines: the status and the bytes of the body as they are logged, and head
/// and body as they arrive.
async fn answer(
    method: &str,
    lines: &str,
    file: &ServedFile,
) -> (Result<Sent, FileError>, String, Vec<u8>) {
    let (mut connection, mut client) = pair().await;
    let mut head = Head::default();
    head.read(format!("{method} /f HTTP/1.1\r\nHost: x\r\n{lines}\r\n").as_bytes())
        .unwrap();
    let mut bytes = Vec::new();
    let sending = async {
        let sent = send(&mut connection, &head, file, true).await;
        let (status, bytes) = connection.answered().unwrap_or_default();
        drop(connection);
        sent.map(|()| Sent { status, bytes })
    };
    let both = async { tokio::join!(sending, client.read_to_end(&mut bytes)) };
    let (sent, read) = LocalSet::new().run_until(both).await;
    read.unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let body = end.map(|end| bytes.split_off(end + 4)).unwrap_or_default();
    (sent, String::from_utf8(bytes).unwrap(), body)
}

fn pattern(length: u32) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn a_file_arrives_with_what_a_client_needs_to_keep_it() {
    let (sent, head, body) = answer("GET", "", &file("a.css", b"hello", 5)).await;
    let sent = sent.unwrap();
    assert_eq!(
        (sent.status, sent.bytes, &body[..]),
        (200, 5, &b"hello"[..])
    );
    for line in [
        "HTTP/1.1 200 OK\r\n",
        "Content-Type: text/css\r\n",
        "Content-Length: 5\r\n",
        "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "ETag: \"2ebc9a61-5\"\r\n"
            .replace("2ebc9a61", &format!("{:x}", 784_111_777))
            .as_str(),
        "Accept-Ranges: bytes\r\n",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
}

#[tokio::test]
async fn every_size_arrives_whole() {
    for size in [
        0,
        1,
        32 * 1024,
        32 * 1024 + 1,
        256 * 1024,
        3 * 1024 * 1024 + 7,
    ] {
        let content = pattern(size);
        let (sent, _, body) = answer("GET", "", &file("f", &content, size.into())).await;
        assert_eq!(sent.unwrap().bytes, u64::from(size));
        assert!(body == content, "{size}");
    }
}

#[tokio::test]
async fn a_file_that_the_page_cache_does_not_have_arrives_too() {
    let content = pattern(600_000);
    let file = file("f", &content, 600_000);
    file.file.sync_all().unwrap();
    rustix::fs::fadvise(&file.file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let (_, _, body) = answer("GET", "", &file).await;
    assert!(body == content);
    let reading = async {
        assert_eq!(read_cold(&file, 5, 10).await.unwrap(), content[5..15]);
        assert!(read_cold(&file, 599_999, 2).await.is_err());
    };
    LocalSet::new().run_until(reading).await;
}

#[tokio::test]
async fn head_promises_what_get_would_send() {
    for size in [5, 100_000] {
        let content = pattern(size);
        let file = file("f", &content, size.into());
        let (sent, head, body) = answer("HEAD", "", &file).await;
        assert_eq!((sent.unwrap().bytes, body.len()), (0, 0));
        assert!(
            head.contains(&format!("Content-Length: {size}\r\n")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn one_range_is_sent_as_it_is() {
    let content = pattern(100_000);
    let file = file("f.txt", &content, 100_000);
    for (range, start, end) in [
        ("0-0", 0, 1),
        ("10-19", 10, 20),
        ("99990-", 99_990, 100_000),
        ("-5", 99_995, 100_000),
        ("1000-90999", 1000, 91_000),
    ] {
        let (sent, head, body) = answer("GET", &format!("Range: bytes={range}\r\n"), &file).await;
        assert_eq!(sent.unwrap().status, 206);
        assert!(body == content[start..end], "{range}");
        let line = format!("Content-Range: bytes {start}-{}/100000\r\n", end - 1);
        assert!(head.contains(&line), "{head}");
    }
}

#[tokio::test]
async fn several_ranges_are_sent_as_parts() {
    let content = pattern(100_000);
    let file = file("f.txt", &content, 100_000);
    let (sent, head, body) = answer("GET", "Range: bytes=0-1,50000-89999,-1\r\n", &file).await;
    assert_eq!(sent.unwrap().status, 206);
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{head}"
    );
    let boundary = head.split("boundary=").nth(1).unwrap();
    let boundary = boundary.split("\r\n").next().unwrap();
    let mut expected = Vec::new();
    for (start, end) in [(0, 2), (50_000, 90_000), (99_999, 100_000)] {
        let part = format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {start}-{}/100000\r\n\r\n",
            end - 1
        );
        expected.extend_from_slice(part.as_bytes());
        expected.extend_from_slice(&content[start..end]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(body == expected);
}

#[tokio::test]
async fn conditions_and_ranges_have_their_own_answers() {
    let file = file("f", b"hello", 5);
    let tag = Validators::of(&file.identity).tag;
    let (sent, head, body) = answer("GET", &format!("If-None-Match: {tag}\r\n"), &file).await;
    assert_eq!((sent.unwrap().status, body.len()), (304, 0));
    assert!(
        head.contains(&tag) && !head.contains("Content-Length"),
        "{head}"
    );
    let (sent, head, _) = answer("GET", "Range: bytes=5-\r\n", &file).await;
    assert_eq!(sent.unwrap().status, 416);
    assert!(head.contains("Content-Range: bytes */5\r\n"), "{head}");
    let (sent, ..) = answer("GET", "If-Range: \"x\"\r\nRange: bytes=0-1\r\n", &file).await;
    assert_eq!(sent.unwrap().status, 200);
    let (sent, head, _) = answer("GET", "If-Match: \"x\"\r\n", &file).await;
    assert!(matches!(sent, Err(FileError::Condition)) && head.is_empty());
}

#[tokio::test]
async fn a_file_that_became_shorter_never_passes_for_whole() {
    let (sent, head, _) = answer("GET", "", &file("f", b"hell", 5)).await;
    assert!(matches!(sent, Err(FileError::Unreadable(_))), "{sent:?}");
    assert!(head.is_empty(), "{head}");
    let content = pattern(400_000);
    let (sent, head, body) = answer("GET", "", &file("f", &content, 500_000)).await;
    assert!(matches!(sent, Err(FileError::Cut(_))), "{sent:?}");
    assert!(head.contains("Content-Length: 500000\r\n") && body == content);
}

#[tokio::test]
async fn a_file_that_became_longer_is_sent_as_promised() {
    for size in [5, 50_000] {
        let content = pattern(100_000);
        let (_, _, body) = answer("GET", "", &file("f", &content, size)).await;
        assert_eq!(body.len() as u64, size);
    }
}
