//! Where each site may connect to: what the configuration says, the monitor hands on and the firewall turns into rules.
//!
//! The whole of it is one file in memory, since that of a large server fits no message.

use std::net::{IpAddr, SocketAddr};

use crate::codec::{Malformed, Reader, Writer};
use crate::limits;

/// Where a site may connect to, besides Hostel's own ports on this host (wp-cron calls its own site) and its services, which
/// are always among it. Cloud metadata addresses never are, unless listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Egress {
    /// The world but for mail servers (port 25); on this host DNS and the usual databases. The default.
    Usual,
    /// The world, mail servers included; on this host DNS and the usual databases.
    All,
    /// Nowhere else.
    None,
    /// To these places only, in order, none twice; with a name among them, to this host's name servers too.
    Listed(Vec<Destination>),
}

/// A place to connect to: `HOST:PORT` as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// An address, or a name that is resolved while the server runs.
    pub host: Host,
    /// The port, TCP and UDP alike; never 0.
    pub port: u16,
}

/// The host part of a [`Destination`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// An address; never unspecified, never multicast, never IPv4 written as IPv6.
    Address(IpAddr),
    /// A domain name: lower-case, without a dot at its end.
    Name(String),
}

/// What holds for one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteEgress {
    /// The site's name.
    pub name: String,
    /// Its user, by which the kernel knows it. Sites that share a user have the union of what each may.
    pub uid: u32,
    /// Where it may connect to.
    pub egress: Egress,
    /// Services on this host that it may connect to; an unspecified address means every address of this host.
    pub services: Vec<SocketAddr>,
}

/// What holds for all sites of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Where Hostel itself listens: every site may connect there, on this host.
    pub own: Vec<SocketAddr>,
    /// The sites.
    pub sites: Vec<SiteEgress>,
}

impl Egress {
    /// Whether it says less than the world, which only the kernel's packet filter can hold a site to.
    pub fn is_bounded(&self) -> bool {
        match self {
            Self::Usual | Self::All => false,
            Self::None | Self::Listed(_) => true,
        }
    }

    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = (&str, u16)> {
        let listed = match self {
            Self::Listed(places) => places.as_slice(),
            Self::Usual | Self::All | Self::None => &[],
        };
        listed.iter().filter_map(|place| match &place.host {
            Host::Name(name) => Some((name.as_str(), place.port)),
            Host::Address(_) => None,
        })
    }
}

impl Policy {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        write_sockets(&mut w, &self.own);
        w.count(self.sites.len());
        for site in &self.sites {
            w.text(&site.name).u32(site.uid);
            site.egress.encode(&mut w);
            write_sockets(&mut w, &site.services);
        }
        w.finish()
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let own = read_sockets(&mut r, "own addresses")?;
        let count = r.count(limits::SITES_MAX, "sites")?;
        let site = |_| {
            Ok(SiteEgress {
                name: r.text(limits::SITE_NAME_BYTES_MAX, "name")?.to_owned(),
                uid: r.u32("uid")?,
                egress: Egress::decode(&mut r)?,
                services: read_sockets(&mut r, "services")?,
            })
        };
        let sites = (0..count).map(site).collect::<Result<_, _>>()?;
        r.end("egress of all sites")?;
        Ok(Self { own, sites })
    }
}

impl Egress {
    fn encode(&self, w: &mut Writer) {
        match self {
            Self::Usual => {
                w.u8(1);
            }
            Self::All => {
                w.u8(2);
            }
            Self::None => {
                w.u8(3);
            }
            Self::Listed(places) => {
                w.u8(4).count(places.len());
                for place in places {
                    match &place.host {
                        Host::Address(address) => write_address(w.u8(1), *address),
                        Host::Name(name) => {
                            w.u8(2).text(name);
                        }
                    }
                    w.u16(place.port);
                }
            }
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match r.u8("egress")? {
            1 => Self::Usual,
            2 => Self::All,
            3 => Self::None,
            4 => {
                let count = r.count(limits::DESTINATIONS_MAX, "destinations")?;
                let place = |_| {
                    let host = match r.u8("kind of host")? {
                        1 => Host::Address(read_address(r)?),
                        2 => Host::Name(r.text(limits::DOMAIN_BYTES_MAX, "host")?.to_owned()),
                        _ => return Err(Malformed::Value("kind of host")),
                    };
                    let port = r.u16("port")?;
                    Ok(Destination { host, port })
                };
                Self::Listed((0..count).map(place).collect::<Result<_, _>>()?)
            }
            _ => return Err(Malformed::Value("egress")),
        })
    }
}

fn write_sockets(w: &mut Writer, sockets: &[SocketAddr]) {
    w.count(sockets.len());
    for socket in sockets {
        write_address(w, socket.ip());
        w.u16(socket.port());
    }
}

fn read_sockets(r: &mut Reader<'_>, field: &'static str) -> Result<Vec<SocketAddr>, Malformed> {
    let count = r.count(limits::DESTINATIONS_MAX, field)?;
    let socket = |_| Ok(SocketAddr::new(read_address(r)?, r.u16(field)?));
    (0..count).map(socket).collect()
}

pub(crate) fn write_address(w: &mut Writer, address: IpAddr) {
    match address {
        IpAddr::V4(address) => w.u8(4).raw(&address.octets()),
        IpAddr::V6(address) => w.u8(6).raw(&address.octets()),
    };
}

pub(crate) fn read_address(r: &mut Reader<'_>) -> Result<IpAddr, Malformed> {
    match r.u8("kind of address")? {
        4 => Ok(IpAddr::from(r.array::<4>("address")?)),
        6 => Ok(IpAddr::from(r.array::<16>("address")?)),
        _ => Err(Malformed::Value("kind of address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_survives_the_wire() {
        let place = |host, port| Destination { host, port };
        let site = |name: &str, egress| SiteEgress {
            name: name.to_owned(),
            uid: 1001,
            egress,
            services: vec!["[::1]:9200".parse().unwrap()],
        };
        let policy = Policy {
            own: vec!["0.0.0.0:80".parse().unwrap(), "[::]:80".parse().unwrap()],
            sites: vec![
                site("a", Egress::Usual),
                site("b", Egress::All),
                site("c", Egress::None),
                site(
                    "d",
                    Egress::Listed(vec![
                        place(Host::Address("192.0.2.1".parse().unwrap()), 443),
                        place(Host::Name("api.example.org".to_owned()), 443),
                    ]),
                ),
            ],
        };
        let bytes = policy.encode();
        assert_eq!(Policy::decode(&bytes), Ok(policy));
        for cut in 0..bytes.len() {
            assert!(Policy::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
