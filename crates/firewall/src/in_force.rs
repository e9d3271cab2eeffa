//! The table of where sites may connect to, as the kernel has it, and how it changes: never to less than what holds.
//!
//! Run by `hostel-firewall` and the command line, as root. nft makes the table, [`kernel`] fills it, so that is two steps. Where there are
//! rules already, they are held by a stand-in of the same content meanwhile: what both tables let through may pass. What changes
//! afterwards are elements, in one batch.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::elements::{Element, network_sets, of_network};
use crate::kernel::{Batch, Kernel};
use crate::names::Granted;
use crate::nft::{self, NftError};
use crate::{Table, egress};

/// Why rules are not in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// nft did not make the table, or did not remove it.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// The kernel did not take what differs between sites.
    #[error("the kernel refused the sets of the rules")]
    Elements(#[source] io::Error),
}

/// What the kernel has, as far as this process put it there.
#[derive(Debug)]
pub struct InForce {
    table: Table,
    held: Option<Held>,
    kernel: Kernel,
}

#[derive(Debug)]
struct Held {
    own: Vec<SocketAddr>,
    elements: BTreeSet<Element>,
}

/// What the network says.
#[derive(Debug, Clone, Copy)]
pub struct Network<'n> {
    /// This host's name servers.
    pub nameservers: &'n [IpAddr],
    /// The addresses of names.
    pub granted: &'n [Granted],
}

impl InForce {
    /// Nothing is known of what the kernel has.
    pub fn new(table: Table) -> Self {
        Self {
            table,
            held: None,
            kernel: Kernel::default(),
        }
    }

    /// Which table it is.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Hostel's `own` addresses and these elements in place of what there is. Only what differs is told to the kernel, if it has the rest.
    ///
    /// # Errors
    /// See [`ApplyError`]; what was in force still is.
    pub fn apply(
        &mut self,
        own: &[SocketAddr],
        elements: BTreeSet<Element>,
        network: Network<'_>,
    ) -> Result<(), ApplyError> {
        // Forgotten first: whatever fails below, the next one begins from nothing.
        let changed = match self.held.take() {
            Some(held) if held.own == own => {
                let mut batch = Batch::new(&self.table);
                batch.remove(held.elements.difference(&elements));
                batch.add(elements.difference(&held.elements));
                fill(&mut batch, network);
                batch.commit(&mut self.kernel).is_ok()
            }
            Some(_) | None => false,
        };
        if !changed {
            self.replace(own, &elements, network)?;
        }
        self.held = Some(Held {
            own: own.to_vec(),
            elements,
        });
        Ok(())
    }

    fn replace(
        &mut self,
        own: &[SocketAddr],
        elements: &BTreeSet<Element>,
        network: Network<'_>,
    ) -> Result<(), ApplyError> {
        let (table, stand_ins) = (&self.table, self.table.stand_ins());
        let kernel = &mut self.kernel;
        let are_there = stand_ins.each_ref().map(|one| may_be_there(kernel, one));
        if may_be_there(kernel, table) || are_there.contains(&true) {
            // One that is there is left: a process that died at this very place may have left no other table that holds.
            let mut free = stand_ins.iter().zip(are_there);
            let free = free.find_map(|(one, is_there)| (!is_there).then_some(one));
            let stand_in = free.unwrap_or(&stand_ins[0]);
            put(stand_in, kernel, own, elements, network)?;
        }
        put(table, kernel, own, elements, network)?;
        remove_stand_ins(table, kernel)
    }

    /// Other name servers, other addresses of names.
    ///
    /// # Errors
    /// The kernel's; nothing has changed then.
    pub fn refill(&mut self, network: Network<'_>) -> io::Result<()> {
        let mut batch = Batch::new(&self.table);
        fill(&mut batch, network);
        batch.commit(&mut self.kernel)
    }

    /// Whether it still is there; somebody may have removed it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn is_there(&mut self) -> io::Result<bool> {
        self.kernel.has(&self.table)
    }

    /// Know nothing of what the kernel has.
    pub fn forget(&mut self) {
        self.held = None;
    }

    /// Take the table away.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub fn remove(mut self) -> Result<(), ApplyError> {
        match nft::apply(&self.table.removal()) {
            Ok(()) => remove_stand_ins(&self.table, &mut self.kernel),
            // There can be no table then.
            Err(NftError::Missing) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Take away what has held in the place of this table while it was made, and was left.
///
/// # Errors
/// nft's.
pub fn remove_stand_ins(table: &Table, kernel: &mut Kernel) -> Result<(), ApplyError> {
    for table in &table.stand_ins() {
        if may_be_there(kernel, table) {
            nft::apply(&table.removal())?;
        }
    }
    Ok(())
}

/// Where nobody can tell, there may be rules.
fn may_be_there(kernel: &mut Kernel, table: &Table) -> bool {
    kernel.has(table).unwrap_or(true)
}

/// Make a table and fill it. In between it lets everything pass, and if it cannot be filled it stays so.
fn put(
    table: &Table,
    kernel: &mut Kernel,
    own: &[SocketAddr],
    elements: &BTreeSet<Element>,
    network: Network<'_>,
) -> Result<(), ApplyError> {
    nft::apply(&egress::rules(table, own))?;
    let mut batch = Batch::new(table);
    batch.add(elements);
    fill(&mut batch, network);
    batch.commit(kernel).map_err(ApplyError::Elements)
}

fn fill(batch: &mut Batch<'_>, network: Network<'_>) {
    network_sets().for_each(|set| batch.clear(set));
    batch.add(&of_network(network.nameservers, network.granted));
}
