//! The names in the sites' lists: when each is to be looked up, and which addresses it has now.
//!
//! Run by `hostel-firewall` as root. Pure: it is told the time and what the resolver has answered, and trusts neither the number
//! of a question nor an address in an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hostel_wire::egress::Policy;
use hostel_wire::firewall_resolver::{Answer, Found, Question};

use crate::claims::objection;

/// A place that a user may connect to, by way of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Granted {
    /// The user.
    pub uid: u32,
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// For how many seconds from now; at least 1.
    pub seconds: u64,
}

/// What came of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet: there is more to come, or nobody has asked.
    Nothing,
    /// The addresses of a name are to be put in force.
    Changed {
        /// What somebody should know, such as an address that was not taken. Said once.
        warnings: Vec<String>,
    },
    /// A name could not be looked up. Said once, until it can again.
    Failed {
        /// In words.
        warning: Option<String>,
    },
}

/// All names of all sites.
#[derive(Debug, Default)]
pub struct Names {
    by_name: BTreeMap<String, Name>,
    last_number: u32,
}

#[derive(Debug)]
struct Name {
    users: BTreeSet<(u32, u16)>,
    /// Each with the time until which it holds.
    addresses: BTreeMap<IpAddr, Instant>,
    /// When it is to be looked up.
    due: Instant,
    asked: Option<Asked>,
    has_failed: bool,
    refused: BTreeSet<IpAddr>,
}

#[derive(Debug)]
struct Asked {
    number: u32,
    until: Instant,
    heard: BTreeMap<IpAddr, u32>,
}

impl Names {
    /// Other rules: names that are new are due at once, others keep what is known of them.
    pub fn change(&mut self, policy: &Policy, now: Instant) {
        let mut wanted = BTreeMap::<&str, BTreeSet<(u32, u16)>>::new();
        for site in &policy.sites {
            for (name, port) in site.egress.names() {
                wanted.entry(name).or_default().insert((site.uid, port));
            }
        }
        self.by_name
            .retain(|name, _| wanted.contains_key(name.as_str()));
        for (name, users) in wanted {
            let entry = self.by_name.entry(name.to_owned()).or_insert_with(|| Name {
                users: BTreeSet::new(),
                addresses: BTreeMap::new(),
                due: now,
                asked: None,
                has_failed: false,
                refused: BTreeSet::new(),
            });
            entry.users = users;
        }
    }

    /// Whether there is no name at all.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// What is to be asked now. A question that was not answered in time has failed.
    pub fn ask(&mut self, now: Instant) -> Vec<Question> {
        let mut questions = Vec::new();
        for name in self.by_name.values_mut() {
            if name.asked.as_ref().is_some_and(|asked| asked.until <= now) {
                name.asked = None;
                name.due = now + RETRY;
            }
        }
        let mut open = self
            .by_name
            .values()
            .filter(|name| name.asked.is_some())
            .count();
        for (text, name) in &mut self.by_name {
            if open >= OPEN_MAX {
                break;
            }
            if name.asked.is_some() || name.due > now {
                continue;
            }
            open += 1;
            self.last_number = self.last_number.wrapping_add(1);
            name.asked = Some(Asked {
                number: self.last_number,
                until: now + ANSWER_WITHIN,
                heard: BTreeMap::new(),
            });
            questions.push(Question {
                number: self.last_number,
                name: text.clone(),
            });
        }
        questions
    }

    /// The next time at which something is to be done.
    pub fn next_deadline(&self) -> Option<Instant> {
        let times = self.by_name.values();
        times
            .map(|name| name.asked.as_ref().map_or(name.due, |asked| asked.until))
            .min()
    }

    /// The resolver has ended: what was asked is asked again later.
    pub fn resolver_ended(&mut self, now: Instant) {
        for name in self.by_name.values_mut() {
            if name.asked.take().is_some() {
                name.due = now + RETRY;
            }
        }
    }

    /// A part of an answer.
    pub fn hear(&mut self, answer: Answer, now: Instant) -> Outcome {
        let is_it = |name: &Name| {
            name.asked
                .as_ref()
                .is_some_and(|asked| asked.number == answer.number)
        };
        let Some((text, name)) = self.by_name.iter_mut().find(|(_, name)| is_it(name)) else {
            return Outcome::Nothing; // too late, or never asked
        };
        match answer.found {
            Found::Address { address, seconds } => {
                if let Some(asked) = &mut name.asked
                    && asked.heard.len() < ADDRESSES_MAX
                {
                    asked.heard.insert(address, seconds);
                }
                Outcome::Nothing
            }
            Found::End => {
                let heard = name
                    .asked
                    .take()
                    .map(|asked| asked.heard)
                    .unwrap_or_default();
                let warnings = name.take(text, heard, now);
                Outcome::Changed { warnings }
            }
            Found::Failed => {
                name.asked = None;
                name.due = now + RETRY;
                let warning = format!(
                    "the name {text} cannot be looked up, or has no address; sites cannot connect to it"
                );
                let is_new = !std::mem::replace(&mut name.has_failed, true);
                Outcome::Failed {
                    warning: is_new.then_some(warning),
                }
            }
        }
    }

    /// Everything that holds now.
    pub fn granted(&self, now: Instant) -> Vec<Granted> {
        // The same address by two names holds as long as it does by either.
        let mut found = BTreeMap::<(u32, IpAddr, u16), u64>::new();
        for name in self.by_name.values() {
            for (address, until) in &name.addresses {
                let seconds = until.saturating_duration_since(now).as_secs();
                for (uid, port) in name.users.iter().filter(|_| seconds > 0) {
                    let longest = found.entry((*uid, *address, *port)).or_default();
                    *longest = seconds.max(*longest);
                }
            }
        }
        let granted = |((uid, address, port), seconds)| Granted {
            uid,
            address,
            port,
            seconds,
        };
        found.into_iter().map(granted).collect()
    }
}

impl Name {
    fn take(&mut self, text: &str, heard: BTreeMap<IpAddr, u32>, now: Instant) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut refused = BTreeSet::new();
        self.addresses.retain(|_, until| *until > now);
        let shortest = heard.values().min().copied().unwrap_or(0);
        let life = Duration::from_secs(shortest.into()).clamp(LIFE_MIN, LIFE_MAX);
        for address in heard.into_keys() {
            if let Some(why) = objection(address) {
                if !self.refused.contains(&address) {
                    warnings.push(format!(
                        "the name {text} has the address {address}, which is not taken: {why}"
                    ));
                }
                refused.insert(address);
                continue;
            }
            // Twice its life: an application that has looked it up just before may use it that long.
            self.addresses.insert(address, now + 2 * life);
        }
        self.refused = refused;
        self.has_failed = false;
        self.due = now + life;
        warnings
    }
}

/// An address holds at least so long, however short its zone says.
const LIFE_MIN: Duration = Duration::from_secs(5);
/// And is looked up again after this at the latest.
const LIFE_MAX: Duration = Duration::from_secs(3600);
/// After a failure.
const RETRY: Duration = Duration::from_secs(15);
/// How long the resolver may take for one name.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Questions at the same time.
const OPEN_MAX: usize = 16;
/// Addresses of one name; whoever has more has a service for which "usual" is right.
const ADDRESSES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use hostel_wire::egress::{Destination, Egress, Host, SiteEgress};

    fn policy(names: &[&str]) -> Policy {
        let place = |name: &&str| Destination {
            host: Host::Name((*name).to_owned()),
            port: 443,
        };
        Policy {
            own: Vec::new(),
            sites: vec![SiteEgress {
                name: "a".to_owned(),
                uid: 1001,
                egress: Egress::Listed(names.iter().map(place).collect()),
                services: Vec::new(),
            }],
        }
    }

    fn answer(
        names: &mut Names,
        number: u32,
        addresses: &[(&str, u32)],
        now: Instant,
    ) -> Vec<String> {
        for (address, seconds) in addresses {
            let found = Found::Address {
                address: address.parse().unwrap(),
                seconds: *seconds,
            };
            assert_eq!(names.hear(Answer { number, found }, now), Outcome::Nothing);
        }
        let end = Answer {
            number,
            found: Found::End,
        };
        match names.hear(end, now) {
            Outcome::Changed { warnings } => warnings,
            other => panic!("{other:?}"),
        }
    }

    fn addresses(names: &Names, now: Instant) -> Vec<(String, u64)> {
        let granted = names.granted(now);
        granted
            .iter()
            .map(|one| (one.address.to_string(), one.seconds))
            .collect()
    }

    #[test]
    fn a_name_is_asked_for_again_when_its_life_is_over_and_old_addresses_fall_out() {
        let (mut names, begin) = (Names::default(), Instant::now());
        names.change(&policy(&["x.example"]), begin);
        let question = names.ask(begin).remove(0);
        assert_eq!(question.name, "x.example");
        assert!(names.ask(begin).is_empty(), "it is asked once");
        assert!(
            answer(
                &mut names,
                question.number,
                &[("203.0.113.1", 60), ("203.0.113.2", 90)],
                begin
            )
            .is_empty()
        );
        assert_eq!(
            addresses(&names, begin),
            [
                ("203.0.113.1".to_owned(), 120),
                ("203.0.113.2".to_owned(), 120)
            ]
        );
        let later = begin + Duration::from_secs(60);
        assert_eq!(names.next_deadline(), Some(later));
        let question = names.ask(later).remove(0);
        answer(&mut names, question.number, &[("203.0.113.2", 60)], later);
        let still = [
            ("203.0.113.1".to_owned(), 60),
            ("203.0.113.2".to_owned(), 120),
        ];
        assert_eq!(addresses(&names, later), still);
        let last = begin + Duration::from_secs(121);
        assert_eq!(addresses(&names, last), [("203.0.113.2".to_owned(), 59)]);
    }

    #[test]
    fn a_life_is_bounded_both_ways() {
        let (mut names, begin) = (Names::default(), Instant::now());
        for (seconds, life) in [(0, LIFE_MIN), (u32::MAX, LIFE_MAX)] {
            names.change(&policy(&[]), begin);
            names.change(&policy(&["x.example"]), begin);
            let question = names.ask(begin).remove(0);
            answer(
                &mut names,
                question.number,
                &[("203.0.113.1", seconds)],
                begin,
            );
            assert_eq!(names.next_deadline(), Some(begin + life));
        }
    }

    #[test]
    fn a_hostile_zone_opens_nothing_and_is_told_of_once() {
        let (mut names, begin) = (Names::default(), Instant::now());
        names.change(&policy(&["x.example"]), begin);
        let hostile = [
            ("127.0.0.1", 60),
            ("10.0.0.1", 60),
            ("169.254.169.254", 60),
            ("::1", 60),
        ];
        let question = names.ask(begin).remove(0);
        let warnings = answer(&mut names, question.number, &hostile, begin);
        assert_eq!((warnings.len(), names.granted(begin).len()), (4, 0));
        let later = begin + Duration::from_secs(60);
        let question = names.ask(later).remove(0);
        assert!(answer(&mut names, question.number, &hostile, later).is_empty());
    }

    #[test]
    fn answers_that_nobody_asked_for_change_nothing() {
        let (mut names, begin) = (Names::default(), Instant::now());
        names.change(&policy(&["x.example"]), begin);
        let number = names.ask(begin).remove(0).number;
        let address = Found::Address {
            address: "203.0.113.1".parse().unwrap(),
            seconds: 60,
        };
        for found in [address, Found::End, Found::Failed] {
            let other = Answer {
                number: number + 1,
                found,
            };
            assert_eq!(names.hear(other, begin), Outcome::Nothing);
        }
        for number_of_addresses in 0..1000_u32 {
            let address = IpAddr::from(
                0xcb00_7100_u32
                    .wrapping_add(number_of_addresses)
                    .to_be_bytes(),
            );
            names.hear(
                Answer {
                    number,
                    found: Found::Address {
                        address,
                        seconds: 60,
                    },
                },
                begin,
            );
        }
        names.hear(
            Answer {
                number,
                found: Found::End,
            },
            begin,
        );
        assert_eq!(names.granted(begin).len(), ADDRESSES_MAX);
    }

    #[test]
    fn a_failure_is_told_once_and_keeps_what_is_known() {
        let (mut names, begin) = (Names::default(), Instant::now());
        names.change(&policy(&["x.example"]), begin);
        let question = names.ask(begin).remove(0);
        answer(&mut names, question.number, &[("203.0.113.1", 60)], begin);
        let mut now = begin + Duration::from_secs(60);
        let mut told = 0;
        for _ in 0..3 {
            let number = names.ask(now).remove(0).number;
            match names.hear(
                Answer {
                    number,
                    found: Found::Failed,
                },
                now,
            ) {
                Outcome::Failed { warning } => told += usize::from(warning.is_some()),
                other => panic!("{other:?}"),
            }
            assert_eq!(names.granted(now).len(), 1);
            now += RETRY;
        }
        assert_eq!(told, 1);
        assert!(names.granted(begin + Duration::from_secs(120)).is_empty());
    }

    #[test]
    fn a_question_without_an_answer_is_asked_again() {
        let (mut names, begin) = (Names::default(), Instant::now());
        names.change(&policy(&["x.example"]), begin);
        names.ask(begin);
        let late = begin + ANSWER_WITHIN;
        assert!(names.ask(late).is_empty());
        assert_eq!(names.ask(late + RETRY).len(), 1);
        names.resolver_ended(late + RETRY);
        assert_eq!(names.ask(late + 2 * RETRY).len(), 1);
    }

    #[test]
    fn a_reload_keeps_what_is_known() {
        let (mut names, begin) = (Names::default(), Instant::now());
        names.change(&policy(&["x.example"]), begin);
        let question = names.ask(begin).remove(0);
        answer(&mut names, question.number, &[("203.0.113.1", 60)], begin);
        names.change(&policy(&["x.example", "y.example"]), begin);
        assert_eq!(addresses(&names, begin).len(), 1);
        assert_eq!(names.ask(begin).len(), 1, "the new one only");
        names.change(&policy(&["y.example"]), begin);
        assert!(addresses(&names, begin).is_empty());
    }
}
