//! Debian's modules for PHP, each of them: what a pooled worker keeps of it, that a worker that is put back keeps nothing, and that those with
//! which no worker can be put back are known by name.
//!
//! Each has a script in `tests/cases/modules`: `work` uses the module, `left` looks for what an earlier `work` has left, `unique` yields what must never come
//! again. Comments in it say what a pooled worker keeps of that, so that it is seen to be noticed. Modules that this host's PHP does not load are
//! unpacked by `cargo xtask setup test` at a place of their own, where no other test loads them, and each is loaded alone beside those that it does.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use hostel_wire::fresh::Fresh;
use hostel_wire::keeper_zygote::{FromZygote, ToZygote};

use crate::front::get;
use crate::servers::Servers;
use crate::site::{Site, Wishes, Worker};

#[path = "../../src/modules.rs"]
#[allow(
    dead_code,
    reason = "what the program does with it is tried from outside"
)]
mod table;

/// Where packages are unpacked.
pub(crate) const UNPACKED: &str = "/var/lib/hostel-test/php-modules";
/// Where PHP's modules are, there and on the host.
const MODULES: &str = "/usr/lib/php/20220829";
/// Which of them this host's PHP loads.
const CONFIGURATION: &str = "/etc/php/8.2/embed/conf.d";
/// How often each module is asked, in a worker that is put back.
const REQUESTS: usize = 60;
/// Files that are named otherwise than the module within.
const NAMES: &[(&str, &str)] = &[
    ("libowphp", "ow"),
    ("opcache", "zend opcache"),
    ("php_mapscriptng", "mapscript"),
];

/// The script of a module, and what its comments say.
struct Case {
    module: String,
    /// Files beside this host's modules, with what they need before them.
    load: Vec<String>,
    settings: Vec<String>,
    /// What a pooled worker keeps.
    keeps: BTreeSet<String>,
    /// What all workers of a site have in common on purpose.
    shares: BTreeSet<String>,
}

impl Case {
    fn read(module: &str) -> Self {
        let path = cases().join(format!("{}.php", module.replace(' ', "-")));
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("{module} has no script {}: {e}", path.display()));
        let lines = |word: &str| -> Vec<String> {
            let start = format!("// {word}: ");
            let lines = text.lines().filter_map(|line| line.strip_prefix(&start));
            lines.map(str::to_owned).collect()
        };
        let list = |word: &str, by: &str| -> Vec<String> {
            let text = lines(word).concat();
            let words = text.split(by).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect()
        };
        Self {
            module: module.to_owned(),
            load: list("load", " "),
            settings: lines("set"),
            keeps: list("keeps", ", ").into_iter().collect(),
            shares: list("shares", ", ").into_iter().collect(),
        }
    }

    /// A site with this host's modules and this one.
    fn site(&self, fresh: Fresh) -> Site {
        let mut ini = String::new();
        for file in self.load.iter().filter(|file| !is_loaded(file)) {
            let word = match file.as_str() {
                "xdebug" => "zend_extension",
                _ => "extension",
            };
            let installed = format!("{MODULES}/{file}.so");
            let place = match Path::new(&installed).exists() {
                true => installed,
                false => format!("{UNPACKED}{installed}"),
            };
            ini.push_str(&format!("{word} = {place}\n"));
        }
        self.settings
            .iter()
            .for_each(|line| ini.push_str(&format!("{line}\n")));
        site(fresh, &ini)
    }

    /// What a script's part answers. The worker is to go on afterwards.
    fn ask(&self, worker: &mut Worker, part: &str, servers: &Path) -> String {
        let (text, last) = self.ask_any(worker, part, servers);
        assert!(!last, "{}: the worker ends by itself", self.module);
        text
    }

    /// The same, and whether the worker ends.
    fn ask_any(&self, worker: &mut Worker, part: &str, servers: &Path) -> (String, bool) {
        let module = self.module.replace(' ', "-");
        let place = servers.display();
        let target = format!("/run.php?module={module}&do={part}&servers={place}");
        worker.front.send(&get(&target));
        let answer = worker
            .front
            .answer()
            .unwrap_or_else(|answer| panic!("{module}: the worker ended in {part}: {answer:?}"));
        let text = answer.text();
        assert!(
            answer.status == 200 && text.starts_with(['[', '"', '{']),
            "{module} {part}: {text} {:?}",
            answer.logs
        );
        (text, answer.end.unwrap().last)
    }

    /// What a pooled worker answers first, and the worker; it is to keep what the script says, or the script would notice nothing.
    fn pooled(&self, site: &mut Site, servers: &Path) -> (String, Worker) {
        let mut worker = site.worker();
        let name = &self.module;
        if self.shares.is_empty() {
            assert_eq!(
                self.ask(&mut worker, "left", servers),
                "[]",
                "{name} at first"
            );
        }
        let answer = self.ask(&mut worker, "work", servers);
        let kept = set(&self.ask(&mut worker, "left", servers));
        let expected: BTreeSet<String> = self.keeps.union(&self.shares).cloned().collect();
        assert_eq!(kept, expected, "what a pooled worker keeps of {name}");
        (answer, worker)
    }
}

/// Whether PHP loads this file on this host anyway.
fn is_loaded(file: &str) -> bool {
    let end = format!("-{file}.ini");
    let mut entries = std::fs::read_dir(CONFIGURATION).unwrap();
    entries.any(|entry| entry.unwrap().file_name().to_str().unwrap().ends_with(&end))
}

/// Texts of a list in JSON.
fn set(json: &str) -> BTreeSet<String> {
    let words = json
        .trim_matches(['[', ']'])
        .split(',')
        .map(|word| word.trim_matches('"'));
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/modules")
}

/// A site with this host's modules and what these lines load.
fn site(fresh: Fresh, module_ini: &str) -> Site {
    let libraries = [
        "usr/lib/x86_64-linux-gnu",
        "usr/lib",
        "usr/lib/x86_64-linux-gnu/blas",
        "usr/lib/x86_64-linux-gnu/lapack",
        // Where an installation has a link to the first one.
        "lib/x86_64-linux-gnu",
    ];
    let libraries = libraries.map(|directory| format!("{UNPACKED}/{directory}"));
    let wishes = Wishes {
        fresh,
        admin_values: &[("ffi.enable", "1")],
        php_ini: Some("error_reporting = E_ALL & ~E_DEPRECATED\nlog_errors = On\n"),
        without_modules: true,
        module_ini: Some(module_ini),
        environment: vec![
            ("LD_LIBRARY_PATH", libraries.join(":")),
            ("PHP_INI_SCAN_DIR", format!("{CONFIGURATION}:%h/ini/conf.d")),
        ],
        ..Wishes::default()
    };
    // A process that has threads is not forked, and so not tried.
    match module_ini.contains(THREADED) {
        true => Site::start_untried("modules", &wishes),
        false => Site::start("modules", &wishes),
    }
}

/// Has a thread before there is a worker.
const THREADED: &str = "libowphp";

/// Numbers by chance, from a seed that HOSTEL_SEED may give.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Self {
        let clock = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let given = std::env::var("HOSTEL_SEED")
            .ok()
            .map(|seed| seed.parse().unwrap());
        let seed = given.unwrap_or(u64::from(clock.subsec_nanos()));
        Self {
            seed,
            state: seed | 1,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % bound as u64).unwrap()
    }
}

/// KiB of address space, mappings, descriptors of a worker that waits. An answer goes out before the worker is put back; then it sleeps.
fn measured(worker: &mut Worker) -> (u64, usize, usize) {
    worker.front.ask(&get("/hello.php"));
    let process = format!("/proc/{}", worker.pid);
    let look = || {
        std::thread::sleep(Duration::from_millis(20));
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
        let size = size.unwrap().trim().trim_end_matches(" kB");
        let mappings = std::fs::read_to_string(format!("{process}/maps")).unwrap();
        let open = std::fs::read_dir(format!("{process}/fd")).unwrap();
        let now: (u64, usize, usize) = (
            size.parse().unwrap(),
            mappings.lines().count(),
            open.count(),
        );
        (status.contains("State:\tS"), now)
    };
    let mut before = look();
    loop {
        let now = look();
        if now.0 && now == before {
            return now.1;
        }
        before = now;
    }
}

/// One worker that is put back, asked by chance for each of these modules: its answers are those of a pooled worker's first request.
fn nothing_is_left(
    site: &mut Site,
    answers: &[(Case, String)],
    servers: &Path,
    random: &mut Random,
) {
    let mut worker = site.worker();
    let mut seen = HashSet::new();
    let mut first = None;
    let seed = random.seed;
    for round in 0..REQUESTS * answers.len() {
        let (case, expected) = &answers[random.below(answers.len())];
        let name = &case.module;
        match random.below(8) {
            0 => assert_eq!(worker.front.ask(&get("/hello.php")).text(), "hello"),
            1 => {
                let values = set(&case.ask(&mut worker, "unique", servers));
                for value in values {
                    assert!(
                        seen.insert(value.clone()),
                        "{name} yields {value} again in round {round} (HOSTEL_SEED={seed})"
                    );
                }
            }
            2 | 3 => {
                let left = set(&case.ask(&mut worker, "left", servers));
                assert!(
                    left.is_subset(&case.shares),
                    "{name} leaves {left:?} in round {round} (HOSTEL_SEED={seed})"
                );
            }
            _ => assert_eq!(
                case.ask(&mut worker, "work", servers),
                *expected,
                "{name} in round {round} (HOSTEL_SEED={seed})"
            ),
        }
        if round == 9 || round == REQUESTS * answers.len() - 1 {
            let now = measured(&mut worker);
            let first = *first.get_or_insert(now);
            // Caches that were made warm meanwhile are a little more.
            assert!(
                now.0 <= first.0 + 4096 && now.1 <= first.1 + 8 && now.2 == first.2,
                "size in KiB, mappings, descriptors: {first:?}, then {now:?} (HOSTEL_SEED={seed})"
            );
        }
    }
    let said = site.stderr();
    assert!(!said.contains("hostel-php: "), "{said}");
}

/// Each of these modules, two at a time.
fn for_each(modules: Vec<Case>, trial: impl Fn(Case) + Sync) {
    let queue = Mutex::new(modules.into_iter());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = { queue.lock().unwrap().next() } {
                    let name = case.module.clone();
                    let tried =
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| trial(case)));
                    if tried.is_err() {
                        failed.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "failed, as said above: {failed:?}");
}

#[test]
fn nothing_of_any_module_is_left_where_a_worker_is_put_back() {
    let servers = Servers::start();
    let all = table::REWIND.iter().map(|module| Case::read(module));
    let (alone, together): (Vec<Case>, Vec<Case>) = all.partition(|case| !case.load.is_empty());
    for_each(alone, |case| {
        let (answer, _) = case.pooled(&mut case.site(Fresh::Off), &servers.directory);
        let mut site = case.site(Fresh::On);
        nothing_is_left(
            &mut site,
            &[(case, answer)],
            &servers.directory,
            &mut Random::new(),
        );
    });
    // What this host loads anyway, in one worker.
    let mut pool = site(Fresh::Off, "");
    let mut workers = Vec::new();
    let answers: Vec<(Case, String)> = together
        .into_iter()
        .map(|case| {
            let (answer, worker) = case.pooled(&mut pool, &servers.directory);
            workers.push(worker);
            (case, answer)
        })
        .collect();
    let mut site = site(Fresh::On, "");
    nothing_is_left(&mut site, &answers, &servers.directory, &mut Random::new());
}

#[test]
fn modules_that_cannot_be_undone_are_known_by_name_and_each_request_has_its_process() {
    let nowhere = Path::new("/nonexistent");
    let all = table::FORK.iter().map(|(module, _)| Case::read(module));
    for_each(all.collect(), |case| {
        let name = &case.module;
        let why = table::FORK
            .iter()
            .find(|(module, _)| module == name)
            .unwrap()
            .1;
        let mut site = case.site(Fresh::On);
        if case.load == [THREADED] {
            // PHP is not forked then, whatever a site wants of it.
            let (_ours, theirs) = hostel_sys::fdpass::stream_pair(true).unwrap();
            let id = hostel_wire::keeper_zygote::WorkerId(1);
            site.tell(&ToZygote::Fork(id), &[std::os::fd::AsFd::as_fd(&theirs)]);
            assert!(matches!(site.said(), FromZygote::ForkFailed(..)));
        } else {
            for _ in 0..3 {
                let mut worker = site.worker();
                let (_, last) = case.ask_any(&mut worker, "work", nowhere);
                assert!(last, "{name}: the worker goes on");
                site.died(worker.id);
            }
            case.pooled(&mut case.site(Fresh::Off), nowhere);
            let (left, _) = case.ask_any(&mut site.worker(), "left", nowhere);
            assert_eq!(left, "[]", "{name}");
        }
        let said = site.stderr();
        let lines = said.lines().filter(|line| line.starts_with("hostel-php: "));
        let lines: Vec<String> = lines.map(str::to_lowercase).collect();
        let expected =
            format!("hostel-php: fresh = true is served by fork, as the module {name} {why}");
        assert_eq!(lines, [expected.to_lowercase()]);
    });
}

#[test]
fn a_module_that_nobody_knows_is_not_rewound() {
    let directory = std::env::temp_dir().join(format!("hostel-php-own-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut module = std::fs::read(format!("{UNPACKED}{MODULES}/horde_lz4.so")).unwrap();
    let (theirs, ours) = (b"\0horde_lz4\0", b"\0own_thing\0");
    let at: Vec<usize> = (0..module.len() - theirs.len())
        .filter(|at| module[*at..].starts_with(theirs))
        .collect();
    assert!(!at.is_empty(), "the module's name stands in its file");
    for at in at {
        module[at..at + ours.len()].copy_from_slice(ours);
    }
    let file = directory.join("own.so");
    std::fs::write(&file, module).unwrap();
    let mut site = site(Fresh::On, &format!("extension = {}\n", file.display()));
    let mut worker = site.worker();
    let answer = worker.front.ask(&get("/hello.php"));
    assert_eq!(
        (answer.text().as_str(), answer.end.map(|end| end.last)),
        ("hello", Some(true))
    );
    let said = site.stderr();
    assert_eq!(
        said,
        "hostel-php: fresh = true is served by fork, as the module own_thing is not known to leave nothing\n"
    );
    std::fs::remove_dir_all(&directory).unwrap();
}

/// The modules in a directory of PHP's, by the names that they have within PHP.
fn modules_in(directory: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory)
        .unwrap_or_else(|e| panic!("{directory}: {e}; hint: cargo xtask setup test"));
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let stems = files.filter_map(|file| file.strip_suffix(".so").map(str::to_owned));
    let name = |stem: String| {
        let other = NAMES.iter().find(|(file, _)| *file == stem);
        other.map_or(stem.clone(), |(_, name)| (*name).to_owned())
    };
    stems.map(name).collect()
}

#[test]
fn every_module_of_debian_stands_in_the_table_and_has_a_script() {
    let rewind = table::REWIND.iter().copied();
    let fork = table::FORK.iter().map(|(module, _)| *module);
    let all: Vec<&str> = rewind.chain(fork).collect();
    let known: BTreeSet<String> = all.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(known.len(), all.len(), "one stands there twice");
    let mut there = modules_in(&format!("{UNPACKED}{MODULES}"));
    there.extend(modules_in(MODULES));
    assert!(there.len() >= 100, "{there:?}");
    assert_eq!(there.difference(&known).collect::<Vec<_>>(), [""; 0]);
    // The others are part of PHP itself, whose first worker is put back only where they are known.
    let scripts = std::fs::read_dir(cases())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let scripts: BTreeSet<String> = scripts
        .map(|file| file.trim_end_matches(".php").to_owned())
        .filter(|name| !["hello", "run"].contains(&name.as_str()))
        .collect();
    let expected: BTreeSet<String> = known.iter().map(|name| name.replace(' ', "-")).collect();
    assert_eq!(scripts, expected);
}

#[test]
fn the_table_for_people_says_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fresh-extensions.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, verdict, keeps, ..] = cells[..] else {
            panic!("{line}")
        };
        let keeps: BTreeSet<String> = keeps
            .split(", ")
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        let before = rows.insert(
            name.trim_matches('`').to_owned(),
            (verdict.to_owned(), keeps),
        );
        assert_eq!(before, None, "{name} twice");
    }
    let mut expected = BTreeMap::new();
    for module in table::REWIND {
        let case = Case::read(module);
        let shared = case
            .shares
            .iter()
            .map(|what| format!("{what} (on purpose)"));
        let keeps = case.keeps.iter().cloned().chain(shared).collect();
        expected.insert((*module).to_owned(), ("rewind".to_owned(), keeps));
    }
    for (module, why) in table::FORK {
        let keeps = Case::read(module).keeps;
        expected.insert((*module).to_owned(), (format!("fork: {why}"), keeps));
    }
    assert_eq!(rows, expected);
}
