//! Command line and monitor: what an administrator asks of the running server, and its report.
//!
//! The socket stands in `run` and only root can connect to it; its peer's user is asked for all the same. One connection, one
//! question of a fixed size, one answer: a message of one byte with one descriptor, a sealed file in memory that holds a
//! [`Report`]. A report may wait for as long as what was asked for takes.

use crate::codec::{Malformed, Reader, Writer};
use crate::limits;

/// What the administrator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Read the configuration again and apply what differs from what runs; with `is_dry_run` only tell that.
    Reload {
        /// Whether nothing is to be changed.
        is_dry_run: bool,
    },
    /// Go on with the programs that stand beside the monitor now; with `is_dry_run` only tell whether they could serve.
    Upgrade {
        /// Whether nothing is to be changed.
        is_dry_run: bool,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// In one word.
    pub outcome: Outcome,
    /// The sites that differ, by name.
    pub sites: Vec<SiteChange>,
    /// How many others there are.
    pub unchanged: u32,
    /// Everything that is wrong with the configuration.
    pub problems: Vec<Problem>,
    /// What else somebody should know, a line each.
    pub notes: Vec<String>,
}

/// What came of a question, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done, but for the sites that were kept as they were.
    Done,
    /// This is what would have been done.
    WouldBeDone,
    /// Nothing was changed.
    Refused,
}

/// One site that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteChange {
    /// Its name.
    pub name: String,
    /// In what.
    pub change: Change,
}

/// In what a site differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has other settings.
    Changed,
    /// It should have other settings, and goes on with the earlier ones for this reason.
    Kept(String),
}

/// Something wrong in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: u32,
    /// What is wrong.
    pub message: String,
    /// What to do; empty where there is nothing to say.
    pub hint: String,
}

impl Question {
    /// The size of every question.
    pub const BYTES: usize = 2;

    /// As bytes.
    pub fn encode(self) -> [u8; Self::BYTES] {
        match self {
            Self::Reload { is_dry_run } => [1, is_dry_run.into()],
            Self::Upgrade { is_dry_run } => [2, is_dry_run.into()],
        }
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let (kind, flag) = (r.u8("kind")?, r.bool("flag")?);
        r.end("question")?;
        match (kind, flag) {
            (1, is_dry_run) => Ok(Self::Reload { is_dry_run }),
            (2, is_dry_run) => Ok(Self::Upgrade { is_dry_run }),
            _ => Err(Malformed::Value("kind of question")),
        }
    }
}

impl Report {
    /// The message that the report's descriptor comes with.
    pub const MESSAGE: [u8; 1] = [1];
    /// The most bytes of a report that anybody reads.
    pub const BYTES_MAX: usize = 64 << 20;

    /// A report of nothing but this.
    pub fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            sites: Vec::new(),
            unchanged: 0,
            problems: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// As bytes. Texts that are too long are cut.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(match self.outcome {
            Outcome::Done => 1,
            Outcome::WouldBeDone => 2,
            Outcome::Refused => 3,
        });
        let sites = first(&self.sites, CHANGES_MAX);
        w.count(sites.len());
        for site in sites {
            w.text(cut(&site.name, limits::SITE_NAME_BYTES_MAX));
            match &site.change {
                Change::Added => w.u8(1),
                Change::Removed => w.u8(2),
                Change::Changed => w.u8(3),
                Change::Kept(reason) => w.u8(4).text(cut(reason, TEXT_BYTES_MAX)),
            };
        }
        w.u32(self.unchanged);
        let problems = first(&self.problems, PROBLEMS_MAX);
        w.count(problems.len());
        for problem in problems {
            w.text(cut(&problem.file, limits::PATH_BYTES_MAX))
                .u32(problem.line)
                .text(cut(&problem.message, TEXT_BYTES_MAX))
                .text(cut(&problem.hint, TEXT_BYTES_MAX));
        }
        let notes = first(&self.notes, NOTES_MAX);
        w.count(notes.len());
        for note in notes {
            w.text(cut(note, TEXT_BYTES_MAX));
        }
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let outcome = match r.u8("outcome")? {
            1 => Outcome::Done,
            2 => Outcome::WouldBeDone,
            3 => Outcome::Refused,
            _ => return Err(Malformed::Value("outcome")),
        };
        let count = r.count(CHANGES_MAX, "sites")?;
        let sites = (0..count).map(|_| SiteChange::decode(&mut r));
        let sites = sites.collect::<Result<_, _>>()?;
        let unchanged = r.u32("unchanged")?;
        let count = r.count(PROBLEMS_MAX, "problems")?;
        let problems = (0..count).map(|_| Problem::decode(&mut r));
        let problems = problems.collect::<Result<_, _>>()?;
        let count = r.count(NOTES_MAX, "notes")?;
        let notes = (0..count).map(|_| r.text(TEXT_BYTES_MAX, "note").map(str::to_owned));
        let notes = notes.collect::<Result<_, _>>()?;
        r.end("report")?;
        Ok(Self {
            outcome,
            sites,
            unchanged,
            problems,
            notes,
        })
    }
}

impl SiteChange {
    fn decode(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            name: r.text(limits::SITE_NAME_BYTES_MAX, "name")?.to_owned(),
            change: match r.u8("change")? {
                1 => Change::Added,
                2 => Change::Removed,
                3 => Change::Changed,
                4 => Change::Kept(r.text(TEXT_BYTES_MAX, "reason")?.to_owned()),
                _ => return Err(Malformed::Value("change")),
            },
        })
    }
}

impl Problem {
    fn decode(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            file: r.text(limits::PATH_BYTES_MAX, "file")?.to_owned(),
            line: r.u32("line")?,
            message: r.text(TEXT_BYTES_MAX, "message")?.to_owned(),
            hint: r.text(TEXT_BYTES_MAX, "hint")?.to_owned(),
        })
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or(text)
}

fn first<T>(list: &[T], count_max: usize) -> &[T] {
    list.get(..count_max).unwrap_or(list)
}

/// Sites that differ: all of one configuration are gone and all of another are new.
const CHANGES_MAX: usize = 2 * limits::SITES_MAX;
/// Errors that are told: a few for every site.
const PROBLEMS_MAX: usize = 4 * limits::SITES_MAX;
/// Lines about anything else: a few for every key of hostel.toml.
const NOTES_MAX: usize = 256;
/// One text.
const TEXT_BYTES_MAX: usize = limits::LOG_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_survives_the_wire() {
        for question in [
            Question::Reload { is_dry_run: false },
            Question::Reload { is_dry_run: true },
            Question::Upgrade { is_dry_run: false },
            Question::Upgrade { is_dry_run: true },
        ] {
            assert_eq!(Question::decode(&question.encode()), Ok(question));
        }
        for wrong in [&[][..], &[1], &[1, 2], &[2, 2], &[3, 0], &[1, 0, 0]] {
            assert!(Question::decode(wrong).is_err(), "{wrong:?}");
        }
    }

    fn report() -> Report {
        let site = |name: &str, change| SiteChange {
            name: name.to_owned(),
            change,
        };
        Report {
            outcome: Outcome::Done,
            sites: vec![
                site("a", Change::Added),
                site("b", Change::Removed),
                site("c", Change::Changed),
                site("d", Change::Kept("PHP does not start".to_owned())),
            ],
            unchanged: 7,
            problems: vec![Problem {
                file: "/etc/hostel/sites.d/e.toml".to_owned(),
                line: 3,
                message: "no such user".to_owned(),
                hint: "useradd".to_owned(),
            }],
            notes: vec!["'run' takes a restart".to_owned()],
        }
    }

    #[test]
    fn every_report_survives_the_wire() {
        for outcome in [Outcome::Done, Outcome::WouldBeDone, Outcome::Refused] {
            let report = Report {
                outcome,
                ..report()
            };
            let bytes = report.encode();
            assert_eq!(Report::decode(&bytes), Ok(report));
            assert!((0..bytes.len()).all(|cut| Report::decode(&bytes[..cut]).is_err()));
        }
        let empty = Report::new(Outcome::Refused);
        assert_eq!(Report::decode(&empty.encode()), Ok(empty));
    }

    #[test]
    fn what_is_too_long_is_cut_and_still_a_report() {
        let long = Report {
            notes: vec!["ä".repeat(TEXT_BYTES_MAX); 2 * NOTES_MAX],
            ..report()
        };
        let read = Report::decode(&long.encode()).unwrap();
        assert_eq!(read.notes.len(), NOTES_MAX);
        assert!(read.notes.iter().all(|note| note.len() <= TEXT_BYTES_MAX));
    }
}
