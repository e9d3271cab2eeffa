//! `hostel-probe`: the attacks of `hostel prove` that PHP has no words for.
//!
//! Run by `hostel prove` inside a sandbox of an attacking site, as that site's user; in tests also in sandboxes that lack
//! layers, and then even as root. It is the attacker, so it trusts nothing and nobody believes it: `prove` judges by what is
//! seen from outside, or by the kernel's errno where a call leaves no trace. It is harmless where it gets through: calls
//! that would change the machine are given arguments that fail after the permission check, loads are bounded by their
//! arguments and end with it, and no signal goes to more than one process.
//!
//! `hostel-probe NAME [ARGUMENT…]` tries one attack, prints one line as the suite's PHP scripts do and ends with 0 (it succeeded), 1
//! (it was stopped) or 2 (it could not be tried). `hostel-probe` alone lists the names.
//!
//! - `attacks`: the table of names. `arguments`, `outcome`: what goes in and comes out. `call`: system calls as they are.
//! - one file per family: `trace`, `namespaces`, `mounts`, `privileges`, `keys`, `machine`, `surface`, `schedule`, `signals`,
//!   `sockets`, `ipc`, `files`, `resources`. `target`: the processes of a sandbox by their part in it.

#![expect(unsafe_code, reason = "an attack makes the kernel's calls as they are")]
#![expect(
    clippy::print_stdout,
    reason = "a line on standard output is this program's answer"
)]

mod arguments;
mod attacks;
mod call;
mod files;
mod ipc;
mod keys;
mod machine;
mod mounts;
mod namespaces;
mod outcome;
mod privileges;
mod resources;
mod schedule;
mod signals;
mod sockets;
mod surface;
mod target;
mod trace;

use std::process::ExitCode;

use arguments::Arguments;
use outcome::Outcome;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, arguments)) = words.split_first() else {
        for attack in attacks::ALL {
            println!("{} {}", attack.name, attack.arguments);
        }
        return ExitCode::SUCCESS;
    };
    let outcome = match attacks::ALL.iter().find(|attack| attack.name == name) {
        Some(attack) => match (attack.run)(&Arguments(arguments)) {
            Ok(got) => Outcome::Got(got),
            Err(outcome) => outcome,
        },
        None => Outcome::Impossible(format!("there is no attack {name}")),
    };
    println!("{}", outcome.line(&words.join(" ")));
    outcome.status()
}
