//! Tests of `hostel` as it is typed.

#![forbid(unsafe_code)]

mod import;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// A configuration in a directory of its own.
struct Instance(PathBuf);

impl Instance {
    fn new(toml: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("hostel-cli-{}-{number}", std::process::id());
        let instance = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(instance.0.join("sites.d")).unwrap();
        let file = instance.0.join("hostel.toml");
        fs::write(&file, toml).unwrap();
        for (path, mode) in [(file, 0o600), (instance.0.join("sites.d"), 0o755)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        instance
    }

    fn hostel(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_hostel"))
            .args(arguments)
            .arg("--config")
            .arg(self.0.join("hostel.toml"))
            .output()
            .unwrap()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn check_lists_every_error_with_file_and_line() {
    let instance = Instance::new("user = \"root\"\nlgos = \"x\"\nhttps = [\"[::]:443\"]\n");
    let output = instance.hostel(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    let text = text(&output.stdout);
    for expected in [
        "hostel.toml:1: the front cannot run as 'root'",
        "hostel.toml:2: unknown key 'lgos'\n  hint: did you mean 'logs'?",
        "hostel.toml:3: 'https' must be empty",
        "3 errors\n",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn check_prints_one_document_for_programs() {
    let instance = Instance::new("user = \"root\"\n");
    let output = instance.hostel(&["check", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["errors"][0]["line"], 1);
    assert!(document["sites"].is_null());
    let host = document["host"].as_array().unwrap();
    // The other programs are not beside this one in every build directory, but openat2 is in every kernel that can be tested on.
    assert!(
        host.iter()
            .any(|finding| finding["what"] == "openat2" && finding["state"] == "fine")
    );
}

#[test]
fn status_says_that_no_server_runs() {
    let instance = Instance::new("run = \"here\"\n");
    let output = instance.hostel(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    let text = text(&output.stderr);
    assert!(
        text.contains("no server runs") && text.contains("here/status.sock"),
        "{text}"
    );
}

#[test]
fn status_adds_the_processes_of_a_site() {
    let instance = Instance::new("run = \".\"\n");
    let listener = UnixListener::bind(instance.0.join("status.sock")).unwrap();
    let me = std::process::id();
    let front = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut client, _) = listener.accept().unwrap();
            let document = format!(
                "{{\"sites\": [{{\"name\": \"blog\", \"user\": \"b\\u001bob\", \"keeper\": {me}}}, {{\"name\": \"idle\"}}]}}"
            );
            client.write_all(document.as_bytes()).unwrap();
        }
    });
    let output = instance.hostel(&["status", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let processes = document["sites"][0]["processes"].as_array().unwrap();
    assert_eq!(processes[0]["pid"], me);
    assert!(processes.iter().any(|process| process["name"] == "hostel"));
    assert_eq!(document["sites"][1]["processes"], Value::Array(Vec::new()));

    let output = instance.hostel(&["status"]);
    let text = text(&output.stdout);
    assert!(
        text.contains("blog") && text.contains(&me.to_string()),
        "{text}"
    );
    assert!(
        !text.contains('\u{1b}'),
        "what a peer says is escaped: {text:?}"
    );
    front.join().unwrap();
}

#[test]
fn serve_names_what_it_lacks() {
    let instance = Instance::new("");
    // A copy that stands alone: no monitor is beside it, whatever else has been built.
    let program = instance.0.join("hostel");
    // By another process: a test beside this one that forks while this one wrote would hold the copy open, and exec refuses such a file.
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_hostel"))
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    let output = Command::new(&program).arg("serve").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = text(&output.stderr);
    let is_root = text.contains("cannot start") && text.contains("hostel-monitor");
    assert!(
        is_root || text.contains("must be started by root"),
        "{text}"
    );
    assert!(text.contains("hint:"), "{text}");
}
