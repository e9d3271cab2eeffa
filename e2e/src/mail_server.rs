//! An SMTP server that keeps what it is given: `e2e/mail/server.py`, on Debian's python3-aiosmtpd.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::instance::free_port;
use crate::process::wait_until;

/// Python and its modules are read from the disk.
const BEGINS_WITHIN: Duration = Duration::from_secs(30);
/// From a site to the server, with all waits that are not about a server that is away.
const ARRIVES_WITHIN: Duration = Duration::from_secs(40);

/// The server, running or not; its messages stay.
#[derive(Debug)]
pub struct MailServer {
    port: u16,
    directory: PathBuf,
    child: Option<Child>,
    /// Whether it takes mail after STARTTLS and a login alone.
    is_secure: bool,
}

/// A message as it has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The envelope's sender.
    pub sender: String,
    /// The envelope's recipients.
    pub recipients: Vec<String>,
    /// Head and body.
    pub text: Vec<u8>,
}

impl Mail {
    /// Its text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// The lines of the head, unfolded.
    pub fn head(&self) -> Vec<String> {
        let text = self.text();
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let unfolded = head.replace("\r\n\t", " ").replace("\r\n ", " ");
        unfolded.split("\r\n").map(str::to_owned).collect()
    }

    /// Everything behind the head.
    pub fn body(&self) -> String {
        let text = self.text();
        let (_, body) = text.split_once("\r\n\r\n").expect("a message has a body");
        body.to_owned()
    }
}

impl MailServer {
    /// One that does not run, with a port that nobody has.
    pub fn new(name: &str) -> Self {
        let directory = format!("hostel-mail-{}-{name}", std::process::id());
        let directory = std::env::temp_dir().join(directory);
        fs::create_dir_all(&directory).expect("the directory for temporary files");
        Self {
            port: free_port(),
            directory,
            child: None,
            is_secure: false,
        }
    }

    /// One that takes mail after STARTTLS and a login alone. Its certificate is its own.
    pub fn secure(name: &str) -> Self {
        let mut server = Self::new(name);
        server.is_secure = true;
        let [key, certificate, password] = server.secrets();
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            ])
            .args([
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost",
            ])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(key)
            .arg("-out")
            .arg(certificate)
            .output()
            .expect("openssl");
        assert!(made.status.success(), "openssl: {made:?}");
        fs::write(&password, "a secret\n").expect("its directory");
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).expect("its own");
        server
    }

    fn secrets(&self) -> [PathBuf; 3] {
        ["key", "certificate", "password"].map(|name| self.directory.join(name))
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The lines of hostel.toml that send mail to it.
    pub fn settings(&self) -> String {
        let port = self.port;
        if !self.is_secure {
            return format!("[mail]\nsmtp = \"127.0.0.1:{port}\"\ndomain = \"host.test\"");
        }
        let [_, certificate, password] = self.secrets();
        format!(
            "[mail]\nsmtp = \"localhost:{port}\"\ntls = \"starttls\"\ncertificate = {certificate:?}\nlogin = \"me\"\npassword_file = {password:?}"
        )
    }

    /// Start it and wait until it takes connections.
    pub fn start(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("mail/server.py");
        let [key, certificate, _] = self.secrets();
        let secrets = [certificate, key].into_iter().filter(|_| self.is_secure);
        let child = Command::new("/usr/bin/python3")
            .arg(script)
            .arg(self.port.to_string())
            .arg(&self.directory)
            .args(secrets)
            .stdin(Stdio::piped())
            .spawn()
            .expect("python3");
        self.child = Some(child);
        let begun = wait_until(BEGINS_WITHIN, || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        assert!(
            begun,
            "no mail server (apt-get install python3-aiosmtpd, or cargo xtask setup test)"
        );
    }

    /// End it. Its messages stay.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Ours, and not waited for yet.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// All that has arrived, in order.
    pub fn mails(&self) -> Vec<Mail> {
        let entries = fs::read_dir(&self.directory)
            .expect("its directory")
            .flatten();
        let mut paths: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "mail"))
            .collect();
        paths.sort();
        paths.iter().map(|path| read(path)).collect()
    }

    /// Wait until so many have arrived.
    pub fn wait_for(&self, count: usize) -> Vec<Mail> {
        wait_until(ARRIVES_WITHIN, || self.mails().len() >= count);
        let mails = self.mails();
        assert!(
            mails.len() >= count,
            "{} of {count} messages arrived",
            mails.len()
        );
        mails
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.stop();
        // What cannot be removed is in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn read(path: &Path) -> Mail {
    let bytes = fs::read(path).expect("a message");
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .expect("a line");
    let head: Value = serde_json::from_slice(&bytes[..end]).expect("JSON");
    let recipients = head["to"].as_array().expect("a list").iter();
    Mail {
        sender: head["from"].as_str().unwrap_or_default().to_owned(),
        recipients: recipients
            .map(|one| one.as_str().expect("text").to_owned())
            .collect(),
        text: bytes[end + 1..].to_vec(),
    }
}
