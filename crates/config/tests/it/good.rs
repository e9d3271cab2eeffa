//! Good configurations and the table they become.

use std::path::Path;
use std::time::Duration;

use hostel_config::database::{Database, Kind, Place, Served};
use hostel_config::jobs::Overlap;
use hostel_config::{Destination, Egress, Host, LogLevel, Server};
use hostel_wire::fresh::Fresh;
use hostel_wire::monitor_keeper::PhpValue;
use hostel_wire::monitor_mail::Security;

use crate::system::{Instance, Users};

#[test]
fn nothing_but_domains_must_be_written() {
    let instance = Instance::of_case("# file: sites.d/alice.toml\ndomains = ['Alice.example']\n");
    let server = instance.load().unwrap();
    assert_eq!(server.http.len(), 2);
    assert_eq!(server.sites_directory, instance.path("sites.d"));
    assert_eq!(server.state, Path::new("/var/lib/hostel"));
    assert_eq!(server.logs, Path::new("/var/log/hostel"));
    assert_eq!(server.run, Path::new("/run/hostel"));
    assert_eq!(server.user.uid.0, 990);
    assert_eq!(server.log_level, LogLevel::Information);
    assert_eq!((server.uid_min, server.gid_min), (100, 100));
    assert_eq!(server.php_ini_directory, "/etc/php/8.2/embed");
    let [site] = &server.sites[..] else {
        panic!("one site: {:?}", server.sites);
    };
    assert_eq!(site.name, "alice");
    assert_eq!(site.domains, ["alice.example"]);
    assert_eq!((site.user.uid.0, site.user.gid.0), (1001, 1001));
    assert_eq!(site.home, "/srv/alice");
    assert_eq!(site.root, "/srv/alice/public");
    assert_eq!(site.index, ["index.php", "index.html", "index.htm"]);
    assert_eq!(site.script_extensions, ["php"]);
    assert_eq!(site.front_controller, "/index.php");
    assert_eq!(site.limits.workers_max, 100);
    assert_eq!(site.limits.queue_max, 1000);
    assert_eq!(site.limits.queue_time_max, Duration::from_secs(10));
    assert_eq!(site.limits.request_time_max, Duration::from_secs(300));
    assert_eq!(site.limits.body_bytes_max, 128 << 20);
    assert_eq!(site.limits.answer_bytes_max, 1 << 30);
    assert_eq!(site.limits.spill_bytes_max, 4 << 30);
    assert_eq!(site.limits.log_bytes_max, 1 << 30);
    assert_eq!(site.limits.temporary_bytes_max, 2 << 30);
    assert_eq!(site.limits.home_bytes_max, None);
    assert!(!site.foreign_owners);
    assert_eq!(site.limits.idle_time, Duration::from_secs(60));
    assert_eq!(site.limits.requests_per_worker, 10_000);
    assert_eq!(site.fresh, Fresh::Off);
    assert_eq!(site.limits.memory_max, None);
    assert_eq!((site.limits.cpu_weight, site.limits.io_weight), (100, 100));
    assert_eq!(site.limits.cpu_max, None);
    assert_eq!(site.limits.processes_max, 512);
    assert!(site.php_values.is_empty());
    assert_eq!((&site.egress, &site.services), (&Egress::Usual, &vec![]));
    assert_eq!(server.open_ports, [22]);
    assert_eq!(
        (server.mail.is_none(), site.mail.per_hour, site.mail.burst),
        (true, 200, 50)
    );
}

#[test]
fn jobs_have_names_and_defaults() {
    let instance = Instance::of_case(
        "# file: sites.d/alice.toml\ndomains = ['a.example']\n[[cron]]\nat = 'daily'\ncommand = 'true'\n[[cron]]\nname = 'import'\n\
         at = '*/5 * * * *'\ncommand = 'php import.php'\noverlap = 'wait'\ntimeout_seconds = 60\n[[daemon]]\ncommand = 'php work.php'\n\
         # file: sites.d/bob.toml\ndomains = ['b.example']\nsuspended = true\n[[daemon]]\ncommand = 'php work.php'\n",
    );
    let server = instance.load().unwrap();
    // Nothing runs of a site that is suspended.
    let [jobs] = &server.jobs[..] else {
        panic!("one site has jobs: {:?}", server.jobs);
    };
    assert!(server.has_jobs(&jobs.site) && !server.has_jobs(&server.sites[1]));
    assert_eq!(jobs.site.name, "alice");
    let [first, second] = &jobs.cron[..] else {
        panic!("two entries: {:?}", jobs.cron);
    };
    let day = Duration::from_secs(86_400);
    assert_eq!(
        (first.name.as_str(), first.overlap, first.timeout),
        ("cron-1", Overlap::Skip, day)
    );
    assert_eq!(
        (
            second.name.as_str(),
            second.command.as_str(),
            second.overlap,
            second.timeout
        ),
        (
            "import",
            "php import.php",
            Overlap::Wait,
            Duration::from_secs(60)
        )
    );
    assert_eq!(jobs.daemons[0].name, "daemon-1");
    assert_eq!(jobs.daemons[0].command, "php work.php");
}

#[test]
fn databases_have_the_sites_user_and_the_usual_sockets() {
    let instance = Instance::of_case(
        "# file: sites.d/alice.toml\ndomains = ['a.example']\nservices = ['127.0.0.1:3307']\n[[database]]\nkind = 'mysql'\nname = 'blog'\n\
         [[database]]\nkind = 'postgresql'\nname = 'shop'\nuser = 'seller'\npassword_file = 'private/pw'\nsocket = '/var/run/postgresql/.s.PGSQL.5433'\n\
         [[database]]\nkind = 'sqlite'\nfile = 'data/app.db'\n\
         [[database]]\nkind = 'mysql'\nname = 'other'\naddress = '127.0.0.1:3307'\npassword_file = '/srv/alice/pw'\n\
         # file: sites.d/bob.toml\ndomains = ['b.example']\n",
    );
    let server = instance.load().unwrap();
    assert!(server.databases_of("bob").is_empty());
    let served = |kind, name: &str, user: &str, place, password: Option<&str>| {
        Database::Served(Served {
            kind,
            name: name.to_owned(),
            user: user.to_owned(),
            place,
            password_file: password.map(str::to_owned),
        })
    };
    let socket = |path: &str| Place::Socket(path.to_owned());
    let address = Place::Address("127.0.0.1:3307".parse().unwrap());
    assert_eq!(
        server.databases_of("alice"),
        [
            served(
                Kind::Mysql,
                "blog",
                "alice",
                socket("/run/mysqld/mysqld.sock"),
                None
            ),
            served(
                Kind::Postgresql,
                "shop",
                "seller",
                socket("/run/postgresql/.s.PGSQL.5433"),
                Some("/srv/alice/private/pw")
            ),
            Database::Sqlite("/srv/alice/data/app.db".to_owned()),
            served(
                Kind::Mysql,
                "other",
                "alice",
                address,
                Some("/srv/alice/pw")
            ),
        ]
    );
}

#[test]
fn everything_may_be_written() {
    let instance = Instance::of_case(EVERYTHING);
    let server = instance.load().unwrap();
    assert_eq!(
        server.http,
        [
            "127.0.0.1:8080".parse().unwrap(),
            "[::1]:8080".parse().unwrap()
        ]
    );
    assert_eq!(server.state, instance.path("var/state"));
    assert_eq!(server.logs, Path::new("/srv/logs"));
    assert_eq!(server.run, instance.path("run"));
    assert_eq!(server.user.name, "bob");
    assert_eq!(server.log_level.number(), 3);
    assert_eq!((server.uid_min, server.gid_min), (1000, 1));
    let site = &server.sites[0];
    assert_eq!(site.name, "blog.example");
    assert_eq!(site.home, "/home/alice/sites");
    assert_eq!(site.root, "/home/alice/sites/current/public");
    assert!(site.index.is_empty());
    assert_eq!(site.front_controller, "/app.phtml");
    assert_eq!(site.limits.answer_bytes_max, 65_536);
    assert_eq!(site.limits.memory_max, Some(256 << 20));
    assert_eq!((site.limits.cpu_weight, site.limits.io_weight), (1, 10_000));
    assert_eq!(site.limits.cpu_max, Some(150));
    assert_eq!(site.limits.processes_max, 64);
    assert_eq!(site.limits.spill_bytes_max, 10 << 20);
    assert_eq!(site.limits.log_bytes_max, 65_536);
    assert_eq!(site.limits.temporary_bytes_max, 1 << 20);
    assert_eq!(site.limits.home_bytes_max, Some(5 << 30));
    assert!(site.foreign_owners);
    assert_eq!(site.fresh, Fresh::Fork);
    assert_eq!(server.open_ports, [22, 2222]);
    let place = |host, port| Destination { host, port };
    let address = |text: &str| Host::Address(text.parse().unwrap());
    assert_eq!(
        site.egress,
        Egress::Listed(vec![
            place(address("127.0.0.1"), 3306),
            place(address("192.0.2.1"), 443),
            place(address("2001:db8::1"), 443),
            place(Host::Name("api.example.org".to_owned()), 443),
        ])
    );
    let services = ["0.0.0.0:443", "[::1]:9200"].map(|text| text.parse().unwrap());
    assert_eq!(site.services, services);
    let value = |name: &str, value: &str, admin| PhpValue {
        name: name.to_owned(),
        value: value.to_owned(),
        admin,
    };
    assert_eq!(
        site.php_values,
        [
            value("display_errors", "0", true),
            value("memory_limit", "256M", false),
            value("opcache.enable", "1", false),
            value("precision", "1.5", true),
            value("session.gc_maxlifetime", "1440", false),
        ]
    );
}

#[test]
fn mail_goes_to_a_server_with_a_login() {
    let instance = Instance::of_case(
        "[mail]\nsmtp = 'smtp.example:587'\nlogin = 'me'\npassword_file = 'password'\ndomain = 'Host.example'\nuser = 'bob'\n\
         # file: sites.d/alice.toml\ndomains = ['*.alice.example', 'alice.example']\nmail_per_hour = 7\nmail_burst = 3\n\
         # file: password\nsecret\n",
    );
    instance.mode("password", 0o600);
    let server = instance.load().unwrap();
    let policy = server.mail_policy().unwrap();
    assert_eq!(
        (policy.relay.host.as_str(), policy.relay.port),
        ("smtp.example", 587)
    );
    assert_eq!(policy.relay.security, Security::StartTls);
    assert_eq!(policy.relay.login.unwrap().password, "secret");
    assert_eq!(policy.domain, "host.example");
    let [site] = &policy.sites[..] else {
        panic!("one site: {:?}", policy.sites);
    };
    assert_eq!(site.sender, "alice@alice.example");
    assert_eq!((site.uid, site.per_hour, site.burst), (1001, 7, 3));
}

#[test]
fn two_sites_that_say_so_may_have_one_user_and_home() {
    let site = |name: &str| {
        format!(
            "# file: sites.d/{name}.toml\ndomains = ['{name}.example']\nuser = 'alice'\nhome = '/home/alice'\nshare_user = true\nroot = '{name}'\n"
        )
    };
    let instance = Instance::of_case(&(site("one") + &site("two")));
    let server = instance.load().unwrap();
    assert_eq!(server.sites.len(), 2);
    assert_eq!(server.sites[0].user, server.sites[1].user);
}

#[test]
fn sites_whose_users_share_a_group_are_warned_of() {
    let site = |name: &str| {
        format!("# file: sites.d/{name}.toml\ndomains = ['{name}.example']\nuser = '{name}'\n")
    };
    let instance = Instance::of_case(&(site("alice") + &site("users") + &site("users2")));
    let warnings = hostel_config::warnings(&instance.load().unwrap());
    let [warning] = &warnings[..] else {
        panic!("one warning: {warnings:?}");
    };
    assert!(
        warning.contains("'users' and 'users2'") && warning.contains("group 100"),
        "{warning}"
    );
}

#[test]
fn a_site_without_php_has_no_front_controller() {
    let instance = Instance::of_case(
        "# file: sites.d/alice.toml\ndomains = ['a.example']\nscript_extensions = []\n",
    );
    assert_eq!(instance.load().unwrap().sites[0].front_controller, "");
}

#[test]
fn a_change_is_checked_before_it_is_made() {
    let site = |domain: &str| format!("domains = ['{domain}']\n");
    let instance = Instance::of_case(&format!(
        "# file: sites.d/alice.toml\n{}",
        site("a.example")
    ));
    let changed = |changes: &[(&str, Option<String>)]| {
        let named = |(name, text): &(&str, Option<String>)| ((*name).to_owned(), text.clone());
        let changes = changes.iter().map(named).collect();
        hostel_config::load_changed(&instance.path("hostel.toml"), &Users::new(), &changes)
    };
    let names = |server: Server| -> Vec<String> {
        server.sites.iter().map(|site| site.name.clone()).collect()
    };
    assert_eq!(names(changed(&[]).unwrap()), ["alice"]);
    let bob = ("users", Some(site("b.example")));
    assert_eq!(names(changed(&[bob]).unwrap()), ["alice", "users"]);
    assert!(names(changed(&[("alice", None)]).unwrap()).is_empty());
    let taken = ("users", Some(site("a.example")));
    let errors = changed(std::slice::from_ref(&taken))
        .unwrap_err()
        .to_string();
    assert!(errors.contains("belongs to alice.toml:1"), "{errors}");
    assert_eq!(
        names(changed(&[taken, ("alice", None)]).unwrap()),
        ["users"]
    );
}

#[test]
fn an_instance_may_have_no_sites_yet() {
    assert!(Instance::of_case("").load().unwrap().sites.is_empty());
}

#[test]
fn the_status_socket_is_found_though_all_else_is_wrong() {
    let instance =
        Instance::of_case("run = 'here'\nlog = 1\nuser = 'zoe'\n# file: sites.d/x.toml\n=");
    assert!(instance.load().is_err());
    let found = hostel_config::run_directory(&instance.path("hostel.toml"));
    assert_eq!(found, Ok(instance.path("here")));
    let found = hostel_config::state_directory(&instance.path("hostel.toml"));
    assert_eq!(found, Ok("/var/lib/hostel".into()));
}

/// Every key of both files.
const EVERYTHING: &str = r#"
http = ["127.0.0.1:8080", "[::1]:8080"]
https = []
sites = "sites.d"
state = "var/state"
logs = "/srv/logs/"
run = "run"
user = "bob"
log_level = "debug"
uid_min = 1000
gid_min = 1
php_ini = "/etc/php/8.2/fpm"
open_ports = [2222, 22]
# file: sites.d/blog.example.toml
domains = ["blog.example", "*.blog.example"]
user = "alice"
home = "/home/alice//sites/"
root = "/home/alice/sites/current/public"
index = []
script_extensions = ["php", "phtml"]
front_controller = "app.phtml"
egress = ["[::ffff:192.0.2.1]:443", "[2001:db8::1]:443", "API.example.org:443", "127.0.0.1:3306"]
services = ["[::1]:9200", "0.0.0.0:443"]
workers_max = 256
queue_max = 0
queue_seconds_max = 1
request_seconds_max = 86400
body_bytes_max = 0
answer_bytes_max = "64K"
spill_bytes_max = "10M"
log_bytes_max = 65536
temporary_bytes_max = "1M"
home_bytes_max = "5G"
foreign_owners = true
idle_seconds = 1
requests_per_worker = 0
fresh = "fork"
memory_max = "256M"
cpu_weight = 1
cpu_max = "150%"
io_weight = 10000
processes_max = 64
[php.value]
memory_limit = "256M"
session.gc_maxlifetime = 1440
"opcache.enable" = true
[php.admin_value]
display_errors = false
precision = 1.5
# file: sites.d/blog.toml~
this is not read
# file: sites.d/.blog.toml
neither is this
"#;
