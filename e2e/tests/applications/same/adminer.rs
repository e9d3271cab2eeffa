//! Adminer: log in, tables, rows, edits, statements of one's own, exports.

use std::path::Path;

use hostel_e2e::database::{PASSWORD, require};
use hostel_e2e::{Site, User};

use super::pair::{Answers, Kind, Mark, Pair, with};
use super::{ADMINER_DATABASES, Application, Random, must_say};
use crate::html;

const DOMAIN: &str = "adminer.localhost";
/// Debian's package has all of it in one file.
const PROGRAM: &str = "/usr/share/adminer/adminer.php";

const MARKS: &[Mark] = &[
    // A token of the session, masked anew each time.
    ("name=\"token\" value=\"", Kind::Number),
    ("name='token' value='", Kind::Number),
    ("token=", Kind::Number),
    ("'4.8.1', '?', '", Kind::Number),
    ("&', '", Kind::Number),
    // A word by chance that keeps scripts of others out.
    ("nonce=\"", Kind::Value),
    // How long a statement took.
    ("<span class='time'>(", Kind::Number),
    ("<span class=\"time\">(", Kind::Number),
    // The number of the database's connection.
    ("kill=", Kind::Number),
];

/// The site with Adminer in it.
pub(super) fn site() -> Site {
    require(PROGRAM, "adminer");
    let program = std::fs::read(Path::new(PROGRAM)).expect("it was there a moment ago");
    Site::new("adminer", User::Three)
        .domains(&[DOMAIN])
        .file("public/index.php", program)
}

pub(super) struct Adminer {
    pair: Pair,
    /// Of the database.
    host: String,
    /// Where all of it is.
    here: String,
    rows: usize,
}

impl Adminer {
    pub(super) fn new(ports: [u16; 2], host: &str) -> Self {
        Self {
            pair: Pair::new(DOMAIN, ports, ADMINER_DATABASES, MARKS),
            host: host.to_owned(),
            here: format!("/?server={host}&username=wordpress&db={{db}}"),
            rows: 0,
        }
    }

    fn log_in(&mut self) {
        drop(self.pair.get("/"));
        let host = self.host.clone();
        let inside = self.pair.post("/", |_| {
            let fields = [
                ("auth[driver]", "server"),
                ("auth[server]", host.as_str()),
                ("auth[username]", "wordpress"),
                ("auth[password]", PASSWORD),
                ("auth[db]", "{db}"),
            ];
            with(Vec::new(), &fields)
        });
        must_say(&inside, "Logout");
    }

    fn log_out(&mut self) {
        let here = self.here.clone();
        let page = self.pair.get(&here);
        let outside = self.post(&here, &page, &[("logout", "Logout")]);
        must_say(&outside, "auth[password]");
    }

    /// A form of a page, with its token.
    fn post(&mut self, target: &str, form: &Answers, fields: &[(&str, &str)]) -> Answers {
        let tokens = [0, 1].map(|side| html::field(&form[side].text(), "token"));
        self.pair.post(target, |side| {
            let token = [("token", tokens[side].as_str())];
            with(Vec::new(), &[&token, fields].concat())
        })
    }

    /// A statement, or some.
    fn statement(&mut self, sql: &str) -> Answers {
        let target = format!("{}&sql=", self.here);
        let form = self.pair.get(&target);
        self.post(&target, &form, &[("query", sql), ("limit", "50")])
    }

    fn insert(&mut self) {
        self.rows += 1;
        let target = format!("{}&edit=things", self.here);
        let form = self.pair.get(&target);
        let name = format!("thing {} äöü <b>", self.rows);
        let price = (self.rows % 90).to_string();
        let fields = [
            ("function[id]", ""),
            ("fields[id]", ""),
            ("fields[name]", name.as_str()),
            ("fields[price]", price.as_str()),
            ("insert", "1"),
        ];
        let saved = self.post(&target, &form, &fields);
        must_say(&saved, "has been inserted");
    }

    fn update(&mut self, row: usize) {
        let target = format!("{}&edit=things&where%5Bid%5D={row}", self.here);
        let form = self.pair.get(&target);
        let fields = [("fields[name]", "changed"), ("fields[price]", "7")];
        drop(self.post(&target, &form, &fields));
    }
}

impl Application for Adminer {
    fn name(&self) -> &'static str {
        "Adminer"
    }

    fn prepare(&mut self) {
        self.log_in();
        let made = self.statement(
            "CREATE TABLE things (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(99), price DECIMAL(9,2), KEY (price));
             CREATE TABLE parts (id INT AUTO_INCREMENT PRIMARY KEY, thing INT, FOREIGN KEY (thing) REFERENCES things (id));
             CREATE VIEW cheap AS SELECT * FROM things WHERE price < 10;",
        );
        must_say(&made, "Query executed OK");
        for _ in 0..5 {
            self.insert();
        }
    }

    fn step(&mut self, random: &mut Random) {
        let row = 1 + random.below(self.rows);
        let page = random.below(3);
        let get =
            |this: &mut Self, query: &str| drop(this.pair.get(&format!("{}{query}", this.here)));
        match random.below(16) {
            0 => get(self, ""),
            1 | 2 => get(self, "&select=things"),
            3 => get(self, &format!("&select=things&order%5B0%5D=price&limit=20&page={page}")),
            4 => get(self, &format!("&select=things&where%5B0%5D%5Bcol%5D=id&where%5B0%5D%5Bop%5D=%3C&where%5B0%5D%5Bval%5D={row}")),
            5 => get(self, "&table=things"),
            6 => get(self, "&select=cheap"),
            7 => get(self, "&create=parts"),
            8 => get(self, &format!("&edit=things&where%5Bid%5D={row}")),
            9 => get(self, "&indexes=things"),
            10 => self.insert(),
            11 => self.update(row),
            12 => drop(self.statement(&format!("SELECT SUM(price), COUNT(*) FROM things WHERE id <= {row}; SELECT * FROM nothing; SELECT 1"))),
            13 => drop(self.statement(&format!("SET @a = {row}; CREATE TEMPORARY TABLE t SELECT @a; SELECT * FROM t"))),
            14 => {
                let target = format!("{}&dump=things", self.here);
                let form = self.pair.get(&target);
                let fields = [
                    ("output", "text"),
                    ("format", "sql"),
                    ("table_style", "DROP+CREATE"),
                    ("data_style", "INSERT"),
                    ("tables[]", "parts"),
                    ("data[]", "parts"),
                ];
                drop(self.post(&target, &form, &fields));
            }
            _ => {
                self.log_out();
                self.log_in();
            }
        }
    }

    fn requests(&self) -> usize {
        self.pair.requests
    }
}
