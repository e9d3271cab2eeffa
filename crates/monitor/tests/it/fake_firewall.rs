//! A firewall that writes down what it hears, and answers as the file `firewall` of the scene says: `later` (not at all),
//! `failed`, or, where there is none, that all is in force.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use hostel_sys::child::inherited_descriptor;
use hostel_sys::fdpass::{receive, send};
use hostel_wire::egress::Policy;
use hostel_wire::monitor_firewall::{FromFirewall, ToFirewall};

pub(crate) fn run() {
    let run = PathBuf::from(std::env::args_os().nth(1).unwrap());
    let scene = run.parent().unwrap();
    let monitor = inherited_descriptor(3).unwrap();
    rustix::io::ioctl_fionbio(&monitor, false).unwrap();
    note(scene, &format!("process {}", std::process::id()));
    let mut buffer = [0; 100];
    loop {
        // A monitor that was killed before it had read everything is an error.
        let received = match receive(&monitor, &mut buffer) {
            Ok(received) if received.bytes > 0 => received,
            _ => return note(scene, "the end"),
        };
        let ToFirewall::Apply { generation } =
            ToFirewall::decode(&buffer[..received.bytes]).unwrap();
        let [file] = received.descriptors.try_into().unwrap();
        let mut bytes = Vec::new();
        File::from(file).read_to_end(&mut bytes).unwrap();
        let policy = Policy::decode(&bytes).unwrap();
        let sites = policy.sites.iter().map(|site| site.name.as_str());
        note(
            scene,
            &format!("apply {generation} {}", sites.collect::<Vec<_>>().join(" ")),
        );
        let answer = std::fs::read_to_string(scene.join("firewall")).unwrap_or_default();
        if answer == "later" {
            continue;
        }
        let message = FromFirewall {
            generation,
            is_in_force: answer != "failed",
            text: if answer == "failed" {
                "no nft here".to_owned()
            } else {
                String::new()
            },
        };
        send(&monitor, &message.encode(), &[]).unwrap();
    }
}

fn note(scene: &Path, text: &str) {
    let mut options = File::options();
    options.append(true).create(true);
    // At the end the scene may be gone already.
    if let Ok(mut file) = options.open(scene.join("firewall-heard")) {
        writeln!(file, "{text}").unwrap();
    }
}
