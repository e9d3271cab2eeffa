//! How long a site took to wake, step by step: for the server's log at `debug`, and for the status.
//!
//! Run by the front, which sees every step from outside. It is told of them where they happen and trusts its own clock alone; nothing is
//! decided by it.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A step of a wake, named after what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The monitor has made the view and started the sandbox.
    Sandbox,
    /// The keeper runs and answers.
    Keeper,
    /// PHP has started and has forked a worker.
    Php,
    /// The worker has run the script up to the first bytes of its answer.
    Answer,
}

/// The wake of a site that is under way, and the last one that came to an answer of PHP's.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    running: Cell<Option<Running>>,
    last: Cell<Option<Steps>>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    /// The end of the step before.
    since: Instant,
    /// How many steps are done.
    done: usize,
    steps: Steps,
}

/// How long each step took.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps([Duration; 4]);

impl Wake {
    /// The monitor is asked for a sandbox.
    pub(crate) fn begin(&self, now: Instant) {
        self.running.set(Some(Running {
            since: now,
            done: 0,
            steps: Steps::default(),
        }));
    }

    /// Whether a step is waited for. Every answer asks this.
    pub(crate) fn is_under_way(&self) -> bool {
        self.running.get().is_some()
    }

    /// A worker is asked for: what passed since the step before was nobody's wait for PHP.
    pub(crate) fn php_is_asked(&self, now: Instant) {
        if let Some(running) = self.running.get()
            && running.done == Step::Php as usize
        {
            let since = now;
            self.running.set(Some(Running { since, ..running }));
        }
    }

    /// A step is done. Returns all of them when it was the last of a wake.
    pub(crate) fn reach(&self, step: Step, now: Instant) -> Option<Steps> {
        let mut running = self.running.get()?;
        // Every worker starts and answers; the first one alone belongs to the wake.
        if running.done != step as usize {
            return None;
        }
        *running.steps.0.get_mut(running.done)? = now.duration_since(running.since);
        running.done += 1;
        running.since = now;
        let is_over = step == Step::Answer;
        self.running.set((!is_over).then_some(running));
        if is_over {
            self.last.set(Some(running.steps));
        }
        is_over.then_some(running.steps)
    }

    /// The sandbox is gone.
    pub(crate) fn give_up(&self) {
        self.running.set(None);
    }

    /// The last one, in milliseconds, for the status.
    pub(crate) fn describe(&self) -> Value {
        let Some(steps) = self.last.get() else {
            return Value::Null;
        };
        let [sandbox, keeper, php, answer] = steps.0.map(milliseconds);
        json!({
            "ms": milliseconds(steps.sum()),
            "sandbox_ms": sandbox,
            "keeper_ms": keeper,
            "php_ms": php,
            "answer_ms": answer,
        })
    }
}

impl Steps {
    fn sum(&self) -> Duration {
        self.0.iter().sum()
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [sandbox, keeper, php, answer] = self.0.map(milliseconds);
        write!(
            f,
            "{:.1} ms: sandbox {sandbox:.1}, keeper {keeper:.1}, php {php:.1}, answer {answer:.1}",
            milliseconds(self.sum())
        )
    }
}

/// To a hundredth.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_the_first_worker_are_told_and_nobody_else_s() {
        let wake = Wake::default();
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(wake.reach(Step::Answer, at(0)), None);
        wake.begin(at(1));
        assert_eq!(wake.reach(Step::Php, at(2)), None, "out of order");
        assert_eq!(wake.reach(Step::Sandbox, at(4)), None);
        wake.php_is_asked(at(4));
        assert_eq!(wake.reach(Step::Keeper, at(5)), None);
        // A visitor of files first; then nobody; then one who wants PHP.
        wake.php_is_asked(at(1000));
        assert_eq!(wake.reach(Step::Php, at(1030)), None);
        let steps = wake.reach(Step::Answer, at(1032)).expect("the last step");
        assert_eq!(
            steps.to_string(),
            "36.0 ms: sandbox 3.0, keeper 1.0, php 30.0, answer 2.0"
        );
        assert_eq!(wake.reach(Step::Answer, at(1100)), None, "the next answer");
        assert_eq!(wake.describe()["php_ms"], 30.0);
    }

    #[test]
    fn a_sandbox_that_is_gone_woke_nobody() {
        let wake = Wake::default();
        let now = Instant::now();
        wake.begin(now);
        assert_eq!(wake.reach(Step::Sandbox, now), None);
        wake.give_up();
        assert_eq!(wake.reach(Step::Keeper, now), None);
        assert_eq!(wake.describe(), Value::Null);
    }
}
