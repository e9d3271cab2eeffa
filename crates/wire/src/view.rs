//! Paths inside a site's view that more than one program must agree on.
//!
//! The monitor mounts them, the keeper and PHP use them.

/// Where `hostel-keeper` and `hostel-php` stand, read-only.
pub const PROGRAMS: &str = "/run/hostel/bin";
/// The program that `hostel audit` and `hostel site` start in the keeper's place, in their own instances of a sandbox alone.
pub const INSTEAD: &str = "/run/hostel/bin/hostel";
/// A tiny tmpfs of the site's own for OPcache's lock file: with a full /tmp PHP would not start.
pub const LOCKS: &str = "/run/hostel/lock";
/// PHP sessions of this site alone, at Debian's usual path.
pub const SESSIONS: &str = "/var/lib/php/sessions";
/// OPcache's file cache of this site alone, which outlives the site's sleep.
pub const OPCACHE: &str = "/var/lib/php/opcache";
/// Temporary files of this site alone, uploads among them.
pub const TEMPORARY: &str = "/tmp";

/// Where `hostel prove` has its attack scripts in the sandboxes that it starts. It does not exist in those that serve visitors.
pub const PROVE: &str = "/run/hostel/prove";

/// The descriptor on which keeper and zygote find their control socket after exec: the keeper the monitor's, the zygote the
/// keeper's.
pub const CONTROL_DESCRIPTOR: i32 = 3;
