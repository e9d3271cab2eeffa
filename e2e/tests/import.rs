//! Imported configurations beside their originals: nginx or Apache with php-fpm as a case of `crates/cli/tests/import` has it, and Hostel
//! with what `hostel import` makes of it, on the same tree as the same user. Both must give the same answers.
//!
//! A case takes part if it has a `run.toml`: its sites, and the paths whose answers may differ, each with the reason. A difference that is
//! declared and does not happen is a failure too. Error pages are each server's own, and so is the host in a Location.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hostel_e2e::http::exchange;
use hostel_e2e::peer::PHP_INI;
use hostel_e2e::process::{self, Signal, wait_until};
use hostel_e2e::{Instance, Request, Response, Site, User, free_port, programs};
use serde::Deserialize;

/// The issue asks for at least this many.
const CASES_MIN: usize = 10;

/// A case's `run.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    site: Vec<Case>,
    #[serde(default)]
    differs: BTreeMap<String, String>,
}

/// A site of a case, by the names that its files have for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    domain: String,
    home: String,
    user: String,
    /// The document root beneath home.
    root: String,
    /// The main script.
    front: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/cli/tests/import")
}

#[test]
fn imported_configurations_answer_as_their_originals_do() {
    let filter = std::env::var("HOSTEL_CASE").unwrap_or_default();
    let entries = fs::read_dir(folder()).expect("the cases of the command line");
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.expect("a case").path()).collect();
    cases.retain(|case| case.join("run.toml").exists());
    cases.sort();
    assert!(cases.len() >= CASES_MIN, "only {} cases", cases.len());
    cases.retain(|case| case.display().to_string().contains(&filter));
    let mut wrong = Vec::new();
    for case in &cases {
        // One that does not start hides none of the others.
        let compared = std::panic::catch_unwind(|| compare(case));
        wrong.extend(compared.unwrap_or_else(|_| vec![format!("{}: see above", case.display())]));
    }
    for line in &wrong {
        println!("{line}");
    }
    assert!(
        wrong.is_empty(),
        "{} differences in {} cases",
        wrong.len(),
        cases.len()
    );
}

/// What differs, line by line.
fn compare(case: &Path) -> Vec<String> {
    let name = case
        .file_name()
        .expect("a case has a name")
        .to_string_lossy()
        .into_owned();
    let text = fs::read_to_string(case.join("run.toml")).expect("run.toml");
    let run: Run = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut instance = Instance::new(&name).settings(&format!("php_ini = {PHP_INI:?}"));
    for (number, site) in run.site.iter().enumerate() {
        instance.add_site(tree(&format!("s{number}"), USERS[number], site));
        fs::remove_file(instance.site_file(&format!("s{number}"))).expect("just written");
    }
    let original = Original::prepare(case, &run, &instance);
    import(&original, &instance, run.site.len());
    let original = original.start(&run.site[0].domain);
    let hostel = instance.start();
    let mut wrong = Vec::new();
    for site in &run.site {
        for request in requests(&site.domain) {
            let theirs = exchange(original.port, &request.0).unwrap_or_else(|error| {
                panic!("{name}: {}: {error}\n{}", request.1, original.logs())
            });
            let ours = hostel.send(&request.0);
            let (theirs, ours) = (essence(&theirs), essence(&ours));
            match (theirs == ours, run.differs.get(&request.1)) {
                (false, None) => wrong.push(format!(
                    "{name}: {}: {}",
                    request.1,
                    difference(&theirs, &ours)
                )),
                (true, Some(_)) => wrong.push(format!(
                    "{name}: {} is said to differ, and does not",
                    request.1
                )),
                _ => {}
            }
        }
    }
    println!(
        "{name}: {} requests to {} sites",
        REQUESTS.len() + 1,
        run.site.len()
    );
    wrong
}

/// The lines that are not the same.
fn difference(theirs: &str, ours: &str) -> String {
    let lines = theirs
        .lines()
        .zip(ours.lines())
        .filter(|(theirs, ours)| theirs != ours);
    let shown: Vec<String> = lines
        .map(|(theirs, ours)| format!("{theirs} | {ours}"))
        .collect();
    shown.join("; ")
}

/// `hostel import` writes the files of the sites, and `hostel check` takes them.
fn import(original: &Original, instance: &Instance, sites: usize) {
    let sites_directory = instance.path("etc/sites.d");
    let output = Command::new(programs().join("hostel"))
        .args(["import", original.kind])
        .arg(&original.configuration)
        .args(
            original
                .pools
                .iter()
                .flat_map(|pools| [Path::new("--php-fpm"), pools]),
        )
        .arg("--write")
        .arg(&sites_directory)
        .output()
        .expect("hostel can be started");
    assert!(output.status.success(), "{output:?}");
    // A site without PHP has no pool that names its user: here nobody creates the new one that the report asks for.
    for entry in fs::read_dir(&sites_directory).expect("sites.d").flatten() {
        let text = fs::read_to_string(entry.path()).expect("just written");
        let is_known = USERS
            .iter()
            .any(|user| text.contains(&format!("user = \"{}\"", user.name())));
        if !is_known {
            let user = |line: &str| {
                if line.starts_with("user = ") {
                    format!("user = \"{}\"", USERS[0].name())
                } else {
                    line.to_owned()
                }
            };
            let lines: Vec<String> = text.lines().map(user).collect();
            fs::write(entry.path(), lines.join("\n")).expect("sites.d");
        }
    }
    instance.write_configuration();
    let (_, said, _) = instance.command(&["check"]);
    let plural = if sites == 1 { "" } else { "s" };
    assert!(
        said.contains(&format!(": fine, {sites} site{plural}\n")),
        "{said}"
    );
}

/// The same files for both servers.
fn tree(name: &str, user: User, site: &Case) -> Site {
    let at = |path: &str| format!("{}/{path}", site.root);
    Site::new(name, user)
        .file(&at(&site.front), SCRIPT)
        .file(&at("page.php"), SCRIPT)
        .file(&at("sub/index.php"), SCRIPT)
        .file(&at("sub/adminer.php"), SCRIPT)
        .file(&at("pages/index.html"), "<p>pages</p>\n")
        .file(&at("empty/data.json"), "{}\n")
        .file(&at("file.html"), "<p>file</p>\n")
        .file(&at("style.css"), "p { color: red }\n")
        .file(
            &at("picture.svg"),
            "<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n",
        )
}

fn requests(domain: &str) -> Vec<(Request, String)> {
    let get = |path: &&str| (Request::get(domain, path), (*path).to_owned());
    let mut all: Vec<_> = REQUESTS.iter().map(get).collect();
    let post = Request::new("POST", domain, "/page.php?a=1")
        .body("application/x-www-form-urlencoded", "b=2&c=%C3%BC");
    all.push((post, "POST /page.php?a=1".to_owned()));
    all
}

/// What must be the same: status, type, where it leads, and the body of what is there.
fn essence(response: &Response) -> String {
    let mut text = format!("{}\n", response.status);
    if let Some(location) = response.header("Location") {
        let path = location.split_once("://").map_or(location, |(_, rest)| {
            rest.find('/').map_or("/", |at| &rest[at..])
        });
        text.push_str(&format!("Location: {path}\n"));
    }
    if response.status == 200 {
        // Apache begins some paths of scripts with two slashes.
        let body = response.text().replace("//", "/");
        let kind = response.header("Content-Type").unwrap_or_default();
        text.push_str(&format!("Content-Type: {kind}\n{body}"));
    }
    text
}

/// The original's files in a directory of their own, and its processes.
struct Original {
    kind: &'static str,
    directory: PathBuf,
    /// What is imported.
    configuration: PathBuf,
    pools: Option<PathBuf>,
    /// What the server is started with.
    main: PathBuf,
    port: u16,
    children: Vec<Child>,
}

impl Original {
    /// Write the case's files with the paths, users and ports of this run.
    fn prepare(case: &Path, run: &Run, instance: &Instance) -> Self {
        let directory = instance.path("original");
        fs::create_dir_all(&directory).expect("the instance's directory");
        let port = free_port();
        let read = |name: &str| {
            let text = fs::read_to_string(case.join(name)).ok()?;
            Some(in_this_run(&text, run, instance, &directory))
        };
        let pools = read("fpm.conf").map(|text| write(&directory, "fpm.conf", &text));
        if let Some(text) = read("nginx.conf") {
            for name in ["fastcgi_params", "fastcgi.conf", "mime.types", "snippets"] {
                std::os::unix::fs::symlink(
                    Path::new("/etc/nginx").join(name),
                    directory.join(name),
                )
                .expect("own directory");
            }
            let configuration = write(&directory, "site.conf", &listening(&text, port));
            let main = write(&directory, "nginx.conf", &nginx(&directory));
            return Self {
                kind: "nginx",
                directory,
                configuration,
                pools,
                main,
                port,
                children: Vec::new(),
            };
        }
        let text = read("apache2.conf").expect("a case has nginx.conf or apache2.conf");
        let is_itk = text.contains("AssignUser");
        let configuration = write(
            &directory,
            "site.conf",
            &text.replace("*:80>", &format!("*:{port}>")),
        );
        let main = write(
            &directory,
            "apache2.conf",
            &apache(&directory, port, is_itk),
        );
        Self {
            kind: "apache",
            directory,
            configuration,
            pools,
            main,
            port,
            children: Vec::new(),
        }
    }

    fn start(mut self, domain: &str) -> Self {
        if let Some(pools) = &self.pools {
            let text = fs::read_to_string(pools).expect("just written");
            let global = format!(
                "[global]\nerror_log = {}\ndaemonize = no\n{text}",
                self.directory.join("fpm.log").display()
            );
            let file = write(&self.directory, "php-fpm.conf", &global);
            let mut command = Command::new("/usr/sbin/php-fpm8.2");
            command
                .args(["--nodaemonize", "-c", PHP_INI, "--fpm-config"])
                .arg(file);
            self.spawn(command);
        }
        let mut command = if self.kind == "nginx" {
            let mut command = Command::new("/usr/sbin/nginx");
            command
                .arg("-p")
                .arg(&self.directory)
                .arg("-c")
                .arg(&self.main);
            command
        } else {
            let mut command = Command::new("/usr/sbin/apache2");
            command.arg("-DFOREGROUND").arg("-f").arg(&self.main);
            command
        };
        // Apache ends its whole process group.
        command.process_group(0);
        self.spawn(command);
        // The server may be there before php-fpm is.
        let answers = |path| {
            exchange(self.port, &Request::get(domain, path)).is_ok_and(|answer| answer.status < 500)
        };
        let up = wait_until(Duration::from_secs(20), || {
            answers("/file.html") && answers("/")
        });
        assert!(
            up,
            "{} does not serve\n{}",
            self.main.display(),
            self.logs()
        );
        self
    }

    fn spawn(&mut self, mut command: Command) {
        let output = self.directory.join(format!("{}.out", self.children.len()));
        let output = fs::File::create(output).expect("own directory");
        let errors = output.try_clone().expect("a descriptor");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn();
        self.children.push(
            child.unwrap_or_else(|error| panic!("{command:?}: {error} (cargo xtask setup test)")),
        );
    }

    fn logs(&self) -> String {
        let names = ["fpm.log", "error.log", "0.out", "1.out"];
        let text = |name: &&str| {
            String::from_utf8_lossy(&fs::read(self.directory.join(name)).unwrap_or_default())
                .into_owned()
        };
        names.iter().map(text).collect()
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let pid = i32::try_from(child.id()).expect("a process id fits");
            process::signal_by_id(pid, Signal::TERM);
            if !wait_until(Duration::from_secs(20), || {
                matches!(child.try_wait(), Ok(Some(_)))
            }) {
                process::signal_by_id(pid, Signal::KILL);
                let _ = child.wait();
            }
        }
    }
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).expect("own directory");
    path
}

/// A case's text with this run's homes, users and sockets.
fn in_this_run(text: &str, run: &Run, instance: &Instance, directory: &Path) -> String {
    let is_log = |line: &str| {
        ["ErrorLog", "CustomLog", "error_log", "access_log"]
            .iter()
            .any(|name| line.trim_start().starts_with(name))
    };
    // Their directories are not there.
    let lines: Vec<&str> = text.lines().filter(|line| !is_log(line)).collect();
    let mut text = lines.join("\n") + "\n";
    for (number, site) in run.site.iter().enumerate() {
        let home = instance.home(&format!("s{number}"));
        text = text.replace(&site.home, &home.display().to_string());
        text = text.replace(&site.user, USERS[number].name());
    }
    let own = directory.display().to_string();
    // Debian's user for web servers is not the one that serves here.
    let server = run.site.first().map_or("root", |_| USERS[0].name());
    for (from, to) in [
        ("/var/run/php", own.as_str()),
        ("/run/php", &own),
        ("www-data", server),
    ] {
        text = text.replace(from, to);
    }
    text
}

/// A file of nginx with one port of this run in every server.
fn listening(text: &str, port: u16) -> String {
    let mut lines = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with("listen "))
    {
        lines.push(line.to_owned());
        if line.trim() == "server {" {
            lines.push(format!("    listen 127.0.0.1:{port};"));
        }
    }
    lines.join("\n") + "\n"
}

/// nginx as Debian has it, for one file of sites. As root, who can read every home.
fn nginx(directory: &Path) -> String {
    let own = directory.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {own}/{kind};\n"))
        .concat();
    format!(
        "daemon off;\nuser root root;\nworker_processes 1;\npid {own}/nginx.pid;\nerror_log {own}/error.log;\nevents {{ worker_connections 256; }}\n\
         http {{\ninclude {own}/mime.types;\ndefault_type application/octet-stream;\naccess_log off;\n{temporary}include {own}/site.conf;\n}}\n"
    )
}

/// Apache as Debian has it, for one file of virtual hosts.
fn apache(directory: &Path, port: u16, is_itk: bool) -> String {
    let own = directory.display();
    let user = USERS[0].name();
    let mut text = format!(
        "ServerRoot /etc/apache2\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile {own}/apache2.pid\nDefaultRuntimeDir {own}\n\
         Mutex file:{own} default\nUser {user}\nGroup {user}\nErrorLog {own}/error.log\nStartServers 2\nMinSpareServers 2\nMaxSpareServers 4\n"
    );
    let usual = [
        "authz_core",
        "dir",
        "env",
        "mime",
        "rewrite",
        "setenvif",
        "mpm_prefork",
    ];
    let more: &[&str] = if is_itk {
        &["mpm_itk", "php8.2"]
    } else {
        &["proxy", "proxy_fcgi"]
    };
    for name in usual.iter().chain(more) {
        text.push_str(&format!("Include /etc/apache2/mods-available/{name}.load\nIncludeOptional /etc/apache2/mods-available/{name}.conf\n"));
    }
    if is_itk {
        text.push_str(&format!("PHPIniDir {PHP_INI}\n"));
    }
    text + &format!("Include {own}/site.conf\n")
}

#[test]
fn what_debian_ships_is_imported() {
    let import = |arguments: &[&str]| {
        let output = Command::new(programs().join("hostel"))
            .arg("import")
            .args(arguments)
            .arg("--json")
            .output();
        let output = output.expect("hostel can be started");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        for entry in document["not_supported"].as_array().expect("a list") {
            assert!(
                !entry["text"]
                    .as_str()
                    .expect("a text")
                    .contains("does not know it"),
                "{entry}"
            );
        }
        document
    };
    for path in ["/etc/nginx", "/etc/apache2"] {
        assert!(
            Path::new(path).exists(),
            "{path} is missing: run `cargo xtask setup test`"
        );
    }
    // All of it, whichever sites are enabled.
    import(&["nginx", "/etc/nginx", "--php-fpm", "/etc/php/8.2/fpm"]);
    import(&["apache", "/etc/apache2"]);

    let nginx = import(&["nginx", "/etc/nginx/sites-available/default"]);
    let site = nginx["sites"][0]["toml"].as_str().expect("a site");
    for line in [
        "domains = [\"default.invalid\"]",
        "home = \"/var/www/html\"",
        "root = \".\"",
        "script_extensions = []",
    ] {
        assert!(site.contains(line), "{line}: {site}");
    }
    let apache = import(&["apache", "/etc/apache2/sites-available/000-default.conf"]);
    let site = apache["sites"][0]["toml"].as_str().expect("a site");
    for line in [
        "domains = [\"default.invalid\"]",
        "home = \"/var/www/html\"",
        "front_controller = \"\"",
    ] {
        assert!(site.contains(line), "{line}: {site}");
    }
    let pools = import(&["php-fpm", "/etc/php/8.2/fpm"]);
    let texts: Vec<&str> = pools["not_needed"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|entry| entry["directive"].as_str())
        .collect();
    for directive in [
        "pm = dynamic",
        "pm.max_children = 5",
        "listen = /run/php/php8.2-fpm.sock",
    ] {
        assert!(texts.contains(&directive), "{directive}: {texts:?}");
    }
}

const USERS: [User; 2] = [User::One, User::Two];

const REQUESTS: [&str; 17] = [
    "/",
    "/?q=1",
    "/page.php",
    "/page.php?x=1&y=%20z",
    "/page.php/extra/path?x=1",
    "/file.html",
    "/style.css",
    "/picture.svg",
    "/sub",
    "/sub/",
    "/pages",
    "/pages/",
    "/empty/",
    "/nothing/here?x=1",
    "/missing.html",
    "/missing.php",
    "/nothing/Pretty%20URL/",
];

const SCRIPT: &str = "<?php
header('Content-Type: text/plain; charset=UTF-8');
foreach (['REQUEST_METHOD', 'REQUEST_URI', 'QUERY_STRING', 'SCRIPT_NAME', 'SCRIPT_FILENAME', 'PHP_SELF', 'PATH_INFO', 'DOCUMENT_ROOT',
    'HTTP_HOST', 'CONTENT_TYPE', 'CONTENT_LENGTH'] as $name) {
    echo $name, '=', $_SERVER[$name] ?? '', \"\\n\";
}
echo 'get=', json_encode($_GET), ' post=', json_encode($_POST), \"\\n\";
echo 'user=', posix_getuid(), ' memory=', ini_get('memory_limit'), ' upload=', ini_get('upload_max_filesize'), \"\\n\";
";
