//! Elements of sets, to and from the kernel, by netlink and without nft.
//!
//! Run by `hostel-firewall` and the command line, as root. nft asks the user database for a user of the name `1001` before it takes that
//! for a number: whoever had that name would get the rule of the site with that number, and ten thousand questions take seconds. Here a
//! number is four bytes. The kernel takes a batch as a whole or not at all. The bytes are those of
//! linux/netfilter/{nfnetlink,nf_tables}.h, which is an interface that does not change.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::NETFILTER;
use rustix::net::sockopt::set_socket_send_buffer_size_force;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

use crate::Table;
use crate::elements::{Element, Part, Set};

/// The way to the kernel: opened when it is needed first, and kept. To close one waits until the remains of what was changed are gone,
/// whoever changed it: seconds where the machine is busy, and meanwhile nobody can change anything.
#[derive(Debug, Default)]
pub struct Kernel(Option<OwnedFd>);

/// Changes of a table's elements: all of them, or none.
#[derive(Debug)]
pub struct Batch<'t> {
    table: &'t Table,
    bytes: Vec<u8>,
    /// Where the last message begins; none yet: where the batch does.
    last: usize,
    sequence: u32,
}

impl<'t> Batch<'t> {
    /// Nothing yet.
    pub fn new(table: &'t Table) -> Self {
        let mut bytes = Vec::new();
        message(
            &mut bytes,
            BATCH_BEGIN,
            REQUEST,
            0,
            [0, 0, 0, SUBSYSTEM],
            |_| {},
        );
        Self {
            table,
            bytes,
            last: 0,
            sequence: 0,
        }
    }

    /// Take everything out of a set.
    pub fn clear(&mut self, set: Set) {
        self.set(DELETE_ELEMENTS, REQUEST, set, &[]);
    }

    /// Add elements. One that is there already stays as it is; if it leads to another chain, the batch fails.
    pub fn add<'e>(&mut self, elements: impl IntoIterator<Item = &'e Element>) {
        self.elements(NEW_ELEMENTS, REQUEST | CREATE, elements);
    }

    /// Remove elements. If one is not there, the batch fails.
    pub fn remove<'e>(&mut self, elements: impl IntoIterator<Item = &'e Element>) {
        self.elements(DELETE_ELEMENTS, REQUEST, elements);
    }

    fn elements<'e>(
        &mut self,
        kind: u16,
        flags: u16,
        elements: impl IntoIterator<Item = &'e Element>,
    ) {
        let mut together: Vec<&Element> = Vec::new();
        for element in elements {
            let begins_anew = together
                .first()
                .is_some_and(|first| first.set != element.set);
            if begins_anew || together.len() == TOGETHER {
                self.set_of(kind, flags, &together);
                together.clear();
            }
            together.push(element);
        }
        self.set_of(kind, flags, &together);
    }

    fn set_of(&mut self, kind: u16, flags: u16, elements: &[&Element]) {
        if let Some(first) = elements.first() {
            self.set(kind, flags, first.set, elements);
        }
    }

    fn set(&mut self, kind: u16, flags: u16, set: Set, elements: &[&Element]) {
        self.last = self.bytes.len();
        self.sequence += 1;
        let table = self.table.name();
        message(
            &mut self.bytes,
            SUBSYSTEM_KIND | kind,
            flags,
            self.sequence,
            [INET, 0, 0, 0],
            |bytes| {
                text(bytes, LIST_TABLE, table);
                text(bytes, LIST_SET, &set.name());
                if !elements.is_empty() {
                    attribute(bytes, LIST_ELEMENTS | NESTED, |bytes| {
                        for element in elements {
                            attribute(bytes, ELEMENT | NESTED, |bytes| encode(bytes, element));
                        }
                    });
                }
            },
        );
    }

    /// Put it in force.
    ///
    /// # Errors
    /// The kernel's; nothing has changed then.
    pub fn commit(mut self, kernel: &mut Kernel) -> io::Result<()> {
        if self.sequence == 0 {
            return Ok(());
        }
        // Of the last message the kernel is to say that it is in force, which it says when all are.
        let flags = self.bytes.get_mut(self.last + FLAGS_AT).into_iter();
        flags.for_each(|flags| *flags |= ACKNOWLEDGE);
        message(
            &mut self.bytes,
            BATCH_END,
            REQUEST,
            0,
            [0, 0, 0, SUBSYSTEM],
            |_| {},
        );
        kernel.ask(&self.bytes, self.sequence)
    }
}

/// Whether a table is there.
///
/// # Errors
/// The kernel's; never that the table is missing.
pub fn is_there(table: &Table) -> io::Result<bool> {
    Kernel::default().has(table)
}

impl Kernel {
    /// Whether a table is there.
    ///
    /// # Errors
    /// The kernel's; never that the table is missing.
    pub fn has(&mut self, table: &Table) -> io::Result<bool> {
        let mut bytes = Vec::new();
        let head = [INET, 0, 0, 0];
        message(
            &mut bytes,
            SUBSYSTEM_KIND | GET_TABLE,
            REQUEST | u16::from(ACKNOWLEDGE),
            1,
            head,
            |bytes| {
                text(bytes, TABLE_NAME, table.name());
            },
        );
        match self.ask(&bytes, 1) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn ask(&mut self, bytes: &[u8], last: u32) -> io::Result<()> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = match self.0.take() {
            Some(socket) => socket,
            None => socket_with(
                AddressFamily::NETLINK,
                SocketType::RAW,
                flags,
                Some(NETFILTER),
            )?,
        };
        // A batch is one message, whatever its length.
        set_socket_send_buffer_size_force(&socket, bytes.len() + SLACK)?;
        send(&socket, bytes, SendFlags::empty())?;
        let said = answer(&socket, last)?;
        // Only if everything that it said was heard.
        self.0 = Some(socket);
        said
    }
}

/// What the kernel says of the messages, heard to its end: it has said all when `send` returns. The first refusal counts.
fn answer(socket: &OwnedFd, last: u32) -> io::Result<io::Result<()>> {
    let mut buffer = [0; 4096];
    let (mut is_done, mut refusal) = (false, None);
    loop {
        let bytes = match recv(socket, &mut buffer, RecvFlags::empty()) {
            Ok((_, length)) => buffer.get(..length).unwrap_or(&buffer),
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) if refusal.is_none() && !is_done => {
                return Err(io::Error::other("the kernel does not answer"));
            }
            Err(Errno::AGAIN) => return Ok(refusal.map_or(Ok(()), Err)),
            Err(error) => return Err(error.into()),
        };
        let number = |at: usize| {
            let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
            Some(i32::from_ne_bytes(bytes))
        };
        let kind = bytes.get(KIND_AT..KIND_AT + 2);
        if kind == Some(ERROR.to_ne_bytes().as_slice()) {
            match number(HEAD_BYTES) {
                Some(0) => is_done |= number(SEQUENCE_AT) == i32::try_from(last).ok(),
                Some(code) => {
                    let error = io::Error::from_raw_os_error(code.wrapping_neg());
                    refusal.get_or_insert(error);
                }
                None => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
}

fn encode(bytes: &mut Vec<u8>, element: &Element) {
    attribute(bytes, KEY | NESTED, |bytes| {
        attribute(bytes, VALUE, |bytes| {
            for part in &element.key {
                match part {
                    Part::User(uid) => bytes.extend(uid.to_ne_bytes()),
                    Part::Address(IpAddr::V4(address)) => bytes.extend(address.octets()),
                    Part::Address(IpAddr::V6(address)) => bytes.extend(address.octets()),
                    Part::Port(port) => bytes.extend(port.to_be_bytes()),
                }
                // Each part of a key stands in registers of four bytes. No key of elements is a port alone.
                pad(bytes);
            }
        });
    });
    if let Some(chain) = element.chain {
        attribute(bytes, DATA | NESTED, |bytes| {
            attribute(bytes, VERDICT | NESTED, |bytes| {
                attribute(bytes, VERDICT_CODE, |bytes| {
                    bytes.extend(GOTO.to_be_bytes())
                });
                text(bytes, VERDICT_CHAIN, chain);
            });
        });
    }
    if let Some(seconds) = element.seconds {
        let milliseconds = seconds.saturating_mul(1000);
        attribute(bytes, TIMEOUT, |bytes| {
            bytes.extend(milliseconds.to_be_bytes())
        });
    }
}

fn message(
    bytes: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    head: [u8; 4],
    content: impl FnOnce(&mut Vec<u8>),
) {
    let begin = bytes.len();
    bytes.extend([0; 4]);
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]); // the kernel knows who asks
    bytes.extend(head);
    content(bytes);
    let length = u32::try_from(bytes.len() - begin).unwrap_or(u32::MAX);
    put(bytes, begin, &length.to_ne_bytes());
}

fn attribute(bytes: &mut Vec<u8>, kind: u16, content: impl FnOnce(&mut Vec<u8>)) {
    let begin = bytes.len();
    bytes.extend([0; 2]);
    bytes.extend(kind.to_ne_bytes());
    content(bytes);
    // `TOGETHER` keeps it below the bound; were it not so, the kernel would refuse what does not fit.
    let length = u16::try_from(bytes.len() - begin).unwrap_or(u16::MAX);
    put(bytes, begin, &length.to_ne_bytes());
    pad(bytes);
}

fn text(bytes: &mut Vec<u8>, kind: u16, text: &str) {
    attribute(bytes, kind, |bytes| {
        bytes.extend(text.as_bytes());
        bytes.push(0);
    });
}

/// Everything begins at a multiple of four.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    let place = bytes.iter_mut().skip(at);
    place.zip(value).for_each(|(old, new)| *old = *new);
}

/// Elements in one message: an attribute has at most 64 KiB, an element takes at most 120 bytes.
const TOGETHER: usize = 500;
/// What the kernel counts besides the bytes.
const SLACK: usize = 4096;
/// Of a message's head: its length, its kind, flags, number and sender.
const HEAD_BYTES: usize = 16;
const KIND_AT: usize = 4;
/// The lower byte of the flags.
const FLAGS_AT: usize = if cfg!(target_endian = "big") { 7 } else { 6 };
const SEQUENCE_AT: usize = 8;

const REQUEST: u16 = 1;
const ACKNOWLEDGE: u8 = 4;
const CREATE: u16 = 0x400;
const ERROR: u16 = 2;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// NFNL_SUBSYS_NFTABLES.
const SUBSYSTEM: u8 = 10;
const SUBSYSTEM_KIND: u16 = (SUBSYSTEM as u16) << 8;
const GET_TABLE: u16 = 1;
const NEW_ELEMENTS: u16 = 12;
const DELETE_ELEMENTS: u16 = 14;
/// NFPROTO_INET.
const INET: u8 = 1;
const NESTED: u16 = 0x8000;
const TABLE_NAME: u16 = 1;
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const ELEMENT: u16 = 1;
const KEY: u16 = 1;
const DATA: u16 = 2;
const TIMEOUT: u16 = 4;
const VALUE: u16 = 1;
const VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
/// NFT_GOTO.
const GOTO: i32 = -4;
