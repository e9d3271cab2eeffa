//! A worker that is put back after each request finds PHP's caches warm, and nothing else.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use hostel_wire::fresh::Fresh;

use crate::front::get;
use crate::limits::{cpu_time, own_memory};
use crate::site::{Site, Wishes, Worker};

const FILES: usize = 80;

fn start(fresh: Fresh, values: &[(&str, &str)]) -> Site {
    let wishes = Wishes {
        fresh,
        admin_values: values,
        ..Wishes::default()
    };
    let site = Site::start("fresh", &wishes);
    for number in 0..FILES {
        let directory = site.root().join(format!("library/part{}", number % 9));
        std::fs::create_dir_all(&directory).unwrap();
        let text = format!("<?php function function_{number}() {{ return {number}; }}");
        std::fs::write(directory.join(format!("file{number}.php")), text).unwrap();
    }
    site
}

fn text(worker: &mut Worker, ask: &str) -> String {
    let answer = worker.front.ask(&get(ask));
    assert_eq!(answer.end.map(|end| end.last), Some(false), "{answer:?}");
    assert!(answer.logs.is_empty(), "{answer:?}");
    answer.text()
}

/// What the cache of paths held when a request began.
fn paths(worker: &mut Worker) -> BTreeSet<String> {
    let text = text(worker, "/caches.php");
    let state = r#""error":0,"buffers":1,"session":1,"last":null"#;
    assert!(text.contains(state), "{text}");
    let list = text.split(['[', ']']).nth(1).unwrap().replace("\\/", "/");
    list.split(',')
        .map(|path| path.trim_matches('"').to_owned())
        .collect()
}

fn has_files(paths: &BTreeSet<String>) -> bool {
    let files = paths.iter().filter(|path| path.contains("/library/"));
    files.count() >= FILES
}

const ANSWER: &str = "80 files, 60 found";

/// Go on until something is so. How long it takes depends on processor time and not on a number, which is an end alone.
fn until(worker: &mut Worker, most: usize, mut is_so: impl FnMut(&mut Worker) -> bool) {
    let is = (0..most).any(|_| is_so(worker));
    assert!(is, "not after {most} times");
}

/// Processor time of a worker for each of so many requests, in microseconds: the median of five rounds.
fn cost(worker: &mut Worker, script: &str) -> u64 {
    for _ in 0..40 {
        text(worker, script);
    }
    let mut rounds: Vec<u64> = (0..5)
        .map(|_| {
            let before = cpu_time(worker.pid);
            for _ in 0..40 {
                text(worker, script);
            }
            (cpu_time(worker.pid) - before) / 40_000
        })
        .collect();
    rounds.sort_unstable();
    rounds[2]
}

#[test]
fn a_page_of_many_files_and_patterns_costs_no_more_than_in_a_worker_that_keeps_all() {
    let (mut off_site, mut on_site) = (start(Fresh::Off, &[]), start(Fresh::On, &[]));
    let (mut off, mut on) = (off_site.worker(), on_site.worker());
    let [plain, page] = ["/hello.php", "/application.php"].map(|script| {
        let (off, on) = (cost(&mut off, script), cost(&mut on, script));
        println!("{script}: {off} us of a processor, fresh {on} us");
        on.saturating_sub(off)
    });
    // To put the worker back costs more after more was done. What the page costs without warm caches is several times that.
    assert!(page < plain + 1500, "{plain} {page}");
}

#[test]
fn the_caches_are_warm_after_the_first_request_and_grow_with_what_comes() {
    let mut site = start(Fresh::On, &[]);
    let mut worker = site.worker();
    assert!(!has_files(&paths(&mut worker)), "nothing has run");
    assert_eq!(text(&mut worker, "/application.php"), ANSWER);
    let then = paths(&mut worker);
    assert!(has_files(&then), "{then:?}");
    assert_eq!(then, paths(&mut worker));
    // New ones come in later too, the more of them the longer it goes on.
    let mut number = 0;
    let more =
        |paths: &BTreeSet<String>| paths.iter().filter(|path| path.contains("/more")).count();
    until(&mut worker, 30_000, |worker| {
        let name = format!("more{number}.php");
        number += 1;
        std::fs::write(site.root().join(&name), "<?php echo 'more';").unwrap();
        assert_eq!(text(worker, &format!("/{name}")), "more");
        assert_eq!(text(worker, "/application.php"), ANSWER);
        more(&paths(worker)) > 2
    });
    assert!(has_files(&paths(&mut worker)));
}

#[test]
fn nothing_of_the_site_runs_meanwhile() {
    let values = [
        ("auto_prepend_file", "%h/public/prepend.php"),
        ("auto_append_file", "%h/public/prepend.php"),
        ("session.auto_start", "1"),
        ("session.save_path", "%h/sessions"),
        ("session.gc_probability", "0"),
        ("output_buffering", "4096"),
        ("zlib.output_compression", "0"),
    ];
    let mut site = start(Fresh::On, &values);
    let log = site.directory.join("tmp/log");
    let script = format!(
        "<?php set_error_handler(fn() => file_put_contents('{0}', 'error', FILE_APPEND));
        register_shutdown_function(fn() => file_put_contents('{0}', 'end', FILE_APPEND));
        ob_start(function ($text) {{ file_put_contents('{0}', 'output', FILE_APPEND); return $text; }});",
        log.display()
    );
    std::fs::write(site.root().join("prepend.php"), script).unwrap();
    let mut worker = site.worker();
    for _ in 0..30 {
        let with_prepended = ANSWER.replace("80", "81");
        assert_eq!(text(&mut worker, "/application.php"), with_prepended);
    }
    assert!(has_files(&{
        let text = text(&mut worker, "/caches.php").replace("\\/", "/");
        text.split(',').map(str::to_owned).collect()
    }));
    // Before and after each of them, and no more.
    let log = std::fs::read_to_string(log).unwrap();
    let count = |word: &str| log.matches(word).count();
    assert_eq!((count("end"), count("output"), count("error")), (62, 62, 0));
    let sessions = std::fs::read_dir(site.directory.join("sessions")).unwrap();
    assert_eq!(sessions.count(), 31);
}

#[test]
fn patterns_and_paths_of_any_kind_and_number_do_no_harm() {
    let mut site = start(
        Fresh::On,
        &[("pcre.backtrack_limit", "1000"), ("ffi.enable", "1")],
    );
    let mut worker = site.worker();
    let mut before = None;
    for round in 0..60 {
        let ask = match round % 20 {
            0 => "/hostile.php?many=10000",
            5 => "/hostile.php?many=300&locale=C.UTF-8",
            10 => "/hostile.php?paths=3000",
            _ => "/hostile.php",
        };
        assert_eq!(text(&mut worker, ask), "found some", "{ask}");
        if round % 10 == 9 {
            assert_eq!(text(&mut worker, "/leave.php"), "clean");
        }
        if round == 19 {
            before = Some(own_memory(worker.pid));
        }
    }
    let growth = own_memory(worker.pid).saturating_sub(before.unwrap());
    assert!(growth < 8192, "{growth} KiB more");
    // It still learns.
    assert_eq!(text(&mut worker, "/application.php"), ANSWER);
}

#[test]
fn what_opcache_empties_is_made_warm_again() {
    let mut site = start(Fresh::On, &[]);
    let mut worker = site.worker();
    for round in 0..6 {
        until(&mut worker, 30_000, |worker| {
            assert_eq!(text(worker, "/application.php"), ANSWER);
            has_files(&paths(worker))
        });
        assert!(has_files(&paths(&mut worker)), "round {round}");
        assert_eq!(text(&mut worker, "/reset.php"), "reset");
        // It looks at the clock once in a second whether there was a restart.
        std::thread::sleep(Duration::from_millis(1100));
    }
    until(&mut worker, 30_000, |worker| has_files(&paths(worker)));
    // A script that empties them itself finds them empty no more than that once.
    for _ in 0..20 {
        assert_eq!(text(&mut worker, "/clear.php"), "cleared");
        let then = paths(&mut worker);
        assert!(has_files(&then), "{then:?}");
    }
}

fn release(directory: &Path, name: &str) {
    std::fs::create_dir_all(directory.join(name)).unwrap();
    let script = format!("<?php require 'inner/part.php'; echo '{name}';");
    std::fs::write(directory.join(name).join("index.php"), script).unwrap();
    let caches = "<?php echo implode(' ', array_keys(realpath_cache_get()));";
    std::fs::write(directory.join(name).join("list.php"), caches).unwrap();
    for part in ["first", "second"] {
        std::fs::create_dir_all(directory.join(name).join(part)).unwrap();
        let script = format!("<?php echo '{part} ';");
        std::fs::write(directory.join(name).join(part).join("part.php"), script).unwrap();
    }
    symlink("first", directory.join(name).join("inner")).unwrap();
}

/// Let a link lead elsewhere in one step.
fn switch(link: &Path, to: &Path) {
    let new = link.with_extension("new");
    symlink(to, &new).unwrap();
    std::fs::rename(new, link).unwrap();
}

#[test]
fn a_document_root_that_was_switched_counts_at_once_and_a_link_within_when_paths_are_looked_at_again()
 {
    let values = [
        ("opcache.revalidate_freq", "0"),
        ("realpath_cache_ttl", "3"),
    ];
    let mut site = start(Fresh::On, &values);
    let root = site.root();
    let releases = site.directory.join("releases");
    release(&releases, "one");
    release(&releases, "two");
    std::fs::rename(&root, site.directory.join("old")).unwrap();
    symlink(releases.join("one"), &root).unwrap();
    let mut worker = site.worker();
    for round in 0..6 {
        let name = ["one", "two"][round % 2];
        switch(&root, &releases.join(name));
        let part = format!("releases/{name}/./inner/part.php");
        let mut list = String::new();
        until(&mut worker, 30_000, |worker| {
            assert_eq!(text(worker, "/index.php"), format!("first {name}"));
            list = text(worker, "/list.php");
            list.contains(&part)
        });
        let other = ["two", "one"][round % 2];
        assert!(!list.contains(&format!("releases/{other}")), "{list}");
    }
    switch(&releases.join("two/inner"), Path::new("second"));
    std::thread::sleep(Duration::from_secs(5));
    for _ in 0..5 {
        assert_eq!(text(&mut worker, "/index.php"), "second two");
    }
    let list = text(&mut worker, "/list.php");
    assert!(list.contains("inner/part.php"), "{list}");
}
