//! What each step of a request costs the front, for docs/performance.md. Only its run by name tells anything:
//! `cargo test --release -p hostel-front --lib costs -- --nocapture`. The kernel's part is not in it.

#![allow(clippy::print_stdout, reason = "figures for a person at a terminal")]

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::time::{Duration, Instant};

use hostel_sys::fdpass::stream_pair;
use hostel_sys::ring::{FrontEnd, WorkerEnd};
use hostel_wire::codec::Writer;
use hostel_wire::front_monitor::SiteId;
use hostel_wire::front_worker::RequestHead;

use crate::access_log::{self, Entry};
use crate::head::{Head, Search};
use crate::reply::{self, Framing, ReplyHeaders};
use crate::scheduler::{Scheduler, Staff, Terms};
use crate::{normalize, route};

/// As a browser sends it.
const REQUEST: &[u8] = b"GET /blog/index.php?p=17 HTTP/1.1\r\nHost: www.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br\r\nReferer: https://www.example.org/blog/\r\nConnection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\nUpgrade-Insecure-Requests: 1\r\n\r\n";
/// As PHP answers it.
const LINES: [&[u8]; 5] = [
    b"Content-type: text/html; charset=UTF-8",
    b"Cache-Control: no-store, no-cache, must-revalidate",
    b"Expires: Thu, 19 Nov 1981 08:52:00 GMT",
    b"Set-Cookie: session=0123456789abcdef0123456789abcdef; path=/; HttpOnly",
    b"X-Powered-By: PHP/8.2.29",
];

/// Say how long one of these takes, in microseconds: the best of some series, since all else on the machine only makes it slower.
fn each(what: &str, mut work: impl FnMut()) {
    let count: u32 = if cfg!(debug_assertions) { 10 } else { 20_000 };
    let series = (0..9).map(|_| {
        let begun = Instant::now();
        (0..count).for_each(|_| work());
        begun.elapsed() / count
    });
    let best = series.min().unwrap_or_default();
    println!("{:8.3} {what}", best.as_nanos() as f64 / 1000.0);
}

#[test]
fn of_a_head_and_its_way() {
    let mut head = Head::default();
    each("head: find its end, read strictly", || {
        let end = Search::default().end_of_head(REQUEST).unwrap().unwrap();
        head.read(&REQUEST[..end]).unwrap();
    });
    let (mut host, sites) = (
        String::new(),
        HashMap::from([("www.example.org".to_owned(), 1)]),
    );
    each("host: normalise, find the site", || {
        host.clear();
        normalize::host(head.host().unwrap(), &mut host).unwrap();
        black_box(sites.get(&host));
    });
    let mut path = Vec::new();
    let extensions = ["php".to_owned()];
    each(
        "path: normalise, find a script's name, hidden files",
        || {
            path.clear();
            normalize::path(head.path(), &mut path).unwrap();
            black_box(route::script_length(&path, &extensions));
            black_box(route::is_hidden(&path));
        },
    );
    let map: HashMap<Vec<u8>, u32> = (0..500_u32)
        .map(|number| (format!("/images/{number}.png").into_bytes(), number))
        .collect();
    each("path map: one look, of 500 paths", || {
        black_box(map.get(b"/images/250.png".as_slice()));
    });
    let mut line = Vec::new();
    each("access log: one line", || {
        line.clear();
        let entry = Entry {
            remote: "192.0.2.7",
            head: &head,
            status: 200,
            bytes: 12_345,
            duration: Duration::from_micros(1234),
            site: "blog",
        };
        access_log::append(&mut line, &entry);
    });
    let mut out = Vec::new();
    each("answer's head: check 5 lines, write", || {
        let mut headers = ReplyHeaders::default();
        for line in LINES {
            headers.push(line).unwrap();
        }
        out.clear();
        reply::append_reply_head(&mut out, 200, &headers, Framing::Length(10), true);
    });
}

#[test]
fn of_the_way_to_a_worker() {
    let mut head = Head::default();
    let end = Search::default().end_of_head(REQUEST).unwrap().unwrap();
    head.read(&REQUEST[..end]).unwrap();
    let mut payload = Vec::new();
    each("request: write it for the worker", || {
        payload.clear();
        let mut w = Writer::append_to(std::mem::take(&mut payload));
        RequestHead {
            https: false,
            body_bytes: 0,
            method: head.method(),
            target: head.target(),
            query: head.query().unwrap_or_default(),
            path: head.path(),
            script: head.path(),
            path_info: b"",
            protocol: head.protocol(),
            server_name: b"www.example.org",
            server_address: b"192.0.2.1",
            server_port: 80,
            remote_address: b"192.0.2.7",
            remote_port: 40_000,
            headers: head.headers().collect(),
        }
        .encode(&mut w);
        payload = w.finish();
    });
    let (key, mut count) = (RandomState::new(), 0_u64);
    each("number of a request that cannot be guessed", || {
        count += 1;
        black_box(key.hash_one(count));
    });
    let now = Instant::now();
    let mut scheduler = Scheduler::new(2, 1 << 33);
    let terms = Terms {
        site: SiteId(1),
        workers_max: 10,
        queue_max: 10,
        weight: 100,
        is_once: false,
    };
    let slot = scheduler.enter(terms, now);
    let staff = Staff {
        workers: 1,
        queued: 0,
    };
    each("scheduler: one arrives, runs, rests, is reported", || {
        black_box(scheduler.arrive(slot, true, now));
        scheduler.weighed(slot, 400);
        scheduler.rested(slot, Some(Duration::from_micros(50)));
        scheduler.report(slot, staff);
    });
    let (near, far) = stream_pair(true).unwrap();
    let (mut front, _bell) = FrontEnd::share(&near).unwrap();
    let mut worker = WorkerEnd::adopt(far).unwrap().unwrap();
    let mut room = vec![0; 4096];
    each(
        "rings: a request in and out, an answer of 1 KiB in and out",
        || {
            front.write(&payload).unwrap();
            let _ = black_box(front.wake());
            worker.read_some(&mut room).unwrap();
            worker.write_some(&room[..1024]).unwrap();
            front.read(&mut room).unwrap();
        },
    );
    each("clock: one look", || {
        black_box(Instant::now());
    });
}
