//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod documents;
pub(crate) mod firewall;
pub(crate) mod import;
pub(crate) mod mail;
pub(crate) mod reload;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod upgrade;
