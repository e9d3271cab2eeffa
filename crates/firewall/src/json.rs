//! The parts of rules, in the JSON of nftables (libnftables-json(5)).

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::Table;

/// A transaction under construction: everything in it happens, or nothing.
pub(crate) struct Transaction<'t> {
    table: &'t Table,
    commands: Vec<Value>,
}

impl<'t> Transaction<'t> {
    /// One that puts a new table in the place of an earlier one.
    pub(crate) fn replace(table: &'t Table) -> Self {
        let mut commands = table.removal_commands();
        commands.push(json!({"add": {"table": {"family": "inet", "name": table.name()}}}));
        Self { table, commands }
    }

    fn add(&mut self, kind: &str, mut object: Value) {
        object["family"] = "inet".into();
        object["table"] = self.table.name().into();
        self.commands.push(json!({"add": {kind: object}}));
    }

    /// A chain that rules jump to.
    pub(crate) fn chain(&mut self, name: &str) {
        self.add("chain", json!({"name": name}));
    }

    /// A chain through which packets come.
    pub(crate) fn hook(&mut self, name: &str, hook: &str, policy: &str) {
        self.add(
            "chain",
            json!({"name": name, "type": "filter", "hook": hook, "prio": 0, "policy": policy}),
        );
    }

    /// A set with what is in it; `more` are its further properties.
    pub(crate) fn set(&mut self, name: &str, kind: &Value, more: &Value, elements: Vec<Value>) {
        let mut set = json!({"name": name, "type": kind});
        for (key, value) in more.as_object().into_iter().flatten() {
            set[key] = value.clone();
        }
        if !elements.is_empty() {
            set["elem"] = elements.into();
        }
        self.add("set", set);
    }

    /// A map from a user to the chain for it.
    pub(crate) fn user_map(&mut self, name: &str) {
        self.add(
            "map",
            json!({"name": name, "type": "uid", "map": "verdict"}),
        );
    }

    /// What is in a set, besides what was there.
    pub(crate) fn elements(&mut self, name: &str, elements: Vec<Value>) {
        self.add("element", json!({"name": name, "elem": elements}));
    }

    /// A rule at the end of a chain.
    pub(crate) fn rule<const N: usize>(&mut self, chain: &str, statements: [Value; N]) {
        self.add(
            "rule",
            json!({"chain": chain, "expr": Vec::from(statements)}),
        );
    }

    /// The whole of it.
    pub(crate) fn finish(self) -> Value {
        json!({"nftables": self.commands})
    }
}

pub(crate) fn payload(protocol: &str, field: &str) -> Value {
    json!({"payload": {"protocol": protocol, "field": field}})
}

pub(crate) fn meta(key: &str) -> Value {
    json!({"meta": {"key": key}})
}

pub(crate) fn concat<const N: usize>(parts: [Value; N]) -> Value {
    json!({"concat": Vec::from(parts)})
}

pub(crate) fn equals(left: Value, right: impl Into<Value>) -> Value {
    json!({"match": {"op": "==", "left": left, "right": right.into()}})
}

pub(crate) fn differs(left: Value, right: impl Into<Value>) -> Value {
    json!({"match": {"op": "!=", "left": left, "right": right.into()}})
}

pub(crate) fn one_of(values: impl Into<Value>) -> Value {
    json!({"set": values.into()})
}

/// TCP or UDP, so that what follows may look at ports.
pub(crate) fn has_ports() -> Value {
    equals(meta("l4proto"), one_of(vec!["tcp", "udp"]))
}

/// Leaves through the loopback interface: it stays on this host, whatever address it has.
pub(crate) fn stays_here() -> Value {
    equals(meta("oif"), "lo")
}

pub(crate) fn accept() -> Value {
    json!({"accept": null})
}

pub(crate) fn drop() -> Value {
    json!({"drop": null})
}

pub(crate) fn goto(chain: &str) -> Value {
    json!({"goto": {"target": chain}})
}

pub(crate) fn jump(chain: &str) -> Value {
    json!({"jump": {"target": chain}})
}

/// The two families of addresses: the protocol's name in nftables, its type of address, what ends the names of its sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family {
    pub(crate) protocol: &'static str,
    pub(crate) name: &'static str,
    pub(crate) address: &'static str,
    pub(crate) number: u8,
}

pub(crate) const FAMILIES: [Family; 2] = [
    Family {
        protocol: "ip",
        name: "ipv4",
        address: "ipv4_addr",
        number: 4,
    },
    Family {
        protocol: "ip6",
        name: "ipv6",
        address: "ipv6_addr",
        number: 6,
    },
];

impl Family {
    /// That of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        let [four, six] = FAMILIES;
        if address.is_ipv4() { four } else { six }
    }

    /// Whether an address is one of this family.
    pub(crate) fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self.number == 4)
    }

    /// The name of a set of this family.
    pub(crate) fn set(self, name: &str) -> String {
        format!("{name}{}", self.number)
    }
}
