//! Who withstands what: the same attacks of one site on another, on Hostel, on Apache mpm-itk, and on nginx with one php-fpm
//! pool per user, each as Debian ships it and its manual advises.
//!
//! Runs as root, on loopback. Two users have a site each on each server; the attacker's site is hostile PHP. What counts as
//! success is seen from outside: a secret of the victim in an answer, a line in a log, a process. docs/comparison.md is made of the result
//! with HOSTEL_BLESS=1 and compared with it otherwise; on Hostel nothing may get through.

mod attacks;
mod ground;
mod servers;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use attacks::{ATTACKS, Verdict};
use servers::{Kind, Server};

#[test]
fn attacks_that_pass_elsewhere_end_here() {
    let mut rows: Vec<Vec<Verdict>> = vec![Vec::new(); ATTACKS.len()];
    for kind in Kind::ALL {
        let server = Server::start(kind);
        for (attack, row) in ATTACKS.iter().zip(&mut rows) {
            let verdict = attack.tried_on(&server);
            println!("{:<24} {:<10} {verdict:?}", attack.id, kind.word());
            row.push(verdict);
        }
    }
    for (attack, row) in ATTACKS.iter().zip(&rows) {
        assert_eq!(
            row.last(),
            Some(&Verdict::Stopped),
            "{} on hostel",
            attack.id
        );
    }
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/comparison.md");
    let table = table(&rows);
    if std::env::var_os("HOSTEL_BLESS").is_some() {
        fs::write(&document, &table).expect("docs/comparison.md");
    }
    let written = fs::read_to_string(&document).unwrap_or_default();
    assert_eq!(
        written, table,
        "docs/comparison.md says otherwise; HOSTEL_BLESS=1 writes it anew"
    );
}

fn table(rows: &[Vec<Verdict>]) -> String {
    let mut text = String::from(HEAD);
    for kind in Kind::ALL {
        let _ = write!(text, " | {}", kind.title());
    }
    text.push_str(" |\n| --- | --- | --- | --- |\n");
    for (attack, row) in ATTACKS.iter().zip(rows) {
        let _ = write!(text, "| {}", attack.title);
        for verdict in row {
            let _ = write!(text, " | {}", verdict.in_words());
        }
        text.push_str(" |\n");
    }
    let _ = write!(text, "| **got through, of {}**", ATTACKS.len());
    for (column, _) in Kind::ALL.iter().enumerate() {
        let count = rows
            .iter()
            .filter(|row| row.get(column) == Some(&Verdict::GotThrough))
            .count();
        let _ = write!(text, " | **{count}**");
    }
    text.push_str(" |\n");
    text.push_str(FOOT);
    text
}

const HEAD: &str = "\
# Who withstands what

Written by `e2e/tests/comparison/main.rs` (`HOSTEL_BLESS=1 cargo xtask e2e attacks_that_pass_elsewhere`), which starts the servers from
Debian 12's packages, two users with a site each, and lets the one site attack the other. Success is judged from outside: the victim's
secret in an answer, a line in a log, a process that should not be there.

| attack";

const FOOT: &str = "
How each is set up:

- **Apache mpm-itk**: mod_php, `AssignUserId` per virtual host, homes of mode 0711, as a shared host has them.
- **nginx + php-fpm**: one pool per user beneath one master, sockets of mode 0660 for nginx's user as Debian has them; nginx's group may read
  the files that it is to serve, by which it is let into every site.
- **Hostel**: the same files and modes; nothing set but domain, user, home.

No rule of this comparison is of a kind that a careful administrator of the other two could not add for a single case (an own master per
user, `opcache.validate_permission`, systemd's options, AppArmor). It shows what each gives by itself.
";
