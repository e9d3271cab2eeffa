//! A configuration of php_fpm, as `hostel import` reads it.
#![no_main]

mod importing;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| importing::run(importing::Server::PhpFpm, input));
