//! What is in the sets and the map of the table: what differs from site to site.
//!
//! Run by `hostel-firewall` as root, and by the command line. Pure. Users are numbers here and stay numbers: elements go to the kernel by
//! [`kernel`](crate::kernel) and not by nft, which takes the number 1001 for the user of that name where there is one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use hostel_wire::egress::{Egress, Host, Policy};
use serde_json::{Value, json};

use crate::json::{FAMILIES, Family};
use crate::names::Granted;

/// An element of a set or of a map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// Where it belongs.
    pub set: Set,
    /// What it is found by.
    pub key: Vec<Part>,
    /// The chain that a map leads to.
    pub chain: Option<&'static str>,
    /// After how many seconds it is gone.
    pub seconds: Option<u64>,
}

/// A set, by its name; some exist once for each family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Set(&'static str, Option<u8>);

/// A part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A user.
    User(u32),
    /// An address.
    Address(IpAddr),
    /// A port.
    Port(u16),
}

impl Set {
    /// The set of this name of a family.
    pub(crate) fn of(family: Family, name: &'static str) -> Self {
        Self(name, Some(family.number))
    }

    /// Its name in the table.
    pub fn name(self) -> String {
        match self {
            Self(name, Some(family)) => format!("{name}{family}"),
            Self(name, None) => name.to_owned(),
        }
    }
}

/// What the configuration says.
pub fn of_policy(policy: &Policy) -> BTreeSet<Element> {
    let mut found = BTreeSet::new();
    let mut add = |set, key: &[Part], chain| {
        found.insert(Element {
            set,
            key: key.to_vec(),
            chain,
            seconds: None,
        });
    };
    for (uid, user) in users(policy) {
        let uid = Part::User(uid);
        add(SITES, &[uid], Some(user.chain));
        if user.has_names {
            add(ASKING, &[uid], None);
        }
        for (address, port) in user.listed {
            let set = Set::of(Family::of(address), "listed");
            add(set, &[uid, Part::Address(address), Part::Port(port)], None);
        }
        for service in user.services {
            let (family, port) = (Family::of(service.ip()), Part::Port(service.port()));
            if service.ip().is_unspecified() {
                add(Set::of(family, "service_ports"), &[uid, port], None);
            } else {
                let key = [uid, Part::Address(service.ip()), port];
                add(Set::of(family, "services"), &key, None);
            }
        }
    }
    found
}

/// What the network says: this host's name servers, and the addresses of names. The sets are [`network_sets`].
pub fn of_network(nameservers: &[IpAddr], granted: &[Granted]) -> BTreeSet<Element> {
    let servers = nameservers.iter().map(|address| Element {
        set: Set::of(Family::of(*address), "nameservers"),
        key: vec![Part::Address(*address)],
        chain: None,
        seconds: None,
    });
    let granted = granted.iter().map(|one| Element {
        set: Set::of(Family::of(one.address), "names"),
        key: vec![
            Part::User(one.uid),
            Part::Address(one.address),
            Part::Port(one.port),
        ],
        chain: None,
        seconds: Some(one.seconds),
    });
    servers.chain(granted).collect()
}

/// The sets of which [`of_network`] has all elements.
pub fn network_sets() -> impl Iterator<Item = Set> {
    let sets = |family| ["names", "nameservers"].map(|name| Set::of(family, name));
    FAMILIES.into_iter().flat_map(sets)
}

/// As nft writes them: each set with its elements. To be read, not to be given to nft.
pub fn as_json(elements: &BTreeSet<Element>) -> BTreeMap<String, Vec<Value>> {
    let mut found = BTreeMap::<String, Vec<Value>>::new();
    for element in elements {
        let parts = element.key.iter().map(|part| match part {
            Part::User(uid) => json!(uid),
            Part::Address(address) => json!(address),
            Part::Port(port) => json!(port),
        });
        let mut parts: Vec<Value> = parts.collect();
        let mut value = match parts.len() {
            1 => parts.swap_remove(0),
            _ => json!({"concat": parts}),
        };
        if let Some(seconds) = element.seconds {
            value = json!({"elem": {"val": value, "timeout": seconds}});
        }
        if let Some(chain) = element.chain {
            value = json!([value, {"goto": {"target": chain}}]);
        }
        found.entry(element.set.name()).or_default().push(value);
    }
    found
}

/// What holds for a user: the union of what its sites may.
#[derive(Debug)]
struct User {
    chain: &'static str,
    listed: BTreeSet<(IpAddr, u16)>,
    services: BTreeSet<SocketAddr>,
    has_names: bool,
}

fn users(policy: &Policy) -> BTreeMap<u32, User> {
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
    users
}

/// The map from a user to the chain for it.
pub(crate) const SITES: Set = Set("sites", None);
/// The users that have a name in their list.
pub(crate) const ASKING: Set = Set("asking", None);
/// The chains of kinds of sites: those that may nothing but what is listed, and the two that may more.
pub(crate) const CLOSED: &str = "closed";
pub(crate) const USUAL: &str = "usual";
pub(crate) const ALL: &str = "all";
