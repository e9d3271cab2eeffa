//! What the kernel has in the end, as nft lists it, in network and mount namespaces of the test's own.

use std::fs;
use std::io::{self, Write};
use std::process::Command;

use hostel_firewall::elements;
use hostel_firewall::in_force::{InForce, Network};
use hostel_firewall::kernel::{Batch, Kernel, is_there};
use hostel_firewall::names::Granted;
use hostel_sys::cred::User;
use hostel_wire::egress::{Egress, Policy};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::golden::{address, example, listed, site, table};

/// Run this test again in namespaces of its own, where root may make some, and there `body`.
fn inside(name: &str, body: impl FnOnce()) {
    if std::env::var_os("HOSTEL_INSIDE").is_some() {
        return body();
    }
    if !rustix::process::geteuid().is_root() {
        // If nobody listens there is nobody to tell.
        let _ = writeln!(io::stderr(), "skipped: only root may make namespaces");
        return;
    }
    let mut again = Command::new("unshare");
    again
        .args(["--net", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("kernel::{name}"), "--nocapture"])
        .env("HOSTEL_INSIDE", "yes");
    assert!(again.status().unwrap().success());
}

fn run(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn apply(rules: &mut InForce, policy: &Policy) {
    let network = Network {
        nameservers: &[address("192.0.2.53")],
        granted: &[],
    };
    let elements = elements::of_policy(policy);
    rules.apply(&policy.own, elements, network).unwrap();
}

/// The whole of the kernel's table. What nft lists has no order, elements within their line as little as lines.
fn listing() -> Vec<String> {
    let listed = run(&format!("nft list table inet {}", table()));
    let words = listed.split([',', '\n', '{', '}']);
    let mut words: Vec<String> = words.map(|word| word.trim().to_owned()).collect();
    words.sort();
    words
}

/// After one policy another one, of a single process.
fn one_after_the_other(policies: &[&Policy]) -> Vec<String> {
    let mut rules = InForce::new(table());
    for policy in policies {
        apply(&mut rules, policy);
    }
    let found = listing();
    rules.remove().unwrap();
    found
}

#[test]
fn a_user_named_like_a_number_gets_no_site_s_rule() {
    inside("a_user_named_like_a_number_gets_no_site_s_rule", || {
        let path = std::env::temp_dir().join(format!("hostel-passwd-{}", std::process::id()));
        let host = fs::read_to_string("/etc/passwd").unwrap();
        fs::write(&path, format!("{host}1003:x:4242:4242::/:/bin/false\n")).unwrap();
        run(&format!("mount --bind {} /etc/passwd", path.display()));
        fs::remove_file(&path).unwrap();
        let named = User::by_name("1003").unwrap().unwrap();
        assert_eq!(named.uid.0, 4242);
        let mut rules = InForce::new(table());
        apply(&mut rules, &example());
        // With the rules in force, and one more site.
        let mut policy = example();
        apply(&mut rules, &policy);
        for _ in 0..2 {
            let sites = run(&format!("nft list map inet {} sites", table()));
            assert!(sites.contains("1003 : goto closed"), "{sites}");
            assert!(!sites.contains("4242"), "{sites}");
            policy.sites.push(site("more", 1099, Egress::None, &[]));
            apply(&mut rules, &policy);
        }
    });
}

#[test]
fn what_changed_is_as_if_it_were_new() {
    inside("what_changed_is_as_if_it_were_new", || {
        let (first, mut second) = (example(), example());
        second.sites.remove(0);
        second.sites[0].egress = Egress::None;
        second.sites[0].services.pop();
        second.sites[2].egress = listed(&[("2001:db8::2", 443), ("other.example", 443)]);
        second
            .sites
            .push(site("new", 1009, Egress::Usual, &["[::1]:25"]));
        let mut third = second.clone();
        third.own.pop();
        for [before, after] in [[&first, &second], [&second, &first], [&second, &third]] {
            assert_eq!(
                one_after_the_other(&[before, after]),
                one_after_the_other(&[after])
            );
        }
    });
}

#[test]
fn a_change_makes_nothing_anew() {
    inside("a_change_makes_nothing_anew", || {
        let mut rules = InForce::new(table());
        let mut policy = example();
        apply(&mut rules, &policy);
        run(&format!("nft add counter inet {} witness", table()));
        policy.sites[0].egress = Egress::None;
        policy.sites.remove(1);
        policy.sites.push(site("new", 1009, Egress::All, &[]));
        apply(&mut rules, &policy);
        let listed = run(&format!("nft list table inet {}", table()));
        assert!(listed.contains("counter witness"), "{listed}");
        assert!(listed.contains("1009 : goto all"), "{listed}");
    });
}

#[test]
fn what_the_kernel_has_otherwise_than_it_was_told_is_made_anew() {
    inside(
        "what_the_kernel_has_otherwise_than_it_was_told_is_made_anew",
        || {
            let expected = one_after_the_other(&[&example()]);
            let nobody = Policy {
                own: example().own,
                sites: Vec::new(),
            };
            let mut rules = InForce::new(table());
            apply(&mut rules, &example());
            run(&format!(
                "nft delete element inet {} sites '{{ 1003 }}'",
                table()
            ));
            apply(&mut rules, &nobody);
            apply(&mut rules, &example());
            assert_eq!(listing(), expected);
            // Another process knows nothing of it, and one may have died while a stand-in held.
            let stand_in = table().name().replace("egress", "standin");
            run(&format!("nft add table inet {stand_in}"));
            apply(&mut InForce::new(table()), &example());
            assert_eq!(listing(), expected);
            assert_eq!(run("nft list tables").lines().count(), 1);
            rules.remove().unwrap();
            assert!(!is_there(&table()).unwrap());
        },
    );
}

/// What `body` gives where nothing can be opened.
fn without_opening<T>(body: impl FnOnce() -> T) -> T {
    let before = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(0),
        maximum: before.maximum,
    };
    setrlimit(Resource::Nofile, none).unwrap();
    let given = body();
    setrlimit(Resource::Nofile, before).unwrap();
    given
}

/// Whoever closes a socket to the packet filter waits until the kernel has taken apart what was removed before: seconds, in which
/// the firewall would take no new rules, and sites could not start.
#[test]
fn whether_rules_are_there_is_asked_without_another_socket() {
    inside(
        "whether_rules_are_there_is_asked_without_another_socket",
        || {
            let mut rules = InForce::new(table());
            apply(&mut rules, &example());
            assert!(without_opening(|| rules.is_there()).unwrap());
            run(&format!("nft delete table inet {}", table()));
            // After a refusal, too.
            for _ in 0..2 {
                assert!(!without_opening(|| rules.is_there()).unwrap());
            }
            rules.forget();
            apply(&mut rules, &example());
            assert!(without_opening(|| rules.is_there()).unwrap());
        },
    );
}

#[test]
fn many_sites_fit_one_batch_and_a_batch_is_all_or_nothing() {
    inside(
        "many_sites_fit_one_batch_and_a_batch_is_all_or_nothing",
        || {
            let sites = 100_000..120_000;
            let policy = Policy {
                own: Vec::new(),
                sites: sites
                    .map(|uid| site("s", uid, Egress::Usual, &["127.0.0.1:1", "[::1]:1"]))
                    .collect(),
            };
            let mut rules = InForce::new(table());
            apply(&mut rules, &policy);
            let count = || {
                let listed = run(&format!("nft list map inet {} sites", table()));
                listed.matches("goto").count()
            };
            assert_eq!(count(), 20_000);
            let mut batch = Batch::new(rules.table());
            let one = elements::of_policy(&Policy {
                own: Vec::new(),
                sites: vec![site("s", 100_000, Egress::Usual, &[])],
            });
            batch.remove(&one);
            batch.remove(&one);
            assert!(batch.commit(&mut Kernel::default()).is_err());
            assert_eq!(count(), 20_000);
        },
    );
}

#[test]
fn names_run_out() {
    inside("names_run_out", || {
        let mut rules = InForce::new(table());
        apply(&mut rules, &example());
        let granted = |text: &str| Granted {
            uid: 1004,
            address: address(text),
            port: 443,
            seconds: 600,
        };
        for texts in [
            ["203.0.113.7", "2001:db8::7"],
            ["203.0.113.7", "2001:db8::7"],
            ["203.0.113.8", "2001:db8::8"],
        ] {
            let network = Network {
                nameservers: &[address("192.0.2.53")],
                granted: &texts.map(granted),
            };
            rules.refill(network).unwrap();
            for (set, text) in ["names4", "names6"].into_iter().zip(texts) {
                let found = run(&format!("nft list set inet {} {set}", table()));
                assert_eq!(found.matches("timeout 10m").count(), 1, "{found}");
                assert!(found.contains(&format!("1004 . {text} . 443")), "{found}");
            }
        }
    });
}
