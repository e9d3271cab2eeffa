//! The kernel, made safe: the only crate besides `hostel-php` that holds `unsafe`.
//!
//! - [`cred`]: users, giving up privileges, the proof of it; every process.
//! - [`fdpass`]: messages with descriptors; every process.
//! - [`process`]: first acts of every program.

#![allow(
    unsafe_code,
    reason = "this crate is where the system calls without a safe wrapper live"
)]

pub mod cred;
pub mod fdpass;
pub mod process;
