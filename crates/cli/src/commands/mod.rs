//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod documents;
pub(crate) mod firewall;
pub(crate) mod serve;
pub(crate) mod status;
