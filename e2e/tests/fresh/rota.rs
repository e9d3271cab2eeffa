//! Running the rota: every script once, with a close look, then many by chance from two connections, and what processes hold at the begin and end of that.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use hostel_e2e::http::Connection;
use hostel_e2e::process::wait_until;
use hostel_e2e::random::{Random, say};
use hostel_e2e::{Database, Instance, Process, Request, Site, User, database};

use crate::scripts::{self, After, COMMON, Script};
use crate::status;

/// Requests by chance where HOSTEL_FRESH_REQUESTS does not say otherwise.
const REQUESTS: usize = 600;
/// How much more a process may hold at the end than at the begin, in KiB; and mappings.
const KIB_TOLERANCE: u64 = 1024;
const MAPPINGS_TOLERANCE: u64 = 2;
/// What a worker that is put back keeps mapped for PHP's heap and for the C library's, and how many requests it takes until chance has used all of it.
const KEPT_KIB: u64 = 24 * 1024;
const REQUESTS_TO_TOUCH_ALL: usize = 20_000;
/// Runs a program with a filter that refuses userfaultfd(2), which all that it starts inherits: then workers cannot have the kernel keep
/// count, as on an older one. Needs root.
const WITHOUT_USERFAULTFD: &str = "
import ctypes, os, struct, sys
lines = [(0x20, 0, 0, 0), (0x15, 0, 1, 323), (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *line) for line in lines))
program = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(lines), ctypes.addressof(code)))
if ctypes.CDLL(None, use_errno=True).prctl(22, 2, program) != 0:
    sys.exit('the kernel takes no filter: ' + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
";

/// By which means requests are fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// A worker is put back, by the best means of this kernel: its own count of written pages, where it has that.
    Rewind,
    /// A worker is put back, by private mappings of the image.
    Private,
    /// Each request has a process.
    Fork,
}

impl Mechanism {
    /// Whether a site's status says so.
    pub(crate) fn is_shown(self, fresh: &serde_json::Value) -> bool {
        match self {
            Self::Fork => fresh == "fork",
            Self::Rewind | Self::Private if self.has_userfaultfd() => fresh == "rewind-written",
            Self::Rewind | Self::Private => fresh == "rewind-private",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Rewind | Self::Private => "true",
            Self::Fork => "\"fork\"",
        }
    }

    /// Whether a worker of it has a userfaultfd.
    fn has_userfaultfd(self) -> bool {
        self == Self::Rewind && kernel_keeps_count()
    }
}

/// Linux 6.7 and later.
fn kernel_keeps_count() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc");
    let mut numbers = release
        .split(['.', '-', '+'])
        .map_while(|part| part.trim().parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(7))
}

/// Whether a site's scripts may run native code: without it, less of a process is looked at when it is put back, as less can have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// PHP and FFI.
    Native,
    /// PHP alone: the scripts that do without, and a probe that does.
    Php,
}

/// The scripts that such a site has.
fn scripts_of(code: Code) -> impl Iterator<Item = &'static Script> {
    scripts::all().filter(move |script| code == Code::Native || !script.needs_native_code())
}

/// A site with all scripts.
pub(crate) fn site(
    (name, user, code): (&str, User, Code),
    database: &Database,
    fresh: &str,
    more: &str,
) -> Site {
    let connections = scripts::DATABASE.replace("{host}", &database.host);
    let mut site = Site::new(name, user)
        .toml(&format!("fresh = {fresh}\n{more}"))
        .file("public/common.php", COMMON)
        .file("public/database.php", connections)
        .file("public/look.php", scripts::look(scripts_of(code)))
        .file("public/probe.php", scripts::PROBE)
        .file("public/measure.php", scripts::MEASURE)
        .file("public/static.txt", "static")
        .file("public/pid.php", "<?php echo getmypid();");
    for script in scripts_of(code) {
        let path = format!("public/{}.php", script.name);
        site = site.file(&path, scripts::file(script));
    }
    let native = match code {
        Code::Native => "true",
        Code::Php => "false",
    };
    site.toml(&format!("[php.admin_value]\n\"ffi.enable\" = {native}\ndisplay_errors = false\nopcache.jit_buffer_size = 0"))
}

/// The client of one site.
pub(crate) struct Client<'a> {
    instance: &'a Instance,
    connection: Connection,
    host: String,
    requests: u64,
    deaths: usize,
}

impl<'a> Client<'a> {
    pub(crate) fn new(instance: &'a Instance, site: &str) -> Self {
        Self {
            instance,
            connection: instance.connect(),
            host: format!("{site}.test"),
            requests: 0,
            deaths: 0,
        }
    }

    fn ask(&mut self, target: &str) -> (u16, String) {
        self.requests += 1;
        let request = Request::get(&self.host, target);
        let answer = self.connection.exchange(&request);
        let answer = answer.unwrap_or_else(|e| panic!("{target}: {e}"));
        if answer.closes() {
            self.connection = self.instance.connect();
        }
        (answer.status, answer.text())
    }

    fn text(&mut self, target: &str) -> String {
        let (status, text) = self.ask(target);
        assert_eq!(status, 200, "{target}: {text}");
        text
    }

    /// What the probe finds, by the scripts' names.
    pub(crate) fn found(&mut self) -> BTreeSet<String> {
        let text = self.text("/probe.php");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
    }

    /// KiB of address space, mappings, descriptors, threads of the worker that answers, and which one it is.
    fn measured(&mut self) -> [u64; 5] {
        let text = self.text("/measure.php");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
    }

    /// Run a script, which looks for what others have left before, or leaves that.
    pub(crate) fn leak(&mut self, script: &Script, looks: bool) {
        if let Err(wrong) = self.try_to_leak(script, looks) {
            panic!("{wrong}");
        }
    }

    fn try_to_leak(&mut self, script: &Script, looks: bool) -> Result<(), String> {
        let name = script.name;
        let query = if looks { "?look" } else { "" };
        let (status, text) = self.ask(&format!("/{name}.php{query}"));
        if text.contains("FOUND") {
            return Err(format!("{name}: {text}"));
        }
        // Those that end in an error end so each time.
        let is_right = match script.after {
            After::Dies => status == 502,
            After::Back | After::Ends | After::Either => matches!(status, 200 | 500),
        };
        if !is_right {
            return Err(format!("{name}: {status}: {text}"));
        }
        self.deaths += usize::from(script.after != After::Back);
        Ok(())
    }
}

/// What a process holds, seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Held {
    anonymous_kib: u64,
    proportional_kib: u64,
    mappings: u64,
    descriptors: u64,
}

impl Held {
    fn of(process: &Process) -> Option<Self> {
        let place = Path::new("/proc").join(process.pid.to_string());
        let rollup = std::fs::read_to_string(place.join("smaps_rollup")).ok()?;
        let kib = |text: &str| text.trim_end_matches(" kB").trim().parse::<u64>().ok();
        let proportional = rollup
            .lines()
            .find_map(|line| kib(line.strip_prefix("Pss:")?));
        let maps = std::fs::read_to_string(place.join("maps")).ok()?;
        Some(Self {
            anonymous_kib: kib(&process.status("RssAnon")?)?,
            proportional_kib: proportional?,
            mappings: maps.lines().count() as u64,
            descriptors: process.descriptors().len() as u64,
        })
    }

    /// Nothing has become more, but for what memory a process has touched by chance. Its share of what others have too is told, and not
    /// compared: it has OPcache's memory in it, which grows, and depends on who else runs.
    fn assert_flat(of: &str, first: Self, last: Self, kib_by_chance: u64) {
        say(&format!("{of}: at first {first:?}, at last {last:?}"));
        let is_flat = last.anonymous_kib <= first.anonymous_kib + kib_by_chance
            && last.mappings <= first.mappings + MAPPINGS_TOLERANCE
            && last.descriptors <= first.descriptors;
        assert!(is_flat, "{of}: at first {first:?}, at last {last:?}");
    }
}

/// The middle one of some looks at a process.
fn middle(mut looks: Vec<Held>) -> Held {
    looks.sort();
    looks[looks.len() / 2]
}

/// The zygotes, by their users.
fn zygotes(instance: &Instance) -> Vec<Held> {
    let mut all = instance.zygotes();
    all.sort_by_key(|process| process.uid);
    all.iter().filter_map(Held::of).collect()
}

/// The sites: of one all scripts are run at two workers; of the others those that a worker survives, at one worker that lives long.
const SITES: [(&str, User, Code); 3] = [
    ("all", User::One, Code::Native),
    ("long", User::Two, Code::Native),
    ("php", User::Three, Code::Php),
];

/// A running rota.
pub(crate) struct Rota {
    pub(crate) instance: Instance,
    pub(crate) mechanism: Mechanism,
    random: Random,
    deaths: usize,
    _database: Database,
}

impl Rota {
    pub(crate) fn start(mechanism: Mechanism) -> Self {
        let mut instance = Instance::new("fresh");
        let database = Database::start(instance.path("database"), &["rota"]);
        for kind in SITES {
            let more = match kind.0 {
                "all" => "workers_max = 2",
                _ => "workers_max = 1\nrequests_per_worker = 0",
            };
            instance.add_site(site(kind, &database, mechanism.word(), more));
        }
        if mechanism == Mechanism::Private {
            instance = instance.launcher(&["python3", "-c", WITHOUT_USERFAULTFD]);
        }
        Self {
            instance: instance.start(),
            mechanism,
            random: Random::by_seed(),
            deaths: 0,
            _database: database,
        }
    }

    /// Each script once, followed by a look at what it has left and at what has become of its worker.
    pub(crate) fn each_once(&mut self) {
        for (site, _, code) in &SITES[1..] {
            self.each_once_of(site, *code);
        }
    }

    fn each_once_of(&mut self, site: &str, code: Code) {
        let mut client = Client::new(&self.instance, site);
        assert_eq!(client.found(), BTreeSet::new(), "a first request");
        self.await_trial(site, &mut client);
        // Twice: the first time its script is read from a file that is open meanwhile.
        client.measured();
        let first = client.measured();
        self.is_by_its_means();
        let mut scripts: Vec<_> = scripts_of(code).collect();
        self.random.shuffle(&mut scripts);
        let mut wrong = Vec::new();
        let mut before = first[4];
        for script in scripts {
            let name = script.name;
            wrong.extend(client.try_to_leak(script, false).err());
            let found = client.found();
            if !found.is_empty() {
                wrong.push(format!("after {name}: {found:?}"));
            }
            let now = client.measured();
            // One descriptor more where the script was compiled, and so read, anew.
            let is_flat = now[0] <= first[0] + KIB_TOLERANCE
                && now[1] <= first[1] + MAPPINGS_TOLERANCE
                && now[2] <= first[2] + 1
                && now[3] == 1;
            if !is_flat {
                wrong.push(format!("after {name}: {now:?} and not {first:?}"));
            }
            let after = now[4];
            let is_right = match script.after {
                _ if self.mechanism == Mechanism::Fork => before != after,
                After::Back => before == after,
                After::Ends | After::Dies => before != after,
                After::Either => true,
            };
            if !is_right {
                wrong.push(format!("after {name}: worker {before}, then {after}"));
            }
            before = after;
        }
        self.deaths += client.deaths;
        let log = self.instance.log(site, "error");
        assert!(wrong.is_empty(), "{site}: {wrong:#?}\n{log}");
    }

    /// Until it is known that workers may be put back, each serves one request.
    fn await_trial(&self, site: &str, client: &mut Client<'_>) {
        let is_over = || {
            client.found();
            self.mechanism
                .is_shown(&status(&self.instance, site)["fresh"])
        };
        let is_put_back = wait_until(Duration::from_secs(10), is_over);
        assert!(is_put_back, "{}", self.instance.log(site, "error"));
    }

    /// Whether workers have what they need for these means, and not for others.
    fn is_by_its_means(&self) {
        if self.mechanism == Mechanism::Fork {
            return;
        }
        let waits = || !self.instance.workers().is_empty();
        assert!(wait_until(Duration::from_secs(5), waits), "no worker waits");
        for worker in self.instance.workers() {
            let descriptors = worker.descriptors();
            let has = |name: &str| descriptors.iter().any(|(_, target)| target.contains(name));
            let is = [has("userfaultfd"), has("/pagemap")];
            let must = [self.mechanism.has_userfaultfd(), true];
            assert_eq!(is, must, "{:?}: {descriptors:?}", self.mechanism);
        }
    }

    /// Many by chance, from one connection to each site.
    pub(crate) fn many_by_chance(&mut self) {
        let requests = std::env::var("HOSTEL_FRESH_REQUESTS").map_or(REQUESTS, |given| {
            given.parse().expect("HOSTEL_FRESH_REQUESTS is a number")
        });
        let begun = Instant::now();
        let zygotes_first = zygotes(&self.instance);
        let part = requests / SITES.len();
        let this = &*self;
        let mut random = self.random.clone();
        let [all, long, php] = [(); 3].map(|()| random.fork());
        let (deaths, looks) = std::thread::scope(|scope| {
            let all = scope.spawn(|| this.run_all(requests - 2 * part, all));
            let php = scope.spawn(|| this.run_long(SITES[2], part, php));
            let long = this.run_long(SITES[1], part, long);
            let php = php.join().expect("the rota without native code");
            (all.join().expect("the rota at two workers"), [long, php])
        });
        self.deaths += deaths;
        let took = begun.elapsed().as_secs();
        say(&format!("{requests} requests in {took} s"));
        for [first, last] in looks.into_iter().flatten() {
            // A short run has not yet touched all that a worker keeps for PHP's heap.
            let kept = if requests < REQUESTS_TO_TOUCH_ALL {
                KEPT_KIB
            } else {
                0
            };
            Held::assert_flat("a worker", first, last, 2 * KIB_TOLERANCE + kept);
        }
        // What has come and gone since has left no trace in what all workers are copies of.
        let pairs = zygotes_first.into_iter().zip(zygotes(&self.instance));
        for (first, last) in pairs {
            Held::assert_flat("a zygote", first, last, KIB_TOLERANCE);
        }
    }

    fn run_all(&self, requests: usize, mut random: Random) -> usize {
        let scripts: Vec<_> = scripts::all().collect();
        let mut client = Client::new(&self.instance, "all");
        let begun = Instant::now();
        for number in 0..requests {
            one(&mut client, &scripts, &mut random);
            if number % 1000 == 999 {
                let seconds = begun.elapsed().as_secs();
                let means = self.mechanism;
                say(&format!(
                    "{means:?}: {} of {requests} in {seconds} s",
                    number + 1
                ));
            }
        }
        assert_eq!(client.found(), BTreeSet::new(), "at the end");
        client.deaths
    }

    /// What its worker held in the first and in the last thousand requests, where it is one worker.
    fn run_long(
        &self,
        (site, user, code): (&str, User, Code),
        requests: usize,
        mut random: Random,
    ) -> Option<[Held; 2]> {
        let scripts: Vec<_> = scripts_of(code)
            .filter(|script| script.after == After::Back)
            .collect();
        let mut client = Client::new(&self.instance, site);
        let mut looks = [Vec::new(), Vec::new()];
        // Looks are taken at the begin and at the end alone.
        let part = (requests / 4).clamp(1, 1000);
        let every = (part / 10).max(1);
        for number in 0..requests {
            one(&mut client, &scripts, &mut random);
            let which = match number {
                number if number < part => 0,
                number if number >= requests - part => 1,
                _ => continue,
            };
            if number % every == 0 && self.mechanism != Mechanism::Fork {
                looks[which].extend(self.worker_of(user));
            }
        }
        assert_eq!(client.found(), BTreeSet::new(), "at the end");
        let [first, last] = looks;
        (!first.is_empty() && !last.is_empty()).then(|| [middle(first), middle(last)])
    }

    /// What the one worker holds, once it is put back.
    fn worker_of(&self, user: User) -> Option<Held> {
        std::thread::sleep(Duration::from_millis(20));
        let (uid, _) = user.ids();
        let workers = self.instance.workers();
        Held::of(workers.iter().find(|worker| worker.uid == uid)?)
    }

    /// The server has seen no end of a worker that it did not expect.
    pub(crate) fn nobody_has_crashed(&self) {
        // The log is written a few times in a second.
        std::thread::sleep(Duration::from_millis(500));
        for (site, ..) in SITES {
            let log = self.instance.log(site, "error");
            let crashes = log
                .lines()
                .filter(|line| {
                    line.contains("was ended by signal") || line.contains("ended with status")
                })
                .count();
            assert!(crashes <= self.deaths, "{crashes} crashes:\n{log}");
        }
    }
}

/// One script by chance. One in eight has a process in which nothing has run before, and a look before that; the others look first themselves.
fn one(client: &mut Client<'_>, scripts: &[&Script], random: &mut Random) {
    let script = loop {
        let script = scripts[random.below(scripts.len())];
        if !script.is_seldom || random.one_in(20) {
            break script;
        }
    };
    let looks = !random.one_in(8);
    if !looks {
        let found = client.found();
        assert_eq!(found, BTreeSet::new(), "before {}", script.name);
    }
    client.leak(script, looks);
}

/// The password in the scripts is the one of the database.
#[test]
fn the_scripts_know_the_password() {
    assert!(scripts::DATABASE.contains(database::PASSWORD));
}
