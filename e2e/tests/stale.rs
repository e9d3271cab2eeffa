//! A file that changes on disk: what the site's visitors may see of the old one, and for how long.
//!
//! The front holds descriptors and uses each for at most a second before the keeper looks again. So from a second after a
//! change on, every request gets what is there now; what was promised before is kept or the connection is cut, and never
//! filled with anything else.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hostel_e2e::site::{link_as, own, write_as};
use hostel_e2e::{Instance, Request, Site, User, patience};

/// How long the front may go on as before.
const STALE_MAX: Duration = Duration::from_secs(1);
/// What a busy machine may add until a request is served.
const TOLERANCE: Duration = Duration::from_millis(500);
/// For how long each change is watched, from one request to the next a pause.
const WATCHED: Duration = Duration::from_millis(2500);
const PAUSE: Duration = Duration::from_millis(25);
/// A file that no socket's buffers take whole.
const LARGE_BYTES: usize = 64 * 1024 * 1024;

/// What must be there after a change.
#[derive(Debug)]
enum Then {
    Status(u16),
    Text(&'static str),
}

/// What changes: its name is the directory it happens in, beneath the document root, whose `file` is asked for.
struct Case {
    name: &'static str,
    change: fn(&Path),
    then: Then,
}

const CASES: &[Case] = &[
    Case {
        name: "replaced",
        change: |directory| {
            write_as(User::One, &directory.join("next"), "NEW");
            rename(&directory.join("next"), &directory.join("file"));
        },
        then: Then::Text("NEW"),
    },
    Case {
        name: "rewritten",
        change: |directory| fs::write(directory.join("file"), "NEW").expect("the file"),
        then: Then::Text("NEW"),
    },
    Case {
        name: "truncated",
        change: |directory| resize(&directory.join("file"), 1),
        then: Then::Text("o"),
    },
    Case {
        name: "emptied",
        change: |directory| resize(&directory.join("file"), 0),
        then: Then::Text(""),
    },
    Case {
        name: "grown",
        change: |directory| append(&directory.join("file"), b" and more"),
        then: Then::Text("old and more"),
    },
    Case {
        name: "deleted",
        change: |directory| fs::remove_file(directory.join("file")).expect("the file"),
        then: Then::Status(404),
    },
    Case {
        name: "closed",
        change: |directory| set_mode(&directory.join("file"), 0o000),
        then: Then::Status(403),
    },
    Case {
        name: "directory-closed",
        change: |directory| set_mode(directory, 0o000),
        then: Then::Status(403),
    },
    Case {
        name: "directory-renamed",
        change: |directory| rename(directory, &directory.with_extension("gone")),
        then: Then::Status(404),
    },
    Case {
        name: "upper/directory-closed",
        change: |directory| set_mode(above(directory), 0o000),
        then: Then::Status(403),
    },
    Case {
        name: "upper-exchanged/directory",
        change: |directory| {
            rename(above(directory), &above(directory).with_extension("gone"));
            write_as(User::One, &directory.join("file"), "NEW");
            own(above(directory), User::One);
        },
        then: Then::Text("NEW"),
    },
    Case {
        name: "given-away",
        change: |directory| own(&directory.join("file"), User::Two),
        then: Then::Status(403),
    },
    Case {
        name: "directory-given-away",
        change: |directory| own(directory, User::Two),
        then: Then::Status(403),
    },
    Case {
        name: "becomes-a-link",
        change: |directory| {
            write_as(User::One, &directory.join("next"), "NEW");
            link_as(User::One, Path::new("next"), &directory.join("link"));
            rename(&directory.join("link"), &directory.join("file"));
        },
        then: Then::Text("NEW"),
    },
];

fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("root may");
}

fn resize(path: &Path, bytes: u64) {
    let file = fs::File::options().write(true).open(path);
    file.and_then(|file| file.set_len(bytes)).expect("the file");
}

fn append(path: &Path, bytes: &[u8]) {
    let file = fs::File::options().append(true).open(path);
    file.and_then(|mut file| file.write_all(bytes))
        .expect("the file");
}

fn above(directory: &Path) -> &Path {
    directory.parent().expect("beneath the document root")
}

/// Whether one request of its own gets what must be there.
fn is_there(instance: &Instance, host: &str, target: &str, then: &Then) -> bool {
    // Where the file has become shorter than was promised, the answer is cut.
    let Ok(answer) = instance.connect().exchange(&Request::get(host, target)) else {
        return false;
    };
    match then {
        Then::Status(status) => answer.status == *status,
        Then::Text(text) => answer.status == 200 && answer.text() == *text,
    }
}

/// Change something that is being served, and say why not, where something else than `then` is served too late.
fn watch(
    instance: &Instance,
    (host, target): (&str, &str),
    change: impl Fn(),
    then: &Then,
) -> Result<(), String> {
    for _ in 0..3 {
        if !is_there(instance, host, target, &Then::Text("old")) {
            return Err(format!("{host}{target}: is not served to begin with"));
        }
    }
    change();
    let changed = Instant::now();
    let mut late = Duration::ZERO;
    while changed.elapsed() < patience(WATCHED) {
        let since = changed.elapsed();
        if !is_there(instance, host, target, then) {
            late = since;
        }
        std::thread::sleep(PAUSE);
    }
    println!("{host}{target}: something else was last served {late:?} after the change");
    if late > STALE_MAX + patience(TOLERANCE) {
        return Err(format!("{host}{target}: not {then:?} after {late:?}"));
    }
    Ok(())
}

#[test]
fn what_has_changed_is_served_for_a_second_at_most() {
    let mut site = Site::new("a", User::One);
    for case in CASES {
        site = site.file(&format!("public/{}/file", case.name), "old");
    }
    let instance = Instance::new("stale").site(site).start();
    let public = instance.home("a").join("public");
    let mut failures = Vec::new();
    std::thread::scope(|scope| {
        let watched = CASES.iter().map(|case| {
            let (instance, directory) = (&instance, public.join(case.name));
            let target = format!("/{}/file", case.name);
            scope.spawn(move || {
                let change = || (case.change)(&directory);
                watch(instance, ("a.test", &target), change, &case.then)
            })
        });
        let watched: Vec<_> = watched.collect();
        for one in watched {
            failures.extend(one.join().expect("a watcher does not panic").err());
        }
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_switched_link_is_followed_within_a_second() {
    let site = |name: &str, user| {
        Site::new(name, user)
            .file("public/file", "old")
            .file("releases/2/file", "NEW")
    };
    let instance = Instance::new("switched")
        .site(site("root", User::One))
        .site(site("inner", User::Two).file("releases/1/file", "old"))
        .start();
    // The document root of a deploy, and a directory within one.
    let root = instance.home("root");
    let inner = instance.home("inner");
    link_as(
        User::Two,
        Path::new("../releases/1"),
        &inner.join("public/current"),
    );
    let switch = |user, to: &str, link: PathBuf| {
        let next = link.with_extension("next");
        link_as(user, Path::new(to), &next);
        rename(&next, &link);
    };
    let in_root = || {
        rename(&root.join("public"), &root.join("releases/1"));
        switch(User::One, "releases/2", root.join("public"));
    };
    let in_directory = || switch(User::Two, "../releases/2", inner.join("public/current"));
    let new = Then::Text("NEW");
    let switched = [
        watch(&instance, ("root.test", "/file"), in_root, &new),
        watch(
            &instance,
            ("inner.test", "/current/file"),
            in_directory,
            &new,
        ),
    ];
    let failures: Vec<_> = switched.into_iter().filter_map(Result::err).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A download of a large file that has begun: what was read of it, beyond which nothing is read until it is finished.
struct Download {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Download {
    fn begin(instance: &Instance) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", instance.port())).expect("a port");
        let wait = Some(patience(Duration::from_secs(20)));
        stream.set_read_timeout(wait).expect("a limit");
        let request = b"GET /large HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
        stream.write_all(request).expect("sent");
        let mut read = vec![0; 64 * 1024];
        stream.read_exact(&mut read).expect("the file's beginning");
        Self { stream, read }
    }

    /// The bytes of the body, up to the end of the connection.
    fn finish(mut self) -> Vec<u8> {
        if let Err(error) = self.stream.read_to_end(&mut self.read) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        }
        let head_end = self.read.windows(4).position(|four| four == b"\r\n\r\n");
        let head_end = head_end.expect("the head is read");
        let head = String::from_utf8_lossy(&self.read[..head_end]).into_owned();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let length = format!("Content-Length: {LARGE_BYTES}");
        assert!(head.contains(&length), "{head}");
        self.read.split_off(head_end + 4)
    }
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_cut_or_sent_as_promised() {
    let site = Site::new("a", User::One).file("public/large", vec![b'x'; LARGE_BYTES]);
    let instance = Instance::new("changing").site(site).start();
    let large = instance.home("a").join("public/large");

    let download = Download::begin(&instance);
    append(&large, &[b'y'; 1024 * 1024]);
    let body = download.finish();
    assert_eq!(
        body.len(),
        LARGE_BYTES,
        "what has grown is sent as promised"
    );
    assert!(body.iter().all(|byte| *byte == b'x'));

    resize(&large, LARGE_BYTES as u64);
    std::thread::sleep(STALE_MAX + patience(TOLERANCE));
    let download = Download::begin(&instance);
    resize(&large, 0);
    let body = download.finish();
    assert!(
        body.len() < LARGE_BYTES,
        "it was sent whole before it changed"
    );
    assert!(body.iter().all(|byte| *byte == b'x'), "cut, but not filled");
    std::thread::sleep(STALE_MAX + patience(TOLERANCE));
    assert!(is_there(&instance, "a.test", "/large", &Then::Text("")));
}
