//! A keeper that does nothing but live, sleep or die, by the name of its site.

use hostel_sys::child::inherited_descriptor;
use hostel_sys::cred::prove_dropped;
use hostel_sys::fdpass::{receive, send};
use hostel_wire::monitor_keeper::ToKeeper;

pub(crate) fn run() {
    prove_dropped().unwrap();
    assert_eq!(std::process::id(), 1);
    let monitor = inherited_descriptor(3).unwrap();
    rustix::io::ioctl_fionbio(&monitor, false).unwrap();
    let mut buffer = vec![0; 1 << 16];
    let mut name = String::new();
    let mut front = None;
    loop {
        let received = receive(&monitor, &mut buffer).unwrap();
        if received.bytes == 0 {
            return;
        }
        match ToKeeper::decode(&buffer[..received.bytes]).unwrap() {
            ToKeeper::Settings(settings) => {
                assert!(std::fs::read_dir(&settings.home).is_ok());
                name = settings.name;
            }
            ToKeeper::Front => {
                let socket = received.descriptors.into_iter().next().unwrap();
                send(&socket, format!("hello from {name}").as_bytes(), &[]).unwrap();
                front = Some(socket);
                eprintln!("{name} has a front");
                match name.as_str() {
                    "sleeps" => return,
                    "dies" => std::process::exit(3),
                    _ => {}
                }
            }
            ToKeeper::Stop { .. } => {
                drop(front);
                if name == "stubborn" {
                    std::thread::sleep(std::time::Duration::from_secs(30));
                }
                return;
            }
        }
    }
}
