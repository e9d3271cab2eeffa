//! What tests of other crates start from: a site that has nothing special. Not part of any program.

use std::path::PathBuf;
use std::time::Duration;

use hostel_sys::cred::{Gid, Uid, User};

use crate::{Egress, Limits, MailRate, Site};

/// A user with a group of the same number.
pub fn user(name: &str, uid: u32) -> User {
    User {
        name: name.to_owned(),
        uid: Uid(uid),
        gid: Gid(uid),
        home: PathBuf::from("/"),
    }
}

/// A site of a user of its own name, at NAME.example and in /srv/NAME.
pub fn site(name: &str, uid: u32) -> Site {
    let second = Duration::from_secs(1);
    Site {
        name: name.to_owned(),
        domains: vec![format!("{name}.example")],
        user: user(name, uid),
        home: format!("/srv/{name}"),
        root: format!("/srv/{name}/public"),
        index: Vec::new(),
        script_extensions: vec!["php".to_owned()],
        front_controller: String::new(),
        foreign_owners: false,
        suspended: false,
        fresh: hostel_wire::fresh::Fresh::Off,
        egress: Egress::Usual,
        services: Vec::new(),
        limits: Limits {
            workers_max: 1,
            queue_max: 1,
            queue_time_max: second,
            request_time_max: second,
            body_bytes_max: 1,
            answer_bytes_max: 1 << 16,
            spill_bytes_max: 1 << 20,
            idle_time: second,
            requests_per_worker: 0,
            memory_max: None,
            cpu_weight: 100,
            cpu_max: None,
            io_weight: 100,
            processes_max: 100,
            temporary_bytes_max: 1 << 30,
            home_bytes_max: None,
            log_bytes_max: 1 << 30,
        },
        mail: MailRate {
            per_hour: 1,
            burst: 1,
        },
        php_values: Vec::new(),
    }
}
