//! Paths inside a site's view that more than one program must agree on.
//!
//! The monitor mounts them, the keeper and PHP use them.

/// Where `hostel-keeper` and `hostel-php` stand, read-only.
pub const PROGRAMS: &str = "/run/hostel/bin";
/// The program that `hostel audit` and `hostel site` start in the keeper's place, in their own instances of a sandbox alone.
pub const INSTEAD: &str = "/run/hostel/bin/hostel";
/// The name by which `hostel-keeper` runs a command as process 1: `hostel-runner WITH_TERMINAL|WITHOUT_TERMINAL COMMAND ARGUMENTS…`.
pub const RUNNER: &str = "hostel-runner";
/// The command's standard input is a terminal, which becomes that of its session.
pub const WITH_TERMINAL: &str = "terminal";
/// It is not.
pub const WITHOUT_TERMINAL: &str = "pipes";
/// A tiny tmpfs of the site's own for OPcache's lock file: with a full /tmp PHP would not start.
pub const LOCKS: &str = "/run/hostel/lock";
/// PHP sessions of this site alone, at Debian's usual path.
pub const SESSIONS: &str = "/var/lib/php/sessions";
/// OPcache's file cache of this site alone, which outlives the site's sleep.
pub const OPCACHE: &str = "/var/lib/php/opcache";
/// Temporary files of this site alone, uploads among them.
pub const TEMPORARY: &str = "/tmp";

/// The directory of the mail broker's socket for this site alone, read-only. It is not there where no mail can be sent.
pub const MAIL: &str = "/run/hostel/mail";
/// The mail broker's socket. The broker makes it anew when it starts, which is why the view has its directory.
pub const MAIL_SOCKET: &str = "/run/hostel/mail/socket";
/// The program that takes a site's mail as Sendmail's would.
pub const SENDMAIL: &str = "/run/hostel/bin/hostel-sendmail";

/// Where `hostel prove` has its attack scripts in the sandboxes that it starts. It does not exist in those that serve visitors.
pub const PROVE: &str = "/run/hostel/prove";

/// The descriptor on which keeper and zygote find their control socket after exec: the keeper the monitor's, the zygote the
/// keeper's.
pub const CONTROL_DESCRIPTOR: i32 = 3;
