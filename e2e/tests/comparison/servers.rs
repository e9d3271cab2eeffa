//! The three servers, started from Debian's packages and from this repository, with the same two sites.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hostel_e2e::http::exchange;
use hostel_e2e::process::{self, Signal, wait_until};
use hostel_e2e::user::{FRONT, ids};
use hostel_e2e::{Request, Response, free_port, programs};

use crate::ground::{ATTACKER, Ground, VICTIM};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Itk,
    NginxFpm,
    Hostel,
}

impl Kind {
    /// Hostel last.
    pub(crate) const ALL: [Self; 3] = [Self::Itk, Self::NginxFpm, Self::Hostel];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Itk => "itk",
            Self::NginxFpm => "nginx-fpm",
            Self::Hostel => "hostel",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Itk => "Apache mpm-itk",
            Self::NginxFpm => "nginx + php-fpm",
            Self::Hostel => "Hostel",
        }
    }
}

/// A server with both sites, ended when dropped.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) ground: Ground,
    port: u16,
    children: Vec<Child>,
}

impl Server {
    pub(crate) fn start(kind: Kind) -> Self {
        let reader = match kind {
            Kind::NginxFpm => Some(ids(WEB_USER).expect("www-data is Debian's").1),
            Kind::Itk | Kind::Hostel => None,
        };
        let mut server = Self {
            kind,
            ground: Ground::new(kind.word(), reader),
            port: free_port(),
            children: Vec::new(),
        };
        fs::create_dir_all(server.own()).expect("just made");
        match kind {
            Kind::Itk => server.start_itk(),
            Kind::NginxFpm => server.start_nginx_fpm(),
            Kind::Hostel => server.start_hostel(),
        }
        let request = Request::get("victim.test", "/private-file.php");
        let up = wait_until(Duration::from_secs(20), || {
            exchange(server.port, &request).is_ok_and(|answer| answer.status == 200)
        });
        assert!(up, "{kind:?} does not serve PHP\n{}", server.logs());
        server
    }

    pub(crate) fn get(&self, host: &str, target: &str) -> Option<Response> {
        exchange(self.port, &Request::get(host, target)).ok()
    }

    /// The directory of configuration, logs and sockets.
    pub(crate) fn own(&self) -> PathBuf {
        self.ground.place.join("server")
    }

    /// Everything in every log.
    pub(crate) fn logs(&self) -> String {
        fn read(directory: &Path, text: &mut String) {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    read(&path, text);
                } else if path
                    .extension()
                    .is_some_and(|end| end == "log" || end == "out")
                {
                    text.push_str(&String::from_utf8_lossy(
                        &fs::read(path).unwrap_or_default(),
                    ));
                }
            }
        }
        let mut text = String::new();
        read(&self.own(), &mut text);
        text
    }

    fn start_itk(&mut self) {
        let own = self.own();
        let own = own.display();
        let mut text = format!(
            "ServerRoot /etc/apache2\nServerName localhost\nListen 127.0.0.1:{}\nPidFile {own}/apache2.pid\n\
             DefaultRuntimeDir {own}\nMutex file:{own} default\nUser {WEB_USER}\nGroup {WEB_USER}\nErrorLog {own}/error.log\n\
             StartServers 2\nMinSpareServers 2\nMaxSpareServers 4\n",
            self.port
        );
        let modules = [
            "authz_core",
            "dir",
            "env",
            "mime",
            "mpm_prefork",
            "mpm_itk",
            "php8.2",
        ];
        for name in modules {
            text.push_str(&format!(
                "Include /etc/apache2/mods-available/{name}.load\n"
            ));
            text.push_str(&format!(
                "IncludeOptional /etc/apache2/mods-available/{name}.conf\n"
            ));
        }
        text.push_str(&format!("PHPIniDir {PHP_INI}\n"));
        for (name, user) in [("attacker", ATTACKER), ("victim", VICTIM)] {
            let root = self.ground.home(name).join("public");
            let (root, user) = (root.display(), user.name());
            text.push_str(&format!(
                "<VirtualHost *:{}>\nServerName {name}.test\nDocumentRoot {root}\nAssignUserId {user} {user}\n\
                 CustomLog {own}/{name}-access.log \"%h %r\"\nSetEnv DATABASE_PASSWORD {name}-{}\n\
                 <Directory {root}>\nRequire all granted\n</Directory>\n</VirtualHost>\n",
                self.port, self.ground.secret
            ));
        }
        let file = self.own().join("server.conf");
        fs::write(&file, text).expect("own directory");
        let mut command = Command::new("/usr/sbin/apache2");
        command.arg("-DFOREGROUND").arg("-f").arg(file);
        self.spawn(command);
    }

    fn start_nginx_fpm(&mut self) {
        let own = self.own();
        let own = own.display();
        let mut pools = format!("[global]\nerror_log = {own}/fpm.log\ndaemonize = no\n");
        let mut text = format!(
            "daemon off;\nuser {WEB_USER};\nworker_processes 1;\npid {own}/nginx.pid;\nerror_log {own}/error.log;\n\
             events {{ worker_connections 256; }}\nhttp {{\ninclude /etc/nginx/mime.types;\naccess_log off;\n{}",
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {own}/{kind};\n"))
                .concat()
        );
        for (name, user) in [("attacker", ATTACKER), ("victim", VICTIM)] {
            let root = self.ground.home(name).join("public");
            let (root, user) = (root.display(), user.name());
            pools.push_str(&format!(
                "[{name}]\nuser = {user}\ngroup = {user}\nlisten = {own}/{name}.sock\nlisten.owner = {WEB_USER}\n\
                 listen.group = {WEB_USER}\npm = static\npm.max_children = 4\nenv[DATABASE_PASSWORD] = {name}-{}\n",
                self.ground.secret
            ));
            text.push_str(&format!(
                "server {{\nlisten 127.0.0.1:{port};\nserver_name {name}.test;\nroot {root};\naccess_log {own}/{name}-access.log;\n\
                 location ~ \\.php$ {{ include /etc/nginx/snippets/fastcgi-php.conf; fastcgi_pass unix:{own}/{name}.sock; }}\n}}\n",
                port = self.port
            ));
        }
        text.push_str("}\n");
        let copied = fs::copy("/etc/nginx/fastcgi.conf", self.own().join("fastcgi.conf"));
        copied.expect("Debian's nginx has /etc/nginx/fastcgi.conf");
        let (nginx, fpm) = (
            self.own().join("server.conf"),
            self.own().join("pools.conf"),
        );
        fs::write(&nginx, text).expect("own directory");
        fs::write(&fpm, pools).expect("own directory");
        let mut command = Command::new("/usr/sbin/php-fpm8.2");
        command
            .args(["--nodaemonize", "-c", PHP_INI, "--fpm-config"])
            .arg(fpm);
        self.spawn(command);
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-p").arg(self.own()).arg("-c").arg(nginx);
        self.spawn(command);
    }

    fn start_hostel(&mut self) {
        let own = self.own();
        fs::create_dir_all(own.join("sites.d")).expect("own directory");
        let shown = own.display();
        let text = format!(
            "http = [\"127.0.0.1:{}\"]\nstate = \"{shown}/state\"\nlogs = \"{shown}/logs\"\nrun = \"{shown}/run\"\n\
             user = \"{FRONT}\"\nphp_ini = \"{PHP_INI}\"\n",
            self.port
        );
        fs::write(own.join("server.conf"), text).expect("own directory");
        for (name, user) in [("attacker", ATTACKER), ("victim", VICTIM)] {
            let text = format!(
                "domains = [\"{name}.test\"]\nuser = \"{}\"\nhome = \"{}\"\n[php.value]\n\"user_agent\" = \"{name}-{}\"\n",
                user.name(),
                self.ground.home(name).display(),
                self.ground.secret
            );
            fs::write(own.join(format!("sites.d/{name}.toml")), text).expect("own directory");
        }
        let mut command = Command::new(programs().join("hostel"));
        command
            .args(["serve", "--config"])
            .arg(own.join("server.conf"));
        self.spawn(command);
    }

    fn spawn(&mut self, mut command: Command) {
        let output = self.own().join(format!("{}.out", self.children.len()));
        let output = fs::File::create(output).expect("own directory");
        let errors = output.try_clone().expect("a descriptor");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        // Apache ends its whole process group.
        command.process_group(0);
        let child = command.spawn();
        let child =
            child.unwrap_or_else(|error| panic!("{command:?}: {error} (cargo xtask setup test)"));
        self.children.push(child);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- logs of {:?}\n{}", self.kind, self.logs());
        }
        for child in self.children.iter_mut().rev() {
            let pid = i32::try_from(child.id()).expect("a process id fits");
            process::signal_by_id(pid, Signal::TERM);
            let ended = wait_until(Duration::from_secs(20), || {
                matches!(child.try_wait(), Ok(Some(_)))
            });
            if !ended {
                process::signal_by_id(pid, Signal::KILL);
                let _ = child.wait();
            }
        }
    }
}

/// Debian's user for web servers.
const WEB_USER: &str = "www-data";
/// One php.ini for all three.
const PHP_INI: &str = "/etc/php/8.2/fpm";
