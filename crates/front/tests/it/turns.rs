//! A site whose visitors want all of the front's one thread, and one with a single visitor.

use std::net::SocketAddr;
use std::rc::Rc;

use hostel_front::accept;
use hostel_front::connection::Patience;
use hostel_front::sites::Site;
use hostel_wire::front_monitor::{SiteEntry, SiteId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::front::{front, patient_entry, play};

/// Connections of the greedy site's visitors, and what each sends ahead.
const GREEDY: usize = 200;
const AHEAD: usize = 256;
/// Requests of the other one's.
const MODEST: usize = 100;

fn request(host: &str) -> String {
    format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// Ask the greedy site for as much as the front answers, until it closes.
async fn flood(stream: TcpStream, host: &'static str) {
    let (mut reader, mut writer) = stream.into_split();
    let many = request(host).repeat(AHEAD);
    let sending = async { while writer.write_all(many.as_bytes()).await.is_ok() {} };
    let reading = async {
        let mut buffer = vec![0; 64 * 1024];
        while reader.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    };
    tokio::join!(sending, reading);
}

/// A thread that floods as long as the front lives.
fn begin_flood(address: SocketAddr, host: &'static str) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("runtime");
        runtime.block_on(async {
            // All of them first: one that still connects when the front ends would be refused.
            let mut streams = Vec::new();
            for _ in 0..GREEDY {
                streams.push(TcpStream::connect(address).await.expect("connect"));
            }
            let floods = streams.into_iter().map(|stream| flood(stream, host));
            let clients: Vec<_> = floods.map(tokio::spawn).collect();
            for client in clients {
                client.await.expect("a client does not panic");
            }
        });
    })
}

/// How many requests of the greedy site are begun while one of the other site's is answered, from the least to the most.
async fn served_meanwhile(address: SocketAddr, greedy: &Rc<Site>) -> Vec<u64> {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    let mut counts = Vec::new();
    let mut buffer = vec![0; 4096];
    for _ in 0..MODEST {
        let before = greedy.counters.requests.sum();
        let asked = request("modest.example");
        stream.write_all(asked.as_bytes()).await.expect("send");
        let count = stream.read(&mut buffer).await.expect("an answer");
        assert!(buffer[..count].starts_with(b"HTTP/1.1 200 "));
        counts.push(greedy.counters.requests.sum() - before);
    }
    counts.sort_unstable();
    counts
}

#[test]
fn one_visitor_is_answered_between_those_of_a_site_that_wants_all() {
    let mut flooding = None;
    play(async {
        let front = front(patient_entry());
        let named = |id, name: &str| SiteEntry {
            id: SiteId(id),
            name: name.into(),
            domains: vec![format!("{name}.example")],
            ..patient_entry()
        };
        let sites = vec![named(2, "greedy"), named(3, "modest")];
        front.sites.change(&[], sites);
        let greedy = front.sites.find("greedy.example").expect("the site");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = listener.local_addr().expect("address");
        let serving = accept::serve_patiently(listener, Rc::clone(&front), Patience::default());
        tokio::task::spawn_local(serving);
        flooding = Some(begin_flood(address, "greedy.example"));
        while greedy.counters.requests.sum() < 50_000 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let counts = served_meanwhile(address, &greedy).await;
        let (median, most) = (counts[MODEST / 2], counts[MODEST - 1]);
        println!("served meanwhile: median {median}, at most {most}");
        // In the order of their coming it would be GREEDY connections, with up to 16 requests each.
        assert!(median < 200, "{counts:?}");
    });
    let flooding = flooding.expect("it has begun");
    flooding.join().expect("the front has closed");
}
