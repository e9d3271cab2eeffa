//! Every default, with its reason. `raw` shows the same values in the manual; a test compares them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Every address of the host, in both families: what a web server is installed for.
pub(crate) const HTTP: [SocketAddr; 2] = [
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80),
    SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::UNSPECIFIED), 80),
];
/// Beside hostel.toml, so that an instance is one directory.
pub(crate) const SITES: &str = "sites.d";
/// Where Debian's policy puts each.
pub(crate) const STATE: &str = "/var/lib/hostel";
pub(crate) const LOGS: &str = "/var/log/hostel";
pub(crate) const RUN: &str = "/run/hostel";
/// The user that the set-up creates.
pub(crate) const USER: &str = "hostel";
pub(crate) const LOG_LEVEL: &str = "info";
/// The settings of the SAPI that Hostel is built on, whose modules Debian's packages switch on and off.
pub(crate) const PHP_INI: &str = "/etc/php/8.2/embed";

/// A site's home is `/srv/<site>`: /srv is for the data of services, and its parents belong to root.
pub(crate) const HOMES: &str = "/srv";
/// Beneath home, so that there is a place that no visitor can reach.
pub(crate) const ROOT: &str = "public";
/// As nginx and Apache are commonly set up for PHP.
pub(crate) const INDEX: [&str; 3] = ["index.php", "index.html", "index.htm"];
/// Nothing else is ever run: an upload that is named otherwise is a file.
pub(crate) const SCRIPT_EXTENSIONS: [&str; 1] = ["php"];
/// What nearly every PHP application expects for its own addresses.
pub(crate) const FRONT_CONTROLLER: &str = "/index.php";

/// No number to be tuned, as the front finds how many help: a bound on what pages that all wait for the same dead service can take.
pub(crate) const WORKERS_MAX: u32 = 100;
/// A few seconds' work of small pages. Whose pages take longer is bounded by time, and all sites' queues together by the front.
pub(crate) const QUEUE_MAX: u32 = 1000;
/// About as long as visitors wait.
pub(crate) const QUEUE_SECONDS_MAX: u32 = 10;
/// Imports and updates take minutes; a stuck request should still end.
pub(crate) const REQUEST_SECONDS_MAX: u32 = 300;
/// PHP's own post_max_size is 8M; this one leaves room for sites that raise it.
pub(crate) const BODY_BYTES_MAX: &str = "128M";
/// One large download of a slow client.
pub(crate) const ANSWER_BYTES_MAX: &str = "1G";
/// A few downloads of slow clients beside uploads; a small part of most disks.
pub(crate) const SPILL_BYTES_MAX: &str = "4G";
/// Long enough for someone who reads a page and clicks.
pub(crate) const IDLE_SECONDS: u32 = 60;
/// What leaks is bounded by a worker's memory and age too; a fork for each thousand requests would be some percent of small pages.
pub(crate) const REQUESTS_PER_WORKER: u32 = 10_000;

/// Long enough for every import; what hangs still ends.
pub(crate) const JOB_TIMEOUT_SECONDS: u32 = 86_400;

/// Debian gives its system users lower ones; the same bound for groups.
pub(crate) const ID_MIN: u32 = 100;
/// ssh: an administrator who applies the firewall must not lock himself out.
pub(crate) const OPEN_PORTS: [u16; 1] = [22];
/// The kernel's own default weight, for processor and disk.
pub(crate) const WEIGHT: u32 = 100;
/// Workers, what they start, and threads of both; a fork bomb ends there.
pub(crate) const PROCESSES_MAX: u32 = 512;
/// Room for large uploads, little beside a disk.
pub(crate) const TEMPORARY_BYTES_MAX: &str = "2G";
/// Far beyond a day of a busy site.
pub(crate) const LOG_BYTES_MAX: &str = "1G";
/// The process that speaks to the mail server has a user of its own, which the set-up creates.
pub(crate) const MAIL_USER: &str = "hostel-mail";
/// The process that speaks to a backup's repository has a user of its own, which the set-up creates.
pub(crate) const BACKUP_USER: &str = "hostel-backup";
/// Far beyond what a home of usual size takes; what hangs still ends.
pub(crate) const BACKUP_SITE_MINUTES: u32 = 120;
/// Beside hostel.toml.
pub(crate) const BACKUP_PASSWORD: &str = "backup.password";
/// Where mail is taken without a port being named.
pub(crate) const SMTP_PORT: u16 = 25;
/// A shop's orders and a forum's notices; a spammer has sent little when it is noticed.
pub(crate) const MAIL_PER_HOUR: u32 = 200;
/// A notice to each of a few dozen people.
pub(crate) const MAIL_BURST: u32 = 50;
