//! Tests of hostel-config over real files.

#![forbid(unsafe_code)]

mod bad_cases;
mod good;
mod soundness;
mod system;
