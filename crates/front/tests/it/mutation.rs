//! Every decoder of the front, fed with sound input that was damaged in fixed ways. The fuzz targets in `fuzz/` run the same
//! functions without an end; these few thousand run with every test.

use hostel_front::byte_range::{self, Selection};
use hostel_front::chunked::Chunks;
use hostel_front::head::{BodyLength, Head, Search};
use hostel_front::{normalize, reply, route};
use hostel_wire::codec::Writer;
use hostel_wire::front_keeper::{FileIdentity, FrontToKeeper, KeeperToFront, Resolution};
use hostel_wire::front_monitor::{SiteId, ToFront, ToMonitor};
use hostel_wire::front_worker::{End, FrameHead, ReplyHead, RequestHead};
use hostel_wire::keeper_zygote::{Death, FromZygote, ToZygote, WorkerId};
use hostel_wire::limits;
use hostel_wire::monitor_keeper::ToKeeper;

/// xorshift64*, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).expect("31 bits") % below.max(1)
    }

    /// Sound input with up to four damages.
    fn damage(&mut self, sound: &[&[u8]]) -> Vec<u8> {
        let mut bytes = sound[self.roll(sound.len())].to_vec();
        for _ in 0..=self.roll(4) {
            let at = self.roll(bytes.len());
            match self.roll(6) {
                0 if !bytes.is_empty() => bytes[at] = u8::try_from(self.roll(256)).expect("byte"),
                1 => bytes.insert(at, SPECIAL[self.roll(SPECIAL.len())]),
                2 if !bytes.is_empty() => drop(bytes.remove(at)),
                3 => bytes.truncate(at),
                4 => {
                    let other = sound[self.roll(sound.len())];
                    bytes.extend_from_slice(&other[self.roll(other.len())..]);
                }
                _ if !bytes.is_empty() => bytes[at] = SPECIAL[self.roll(SPECIAL.len())],
                _ => {}
            }
        }
        bytes
    }
}

const SPECIAL: &[u8] = b"\0\r\n\t :;,/%.?#*-=\"\\0f~_\x7f\x80\xff";
const ROUNDS: usize = 20_000;

#[test]
fn heads() {
    let sound: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: x.example\r\n\r\n",
        b"POST /a.php/b?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        b"PUT http://a.example:80?x HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive, x\r\nA_b: c\r\nProxy: d\r\n\r\n",
    ];
    let mut dice = Dice(1);
    let mut read = 0;
    let mut head = Head::default();
    for _ in 0..ROUNDS {
        let input = dice.damage(sound);
        let Ok(Some(end)) = Search::default().end_of_head(&input) else {
            continue;
        };
        // However the bytes arrive, the head ends at the same place.
        let mut search = Search::default();
        let cut = dice.roll(end);
        assert_eq!(search.end_of_head(&input[..cut]), Ok(None));
        assert_eq!(search.end_of_head(&input), Ok(Some(end)));
        if head.read(&input[..end]).is_err() {
            continue;
        }
        read += 1;
        let bytes = &input[..end];
        assert!(bytes.ends_with(b"\r\n\r\n"));
        assert!(!bytes.contains(&0), "{}", bytes.escape_ascii());
        let bare = bytes.windows(2).any(|w| w[1] == b'\n' && w[0] != b'\r');
        assert!(!bare, "{}", bytes.escape_ascii());
        assert!(head.target().starts_with(b"/") || !head.method().is_empty());
        for (name, value) in head.headers() {
            assert!(name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-'));
            assert!(!value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
        }
        if let BodyLength::Sized(length) = head.body() {
            let value = std::str::from_utf8(head.header("content-length").expect("length"));
            assert_eq!(value.expect("digits").parse(), Ok(length));
            assert!(head.header("transfer-encoding").is_none());
        }
    }
    assert!(read > ROUNDS / 100, "only {read} heads were sound");
}

#[test]
fn chunks() {
    let sound: &[&[u8]] = &[
        b"0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"a;b=\"c\"\r\n0123456789\r\n1\r\nx\r\n00\r\nA: b\r\n\r\n",
    ];
    let decode = |input: &[u8], step: usize| {
        let mut chunks = Chunks::default();
        let mut data = Vec::new();
        let mut used = 0;
        for part in input.chunks(step) {
            let mut rest = part;
            while !rest.is_empty() && !chunks.is_complete() {
                let piece = chunks.next(rest).ok()?;
                assert!(piece.consumed > 0 && piece.consumed <= rest.len());
                data.extend_from_slice(piece.data);
                used += piece.consumed;
                rest = &rest[piece.consumed..];
            }
        }
        assert!(data.len() <= used);
        Some((data, used, chunks.is_complete()))
    };
    let mut dice = Dice(2);
    let mut complete = 0;
    for _ in 0..ROUNDS {
        let input = dice.damage(sound);
        let whole = decode(&input, input.len().max(1));
        let step = 1 + dice.roll(7);
        assert_eq!(decode(&input, step), whole, "{}", input.escape_ascii());
        complete += usize::from(whole.is_some_and(|(_, _, complete)| complete));
    }
    assert!(complete > ROUNDS / 100, "only {complete} bodies were sound");
}

#[test]
fn paths() {
    let sound: &[&[u8]] = &[
        b"/a/b/../c/./d.php/e",
        b"/%61%2f%2e%2e/%2E/x%20y",
        b"//a///b//",
        b"/a/..%2f../b",
    ];
    let extensions = ["php".to_owned()];
    let mut dice = Dice(3);
    let mut out = Vec::new();
    let mut normal = 0;
    for _ in 0..ROUNDS {
        let input = dice.damage(sound);
        if normalize::path(&input, &mut out).is_err() {
            continue;
        }
        normal += 1;
        assert!(out.starts_with(b"/") && !out.contains(&0));
        for component in out[1..].split(|b| *b == b'/') {
            assert!(
                component != b"." && component != b"..",
                "{}",
                out.escape_ascii()
            );
        }
        assert!(!out.windows(2).any(|pair| pair == b"//"));
        if let Some(length) = route::script_length(&out, &extensions) {
            assert!(out[..length].ends_with(b".php"));
            assert!(length == out.len() || out[length] == b'/');
        }
        // Escaped, its meaning is itself: no second reading finds anything else.
        let escaped: String = out.iter().map(|b| format!("%{b:02x}")).collect();
        let mut again = Vec::new();
        let absolute = format!("/{escaped}");
        assert_eq!(normalize::path(absolute.as_bytes(), &mut again), Ok(()));
        assert_eq!(again, out);
    }
    assert!(normal > ROUNDS / 100, "only {normal} paths were sound");
}

#[test]
fn hosts_and_ranges() {
    let hosts: &[&[u8]] = &[b"Blog.Example.:80", b"[2001:db8::1]:443", b"a_b-c.example"];
    let ranges: &[&[u8]] = &[b"bytes=0-4,5-,-3", b"bytes=10-20, 30-40", b"bytes=-1"];
    let mut dice = Dice(4);
    let mut host = String::new();
    for _ in 0..ROUNDS {
        if normalize::host(&dice.damage(hosts), &mut host).is_some() {
            assert!(!host.is_empty() && host.len() <= 253);
            assert!(
                !host
                    .bytes()
                    .any(|b| b.is_ascii_uppercase() || b <= b' ' || b >= 0x7f)
            );
            assert!(!host.contains(['/', '@', ',']) && !host.contains(".."));
        }
        let size = dice.roll(60) as u64;
        if let Selection::Parts(parts) = byte_range::select(&dice.damage(ranges), size) {
            assert!(!parts.is_empty());
            let sum: u64 = parts.iter().map(|part| part.end - part.start).sum();
            assert!(sum <= size);
            assert!(
                parts
                    .iter()
                    .all(|part| part.start < part.end && part.end <= size)
            );
        }
    }
}

#[test]
fn lines_of_workers() {
    let sound: &[&[u8]] = &[
        b"Content-Type: text/html",
        b"Status: 404 Not Found",
        b"Content-Length: 17",
        b"Set-Cookie: a=b; path=/",
    ];
    let mut dice = Dice(5);
    for _ in 0..ROUNDS {
        let mut headers = reply::ReplyHeaders::default();
        let line = dice.damage(sound);
        if headers.push(&line).is_ok() {
            assert!(!line.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
            assert!(headers.status(200).is_ok());
        }
    }
}

/// Every message between the processes: what is taken is taken in one way only.
#[test]
fn messages_of_processes() {
    let sound = sound_messages();
    let sound: Vec<&[u8]> = sound.iter().map(Vec::as_slice).collect();
    let mut dice = Dice(6);
    let mut taken = 0;
    for _ in 0..ROUNDS {
        let bytes = dice.damage(&sound);
        let again = [
            RequestHead::decode(&bytes)
                .ok()
                .map(|head| encoded(|w| head.encode(w))),
            ReplyHead::decode(&bytes)
                .ok()
                .map(|head| encoded(|w| head.encode(w))),
            KeeperToFront::decode(&bytes)
                .ok()
                .map(|message| message.encode()),
            FrontToKeeper::decode(&bytes)
                .ok()
                .map(|message| message.encode()),
            End::decode(&bytes).ok().map(|end| end.encode().to_vec()),
            ToFront::decode(&bytes).ok().map(|message| message.encode()),
            ToMonitor::decode(&bytes)
                .ok()
                .map(|message| message.encode().to_vec()),
            ToKeeper::decode(&bytes)
                .ok()
                .map(|message| message.encode()),
            FromZygote::decode(&bytes)
                .ok()
                .map(|message| message.encode()),
            ToZygote::decode(&bytes)
                .ok()
                .map(|message| message.encode()),
        ];
        // The number of a site is sent with every question to the monitor, and read where there is none.
        let ignored = ToMonitor::decode(&bytes).is_ok();
        for again in again.into_iter().flatten() {
            taken += 1;
            assert!(again == bytes || ignored, "{}", bytes.escape_ascii());
        }
        if let Ok(Some(head)) = FrameHead::decode(&bytes) {
            assert!(head.length <= limits::FRAME_BYTES_MAX);
            assert!(bytes.starts_with(&head.encode()));
        }
    }
    assert!(taken > ROUNDS / 100, "only {taken} messages were sound");
}

fn encoded(encode: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::new();
    encode(&mut w);
    w.finish()
}

/// One message of most kinds.
fn sound_messages() -> Vec<Vec<u8>> {
    let mut request = Writer::new();
    RequestHead {
        https: false,
        body_bytes: 3,
        method: b"POST",
        target: b"/a.php/x?y=1",
        query: b"y=1",
        path: b"/a.php/x",
        script: b"/a.php",
        path_info: b"/x",
        protocol: b"HTTP/1.1",
        server_name: b"blog.example",
        server_address: b"127.0.0.1",
        server_port: 8080,
        remote_address: b"::1",
        remote_port: 40_000,
        headers: vec![(b"Host", b"blog.example"), (b"X-Empty", b"")],
    }
    .encode(&mut request);
    let mut reply = Writer::new();
    ReplyHead {
        status: 302,
        lines: vec![b"Location: /x", b"Content-Type: text/html"],
    }
    .encode(&mut reply);
    let file = KeeperToFront::Resolved {
        ticket: 9,
        resolution: Resolution::File {
            identity: FileIdentity {
                device: 1,
                inode: 2,
                size: 3,
                modified: (4, 5),
                changed: (-6, 7),
            },
            name: b"a.css".to_vec(),
        },
    };
    let question = FrontToKeeper::Resolve {
        ticket: 1,
        path: b"/a".to_vec(),
        known: None,
    };
    let frame = FrameHead {
        length: 17,
        request: 3,
        kind: 2,
    };
    let end = End {
        last: true,
        memory_kib: 2048,
        watch: None,
    };
    vec![
        request.finish(),
        reply.finish(),
        file.encode(),
        question.encode(),
        frame.encode().to_vec(),
        end.encode().to_vec(),
        KeeperToFront::WorkerDied(WorkerId(4), Death::Signalled(11)).encode(),
        ToFront::Sites(vec![crate::server::entry()]).encode(),
        ToMonitor::WakeSite(SiteId(9)).encode().to_vec(),
        ToKeeper::Stop { seconds: 5 }.encode(),
        FromZygote::Forked(WorkerId(3), 4711).encode(),
        ToZygote::Fork(WorkerId(1)).encode(),
    ]
}
