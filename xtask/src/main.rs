//! The logic behind `make`: sets a machine up, checks, tests, demonstrates, measures.
//!
//! Run by a developer or by CI, as root or as somebody who may use sudo; it says each command before it runs it. It trusts the
//! repository that it stands in. It is no part of the product.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a person at a terminal"
)]

mod bench;
mod check;
mod deb;
mod demo;
mod docs;
mod e2e;
mod php_modules;
mod run;
mod setup;
mod tidy;
mod vm;

use std::process::ExitCode;

use run::Failure;

const HELP: &str = "\
Usage: cargo xtask WORD

  setup demo|test|bench|vm  install what the word needs on Debian 12, and create the user hostel
  check                   format, clippy, unit tests, tidy
  tidy                    the project's own rules, alone
  docs                    write docs/config.md anew
  e2e [filter]            build release programs, run the end-to-end tests as root
  fresh [filter]          the tests of fresh requests with as many requests as it takes to trust them
  vm [suite [test]]       run the isolation tests on Debian's kernel in a virtual machine
  deb [--version V]       build the Debian package, into target/deb
  demo                    serve two demo sites on loopback, until Ctrl-C
  demo-clean              remove what the demo made
  bench [options]         measure Hostel beside Apache and nginx; see bench/README.md
  soak [options]          mixed load for an hour, and whether memory and descriptors stay flat
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["setup", word] => setup::run(word),
        ["check"] => check::run(),
        ["tidy"] => tidy::run(),
        ["docs"] => docs::write(),
        ["e2e", filter @ ..] => e2e::run(filter),
        ["fresh", filter @ ..] => e2e::run_fresh(filter),
        ["vm", filter @ ..] => vm::run(filter),
        ["deb", options @ ..] => deb::run(options),
        ["demo"] => demo::run(),
        ["demo-serve", programs] => demo::serve(programs.as_ref()),
        ["demo-clean"] => demo::clean(),
        ["bench", options @ ..] => bench::run(options),
        ["soak", options @ ..] => bench::run(&[&["--soak"], options].concat()),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(Failure(format!(
            "no such word: {}\n\n{HELP}",
            arguments.join(" ")
        ))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(why)) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
