//! The victim: another site's fresh sandbox, in which that site's own user holds what the attacker is after.
//!
//! Started by `hostel prove` as root; everything in the victim's places is made, looked at and removed by scripts that run as
//! the victim's user, since root touches no file of a site's. What they report is the victim's word, who is honest here.

use std::ffi::CString;
use std::time::{Duration, Instant};

use hostel_config::Site;
use hostel_sys::layers::Layers;
use serde_json::{Value, json};

use super::attack::{Script, php};
use super::canaries::{Secret, Watched, changes, difference, watch};
use super::exchange::{Ending, Exchange};
use super::ground::Ground;
use super::sandbox::{Sandbox, SandboxError, Sort};
use super::stage::random_text;
use crate::processes::Process;

/// A victim with its canaries.
#[derive(Debug)]
pub(crate) struct Victim {
    /// Its sandbox.
    pub(crate) sandbox: Sandbox,
    /// What only it knows.
    pub(crate) secrets: Vec<Secret>,
    /// What attackers are told about it, and its own scripts too.
    pub(crate) targets: Value,
    /// The worker that listens, and says so when somebody comes.
    holder: Exchange,
    heard: usize,
    processes: Vec<Watched>,
    before: String,
}

/// Why there is no victim.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VictimError {
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("no random numbers")]
    Random(#[from] std::io::Error),
    #[error("its script {script} failed ({}): {text}", ending.in_words())]
    Script {
        script: &'static str,
        ending: Ending,
        text: String,
    },
}

impl Victim {
    /// Start the sandbox and set everything up.
    pub(crate) fn start(ground: &Ground, site: &Site, layers: Layers) -> Result<Self, VictimError> {
        let mut secrets = Vec::new();
        let mut texts = serde_json::Map::new();
        for place in PLACES {
            let text = random_text()?;
            texts.insert((*place).to_owned(), text.clone().into());
            secrets.push(Secret {
                place: format!("{}'s {place}", site.name),
                text,
            });
        }
        let environment = secret(&texts, "environment");
        let variable = CString::new(format!("HOSTEL_PROVE={environment}"))
            .map_err(|error| VictimError::Random(error.into()))?;
        let mut sandbox = Sandbox::start(ground, site, &Sort::victim(layers, &[variable]))?;
        let targets = targets(ground, site);
        // Its own scripts know the secrets; attackers are only told where they are.
        let mut own = targets.clone();
        if let Some(own) = own.as_object_mut() {
            own.insert("secrets".to_owned(), Value::Object(texts));
        }
        let body = json!({ "victim": own }).to_string();
        run(&mut sandbox, SET_UP, &body)?;
        let mut holder = sandbox.ask(&path(HOLD), body.as_bytes())?;
        let until = Instant::now() + SCRIPT_TIME_MAX;
        holder.read_until(until, |answer| answer.contains(HOLDS));
        if !holder.answer.contains(HOLDS) {
            return Err(failed(HOLD, &holder));
        }
        let (mut targets, said) = (targets, holder.answer.text());
        for line in said.lines().filter_map(|line| line.strip_prefix("port ")) {
            if let Some(targets) = targets.as_object_mut() {
                targets.insert("port".to_owned(), line.trim().parse::<u16>().ok().into());
            }
        }
        let mut victim = Self {
            heard: holder.answer.body.len(),
            sandbox,
            secrets,
            targets,
            holder,
            processes: Vec::new(),
            before: String::new(),
        };
        victim.before = victim.look()?;
        let number = said.lines().find_map(|line| line.strip_prefix("process "));
        let pids = victim.lasting(number.and_then(|number| number.trim().parse().ok()));
        victim.processes = watch(pids.iter().copied());
        if let Some(targets) = victim.targets.as_object_mut() {
            targets.insert("pids".to_owned(), pids.into());
        }
        Ok(victim)
    }

    /// What was touched since the last time.
    pub(crate) fn touched(&mut self) -> Vec<String> {
        let mut found = changes(&mut self.processes);
        match self.look() {
            Ok(now) if now == self.before => {}
            Ok(now) => {
                let what = difference(&self.before, &now);
                found.push(format!("the victim's things changed: {what}"));
                self.before = now;
            }
            Err(error) => found.push(format!("the victim does not answer: {error}")),
        }
        self.holder
            .read_until(Instant::now() + HEARING_TIME, |_| false);
        let text = self
            .holder
            .answer
            .body
            .get(self.heard..)
            .unwrap_or_default();
        let text = String::from_utf8_lossy(text).into_owned();
        self.heard = self.holder.answer.body.len();
        found.extend(text.lines().map(|line| format!("the victim's {line}")));
        if let Some(ending) = &self.holder.ending {
            found.push(format!("the victim's worker: {}", ending.in_words()));
        }
        found
    }

    /// What it keeps in one of [`PLACES`].
    pub(crate) fn secret(&self, place: &str) -> Option<&str> {
        let mut secrets = self.secrets.iter();
        let found = secrets.find(|secret| secret.place.ends_with(place));
        found.map(|secret| secret.text.as_str())
    }

    /// Run one more script as the victim.
    pub(crate) fn run(&mut self, script: Script, body: &str) -> Result<Exchange, SandboxError> {
        let mut exchange = self.sandbox.ask(&path(script), body.as_bytes())?;
        exchange.finish(Instant::now() + SCRIPT_TIME_MAX);
        Ok(exchange)
    }

    fn look(&mut self) -> Result<String, VictimError> {
        let body = json!({ "victim": self.targets }).to_string();
        run(&mut self.sandbox, LOOK, &body)
    }

    /// Keeper, zygote, the worker that listens (of this number in its namespace) and what that has started: those which do
    /// not end after an answer.
    fn lasting(&self, holder: Option<u32>) -> Vec<u32> {
        let own = self.sandbox.processes();
        let is_holder = |process: &&Process| holder.is_some() && inner(process.pid) == holder;
        let holder = own.iter().find(is_holder).map(|process| process.pid);
        let first = own.iter().take(2).map(|process| process.pid);
        let below = own
            .iter()
            .filter(|process| holder.is_some() && Some(process.parent) == holder)
            .map(|process| process.pid);
        first.chain(holder).chain(below).collect()
    }
}

/// The number of a process in its own namespace.
fn inner(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().last()?.parse().ok()
}

/// Remove what attacker or victim has left in the site's places: in a fresh sandbox, whatever became of theirs.
pub(crate) fn clean_up(ground: &Ground, site: &Site, sort: &Sort<'_>) -> Result<(), VictimError> {
    let mut sandbox = Sandbox::start(ground, site, sort)?;
    let me = json!({ "uid": site.user.uid.0, "home": site.home, "root": site.root });
    let body = json!({ "me": me, "run": ground.stage.run }).to_string();
    run(&mut sandbox, CLEAN_UP, &body).map(drop)
}

/// Run a script of the victim's and give what it says.
fn run(sandbox: &mut Sandbox, script: Script, body: &str) -> Result<String, VictimError> {
    let mut exchange = sandbox.ask(&path(script), body.as_bytes())?;
    exchange.finish(Instant::now() + SCRIPT_TIME_MAX);
    let text = exchange.answer.text();
    if exchange.ending == Some(Ending::Complete) && text.trim_end().ends_with(DONE) {
        return Ok(text);
    }
    Err(failed(script, &exchange))
}

fn failed(script: Script, exchange: &Exchange) -> VictimError {
    let log = String::from_utf8_lossy(&exchange.answer.log);
    VictimError::Script {
        script: script.path,
        ending: exchange.ending.clone().unwrap_or(Ending::Late),
        text: format!("{} {log}", exchange.answer.text())
            .escape_debug()
            .to_string(),
    }
}

/// The path at which a script of the stage is asked for.
pub(crate) fn path(script: Script) -> String {
    format!("/{}", script.path)
}

fn secret<'a>(texts: &'a serde_json::Map<String, Value>, place: &str) -> &'a str {
    texts.get(place).and_then(Value::as_str).unwrap_or_default()
}

/// Where everything is. Paths are those of the host where they differ from those in the victim's own view.
fn targets(ground: &Ground, site: &Site) -> Value {
    let run = &ground.stage.run;
    let place = format!("{}/.hostel-prove-{run}", site.home);
    let state = ground.server.state.join("sites").join(&site.name);
    let in_state = |below: &str| state.join(below).display().to_string();
    json!({
        "run": run,
        "site": site.name,
        "user": site.user.name,
        "uid": site.user.uid.0,
        "gid": site.user.gid.0,
        "home": site.home,
        "root": site.root,
        "domains": site.domains,
        "domain": super::scene::a_name(site),
        "place": place,
        "files": [
            format!("{place}/private"),
            format!("{place}/public"),
            in_state(&format!("tmp/hostel-prove-{run}")),
            in_state(&format!("sessions/sess_prove{run}")),
            format!("/tmp/hostel-prove-{run}"),
            format!("/var/lib/php/sessions/sess_prove{run}"),
        ],
        "directories": [
            place, site.home, site.root,
            in_state("tmp"), in_state("var-tmp"), in_state("sessions"), in_state("opcache"),
        ],
        "sessions": in_state("sessions"),
        "session": format!("prove{run}"),
        "script": format!("{place}/script.php"),
        "memory_file": format!("/dev/shm/hostel-prove-{run}"),
        "abstract": format!("hostel-prove-{run}"),
        "socket": format!("{place}/socket"),
        "sockets": [format!("{place}/socket"), in_state(&format!("tmp/hostel-prove-{run}.sock"))],
        // System V keys are numbers of 32 bits; the run's name is hexadecimal.
        "key": u32::from_str_radix(run.get(..7).unwrap_or("7"), 16).unwrap_or(7),
    })
}

/// The victim's secrets, each in its place.
const PLACES: &[&str] = &[
    "private file",
    "public file",
    "file's name",
    "temporary file",
    "session",
    "script",
    "shared memory file",
    "System V shared memory",
    "System V message",
    "abstract socket",
    "path socket",
    "TCP listener",
    "memory",
    "command line",
    "environment",
];
const SET_UP: Script = php!("victim/set-up");
const HOLD: Script = php!("victim/hold");
const LOOK: Script = php!("victim/look");
const CLEAN_UP: Script = php!("clean-up");
/// The victim's scripts, for the stage.
pub(crate) const SCRIPTS: [Script; 4] = [SET_UP, HOLD, LOOK, CLEAN_UP];
/// What a victim's script says at its end.
const DONE: &str = "done";
/// What the worker that listens says once it does.
const HOLDS: &str = "holding\n";
const SCRIPT_TIME_MAX: Duration = Duration::from_secs(10);
/// A connection is told at once.
const HEARING_TIME: Duration = Duration::from_millis(20);
