//! What is malformed: configurations, with the exact message that `hostel check` gives, and requests, with the exact status.
//!
//! The long table of requests is in the front's own tests; this one is over TCP, through the whole server.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use hostel_e2e::site::own;
use hostel_e2e::{Instance, Request, Site, User};

fn site(name: &str, user: User) -> Site {
    Site::new(name, user)
        .file("public/index.html", "index")
        .file(
            "public/echo.php",
            "<?php echo file_get_contents('php://input');",
        )
}

/// What is wrong, what is sent, and the status that it must get.
const REQUESTS: &[(&str, &[u8], u16)] = &[
    ("well formed", b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 200),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", 400),
    ("an empty host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    ("a broken host", b"GET / HTTP/1.1\r\nHost: a.test/../b\r\n\r\n", 400),
    ("a host with a user", b"GET / HTTP/1.1\r\nHost: x@a.test\r\n\r\n", 400),
    ("no version", b"GET /\r\n\r\n", 400),
    ("a version to come", b"GET / HTTP/2.0\r\nHost: a.test\r\n\r\n", 505),
    ("an old version", b"GET / HTTP/0.9\r\nHost: a.test\r\n\r\n", 505),
    ("bare line feeds", b"GET / HTTP/1.1\nHost: a.test\n\n", 400),
    ("a bare carriage return", b"GET / HTTP/1.1\r\nHost: a.test\rX: y\r\n\r\n", 400),
    ("a folded header", b"GET / HTTP/1.1\r\nHost: a.test\r\nX: a\r\n b\r\n\r\n", 400),
    ("a space before the colon", b"GET / HTTP/1.1\r\nHost : a.test\r\n\r\n", 400),
    ("a header without a colon", b"GET / HTTP/1.1\r\nHost: a.test\r\nbroken\r\n\r\n", 400),
    ("an empty header name", b"GET / HTTP/1.1\r\nHost: a.test\r\n: x\r\n\r\n", 400),
    ("a NUL in a header", b"GET / HTTP/1.1\r\nHost: a.test\r\nX: a\0b\r\n\r\n", 400),
    ("a NUL in the path", b"GET /a\0b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("an encoded NUL", b"GET /a%00.html HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("a broken escape", b"GET /%zz HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("a cut escape", b"GET /% HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("a path out of the root", b"GET /../etc/passwd HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("an encoded path out of the root", b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("a target without a slash", b"GET index.html HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("a method that is no token", b"GE(T / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("CONNECT", b"CONNECT a.test:80 HTTP/1.1\r\nHost: a.test\r\n\r\n", 405),
    ("a length and chunks", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("two lengths", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    ("the same length twice", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    ("a list of lengths", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3, 3\r\n\r\nabc", 400),
    ("a signed length", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nContent-Length: +3\r\n\r\nabc", 400),
    ("a negative length", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nContent-Length: -1\r\n\r\n", 400),
    ("a length in hex", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0x3\r\n\r\nabc", 400),
    ("a length beyond numbers", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
    ("a length beyond the bound", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9999999999\r\n\r\n", 413),
    ("another coding", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
    ("chunked not last", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400),
    ("chunks in HTTP/1.0", b"POST /echo.php HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("a chunk's size that is none", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    ("a chunk longer than said", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n", 400),
    ("a trailer without a colon", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nbroken\r\n\r\n", 400),
    ("a trailer without a name", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n: x\r\n\r\n", 400),
    ("a space before a trailer's colon", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nA : x\r\n\r\n", 400),
    ("a folded trailer", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nA: x\r\n y\r\n\r\n", 400),
    ("a control character in a trailer", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nA: x\x01y\r\n\r\n", 400),
    ("sound trailers", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nA: x\r\n\r\n", 200),
    ("a chunk's size beyond numbers", b"POST /echo.php HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
    ("an expectation of another kind", b"GET / HTTP/1.1\r\nHost: a.test\r\nExpect: the-moon\r\n\r\n", 417),
    ("TLS on the plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ("HTTP/2 without TLS", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
];

#[test]
fn malformed_requests_get_their_status() {
    let instance = Instance::new("requests").site(site("a", User::One)).start();
    let mut failures = Vec::new();
    for (what, bytes, expected) in REQUESTS {
        let mut connection = instance.connect();
        connection
            .set_wait(Duration::from_secs(3))
            .expect("a limit");
        connection.send(bytes).expect("sent");
        match connection.receive("GET") {
            Ok(answer) if answer.status != *expected => {
                failures.push(format!("{what}: {} instead of {expected}", answer.status));
            }
            Ok(answer) if answer.closes() => {}
            // Who keeps the connection must still know where the next request begins.
            Ok(_) => match connection.exchange(&Request::get("a.test", "/")) {
                Ok(next) if next.text() == "index" => {}
                next => failures.push(format!("{what}: kept, and then {next:?}")),
            },
            Err(e) => failures.push(format!("{what}: {e} instead of {expected}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn heads_are_bounded() {
    let instance = Instance::new("heads").site(site("a", User::One)).start();
    let send = |text: String| {
        let mut connection = instance.connect();
        // The server may answer and close before all is sent.
        let _ = connection.send(text.as_bytes());
        connection
            .receive("GET")
            .map(|answer| answer.status)
            .expect("an answer")
    };
    let long = "x".repeat(40_000);
    assert_eq!(
        send(format!("GET /{long} HTTP/1.1\r\nHost: a.test\r\n\r\n")),
        414
    );
    assert_eq!(
        send(format!(
            "GET / HTTP/1.1\r\nHost: a.test\r\nX: {long}\r\n\r\n"
        )),
        431
    );
    let many = (0..150)
        .map(|n| format!("X-{n}: y\r\n"))
        .collect::<String>();
    assert_eq!(
        send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{many}\r\n")),
        431
    );
}

/// What stands in the site's file instead of what is right, and the lines that `hostel check` must say of it.
struct Broken {
    text: &'static str,
    says: &'static [&'static str],
}

const CONFIGURATIONS: &[Broken] = &[
    Broken {
        text: "domains = [\"a.test\"\nuser = \"hostel-t1\"\n",
        says: &["a.toml:2: not TOML"],
    },
    Broken {
        text: "domain = [\"a.test\"]\nuser = \"hostel-t1\"\nhome = \"{home}\"\n",
        says: &[
            "a.toml: has no 'domains'\n",
            "a.toml:1: unknown key 'domain'\n  hint: did you mean 'domains'?\n",
        ],
    },
    Broken {
        text: "domains = [\"a.test\", \"a.test:80\"]\nuser = \"hostel-none\"\nhome = \"{home}\"\nworkers_max = 0\n",
        says: &[
            "a.toml:1: 'a.test:80' holds a colon\n",
            "a.toml:2: there is no user 'hostel-none'\n",
            "a.toml:4: 'workers_max' must be 1 to 256, but is 0\n",
        ],
    },
    Broken {
        text: "domains = [\"a.test\"]\nuser = \"root\"\nhome = \"{home}\"\n",
        says: &["a.toml:2: a site cannot run as 'root': it is root\n"],
    },
    Broken {
        text: "domains = [\"a.test\"]\nuser = \"www-data\"\nhome = \"{home}\"\n",
        says: &["a.toml:2: a site cannot run as 'www-data': its uid 33 is below 100"],
    },
    Broken {
        text: "domains = [\"a.test\"]\nuser = \"hostel\"\nhome = \"{home}\"\n",
        says: &[
            "a.toml:2: a site cannot run as 'hostel': it has the user or the group of the front",
        ],
    },
    Broken {
        text: "domains = [\"a.test\"]\nuser = \"hostel-t2\"\nhome = \"{home}\"\n",
        says: &["the user 'hostel-t2' belongs to the site of a.toml already"],
    },
    Broken {
        text: "domains = [\"b.test\"]\nuser = \"hostel-t1\"\nhome = \"{home}\"\n",
        says: &["b.test"],
    },
    Broken {
        text: "domains = [\"a.test\"]\nuser = \"hostel-t1\"\nhome = \"{home}\"\nroot = \"../b/public\"\n",
        says: &["a.toml:4: 'root' = '../b/public' holds '..'\n"],
    },
    Broken {
        text: "domains = [\"a.test\"]\nuser = \"hostel-t1\"\nhome = \"{home}\"\nroot = \"/etc\"\n",
        says: &["a.toml:4: the document root /etc is outside of the home {home}\n"],
    },
    Broken {
        text: "domains = [\"a.test\"]\nuser = \"hostel-t1\"\nhome = \"/etc\"\n",
        says: &["a.toml:3: "],
    },
    Broken {
        text: "domains = [\"a.test\"]\nuser = \"hostel-t1\"\nhome = \"{home}/../b\"\n",
        says: &["a.toml:3: 'home' = '{home}/../b' holds '..'\n"],
    },
    Broken {
        text: "domains = [\"a.test\"]\nuser = \"hostel-t1\"\nhome = \"{home}\"\n[php.value]\nextension = \"gd\"\nmemory_limit = [1]\n",
        says: &[
            "a.toml:5: the PHP setting 'extension' cannot be given for one site\n",
            "a.toml:6: the PHP setting 'memory_limit' is a list or a date\n",
        ],
    },
];

#[test]
fn broken_configurations_are_named_with_file_and_line() {
    let instance = Instance::new("check")
        .site(site("a", User::One))
        .site(site("b", User::Two));
    instance.write_configuration();
    let (ok, output, errors) = instance.command(&["check"]);
    assert!(ok, "{output}{errors}");
    let good = fs::read_to_string(instance.site_file("a")).expect("written");
    let home = instance.home("a").display().to_string();
    for broken in CONFIGURATIONS {
        let text = broken.text.replace("{home}", &home);
        fs::write(instance.site_file("a"), &text).expect("sites.d");
        let (ok, output, errors) = instance.command(&["check"]);
        let all = output + &errors;
        assert!(!ok, "accepted:\n{text}");
        for line in broken.says {
            let line = line.replace("{home}", &home);
            assert!(all.contains(&line), "{text}\nlacks {line:?}:\n{all}");
        }
    }
    fs::write(instance.site_file("a"), good).expect("sites.d");
    assert!(
        instance.command(&["check"]).0,
        "the right one is accepted again"
    );
}

#[test]
fn a_home_that_others_could_replace_is_refused() {
    let instance = Instance::new("homes").site(site("a", User::One));
    instance.write_configuration();
    let good = fs::read_to_string(instance.site_file("a")).expect("written");
    let homes = instance.path("homes");
    let check = |home: &Path| {
        let text = good.replace(
            &instance.home("a").display().to_string(),
            &home.display().to_string(),
        );
        fs::write(instance.site_file("a"), text).expect("sites.d");
        let (ok, output, errors) = instance.command(&["check"]);
        (ok, output + &errors)
    };
    let inner = homes.join("parent/a");
    fs::create_dir_all(&inner).expect("homes");
    own(&inner, User::One);
    let (ok, said) = check(&inner);
    assert!(ok, "{said}");

    fs::set_permissions(homes.join("parent"), fs::Permissions::from_mode(0o777)).expect("homes");
    let (ok, said) = check(&inner);
    assert!(
        !ok && said.contains("can be written by others than root"),
        "{said}"
    );
    fs::set_permissions(homes.join("parent"), fs::Permissions::from_mode(0o755)).expect("homes");
    own(&homes.join("parent"), User::Two);
    let (ok, said) = check(&inner);
    assert!(!ok && said.contains("not to root"), "{said}");

    symlink(instance.home("a"), homes.join("link")).expect("homes");
    let (ok, said) = check(&homes.join("link"));
    assert!(!ok, "a home that is a symbolic link was accepted: {said}");
    let (ok, said) = check(&homes.join("missing"));
    assert!(
        !ok && said.contains("homes/missing"),
        "a home that is not there was accepted: {said}"
    );
    let foreign = homes.join("foreign");
    fs::create_dir(&foreign).expect("homes");
    own(&foreign, User::Two);
    let (ok, said) = check(&foreign);
    assert!(!ok && said.contains("not to the site's user"), "{said}");
}

#[test]
fn configuration_that_others_can_write_is_refused() {
    let instance = Instance::new("writable").site(site("a", User::One));
    instance.write_configuration();
    fs::set_permissions(instance.site_file("a"), fs::Permissions::from_mode(0o666))
        .expect("sites.d");
    let (ok, output, errors) = instance.command(&["check"]);
    assert!(
        !ok && (output.clone() + &errors).contains("a.toml: can be written by others"),
        "a site's file that everybody can write: {output}{errors}"
    );
    fs::set_permissions(instance.site_file("a"), fs::Permissions::from_mode(0o644))
        .expect("sites.d");
    own(&instance.configuration(), User::One);
    let (ok, output, errors) = instance.command(&["check"]);
    assert!(
        !ok && (output.clone() + &errors).contains("hostel.toml: belongs to the user with uid"),
        "a hostel.toml of a site's user: {output}{errors}"
    );
}
