//! The peer: Debian's nginx and php-fpm, started on the document root of a site and as its user.
//!
//! nginx uses Debian's own snippets/fastcgi-php.conf and the usual front controller line; php-fpm uses Debian's php.ini. All
//! that is written for them stands in one directory, and both are ended by process id.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::http::Request;
use crate::instance::free_port;
use crate::process::{self, Signal, wait_until};
use crate::user::User;

/// nginx and php-fpm, running. Dropped, they end.
#[derive(Debug)]
pub struct Peer {
    directory: PathBuf,
    port: u16,
    children: Vec<Child>,
}

const NGINX: &str = "/usr/sbin/nginx";
const PHP_FPM: &str = "/usr/sbin/php-fpm8.2";
/// The directory of the php.ini that Debian's php-fpm reads; give Hostel the same by `php_ini`.
pub const PHP_INI: &str = "/etc/php/8.2/fpm";

impl Peer {
    /// Start both in a new directory beneath `place`, for one domain, document root and user.
    ///
    /// `php` are further lines of the pool's configuration, such as `php_value[memory_limit] = 64M`.
    pub fn start(place: &Path, domain: &str, root: &Path, user: User, php: &str) -> Self {
        for program in [NGINX, PHP_FPM] {
            assert!(
                Path::new(program).exists(),
                "{program} is missing: run `cargo xtask setup test`"
            );
        }
        let directory = place.join("peer");
        fs::create_dir_all(&directory).expect("the instance's directory");
        let mut peer = Self {
            directory,
            port: free_port(),
            children: Vec::new(),
        };
        peer.start_php_fpm(user, php);
        peer.start_nginx(domain, root, user);
        peer
    }

    /// nginx's port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// nginx's error log, which has PHP's standard error too.
    pub fn error_log(&self) -> String {
        let bytes = fs::read(self.directory.join("nginx-error.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn start_php_fpm(&mut self, user: User, php: &str) {
        let socket = self.directory.join("php.sock");
        let sessions = self.directory.join("sessions");
        fs::create_dir_all(&sessions).expect("the peer's directory");
        crate::site::own(&sessions, user);
        let configuration = format!(
            "[global]\nerror_log = {log}\ndaemonize = no\n\
             [www]\nuser = {user}\ngroup = {user}\nlisten = {socket}\nlisten.owner = {user}\nlisten.mode = 0600\n\
             pm = static\npm.max_children = 4\nphp_value[session.save_path] = {sessions}\n{php}\n",
            log = self.directory.join("fpm.log").display(),
            user = user.name(),
            socket = socket.display(),
            sessions = sessions.display(),
        );
        let file = self.directory.join("fpm.conf");
        fs::write(&file, configuration).expect("the peer's directory");
        let mut command = Command::new(PHP_FPM);
        command
            .args(["--nodaemonize", "-c", PHP_INI, "--fpm-config"])
            .arg(file);
        self.spawn(command, "fpm.out");
        let up = wait_until(Duration::from_secs(10), || socket.exists());
        assert!(up, "php-fpm made no socket\n{}", self.read("fpm.log"));
    }

    fn start_nginx(&mut self, domain: &str, root: &Path, user: User) {
        let configuration = format!(
            "daemon off;\nuser {user};\nworker_processes 1;\npid {directory}/nginx.pid;\nerror_log {directory}/nginx-error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{\n\
             include /etc/nginx/mime.types;\ndefault_type application/octet-stream;\naccess_log off;\nsendfile on;\n\
             client_max_body_size 128m;\n{temporary}\
             server {{\n\
             listen 127.0.0.1:{port};\nserver_name {domain};\nroot {root};\nindex index.php index.html;\n\
             location / {{ try_files $uri $uri/ /index.php$is_args$args; }}\n\
             location ~ [^/]\\.php(/|$) {{ include /etc/nginx/snippets/fastcgi-php.conf; fastcgi_pass unix:{directory}/php.sock; }}\n\
             }}\n}}\n",
            user = user.name(),
            directory = self.directory.display(),
            port = self.port,
            root = root.display(),
            temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {}/{kind};\n", self.directory.display()))
                .concat(),
        );
        // Debian's snippet includes it by a name relative to nginx.conf.
        let copied = fs::copy(
            "/etc/nginx/fastcgi.conf",
            self.directory.join("fastcgi.conf"),
        );
        copied.expect("Debian's nginx has /etc/nginx/fastcgi.conf");
        let file = self.directory.join("nginx.conf");
        fs::write(&file, configuration).expect("the peer's directory");
        let mut command = Command::new(NGINX);
        command.arg("-p").arg(&self.directory).arg("-c").arg(&file);
        self.spawn(command, "nginx.out");
        let request = Request::get(domain, "/is-it-up");
        let up = wait_until(Duration::from_secs(10), || {
            crate::http::exchange(self.port, &request).is_ok()
        });
        assert!(up, "nginx does not answer\n{}", self.read("nginx.out"));
    }

    fn spawn(&mut self, mut command: Command, output: &str) {
        let output = fs::File::create(self.directory.join(output)).expect("the peer's directory");
        let errors = output.try_clone().expect("a descriptor");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        self.children.push(child);
    }

    fn read(&self, file: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.directory.join(file)).unwrap_or_default())
            .into_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!(
                "--- the peer's log\n{}{}",
                self.read("fpm.log"),
                self.error_log()
            );
        }
        for child in &mut self.children {
            let pid = i32::try_from(child.id()).expect("a process id fits");
            process::signal_by_id(pid, Signal::TERM);
            if !wait_until(Duration::from_secs(5), || {
                matches!(child.try_wait(), Ok(Some(_)))
            }) {
                process::signal_by_id(pid, Signal::KILL);
                let _ = child.wait();
            }
        }
    }
}
