//! The front over real connections.

mod ahead;
mod bad_input;
mod client;
mod connection;
mod exchange;
mod front;
mod handoff;
mod monitor;
mod mutation;
mod request;
mod server;
mod turns;
