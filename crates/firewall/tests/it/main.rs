//! The rules as nftables gets them.

#![forbid(unsafe_code)]

mod golden;
mod kernel;
