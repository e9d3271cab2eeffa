//! One attacker, one victim, the server: an attack is run among them, and judged from outside.
//!
//! Run by `hostel prove` as root. What the attacker says decides nothing: it is searched for secrets, and shown.

use std::io;
use std::time::{Duration, Instant};

use hostel_config::Site;
#[cfg(feature = "controls")]
use hostel_sys::layers::Layer;
use hostel_sys::layers::Layers;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::attack::{Against, Attack, Judge, Script, Step, php};
use super::canaries::{Secret, ServerCanaries, Watched, watch};
use super::exchange::{Ending, Exchange, holds};
use super::ground::Ground;
use super::outcome::{Outcome, evidence, shown_reached};
use super::sandbox::{Sandbox, SandboxError, Sort};
use super::stage::{PROBE, random_text};
use super::victim::{self, Victim, VictimError, path};
use crate::processes;

/// A scene. Dropped, its sandboxes end and what their sites hold of this run is removed.
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
    /// The run's name and eight characters that are new for each attack, for names of what it makes.
    pub(crate) marker: String,
    /// The attacker's keeper and zygote, as they were before the attack.
    pub(crate) family: Vec<Watched>,
    /// A secret of the attacker's own that one of its workers keeps.
    kept: Secret,
    setting: Setting,
    /// Whether the attacker's site may hold something of this run.
    has_attacked: bool,
}

/// In what the sandboxes of a scene lack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) layers: Layers,
    /// The attacker runs as the victim's user.
    #[cfg(feature = "controls")]
    pub(crate) shares_user: bool,
}

/// What an attack has left to be judged.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    /// The attacker's exchanges, in order.
    pub(crate) attacker: Vec<Exchange>,
    /// The victim's.
    pub(crate) victim: Vec<Exchange>,
    /// What ran beside them, as far as it came.
    pub(crate) beside: Vec<Exchange>,
    /// What the attacker's keeper served.
    pub(crate) served: Vec<u8>,
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

#[cfg(feature = "controls")]
impl Verdict {
    /// A control that cannot be tried on this machine.
    pub(super) fn not_tried(why: String) -> Self {
        Self {
            outcome: Outcome::NotTried(why),
            evidence: String::new(),
            duration: Duration::ZERO,
        }
    }
}

impl Setting {
    /// What a victim lacks: the same, since two share a namespace or a view only if both are without their own. Its user it keeps.
    fn of_victim(self) -> Layers {
        #[cfg(feature = "controls")]
        {
            let out = Layer::ALL.iter().filter(|layer| !self.layers.has(**layer));
            out.filter(|layer| !matches!(layer, Layer::User | Layer::Capabilities))
                .fold(Layers::ALL, |layers, layer| layers.without(*layer))
        }
        #[cfg(not(feature = "controls"))]
        self.layers
    }
}

impl<'a> Scene<'a> {
    /// A scene in which nothing runs yet.
    pub(crate) fn new(
        ground: &'a Ground,
        site: &'a Site,
        other: Option<&'a Site>,
        setting: Setting,
    ) -> Self {
        Self {
            ground,
            site,
            other,
            attacker: None,
            victim: None,
            marker: String::new(),
            family: Vec::new(),
            kept: Secret {
                place: "what another worker of the same site keeps".to_owned(),
                text: String::new(),
            },
            setting,
            has_attacked: false,
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
        self.attacker.take_if(|sandbox| !sandbox.is_alive());
        if !reached.is_empty() {
            // The next attack finds everything in its place again.
            self.end_strays();
            self.clear();
            let reached = shown_reached(&reached);
            return Ok(match self.ground.lacking(attack.needs, self.site) {
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

    /// End both sandboxes and remove what their sites hold of this run.
    fn clear(&mut self) {
        self.attacker = None;
        let attacker = std::mem::take(&mut self.has_attacked).then(|| (self.site, self.sort()));
        let victim = self.victim.take().and(self.other);
        let victim = victim.map(|site| (site, Sort::victim(self.setting.of_victim(), &[])));
        let as_it_was = victim.into_iter().chain(attacker);
        // In a control they may have been in another view than that in which the site will find what they left.
        #[cfg(feature = "controls")]
        let as_it_was = as_it_was
            .flat_map(|(site, sort)| [(site, sort), (site, Sort::victim(Layers::ALL, &[]))]);
        for (site, sort) in as_it_was {
            if let Err(error) = victim::clean_up(self.ground, site, &sort) {
                crate::output::error(&format!(
                    "hostel prove: cannot remove what has 'prove-{}' in its name from site {}: {error}",
                    self.ground.stage.run, site.name
                ));
            }
        }
    }

    /// Processes of whatever sandbox that carry this attack's marker in their command line.
    pub(crate) fn strays(&self) -> Vec<u32> {
        let marker = self.marker.as_bytes();
        let has_marker = |pid: &u32| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| holds(&line, marker))
        };
        let all = processes::all().into_iter().map(|process| process.pid);
        all.filter(has_marker).collect()
    }

    /// End them: by their ids, and only those of this attack.
    fn end_strays(&self) {
        let pids = self
            .strays()
            .into_iter()
            .filter_map(|pid| pid.try_into().ok());
        for pid in pids.filter_map(Pid::from_raw) {
            // One that has ended is what is wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Why this attack cannot be tried at all.
    fn obstacle(&self, attack: &Attack) -> Option<String> {
        if attack.against == Against::Victim && self.other.is_none() {
            return Some("there is no other site".to_owned());
        }
        if attack.against == Against::World && !self.ground.network {
            return Some("it needs --network".to_owned());
        }
        let needs_probe = attack
            .steps
            .iter()
            .any(|step| matches!(step, Step::Probe(_)));
        if needs_probe && !self.ground.stage.has_probe {
            return Some(format!("{PROBE} is not beside this program"));
        }
        for step in attack.steps {
            if let Step::NotThere(why) = step {
                return Some((*why).to_owned());
            }
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
        let random = random_text()?;
        let random = random.get(..8).unwrap_or_default();
        self.marker = format!("{}{random}", self.ground.stage.run);
        self.kept.text = random_text()?;
        if let (Some(site), None) = (self.other, &self.victim) {
            match Victim::start(self.ground, site, self.setting.of_victim()) {
                Ok(victim) => self.victim = Some(victim),
                Err(source) => {
                    // Half a victim may have left files.
                    let sort = Sort::victim(self.setting.of_victim(), &[]);
                    let _ = victim::clean_up(self.ground, site, &sort);
                    return Err(victim_failed(site, source));
                }
            }
        }
        if self.attacker.is_none() {
            self.start_attacker()?;
            // Its PHP starts with the first script, which tries nothing.
            self.attack(PRELUDE, &Value::Null)?;
        }
        let family = self.attacker.iter().flat_map(Sandbox::processes).take(2);
        self.family = watch(family.map(|process| process.pid));
        Ok(())
    }

    /// The attacker's sandbox.
    fn sort(&self) -> Sort<'a> {
        Sort {
            layers: self.setting.layers,
            environment: &[],
            php_values: self.ground.php_values(),
            #[cfg(feature = "controls")]
            identity: self
                .other
                .filter(|_| self.setting.shares_user)
                .map(|site| (site.user.uid, site.user.gid)),
        }
    }

    fn start_attacker(&mut self) -> Result<&mut Sandbox, SceneError> {
        self.has_attacked = true;
        let started = Sandbox::start(self.ground, self.site, &self.sort());
        let started = started.map_err(|source| self.attacker_failed(source))?;
        Ok(self.attacker.insert(started))
    }

    fn steps(&mut self, steps: &[Step], server: &ServerCanaries) -> Result<Ran, SceneError> {
        let mut ran = Ran::default();
        let body = self.targets(server);
        let with = |name: &str, value: Value| {
            let mut body = body.clone();
            if let Some(body) = body.as_object_mut() {
                body.insert(name.to_owned(), value);
            }
            body
        };
        let kept = with("kept", self.kept.text.clone().into());
        for step in steps {
            match step {
                Step::Attacker(script) => ran.attacker.push(self.attack(*script, &body)?),
                Step::Probe(arguments) => {
                    let filled: Vec<String> = arguments
                        .iter()
                        .map(|argument| filled(argument, &body))
                        .collect();
                    let body = with("probe", filled.into());
                    ran.attacker.push(self.attack(PROBE_SCRIPT, &body)?);
                }
                Step::Victim(script) => ran.victim.extend(self.as_victim(*script, &body)?),
                Step::Insider(script) => ran.attacker.extend(self.as_victim(*script, &body)?),
                Step::Beside(script) => {
                    let mut beside = self.begin(*script, &kept)?;
                    beside.read_until(Instant::now() + ATTACK_TIME_MAX, |answer| {
                        !answer.body.is_empty()
                    });
                    ran.beside.push(beside);
                }
                Step::Visit(requests) => self.visit(requests, &body, &mut ran),
                Step::Crowd(crowd) => self.crowd(crowd, &body, &mut ran),
                // Kept out by `obstacle`.
                Step::NotThere(_) => {}
                Step::Race(script) => self.race(*script, &kept, &mut ran)?,
                Step::EndAttacker => {
                    ran.errors.extend(self.errors());
                    // Ended, but not forgotten: what is left of it is looked for.
                    self.attacker.iter_mut().for_each(Sandbox::end);
                }
            }
        }
        for beside in &mut ran.beside {
            beside.read_until(Instant::now() + BESIDE_TIME, |_| false);
        }
        ran.errors.extend(self.errors());
        Ok(ran)
    }

    fn errors(&self) -> Vec<u8> {
        let attacker = self.attacker.as_ref();
        attacker.map(Sandbox::errors).unwrap_or_default()
    }

    fn as_victim(&mut self, script: Script, body: &Value) -> Result<Option<Exchange>, SceneError> {
        let (Some(victim), Some(site)) = (&mut self.victim, self.other) else {
            return Ok(None);
        };
        let exchange = victim.run(script, &body.to_string());
        let failed = |source: SandboxError| victim_failed(site, source.into());
        exchange.map(Some).map_err(failed)
    }

    /// Ask for the file for as long as the script runs.
    fn race(&mut self, script: Script, body: &Value, ran: &mut Ran) -> Result<(), SceneError> {
        let mut exchange = self.begin(script, body)?;
        let path = format!("/race/{}/public", self.site.name);
        let until = Instant::now() + ATTACK_TIME_MAX;
        while exchange.ending.is_none() && Instant::now() < until {
            let Some(sandbox) = &mut self.attacker else {
                break;
            };
            // A keeper that does not answer has served nothing.
            let served = sandbox.static_file(&path, SERVED_BYTES_MAX);
            ran.served.extend(served.unwrap_or_default());
            exchange.read_until(Instant::now(), |_| false);
        }
        exchange.finish(until);
        ran.attacker.push(exchange);
        Ok(())
    }

    fn attack(&mut self, script: Script, body: &Value) -> Result<Exchange, SceneError> {
        let mut exchange = self.begin(script, body)?;
        exchange.finish(Instant::now() + ATTACK_TIME_MAX);
        if exchange.ending == Some(Ending::Late) {
            // Its worker may go on for ever.
            self.attacker = None;
        }
        Ok(exchange)
    }

    fn begin(&mut self, script: Script, body: &Value) -> Result<Exchange, SceneError> {
        self.attacker.take_if(|sandbox| !sandbox.is_alive());
        let sandbox = match &mut self.attacker {
            Some(sandbox) => sandbox,
            None => self.start_attacker()?,
        };
        let asked = sandbox.ask(&path(script), body.to_string().as_bytes());
        asked.map_err(|source| self.attacker_failed(source))
    }

    /// What the canaries say.
    fn reached(&mut self, ran: &Ran, server: &mut ServerCanaries) -> Vec<String> {
        let of_victim = self.victim.iter().flat_map(|victim| &victim.secrets);
        let mut found: Vec<String> = server
            .secrets
            .iter()
            .chain(of_victim)
            .chain([&self.kept])
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
                "temporary": (self.site.limits.temporary_bytes_max >> 20) + 8,
                "home": (self.site.limits.home_bytes_max.unwrap_or(0) >> 20) + 8,
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

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        self.clear();
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
            .any(|answer| holds(answer, text.as_bytes()));
        visited
            || [&self.errors, &self.served]
                .into_iter()
                .any(|bytes| holds(bytes, text.as_bytes()))
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

fn victim_failed(site: &Site, source: VictimError) -> SceneError {
    SceneError::Victim {
        site: site.name.clone(),
        source,
    }
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
pub(crate) const SCRIPTS: [Script; 3] = [PROBE_SCRIPT, PRELUDE, php!("processes/prelude")];
/// Every attack script begins with it; alone it does nothing.
const PRELUDE: Script = php!("prelude");
/// The death of a worker is seen at once.
const BESIDE_TIME: Duration = Duration::from_millis(50);
/// Of a file that is served, what could hold a secret.
const SERVED_BYTES_MAX: usize = 256;
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
