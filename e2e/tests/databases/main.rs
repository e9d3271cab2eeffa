//! Databases that sites' files name: dumped and loaded by the site's own user, and copied with a site; while it writes, with a server that dies,
//! beside a site that lies about its password, and interrupted.

mod backup;
mod servers;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hostel_e2e::{Instance, Site, User, site, user};
use serde_json::Value;
use servers::Server;

/// Servers first: they are stopped before the directory goes that they are in.
struct Scene {
    mariadb: Server,
    postgresql: Server,
    instance: Instance,
}

/// A way to speak to each of the three, as the site `one` of the first user.
const KINDS: [&str; 3] = ["mysql", "postgresql", "sqlite"];
const FILE: &str = "data/app.db";

impl Scene {
    /// A site `one` with a database of each kind, all of them called as its user, and an empty second of each.
    fn new(name: &str) -> Self {
        let instance = Instance::new(name);
        let directory = instance.path("databases");
        fs::create_dir_all(&directory).expect("the instance's directory");
        let mariadb = Server::mariadb(&directory);
        let postgresql = Server::postgresql(&directory);
        for user in [User::One, User::Two, User::Three] {
            let name = user.name();
            mariadb.ask(
                None,
                &format!(
                    "CREATE DATABASE `{name}`; CREATE USER '{name}'@'localhost' IDENTIFIED VIA unix_socket; \
                     GRANT ALL ON `{name}`.* TO '{name}'@'localhost';"
                ),
            );
            postgresql.ask(None, &format!("CREATE ROLE \"{name}\" LOGIN"));
            postgresql.ask(
                None,
                &format!("CREATE DATABASE \"{name}\" OWNER \"{name}\""),
            );
        }
        let mut scene = Self {
            mariadb,
            postgresql,
            instance,
        };
        let toml = scene.entries(User::One.name());
        let page = PAGE.replace("SOCKET", &scene.mariadb.socket.display().to_string());
        let one = Site::new("one", User::One)
            .toml(&toml)
            .file("public/index.php", page)
            .file(FILE, "");
        scene.instance.add_site(one);
        scene.instance.write_configuration();
        scene
    }

    fn entries(&self, name: &str) -> String {
        format!(
            "[[database]]\nkind = \"mysql\"\nname = \"{name}\"\nsocket = {:?}\n\
             [[database]]\nkind = \"postgresql\"\nname = \"{name}\"\nsocket = {:?}\n\
             [[database]]\nkind = \"sqlite\"\nfile = \"{FILE}\"\n",
            self.mariadb.socket, self.postgresql.socket
        )
    }

    /// Have statements done in a database of the site `one`, as its user.
    fn sql(&self, kind: &str, statements: &str) -> String {
        self.sql_of("one", User::One.name(), kind, statements)
    }

    fn sql_of(&self, site: &str, name: &str, kind: &str, statements: &str) -> String {
        let words = self.client(site, name, kind);
        let (fine, output, errors) = self.run(&words, statements);
        assert!(fine, "{kind}: {statements}: {output}{errors}");
        output.trim().to_owned()
    }

    fn run(&self, words: &[String], statements: &str) -> (bool, String, String) {
        let output = Command::new(self.instance.program("hostel"))
            .args(words)
            .arg(statements)
            .stdin(Stdio::null())
            .output()
            .expect("hostel can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// The words of `hostel` by which a site speaks to its own database, but for the statements.
    fn client(&self, site: &str, name: &str, kind: &str) -> Vec<String> {
        let port = self.postgresql.socket.extension().expect("a port");
        let words = match kind {
            "mysql" => format!(
                "mariadb --no-defaults --batch --skip-column-names --socket={} {name} --execute",
                self.mariadb.socket.display()
            ),
            "postgresql" => format!(
                "psql --no-psqlrc -qtA -v ON_ERROR_STOP=1 -h /run/postgresql -p {} -d {name} -c",
                port.display()
            ),
            _ => format!(
                "sqlite3 -batch -bail -cmd .timeout\u{a0}60000 {}",
                self.instance.home(site).join(FILE).display()
            ),
        };
        let config = self.instance.configuration().display().to_string();
        ["--config", &config, "exec", site, "--"]
            .map(str::to_owned)
            .into_iter()
            .chain(words.split(' ').map(|word| word.replace('\u{a0}', " ")))
            .collect()
    }

    /// `hostel database dump one KIND`, to its end.
    fn dump(&self, kind: &str) -> (bool, Vec<u8>, String) {
        let output = self
            .command(&["database", "dump", "one", number(kind)])
            .output();
        let output = output.expect("hostel can be started");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), output.stdout, errors)
    }

    fn must_dump(&self, kind: &str) -> Vec<u8> {
        let (fine, dump, errors) = self.dump(kind);
        assert!(fine && !dump.is_empty(), "{kind}: {errors}");
        dump
    }

    fn load(&self, site: &str, kind: &str, dump: &[u8]) -> (bool, String) {
        let mut command = self.command(&["database", "load", site, number(kind)]);
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .expect("hostel can be started");
        let mut input = child.stdin.take().expect("it is piped");
        // One that refuses it says so.
        let _ = input.write_all(dump);
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), errors)
    }

    fn must_load(&self, site: &str, kind: &str, dump: &[u8]) {
        let (fine, errors) = self.load(site, kind, dump);
        assert!(fine, "{kind}: {errors}");
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.instance.program("hostel"));
        command
            .args(words)
            .arg("--config")
            .arg(self.instance.configuration())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The words that make the copy of `one`.
    fn clone_words(&self, name: &str) -> Vec<String> {
        let home = self.instance.home(name).display().to_string();
        let domain = format!("{}.test", name.replace('_', "-"));
        [
            "site", "clone", "one", name, "--domain", &domain, "--home", &home,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn try_clone(&self, name: &str, more: &[&str]) -> (bool, Value, String) {
        let words = self.clone_words(name);
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .chain(["--json"])
            .collect();
        let (fine, output, errors) = self.instance.command(&words);
        (
            fine,
            serde_json::from_str(&output).unwrap_or(Value::Null),
            errors,
        )
    }

    /// Whether the servers know a database and an account of this name.
    fn traces(&self, name: &str) -> Vec<String> {
        [
            self.mariadb.ask(
                None,
                &format!(
                    "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='{name}'"
                ),
            ),
            self.mariadb.ask(
                None,
                &format!("SELECT COUNT(*) FROM mysql.user WHERE User='{name}'"),
            ),
            self.postgresql.ask(
                None,
                &format!("SELECT count(*) FROM pg_database WHERE datname='{name}'"),
            ),
            self.postgresql.ask(
                None,
                &format!("SELECT count(*) FROM pg_roles WHERE rolname='{name}'"),
            ),
        ]
        .to_vec()
    }

    /// Everything of each database that can be compared, as text.
    fn content(&self, site: &str, name: &str, kind: &str) -> String {
        match kind {
            "mysql" => {
                let question = "SELECT id, HEX(b), s FROM things ORDER BY id; SHOW CREATE TABLE `odd``name`; SHOW CREATE VIEW few; \
                    SELECT TRIGGER_NAME, ACTION_STATEMENT, DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=DATABASE(); SHOW CREATE PROCEDURE twice; SHOW CREATE EVENT daily; SELECT COUNT(*) FROM information_schema.TABLES \
                    WHERE TABLE_SCHEMA=DATABASE()";
                self.sql_of(site, name, kind, question)
            }
            "postgresql" => {
                let question = "SELECT string_agg(concat_ws('|', id, encode(b, 'hex'), s, mood), ',' ORDER BY id) FROM things";
                let rows = self.sql_of(site, name, kind, question);
                let question = "SELECT concat_ws('|', pg_get_viewdef('few'::regclass), pg_get_functiondef('twice'::regproc), \
                    (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid=relnamespace WHERE nspname IN ('public','own')), \
                    (SELECT string_agg(tgname, ',') FROM pg_trigger), (SELECT last_value FROM counter), (SELECT count(*) FROM own.\"odd table\"), \
                    obj_description('things'::regclass))";
                rows + &self.sql_of(site, name, kind, question)
            }
            _ => self.sql_of(site, name, kind, ".dump"),
        }
    }
}

/// Its place in the site's file.
fn number(kind: &str) -> &'static str {
    match kind {
        "mysql" => "1",
        "postgresql" => "2",
        _ => "3",
    }
}

/// One row that the page shows, and things of every sort.
fn made_of(kind: &str) -> &'static str {
    match kind {
        "mysql" => {
            "CREATE TABLE things (id INT PRIMARY KEY, b BLOB, s TEXT) ENGINE=InnoDB; \
             INSERT INTO things VALUES (1, x'00ff0a0d1a27', 'original'), (2, NULL, 'two\\nlines ''\\\\ \\t DEFINER=`x`@`y`'); \
             CREATE TABLE `odd``name` (x INT); CREATE VIEW few AS SELECT id FROM things; \
             CREATE TRIGGER checked BEFORE INSERT ON things FOR EACH ROW SET NEW.s = UPPER(NEW.s); \
             CREATE PROCEDURE twice() SELECT 2; \
             CREATE EVENT daily ON SCHEDULE EVERY 1 DAY STARTS '2027-01-01 00:00:00' DO DELETE FROM things"
        }
        "postgresql" => {
            "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE things (id int PRIMARY KEY, b bytea, s text, mood mood); \
             INSERT INTO things VALUES (1, '\\x00ff0a0d', 'original', 'good'), (2, NULL, E'two\\nlines \\\\! touch /tmp/x', 'bad'); \
             COMMENT ON TABLE things IS 'all of them'; \
             CREATE VIEW few AS SELECT id FROM things; CREATE SEQUENCE counter START 5; CREATE SCHEMA own; \
             CREATE TABLE own.\"odd table\" (x int); CREATE FUNCTION twice() RETURNS int LANGUAGE sql AS 'SELECT 2'; \
             CREATE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.s = upper(NEW.s); RETURN NEW; END'; \
             CREATE TRIGGER checked BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION louder()"
        }
        _ => {
            "PRAGMA journal_mode=WAL; CREATE TABLE things (id INTEGER PRIMARY KEY, b BLOB, s TEXT); \
             INSERT INTO things VALUES (1, x'00ff', 'original'), (2, NULL, 'two'); CREATE VIEW few AS SELECT id FROM things; \
             CREATE INDEX by_s ON things (s)"
        }
    }
}

#[test]
fn what_is_loaded_is_exactly_what_was_dumped() {
    let scene = Scene::new("database-exact");
    let name = User::One.name();
    // One that only a superuser can comment on stays.
    let extension = "CREATE EXTENSION pg_trgm";
    scene.postgresql.ask(Some(name), extension);
    for kind in KINDS {
        scene.sql(kind, made_of(kind));
        if kind == "postgresql" {
            let index = "CREATE INDEX ON things USING gin (s gin_trgm_ops)";
            scene.sql(kind, index);
        }
        let before = scene.content("one", name, kind);
        let dump = scene.must_dump(kind);
        let change = match kind {
            "mysql" => {
                "DROP VIEW few; DROP PROCEDURE twice; DROP EVENT daily; UPDATE things SET s='changed'; CREATE TABLE more (x INT); \
                CREATE TABLE children (t INT, FOREIGN KEY (t) REFERENCES things(id)); CREATE FUNCTION f() RETURNS INT RETURN 1; CREATE SEQUENCE sq"
            }
            "postgresql" => {
                "DROP VIEW few; UPDATE things SET s='changed'; CREATE TABLE own.more (x serial); CREATE DOMAIN short AS text; \
                CREATE TABLE children (t int REFERENCES things, g int GENERATED ALWAYS AS IDENTITY); CREATE SCHEMA further; \
                CREATE TABLE further.t (s short); CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int); \
                CREATE TYPE pair AS (a int, b int); CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq); SELECT lo_from_bytea(0, 'x')"
            }
            _ => "DROP VIEW few; UPDATE things SET s='changed'; CREATE TABLE more (x)",
        };
        scene.sql(kind, change);
        assert_ne!(
            scene.sql(kind, "SELECT s FROM things WHERE id=1"),
            "original"
        );
        scene.must_load("one", kind, &dump);
        assert_eq!(scene.content("one", name, kind), before, "{kind}");
        // Half of a dump is told, and a whole one mends it.
        let (fine, errors) = scene.load("one", kind, &dump[..dump.len() - dump.len() / 3]);
        assert!(!fine, "{kind}: half a dump was taken for a whole one");
        assert!(errors.contains("cannot load-database"), "{kind}: {errors}");
        scene.must_load("one", kind, &dump);
        assert_eq!(scene.content("one", name, kind), before, "{kind}");
    }
    // A dump has no words for the client that loads it, though it would run them as the site's own user.
    let owned = scene.instance.home("one").join("owned");
    let dump = scene.must_dump("mysql");
    for command in ["\\! touch", "system touch", "source"] {
        let hostile = format!("{command} {}\n", owned.display());
        let (fine, errors) = scene.load("one", "mysql", &[hostile.as_bytes(), &dump].concat());
        assert!(!fine && errors.contains("ERROR"), "{command}: {errors}");
        assert!(!owned.exists(), "{command}");
    }
    scene.must_load("one", "mysql", &dump);
    let (fine, output, errors) = scene
        .instance
        .command(&["database", "list", "one", "--json"]);
    let document: Value = serde_json::from_str(&output).expect("a document");
    assert!(fine, "{output}{errors}");
    for database in document["databases"].as_array().expect("a list") {
        assert!(database["tables"].as_u64() >= Some(3), "{database}");
        assert!(database["bytes"].as_u64() > Some(1000), "{database}");
    }
}

#[test]
fn a_dump_is_of_one_moment_while_the_site_writes() {
    let scene = Scene::new("database-moment");
    for kind in KINDS {
        // The first and the last table that are dumped, with much between: in each transaction one gives to the other.
        let fill = match kind {
            "mysql" => "INSERT INTO m SELECT REPEAT('x', 1000) FROM seq_1_to_20000",
            "postgresql" => "INSERT INTO m SELECT repeat('x', 1000) FROM generate_series(1, 20000)",
            _ => {
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000) INSERT INTO m SELECT printf('%.1000c', 'x') FROM n"
            }
        };
        scene.sql(
            kind,
            &format!(
                "CREATE TABLE a (v INT); CREATE TABLE m (t TEXT); CREATE TABLE z (v INT); \
            INSERT INTO a VALUES (500); INSERT INTO z VALUES (500); {fill}"
            ),
        );
        let dump = {
            let writer = Writer::start(&scene, kind);
            let dump = scene.must_dump(kind);
            assert!(writer.stop() > 3, "{kind}: nothing was written meanwhile");
            dump
        };
        let now = scene.sql(kind, "SELECT v FROM a");
        scene.must_load("one", kind, &dump);
        let sum = scene.sql(kind, "SELECT a.v + z.v FROM a, z");
        assert_eq!(sum, "1000", "{kind}: the dump is of two moments");
        assert_ne!(
            scene.sql(kind, "SELECT v FROM a"),
            "500",
            "{kind}: the dump is of before the first write"
        );
        assert_ne!(
            scene.sql(kind, "SELECT v FROM a"),
            now,
            "{kind}: the writer had stopped before the dump"
        );
        assert_eq!(scene.sql(kind, "SELECT count(*) FROM m"), "20000", "{kind}");
    }
}

/// A site that gives from one table to the other, without end, by one client.
struct Writer {
    child: Child,
    stopped: std::sync::Arc<AtomicBool>,
    thread: std::thread::JoinHandle<usize>,
}

impl Writer {
    fn start(scene: &Scene, kind: &str) -> Self {
        let mut words = scene.client("one", User::One.name(), kind);
        match kind {
            "mysql" | "postgresql" => drop(words.pop()),
            _ => {}
        }
        let mut child = Command::new(scene.instance.program("hostel"))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("hostel can be started");
        let mut input = child.stdin.take().expect("it is piped");
        let begin = match kind {
            "sqlite" => "BEGIN IMMEDIATE",
            _ => "BEGIN",
        };
        let stopped = std::sync::Arc::new(AtomicBool::new(false));
        let is_stopped = stopped.clone();
        let thread = std::thread::spawn(move || {
            let mut count = 0;
            while !is_stopped.load(Ordering::Relaxed) {
                let text = format!("{begin}; UPDATE a SET v=v-1; UPDATE z SET v=v+1; COMMIT;\n");
                if input.write_all(text.as_bytes()).is_err() {
                    break;
                }
                count += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            count
        });
        // It has begun to write before the dump begins.
        assert!(hostel_e2e::wait_until(Duration::from_secs(20), || {
            scene.sql(kind, "SELECT v FROM a") != "500"
        }));
        Self {
            child,
            stopped,
            thread,
        }
    }

    /// How many transactions it was given.
    fn stop(mut self) -> usize {
        self.stopped.store(true, Ordering::Relaxed);
        let count = self.thread.join().expect("the writer");
        let _ = self.child.wait();
        count
    }
}

#[test]
fn a_server_that_dies_in_the_middle_is_told_and_the_next_run_is_whole() {
    let mut scene = Scene::new("database-dies");
    for kind in ["mysql", "postgresql"] {
        let fill = match kind {
            "mysql" => "INSERT INTO m SELECT REPEAT('x', 1000) FROM seq_1_to_40000",
            _ => "INSERT INTO m SELECT repeat('x', 1000) FROM generate_series(1, 40000)",
        };
        scene.sql(kind, &format!("CREATE TABLE m (t TEXT); {fill}"));
        let mut child = scene
            .command(&["database", "dump", "one", number(kind)])
            .spawn()
            .expect("hostel can be started");
        let mut output = child.stdout.take().expect("it is piped");
        // The rest waits for who reads it, and so does the server.
        output
            .read_exact(&mut vec![0; 200_000])
            .expect("the dump begins");
        match kind {
            "mysql" => scene.mariadb.kill(),
            _ => scene.postgresql.kill(),
        }
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).expect("the dump ends");
        let ended = child.wait_with_output().expect("it ends");
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert!(
            !ended.status.success(),
            "{kind}: a dump without its end was called whole"
        );
        assert!(
            errors.contains("cannot dump-database in the sandbox of one"),
            "{errors}"
        );
        let (fine, _, errors) = scene.dump(kind);
        assert!(
            !fine && errors.contains("dump ended with"),
            "{kind}: {errors}"
        );
        match kind {
            "mysql" => scene.mariadb.start_again(),
            _ => scene.postgresql.start_again(),
        }
        assert!(scene.must_dump(kind).len() > 40_000_000, "{kind}");
    }
}

#[test]
fn a_site_gets_at_its_own_databases_alone() {
    let mut scene = Scene::new("database-alone");
    let (own, other) = (User::Three.name(), User::Two.name());
    scene.mariadb.ask(
        None,
        "CREATE USER 'app'@'localhost' IDENTIFIED BY 'the secret of three'",
    );
    scene.mariadb.ask(
        None,
        &format!("GRANT ALL ON `{own}`.* TO 'app'@'localhost'"),
    );
    let socket = scene.mariadb.socket.display().to_string();
    let entry = |name: &str, more: &str| {
        format!(
            "[[database]]\nkind = \"mysql\"\nname = \"{name}\"\nsocket = \"{socket}\"\n{more}\n"
        )
    };
    let password = |file: &str| format!("user = \"app\"\npassword_file = \"{file}\"");
    let toml = entry(own, &password("private/right"))
        + &entry(other, "")
        + "[[database]]\nkind = \"sqlite\"\nfile = \"private/link.db\"\n";
    let two = Site::new("two", User::Two)
        .file("private/password", "the secret of three")
        .file(FILE, "");
    scene.instance.add_site(two);
    let wrong = Site::new("wrong", User::Three).toml(&toml);
    let wrong = wrong.file("private/right", "the secret of three\n");
    scene.instance.add_site(wrong);
    scene.instance.write_configuration();
    let home = scene.instance.home("wrong");
    let dump = |number: &str| {
        scene
            .instance
            .command(&["database", "dump", "wrong", number])
    };

    let (fine, output, errors) = dump("1");
    assert!(fine && output.contains("Dump completed"), "{errors}");
    // Another site's database has nothing for this site's user.
    let (fine, _, errors) = dump("2");
    assert!(!fine && errors.contains("denied"), "{errors}");
    // Links lead nowhere that the site itself could not go.
    let foreign = scene.instance.home("two").join("private/password");
    let link = |target: &PathBuf, name: &str| {
        let link = home.join("private").join(name);
        let _ = fs::remove_file(&link);
        symlink(target, link).unwrap();
    };
    link(&foreign, "right");
    let (fine, _, errors) = dump("1");
    assert!(
        !fine && errors.contains("cannot read the password_file"),
        "{errors}"
    );
    link(&scene.instance.home("two").join(FILE), "link.db");
    let (fine, _, errors) = dump("3");
    assert!(!fine, "{errors}");
    link(&PathBuf::from("/etc/shadow"), "right");
    assert!(!dump("1").0);
    // A pipe is not waited for, a wrong password is told and not shown.
    let file = home.join("private/right");
    fs::remove_file(&file).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(&file)
            .status()
            .unwrap()
            .success()
    );
    site::own(&file, User::Three);
    let (fine, _, errors) = dump("1");
    assert!(!fine && errors.contains("is not a file"), "{errors}");
    fs::remove_file(&file).unwrap();
    site::write_as(User::Three, &file, "hunter2 is wrong");
    let (fine, output, errors) = dump("1");
    assert!(!fine && errors.contains("Access denied"), "{errors}");
    assert!(!format!("{output}{errors}").contains("hunter2"), "{errors}");
}

#[test]
fn a_copy_reads_its_own_databases() {
    let mut scene = Scene::new("database-copy");
    let own = User::One.name();
    for kind in KINDS {
        scene.sql(kind, made_of(kind));
    }
    scene.instance.serve();
    let get = |scene: &Scene, site: &str| {
        let response = scene.instance.get(&format!("{site}.test"), "/");
        String::from_utf8_lossy(&response.body).into_owned()
    };
    assert_eq!(
        get(&scene, "one"),
        format!("{own} reads original"),
        "{}",
        scene.instance.logs()
    );
    let name = format!("dc{}", std::process::id());

    // What it would do, and nothing done.
    let (fine, document, errors) = scene.try_clone(&name, &["--dry-run"]);
    let steps = document["steps"].to_string();
    assert!(fine, "{errors}");
    for words in [
        "make the mysql database",
        "make the postgresql database",
        "fill the sqlite database",
    ] {
        assert!(steps.contains(words), "{steps}");
    }
    assert_eq!(scene.traces(&name), ["0", "0", "0", "0"]);

    let (fine, document, errors) = scene.try_clone(&name, &[]);
    assert!(fine, "{document}{errors}");
    let notes = document["notes"].to_string();
    assert!(
        notes.contains(&format!("database '{name}', user '{name}'")),
        "{notes}"
    );
    assert_eq!(scene.traces(&name), ["1", "1", "1", "1"]);
    for kind in KINDS {
        let copy = scene.content(&name, &name, kind);
        let original = scene.content("one", own, kind);
        assert_eq!(copy.replace(&name, own), original, "{kind}");
    }
    // Each writes its own.
    assert_eq!(
        get(&scene, &name),
        format!("{name} reads original"),
        "{}",
        scene.instance.logs()
    );
    scene.sql_of(
        &name,
        &name,
        "mysql",
        "UPDATE things SET s='copied' WHERE id=1",
    );
    assert_eq!(get(&scene, &name), format!("{name} reads copied"));
    assert_eq!(get(&scene, "one"), format!("{own} reads original"));
    // Neither gets at the other's.
    for (site, foreign) in [("one", name.as_str()), (name.as_str(), own)] {
        for kind in ["mysql", "postgresql"] {
            let words = scene.client(site, foreign, kind);
            let (fine, output, errors) = scene.run(&words, "SELECT s FROM things");
            assert!(
                !fine && errors.contains("denied"),
                "{site} in {foreign} of {kind}: {output}{errors}"
            );
        }
    }
    let (fine, document, errors) = scene.try_clone(&name, &[]);
    assert!(fine && document["changed"] == false, "{document}{errors}");

    // It goes with what was made for it, and a dump of each is kept.
    let (fine, output, errors) = scene.instance.command(&["site", "remove", &name, "--json"]);
    assert!(fine, "{output}{errors}");
    let document: Value = serde_json::from_str(&output).expect("a document");
    let archive = PathBuf::from(document["archive"].as_str().expect("an archive"));
    let kept = fs::read_to_string(archive.join(format!("0-mysql-{name}.sql"))).expect("a dump");
    assert!(kept.contains("copied") && kept.contains("-- Dump completed"));
    assert!(
        fs::read(archive.join(format!("1-postgresql-{name}.pgdump")))
            .unwrap()
            .starts_with(b"PGDMP")
    );
    assert_eq!(scene.traces(&name), ["0", "0", "0", "0"]);
    assert_eq!(scene.traces(own), ["1", "1", "1", "1"]);
    assert_eq!(get(&scene, "one"), format!("{own} reads original"));
}

#[test]
fn a_copy_takes_no_database_that_is_there_and_may_do_without() {
    let scene = Scene::new("database-taken");
    for kind in KINDS {
        scene.sql(kind, made_of(kind));
    }
    let name = format!("dt{}", std::process::id());
    scene
        .postgresql
        .ask(None, &format!("CREATE DATABASE {name}"));
    let (fine, document, errors) = scene.try_clone(&name, &[]);
    assert!(
        !fine && errors.contains("exists already"),
        "{document}{errors}"
    );
    assert_eq!(scene.traces(&name), ["0", "0", "1", "0"]);
    assert!(user::ids(&name).is_none(), "a user was made");
    scene.postgresql.ask(None, &format!("DROP DATABASE {name}"));
    scene
        .mariadb
        .ask(None, &format!("CREATE USER {name}@localhost"));
    let (fine, _, errors) = scene.try_clone(&name, &[]);
    assert!(!fine && errors.contains("account"), "{errors}");
    scene
        .mariadb
        .ask(None, &format!("DROP USER {name}@localhost"));
    // Rights that wait for a database of this name.
    let other = User::Two.name();
    scene.mariadb.ask(
        None,
        &format!(
            "GRANT SELECT ON `{}%`.* TO '{other}'@'localhost'",
            &name[..4]
        ),
    );
    let (fine, _, errors) = scene.try_clone(&name, &[]);
    assert!(
        !fine && errors.contains("other accounts have rights"),
        "{errors}"
    );
    assert!(user::ids(&name).is_none(), "a user was made");

    let (fine, document, errors) = scene.try_clone(&name, &["--no-databases"]);
    assert!(fine, "{errors}");
    assert!(
        document["notes"]
            .to_string()
            .contains("no database was copied"),
        "{document}"
    );
    assert!(
        !fs::read_to_string(scene.instance.site_file(&name))
            .unwrap()
            .contains("[[database]]")
    );
    assert_eq!(scene.traces(&name), ["0", "0", "0", "0"]);
    let (fine, output, errors) = scene
        .instance
        .command(&["site", "remove", &name, "--purge"]);
    assert!(fine, "{output}{errors}");
}

#[test]
fn a_new_site_gets_a_database_of_its_own() {
    let instance = Instance::new("database-new");
    let directory = instance.path("databases");
    fs::create_dir_all(&directory).expect("the instance's directory");
    let sockets = directory.join("run");
    let mariadb = Server::mariadb_at(&directory, &sockets, "mysqld.sock");
    instance.write_configuration();
    let name = format!("dn{}", std::process::id());
    // A host on which Debian's MariaDB is the test's own.
    let hostel = |words: &[&str]| {
        let script = "mount --bind \"$1\" /run/mysqld && shift && exec \"$@\"";
        let output = Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                script,
                "sh",
            ])
            .arg(&sockets)
            .arg(instance.program("hostel"))
            .arg("--config")
            .arg(instance.configuration())
            .args(words)
            .stdin(Stdio::null())
            .output()
            .expect("unshare can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let home = instance.home(&name).display().to_string();
    let domain = format!("{name}.test");
    let add = [
        "site",
        "add",
        &name,
        "--domain",
        &domain,
        "--home",
        &home,
        "--database",
        "mysql",
    ];
    let (fine, output, errors) = hostel(&add);
    assert!(fine, "{output}{errors}");
    assert!(
        output.contains(&format!("database '{name}', user '{name}'")),
        "{output}"
    );
    let (fine, output, errors) = hostel(&add);
    assert!(fine && output.contains("nothing to do"), "{output}{errors}");
    let own = ["mariadb", "--no-defaults", &name, "--execute"];
    let statements = "CREATE TABLE t (x INT); SELECT @@character_set_database";
    let words = ["exec", &name, "--"]
        .into_iter()
        .chain(own)
        .chain([statements]);
    let (fine, output, errors) = hostel(&words.collect::<Vec<_>>());
    assert!(fine && output.contains("utf8mb4"), "{output}{errors}");
    // Nothing else.
    let rights = mariadb.ask(None, &format!("SHOW GRANTS FOR '{name}'@'localhost'"));
    assert_eq!(rights.lines().count(), 2, "{rights}");
    assert!(
        rights.contains("GRANT USAGE ON *.*") && rights.contains(&format!("ON `{name}`.*")),
        "{rights}"
    );
    let (fine, output, errors) = hostel(&["database", "list", &name]);
    assert!(
        fine && output.contains(&format!("mysql database '{name}'")),
        "{output}{errors}"
    );
    let (fine, output, errors) = hostel(&["site", "show", &name]);
    assert!(
        fine && output.contains(&format!("mysql database '{name}'")),
        "{output}{errors}"
    );
    let (fine, output, errors) = hostel(&["site", "remove", &name, "--purge"]);
    assert!(fine, "{output}{errors}");
    let left = format!("SELECT COUNT(*) FROM mysql.user WHERE User='{name}'");
    assert_eq!(mariadb.ask(None, &left), "0");
    let left =
        format!("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='{name}'");
    assert_eq!(mariadb.ask(None, &left), "0");
}

#[test]
fn a_copy_that_was_killed_is_completed_by_the_same_command() {
    let scene = Scene::new("database-killed");
    let own = User::One.name();
    for kind in KINDS {
        scene.sql(kind, made_of(kind));
    }
    // An underscore stands for any letter where MariaDB is told who may use which database.
    let name = format!("dk_{}", std::process::id());
    let words = scene.clone_words(&name);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut killed = 0;
    for after in (0..24).map(|step| Duration::from_millis(20 + (step * step * 3))) {
        let mut child = scene
            .command(&words)
            .spawn()
            .expect("hostel can be started");
        std::thread::sleep(after);
        killed += usize::from(matches!(child.try_wait(), Ok(None)));
        // Only a child that was waited for before cannot be killed.
        let _ = child.kill();
        let _ = child.wait();
    }
    assert!(killed > 3, "it was too fast to be killed: {killed}");
    let (fine, document, errors) = scene.try_clone(&name, &[]);
    assert!(fine, "{document}{errors}");
    for kind in KINDS {
        let copy = scene.content(&name, &name, kind);
        assert_eq!(
            copy.replace(&name, own),
            scene.content("one", own, kind),
            "{kind}"
        );
    }
    let rights = format!("SELECT HEX(Db) FROM mysql.db WHERE User='{name}'");
    let hex = |byte: u8| format!("{byte:02X}");
    let escaped: String = name.replace('_', "\\_").bytes().map(hex).collect();
    assert_eq!(scene.mariadb.ask(None, &rights), escaped);
    // So is a removal.
    let words = ["site", "remove", name.as_str()];
    for after in (0..8).map(|step| Duration::from_millis(60 + 100 * step)) {
        let mut child = scene
            .command(&words)
            .spawn()
            .expect("hostel can be started");
        std::thread::sleep(after);
        let _ = child.kill();
        let _ = child.wait();
    }
    let (fine, output, errors) = scene.instance.command(&words);
    // The last of them may have been at its end.
    assert!(
        fine || errors.contains("there is no site"),
        "{output}{errors}"
    );
    assert_eq!(scene.traces(&name), ["0", "0", "0", "0"]);
    assert!(user::ids(&name).is_none());
    let removed = fs::read_dir(scene.instance.path("state/removed"))
        .unwrap()
        .flatten();
    let kept: Vec<_> = removed
        .filter(|entry| entry.path().join(format!("0-mysql-{name}.sql")).exists())
        .collect();
    assert_eq!(kept.len(), 1, "one archive has the dump");
}

/// Who it runs as, and what its database of that name says.
const PAGE: &str = "<?php mysqli_report(MYSQLI_REPORT_OFF); $user = posix_getpwuid(posix_geteuid())['name'];
$database = new mysqli('localhost', $user, '', $user, 0, 'SOCKET');
echo \"$user reads \", $database->connect_error ?? $database->query('SELECT s FROM things WHERE id=1')->fetch_row()[0];";
