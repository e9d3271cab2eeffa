//! Many requests from a few threads, each answer checked and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::http::{Connection, Request, Response};

/// A running load; [`Load::finish`] stops it and gives the counts.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
    threads: Vec<JoinHandle<Counts>>,
}

/// What came of a load's requests.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Answered as the check wants it.
    pub right: u32,
    /// Answered with another status, and at which moment.
    pub failed: Vec<(Instant, u16)>,
    /// Not answered: refused, cut or closed, why, and at which moment.
    pub broken: Vec<(Instant, String)>,
    /// Answered with status 200 but not what it had to be. Must be empty in every test.
    pub wrong: Vec<String>,
    /// The longest time that any request took.
    pub slowest: Duration,
}

/// How each thread uses connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// A new one for each request.
    New,
    /// One that is kept until the server closes it.
    Kept,
}

impl Load {
    /// Start `threads` threads that send what `request` makes of a running number, and check each answer with `check`.
    ///
    /// A kept connection that the server closed between two requests is opened again and the request sent once more, as a
    /// browser does (RFC 9112, section 9.5); an answer that has begun and breaks is counted.
    pub fn start<R, C>(
        port: u16,
        threads: u32,
        connections: Connections,
        request: R,
        check: C,
    ) -> Self
    where
        R: Fn(u32) -> Request + Send + Sync + 'static,
        C: Fn(u32, &Response) -> bool + Send + Sync + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU32::new(0));
        let (request, check) = (Arc::new(request), Arc::new(check));
        let threads = (0..threads)
            .map(|_| {
                let (stop, sent) = (stop.clone(), sent.clone());
                let (request, check) = (request.clone(), check.clone());
                std::thread::spawn(move || {
                    let mut counts = Counts::default();
                    let mut kept = None;
                    while !stop.load(Ordering::Relaxed) {
                        let number = sent.fetch_add(1, Ordering::Relaxed);
                        let begun = Instant::now();
                        let answer = one(port, &mut kept, &request(number));
                        counts.slowest = counts.slowest.max(begun.elapsed());
                        counts.add(number, answer, &*check);
                        if connections == Connections::New {
                            kept = None;
                        }
                    }
                    counts
                })
            })
            .collect();
        Self {
            stop,
            sent,
            threads,
        }
    }

    /// Wait until so many requests were begun in all.
    pub fn wait_for(&self, count: u32) {
        let reached = crate::wait_until(Duration::from_secs(60), || self.sent() >= count);
        assert!(
            reached,
            "only {} of {count} requests were begun in a minute",
            self.sent()
        );
    }

    /// How many requests were begun.
    pub fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Stop and count.
    pub fn finish(self) -> Counts {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Counts::default();
        for thread in self.threads {
            let counts = thread.join().expect("a load's thread does not panic");
            all.right += counts.right;
            all.failed.extend(counts.failed);
            all.broken.extend(counts.broken);
            all.wrong.extend(counts.wrong);
            all.slowest = all.slowest.max(counts.slowest);
        }
        all.failed.sort();
        all.broken.sort();
        all
    }
}

impl Counts {
    /// All that were not answered rightly.
    pub fn lost(&self) -> usize {
        self.failed.len() + self.broken.len() + self.wrong.len()
    }

    /// The last moment at which anything failed.
    pub fn last_failure(&self) -> Option<Instant> {
        let failed = self.failed.iter().map(|(at, _)| *at);
        failed.chain(self.broken.iter().map(|(at, _)| *at)).max()
    }

    fn add(
        &mut self,
        number: u32,
        answer: std::io::Result<Response>,
        check: &dyn Fn(u32, &Response) -> bool,
    ) {
        match answer {
            Ok(response) if response.status >= 500 => {
                self.failed.push((Instant::now(), response.status));
            }
            Ok(response) if check(number, &response) => self.right += 1,
            Ok(response) => self.wrong.push(format!(
                "request {number}: status {}, {} bytes: {}",
                response.status,
                response.body.len(),
                response.text().chars().take(200).collect::<String>()
            )),
            Err(e) => {
                self.broken.push((Instant::now(), e.to_string()));
                // A server that is down refuses at once: do not count the same moment a thousand times.
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

fn one(port: u16, kept: &mut Option<Connection>, request: &Request) -> std::io::Result<Response> {
    if let Some(mut connection) = kept.take() {
        match connection.exchange(request) {
            Ok(response) => {
                if !response.closes() {
                    *kept = Some(connection);
                }
                return Ok(response);
            }
            Err(e) if !connection.was_idle_close() => return Err(e),
            Err(_) => {}
        }
    }
    let mut connection = Connection::open(port)?;
    let response = connection.exchange(request)?;
    if !response.closes() {
        *kept = Some(connection);
    }
    Ok(response)
}
