//! A worker that is put back after each request: what it answers, how long it lives, what it keeps.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;

use hostel_wire::fresh::Fresh;
use hostel_wire::keeper_zygote::Death;

use crate::front::{get, post};
use crate::limits::{self, own_memory};
use crate::site::{Site, Wishes, Worker};

/// OPcache, FFI and whatever else this host's PHP has switched on.
fn start(fresh: Fresh) -> Site {
    let wishes = Wishes {
        fresh,
        admin_values: &[("ffi.enable", "1"), ("memory_limit", "256M")],
        ..Wishes::default()
    };
    Site::start("fresh", &wishes)
}

fn number_of(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    line.split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// What a worker does after its answer, it does without waiting for anything.
fn until_it_waits(pid: u32) {
    let is_waiting = || {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        text.split(") ").nth(1).unwrap().starts_with('S')
    };
    while !(is_waiting() && is_waiting()) {}
}

fn leave(worker: &mut Worker, query: &str) -> String {
    let answer = worker.front.ask(&get(&format!("/leave.php{query}")));
    assert_eq!(answer.end.map(|end| end.last), Some(false), "{answer:?}");
    answer.text()
}

#[test]
fn nothing_of_a_request_is_there_for_the_next_one_of_the_same_process() {
    let mut site = start(Fresh::On);
    let mut worker = site.worker();
    for round in 0..150 {
        assert_eq!(
            leave(&mut worker, &format!("?i={round}")),
            "clean",
            "round {round}"
        );
    }
}

#[test]
fn where_workers_go_on_as_they_are_it_is_there() {
    let mut site = start(Fresh::Off);
    let mut worker = site.worker();
    assert_eq!(leave(&mut worker, ""), "clean");
    assert_eq!(
        leave(&mut worker, ""),
        "environment variable descriptor timer locale domain signal"
    );
}

#[test]
fn memory_mappings_and_descriptors_stay_what_they_are() {
    let mut site = start(Fresh::On);
    let mut worker = site.worker();
    let measure = |worker: &Worker| {
        let pid = worker.pid;
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))
            .unwrap()
            .lines()
            .count();
        let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .count();
        (number_of(pid, "VmSize"), maps, open)
    };
    let mut first = None;
    let mut resident = 0;
    for round in 0..160 {
        let query = format!("?megabytes={}", [1, 20, 0, 5][round % 4]);
        assert_eq!(leave(&mut worker, &query), "clean");
        if round % 10 == 0 {
            let fatal = worker.front.ask(&get("/fatal.php"));
            assert_eq!(
                (fatal.status, fatal.text().as_str()),
                (500, "end"),
                "{fatal:?}"
            );
        }
        if round % 20 == 19 {
            // The answer goes out before the worker is put back: what answers next is.
            worker.front.ask(&get("/hello.php"));
            until_it_waits(worker.pid);
            let now = measure(&worker);
            assert_eq!(*first.get_or_insert(now), now, "round {round}");
            if resident == 0 {
                resident = own_memory(worker.pid);
            }
        }
    }
    let growth = own_memory(worker.pid).saturating_sub(resident);
    assert!(growth <= 512, "grew by {growth} KiB in 140 requests");
}

#[test]
fn the_body_of_a_request_is_no_part_of_the_next_one() {
    let mut site = start(Fresh::On);
    let mut worker = site.worker();
    for bytes in [0, 5, 200_000, 10, 3_000_000] {
        let body = vec![b'x'; bytes];
        let answer = worker.front.ask(&post("/body.php", "text/plain", &body));
        assert_eq!(answer.text(), format!("{} of {bytes}", bytes.min(10)));
        assert_eq!(worker.front.ask(&get("/hello.php")).text(), "hello");
    }
}

#[test]
fn no_function_yields_the_same_random_number_again() {
    let mut site = start(Fresh::On);
    let mut worker = site.worker();
    let mut seen: HashSet<(String, String)> = HashSet::new();
    for round in 0..100 {
        let answer = worker.front.ask(&get("/random.php"));
        let numbers: BTreeMap<String, String> = parse(&answer.text());
        assert_eq!(numbers.len(), 13, "{answer:?}");
        for (function, number) in numbers {
            let is_new = seen.insert((function.clone(), number.clone()));
            assert!(is_new, "{function} yields {number} again in round {round}");
        }
    }
}

/// An object of texts and numbers in JSON, flat.
fn parse(text: &str) -> BTreeMap<String, String> {
    let inner = text.trim_matches(['{', '}']);
    let fields = inner.split(",\"");
    fields
        .filter_map(|field| field.split_once("\":"))
        .map(|(name, value)| (name.trim_matches('"').to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn a_script_reaches_no_descriptor_that_a_rewind_needs() {
    let mut site = start(Fresh::On);
    let mut worker = site.worker();
    assert_eq!(worker.front.ask(&get("/hello.php")).text(), "hello");
    let plain = {
        let mut other = start(Fresh::Off);
        let mut worker = other.worker();
        worker.front.ask(&get("/reach.php")).text()
    };
    let text = worker.front.ask(&get("/reach.php")).text();
    // By number what a script reaches without. By name, of those above the limit, what it can open anyway: neither the pagemap nor the
    // userfaultfd. A new one of either cannot be had, and the process stays as it is.
    let by_number = |text: &str| text.split(']').next().unwrap().to_owned();
    assert_eq!(by_number(&text), by_number(&plain));
    assert!(
        text.starts_with("[[") && text.contains("],false,["),
        "{text}"
    );
    assert!(text.ends_with("],-1,-1]"), "{text}");
    assert!(text.contains("maps"), "it looks where they are: {text}");
    assert!(
        !text.contains("pagemap") && !text.contains("userfault"),
        "{text}"
    );
    let open = std::fs::read_dir(format!("/proc/{}/fd", worker.pid)).unwrap();
    let names: Vec<String> = open
        .map(|entry| {
            std::fs::read_link(entry.unwrap().path())
                .unwrap()
                .display()
                .to_string()
        })
        .collect();
    assert!(
        names.iter().any(|name| name.ends_with("/pagemap")),
        "{names:?}"
    );
}

#[test]
fn what_cannot_be_undone_ends_the_worker_after_its_answer() {
    let mut site = start(Fresh::On);
    let mut worker = site.worker();
    assert_eq!(worker.front.ask(&get("/thread.php")).text(), "started");
    assert!(worker.front.is_closed());
    assert_eq!(site.died(worker.id), Death::Exited(0));
    let mut next = site.worker();
    assert_eq!(leave(&mut next, ""), "clean");
}

#[test]
fn what_scripts_without_native_code_rarely_change_is_undone_all_the_same() {
    let wishes = Wishes {
        fresh: Fresh::On,
        ..Wishes::default()
    };
    let mut site = Site::start("fresh", &wishes);
    let mut worker = site.worker();
    for _ in 0..3 {
        let answer = worker.front.ask(&get("/rare.php?do=group"));
        assert_eq!(answer.text(), "done");
    }
    for rare in ["nice", "session"] {
        let mut worker = site.worker();
        worker.front.ask(&get("/hello.php"));
        let answer = worker.front.ask(&get(&format!("/rare.php?do={rare}")));
        assert_eq!(answer.text(), "done");
        assert!(worker.front.is_closed(), "{rare} is still there");
    }
}

#[test]
fn a_fresh_worker_ends_after_as_many_requests_as_it_may_serve() {
    let wishes = Wishes {
        fresh: Fresh::On,
        requests_per_worker: 3,
        ..Wishes::default()
    };
    let mut site = Site::start("fresh", &wishes);
    let mut worker = site.worker();
    for last in [false, false, true] {
        let answer = worker.front.ask(&get("/hello.php"));
        assert_eq!(answer.end.map(|end| end.last), Some(last));
    }
    assert_eq!(site.died(worker.id), Death::Exited(0));
}

#[test]
fn opcache_may_be_reset_and_scripts_may_change() {
    let mut site = start(Fresh::On);
    let (mut one, mut other) = (site.worker(), site.worker());
    for round in 0..20 {
        assert_eq!(one.front.ask(&get("/reset.php")).text(), "reset");
        for worker in [&mut one, &mut other] {
            assert_eq!(leave(worker, ""), "clean", "round {round}");
            assert_eq!(worker.front.ask(&get("/hello.php")).text(), "hello");
        }
    }
}

#[test]
fn files_that_php_maps_are_read_whole() {
    let mut site = start(Fresh::On);
    let mut worker = site.worker();
    for _ in 0..30 {
        let answer = worker.front.ask(&get("/files.php"));
        assert_eq!(answer.text(), r#"["-05:00",true,true]"#, "{answer:?}");
    }
}

/// Processor time of a worker for a request, in nanoseconds. Without FFI, as sites usually are.
fn cost(fresh: Fresh, script: &str) -> u64 {
    let wishes = Wishes {
        fresh,
        ..Wishes::default()
    };
    let mut site = Site::start("fresh", &wishes);
    let mut worker = site.worker();
    let ask = get(script);
    for _ in 0..500 {
        worker.front.ask(&ask);
    }
    limits::cost(&mut worker, script)
}

#[test]
fn the_cost_of_being_put_back_is_said() {
    for script in ["/hello.php", "/information.php", "/large.php"] {
        let (off, on) = (cost(Fresh::Off, script), cost(Fresh::On, script));
        println!("{script}: {off} ns of a processor, fresh {on} ns");
        assert!(on < off + 5_000_000, "{off} {on}");
    }
}

/// The files that hold the image of this worker, and how many KiB of memory each takes.
fn images(pid: u32) -> BTreeMap<u64, u64> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let images = maps
        .lines()
        .filter(|line| line.contains("/memfd:hostel-image"));
    images
        .map(|line| {
            let range = line.split(' ').next().unwrap();
            let file = std::fs::metadata(format!("/proc/{pid}/map_files/{range}")).unwrap();
            (file.ino(), file.blocks() / 2)
        })
        .collect()
}

#[test]
fn what_all_workers_are_put_back_to_is_in_memory_once() {
    let mut site = start(Fresh::On);
    let mut workers: Vec<_> = (0..3).map(|_| site.worker()).collect();
    for worker in &mut workers {
        for script in ["/large.php", "/hello.php", "/hello.php"] {
            worker.front.ask(&get(script));
        }
        until_it_waits(worker.pid);
    }
    let images: Vec<_> = workers.iter().map(|worker| images(worker.pid)).collect();
    let shared = |inode: &u64| images.iter().all(|images| images.contains_key(inode));
    let (base, own): (Vec<_>, Vec<_>) = images
        .iter()
        .flatten()
        .partition(|(inode, _)| shared(inode));
    println!("each has {base:?}, and of its own {own:?} KiB");
    assert_eq!((base.len(), own.len()), (3, 3), "{images:?}");
    for (_, kib) in own {
        assert!(kib * 2 < *base[0].1, "{kib} KiB are its own");
    }
}
