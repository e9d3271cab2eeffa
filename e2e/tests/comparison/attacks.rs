//! The attacks: what the victim has, what the attacker tries, how success is seen.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;

use hostel_e2e::process::{self, wait_until};

use crate::ground::ATTACKER;
use crate::servers::{Kind, Server};

/// What became of an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Stopped,
    GotThrough,
}

impl Verdict {
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::GotThrough => "**got through**",
        }
    }
}

/// How success is seen.
#[derive(Debug, Clone, Copy)]
enum Sign {
    /// The victim's secret stands in the attacker's answer.
    Secret,
    /// What is asked for is not the script but this path of the attacker's site; the secret stands in the answer.
    SecretAt(&'static str),
    /// The name of the victim's user stands in the attacker's answer.
    VictimName,
    /// The path of the victim's script stands in the attacker's answer.
    VictimPath,
    /// The victim's request broke off.
    VictimBroken,
    /// The victim's script, asked once more, says "changed".
    VictimChanged,
    /// A line of a log begins with the attacker's word.
    ForgedLine,
    /// A log that is not the attacker's has the attacker's word.
    WordInVictimsLog,
    /// So many processes of the attacker's user run at once.
    Processes(usize),
    /// A process of the attacker's user is in another user namespace.
    UserNamespace,
    /// A file in the attacker's home belongs to root.
    FileOfRoot,
}

/// One attack.
pub(crate) struct Attack {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// PHP that the victim runs before, or meanwhile; it may `say` something.
    pub(crate) victim: &'static str,
    pub(crate) attacker: &'static str,
    sign: Sign,
}

impl Attack {
    pub(crate) fn tried_on(&self, server: &Server) -> Verdict {
        let ground = &server.ground;
        let said = ground.home("victim").join("private/said");
        let _ = fs::remove_file(&said);
        let target = |more: &str| {
            format!(
                "/{}.php?secret={}&victim={}&place={}{more}",
                self.id,
                ground.secret,
                ground.home("victim").display(),
                server.own().display()
            )
        };
        let through = thread::scope(|scope| {
            let victim = scope.spawn(|| server.get("victim.test", &target("")));
            wait_until(Duration::from_secs(5), || {
                said.exists() || victim.is_finished()
            });
            let word = fs::read_to_string(&said).unwrap_or_default();
            // The attacker is not told the secret.
            let attack = target(&format!("&said={}", word.trim())).replace(&ground.secret, "");
            let attack = match self.sign {
                Sign::SecretAt(path) => path.to_owned(),
                _ => attack,
            };
            let attacker = scope.spawn(move || server.get("attacker.test", &attack));
            let seen = self.seen_meanwhile(server, &|| attacker.is_finished());
            let answer = attacker.join().expect("a request");
            let text = answer.map(|answer| answer.text()).unwrap_or_default();
            if std::env::var_os("HOSTEL_SHOW").is_some() {
                println!(
                    "  {}: {}",
                    self.id,
                    text.chars().take(300).collect::<String>()
                );
            }
            let victim = victim.join().expect("a request");
            let broken = !victim.is_some_and(|answer| answer.text().contains("whole"));
            seen || self.seen_after(server, &text, broken, &target("&check=1"))
        });
        if through {
            Verdict::GotThrough
        } else {
            Verdict::Stopped
        }
    }

    /// What can only be seen while the attack runs.
    fn seen_meanwhile(&self, server: &Server, is_over: &dyn Fn() -> bool) -> bool {
        let uid = ATTACKER.ids().0.to_string();
        let mine = |process: &process::Process| {
            process
                .status("Uid")
                .is_some_and(|ids| ids.split_whitespace().next() == Some(&uid))
        };
        let mut seen = false;
        let _ = server;
        match self.sign {
            Sign::Processes(many) => wait_until(Duration::from_secs(20), || {
                seen |= process::all().iter().filter(|one| mine(one)).count() >= many;
                seen || is_over()
            }),
            Sign::UserNamespace => wait_until(Duration::from_secs(20), || {
                let own = fs::read_link("/proc/self/ns/user").ok();
                seen |= process::all().iter().filter(|one| mine(one)).any(|one| {
                    let other = fs::read_link(format!("/proc/{}/ns/user", one.pid)).ok();
                    other.is_some() && other != own
                });
                seen || is_over()
            }),
            Sign::Secret
            | Sign::SecretAt(_)
            | Sign::VictimName
            | Sign::VictimPath
            | Sign::VictimBroken
            | Sign::VictimChanged
            | Sign::ForgedLine
            | Sign::WordInVictimsLog
            | Sign::FileOfRoot => false,
        };
        seen
    }

    fn seen_after(&self, server: &Server, text: &str, broken: bool, check: &str) -> bool {
        let ground = &server.ground;
        match self.sign {
            Sign::Secret | Sign::SecretAt(_) => text.contains(&ground.secret),
            Sign::VictimName => text.contains(crate::ground::VICTIM.name()),
            Sign::VictimPath => text.contains(&format!(
                "{}/public/cached.php",
                ground.home("victim").display()
            )),
            Sign::VictimBroken => broken,
            Sign::VictimChanged => server
                .get("victim.test", check)
                .is_some_and(|answer| answer.text().contains("changed")),
            Sign::ForgedLine => server.logs().lines().any(|line| line.starts_with("FORGED")),
            Sign::WordInVictimsLog => {
                let log = match server.kind {
                    Kind::Hostel => "logs/victim/access.log",
                    Kind::Itk | Kind::NginxFpm => "victim-access.log",
                };
                let log = fs::read(server.own().join(log)).unwrap_or_default();
                String::from_utf8_lossy(&log).contains("PLANTED")
            }
            Sign::FileOfRoot => {
                fs::metadata(ground.home("attacker").join("made")).is_ok_and(|made| made.uid() == 0)
            }
            Sign::Processes(_) | Sign::UserNamespace => false,
        }
    }
}

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        id: "private-file",
        title: "read the victim's private file (0600)",
        victim: "echo 'whole';",
        attacker: "echo @file_get_contents(\"$victim/private/secret.txt\");",
        sign: Sign::Secret,
    },
    Attack {
        id: "readable-file",
        title: "read the victim's file that a web server may read (0644)",
        victim: "echo 'whole';",
        attacker: "echo @file_get_contents(\"$victim/public/readme.txt\");",
        sign: Sign::Secret,
    },
    Attack {
        id: "static-link",
        title: "let the web server read the victim's file through a symbolic link",
        victim: "echo 'whole';",
        attacker: "",
        sign: Sign::SecretAt("/link.txt"),
    },
    Attack {
        id: "shared-tmp",
        title: "read what the victim left in /tmp",
        victim: "$f = '/tmp/hostel-comparison'; file_put_contents($f, $secret); chmod($f, 0644); \
                 register_shutdown_function(fn() => @unlink($f)); say('there'); sleep(2); echo 'whole';",
        attacker: "echo @file_get_contents('/tmp/hostel-comparison');",
        sign: Sign::Secret,
    },
    Attack {
        id: "user-names",
        title: "list the other users of the host",
        victim: "echo 'whole';",
        attacker: "echo @file_get_contents('/etc/passwd');",
        sign: Sign::VictimName,
    },
    Attack {
        id: "processes",
        title: "see the victim's processes and their arguments",
        victim: "$p = proc_open(['/bin/sh', '-c', 'sleep 2; : ' . $secret], [], $pipes); say('there'); proc_close($p); echo 'whole';",
        attacker: "foreach (glob('/proc/[0-9]*/cmdline') as $f) echo @file_get_contents($f), \"\\n\";",
        sign: Sign::Secret,
    },
    Attack {
        id: "server-configuration",
        title: "read the victim's settings in the server's configuration",
        victim: "echo 'whole';",
        attacker: "foreach ([...glob(\"$place/*.conf\"), ...glob(\"$place/sites.d/*\")] as $f) echo @file_get_contents($f);",
        sign: Sign::Secret,
    },
    Attack {
        id: "shared-memory",
        title: "read the victim's System V shared memory",
        victim: "$m = shmop_open(4711, 'c', 0666, 100); shmop_write($m, $secret, 0); say('there'); sleep(2); \
                 shmop_delete($m); echo 'whole';",
        attacker: "$m = @shmop_open(4711, 'a', 0, 0); if ($m) echo shmop_read($m, 0, 100);",
        sign: Sign::Secret,
    },
    Attack {
        id: "dev-shm",
        title: "read the victim's POSIX shared memory",
        victim: "$f = '/dev/shm/hostel-comparison'; file_put_contents($f, $secret); chmod($f, 0644); say('there'); \
                 sleep(2); unlink($f); echo 'whole';",
        attacker: "echo @file_get_contents('/dev/shm/hostel-comparison');",
        sign: Sign::Secret,
    },
    Attack {
        id: "abstract-socket",
        title: "connect to the victim's abstract Unix socket",
        victim: "$s = stream_socket_server(\"unix://\\0hostel-comparison\"); say('there'); \
                 $c = @stream_socket_accept($s, 3); if ($c) fwrite($c, $secret); echo 'whole';",
        attacker: "$c = @stream_socket_client(\"unix://\\0hostel-comparison\", $e, $m, 2); if ($c) echo fread($c, 100);",
        sign: Sign::Secret,
    },
    Attack {
        id: "loopback-listener",
        title: "connect to what the victim listens on at loopback",
        victim: "$s = stream_socket_server('tcp://127.0.0.1:0'); say(explode(':', stream_socket_get_name($s, false))[1]); \
                 $c = @stream_socket_accept($s, 3); if ($c) fwrite($c, $secret); echo 'whole';",
        attacker: "$c = @stream_socket_client(\"tcp://127.0.0.1:$said\", $e, $m, 2); if ($c) echo fread($c, 100);",
        sign: Sign::Secret,
    },
    Attack {
        id: "php-socket",
        title: "speak to the victim's PHP directly, to run a script as the victim",
        victim: "echo 'whole';",
        attacker: "foreach (glob(\"$place/*.sock\") as $f) { $c = @stream_socket_client(\"unix://$f\"); if ($c) echo \"$victim/public/cached.php\"; }",
        sign: Sign::VictimPath,
    },
    Attack {
        id: "opcache-list",
        title: "list the victim's scripts in OPcache",
        victim: "include dirname(__DIR__) . '/public/cached.php'; echo 'whole';",
        attacker: "echo json_encode(array_keys(opcache_get_status()['scripts'] ?? []), JSON_UNESCAPED_SLASHES);",
        sign: Sign::VictimPath,
    },
    Attack {
        id: "opcache-run",
        title: "run the victim's private script (0600) out of OPcache",
        victim: "include dirname(__DIR__) . '/public/cached.php'; echo 'whole';",
        attacker: "echo @include \"$victim/public/cached.php\";",
        sign: Sign::Secret,
    },
    Attack {
        id: "opcache-reset",
        title: "throw the victim's OPcache away",
        victim: "include dirname(__DIR__) . '/public/cached.php'; $n = opcache_get_status()['opcache_statistics']['manual_restarts']; \
                 if (isset($_GET['check'])) echo $n > (int) file_get_contents(dirname(__DIR__) . '/private/said') ? 'changed' : 'same'; \
                 else { say($n); echo 'whole'; }",
        attacker: "opcache_reset(); usleep(300000);",
        sign: Sign::VictimChanged,
    },
    Attack {
        id: "kill",
        title: "end the victim's running request",
        victim: "say(getmypid()); sleep(2); echo 'whole';",
        attacker: "posix_kill((int) $said, SIGKILL);",
        sign: Sign::VictimBroken,
    },
    Attack {
        id: "inherited-logs",
        title: "write into the victim's access log through inherited descriptors",
        victim: "echo 'whole';",
        attacker: "foreach (scandir('/proc/self/fd') as $n) if ((int) $n > 2) { $f = @fopen(\"php://fd/$n\", 'a'); if ($f) @fwrite($f, \"PLANTED\\n\"); }",
        sign: Sign::WordInVictimsLog,
    },
    Attack {
        id: "forged-line",
        title: "forge a line of the server's log",
        victim: "echo 'whole';",
        attacker: "error_log(\"harmless\\nFORGED: a line of another's\\r\\nFORGED again\"); \
                   file_put_contents('php://stderr', \"x\\nFORGED by standard error\\n\");",
        sign: Sign::ForgedLine,
    },
    Attack {
        id: "many-processes",
        title: "start 600 processes",
        victim: "echo 'whole';",
        attacker: "exec('for i in $(seq 600); do sleep 4 & done 2>/dev/null; sleep 1');",
        sign: Sign::Processes(600),
    },
    Attack {
        id: "user-namespace",
        title: "become root of a user namespace (the way to most kernel holes)",
        victim: "echo 'whole';",
        attacker: "exec('unshare --user --map-root-user sleep 1');",
        sign: Sign::UserNamespace,
    },
    Attack {
        id: "set-uid-program",
        title: "gain root's rights from a set-uid program",
        victim: "echo 'whole';",
        attacker: "exec(dirname(__DIR__) . '/touch ' . dirname(__DIR__) . '/made');",
        sign: Sign::FileOfRoot,
    },
];
