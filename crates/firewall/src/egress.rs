//! The table that holds each site to its egress setting, and keeps others from what a site listens on.
//!
//! Run by `hostel-firewall` as root, and by the command line to show it. Pure. The kernel knows a site's packets by the user who
//! opened the socket (`meta skuid`), so root, the front and all other users are not concerned. What differs between sites is in
//! sets and one map; the number of rules is fixed. There is no connection tracking: a host that has none shall not get it by
//! installing Hostel, with the bound on connections that comes with it. docs/firewall.md shows the rules and says why they
//! are as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use hostel_wire::egress::{Egress, Host, Policy};
use serde_json::{Value, json};

use crate::Table;
use crate::json::{
    FAMILIES, Family, Transaction, accept, concat, differs, drop, equals, goto, has_ports, jump,
    meta, one_of, payload, stays_here,
};
use crate::metadata;
use crate::names::Granted;

/// The ports of databases on this host that sites reach by default: MariaDB and MySQL, PostgreSQL, Redis, Memcached.
pub const DATABASES: [u16; 4] = [3306, 5432, 6379, 11211];

/// The table for a policy, in the place of an earlier one: what nft is to do, all or nothing.
///
/// `nameservers` are this host's; `granted` the addresses of names.
pub fn rules(table: &Table, policy: &Policy, nameservers: &[IpAddr], granted: &[Granted]) -> Value {
    let users = Users::of(policy);
    let mut transaction = Transaction::replace(table);
    for chain in CHAINS {
        transaction.chain(chain);
    }
    transaction.hook("output", "output", "accept");
    sets(&mut transaction, policy, &users, nameservers, granted);
    output(&mut transaction);
    kinds(&mut transaction);
    common(&mut transaction);
    here(&mut transaction);
    answers(&mut transaction);
    refusal(&mut transaction);
    transaction.finish()
}

/// What changes when names were looked up or the name servers have changed.
pub fn refill(table: &Table, nameservers: &[IpAddr], granted: &[Granted]) -> Value {
    let mut transaction = Transaction::change(table);
    for family in FAMILIES {
        transaction.refill(&family.set("names"), granted_elements(family, granted));
        let servers = addresses(family, nameservers);
        transaction.refill(&family.set("nameservers"), servers);
    }
    transaction.finish()
}

/// What holds for a user: the union of what its sites may.
#[derive(Debug, Default)]
struct Users(BTreeMap<u32, User>);

#[derive(Debug)]
struct User {
    chain: &'static str,
    listed: BTreeSet<(IpAddr, u16)>,
    services: BTreeSet<SocketAddr>,
    has_names: bool,
}

impl Users {
    fn of(policy: &Policy) -> Self {
        let mut users = BTreeMap::new();
        for site in &policy.sites {
            let user: &mut User = users.entry(site.uid).or_insert_with(|| User {
                chain: CLOSED,
                listed: BTreeSet::new(),
                services: BTreeSet::new(),
                has_names: false,
            });
            user.services.extend(&site.services);
            match (&site.egress, user.chain) {
                (Egress::All, _) => user.chain = ALL,
                (Egress::Usual, CLOSED) => user.chain = USUAL,
                (Egress::Usual | Egress::None, _) => {}
                (Egress::Listed(places), _) => {
                    for place in places {
                        match &place.host {
                            Host::Address(address) => {
                                user.listed.insert((*address, place.port));
                            }
                            Host::Name(_) => user.has_names = true,
                        }
                    }
                }
            }
        }
        Self(users)
    }

    /// Elements that begin with the user, of everything that `of` finds about a user.
    fn elements<T>(
        &self,
        of: impl Fn(&User) -> Vec<T>,
        element: impl Fn(u32, T) -> Value,
    ) -> Vec<Value> {
        let found = self.0.iter();
        found
            .flat_map(|(uid, user)| of(user).into_iter().map(|thing| element(*uid, thing)))
            .collect()
    }
}

fn sets(
    transaction: &mut Transaction<'_>,
    policy: &Policy,
    users: &Users,
    nameservers: &[IpAddr],
    granted: &[Granted],
) {
    let chain = |uid, chain: &str| json!([uid, goto(chain)]);
    transaction.user_map("sites", users.elements(|user| vec![user.chain], chain));
    let asking = users.elements(
        |user| if user.has_names { vec![()] } else { Vec::new() },
        |uid, ()| uid.into(),
    );
    transaction.set("asking", &json!("uid"), &json!({}), asking);
    for family in FAMILIES {
        let place = json!(["uid", family.address, "inet_service"]);
        let listed = users.elements(|user| of_family(family, &user.listed), place_element);
        transaction.set(&family.set("listed"), &place, &json!({}), listed);
        let timed = json!({"flags": ["timeout"]});
        let names = granted_elements(family, granted);
        transaction.set(&family.set("names"), &place, &timed, names);
        let servers = addresses(family, nameservers);
        let name = family.set("nameservers");
        transaction.set(&name, &json!(family.address), &json!({}), servers);
        service_sets(transaction, family, policy, users);
    }
    let dynamic = json!({"flags": ["timeout"], "timeout": 10, "size": BEGUN_MAX});
    transaction.set("beginners", &json!("uid"), &dynamic, Vec::new());
}

/// Hostel's own addresses and the services of sites, each with those apart that mean every address of this host.
fn service_sets(transaction: &mut Transaction<'_>, family: Family, policy: &Policy, users: &Users) {
    let plain = json!({});
    let [any, exact] = by_address(family, &policy.own);
    let exact = exact
        .into_iter()
        .map(|(address, port)| json!({"concat": [address, port]}));
    let kind = json!([family.address, "inet_service"]);
    transaction.set(&family.set("own"), &kind, &plain, exact.collect());
    let any = any.into_iter().map(|(_, port)| port.into()).collect();
    transaction.set(
        &family.set("own_ports"),
        &json!("inet_service"),
        &plain,
        any,
    );

    let services = |user: &User| by_address(family, &user.services);
    let exact = |user: &User| {
        let [_, exact] = services(user);
        exact
    };
    let exact = users.elements(exact, place_element);
    let kind = json!(["uid", family.address, "inet_service"]);
    transaction.set(&family.set("services"), &kind, &plain, exact);
    let any = |user: &User| {
        let [any, _] = services(user);
        any
    };
    let element = |uid, (_, port): (IpAddr, u16)| json!({"concat": [uid, port]});
    let any = users.elements(any, element);
    let kind = json!(["uid", "inet_service"]);
    transaction.set(&family.set("service_ports"), &kind, &plain, any);

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

/// The places of a family.
fn of_family<'a>(
    family: Family,
    places: impl IntoIterator<Item = &'a (IpAddr, u16)>,
) -> Vec<(IpAddr, u16)> {
    let all = places.into_iter().copied();
    all.filter(|(address, _)| family.has(*address)).collect()
}

/// Of a family: those that mean every address of this host, and those with an address.
fn by_address<'a>(
    family: Family,
    sockets: impl IntoIterator<Item = &'a SocketAddr>,
) -> [Vec<(IpAddr, u16)>; 2] {
    let places = sockets.into_iter().map(|one| (one.ip(), one.port()));
    let places = places.filter(|(address, _)| family.has(*address));
    let (any, exact) = places.partition(|(address, _)| address.is_unspecified());
    [any, exact]
}

fn place_element(uid: u32, (address, port): (IpAddr, u16)) -> Value {
    json!({"concat": [uid, address, port]})
}

fn addresses(family: Family, all: &[IpAddr]) -> Vec<Value> {
    let unique: BTreeSet<&IpAddr> = all.iter().filter(|one| family.has(**one)).collect();
    unique.into_iter().map(|one| json!(one)).collect()
}

fn granted_elements(family: Family, granted: &[Granted]) -> Vec<Value> {
    let of_family = granted.iter().filter(|one| family.has(one.address));
    of_family
        .map(|one| {
            let place = json!({"concat": [one.uid, one.address, one.port]});
            json!({"elem": {"val": place, "timeout": one.seconds}})
        })
        .collect()
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

/// The chains of kinds of sites: those that may nothing but what is listed, and the two that may more.
const CLOSED: &str = "closed";
const USUAL: &str = "usual";
const ALL: &str = "all";
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
