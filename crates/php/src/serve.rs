//! A worker's life: one request in, one answer out, until it is told or decides to end.
//!
//! Run by a worker, as the site's user. It trusts the front's frames no further than `hostel-wire` checks them, and ends on the first that
//! does not fit. A child that a script forked may come back here after its script; it ends without a word.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hostel_rewind::Rewind;
use hostel_wire::codec::Malformed;
use hostel_wire::fresh::Watch;
use hostel_wire::front_worker::{End, RequestHead};
use hostel_wire::monitor_keeper::SiteSettings;

use crate::channel::{Channel, ChannelError};
use crate::engine::Engine;
use crate::exchange::Exchange;
use crate::fresh::{self, Means};
use crate::process::end_process;
use crate::request::{Prepared, Refusal, Rules};
use crate::say;
use crate::trial::{Record, Verdict};
use crate::warm::{Due, Seen, Warm};

/// Serve requests from this socket; returns when there are no more.
pub(crate) fn run(
    mut engine: Engine,
    settings: &SiteSettings,
    means: Means,
    socket: OwnedFd,
    rewind: Option<Rewind>,
    record: Option<&Record>,
) -> Result<(), ChannelError> {
    let Some(channel) = Channel::adopt(socket)? else {
        return Ok(());
    };
    let mut exchange = Exchange::new(channel);
    let mut worker = Worker {
        rules: Rules::new(settings).map_err(ChannelError::Memory)?,
        requests_max: match (means, &rewind) {
            (Means::Fork, _) | (Means::Rewind { .. }, None) => 1,
            (Means::Pool, _) | (Means::Rewind { .. }, Some(_)) => settings.requests_per_worker,
        },
        requests: 0,
        prepared: Prepared::default(),
        watch: rewind.as_ref().map(fresh::watch),
        root_seen: None,
        seen: None,
    };
    let mut payload = Vec::new();
    // From here each request goes on where the first one did, if the site wants that: this returns once more after each of them.
    let mut way_back = match rewind {
        Some(rewind) => {
            let wipes = means == Means::Rewind { wipes: true };
            worker.be_fresh(&mut engine, &mut exchange, rewind, wipes)
        }
        None => None,
    };
    if worker.requests > 0 && record.is_some_and(|record| record.verdict() == Verdict::Renew) {
        engine.renew_generators();
    }
    while exchange.next_request(&mut payload)? {
        let head = RequestHead::decode(&payload)?;
        if worker.answer(&mut engine, &mut exchange, &head)? == Next::End {
            break;
        }
        if let Some((rewind, warm)) = &mut way_back {
            // The answer has gone out. What the front counts with must be read before, or it would be read as a next request.
            exchange.discard_body()?;
            if let Some(seen) = worker.seen {
                warm.note(&engine, seen, worker.requests.into());
            }
            engine.give_memory_back();
            let unfit = rewind.rewind(engine.has_called_rare());
            say(&format!(
                "a worker ends, as its last request cannot be undone: {unfit}"
            ));
            break;
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Request,
    End,
}

struct Worker {
    rules: Rules,
    /// After so many requests it is replaced; 0 for never.
    requests_max: u32,
    requests: u32,
    prepared: Prepared,
    /// How it is known what a request has written, where it is undone.
    watch: Option<Watch>,
    root_seen: Option<Instant>,
    /// What the last request saw, where it was put to PHP.
    seen: Option<Seen>,
}

impl Worker {
    /// Be put to this moment again after each request, or to a later one at which PHP's caches are warm. `None` where it cannot be, and this
    /// worker serves one request. Whoever wipes has PHP's free memory put back like any other, and nothing of the dead stack left.
    fn be_fresh(
        &mut self,
        engine: &mut Engine,
        exchange: &mut Exchange,
        mut rewind: Rewind,
        wipes: bool,
    ) -> Option<(Rewind, Warm)> {
        let unfit = match Warm::new(engine) {
            Ok(mut warm) => loop {
                let free = engine.free_memory();
                let spared = if wipes { &[][..] } else { &free };
                match rewind.checkpoint(spared) {
                    Ok(requests) => {
                        self.requests = u32::try_from(requests).unwrap_or(u32::MAX);
                        exchange.go_on();
                    }
                    Err(unfit) => break io::Error::from(unfit),
                }
                let due = warm.begin();
                if due == Due::Not {
                    return Some((rewind, warm));
                }
                self.renew(engine, &mut warm, due);
            },
            Err(error) => error,
        };
        say(&format!(
            "a worker serves one request, as it cannot be rewound: {unfit}"
        ));
        (self.requests, self.requests_max, self.watch) = (0, 1, None);
        None
    }

    /// Nobody waits for this but the next request.
    fn renew(&mut self, engine: &mut Engine, warm: &mut Warm, due: Due) {
        // Where the root leads must be known before where paths lead that go through it.
        let has_moved = self.rules.root_has_moved();
        let due = if has_moved { Due::Moved } else { due };
        if !warm.renew(engine, due) {
            say("a worker ends, as PHP could not begin a request of its own");
            end_process(1);
        }
    }

    fn answer(
        &mut self,
        engine: &mut Engine,
        exchange: &mut Exchange,
        head: &RequestHead<'_>,
    ) -> Result<Next, ChannelError> {
        check(head)?;
        // 1. The script, as the site's own user sees it.
        exchange.begin(head.body_bytes);
        let root_has_moved = self.watch_root(engine);
        self.seen = None;
        if let Err(refusal) = self.rules.check(head.script) {
            exchange.missing(refusal == Refusal::Forbidden)?;
            return Ok(Next::Request);
        }
        // 2. PHP.
        self.prepared.fill(&self.rules, head);
        let outcome = engine.run(&self.prepared, exchange);
        self.seen = Some(Seen {
            root_has_moved,
            path_bytes_at_start: outcome.path_bytes_at_start,
        });
        // 3. A forked child of the script has nothing to say to the front.
        if !exchange.is_ours() {
            end_process(outcome.exit_status);
        }
        // 4. The end of the answer.
        self.requests = self.requests.saturating_add(1);
        let last = !outcome.started
            || self.requests == self.requests_max
            || (self.requests.is_multiple_of(MEMORY_EVERY) && has_grown());
        exchange.end(End {
            last,
            memory_kib: u32::try_from(outcome.memory_peak_bytes / 1024).unwrap_or(u32::MAX),
            watch: self.watch,
        })?;
        Ok(if last { Next::End } else { Next::Request })
    }

    /// PHP remembers for minutes where a link led; a deploy that switches the document root's counts within a second.
    /// `true` when it has.
    fn watch_root(&mut self, engine: &mut Engine) -> bool {
        let now = Instant::now();
        let is_due = self
            .root_seen
            .is_none_or(|seen| now.duration_since(seen) >= ROOT_EVERY);
        if is_due {
            self.root_seen = Some(now);
            if self.rules.root_has_moved() {
                engine.forget_paths();
                return true;
            }
        }
        false
    }
}

/// What becomes a string of C must not be cut there: the front lets no NUL through.
fn check(head: &RequestHead<'_>) -> Result<(), ChannelError> {
    let fields = [
        head.method,
        head.target,
        head.query,
        head.script,
        head.path_info,
        head.protocol,
        head.server_name,
    ];
    let headers = head
        .headers
        .iter()
        .flat_map(|(name, value)| [*name, *value]);
    if fields
        .into_iter()
        .chain(headers)
        .any(|field| field.contains(&0))
    {
        return Err(Malformed::Value("NUL in a request").into());
    }
    Ok(())
}

/// Whether this process holds so much memory of its own that a fresh one is better.
fn has_grown() -> bool {
    let Ok(statm) = std::fs::read_to_string("/proc/self/statm") else {
        return false;
    };
    let mut pages = statm
        .split_ascii_whitespace()
        .skip(1)
        .map(str::parse::<usize>);
    match (pages.next(), pages.next()) {
        (Some(Ok(resident)), Some(Ok(shared))) => {
            resident.saturating_sub(shared) * rustix::param::page_size() > MEMORY_BYTES
        }
        _ => false,
    }
}

/// How often the document root is looked at.
const ROOT_EVERY: Duration = Duration::from_secs(1);
/// After how many requests the memory is looked at.
const MEMORY_EVERY: u32 = 50;
/// Memory of its own that a worker may keep between requests. A worker that served WordPress has some 30 MB.
const MEMORY_BYTES: usize = 256 * 1024 * 1024;
