//! One attacker, one victim, the server: an attack is run among them, and judged from outside.
//!
//! Run by `hostel prove` as root. What the attacker says decides nothing: it is searched for secrets, and shown.

use std::io;
use std::time::{Duration, Instant};

use hostel_config::Site;
use hostel_sys::layers::Layers;
use serde_json::{Value, json};

use super::attack::{Against, Attack, Judge, Script, Step, php};
use super::canaries::{Secret, ServerCanaries};
use super::exchange::{Ending, Exchange};
use super::ground::Ground;
use super::outcome::{Outcome, evidence};
use super::sandbox::{Sandbox, SandboxError};
use super::stage::{PROBE, random_text};
use super::victim::{self, Victim, VictimError, path};

/// A scene. Dropped, its sandboxes end; the victim's places are cleared by [`Scene::clear`].
pub(crate) struct Scene<'a> {
    pub(crate) ground: &'a Ground,
    /// The attacking site.
    pub(crate) site: &'a Site,
    /// The site that is attacked, where there is another one.
    pub(crate) other: Option<&'a Site>,
    /// The attacker's sandbox; a new one after each attack that ended it.
    pub(crate) attacker: Option<Sandbox>,
    /// The victim's.
    pub(crate) victim: Option<Victim>,
    /// Sixteen characters that are new for each attack, for names of what it makes.
    pub(crate) marker: String,
    layers: Layers,
}

/// What an attack has left to be judged.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    /// The attacker's exchanges, in order.
    pub(crate) attacker: Vec<Exchange>,
    /// The victim's.
    pub(crate) victim: Vec<Exchange>,
    /// What the attacker's sandbox wrote to its standard error.
    pub(crate) errors: Vec<u8>,
    /// What visitors were answered.
    pub(crate) visits: Vec<Vec<u8>>,
    /// What became of the victim meanwhile.
    pub(crate) harm: Vec<String>,
    /// Why visitors could try nothing.
    pub(crate) unvisited: Option<String>,
}

/// Why an attack could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SceneError {
    #[error("site {site}: {source}")]
    Attacker { site: String, source: SandboxError },
    #[error("site {site}, the victim: {source}")]
    Victim { site: String, source: VictimError },
    #[error("no random numbers")]
    Random(#[from] io::Error),
}

/// How an attack went.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    /// What was seen: what was reached, or what the attacker was answered.
    pub(crate) evidence: String,
    pub(crate) duration: Duration,
}

impl<'a> Scene<'a> {
    /// A scene in which nothing runs yet.
    pub(crate) fn new(
        ground: &'a Ground,
        site: &'a Site,
        other: Option<&'a Site>,
        layers: Layers,
    ) -> Self {
        Self {
            ground,
            site,
            other,
            attacker: None,
            victim: None,
            marker: String::new(),
            layers,
        }
    }

    /// Run one attack with these steps and judge it.
    ///
    /// # Errors
    /// A sandbox that the attack needs cannot be started.
    pub(crate) fn run(
        &mut self,
        attack: &Attack,
        steps: &[Step],
        server: &mut ServerCanaries,
    ) -> Result<Verdict, SceneError> {
        let begun = Instant::now();
        let verdict = |outcome, evidence| Verdict {
            outcome,
            evidence,
            duration: begun.elapsed(),
        };
        if let Some(why) = self.obstacle(attack) {
            return Ok(verdict(Outcome::NotTried(why), String::new()));
        }
        self.prepare()?;
        let ran = self.steps(steps, server)?;
        let mut reached = self.reached(&ran, server);
        reached.extend(ran.harm.iter().cloned());
        match attack.judge {
            Judge::Canaries => {}
            Judge::Answer => reached.extend(ran.permitted()),
            Judge::Look(look) => reached.extend(look(self, &ran)),
        }
        if self
            .attacker
            .as_mut()
            .is_some_and(|sandbox| !sandbox.is_alive())
        {
            self.attacker = None;
        }
        if !reached.is_empty() {
            // The next attack finds everything in its place again.
            self.clear();
            let reached = reached.join("; ");
            return Ok(match self.ground.lacking(attack.needs) {
                Some(lack) => verdict(Outcome::NotStoppedHere(lack), reached),
                None => verdict(Outcome::GotThrough, reached),
            });
        }
        let (tried, text) = evidence(&ran);
        Ok(match tried {
            Ok(()) => verdict(Outcome::Stopped, text),
            Err(why) => verdict(Outcome::NotTried(why), text),
        })
    }

    /// End both sandboxes and remove what the victim's site holds of this run.
    pub(crate) fn clear(&mut self) {
        self.attacker = None;
        let Some(site) = self.other else {
            return;
        };
        if self.victim.take().is_some()
            && let Err(error) = victim::clean_up(self.ground, site)
        {
            crate::output::error(&format!(
                "hostel prove: cannot remove {}/.hostel-prove-{}: {error}",
                site.home, self.ground.stage.run
            ));
        }
    }

    /// Why this attack cannot be tried at all.
    fn obstacle(&self, attack: &Attack) -> Option<String> {
        if attack.against == Against::Victim && self.other.is_none() {
            return Some("there is no other site".to_owned());
        }
        let needs_probe = attack
            .steps
            .iter()
            .any(|step| matches!(step, Step::Probe(_)));
        if needs_probe && !self.ground.stage.has_probe {
            return Some(format!("{PROBE} is not beside this program"));
        }
        let visits = |step: &Step| matches!(step, Step::Visit(_) | Step::Crowd(_));
        attack
            .steps
            .iter()
            .any(visits)
            .then(|| self.unreachable())
            .flatten()
    }

    fn prepare(&mut self) -> Result<(), SceneError> {
        self.marker = random_text()?.chars().take(16).collect();
        if self.attacker.is_none() {
            let started = Sandbox::start(self.ground, self.site, self.layers, &[]);
            self.attacker = Some(started.map_err(|source| self.attacker_failed(source))?);
        }
        if let (Some(site), None) = (self.other, &self.victim) {
            let failed = |source| SceneError::Victim {
                site: site.name.clone(),
                source,
            };
            match Victim::start(self.ground, site, self.layers) {
                Ok(victim) => self.victim = Some(victim),
                Err(error) => {
                    // Half a victim may have left files.
                    let _ = victim::clean_up(self.ground, site);
                    return Err(failed(error));
                }
            }
        }
        Ok(())
    }

    fn steps(&mut self, steps: &[Step], server: &ServerCanaries) -> Result<Ran, SceneError> {
        let mut ran = Ran::default();
        let body = self.targets(server);
        for step in steps {
            match step {
                Step::Attacker(script) => ran.attacker.push(self.attack(*script, &body)?),
                Step::Probe(arguments) => {
                    let arguments: Vec<String> = arguments
                        .iter()
                        .map(|argument| filled(argument, &body))
                        .collect();
                    let mut body = body.clone();
                    if let Some(body) = body.as_object_mut() {
                        body.insert("probe".to_owned(), arguments.into());
                    }
                    ran.attacker.push(self.attack(PROBE_SCRIPT, &body)?);
                }
                Step::Victim(script) => {
                    if let (Some(victim), Some(site)) = (&mut self.victim, self.other) {
                        let exchange = victim.run(*script, &body.to_string());
                        ran.victim
                            .push(exchange.map_err(|source| SceneError::Victim {
                                site: site.name.clone(),
                                source: source.into(),
                            })?);
                    }
                }
                Step::Visit(requests) => self.visit(requests, &body, &mut ran),
                Step::Crowd(crowd) => self.crowd(crowd, &body, &mut ran),
                Step::EndAttacker => {
                    ran.errors.extend(
                        self.attacker
                            .as_ref()
                            .map(Sandbox::errors)
                            .unwrap_or_default(),
                    );
                    self.attacker = None;
                }
            }
        }
        ran.errors.extend(
            self.attacker
                .as_ref()
                .map(Sandbox::errors)
                .unwrap_or_default(),
        );
        Ok(ran)
    }

    fn attack(&mut self, script: Script, body: &Value) -> Result<Exchange, SceneError> {
        let sandbox = match &mut self.attacker {
            Some(sandbox) => sandbox,
            none => {
                let started = Sandbox::start(self.ground, self.site, self.layers, &[]);
                let started = started.map_err(|source| SceneError::Attacker {
                    site: self.site.name.clone(),
                    source,
                })?;
                none.insert(started)
            }
        };
        let asked = sandbox.ask(&path(script), body.to_string().as_bytes());
        let mut exchange = asked.map_err(|source| self.attacker_failed(source))?;
        exchange.finish(Instant::now() + ATTACK_TIME_MAX);
        if exchange.ending == Some(Ending::Late) {
            // Its worker may go on for ever.
            self.attacker = None;
        }
        Ok(exchange)
    }

    /// What the canaries say.
    fn reached(&mut self, ran: &Ran, server: &mut ServerCanaries) -> Vec<String> {
        let of_victim = self.victim.iter().flat_map(|victim| &victim.secrets);
        let mut found: Vec<String> = server
            .secrets
            .iter()
            .chain(of_victim)
            .filter(|secret| ran.knows(secret))
            .map(|secret| format!("read {}", secret.place))
            .collect();
        found.extend(server.touched());
        if let Some(victim) = &mut self.victim {
            found.extend(victim.touched());
        }
        found
    }

    /// What an attack script is told, and the names that stand for it in a probe's arguments.
    fn targets(&self, server: &ServerCanaries) -> Value {
        json!({
            "me": {
                "site": self.site.name,
                "user": self.site.user.name,
                "uid": self.site.user.uid.0,
                "gid": self.site.user.gid.0,
                "home": self.site.home,
                "root": self.site.root,
                "domain": a_name(self.site),
                "keeper": self.attacker.as_ref().map(Sandbox::keeper),
            },
            "marker": self.marker,
            // Just more than the site may have.
            "beyond": {
                "processes": self.site.limits.processes_max + 32,
                "memory": self.site.limits.memory_max.map_or(u64::MAX, |bytes| (bytes >> 20) + 32),
            },
            // Beneath both document roots, for as long as visitors attack.
            "directory": format!("hostel-prove-{}", self.marker),
            "victim": self.victim.as_ref().map(|victim| &victim.targets),
            "server": server.targets(),
        })
    }

    fn attacker_failed(&self, source: SandboxError) -> SceneError {
        SceneError::Attacker {
            site: self.site.name.clone(),
            source,
        }
    }
}

impl Ran {
    /// What the attacker says that it did.
    pub(crate) fn permitted(&self) -> Vec<String> {
        let texts = self.attacker.iter().map(|exchange| exchange.answer.text());
        let done = |text: String| {
            let lines = text.lines().filter_map(|line| {
                let mut fields = line.splitn(4, '\t');
                match (fields.next(), fields.next(), fields.next(), fields.next()) {
                    (Some("try"), Some(what), Some("done"), Some(got)) => {
                        Some(format!("{}: {}", what.escape_debug(), got.escape_debug()))
                    }
                    _ => None,
                }
            });
            lines.collect::<Vec<_>>()
        };
        texts.flat_map(done).collect()
    }

    fn knows(&self, secret: &Secret) -> bool {
        let text = secret.text.as_str();
        let visited = self
            .visits
            .iter()
            .any(|answer| super::exchange::holds(answer, text.as_bytes()));
        visited
            || super::exchange::holds(&self.errors, text.as_bytes())
            || self
                .attacker
                .iter()
                .any(|exchange| exchange.answer.contains(text))
    }
}

/// A name by which a site is asked for.
pub(crate) fn a_name(site: &Site) -> String {
    let domain = site.domains.iter().find(|domain| !domain.starts_with("*."));
    let domain = domain.or(site.domains.first()).map_or("", String::as_str);
    domain.replacen('*', "www", 1)
}

/// An argument with `{victim.home}` and the like filled in; what is not there becomes nothing.
pub(crate) fn filled(argument: &str, targets: &Value) -> String {
    let mut text = String::new();
    let mut rest = argument;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            rest = after;
            break;
        };
        let pointer = format!("/{}", name.replace('.', "/"));
        match targets.pointer(&pointer) {
            Some(Value::String(value)) => text.push_str(value),
            Some(value) => text.push_str(&value.to_string()),
            None => {}
        }
        rest = after;
    }
    text + rest
}

/// Runs the probe.
const PROBE_SCRIPT: Script = php!("probe");
/// The scene's own scripts, for the stage.
pub(crate) const SCRIPTS: [Script; 2] = [PROBE_SCRIPT, php!("prelude")];
/// The longest that one script of an attacker may run.
const ATTACK_TIME_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_the_probe_are_filled_in() {
        let targets = json!({ "victim": { "home": "/srv/b", "pids": [1, 2] }, "marker": "m" });
        assert_eq!(filled("--at={victim.home}/x", &targets), "--at=/srv/b/x");
        assert_eq!(filled("{victim.pids.1}{marker}", &targets), "2m");
        assert_eq!(filled("{none}", &targets), "");
        assert_eq!(filled("plain", &targets), "plain");
    }
}
