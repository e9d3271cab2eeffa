//! The link to the monitor, with a scripted monitor.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use hostel_front::front::Stage;
use hostel_front::logs::{Level, Logs};
use hostel_front::monitor::{self, Monitor, MonitorError};
use hostel_sys::fdpass;
use hostel_wire::front_monitor::{Down, FrontSettings, Opened, SiteId, ToFront};

use crate::front::{patient_entry, play};

/// Both ends of a link to a monitor.
fn link() -> (Monitor, OwnedFd) {
    let (near, far) = fdpass::message_pair(true).unwrap();
    (Monitor::new(near).unwrap(), far)
}

/// Say something as the monitor, with so many descriptors.
fn say(socket: &OwnedFd, message: &ToFront, descriptors: usize) {
    let file = File::open("/dev/null").unwrap();
    let descriptors = vec![file.as_fd(); descriptors];
    fdpass::send(socket, &message.encode(), &descriptors).unwrap();
}

fn opened(what: Opened) -> (ToFront, usize) {
    (ToFront::Descriptor(what), 1)
}

/// What becomes of a beginning.
async fn begin(messages: Vec<(ToFront, usize)>) -> Result<monitor::Beginning, MonitorError> {
    let (monitor, socket) = link();
    for (message, descriptors) in &messages {
        say(&socket, message, *descriptors);
    }
    drop(socket);
    monitor::begin(&monitor, &Logs::new(Level::Error)).await
}

#[test]
fn a_beginning_is_settings_descriptors_and_the_table() {
    play(async {
        let beginning = begin(vec![
            (ToFront::Settings(FrontSettings { log_level: 3 }), 0),
            opened(Opened::HttpListener),
            opened(Opened::HttpListener),
            opened(Opened::ServerLog),
            opened(Opened::SpillDirectory),
            (ToFront::TableBegin, 0),
            (ToFront::Sites(vec![patient_entry()]), 0),
            (ToFront::TableEnd, 0),
        ])
        .await
        .unwrap();
        assert_eq!(beginning.listeners.len(), 2);
        assert!(beginning.status.is_none());
        assert_eq!(beginning.table, [patient_entry()]);
    });
}

#[test]
fn a_beginning_out_of_order_ends_the_front() {
    let site = SiteId(1);
    let outside = [
        (ToFront::Sites(vec![patient_entry()]), 0),
        (ToFront::Gone(vec![site]), 0),
        (ToFront::TableEnd, 0),
        (ToFront::Keeper { site, pid: 1 }, 2),
        (ToFront::SiteLogs { site }, 2),
        (ToFront::Drain { seconds: 1 }, 0),
    ];
    play(async move {
        for message in outside {
            let refused = begin(vec![opened(Opened::SpillDirectory), message]).await;
            assert!(matches!(refused.err(), Some(MonitorError::Order(_))));
        }
        // A table without a directory to spill into.
        let refused = begin(vec![(ToFront::TableBegin, 0), (ToFront::TableEnd, 0)]).await;
        assert!(matches!(refused.err(), Some(MonitorError::Order(_))));
    });
}

#[test]
fn a_monitor_that_is_gone_or_sends_no_message_ends_the_front() {
    play(async {
        assert!(matches!(
            begin(Vec::new()).await.err(),
            Some(MonitorError::Closed)
        ));
        let refused = begin(vec![(ToFront::Descriptor(Opened::ServerLog), 0)]).await;
        assert!(matches!(refused.err(), Some(MonitorError::Descriptors(0))));
        let refused = begin(vec![(ToFront::TableBegin, 1)]).await;
        assert!(matches!(refused.err(), Some(MonitorError::Descriptors(1))));
        let (monitor, socket) = link();
        fdpass::send(&socket, b"\x63", &[]).unwrap();
        let refused = monitor.receive().await;
        assert!(matches!(refused.err(), Some(MonitorError::Malformed(_))));
    });
}

#[test]
fn what_the_monitor_says_is_done_until_it_says_drain() {
    play(async {
        let front = crate::front::front(patient_entry());
        let (monitor, socket) = link();
        let (site, unknown) = (SiteId(2), SiteId(99));
        let reason = Down::Asleep;
        let retry_ms = 0;
        let mut entry = patient_entry();
        (entry.id, entry.domains) = (site, vec!["new.example".into()]);
        for (message, descriptors) in [
            (ToFront::Settings(FrontSettings { log_level: 0 }), 0),
            (ToFront::Descriptor(Opened::ServerLog), 1),
            (ToFront::TableBegin, 0),
            (ToFront::Gone(vec![SiteId(1), unknown]), 0),
            (ToFront::Sites(vec![entry]), 0),
            (ToFront::TableEnd, 0),
            (ToFront::SiteLogs { site }, 2),
            // Sites that were released a moment ago.
            (ToFront::SiteLogs { site: unknown }, 2),
            (
                ToFront::Keeper {
                    site: unknown,
                    pid: 1,
                },
                2,
            ),
            (
                ToFront::SiteDown {
                    site: unknown,
                    reason,
                    retry_ms,
                },
                0,
            ),
            (ToFront::Drain { seconds: 7 }, 0),
        ] {
            say(&socket, &message, descriptors);
        }
        let wait = monitor::follow(&front, &monitor).await.unwrap();
        assert_eq!(wait, (Stage::Ending, Duration::from_secs(7)));
        assert!(front.sites.find("x.example").is_none());
        assert_eq!(front.sites.find("new.example").unwrap().entry.id, site);
        say(&socket, &ToFront::Descriptor(Opened::HttpListener), 1);
        let refused = monitor::follow(&front, &monitor).await;
        assert!(matches!(refused.err(), Some(MonitorError::Order(_))));
    });
}
