//! Load that wrk and ab cannot make: an open loop, which sends at its own pace whatever the server does, gentle visitors, and a closed
//! loop that leaves no request unanswered when it ends.
//!
//! A thread for each request under way; there are few enough of them. What is late is measured from when it was due.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result, Tried};
use crate::page::{Ask, Page, is_right};
use crate::probe::Client;

/// What visitors of many sites saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Milliseconds of each right answer.
    pub times: Vec<f64>,
    /// Requests without a right answer.
    pub errors: u64,
}

/// One visitor for each host, each asking at this pace for so long over a connection that is kept.
pub(crate) fn visit(
    port: u16,
    hosts: &[String],
    path: &str,
    expected: &str,
    pace: Duration,
    duration: Duration,
) -> Seen {
    let begun = Instant::now();
    let visitor = |number: u32, host: &str| {
        let mut seen = Seen::default();
        let mut client = Client::new(port);
        // Not all at the same moment.
        let first = pace * number / u32::try_from(hosts.len()).unwrap_or(1);
        let mut due = begun + first;
        while due < begun + duration {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            match client.ask_at(host, path) {
                Ok(answer) if answer.status == 200 && answer.body == expected.as_bytes() => {
                    seen.times.push(due.elapsed().as_secs_f64() * 1e3);
                }
                _ => {
                    seen.errors += 1;
                    client = Client::new(port);
                }
            }
            due += pace;
        }
        seen
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0_u32..)
            .zip(hosts)
            .map(|(number, host)| scope.spawn(move || visitor(number, host)))
            .collect();
        let mut all = Seen::default();
        for thread in threads {
            if let Ok(seen) = thread.join() {
                all.times.extend(seen.times);
                all.errors += seen.errors;
            } else {
                all.errors += 1;
            }
        }
        all
    })
}

/// What a closed loop got.
#[derive(Debug)]
pub(crate) struct Answered {
    /// Milliseconds of each answer.
    pub times: Vec<f64>,
    /// From the first request to the last answer.
    pub seconds: f64,
}

/// Ask for a page with so many visitors, each again as soon as it has its answer, until this time is over; what was asked for by then is
/// waited for. An answer that is not the page is an error.
pub(crate) fn closed_loop(
    port: u16,
    page: Page,
    ask: &Ask,
    visitors: u32,
    duration: Duration,
) -> Result<Answered> {
    let begun = Instant::now();
    let visitor = || {
        let mut client = Client::new(port);
        let mut times = Vec::new();
        while times.is_empty() || begun.elapsed() < duration {
            let asked = Instant::now();
            let answer = client.send(&ask.host, &ask.path, &ask.headers, None)?;
            times.push(asked.elapsed().as_secs_f64() * 1e3);
            if !is_right(page, &answer) {
                return Err(Failure(format!(
                    "{}{} was answered with status {} and {} bytes that are not the page",
                    ask.host,
                    ask.path,
                    answer.status,
                    answer.body.len()
                )));
            }
        }
        Ok(times)
    };
    let times: Vec<Result<Vec<f64>>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..visitors).map(|_| scope.spawn(visitor)).collect();
        let panicked = |_| Err(Failure("a visitor's thread panicked".into()));
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(panicked));
        joined.collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    let times: Vec<Vec<f64>> = times.into_iter().collect::<Result<_>>()?;
    Ok(Answered {
        times: times.concat(),
        seconds,
    })
}

/// What an open loop sent and got.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    /// Answered with status 200.
    pub answered: u64,
    /// Answered with 503 or another status.
    pub refused: u64,
    /// Not answered.
    pub failed: u64,
    /// Sent more than 100 milliseconds after they were due, as too many were under way.
    pub late: u64,
}

/// Ask for a page so often in a second, a connection each, without waiting for answers.
pub(crate) fn open_loop(
    port: u16,
    host: &str,
    path: &str,
    rate: f64,
    duration: Duration,
) -> Result<Sent> {
    let counts = [const { AtomicU64::new(0) }; 5];
    let [ticket, answered, refused, failed, late] = &counts;
    let begun = Instant::now();
    let sender = || {
        loop {
            let number = ticket.fetch_add(1, Ordering::Relaxed);
            let due = Duration::from_secs_f64(number as f64 / rate);
            if due >= duration {
                return;
            }
            thread::sleep(due.saturating_sub(begun.elapsed()));
            if begun.elapsed() > due + Duration::from_millis(100) {
                late.fetch_add(1, Ordering::Relaxed);
            }
            let what = match Client::new(port).ask_at(host, path) {
                Ok(answer) if answer.status == 200 => answered,
                Ok(_) => refused,
                Err(Failure(_)) => failed,
            };
            what.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for _ in 0..UNDER_WAY_MAX {
            thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, sender)
                .tried("start a thread")?;
        }
        Ok(())
    })?;
    let [_, answered, refused, failed, late] = counts.map(AtomicU64::into_inner);
    Ok(Sent {
        answered,
        refused,
        failed,
        late,
    })
}

/// The most requests under way at a time: more than any server here lets wait for one site.
const UNDER_WAY_MAX: usize = 1200;
const STACK_BYTES: usize = 96 << 10;
