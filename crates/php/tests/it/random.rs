//! Random numbers of workers that are put back after each request: none comes again, and where a library's would, no worker is put back.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hostel_wire::fresh::Fresh;
use hostel_wire::keeper_zygote::{FromZygote, ToZygote};

use crate::front::get;
use crate::site::{Site, Wishes};

/// Requests of one worker.
const ROUNDS: usize = 120;
/// What `draws.php` draws from.
const GENERATORS: usize = 54;
/// PHP seeds these from the clock, in any worker, by some 20 bits: in 6,000 requests ten come twice, with or without a rewind.
const BY_CLOCK: [&str; 3] = ["gmp_random_bits", "gmp_random_range", "lcg_value"];
/// So many of them may.
const TWICE_MAX: usize = 3;

fn start(values: &[(&str, &str)]) -> Site {
    let wishes = Wishes {
        fresh: Fresh::On,
        values,
        admin_values: &[("ffi.enable", "1")],
        ..Wishes::default()
    };
    Site::start("random", &wishes)
}

/// Ask one worker so many times, who must live on and never yield a number twice.
fn nothing_comes_again(site: &mut Site, rounds: usize) {
    let mut worker = site.worker();
    let mut seen: HashSet<String> = HashSet::new();
    let mut twice = 0;
    for round in 0..rounds {
        let answer = worker.front.ask(&get("/draws.php"));
        assert_eq!(answer.end.map(|end| end.last), Some(false), "{answer:?}");
        let text = answer.text();
        assert_eq!(text.lines().count(), GENERATORS, "{text}");
        for line in text.lines() {
            let (name, number) = line.split_once('\t').expect("a name and a number");
            // Less could come twice by chance.
            assert!(number.len() >= 12, "{name} yields {number}");
            let is_new = seen.insert(line.to_owned());
            twice += usize::from(!is_new);
            let may_be = BY_CLOCK.contains(&name) && twice <= TWICE_MAX;
            assert!(
                is_new || may_be,
                "{name} yields {number} again in round {round}"
            );
        }
    }
}

#[test]
fn nothing_in_php_that_yields_random_numbers_yields_one_again() {
    nothing_comes_again(&mut start(&[]), ROUNDS);
}

#[test]
fn what_a_preloaded_script_has_drawn_with_is_seeded_anew() {
    let mut site = start(&[("opcache.preload", "%h/public/preload.php")]);
    nothing_comes_again(&mut site, 30);
    assert!(!site.stderr().contains("random"), "{}", site.stderr());
}

#[test]
fn the_trial_begins_no_session_and_says_nothing() {
    let values = [
        ("session.auto_start", "1"),
        ("output_buffering", "4096"),
        ("error_reporting", "-1"),
    ];
    let site = start(&values);
    let sessions = std::fs::read_dir(site.directory.join("sessions")).unwrap();
    assert_eq!(sessions.count(), 0);
    assert_eq!(site.stderr(), "");
}

#[test]
fn functions_that_a_site_may_not_call_are_left_out_of_the_trial() {
    let list = "random_bytes,mt_rand,openssl_random_pseudo_bytes,session_create_id,function_exists,bin2hex";
    let wishes = Wishes {
        fresh: Fresh::On,
        admin_values: &[("disable_functions", list)],
        ..Wishes::default()
    };
    let mut site = Site::start("random", &wishes);
    let answer = site.worker().front.ask(&get("/hello.php"));
    assert_eq!(answer.end.map(|end| end.last), Some(false), "{answer:?}");
    assert_eq!(site.stderr(), "");
}

/// Build a module of PHP that draws by this expression in each worker, before it is told that it may be put back.
struct Early(PathBuf);

impl Early {
    fn build(draw: &str) -> Self {
        let name = format!("hostel-php-early-{}-{}", std::process::id(), draw.len());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let includes = Command::new("php-config8.2").arg("--includes").output();
        let includes = String::from_utf8(includes.unwrap().stdout).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/early.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-w", &format!("-DDRAW={draw}"), "-o"])
            .arg(directory.join("early.so"))
            .arg(source)
            .args(includes.split_whitespace())
            .status();
        assert!(built.unwrap().success(), "the module was not built");
        Self(directory)
    }

    /// A site with it, and with the libraries that `library.php` draws from.
    fn site(&self) -> Site {
        let early = self.0.join("early.so");
        let modules = ["ffi", "xml", "dom", "xsl", "curl", early.to_str().unwrap()];
        let lines = modules.map(|module| format!("extension = {module}\n"));
        let wishes = Wishes {
            fresh: Fresh::On,
            php_ini: Some(&lines.concat()),
            admin_values: &[("ffi.enable", "1")],
            ..Wishes::default()
        };
        Site::start("random", &wishes)
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn openssl_that_was_seeded_too_early_is_seeded_anew_after_each_request() {
    is_seeded_anew("RAND_bytes(bytes, 16)", "openssl_random_pseudo_bytes");
}

#[test]
fn gnutls_that_was_seeded_too_early_is_seeded_anew_after_each_request() {
    is_seeded_anew(
        "gnutls_rnd(0, bytes, 16), gnutls_rnd(2, bytes, 16)",
        "gnutls_rnd nonce",
    );
}

fn is_seeded_anew(draw: &str, told: &str) {
    let early = Early::build(draw);
    let mut site = early.site();
    let mut worker = site.worker();
    let mut seen = HashSet::new();
    for round in 0..ROUNDS {
        let answer = worker.front.ask(&get("/library.php"));
        assert_eq!(answer.end.map(|end| end.last), Some(false), "{answer:?}");
        for number in answer.text().split(' ') {
            let is_new = seen.insert(number.to_owned());
            assert!(is_new, "{number} again in round {round}: {answer:?}");
        }
    }
    assert_eq!(seen.len(), 5 * ROUNDS);
    let told = format!("{told} would repeat itself");
    assert!(site.stderr().contains(&told), "{}", site.stderr());
}

/// Where workers are not put back: each serves one request, and says so.
fn each_request_has_a_process(draw: &str, told: &str) {
    let early = Early::build(draw);
    let mut site = early.site();
    let mut seen = HashSet::new();
    assert!(site.stderr().contains(told), "{}", site.stderr());
    for round in 0..ROUNDS {
        let mut worker = site.worker();
        let answer = worker.front.ask(&get("/library.php"));
        assert_eq!(answer.end.map(|end| end.last), Some(true), "{answer:?}");
        site.died(worker.id);
        for number in answer.text().split(' ') {
            let is_new = seen.insert(number.to_owned());
            assert!(is_new, "{number} again in round {round}: {answer:?}");
        }
    }
    assert_eq!(seen.len(), 5 * ROUNDS);
}

#[test]
fn where_a_library_would_repeat_itself_each_request_has_a_process_of_its_own() {
    each_request_has_a_process(
        "gcry_create_nonce(bytes, 16)",
        "gcry_create_nonce yields the same number again",
    );
}

#[test]
fn a_module_that_draws_nothing_changes_nothing() {
    let early = Early::build("bytes[0] = 0");
    let mut site = early.site();
    let mut worker = site.worker();
    for _ in 0..5 {
        let answer = worker.front.ask(&get("/library.php"));
        assert_eq!(answer.end.map(|end| end.last), Some(false), "{answer:?}");
    }
    assert_eq!(site.stderr(), "");
}

/// Milliseconds.
fn since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// How long the first answers of a site take, of a worker each as long as its workers serve one request, and after which time a worker is there
/// that goes on.
fn first_answers(fresh: Fresh) -> (Vec<f64>, f64) {
    let wishes = Wishes {
        fresh,
        ..Wishes::default()
    };
    let mut site = Site::prepare("random", &wishes);
    assert_eq!(site.said(), FromZygote::Ready);
    let begun = Instant::now();
    let mut figures = Vec::new();
    loop {
        let asked = Instant::now();
        let mut worker = site.worker();
        let answer = worker.front.ask(&get("/hello.php"));
        if answer.end.is_some_and(|end| !end.last) || figures.len() == 4 {
            return (figures, since(begun));
        }
        figures.push(since(asked));
        site.died(worker.id);
    }
}

#[test]
fn no_visitor_waits_for_the_trial() {
    let rounds: Vec<_> = (0..15)
        .map(|_| (first_answers(Fresh::Fork), first_answers(Fresh::On)))
        .collect();
    let first = |figures: &Vec<f64>| figures.first().copied();
    let without = median(
        rounds
            .iter()
            .filter_map(|(fork, _)| first(&fork.0))
            .collect(),
    );
    let with = median(rounds.iter().filter_map(|(_, on)| first(&on.0)).collect());
    let until = median(rounds.iter().map(|(_, on)| on.1).collect());
    println!(
        "first answer after {with:.1} ms, without a trial after {without:.1}; a worker goes on after {until:.1}"
    );
    println!("{rounds:.1?}");
    // Everything else on this machine counts too.
    assert!(with < without * 2.0 + 5.0, "{with} {without}");
}

#[test]
fn the_cost_of_the_trial_is_said() {
    let wishes = Wishes {
        fresh: Fresh::On,
        ..Wishes::default()
    };
    let mut site = Site::prepare("random", &wishes);
    assert_eq!(site.said(), FromZygote::Ready);
    let first = site.worker();
    site.tell(&ToZygote::Kill(first.id), &[]);
    site.died(first.id);
    let zygote = site.zygote_pid();
    let path = format!("/proc/{zygote}/task/{zygote}/children");
    let begun = Instant::now();
    let mut used = 0;
    loop {
        let children = std::fs::read_to_string(&path).unwrap();
        match children.trim().parse() {
            Ok(trial) => used = processor_time(trial).unwrap_or(used),
            Err(_) if used > 0 => break,
            Err(_) => {}
        }
        std::thread::sleep(Duration::from_micros(50));
        assert!(since(begun) < 20_000.0, "there is no trial");
    }
    println!(
        "a trial takes {:.1} ms, {:.1} of a processor",
        since(begun),
        used as f64 / 1e6
    );
}

/// Nanoseconds, of a process that may have ended.
fn processor_time(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    text.split(' ').next()?.parse().ok()
}
