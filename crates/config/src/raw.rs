//! What may be written into the two kinds of file: every key with its kind, its default and its manual.
//!
//! The doc comments of the keys are the reference manual: `cargo xtask docs` makes docs/config.md of [`SERVER_KEYS`] and
//! [`SITE_KEYS`]. Nothing is checked here but kinds and unknown keys.

use std::path::Path;

use crate::errors::Report;
use crate::read::{
    At, Document, RawEgress, RawEntries, RawEntry, RawMail, RawPhp, RawSize, RawSwitch,
};

/// A key, for the manual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its default as it would be written, or words in parentheses.
    pub default: &'static str,
    /// Its description, line by line, each with a leading space.
    pub text: &'static [&'static str],
}

type Strings = Vec<At<String>>;

/// Makes of one list: the struct, the code that reads it, and the manual's table.
macro_rules! keys {
    (
        $(#[doc = $about:literal])*
        $raw:ident $table:ident
        $($(#[doc = $text:literal])* $key:ident: $kind:ty = $default:literal;)*
    ) => {
        $(#[doc = $about])*
        #[derive(Debug)]
        pub(crate) struct $raw {
            $($(#[doc = $text])* pub(crate) $key: Option<At<$kind>>,)*
        }

        impl $raw {
            /// Read a file's text. The report holds what is wrong with it; nothing is read of what is not TOML.
            pub(crate) fn read(file: &Path, text: &str) -> (Option<Self>, Report) {
                let mut document = match Document::parse(file, text) {
                    Ok(document) => document,
                    Err(report) => return (None, report),
                };
                let raw = Self { $($key: document.take(stringify!($key)),)* };
                (Some(raw), document.finish($table))
            }
        }

        $(#[doc = $about])*
        pub const $table: &[Key] = &[
            $(Key { name: stringify!($key), default: $default, text: &[$($text),*] },)*
        ];
    };
}

keys! {
    /// The keys of hostel.toml, once per instance. Relative paths are relative to the directory of the file.
    RawServer SERVER_KEYS

    /// The addresses and ports on which HTTP is spoken.
    http: Strings = "[\"0.0.0.0:80\", \"[::]:80\"]";
    /// The addresses and ports on which HTTPS is spoken. There is no TLS yet: the list must be empty.
    https: Strings = "[]";
    /// The directory with one file per site. Only files whose name ends in `.toml` are read; hidden files and editors'
    /// backups are passed over.
    sites: String = "\"sites.d\"";
    /// The directory for what outlives a restart: each site's temporary files and sessions, and the answers that wait for
    /// slow clients.
    state: String = "\"/var/lib/hostel\"";
    /// The directory of the logs: `server.log`, and for each site `NAME/access.log`, `NAME/error.log` and, of what runs beside the
    /// web, `NAME/jobs.log`, which the site's group can read.
    logs: String = "\"/var/log/hostel\"";
    /// The directory of the status socket. At most 95 bytes long.
    run: String = "\"/run/hostel\"";
    /// The user as which the front runs: the process that speaks to the network. A system user of its own, without any files.
    user: String = "\"hostel\"";
    /// The lowest uid that a site's user may have, 1 or more. Debian gives its own system users lower ones than 100.
    uid_min: i64 = "100";
    /// The lowest gid that the primary group of a site's user may have, 1 or more.
    gid_min: i64 = "100";
    /// How much `server.log` says: `"error"`, `"warning"`, `"info"` or `"debug"`.
    log_level: String = "\"info\"";
    /// The TCP ports that `hostel firewall apply` leaves open to others, besides those of `http`, such as ssh's. At most 256.
    open_ports: Vec<At<i64>> = "[22]";
    /// The directory of php.ini; PHP's modules are those of its `conf.d`. Debian's packages manage `/etc/php/8.2/embed`
    /// (`phpenmod`, `phpdismod`); `/etc/php/8.2/fpm` takes php-fpm's settings over.
    php_ini: String = "\"/etc/php/8.2/embed\"";
    /// The table `[mail]`: where sites' mail goes. Without it no site can send any by PHP's `mail()` or `sendmail`. All values are strings:
    /// `smtp`, the server that takes everything, such as `"127.0.0.1:25"` or `"smtp.example:587"` (required); `tls`, one of `"starttls"`,
    /// `"tls"` (from the first byte) and `"none"`, by default `"none"` for addresses of this host, `"tls"` for port 465, else `"starttls"`;
    /// `certificate`, a PEM file with what is trusted besides the host's certificates; `login` and `password_file`, a file of root's that others
    /// cannot read; `domain`, the name by which this host introduces itself, by default the host's name; `user`, the system user of the
    /// process that does it, by default `"hostel-mail"`. See mail.md.
    mail: RawMail = "(none)";
    /// The table `[backup]`: where `hostel backup` puts sites. `to`, a repository as restic names it (`"/mnt/disk/backups"`,
    /// `"sftp:user@host:/backups"`, `"rest:https://host/"`, `"s3:https://host/bucket"`; required); `password_file`, by default `"backup.password"` beside this
    /// file; `environment_file`, lines `NAME=VALUE` with what a remote repository wants to know; `sftp_command`, which is run for `sftp:` in
    /// place of restic's own; `user`, the system user as which restic runs, by default `"hostel-backup"`; `site_minutes_max`, how long one site may let a backup wait for its files and databases, by default 120; `keep_last`, `keep_hourly`, `keep_daily`, `keep_weekly`,
    /// `keep_monthly`, `keep_yearly`, how many backups of each site are kept, as restic counts them (without any: all). See backup.md.
    backup: RawEntry = "(none)";
}

keys! {
    /// The keys of a site's file. The file's name, without `.toml`, is the site's name: lower-case letters, digits, `-`,
    /// `_` and `.`, at most 64 of them.
    RawSite SITE_KEYS

    /// The domain names that lead to this site, at least one, at most 200. `*.blog.example` stands for every name beneath
    /// `blog.example`; an exact name of any site goes before it. Names outside of ASCII are written in punycode (`xn--…`).
    domains: Strings = "(required)";
    /// The user as which everything of this site runs. It must exist, with a uid and a primary group that `uid_min` and
    /// `gid_min` of hostel.toml allow, and be neither root nor the front's. Give each site's user a group of its own.
    user: String = "(the site's name)";
    /// Whether another site may have the same user. Both must say so: such sites can read and change each other.
    share_user: bool = "false";
    /// The site's home, an absolute path. The site sees nothing else of the host's files but the system's programs.
    /// Only root may be able to write the directories above it. No home lies within another site's.
    home: String = "(/srv/ and the site's name)";
    /// The document root, beneath home: relative to it, or an absolute path. May lead through symbolic links within home.
    root: String = "\"public\"";
    /// The names that are tried, in order, where a directory is asked for. At most 16.
    index: Strings = "[\"index.php\", \"index.html\", \"index.htm\"]";
    /// The extensions of the files that PHP runs. Nothing else is ever run. An empty list: a site without PHP. At most 16.
    script_extensions: Strings = "[\"php\"]";
    /// The script, relative to the root, that answers for paths that lead to nothing (where the script exists), so that
    /// applications with addresses of their own need no setting. `""` for none.
    front_controller: String = "\"/index.php\"";
    /// Whether files that belong to somebody else than the site's user and root are served and run too. Then whoever can
    /// put a file or a hard link beneath the root, such as a member of its group, decides what visitors see.
    foreign_owners: bool = "false";
    /// Whether the site is suspended: every visitor is answered with status 503 and a page that says so, no file is served and
    /// nothing of the site runs. `hostel site suspend` writes it.
    suspended: bool = "false";
    /// Where the site may connect to. `"usual"`: the world but for mail servers (port 25) and cloud metadata addresses; on this
    /// host DNS, databases (ports 3306, 5432, 6379, 11211), Hostel's own ports and `services`. `"all"`: mail servers too.
    /// `"none"`: Hostel's own ports and `services` only. A list of at most 256 places, such as
    /// `["127.0.0.1:3306", "api.example.org:443"]`: these, TCP and UDP, besides what `"none"` has, and if there is a name among
    /// them, the name servers of this host. Names are looked up again and again while the server runs; addresses in private
    /// networks must be written as such. `"none"` and lists need nftables; without it such a site does not start.
    /// What the site listens on is closed to other users whatever stands here.
    egress: RawEgress = "\"usual\"";
    /// Services on this host that the site may connect to whatever `egress` says, TCP and UDP: addresses with ports, at
    /// most 256. `"0.0.0.0:443"` and `"[::]:443"` mean that port of every address of this host. Ports that processes of the site's
    /// own listen on must be listed too, if others of its processes are to reach them.
    services: Strings = "[]";

    /// The most PHP workers, 1 to 256, and so the most requests at the same time. How many there are is found, not set: see
    /// scheduler.md. Lower it for a site that must never do more at once, such as one whose database takes few connections.
    workers_max: i64 = "100";
    /// The most requests that wait for a worker, 0 to 100000; the next ones are answered with status 503. All sites together
    /// have room for 8000, of which each may take as much as it leaves free.
    queue_max: i64 = "1000";
    /// The longest wait for a worker, 1 to 3600 seconds; then status 503.
    queue_seconds_max: i64 = "10";
    /// The longest run of one request, 1 to 86400 seconds of wall-clock time; then its worker is killed and the answer is
    /// status 504.
    request_seconds_max: i64 = "300";
    /// The largest body of a request, such as an upload: bytes, or a string with K, M or G (of 1024). Larger ones are
    /// answered with status 413. PHP's own `upload_max_filesize` and `post_max_size` hold too.
    body_bytes_max: RawSize = "\"128M\"";
    /// The largest answer that is held for a slow client, in memory and on disk, at least 64K; beyond it the worker waits.
    answer_bytes_max: RawSize = "\"1G\"";
    /// The most disk space for bodies of requests and for answers that wait for slow clients, all together, at least 64K.
    /// Beyond it bodies that do not fit into memory are refused with status 503, and workers wait for their clients.
    spill_bytes_max: RawSize = "\"4G\"";
    /// The largest size of each of the site's log files, at least 64K; beyond it nothing more is written until the log is
    /// rotated (move the file away, then SIGUSR1 to hostel-monitor).
    log_bytes_max: RawSize = "\"1G\"";
    /// The most disk space for the site's own temporary files, at least 1M: its /tmp, /var/tmp, sessions and OPcache's files together.
    /// Where the file system of `state` has project quotas (ext4 or xfs, mounted with `prjquota`) the kernel refuses what is
    /// beyond; elsewhere the oldest files that nobody has open are removed within a minute, which the site's error log
    /// tells. In any case files that nobody has used for 10 days (/var/tmp: 30) are removed.
    temporary_bytes_max: RawSize = "\"2G\"";
    /// The most disk space for what is in the site's home, at least 1M. Needs project quotas on its file system; without them
    /// there is no such bound. What was there before it was first set counts only after `hostel audit`'s command for it was run.
    home_bytes_max: RawSize = "(none)";
    /// After how many seconds without a request the last worker may end, 1 to 86400; others after a quarter of that; after ten
    /// times that, the site sleeps. While memory is short they go at once.
    idle_seconds: i64 = "60";
    /// After how many requests a worker is replaced; 0 for never. It is replaced too when it keeps more than 256 MiB between two
    /// requests, and after an hour.
    requests_per_worker: i64 = "10000";
    /// Whether every request finds PHP as the first one did: no variable, class, setting, locale, open file, memory or process state of
    /// an earlier request. `true`: by the best means that this host has; `"paranoid"`: the same, and memory that PHP has freed
    /// is wiped too; `"fork"`: a process of its own for each request; `false`: what PHP itself leaves of an earlier request stays, as with
    /// php-fpm. See fresh.md.
    fresh: RawSwitch = "false";
    /// The most memory of all processes of the site together, at least 64M: a number of bytes, or a string with K, M or G. What
    /// its files hold in the page cache counts, but is given back first. Beyond it the kernel ends the site's largest
    /// process, which the site's error log tells. Swap is not used. Needs control groups (cgroup v2); without them each process is
    /// bounded by itself, to so much memory of its own.
    memory_max: RawSize = "(three quarters of the host's memory)";
    /// The site's share of processor time, of workers and of the queue while others want them too, 1 to 10000, beside the 100 of
    /// a site that says nothing. The kernel's part of it needs control groups; without them all processes of all sites are equal to it.
    cpu_weight: i64 = "100";
    /// The most processor time, even while nobody else wants it, in hundredths of one core: `"150%"` is one core and a half.
    /// Needs control groups; without them there is no such bound.
    cpu_max: String = "(none)";
    /// The site's share of the disk's time while others want it too, 1 to 10000. Needs control groups and a disk scheduler
    /// with weights (BFQ, or the kernel's io.cost); without them all are equal.
    io_weight: i64 = "100";
    /// The most processes and threads of the site at the same time, 8 to 4194304. A fork beyond it fails, which the site's error
    /// log tells. Without control groups the bound is on the site's user: sites that share one share the bound.
    processes_max: i64 = "512";
    /// How many recipients the site's mail may have in an hour, 0 to 1000000; 0 forbids it. More is refused: `mail()` returns false. Needs `[mail]`
    /// in hostel.toml.
    mail_per_hour: i64 = "200";
    /// How many of them may come at once, 0 to 1000000.
    mail_burst: i64 = "50";
    /// PHP settings: the table `[php.value]` for those that scripts and `.user.ini` may change, `[php.admin_value]` for
    /// those that they may not. Strings, whole numbers, `true` and `false`. At most 200.
    ///
    /// OPcache keeps what it has compiled in a directory of the site's own, so that a site that wakes does not compile it again;
    /// `"opcache.file_cache" = ""` switches that off. It is off, too, with `opcache.validate_timestamps` off, an `opcache.preload`, or the JIT on.
    php: RawPhp = "(none)";
    /// Commands that run at times, at most 16, each begun by `[[cron]]`, with these keys:
    ///
    /// - `at`: when, in the host's time zone: `"hourly"`, `"daily"`, `"*:0/5"` (every five minutes), `"Mon *-*-* 04:00"` and the like, as
    ///   systemd's OnCalendar without years and zones; or the five fields of cron, `"*/5 * * * *"`.
    /// - `command`: what, for `sh -c`, as the site's user in a sandbox of its own, with home as its directory.
    /// - `name`: letters, digits, `-`, `_` and `.`; by default `cron-1` and so on.
    /// - `overlap`: what happens when the last run is still under way: `"skip"` (the default) leaves the new one out, `"wait"` lets it
    ///   begin afterwards, `"kill"` ends the last one.
    /// - `timeout_seconds`: after how long a run is ended, 1 to 604800; by default 86400.
    ///
    /// See jobs.md.
    cron: RawEntries = "(none)";
    /// Commands that always run, such as workers of a queue, at most 16, each begun by `[[daemon]]`, with `command` and `name` as for `cron`.
    /// One that ends is started again, later and later if it ends soon.
    daemon: RawEntries = "(none)";
    /// The site's databases, for backup, restore and `hostel site clone`, at most 16, each begun by `[[database]]`, with these keys:
    ///
    /// - `kind`: `"mysql"` (MariaDB too), `"postgresql"` or `"sqlite"`.
    /// - `name`: of the database; `file` for SQLite, beneath home.
    /// - `user`: who asks for it; by default the site's user.
    /// - `password_file`: a file beneath home with the password and nothing else, which the site's user reads. Without it
    ///   the server has to know the user by its Linux user (`unix_socket`, `peer`).
    /// - `socket`: the server's socket, beneath /run/mysqld, /run/postgresql or home; by default Debian's,
    ///   `/run/mysqld/mysqld.sock` and `/run/postgresql/.s.PGSQL.5432`.
    /// - `address`: in the place of the socket, an address and port of this host such as `"127.0.0.1:3306"`, which `egress` or `services`
    ///   must permit; with a `password_file`.
    ///
    /// See databases.md.
    database: RawEntries = "(none)";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_in_the_manual_is_the_one_that_holds() {
        use crate::defaults as d;
        let default = |keys: &[Key], name| {
            let key = keys.iter().find(|key| key.name == name);
            key.expect("a key of this name").default.to_owned()
        };
        let quoted = |value: &str| format!("\"{value}\"");
        let list = |values: &[&str]| format!("{values:?}");
        let http: Vec<_> = d::HTTP.iter().map(ToString::to_string).collect();
        for (name, expected) in [
            ("http", format!("{http:?}")),
            ("sites", quoted(d::SITES)),
            ("state", quoted(d::STATE)),
            ("logs", quoted(d::LOGS)),
            ("run", quoted(d::RUN)),
            ("user", quoted(d::USER)),
            ("uid_min", d::ID_MIN.to_string()),
            ("gid_min", d::ID_MIN.to_string()),
            ("log_level", quoted(d::LOG_LEVEL)),
            ("open_ports", format!("{:?}", d::OPEN_PORTS)),
            ("php_ini", quoted(d::PHP_INI)),
        ] {
            assert_eq!(default(SERVER_KEYS, name), expected, "{name}");
        }
        for (name, expected) in [
            ("home", format!("({}/ and the site's name)", d::HOMES)),
            ("root", quoted(d::ROOT)),
            ("index", list(&d::INDEX)),
            ("script_extensions", list(&d::SCRIPT_EXTENSIONS)),
            ("front_controller", quoted(d::FRONT_CONTROLLER)),
            ("workers_max", d::WORKERS_MAX.to_string()),
            ("queue_max", d::QUEUE_MAX.to_string()),
            ("queue_seconds_max", d::QUEUE_SECONDS_MAX.to_string()),
            ("request_seconds_max", d::REQUEST_SECONDS_MAX.to_string()),
            ("body_bytes_max", quoted(d::BODY_BYTES_MAX)),
            ("answer_bytes_max", quoted(d::ANSWER_BYTES_MAX)),
            ("spill_bytes_max", quoted(d::SPILL_BYTES_MAX)),
            ("log_bytes_max", quoted(d::LOG_BYTES_MAX)),
            ("temporary_bytes_max", quoted(d::TEMPORARY_BYTES_MAX)),
            ("idle_seconds", d::IDLE_SECONDS.to_string()),
            ("requests_per_worker", d::REQUESTS_PER_WORKER.to_string()),
            ("cpu_weight", d::WEIGHT.to_string()),
            ("io_weight", d::WEIGHT.to_string()),
            ("processes_max", d::PROCESSES_MAX.to_string()),
            ("mail_per_hour", d::MAIL_PER_HOUR.to_string()),
            ("mail_burst", d::MAIL_BURST.to_string()),
        ] {
            assert_eq!(default(SITE_KEYS, name), expected, "{name}");
        }
    }
}
