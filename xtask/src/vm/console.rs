//! Reads what the guest says on its serial console: its own lines, which start with "@@", and those of Rust's test programs.

use std::fmt;
use std::time::{Duration, Instant};

use super::failure;
use crate::run::Result;

/// What a suite did.
#[derive(Debug)]
pub(super) struct Done {
    name: String,
    passed: usize,
    pub(super) failed: Vec<String>,
    took: Duration,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, failed) = (self.passed, self.failed.len());
        let (name, seconds) = (&self.name, self.took.as_secs());
        write!(
            f,
            "{name:<28} {passed:>4} passed {failed:>4} failed {seconds:>5} s"
        )
    }
}

/// What the guest told.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) suites: Vec<Done>,
    /// Why what it told is not the whole.
    broken: Option<String>,
}

impl Outcome {
    pub(super) fn passed(&self) -> usize {
        self.suites.iter().map(|suite| suite.passed).sum()
    }

    pub(super) fn failed(&self) -> usize {
        self.suites.iter().map(|suite| suite.failed.len()).sum()
    }

    /// Those of another guest.
    pub(super) fn add(&mut self, other: Self) {
        self.suites.extend(other.suites);
        self.broken = self.broken.take().or(other.broken);
    }

    /// Fails where a test did, where none ran, and where the guest did not come to its end.
    pub(super) fn verdict(&self) -> Result<()> {
        if let Some(why) = &self.broken {
            return failure(format!("vm: {why}"));
        }
        match (self.passed(), self.failed()) {
            (0, 0) => failure("vm: no test ran"),
            (_, 0) => Ok(()),
            (_, failed) => failure(format!("vm: {failed} failed")),
        }
    }
}

/// Takes the console's lines one by one; prints what a person waits for.
#[derive(Debug, Default)]
pub(super) struct Reader {
    outcome: Outcome,
    suite: Option<Running>,
    ended: bool,
}

/// A suite whose end has not been said.
#[derive(Debug)]
struct Running {
    name: String,
    begun: Instant,
    /// When the last test ended.
    last: Instant,
    /// Tests that were said to be right, one by one.
    right: usize,
    /// From the line that counts them, which programs with a main of their own do not print.
    passed: Option<usize>,
    failed: Vec<String>,
    part: Part,
}

/// Where in a test program's output a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Tests,
    /// After "failures:": what failed tests printed, and then their names, indented, after "failures:" again.
    Failures,
}

impl Reader {
    pub(super) fn line(&mut self, line: &str) {
        match line.strip_prefix("@@ ") {
            Some(ours) => self.ours(ours),
            None => match &mut self.suite {
                Some(suite) => suite.line(line),
                // Between suites only the kernel and our script speak, and both only when something is wrong; at the end the
                // kernel says that it switches off.
                None if !line.is_empty() && !self.ended => println!("vm: {line}"),
                None => {}
            },
        }
    }

    fn ours(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["suite", name] => {
                println!("vm: {name}");
                self.suite = Some(Running::new(name));
            }
            ["end", _, status] => {
                if let Some(suite) = self.suite.take() {
                    self.outcome.suites.push(suite.finish(status));
                }
            }
            ["done"] => self.ended = true,
            _ => println!("vm: {line}"),
        }
    }

    /// The host gave up.
    pub(super) fn broken(&mut self, why: String) {
        self.outcome.broken = Some(why);
    }

    pub(super) fn finish(mut self) -> Outcome {
        if let Some(suite) = self.suite.take() {
            self.outcome.suites.push(suite.finish("none"));
        }
        if !self.ended && self.outcome.broken.is_none() {
            self.outcome.broken = Some("the guest ended before its work was done".to_owned());
        }
        self.outcome
    }
}

impl Running {
    fn new(name: &str) -> Self {
        let begun = Instant::now();
        Self {
            name: name.to_owned(),
            begun,
            last: begun,
            right: 0,
            passed: None,
            failed: Vec::new(),
            part: Part::Tests,
        }
    }

    fn line(&mut self, line: &str) {
        if line == "failures:" {
            self.part = Part::Failures;
            self.failed.clear();
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            // More may follow where a test has run its program once more: what counts is the last.
            self.passed = passed(counts);
            self.part = Part::Tests;
        } else if self.part == Part::Failures {
            if let Some(name) = line.strip_prefix("    ") {
                self.failed.push(name.to_owned());
            }
            println!("    {line}");
        } else if let Some(test) = line.strip_prefix("test ") {
            let took = self.last.elapsed();
            self.last = Instant::now();
            println!("{:>8.1} s  {line}", took.as_secs_f32());
            if test.ends_with(" ... ok") {
                self.right += 1;
            } else if let Some(name) = test.strip_suffix(" ... FAILED") {
                self.failed.push(name.to_owned());
            }
        } else if !line.is_empty() && !line.starts_with("running ") {
            println!("            {line}");
        }
    }

    /// `status` is the program's: what it counted holds only together with it.
    fn finish(mut self, status: &str) -> Done {
        let is_right = self.failed.is_empty() && status == "0";
        let is_wrong = !self.failed.is_empty() && status == "101";
        if !is_right && !is_wrong {
            self.failed.push(format!("(the program's end: {status})"));
        }
        Done {
            name: self.name,
            passed: self.passed.unwrap_or(self.right),
            failed: self.failed,
            took: self.begun.elapsed(),
        }
    }
}

/// The number in `ok. 12 passed; 0 failed; …`.
fn passed(counts: &str) -> Option<usize> {
    let (before, _) = counts.split_once(" passed")?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Outcome {
        let mut reader = Reader::default();
        text.lines().for_each(|line| reader.line(line));
        reader.finish()
    }

    const PASSED: &str = "@@ ready: Linux\n@@ suite users\nrunning 2 tests\ntest a ... ok\ntest b ... ok\n\n\
        test result: ok. 2 passed; 0 failed; 0 ignored\n@@ end users 0\n";

    #[test]
    fn a_whole_run_counts() {
        let outcome = read(&format!("{PASSED}@@ done"));
        assert_eq!((outcome.passed(), outcome.failed()), (2, 0));
        assert!(outcome.verdict().is_ok());
    }

    #[test]
    fn failed_tests_are_named_once() {
        let outcome = read(
            "@@ suite users\ntest a ... FAILED\n\nfailures:\n\n---- a stdout ----\n    why\n\n\nfailures:\n    a\n\n\
             test result: FAILED. 0 passed; 1 failed\n@@ end users 101\n@@ done",
        );
        assert_eq!(outcome.suites[0].failed, ["a"]);
        assert!(outcome.verdict().is_err());
    }

    #[test]
    fn a_program_with_a_main_of_its_own_is_counted_by_its_lines() {
        let outcome = read(
            "@@ suite it\ntest a thing ... ok\nnot tried: this\ntest another ... FAILED\n@@ end it 101\n@@ done",
        );
        assert_eq!((outcome.passed(), outcome.failed()), (1, 1));
        assert_eq!(outcome.suites[0].failed, ["another"]);
    }

    #[test]
    fn what_did_not_come_to_its_end_has_failed() {
        assert!(read(PASSED).verdict().is_err());
        let cut = read(&format!("{PASSED}@@ suite more\ntest c ... ok"));
        assert_eq!((cut.passed(), cut.failed()), (3, 1));
        let ended = read("@@ suite users\ntest a ... ok\n@@ end users 124\n@@ done");
        assert_eq!(ended.failed(), 1);
        assert!(read("@@ done").verdict().is_err());
        let fell = read(&format!(
            "{}@@ done",
            PASSED.replace("users 0", "users 139")
        ));
        assert!(fell.verdict().is_err());
    }
}
