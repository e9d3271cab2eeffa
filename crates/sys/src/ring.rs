//! Memory that front and worker share: one ring of bytes for requests, one for answers, and how each end waits for the other.
//!
//! Made by the front, which seals the size of the memory before anybody else has it, so that no access can fail; its pages come
//! from the front's own bounds. Each end copies bytes out before it looks at them and judges its copy. The worker is hostile: a
//! position that cannot be is an error of the front's end, and nothing else that the worker writes there is believed. A socket
//! goes with the memory: its end of file tells either end that the other one is gone, which memory cannot.
//!
//! - [`FrontEnd`] never waits; a bell (an eventfd) becomes readable when it is worth to look.
//! - [`WorkerEnd`] waits: at first on a word of the memory, and once it has been idle for a while on the socket, so that an
//!   idle worker costs nothing and notices that the front has died.

mod front;
mod memory;
mod stream;
mod worker;

pub use front::{BadPosition, FrontEnd, Wake};
pub use stream::FrontStream;
pub use worker::{Closed, WorkerEnd};

/// Bytes of requests that can be under way to one worker. A power of two. A usual head has less than one KiB; what is longer comes
/// in pieces.
pub const REQUEST_BYTES: usize = 64 * 1024;
/// Room for requests of which the front is told, where it waits for some: to be told of each byte would cost more than to move it.
pub const ROOM_BYTES: usize = REQUEST_BYTES / 2;
/// Bytes of an answer that can be under way to the front. A power of two: most pages fit whole.
pub const ANSWER_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests;
