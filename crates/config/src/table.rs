//! The checked configuration. Whoever holds one may rely on everything that is said here.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use hostel_sys::cred::User;
use hostel_wire::egress::{Egress, Policy, SiteEgress};
use hostel_wire::fresh::Fresh;
use hostel_wire::monitor_keeper::PhpValue;
use hostel_wire::monitor_mail::{MailPolicy, MailSite, Relay};

use crate::backup::Backup;
use crate::database::{Database, SiteDatabases};
use crate::jobs::SiteJobs;

/// A whole instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where HTTP is spoken: at least one address, none twice, no port 0.
    pub http: Vec<SocketAddr>,
    /// Where the files of the sites were found. Absolute, as are all paths here.
    pub sites_directory: PathBuf,
    /// What outlives a restart: each site's own directories, spill files.
    pub state: PathBuf,
    /// The server's log and a directory for each site.
    pub logs: PathBuf,
    /// The status socket and the point where views are built. Short enough for a socket's name.
    pub run: PathBuf,
    /// The front's user; never root.
    pub user: User,
    /// How much the server's own log says.
    pub log_level: LogLevel,
    /// The directory of php.ini, as PHPRC names it.
    pub php_ini_directory: String,
    /// The lowest uid that a site's user may have.
    pub uid_min: u32,
    /// The lowest gid that a site's user may have.
    pub gid_min: u32,
    /// TCP ports that `hostel firewall apply` leaves open besides those that Hostel listens on, such as ssh's.
    pub open_ports: Vec<u16>,
    /// Where sites' mail goes; `None`: they cannot send any.
    pub mail: Option<Mail>,
    /// Where backups go; `None`: nowhere by themselves.
    pub backup: Option<Backup>,
    /// By name. No two share a name, a domain or, unless both say so, a user; no home lies within another one.
    pub sites: Vec<Rc<Site>>,
    /// What runs beside the web, of the sites that have such. Apart from them: a change of it is no change of a site.
    pub jobs: Vec<SiteJobs>,
    /// Databases, of the sites that have such; apart from them for the same reason.
    pub databases: Vec<SiteDatabases>,
}

/// Where sites' mail goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The broker's user; neither root, nor the front's, nor a site's.
    pub user: User,
    /// The server that takes everything.
    pub relay: Relay,
    /// The name of this host.
    pub domain: String,
}

impl Server {
    /// What the mail broker is to know; `None` where there is none.
    pub fn mail_policy(&self) -> Option<MailPolicy> {
        let mail = self.mail.as_ref()?;
        Some(MailPolicy {
            relay: mail.relay.clone(),
            domain: mail.domain.clone(),
            sites: self
                .sites
                .iter()
                .map(|site| site.mail_entry(&mail.domain))
                .collect(),
        })
    }

    /// Where each site may connect to, for the firewall.
    pub fn egress(&self) -> Policy {
        Policy {
            own: self.http.clone(),
            sites: self.sites.iter().map(|site| site.egress_entry()).collect(),
        }
    }

    /// Whether anything runs beside the web for a site.
    pub fn has_jobs(&self, site: &Site) -> bool {
        self.jobs.iter().any(|jobs| jobs.site.name == site.name)
    }

    /// The databases of a site, in the order of its file.
    pub fn databases_of(&self, site: &str) -> &[Database] {
        let mut all = self.databases.iter();
        let found = all.find(|databases| databases.site == site);
        found.map_or(&[], |databases| &databases.databases)
    }

    /// The TCP ports that a site can do with; `None` where it may connect to the world.
    pub fn tcp_ports(&self, site: &Site) -> Option<Vec<u16>> {
        let listed = match &site.egress {
            Egress::Usual | Egress::All => return None,
            Egress::None => &[][..],
            Egress::Listed(places) => places,
        };
        let dns = site.egress.names().next().map(|_| DNS);
        let here = self.http.iter().chain(&site.services).map(SocketAddr::port);
        let ports: BTreeSet<u16> = here
            .chain(listed.iter().map(|place| place.port))
            .chain(dns)
            .collect();
        Some(ports.into_iter().collect())
    }
}

/// How much is logged; each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What may fail soon.
    Warning,
    /// What happened.
    Information,
    /// Everything.
    Debugging,
}

impl LogLevel {
    /// The number by which the front is told.
    pub fn number(self) -> u8 {
        match self {
            Self::Error => 0,
            Self::Warning => 1,
            Self::Information => 2,
            Self::Debugging => 3,
        }
    }
}

/// One site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its name: letters, digits, `-`, `_`, `.`; fit for a file's name.
    pub name: String,
    /// Its domains, lower-case, at least one; one that starts with `*.` stands for every name beneath it.
    pub domains: Vec<String>,
    /// Its user: neither root, nor a system user, nor the front's.
    pub user: User,
    /// Its home: an absolute path without `.`, `..` or repeated slashes, in no directory of the system.
    pub home: String,
    /// Its document root: the same kind of path, home or beneath it. Whether a symbolic link is on the way is not known.
    pub root: String,
    /// Names tried, in order, where a directory is asked for.
    pub index: Vec<String>,
    /// Extensions, without the dot, of the files that PHP runs.
    pub script_extensions: Vec<String>,
    /// The script, relative to the root and with a leading slash, that answers for paths that lead to nothing; empty for none.
    pub front_controller: String,
    /// Whether files of owners other than its user and root are served and run; off unless said.
    pub foreign_owners: bool,
    /// What becomes of a worker's state after a request.
    pub fresh: Fresh,
    /// Whether visitors are told that it is suspended, and nothing of it runs.
    pub suspended: bool,
    /// Where it may connect to.
    pub egress: Egress,
    /// Services on this host that it may connect to whatever `egress` says; an unspecified address means every address of
    /// this host.
    pub services: Vec<SocketAddr>,
    /// Its limits.
    pub limits: Limits,
    /// How much mail it may send.
    pub mail: MailRate,
    /// Its PHP settings, as php.ini would have them; no name twice.
    pub php_values: Vec<PhpValue>,
}

impl Site {
    /// How it may send mail. Its usual sender has the first of its domains that is one, which is the one that knows of its mail.
    fn mail_entry(&self, domain: &str) -> MailSite {
        let mut own = self.domains.iter().filter(|own| !own.starts_with("*."));
        let domain = own.next().map_or(domain, String::as_str);
        MailSite {
            name: self.name.clone(),
            uid: self.user.uid.0,
            sender: format!("{}@{domain}", self.user.name),
            per_hour: self.mail.per_hour,
            burst: self.mail.burst,
        }
    }

    /// Where it may connect to, for the firewall.
    pub fn egress_entry(&self) -> SiteEgress {
        SiteEgress {
            name: self.name.clone(),
            uid: self.user.uid.0,
            egress: self.egress.clone(),
            services: self.services.clone(),
        }
    }
}

/// Where name servers listen.
const DNS: u16 = 53;

/// The limits of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most workers, 1 to 256.
    pub workers_max: u32,
    /// The most requests that wait for a worker.
    pub queue_max: u32,
    /// The longest wait for a worker: 1 second to an hour.
    pub queue_time_max: Duration,
    /// The longest run of one request: 1 second to a day.
    pub request_time_max: Duration,
    /// The largest body of a request.
    pub body_bytes_max: u64,
    /// The largest answer that is held for a slow client; at least 64 KiB.
    pub answer_bytes_max: u64,
    /// The most bytes on disk for bodies of requests and answers that wait, together.
    pub spill_bytes_max: u64,
    /// After how long without a request a worker may be ended: 1 second to a day.
    pub idle_time: Duration,
    /// After how many requests a worker is replaced; 0 for never.
    pub requests_per_worker: u32,
    /// The most memory of all its processes together, in bytes; `None` for three quarters of the host's.
    pub memory_max: Option<u64>,
    /// Its share of processor time beside other sites, 1 to 10000; 100 is the usual share.
    pub cpu_weight: u32,
    /// The most processor time, in hundredths of one core (150 is one core and a half); `None` for no bound.
    pub cpu_max: Option<u32>,
    /// Its share of the disk's time beside other sites, 1 to 10000.
    pub io_weight: u32,
    /// The most processes and threads at the same time.
    pub processes_max: u32,
    /// The most bytes in its /tmp and /var/tmp together.
    pub temporary_bytes_max: u64,
    /// The most bytes in its home, where the file system has project quotas; `None` for no bound.
    pub home_bytes_max: Option<u64>,
    /// The most bytes in each of its log files; beyond it nothing is written until the log is rotated.
    pub log_bytes_max: u64,
}

/// How many recipients a site's mail may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailRate {
    /// In an hour.
    pub per_hour: u32,
    /// At once.
    pub burst: u32,
}
