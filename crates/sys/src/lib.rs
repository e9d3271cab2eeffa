//! The kernel, made safe: the only crate besides `hostel-php` that holds `unsafe`.
//!
//! - [`fdpass`]: messages with descriptors; every process.

#![allow(
    unsafe_code,
    reason = "this crate is where the system calls without a safe wrapper live"
)]

pub mod fdpass;
