//! Rules for an example of everything, word for word. After a wanted change, `HOSTEL_BLESS=1 cargo test -p hostel-firewall`
//! writes the files anew; read the difference before committing it. Where root may make a network namespace, nft and the kernel
//! are asked what they think of them.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hostel_firewall::names::Granted;
use hostel_firewall::{Table, egress, elements, inbound};
use hostel_wire::egress::{Destination, Egress, Host, Policy, SiteEgress};
use serde_json::Value;

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn table() -> Table {
    Table::egress(Path::new("/run/hostel"))
}

pub(crate) fn site(name: &str, uid: u32, egress: Egress, services: &[&str]) -> SiteEgress {
    SiteEgress {
        name: name.to_owned(),
        uid,
        egress,
        services: services.iter().map(|text| text.parse().unwrap()).collect(),
    }
}

pub(crate) fn listed(places: &[(&str, u16)]) -> Egress {
    let place = |(host, port): &(&str, u16)| Destination {
        host: match host.parse() {
            Ok(address) => Host::Address(address),
            Err(_) => Host::Name((*host).to_owned()),
        },
        port: *port,
    };
    Egress::Listed(places.iter().map(place).collect())
}

pub(crate) fn example() -> Policy {
    let own = ["0.0.0.0:80", "[::]:80", "192.0.2.1:8080", "127.0.0.1:8081"];
    Policy {
        own: own.map(|text| text.parse().unwrap()).into(),
        sites: vec![
            site("all", 1001, Egress::All, &[]),
            site(
                "usual",
                1002,
                Egress::Usual,
                &["127.0.0.1:25", "0.0.0.0:443", "[::]:443", "[::1]:9200"],
            ),
            site("none", 1003, Egress::None, &[]),
            site(
                "listed",
                1004,
                listed(&[
                    ("127.0.0.1", 3306),
                    ("2001:db8::1", 443),
                    ("api.example.org", 443),
                ]),
                &[],
            ),
            // Two of one user: the union holds.
            site("shared-none", 1005, Egress::None, &["127.0.0.1:9200"]),
            site("shared-usual", 1005, Egress::Usual, &["127.0.0.1:25"]),
            site(
                "shared-listed",
                1005,
                listed(&[("169.254.169.254", 80)]),
                &[],
            ),
        ],
    }
}

fn rules() -> Value {
    let granted = |address: IpAddr| Granted {
        uid: 1004,
        address,
        port: 443,
        seconds: 600,
    };
    let granted = [address("203.0.113.7"), address("2001:db8::7")].map(granted);
    let servers = [address("192.0.2.53"), address("2001:db8::53")];
    let mut all = elements::of_policy(&example());
    all.extend(elements::of_network(&servers, &granted));
    egress::shown(&table(), &example().own, &all)
}

/// All that nft could be given, by the name of its file.
fn all() -> Vec<(&'static str, Value)> {
    let inbound_table = Table::inbound(Path::new("/run/hostel"));
    vec![
        ("egress", rules()),
        ("egress-of-nobody", egress::rules(&table(), &[])),
        (
            "inbound",
            inbound::rules(&inbound_table, &example().own, &[22, 2222]),
        ),
        ("inbound-closed", inbound::rules(&inbound_table, &[], &[])),
        ("removal", table().removal()),
    ]
}

#[test]
fn rules_are_as_they_were_read_last() {
    let mut wrong = Vec::new();
    for (name, rules) in all() {
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
        let mut text = String::from("{\"nftables\": [\n");
        let commands: Vec<String> = rules["nftables"]
            .as_array()
            .unwrap()
            .iter()
            .map(Value::to_string)
            .collect();
        text.push_str(&commands.join(",\n"));
        text.push_str("\n]}\n");
        if std::env::var_os("HOSTEL_BLESS").is_some() {
            fs::write(&path, &text).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            wrong.push(path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "differ: {}", wrong.join(", "));
}

#[test]
fn the_kernel_takes_them() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may make a network namespace");
        return;
    }
    let mut script = String::from("set -e; ip link set lo up\n");
    for (number, (name, rules)) in all().into_iter().enumerate() {
        script.push_str(&format!(
            "nft -j -f - <<'END{number}' || {{ echo {name} >&2; exit 1; }}\n{rules}\nEND{number}\n"
        ));
    }
    let mut shell = Command::new("unshare");
    shell
        .args(["--net", "sh", "-c", &script])
        .stdout(Stdio::null());
    let output = shell.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn two_instances_have_two_tables() {
    let other = Table::egress(Path::new("/run/other"));
    assert_ne!(other, table());
    assert_ne!(table(), Table::inbound(Path::new("/run/hostel")));
    // Names of tables are at most 31 bytes for old tools, and never need quotes.
    assert!(
        other.name().len() <= 32
            && other
                .name()
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    );
}
