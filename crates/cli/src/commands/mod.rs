//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod firewall;
pub(crate) mod import;
pub(crate) mod serve;
pub(crate) mod status;
