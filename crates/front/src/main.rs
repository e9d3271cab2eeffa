//! `hostel-front`: adopt the monitor's socket, prove to be unprivileged, serve.

fn main() {}
