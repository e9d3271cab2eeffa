//! The table that holds each site to its egress setting, and keeps others from what a site listens on.
//!
//! Run by `hostel-firewall` as root, and by the command line to show it. Pure. The kernel knows a site's packets by the user who
//! opened the socket (`meta skuid`), so root, the front and all other users are not concerned. What differs between sites is in
//! sets and one map; the number of rules is fixed. There is no connection tracking: a host that has none shall not get it by
//! installing Hostel, with the bound on connections that comes with it. docs/firewall.md shows the rules and says why they
//! are as they are.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::Table;
use crate::elements::{self, ALL, ASKING, CLOSED, Element, SITES, USUAL};
use crate::json::{
    FAMILIES, Family, Transaction, accept, concat, differs, drop, equals, goto, has_ports, jump,
    meta, one_of, payload, stays_here,
};
use crate::metadata;

/// The ports of databases on this host that sites reach by default: MariaDB and MySQL, PostgreSQL, Redis, Memcached.
pub const DATABASES: [u16; 4] = [3306, 5432, 6379, 11211];

/// The table, in the place of an earlier one, without what differs between sites: what nft is to do, all or nothing.
///
/// What is in it then is [`elements`](crate::elements): as long as there are none, everybody may connect anywhere. `own` is where
/// Hostel itself listens.
pub fn rules(table: &Table, own: &[SocketAddr]) -> Value {
    structure(table, own).finish()
}

/// The whole of it, with its elements: to be read, not to be given to nft.
pub fn shown(table: &Table, own: &[SocketAddr], elements: &BTreeSet<Element>) -> Value {
    let mut transaction = structure(table, own);
    for (name, elements) in elements::as_json(elements) {
        transaction.elements(&name, elements);
    }
    transaction.finish()
}

fn structure<'t>(table: &'t Table, own: &[SocketAddr]) -> Transaction<'t> {
    let mut transaction = Transaction::replace(table);
    for chain in CHAINS {
        transaction.chain(chain);
    }
    transaction.hook("output", "output", "accept");
    sets(&mut transaction, own);
    output(&mut transaction);
    kinds(&mut transaction);
    common(&mut transaction);
    here(&mut transaction);
    answers(&mut transaction);
    refusal(&mut transaction);
    transaction
}

fn sets(transaction: &mut Transaction<'_>, own: &[SocketAddr]) {
    let plain = json!({});
    transaction.user_map(&SITES.name());
    transaction.set(&ASKING.name(), &json!("uid"), &plain, Vec::new());
    for family in FAMILIES {
        let place = json!(["uid", family.address, "inet_service"]);
        let timed = json!({"flags": ["timeout"]});
        transaction.set(&family.set("listed"), &place, &plain, Vec::new());
        transaction.set(&family.set("names"), &place, &timed, Vec::new());
        let name = family.set("nameservers");
        transaction.set(&name, &json!(family.address), &plain, Vec::new());
        own_sets(transaction, family, own);
        transaction.set(&family.set("services"), &place, &plain, Vec::new());
        let kind = json!(["uid", "inet_service"]);
        transaction.set(&family.set("service_ports"), &kind, &plain, Vec::new());
        let kind = json!([
            "uid",
            family.address,
            "inet_service",
            family.address,
            "inet_service"
        ]);
        // A second is the least that nftables keeps an element for; on loopback the answer comes within microseconds.
        let dynamic = json!({"flags": ["timeout"], "timeout": 1, "size": BEGUN_MAX});
        transaction.set(&family.set("begun"), &kind, &dynamic, Vec::new());
    }
    let dynamic = json!({"flags": ["timeout"], "timeout": 10, "size": BEGUN_MAX});
    transaction.set("beginners", &json!("uid"), &dynamic, Vec::new());
}

/// Hostel's own addresses, those apart that mean every address of this host.
fn own_sets(transaction: &mut Transaction<'_>, family: Family, own: &[SocketAddr]) {
    let own = own.iter().filter(|one| family.has(one.ip()));
    let (any, exact): (Vec<_>, Vec<_>) = own.partition(|one| one.ip().is_unspecified());
    let place = |one: &SocketAddr| json!({"concat": [one.ip(), one.port()]});
    transaction.set(
        &family.set("own"),
        &json!([family.address, "inet_service"]),
        &json!({}),
        exact.into_iter().map(place).collect(),
    );
    transaction.set(
        &family.set("own_ports"),
        &json!("inet_service"),
        &json!({}),
        any.into_iter().map(|one| one.port().into()).collect(),
    );
}

/// Every packet that this host sends: those of sites go on in the chain of their kind, all others leave.
fn output(transaction: &mut Transaction<'_>) {
    transaction.rule(
        "output",
        [json!({"vmap": {"key": meta("skuid"), "data": "@sites"}})],
    );
    // An answer that no socket sends is a SYN cookie: the kernel's own, while a listening socket is flooded. A site that
    // floods itself would get by `answer` with it. Whoever really is flooded on loopback is asked again a second later.
    let is_owned = differs(meta("cgroup"), u32::MAX);
    transaction.rule("output", [stays_here(), is_syn_ack(), is_owned, accept()]);
    transaction.rule("output", [stays_here(), is_syn_ack(), drop()]);
}

/// One chain for each kind of site.
fn kinds(transaction: &mut Transaction<'_>) {
    transaction.rule(CLOSED, [jump("common")]);
    transaction.rule(CLOSED, [goto("refuse")]);
    for chain in [USUAL, ALL] {
        transaction.rule(chain, [jump("common")]);
        transaction.rule(chain, [stays_here(), goto("databases")]);
        if chain == USUAL {
            transaction.rule(
                chain,
                [equals(payload("tcp", "dport"), SMTP), goto("refuse")],
            );
        }
        transaction.rule(chain, [goto("world")]);
    }
    let ports = one_of(DATABASES.to_vec());
    transaction.rule(
        "databases",
        [equals(payload("tcp", "dport"), ports), accept()],
    );
    transaction.rule(
        "databases",
        [has_ports(), equals(payload("th", "dport"), DNS), accept()],
    );
    transaction.rule("databases", [goto("refuse")]);
    // DNS first: in some clouds the resolver has the address of the metadata service.
    transaction.rule(
        "world",
        [has_ports(), equals(payload("th", "dport"), DNS), accept()],
    );
    let networks = |list: &[(&str, u8, &str)]| {
        let network = |(address, bits, _): &(&str, u8, &str)| json!({"prefix": {"addr": address, "len": bits}});
        one_of(list.iter().map(network).collect::<Vec<_>>())
    };
    let ipv4 = equals(payload("ip", "daddr"), networks(&metadata::IPV4));
    transaction.rule("world", [ipv4, goto("refuse")]);
    let ipv6 = equals(payload("ip6", "daddr"), networks(&metadata::IPV6));
    transaction.rule("world", [ipv6, goto("refuse")]);
    // What is sent to many comes back to this host's own listeners too.
    let kind = json!({"fib": {"result": "type", "flags": ["daddr"]}});
    let many = one_of(vec!["broadcast", "multicast", "anycast"]);
    transaction.rule("world", [equals(kind, many), goto("refuse")]);
    transaction.rule("world", [accept()]);
}

/// What holds for every site, whatever its kind. Who comes back from here has been neither let through nor refused.
fn common(transaction: &mut Transaction<'_>) {
    // Source routes, with which the address in the head is not where the packet ends.
    let options = differs(payload("ip", "hdrlength"), 5);
    transaction.rule("common", [options, goto("refuse")]);
    let routing = equals(json!({"exthdr": {"name": "rt"}}), true);
    transaction.rule("common", [routing, goto("refuse")]);
    transaction.rule("common", [is_syn_ack(), goto("answer")]);
    for family in FAMILIES {
        transaction.rule(
            "common",
            [
                has_ports(),
                equals(destination(family), at(family, "listed")),
                accept(),
            ],
        );
        let asks = equals(meta("skuid"), "@asking");
        let server = equals(payload(family.protocol, "daddr"), at(family, "nameservers"));
        let dns = equals(payload("th", "dport"), DNS);
        transaction.rule("common", [asks, server, has_ports(), dns, accept()]);
    }
    transaction.rule("common", [stays_here(), goto("here")]);
    for family in FAMILIES {
        // After the rule before: a name never opens anything on this host, whatever address its zone gives it.
        transaction.rule(
            "common",
            [
                has_ports(),
                equals(destination(family), at(family, "names")),
                accept(),
            ],
        );
    }
}

/// What stays on this host.
fn here(transaction: &mut Transaction<'_>) {
    // What follows a handshake. Only those were let begin that may.
    transaction.rule("here", [differs(handshake_flags(), "syn"), accept()]);
    for family in FAMILIES {
        let own = concat([payload(family.protocol, "daddr"), payload("tcp", "dport")]);
        transaction.rule("here", [equals(own, at(family, "own")), accept()]);
        let is_family = || equals(meta("nfproto"), family.name);
        let own_port = equals(payload("tcp", "dport"), at(family, "own_ports"));
        transaction.rule("here", [is_family(), own_port, accept()]);
        transaction.rule(
            "here",
            [
                has_ports(),
                equals(destination(family), at(family, "services")),
                goto("begin"),
            ],
        );
        let port = concat([meta("skuid"), payload("th", "dport")]);
        transaction.rule(
            "here",
            [
                is_family(),
                has_ports(),
                equals(port, at(family, "service_ports")),
                goto("begin"),
            ],
        );
    }
    // A service may be a process of the site itself. So that it can answer, what a site begins is kept in mind for a moment: so
    // little of it that a site cannot fill the set, nor cover many ports at which another user might begin something.
    let tcp = || equals(meta("l4proto"), "tcp");
    let limit = json!({"limit": {"rate": BEGUN_PER_SECOND, "burst": BEGUN_PER_SECOND, "per": "second", "inv": true}});
    let count = json!({"set": {"op": "update", "elem": meta("skuid"), "set": "@beginners", "stmt": [limit]}});
    transaction.rule("begin", [tcp(), count, accept()]);
    for family in FAMILIES {
        let keep = json!({"set": {"op": "update", "elem": flow(family, "saddr", "sport", "daddr", "dport"), "set": at(family, "begun")}});
        transaction.rule("begin", [keep, accept()]);
    }
    transaction.rule("begin", [accept()]);
}

/// A site's socket answers who wants to connect to it.
fn answers(transaction: &mut Transaction<'_>) {
    for family in FAMILIES {
        // The site itself, to one of its services.
        let own = || flow(family, "daddr", "dport", "saddr", "sport");
        let is_own = equals(own(), at(family, "begun"));
        let forget = json!({"set": {"op": "delete", "elem": own(), "set": at(family, "begun")}});
        transaction.rule("answer", [stays_here(), is_own, forget, accept()]);
    }
    // Anybody else: the answer is turned into a refusal, which ends the attempt at once. To reject it would tell the site's socket
    // only, and whoever connects would wait for a minute.
    let refusal =
        json!({"mangle": {"key": payload("tcp", "flags"), "value": {"|": ["rst", "ack"]}}});
    transaction.rule("answer", [refusal, accept()]);
}

/// Refused and not dropped, so that an application learns at once.
fn refusal(transaction: &mut Transaction<'_>) {
    let tcp = equals(meta("l4proto"), "tcp");
    transaction.rule("refuse", [tcp, json!({"reject": {"type": "tcp reset"}})]);
    transaction.rule(
        "refuse",
        [json!({"reject": {"type": "icmpx", "expr": "admin-prohibited"}})],
    );
}

/// The user, the address and the port that a packet goes to.
fn destination(family: Family) -> Value {
    concat([
        meta("skuid"),
        payload(family.protocol, "daddr"),
        payload("th", "dport"),
    ])
}

/// A connection of a user, its ends in this order.
fn flow(family: Family, one: &str, one_port: &str, other: &str, other_port: &str) -> Value {
    concat([
        meta("skuid"),
        payload(family.protocol, one),
        payload("tcp", one_port),
        payload(family.protocol, other),
        payload("tcp", other_port),
    ])
}

fn at(family: Family, set: &str) -> String {
    format!("@{}", family.set(set))
}

fn handshake_flags() -> Value {
    json!({"&": [payload("tcp", "flags"), ["syn", "ack"]]})
}

fn is_syn_ack() -> Value {
    equals(handshake_flags(), vec!["syn", "ack"])
}

const CHAINS: [&str; 10] = [
    CLOSED,
    USUAL,
    ALL,
    "common",
    "databases",
    "world",
    "here",
    "begin",
    "answer",
    "refuse",
];
const SMTP: u16 = 25;
const DNS: u16 = 53;
/// Connections to its own services that a site begins in one second; more work too, where the service is another user's.
const BEGUN_PER_SECOND: u32 = 100;
/// Elements that are kept in mind: enough for hundreds of sites at their rate.
const BEGUN_MAX: u32 = 65_535;
