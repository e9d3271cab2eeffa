//! What the command line asks for.

use std::path::PathBuf;

use crate::failure::{Failure, Result};
use crate::server::Kind;
use crate::steady::TESTS;

/// The help of the program.
pub(crate) const HELP: &str = "\
Usage: hostel-bench [--quick] [--only NAME,...] [--servers WORD,...] [--keep] [--programs DIRECTORY]
       hostel-bench --soak [--minutes NUMBER] [--programs DIRECTORY]
       hostel-bench --sandbox [--quick] [--programs DIRECTORY]

Measures Hostel beside Apache (prefork, itk, suexec) and nginx with php-fpm. Needs root.

  --only          scenarios: article hello phpinfo static post wordpress dokuwiki zipf cold flood many memory fresh
                  or tests as they are named in raw.csv; nothing is kept
  --quick         one short round; nothing is kept
  --servers       only these of: prefork itk suexec nginx-fpm nginx-fpm-ondemand hostel
                  hostel-pooled hostel-fresh hostel-fork; nothing is kept
  --rounds        so many instead of 5; nothing is kept
  --keep          keep it nevertheless, beneath bench/runs/
  --soak          instead: mixed load for an hour (--minutes), and whether memory, descriptors, processes stay flat
  --sandbox       instead: what Hostel's sandbox costs, by a build for tests that can leave it out
  --programs      where the programs of Hostel are; default: built from this repository
";

/// The scenarios that are no steady tests.
pub(crate) const OTHERS: [&str; 6] = ["zipf", "cold", "flood", "many", "memory", "fresh"];

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The servers.
    pub kinds: Vec<Kind>,
    /// The scenarios or tests; none for all.
    pub only: Vec<String>,
    /// How many rounds.
    pub rounds: u32,
    /// Whether everything shall be short.
    pub quick: bool,
    /// Where the programs of Hostel are, if they are not to be built.
    pub programs: Option<PathBuf>,
    /// Whether the run is kept.
    pub keep: bool,
    /// What is done.
    pub mode: Mode,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Hostel beside its peers.
    Peers,
    /// Hostel beside itself without a sandbox.
    Sandbox,
    /// Mixed load for so many minutes.
    Soak(u32),
}

impl Plan {
    /// Read the arguments.
    pub(crate) fn read(arguments: &[String]) -> Result<Self> {
        let mut plan = Self {
            kinds: Kind::ALL.to_vec(),
            only: Vec::new(),
            rounds: 5,
            quick: false,
            programs: None,
            keep: true,
            mode: Mode::Peers,
        };
        let (mut keep, mut minutes) = (false, 60);
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| Failure(format!("{argument} needs a value")))
            };
            let mut number = || {
                let text = value()?;
                text.parse::<u32>()
                    .ok()
                    .filter(|number| *number > 0)
                    .ok_or_else(|| Failure(format!("{argument}: {text} is no number from 1 on")))
            };
            match argument.as_str() {
                "--quick" => (plan.quick, plan.rounds, plan.keep) = (true, 1, false),
                "--rounds" => (plan.rounds, plan.keep) = (number()?, false),
                "--minutes" => minutes = number()?,
                "--keep" => keep = true,
                "--soak" => plan.mode = Mode::Soak(minutes),
                "--sandbox" => {
                    plan.kinds = vec![Kind::Hostel, Kind::HostelOpen];
                    plan.mode = Mode::Sandbox;
                }
                "--servers" => {
                    plan.kinds = value()?.split(',').map(kind).collect::<Result<_>>()?;
                    plan.keep = false;
                }
                "--only" => {
                    plan.only = value()?.split(',').map(scenario).collect::<Result<_>>()?;
                    plan.keep = false;
                }
                "--programs" => plan.programs = Some(value()?.into()),
                _ => return Err(Failure(format!("{argument} is not known\n{HELP}"))),
            }
        }
        plan.keep |= keep;
        if let Mode::Soak(_) = plan.mode {
            plan.mode = Mode::Soak(minutes);
        }
        Ok(plan)
    }

    /// Whether one of these words is asked for.
    pub(crate) fn wants(&self, words: &[&str]) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| words.contains(&only.as_str()))
    }
}

fn kind(word: &str) -> Result<Kind> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.word() == word)
        .ok_or_else(|| Failure(format!("no server is called {word}")))
}

fn scenario(word: &str) -> Result<String> {
    let is_test = TESTS
        .iter()
        .any(|test| test.scenario == word || test.word == word);
    if is_test || OTHERS.contains(&word) {
        return Ok(word.to_owned());
    }
    Err(Failure(format!("no scenario or test is called {word}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan> {
        Plan::read(
            &text
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_part_of_the_run_is_not_kept_unless_asked_for() {
        assert!(plan("").unwrap().keep);
        assert!(!plan("--only cold").unwrap().keep);
        assert!(plan("--keep --only cold").unwrap().keep);
        assert!(plan("--only cold").unwrap().wants(&["cold"]));
        assert!(!plan("--only cold").unwrap().wants(&["hello"]));
        assert!(plan("--only warm").is_err());
    }

    #[test]
    fn minutes_may_stand_before_or_behind_the_word() {
        let soak = |text| plan(text).unwrap().mode;
        assert_eq!(soak("--soak"), Mode::Soak(60));
        assert_eq!(soak("--soak --minutes 3"), Mode::Soak(3));
        assert_eq!(soak("--minutes 3 --soak"), Mode::Soak(3));
        assert!(plan("--minutes 0").is_err());
    }
}
