//! The table of open ports: what reaches this host from outside.
//!
//! Run by the command line as root, on demand only (`hostel firewall apply`). Pure. It tracks connections, as every such
//! firewall does: what this host has begun is answered.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::Table;
use crate::json::{FAMILIES, Transaction, accept, concat, drop, equals, meta, one_of, payload};

/// The table, in the place of an earlier one: Hostel's own addresses and these TCP ports are open, all else is closed.
pub fn rules(table: &Table, own: &[SocketAddr], open_ports: &[u16]) -> Value {
    let mut transaction = Transaction::replace(table);
    transaction.hook("input", "input", "drop");
    essentials(&mut transaction);
    ports(&mut transaction, own, open_ports);
    transaction.finish()
}

/// What a host needs to use the network.
fn essentials(transaction: &mut Transaction<'_>) {
    let state = |names: Value| json!({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": names}});
    transaction.rule(
        "input",
        [state(json!(["established", "related"])), accept()],
    );
    transaction.rule("input", [state(json!("invalid")), drop()]);
    transaction.rule("input", [equals(meta("iif"), "lo"), accept()]);
    let icmp = one_of(ICMP.to_vec());
    transaction.rule("input", [equals(payload("icmp", "type"), icmp), accept()]);
    let icmpv6 = one_of(ICMPV6.to_vec());
    transaction.rule(
        "input",
        [equals(payload("icmpv6", "type"), icmpv6), accept()],
    );
    // Neighbours speak with the greatest hop limit: nobody from beyond a router can.
    let neighbours = one_of(NEIGHBOURS.to_vec());
    let near = equals(payload("ip6", "hoplimit"), 255);
    transaction.rule(
        "input",
        [
            near,
            equals(payload("icmpv6", "type"), neighbours),
            accept(),
        ],
    );
    // DHCP: answers come to a broadcast, or from a server that was not asked, which is no answer to connection tracking.
    transaction.rule(
        "input",
        [
            equals(payload("udp", "sport"), 67),
            equals(payload("udp", "dport"), 68),
            accept(),
        ],
    );
    let local = json!({"prefix": {"addr": "fe80::", "len": 10}});
    transaction.rule(
        "input",
        [
            equals(payload("ip6", "saddr"), local),
            equals(payload("udp", "dport"), 546),
            accept(),
        ],
    );
}

fn ports(transaction: &mut Transaction<'_>, own: &[SocketAddr], open_ports: &[u16]) {
    let open: BTreeSet<u16> = open_ports.iter().copied().collect();
    if !open.is_empty() {
        let ports = one_of(open.into_iter().collect::<Vec<_>>());
        transaction.rule("input", [equals(payload("tcp", "dport"), ports), accept()]);
    }
    for family in FAMILIES {
        let reachable = own
            .iter()
            .copied()
            .filter(|one| family.has(one.ip()) && !one.ip().is_loopback());
        let (any, exact): (Vec<SocketAddr>, Vec<SocketAddr>) =
            reachable.partition(|one| one.ip().is_unspecified());
        if !any.is_empty() {
            let ports = one_of(any.into_iter().map(|one| one.port()).collect::<Vec<_>>());
            transaction.rule(
                "input",
                [
                    equals(meta("nfproto"), family.name),
                    equals(payload("tcp", "dport"), ports),
                    accept(),
                ],
            );
        }
        if !exact.is_empty() {
            let element = |one: SocketAddr| json!({"concat": [one.ip(), one.port()]});
            let places = one_of(exact.into_iter().map(element).collect::<Vec<_>>());
            let place = concat([payload(family.protocol, "daddr"), payload("tcp", "dport")]);
            transaction.rule("input", [equals(place, places), accept()]);
        }
    }
}

/// What a host must hear to use the network well, and the question whether it is there.
const ICMP: [&str; 4] = [
    "destination-unreachable",
    "time-exceeded",
    "parameter-problem",
    "echo-request",
];
const ICMPV6: [&str; 6] = [
    "destination-unreachable",
    "packet-too-big",
    "time-exceeded",
    "parameter-problem",
    "echo-request",
    "mld-listener-query",
];
/// Without these IPv6 does not work at all.
const NEIGHBOURS: [&str; 3] = [
    "nd-router-advert",
    "nd-neighbor-solicit",
    "nd-neighbor-advert",
];
