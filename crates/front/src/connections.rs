//! The connections of clients: how many there are, and how many of them one client and one site may have.
//!
//! Used by [`crate::accept`] for each connection and by [`crate::request`] for each request. A client, which is an address or a network of
//! IPv6, may have as many as it leaves free, and so may a site. While few are left, those that nobody uses are asked to
//! end. It trusts nobody, and knows of clients only what the kernel says of their addresses.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::sites::Count;
use crate::supply::{Portion, Supply, Taken};

/// All connections of the server.
pub struct Connections {
    open: Rc<Supply>,
    clients: RefCell<HashMap<IpAddr, Rc<Portion>>>,
    /// All that were ever accepted.
    pub accepted: Count,
    /// Those that were closed at once, for their client had too many.
    pub refused: Count,
    ended: Notify,
    crowd: Notify,
    looked: Cell<Option<Instant>>,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoConnection {
    /// Its client has as many as it leaves to others.
    #[error("its client has as many connections as it leaves to all others")]
    Greedy,
    /// There is no room for anybody.
    #[error("all connections are taken")]
    Full,
}

/// One open connection; dropping it ends the count.
pub struct Connected {
    connections: Rc<Connections>,
    client: IpAddr,
    taken: Option<Taken>,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            open: Supply::new(CONNECTIONS_MAX),
            clients: RefCell::default(),
            accepted: Count::default(),
            refused: Count::default(),
            ended: Notify::new(),
            crowd: Notify::new(),
            looked: Cell::new(None),
        }
    }
}

impl Connections {
    /// Count one more connection of this client for as long as the answer lives.
    ///
    /// # Errors
    /// See [`NoConnection`].
    pub fn enter(self: &Rc<Self>, address: IpAddr) -> Result<Connected, NoConnection> {
        let client = network(address);
        let mut clients = self.clients.borrow_mut();
        let portion = clients.entry(client).or_insert_with(|| self.open.portion());
        let Some(taken) = portion.take(1) else {
            forget_unused(&mut clients, client);
            return Err(match self.open.left() {
                0 | 1 => NoConnection::Full,
                _ => NoConnection::Greedy,
            });
        };
        self.accepted.add(1);
        Ok(Connected {
            connections: Rc::clone(self),
            client,
            taken: Some(taken),
        })
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.taken()
    }

    /// Wait until none is open.
    pub async fn all_ended(&self) {
        while self.open() > 0 {
            self.ended.notified().await;
        }
    }

    /// How long to wait for a client that may be waited for so long: shorter while few connections are left.
    pub(crate) fn patience(&self, patience: Duration) -> Duration {
        if self.open.is_scarce() {
            patience.min(PATIENCE_IN_A_CROWD)
        } else {
            patience
        }
    }

    /// Once a second while few connections are left: whoever waits for a client asks how long it still may.
    pub(crate) async fn crowd(&self) {
        self.crowd.notified().await;
    }

    /// See to who has waited too long, where connections are few.
    pub(crate) fn look(&self) {
        let now = Instant::now();
        let is_due = |looked: Instant| now.duration_since(looked) >= LOOKS;
        if self.open.is_scarce() && self.looked.get().is_none_or(is_due) {
            self.looked.set(Some(now));
            self.crowd.notify_waiters();
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.taken = None;
        forget_unused(&mut self.connections.clients.borrow_mut(), self.client);
        if self.connections.open() == 0 {
            self.connections.ended.notify_one();
        }
    }
}

fn forget_unused(clients: &mut HashMap<IpAddr, Rc<Portion>>, client: IpAddr) {
    if clients
        .get(&client)
        .is_some_and(|portion| portion.taken() == 0)
    {
        clients.remove(&client);
    }
}

/// What counts as one client: a household has all IPv6 addresses of a network of 64 bits.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            std::net::Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

/// Connections of clients that may be open at once: what the budget of 20,000 descriptors leaves besides workers, files kept
/// for sites, logs and spill files.
pub const CONNECTIONS_MAX: usize = 10_000;
/// How long a client without a whole request is waited for while few connections are left.
const PATIENCE_IN_A_CROWD: Duration = Duration::from_secs(5);
/// How often those who wait are asked then.
const LOOKS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn enter_all(connections: &Rc<Connections>, address: &str) -> Vec<Connected> {
        let address = address.parse().unwrap();
        std::iter::from_fn(|| connections.enter(address).ok()).collect()
    }

    #[test]
    fn one_client_has_half_and_others_find_room() {
        let connections = Rc::new(Connections::default());
        let greedy = enter_all(&connections, "192.0.2.1");
        assert_eq!(greedy.len(), CONNECTIONS_MAX / 2);
        let again = connections.enter("192.0.2.1".parse().unwrap());
        assert_eq!(again.err(), Some(NoConnection::Greedy));
        let other = enter_all(&connections, "192.0.2.2");
        assert_eq!(other.len(), CONNECTIONS_MAX / 4);
        drop(greedy);
        assert_eq!(connections.open(), other.len());
        assert!(connections.enter("192.0.2.1".parse().unwrap()).is_ok());
    }

    #[test]
    fn the_addresses_of_one_network_are_one_client() {
        let connections = Rc::new(Connections::default());
        let _greedy = enter_all(&connections, "2001:db8::1");
        let neighbour = connections.enter("2001:db8::2".parse().unwrap());
        assert_eq!(neighbour.err(), Some(NoConnection::Greedy));
        assert!(
            connections
                .enter("2001:db8:0:1::1".parse().unwrap())
                .is_ok()
        );
        assert!(
            connections
                .enter("::ffff:192.0.2.1".parse().unwrap())
                .is_ok()
        );
    }

    #[test]
    fn clients_that_have_left_are_forgotten() {
        let connections = Rc::new(Connections::default());
        for n in 0..100 {
            let address = std::net::Ipv4Addr::new(192, 0, 2, n);
            drop(connections.enter(address.into()));
        }
        assert!(connections.clients.borrow().is_empty());
    }

    #[test]
    fn many_clients_fill_it_and_are_then_waited_for_less_long() {
        let connections = Rc::new(Connections::default());
        let long = Duration::from_secs(60);
        assert_eq!(connections.patience(long), long);
        let addresses = (0..u32::MAX).map(|n| IpAddr::from(std::net::Ipv4Addr::from_bits(n)));
        let mut all = Vec::new();
        for address in addresses {
            match connections.enter(address) {
                Ok(connected) => all.push(connected),
                Err(error) => {
                    assert_eq!(error, NoConnection::Full);
                    break;
                }
            }
        }
        assert_eq!(all.len(), CONNECTIONS_MAX - 1);
        assert_eq!(connections.patience(long), PATIENCE_IN_A_CROWD);
    }
}
