//! Gives a table to the kernel, by the program `nft` of Debian's package nftables.
//!
//! Run by `hostel-firewall` and the command line, as root. What is given is one transaction: all of it is in force afterwards,
//! or nothing of it.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Why rules are not in force.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// There is no such program.
    #[error("the program nft is missing (hint: apt-get install nftables)")]
    Missing,
    /// It cannot be run or spoken to.
    #[error("cannot run nft")]
    Run(#[source] io::Error),
    /// It, or the kernel, said no.
    #[error(
        "nft refused the rules: {0} (hint: the kernel needs nf_tables, and root CAP_NET_ADMIN)"
    )]
    Refused(String),
}

/// Put rules in force.
///
/// # Errors
/// See [`NftError`]; nothing has changed then.
pub fn apply(rules: &Value) -> Result<(), NftError> {
    run(rules, &["-j", "-f", "-"])
}

/// Whether nft and the kernel would take rules; changes nothing.
///
/// # Errors
/// See [`NftError`].
pub fn check(rules: &Value) -> Result<(), NftError> {
    run(rules, &["-c", "-j", "-f", "-"])
}

fn run(rules: &Value, arguments: &[&str]) -> Result<(), NftError> {
    let mut child = command(arguments).spawn().map_err(not_run)?;
    if let Some(mut input) = child.stdin.take() {
        // nft reads everything before it does anything. If it has ended instead, it says why.
        match input.write_all(rules.to_string().as_bytes()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(NftError::Run(error)),
        }
    }
    let output = child.wait_with_output().map_err(NftError::Run)?;
    if output.status.success() {
        return Ok(());
    }
    Err(NftError::Refused(first_line(&String::from_utf8_lossy(
        &output.stderr,
    ))))
}

/// The path is fixed: what stands in the environment decides nothing that root runs.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("nft");
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn not_run(error: io::Error) -> NftError {
    match error.kind() {
        io::ErrorKind::NotFound => NftError::Missing,
        _ => NftError::Run(error),
    }
}

/// nft repeats the input below its message, which may be large.
fn first_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty());
    line.unwrap_or("it said nothing")
        .chars()
        .take(300)
        .collect()
}
