//! A hostile site, for the end-to-end tests: it stands where `hostel-php` or `hostel-keeper` does and breaks its word.
//!
//! Runs as a test site's user in its sandbox. What it does is chosen by the path of each request, so one program has every
//! trick. In a home that holds the real program as `honest/PROGRAM` it becomes that one, so that an honest site can live beside
//! it in the same instance. It is not part of the product.

mod keeper;
mod worker;

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use hostel_sys::child::inherited_descriptor;

fn main() -> ExitCode {
    // Process 1 of the namespace is the keeper; the other program is started by it.
    let outcome = if std::process::id() == 1 {
        keeper::run()
    } else {
        zygote()
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hostile program: {error}");
            ExitCode::FAILURE
        }
    }
}

fn zygote() -> io::Result<()> {
    if let Some(home) = std::env::var_os("HOME") {
        become_honest(&Path::new(&home).join("honest/hostel-php"))?;
    }
    worker::run(inherited_descriptor(3)?)
}

/// Become the real program, where the site has it: the control socket still stands where it was given.
fn become_honest(program: &Path) -> io::Result<()> {
    if program.exists() {
        return Err(Command::new(program).exec());
    }
    Ok(())
}
