//! The language between Hostel's processes.
//!
//! Every process links it; it is pure: no I/O, no `unsafe`, no dependency. It trusts nothing: every decoder is bounded and
//! answers bytes that do not fit with an error, never with a panic. All programs of one installation are of one version, so
//! the language has no version of its own.
//!
//! ```text
//! monitor ──front_monitor──▶ front         settings, sockets, logs, the table of sites, a site's keeper
//! monitor ◀──front_monitor── front         eight questions of five bytes
//! monitor ──monitor_keeper─▶ keeper        settings, a front, stop; one way
//! front   ──front_keeper───▶ keeper        what is at this path, one more worker
//! front   ◀──front_keeper─── keeper        a file, a script, a worker died
//! keeper  ──keeper_zygote──▶ zygote        settings, fork, kill
//! keeper  ◀──keeper_zygote── zygote        forked, died
//! front   ──front_worker───▶ worker        a request
//! front   ◀──front_worker─── worker        its answer
//! monitor ◀─monitor_firewall▶ firewall     where sites may connect to; it is in force
//! hostel  ◀──────admin─────▶ monitor      reload, upgrade; what came of it
//! monitor ───takeover─────▶ monitor        what one program of it hands to the next
//! monitor ◀──monitor_jobs──▶ jobs          run what the configuration says; what a job writes
//! firewall ◀firewall_resolver▶ resolver    which addresses has this name
//! monitor ──monitor_mail───▶ mail          where mail goes, who may send how much; one way
//! site    ◀─────mail───────▶ mail          a message; accepted, or why not
//! ```

#![forbid(unsafe_code)]

pub mod admin;
pub mod codec;
pub mod egress;
pub mod firewall_resolver;
pub mod fresh;
pub mod front_keeper;
pub mod front_monitor;
pub mod front_worker;
pub mod keeper_zygote;
pub mod limits;
pub mod mail;
pub mod monitor_firewall;
pub mod monitor_jobs;
pub mod monitor_keeper;
pub mod monitor_mail;
pub mod takeover;
pub mod view;
