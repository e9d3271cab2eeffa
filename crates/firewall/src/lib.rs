//! The packet filter's rules: where each site may connect to, and which ports of this host are open.
//!
//! Linked into `hostel-firewall`, which keeps the rules in force while the server runs, and into the command line, which shows
//! them. Everything but [`nft`], [`kernel`] and [`in_force`] is pure: what is configured in, the JSON of nftables out. It trusts the checked configuration,
//! and takes addresses of names for what somebody on the network claims ([`claims`]). It never touches another table.
//!
//! - [`egress`]: the table that holds sites to their setting; `metadata`: addresses that give secrets of a cloud away.
//! - [`elements`]: what is in its sets, which is all that differs between sites.
//! - [`inbound`]: the table of open ports.
//! - [`names`]: which names are to be asked for, when, and what was found.
//! - [`nameservers`]: those of this host, which sites with names in their lists may ask.
//! - [`in_force`]: keeps both in the kernel, [`nft`] the table and [`kernel`] its elements. `json`: the parts of rules.

#![forbid(unsafe_code)]

pub mod claims;
pub mod egress;
pub mod elements;
pub mod in_force;
pub mod inbound;
mod json;
pub mod kernel;
mod metadata;
pub mod names;
pub mod nameservers;
pub mod nft;

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde_json::{Value, json};

/// A table of an instance's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table(String);

impl Table {
    /// The table of where sites may connect to, of the instance with this directory of its status socket.
    pub fn egress(run: &Path) -> Self {
        Self(format!("hostel_egress_{:016x}", hash(run)))
    }

    /// The table of open ports of that instance.
    pub fn inbound(run: &Path) -> Self {
        Self(format!("hostel_inbound_{:016x}", hash(run)))
    }

    /// The tables of which one holds the sites while this one is made anew.
    pub(crate) fn stand_ins(&self) -> [Self; 3] {
        ["standin", "standin2", "standin3"].map(|word| Self(self.0.replacen("egress", word, 1)))
    }

    /// Its name; the family is `inet`.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// What removes it, whether or not it is there.
    pub fn removal(&self) -> Value {
        json!({"nftables": self.removal_commands()})
    }

    /// Adding what is there already changes nothing, so the removal that follows finds it in any case.
    fn removal_commands(&self) -> Vec<Value> {
        let table = json!({"table": {"family": "inet", "name": self.0}});
        vec![json!({"add": table}), json!({"delete": table})]
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// FNV-1a: short, and the same in every program and version. Who chooses the path is the administrator, so nobody makes collisions.
fn hash(run: &Path) -> u64 {
    let bytes = run.as_os_str().as_bytes().iter();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
