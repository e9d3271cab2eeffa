//! Where sites may connect to, and who may connect to them: real sites in a network of the test's own.
//!
//! Each attempt that is stopped has its control: with the table gone and the firewall held still, the same attempt succeeds.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hostel_e2e::network::{
    HOST, Network, Server, Zone, inside, run, tables, user_connects, user_sends,
};
use hostel_e2e::{Instance, Process, Signal, Site, User, patience, user, wait_until};

/// `?to=…`: connect and say what is heard; `open`, `refused` or `silent`, and after how many milliseconds.
/// `?listen=…`: listen, connect from within, wait a second, and say what strangers have sent.
const SCRIPT: &str = r#"<?php
if (isset($_GET['to'])) {
    $begun = microtime(true);
    $s = @stream_socket_client($_GET['to'], $number, $message, 3);
    if ($s && str_starts_with($_GET['to'], 'udp')) { $sent = @fwrite($s, 'hello'); if (!$sent) $s = false; }
    stream_set_timeout($s ?: fopen('php://memory', 'r'), 3);
    $heard = $s ? fread($s, 100) : '';
    $time = (int) (1000 * (microtime(true) - $begun));
    exit(($heard === 'hello' ? 'open' : ($time < 2500 ? 'refused' : 'silent')) . " after $time ms: $message");
}
$udp = str_starts_with($_GET['listen'], 'udp');
$flags = $udp ? STREAM_SERVER_BIND : STREAM_SERVER_BIND | STREAM_SERVER_LISTEN;
$l = stream_socket_server($_GET['listen'], $number, $message, $flags) or exit("cannot listen: $message");
touch('listening');
$until = microtime(true) + 2;
$heard = '';
while (($left = $until - microtime(true)) > 0) {
    $ready = [$l]; $none = [];
    if (!stream_select($ready, $none, $none, 0, (int) (1e6 * $left))) continue;
    if ($udp) { $heard .= stream_socket_recvfrom($l, 100, 0, $peer); @stream_socket_sendto($l, 'hello', 0, $peer); continue; }
    $c = stream_socket_accept($l, 0) and fwrite($c, 'hello') and $heard .= 'somebody ';
}
unlink('listening');
echo "heard: $heard";
"#;

fn site(name: &str, user: User, toml: &str) -> Site {
    Site::new(name, user)
        .file("public/index.php", SCRIPT)
        .toml(toml)
}

/// What a site says of an attempt.
fn attempt(instance: &Instance, site: &str, to: &str) -> String {
    instance
        .get(&format!("{site}.test"), &format!("/?to={to}"))
        .text()
}

fn is_open(instance: &Instance, site: &str, to: &str) -> bool {
    attempt(instance, site, to).starts_with("open")
}

fn assert_open(instance: &Instance, site: &str, places: &[&str]) {
    for to in places {
        let said = attempt(instance, site, to);
        assert!(
            said.starts_with("open"),
            "{site} to {to}: {said}\n{}",
            instance.logs()
        );
    }
}

fn assert_refused(instance: &Instance, site: &str, places: &[&str]) {
    for to in places {
        let said = attempt(instance, site, to);
        assert!(
            said.starts_with("refused"),
            "{site} to {to}: {said}\n{}",
            instance.logs()
        );
    }
}

/// Everything that sites try to reach, listening.
fn scenery(network: &Network) -> Vec<Server> {
    network.serve(&[
        "203.0.113.2:25",
        "203.0.113.2:443",
        "203.0.113.2:53",
        "[2001:db8::2]:25",
        "[2001:db8::2]:443",
        "198.51.100.7:443",
        "198.51.100.8:443",
        "169.254.169.254:80",
        "100.100.100.200:80",
        "168.63.129.16:80",
        "10.9.8.7:443",
        "[fd00:ec2::254]:80",
    ]);
    let (mysql, _) = user::ids("daemon").expect("Debian has it");
    vec![Server::of(
        mysql,
        &[
            "tcp://127.0.0.1:3306",
            "tcp://127.0.0.1:6379",
            "tcp://127.0.0.1:9200",
            "tcp://[::1]:9200",
            "tcp://203.0.113.1:9201",
            "udp://127.0.0.1:8125",
            "tcp://127.0.0.1:2525",
        ],
    )]
}

/// Hold the firewall still and take its table away while `body` runs.
fn without_table(instance: &Instance, body: impl FnOnce()) {
    let held = Held(instance.running("hostel-firewall").remove(0));
    held.0.signal(Signal::STOP);
    let table = table_of(instance);
    // The table is there before what differs between sites is in it.
    let told = || instance.logs().matches("they are in force again").count();
    let before = told();
    run(&format!("nft delete table inet {table}"));
    body();
    drop(held);
    let back = wait_until(Duration::from_secs(5), || {
        tables().contains(&table) && told() > before
    });
    assert!(back, "{}", instance.logs());
}

/// A process that is held still, and goes on when this is dropped.
struct Held(Process);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.signal(Signal::CONT);
    }
}

/// The instance's table: the only one of this name in the test's network.
fn table_of(instance: &Instance) -> String {
    let mut found = tables();
    found.retain(|name| name.starts_with("hostel_egress_"));
    assert_eq!(found.len(), 1, "{}", instance.logs());
    found.remove(0)
}

#[test]
fn a_site_reaches_the_world_but_neither_mail_nor_metadata_nor_this_hosts_services() {
    inside(
        "a_site_reaches_the_world_but_neither_mail_nor_metadata_nor_this_hosts_services",
        |network| {
            let _servers = scenery(network);
            let instance = Instance::new("egress")
                .site(site("usual", User::One, "services = [\"127.0.0.1:2525\"]"))
                .site(site("mail", User::Two, "egress = \"all\""))
                .start();
            let own = format!("tcp://127.0.0.1:{}", instance.port());
            assert_open(
                &instance,
                "usual",
                &[
                    "tcp://203.0.113.2:443",
                    "tcp://[2001:db8::2]:443",
                    "tcp://203.0.113.2:53",
                    "tcp://10.9.8.7:443",
                    "tcp://127.0.0.1:3306",
                    "tcp://127.0.0.1:6379",
                    "tcp://127.0.0.1:2525",
                ],
            );
            assert_open(
                &instance,
                "mail",
                &[
                    "tcp://203.0.113.2:25",
                    "tcp://[2001:db8::2]:25",
                    "tcp://127.0.0.1:3306",
                ],
            );
            // wp-cron calls its own site; what it hears is HTTP.
            assert!(
                attempt(&instance, "usual", &own).starts_with("silent"),
                "a connection, on which nobody speaks first"
            );
            let closed = [
                "tcp://203.0.113.2:25",
                "tcp://[2001:db8::2]:25",
                "tcp://169.254.169.254:80",
                "tcp://[::ffff:169.254.169.254]:80",
                "tcp://100.100.100.200:80",
                "tcp://168.63.129.16:80",
                "tcp://[fd00:ec2::254]:80",
                "tcp://127.0.0.1:9200",
                "tcp://[::1]:9200",
                "tcp://203.0.113.1:9201",
                "udp://127.0.0.1:8125",
            ];
            assert_refused(&instance, "usual", &closed);
            assert_refused(&instance, "mail", &closed[2..]);
            assert_refused(&instance, "mail", &["tcp://127.0.0.1:2525"]);
            let (front, _) = user::ids(user::FRONT).expect("made");
            for uid in [0, front] {
                assert!(
                    user_connects(uid, "203.0.113.2:25") && user_connects(uid, "127.0.0.1:9200"),
                    "user {uid}"
                );
            }
            without_table(&instance, || assert_open(&instance, "usual", &closed));
            assert_refused(&instance, "usual", &closed);
        },
    );
}

#[test]
fn a_site_with_a_list_reaches_what_is_listed_and_one_with_none_nothing() {
    inside(
        "a_site_with_a_list_reaches_what_is_listed_and_one_with_none_nothing",
        |network| {
            let _servers = scenery(network);
            let list = r#"egress = ["203.0.113.2:443", "169.254.169.254:80", "127.0.0.1:3306", "[2001:db8::2]:443"]"#;
            // Ports are the same as those that are listed: else Landlock would answer before the packet filter does.
            let instance = Instance::new("egress-list")
                .site(site("listed", User::One, list))
                .site(site("none", User::Two, "egress = \"none\""))
                .site(site(
                    "one",
                    User::Three,
                    "egress = \"none\"\nshare_user = true",
                ))
                .site(site(
                    "two",
                    User::Three,
                    "egress = [\"198.51.100.7:443\"]\nshare_user = true",
                ))
                .start();
            let listed = [
                "tcp://203.0.113.2:443",
                "tcp://169.254.169.254:80",
                "tcp://127.0.0.1:3306",
                "tcp://[2001:db8::2]:443",
            ];
            assert_open(&instance, "listed", &listed);
            let closed = [
                "tcp://198.51.100.7:443",
                "tcp://168.63.129.16:80",
                "tcp://10.9.8.7:443",
            ];
            assert_refused(&instance, "listed", &closed);
            assert_refused(
                &instance,
                "listed",
                &[
                    "udp://203.0.113.2:53",
                    "tcp://203.0.113.2:53",
                    "tcp://127.0.0.1:6379",
                ],
            );
            assert_refused(&instance, "none", &listed);
            assert_refused(
                &instance,
                "none",
                &["udp://203.0.113.2:53", "udp://127.0.0.1:8125"],
            );
            // Landlock holds each site to its own ports, the packet filter the user to the union.
            assert_open(&instance, "two", &["tcp://198.51.100.7:443"]);
            assert_refused(&instance, "two", &["tcp://203.0.113.2:443"]);
            assert_refused(&instance, "one", &["tcp://203.0.113.2:443"]);
            let (shared, _) = User::Three.ids();
            assert!(
                user_connects(shared, "198.51.100.7:443")
                    && !user_connects(shared, "203.0.113.2:443")
            );
            without_table(&instance, || {
                assert_open(&instance, "listed", &closed);
                assert!(user_connects(shared, "203.0.113.2:443"));
            });
        },
    );
}

/// Start a request that listens, and do something meanwhile. Gives what the site has heard.
fn while_listening(instance: &Instance, name: &str, at: &str, body: impl FnOnce()) -> String {
    let marker = instance.home(name).join("public/listening");
    std::thread::scope(|scope| {
        let request = scope.spawn(|| {
            instance
                .get(&format!("{name}.test"), &format!("/?listen={at}"))
                .text()
        });
        let listens = wait_until(Duration::from_secs(5), || marker.exists());
        assert!(listens, "{at}: {}", instance.logs());
        body();
        request.join().expect("an answer")
    })
}

#[test]
fn what_a_site_listens_on_is_closed_to_others() {
    inside("what_a_site_listens_on_is_closed_to_others", |network| {
        let services = "services = [\"127.0.0.1:9300\"]";
        let instance = Instance::new("egress-listen")
            .site(site("thief", User::One, services))
            .site(site("victim", User::Two, services))
            .start();
        let (other, _) = user::ids("daemon").expect("Debian has it");
        // In the place of a database that is down for a moment; of a service of both; on every address.
        for (port, own) in [(6379, false), (9300, true), (7777, false)] {
            let at = format!("127.0.0.1:{port}");
            let heard =
                while_listening(&instance, "thief", &format!("tcp://0.0.0.0:{port}"), || {
                    let begun = Instant::now();
                    assert!(
                        !is_open(&instance, "victim", &format!("tcp://{at}")),
                        "{at}"
                    );
                    assert!(!user_connects(0, &at) && !user_connects(other, &at), "{at}");
                    assert!(
                        !network.world_connects(&format!("{}:{port}", HOST[0])),
                        "{at}"
                    );
                    assert!(
                        begun.elapsed() < patience(Duration::from_secs(2)),
                        "they fail at once"
                    );
                    assert_eq!(
                        is_open(&instance, "thief", &format!("tcp://{at}")),
                        own,
                        "{at}"
                    );
                });
            assert_eq!(
                heard,
                if own { "heard: somebody " } else { "heard: " },
                "{at}"
            );
        }
        let heard = while_listening(&instance, "thief", "tcp://[::]:9300", || {
            assert!(!user_connects(0, "[::1]:9300"));
            assert!(!network.world_connects(&format!("[{}]:9300", HOST[1])));
        });
        assert_eq!(heard, "heard: ");
        // A datagram arrives; what a site may send of its own does not reach another's socket, and no answer comes.
        while_listening(&instance, "thief", "udp://127.0.0.1:8125", || {
            assert!(!is_open(&instance, "victim", "udp://127.0.0.1:8125"));
            user_sends(other, "udp://127.0.0.1:8125");
        });
        without_table(&instance, || {
            let heard = while_listening(&instance, "thief", "tcp://0.0.0.0:6379", || {
                assert!(is_open(&instance, "victim", "tcp://127.0.0.1:6379"));
                assert!(
                    user_connects(0, "127.0.0.1:6379")
                        && network.world_connects("203.0.113.1:6379")
                );
            });
            assert_eq!(heard, "heard: somebody somebody somebody ");
        });
    });
}

#[test]
fn a_flooded_socket_of_a_site_gets_no_further_with_syn_cookies() {
    inside(
        "a_flooded_socket_of_a_site_gets_no_further_with_syn_cookies",
        |_| {
            let instance = Instance::new("egress-cookies")
                .site(site("thief", User::One, ""))
                .start();
            let (uid, gid) = User::One.ids();
            // What a filter on its own clients' sockets would do for the thief: they do not hear that they are refused.
            run(
                "nft 'add table inet deaf; add chain inet deaf in { type filter hook input priority 10; }; add rule inet deaf in tcp sport 6379 tcp dport 40000-40015 drop'",
            );
            let flood = |seconds: u32| {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={uid}"))
                    .arg(format!("--regid={gid}"));
                command.args([
                    "--clear-groups",
                    "php",
                    "-n",
                    "-r",
                    FLOOD,
                    &seconds.to_string(),
                ]);
                command
                    .stdout(std::process::Stdio::piped())
                    .spawn()
                    .expect("php")
            };
            let victim = || {
                std::thread::sleep(Duration::from_millis(700));
                user_connects(0, "127.0.0.1:6379")
            };
            // Sites wait for the rules; this thief is none.
            let held = wait_until(Duration::from_secs(5), || !tables().is_empty());
            assert!(held, "{}", instance.logs());
            let thief = flood(3);
            assert!(!victim());
            let heard = thief.wait_with_output().expect("it ends");
            assert_eq!(String::from_utf8_lossy(&heard.stdout), "");
            without_table(&instance, || {
                let thief = flood(3);
                assert!(
                    victim(),
                    "the flood has the kernel send cookies, which are let through without rules"
                );
                let heard = thief.wait_with_output().expect("it ends");
                assert_eq!(String::from_utf8_lossy(&heard.stdout), "somebody");
            });
            let cookies = std::fs::read_to_string("/proc/net/netstat").expect("/proc");
            let sent = cookies
                .lines()
                .nth(1)
                .and_then(|line| line.split(' ').nth(1))
                .expect("a number");
            assert_ne!(sent, "0", "no cookie was sent, so nothing was tried");
        },
    );
}

/// Listen with the shortest queue, fill it with connections that never complete, then take one.
const FLOOD: &str = r#"
$c = stream_context_create(['socket' => ['backlog' => 1]]);
$l = stream_socket_server('tcp://127.0.0.1:6379', $n, $m, STREAM_SERVER_BIND | STREAM_SERVER_LISTEN, $c);
for ($port = 40000; $port < 40010; $port++) {
    $bind = stream_context_create(['socket' => ['bindto' => "127.0.0.1:$port"]]);
    $all[] = stream_socket_client('tcp://127.0.0.1:6379', $n, $m, 1, STREAM_CLIENT_ASYNC_CONNECT, $bind);
}
if ($a = @stream_socket_accept($l, (float) $argv[1])) { fwrite($a, 'hello'); echo 'somebody'; }
"#;

#[test]
fn the_table_comes_and_goes_with_the_server() {
    inside("the_table_comes_and_goes_with_the_server", |_| {
        run("nft add table inet others; nft add table ip hostel_egress_of_nobody");
        let others = tables();
        let mut instance = Instance::new("egress-life")
            .site(site("a", User::One, ""))
            .start();
        let mut second = Instance::new("egress-life-too")
            .site(site("a", User::One, ""))
            .start();
        let waits = |count: usize| wait_until(Duration::from_secs(5), || tables().len() == count);
        assert!(waits(others.len() + 2), "{:?}", tables());
        assert_eq!(second.stop(), Default::default());
        assert_eq!(tables().len(), others.len() + 1);
        // Whoever empties all of nftables does not mean this table.
        run("nft flush ruleset");
        assert!(waits(1), "{}", instance.logs());
        let is_told = wait_until(Duration::from_secs(5), || {
            instance.logs().contains("somebody has removed the rules")
        });
        assert!(is_told, "{}", instance.logs());
        // A firewall that dies leaves its rules, and another one takes over.
        let table = table_of(&instance);
        let firewall = instance.running("hostel-firewall").remove(0);
        firewall.signal(Signal::KILL);
        let replaced = wait_until(Duration::from_secs(5), || {
            let running = instance.running("hostel-firewall");
            assert_eq!(table_of(&instance), table);
            running.iter().any(|process| process.pid != firewall.pid)
        });
        assert!(replaced, "{}", instance.logs());
        instance.kill_monitor();
        assert!(waits(0), "{:?}", tables());
        instance.serve();
        assert!(waits(1), "{}", instance.logs());
        assert_eq!(instance.stop(), Default::default());
        assert!(tables().is_empty(), "{:?}", tables());
    });
}

#[test]
fn a_reload_changes_the_rules() {
    inside("a_reload_changes_the_rules", |network| {
        network.serve(&["203.0.113.2:443"]);
        let mut instance = Instance::new("egress-reload")
            .site(site("a", User::One, "egress = \"none\""))
            .start();
        let place = "tcp://203.0.113.2:443";
        assert_refused(&instance, "a", &[place]);
        for (toml, is_to_be_open) in [
            ("egress = \"usual\"", true),
            ("egress = [\"203.0.113.2:444\"]", false),
        ] {
            instance.add_site(site("a", User::One, toml));
            instance.reload();
            let changed = wait_until(Duration::from_secs(10), || {
                is_open(&instance, "a", place) == is_to_be_open
            });
            assert!(changed, "{toml}: {}", instance.logs());
        }
    });
}

#[test]
fn a_name_leads_where_its_zone_says_but_never_into_this_host() {
    inside(
        "a_name_leads_where_its_zone_says_but_never_into_this_host",
        |network| {
            let _servers = scenery(network);
            let _others = Server::of(0, &["tcp://127.0.0.1:443", "tcp://203.0.113.1:443"]);
            let instance = Instance::new("egress-names");
            network.set_nameserver("127.0.0.1");
            let zone = Zone::serve("127.0.0.1");
            let [first, second] = [[198, 51, 100, 7], [198, 51, 100, 8]];
            zone.set(&[first], 5);
            let instance = instance
                .site(site("a", User::One, "egress = [\"api.example.org:443\"]"))
                .start();
            let waits =
                |to: &str| wait_until(Duration::from_secs(10), || is_open(&instance, "a", to));
            assert!(waits("tcp://198.51.100.7:443"), "{}", instance.logs());
            assert_open(&instance, "a", &["tcp://api.example.org:443"]);
            assert_refused(&instance, "a", &["tcp://198.51.100.8:443"]);
            let resolver = instance.running("hostel-resolver").remove(0);
            let (nobody, _) = user::ids("nobody").expect("Debian has it");
            let uids = resolver.status("Uid").expect("it runs");
            assert!(
                uids.split_whitespace().all(|uid| uid == nobody.to_string()),
                "{uids}"
            );

            zone.set(&[second], 5);
            assert!(waits("tcp://198.51.100.8:443"), "{}", instance.logs());
            let gone = wait_until(Duration::from_secs(15), || {
                !is_open(&instance, "a", "tcp://198.51.100.7:443")
            });
            assert!(
                gone,
                "an address that the zone no longer has is closed after twice its life"
            );

            // A zone that turns hostile.
            zone.set(
                &[
                    second,
                    [127, 0, 0, 1],
                    [203, 0, 113, 1],
                    [169, 254, 169, 254],
                    [10, 9, 8, 7],
                ],
                5,
            );
            let told = wait_until(Duration::from_secs(10), || {
                instance.logs().contains("10.9.8.7, which is not taken")
            });
            assert!(told, "{}", instance.logs());
            assert_open(&instance, "a", &["tcp://198.51.100.8:443"]);
            let hostile = [
                "tcp://127.0.0.1:443",
                "tcp://203.0.113.1:443",
                "tcp://10.9.8.7:443",
            ];
            assert_refused(&instance, "a", &hostile);
            resolver.signal(Signal::KILL);
            without_table(&instance, || assert_open(&instance, "a", &hostile));
            assert!(waits("tcp://198.51.100.8:443"), "{}", instance.logs());
        },
    );
}

#[test]
fn without_nft_sites_that_are_to_be_held_do_not_start() {
    inside(
        "without_nft_sites_that_are_to_be_held_do_not_start",
        |network| {
            network.serve(&["203.0.113.2:25"]);
            run("mount --bind /dev/null /usr/sbin/nft");
            let instance = Instance::new("egress-no-nft")
                .site(site("usual", User::One, ""))
                .site(site("none", User::Two, "egress = \"none\""))
                .start();
            assert_open(&instance, "usual", &["tcp://203.0.113.2:25"]);
            let answer = instance.get("none.test", "/?to=tcp://203.0.113.2:25");
            assert_eq!(answer.status, 503, "{}", answer.text());
            let logs = instance.logs();
            for text in [
                "sites may connect anywhere: cannot run nft",
                "site none: not started: nothing would hold it to its 'egress'",
            ] {
                assert!(logs.contains(text), "{text}: {logs}");
            }
            let (good, said, _) = instance.command(&["check"]);
            assert!(
                !good
                    && said.contains("missing: packet filter (nftables)")
                    && said.contains("site none"),
                "{said}"
            );
        },
    );
}

#[test]
fn the_inbound_table_leaves_open_what_is_to_be() {
    inside("the_inbound_table_leaves_open_what_is_to_be", |network| {
        let _servers = Server::of(
            0,
            &[
                "tcp://203.0.113.1:22",
                "tcp://[::1]:22",
                "tcp://[2001:db8::1]:22",
                "tcp://203.0.113.1:9200",
                "tcp://127.0.0.1:9200",
                "tcp://[2001:db8::1]:9200",
            ],
        );
        network.serve(&["203.0.113.2:443"]);
        run("nft add table inet others");
        let instance = Instance::new("inbound").site(site("a", User::One, ""));
        instance.write_configuration();
        let [ssh, other] = ["203.0.113.1:22", "203.0.113.1:9200"];
        let reachable = || {
            [ssh, other, "[2001:db8::1]:22", "[2001:db8::1]:9200"]
                .map(|at| network.world_connects(at))
        };
        assert_eq!(reachable(), [true; 4]);
        let (good, said, errors) = instance.command(&["firewall", "apply", "--dry-run"]);
        assert!(
            good && said.contains("nothing was changed"),
            "{said}{errors}"
        );
        assert_eq!(
            (reachable(), tables()),
            ([true; 4], vec!["others".to_owned()])
        );

        let (good, said, errors) = instance.command(&["firewall", "apply"]);
        assert!(good, "{said}{errors}");
        assert_eq!(reachable(), [true, false, true, false]);
        assert!(
            user_connects(0, "203.0.113.2:443") && user_connects(0, "127.0.0.1:9200"),
            "what this host begins is answered"
        );
        // Both sides have to find each other again, which IPv6 does with ICMP.
        run("ip neigh flush dev cable");
        network.in_world("ip neigh flush dev cable");
        assert_eq!(reachable(), [true, false, true, false]);
        // The table of where sites may connect to is there too, without a server.
        let (uid, _) = User::One.ids();
        assert!(!user_connects(uid, "127.0.0.1:9200"));

        let (good, said, errors) = instance.command(&["firewall", "remove"]);
        assert!(good, "{said}{errors}");
        assert_eq!(
            (reachable(), tables()),
            ([true; 4], vec!["others".to_owned()])
        );
    });
}

#[test]
fn apply_does_not_close_the_connection_that_it_is_typed_in() {
    inside(
        "apply_does_not_close_the_connection_that_it_is_typed_in",
        |_| {
            let instance = Instance::new("inbound-ssh").site(site("a", User::One, ""));
            instance.write_configuration();
            let typed = |port: &str, more: &[&str]| {
                // As sudo does it: the variable is an ancestor's.
                let script = "env -u SSH_CONNECTION \"$@\"; exit $?";
                let output = Command::new("sh")
                    .args(["-c", script, "sh"])
                    .arg(hostel_e2e::programs().join("hostel"))
                    .args(["firewall", "apply", "--config"])
                    .arg(instance.configuration())
                    .args(more)
                    .env(
                        "SSH_CONNECTION",
                        format!("192.0.2.7 50000 192.0.2.1 {port}"),
                    )
                    .output()
                    .expect("sh");
                (
                    output.status.success(),
                    String::from_utf8_lossy(&output.stderr).into_owned(),
                )
            };
            let (good, errors) = typed("2222", &[]);
            assert!(
                !good && errors.contains("port 2222") && tables().is_empty(),
                "{errors}"
            );
            for (port, more) in [("22", &[][..]), ("2222", &["--close-my-ssh"])] {
                assert!(typed(port, more).0);
                assert!(instance.command(&["firewall", "remove"]).0);
            }
            assert!(Path::new("/usr/sbin/nft").exists());
        },
    );
}
