//! The front over real connections.

mod bad_input;
mod client;
mod connection;
mod mutation;
mod server;
