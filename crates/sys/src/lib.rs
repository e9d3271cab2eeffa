//! The kernel, made safe: the only crate besides `hostel-php` that holds `unsafe`.
//!
//! - [`back_off`]: how soon something may be started again; monitor, firewall.
//! - [`beneath`]: look at a path, judge it, read the same inode; monitor, keeper, worker.
//! - [`capabilities`]: what the monitor keeps of root's; monitor, command line.
//! - [`causes`]: an error with all that it comes from; every program that tells one.
//! - [`cgroup`]: control groups, a site's bounds and what it uses; monitor, command line.
//! - [`child`]: start a program, take over its descriptors; keeper, and every program that is given descriptors.
//! - [`clock`]: the time of day as logs have it; monitor.
//! - [`cred`]: users, giving up privileges, the proof of it; every process.
//! - [`fdpass`]: messages with descriptors; every process.
//! - [`front_sandbox`]: what the front denies itself; front.
//! - [`handover`]: becoming another program with open descriptors; monitor.
//! - [`helper`]: a program of the same user that works for this one; monitor.
//! - [`home`]: a site's home, opened safely; monitor, command line.
//! - [`lease`]: whether anybody has a file open; keeper.
//! - [`layers`]: the layers of a sandbox by name; monitor, command line.
//! - [`mail_sandbox`]: what the mail broker denies itself; mail broker.
//! - [`memory_file`]: messages larger than a packet; monitor, command line.
//! - [`process`]: first acts of every program.
//! - [`quota`]: bounds on what is in a directory tree; monitor, command line.
//! - [`ring`]: memory that front and worker share; front, worker, command line.
//! - [`rlimit`]: bounds on single processes; monitor.
//! - [`sandbox`]: Landlock and seccomp for a site; monitor, worker, command line.
//! - [`secure`]: directories that root alone can change; monitor.
//! - [`signal`]: signals as events, reaping; monitor, keeper, zygote.
//! - [`spawn`]: from fork to exec, in numbered steps; monitor.
//! - [`terminal`]: a pseudo-terminal for a site, the administrator's own in raw mode; command line, keeper.
//! - [`view`]: the file system that a site sees; monitor.
//! - [`wait`]: for descriptors and times; monitor, firewall.
//! - [`watch`]: whether what a view was made of was replaced; monitor.
//! - [`way`]: who else can write the directories that lead to a file; keeper, worker.

#![allow(
    unsafe_code,
    reason = "this crate is where the system calls without a safe wrapper live"
)]

mod accounts;
pub mod back_off;
pub mod beneath;
pub mod capabilities;
pub mod causes;
pub mod cgroup;
pub mod child;
pub mod clock;
pub mod cred;
pub mod fdpass;
pub mod front_sandbox;
pub mod handover;
pub mod helper;
pub mod home;
pub mod layers;
pub mod lease;
pub mod mail_sandbox;
pub mod memory_file;
mod mount;
pub mod process;
pub mod quota;
pub mod ring;
pub mod rlimit;
pub mod sandbox;
pub mod secure;
pub mod signal;
pub mod spawn;
pub mod terminal;
pub mod view;
pub mod wait;
pub mod watch;
pub mod way;
