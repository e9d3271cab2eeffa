//! A network of the test's own: this host in one namespace, the world in another, a cable between them.
//!
//! ```no_run
//! use hostel_e2e::network;
//!
//! network::inside("a_test", |network| {
//!     network.serve(&["203.0.113.2:25"]);                    // somebody in the world answers there
//!     assert!(network::user_connects(0, "203.0.113.2:25"));  // and root gets through
//! });
//! ```
//!
//! The test starts itself again in new network and mount namespaces, in which everything that it starts is too; this machine's own
//! network is not touched, and all is gone with the last process.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Set for a test that is inside.
const INSIDE: &str = "HOSTEL_E2E_INSIDE";
/// This host's addresses on the cable.
pub const HOST: [&str; 2] = ["203.0.113.1", "2001:db8::1"];
/// The world's addresses on the cable.
pub const WORLD: [&str; 2] = ["203.0.113.2", "2001:db8::2"];
/// Further addresses of the world.
const FURTHER: [&str; 8] = [
    "198.51.100.7/32",
    "198.51.100.8/32",
    "169.254.169.254/32",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "10.9.8.7/32",
    "fd00:ec2::254/128",
    "2001:db8:9::7/128",
];

/// The network. Dropped, the world ends, and with it the cable.
#[derive(Debug)]
pub struct Network {
    world: Child,
    _input: ChildStdin,
    servers: Mutex<Vec<Server>>,
}

/// A process that listens. Dropped, it ends.
#[derive(Debug)]
pub struct Server(Child);

/// Run a test's body inside of a network of its own. `test` is the whole name of the test, by which it is started again.
///
/// # Panics
/// When the test fails inside.
pub fn inside(test: &str, body: impl FnOnce(&Network)) {
    if std::env::var_os(INSIDE).is_some() {
        return body(&Network::new());
    }
    let own = std::env::current_exe().expect("/proc");
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "--"])
        .arg(own)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare can be started (package util-linux)");
    assert!(status.success(), "{test}, inside of its network: {status}");
}

impl Network {
    fn new() -> Self {
        let mut world = Command::new("unshare")
            .args([
                "--net",
                "sh",
                "-c",
                "ip link set lo up; echo up; cat > /dev/null",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare can be started");
        let mut line = String::new();
        let output = world.stdout.take().expect("a pipe");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("the world says when it is there");
        let network = Self {
            _input: world.stdin.take().expect("a pipe"),
            world,
            servers: Mutex::new(Vec::new()),
        };
        let world = network.world.id();
        run(&format!(
            "ip link set lo up; ip link add cable type veth peer name cable netns {world}"
        ));
        for (address, length) in HOST.iter().zip([24, 64]) {
            run(&format!("ip addr add {address}/{length} dev cable nodad"));
        }
        run("ip link set cable up");
        for (address, length) in WORLD.iter().zip([24, 64]) {
            network.in_world(&format!("ip addr add {address}/{length} dev cable nodad"));
        }
        for address in FURTHER {
            network.in_world(&format!("ip addr add {address} dev lo nodad"));
        }
        network.in_world("ip link set cable up");
        run(&format!(
            "ip route add default via {}; ip -6 route add default via {}",
            WORLD[0], WORLD[1]
        ));
        network
    }

    /// Make an address this host's name server, for this test alone.
    pub fn set_nameserver(&self, address: &str) {
        let file = resolv_conf();
        let text = format!("nameserver {address}\noptions timeout:1\n");
        fs::write(&file, text).expect("the temporary directory");
        run(&format!("mount --bind {} /etc/resolv.conf", file.display()));
    }

    /// Run a script in the world.
    pub fn in_world(&self, script: &str) {
        run(&format!(
            "nsenter --net=/proc/{}/ns/net sh -ec '{script}'",
            self.world.id()
        ));
    }

    /// Have somebody in the world answer at these addresses, over TCP, for the rest of the test.
    pub fn serve(&self, addresses: &[&str]) {
        let mut words = vec![
            "nsenter".to_owned(),
            format!("--net=/proc/{}/ns/net", self.world.id()),
        ];
        words.extend(["php", "-n", "-r", SERVE].map(str::to_owned));
        words.extend(addresses.iter().map(|address| format!("tcp://{address}")));
        self.servers
            .lock()
            .expect("one thread")
            .push(Server::start(&words));
    }

    /// Whether the world gets through to this address of the host.
    pub fn world_connects(&self, address: &str) -> bool {
        let net = format!("--net=/proc/{}/ns/net", self.world.id());
        connects(&["nsenter", &net], address)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        end(&mut self.world);
        // There is one only where a test has set a name server.
        let _ = fs::remove_file(resolv_conf());
    }
}

fn resolv_conf() -> PathBuf {
    std::env::temp_dir().join(format!("hostel-resolv-{}", std::process::id()))
}

impl Server {
    /// Somebody on this host, of this user id, answers at these addresses (`tcp://…` or `udp://…`).
    pub fn of(uid: u32, addresses: &[&str]) -> Self {
        let mut words = vec![
            "setpriv".to_owned(),
            format!("--reuid={uid}"),
            format!("--regid={uid}"),
            "--clear-groups".to_owned(),
        ];
        words.extend(["php", "-n", "-r", SERVE].map(str::to_owned));
        words.extend(addresses.iter().map(|&address| address.to_owned()));
        Self::start(&words)
    }

    fn start(words: &[String]) -> Self {
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{words:?}: {e}"));
        let mut byte = [0];
        let mut output = child.stdout.take().expect("a pipe");
        output
            .read_exact(&mut byte)
            .unwrap_or_else(|e| panic!("{words:?} does not listen: {e}"));
        assert_eq!(byte, *b"x", "{words:?} does not listen");
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// Whether a user of this host gets through to an address, and hears from who is there.
pub fn user_connects(uid: u32, address: &str) -> bool {
    let [user, group] = ["--reuid", "--regid"].map(|option| format!("{option}={uid}"));
    connects(&["setpriv", &user, &group, "--clear-groups"], address)
}

fn connects(prefix: &[&str], address: &str) -> bool {
    let output = Command::new(prefix[0])
        .args(&prefix[1..])
        .args(["php", "-n", "-r", CONNECT, &format!("tcp://{address}")])
        .output()
        .expect("php can be started (package php8.2-cli)");
    String::from_utf8_lossy(&output.stdout) == "hello"
}

/// A name server for one name, on port 53 of an address; it answers with what it was told last.
#[derive(Debug, Clone)]
pub struct Zone(Arc<Mutex<(Vec<[u8; 4]>, u32)>>);

impl Zone {
    /// Serve from now on, until the test ends. It knows no address yet.
    pub fn serve(address: &str) -> Self {
        let zone = Self(Arc::new(Mutex::new((Vec::new(), 0))));
        let socket =
            UdpSocket::bind((address, 53)).expect("port 53 is free in a network of the test's own");
        let answers = zone.clone();
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut question) {
                let answer = answers.answer(&question[..length]);
                let _ = socket.send_to(&answer, peer);
            }
        });
        zone
    }

    /// From now on the name has these addresses, for so many seconds.
    pub fn set(&self, addresses: &[[u8; 4]], seconds: u32) {
        *self.0.lock().expect("no thread has panicked") = (addresses.to_vec(), seconds);
    }

    /// RFC 1035: the question comes back, with a record for each address if it was of type A.
    fn answer(&self, question: &[u8]) -> Vec<u8> {
        let (addresses, seconds) = self.0.lock().expect("no thread has panicked").clone();
        let name = question[12..]
            .iter()
            .position(|byte| *byte == 0)
            .expect("a name ends");
        let end = 12 + name + 5;
        let is_a = question[end - 4..end - 2] == [0, 1];
        let count = if is_a {
            u16::try_from(addresses.len()).expect("few")
        } else {
            0
        };
        let mut answer = question[..2].to_vec();
        answer.extend([0x81, 0x80, 0, 1]);
        answer.extend(count.to_be_bytes());
        answer.extend([0; 4]);
        answer.extend(&question[12..end]);
        for address in addresses.iter().take(count.into()) {
            answer.extend([0xc0, 12, 0, 1, 0, 1]);
            answer.extend(seconds.to_be_bytes());
            answer.extend([0, 4]);
            answer.extend(address);
        }
        answer
    }
}

/// The names of all tables of nftables in this network.
pub fn tables() -> Vec<String> {
    let output = Command::new("nft")
        .args(["list", "tables"])
        .output()
        .expect("nft can be started (package nftables)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter_map(|line| Some(line.rsplit_once(' ')?.1.to_owned()))
        .collect()
}

/// Run a script as root; it must succeed.
pub fn run(script: &str) {
    let output = Command::new("sh")
        .args(["-ec", script])
        .output()
        .expect("sh");
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Send a datagram as this user.
pub fn user_sends(uid: u32, address: &str) {
    let [user, group] = ["--reuid", "--regid"].map(|option| format!("{option}={uid}"));
    let script = "fwrite(stream_socket_client($argv[1]), 'hello');";
    let status = Command::new("setpriv")
        .args([
            &user,
            &group,
            "--clear-groups",
            "php",
            "-n",
            "-r",
            script,
            address,
        ])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{address}");
}

fn end(child: &mut Child) {
    // It may have ended already.
    let _ = child.kill();
    let _ = child.wait();
    // What it has left in this network ends within this.
    std::thread::sleep(Duration::from_millis(10));
    let _ = std::io::stdout().flush();
}

/// Answer everybody at all addresses of the command line; say a byte when listening.
const SERVE: &str = r#"
foreach (array_slice($argv, 1) as $at) {
    $udp = str_starts_with($at, 'udp');
    $flags = $udp ? STREAM_SERVER_BIND : STREAM_SERVER_BIND | STREAM_SERVER_LISTEN;
    $all[] = stream_socket_server($at, $n, $m, $flags) or exit("$at: $m");
}
echo 'x';
for (;;) {
    $ready = $all; $none = [];
    stream_select($ready, $none, $none, null);
    foreach ($ready as $one) {
        if ($client = @stream_socket_accept($one, 0)) { fwrite($client, 'hello'); fclose($client); }
        else { stream_socket_recvfrom($one, 100, 0, $peer); @stream_socket_sendto($one, 'hello', 0, $peer); }
    }
}
"#;

/// Connect to the address of the command line and say what is heard.
const CONNECT: &str = "($s = @stream_socket_client($argv[1], $n, $m, 3)) and print fread($s, 100);";
