//! What follows from what must be and what is.

use std::rc::Rc;

use hostel_config::{Egress, Limits, MailRate, Site};
use hostel_sys::cred::{Gid, Uid, User};

use super::*;
use crate::site::inspect::Content;
use crate::site::record::Record;

/// How the host is other than expected.
type Change = fn(&mut Found);

fn user(uid: u32) -> User {
    User {
        name: "blog".into(),
        uid: Uid(uid),
        gid: Gid(uid),
        home: "/srv/blog".into(),
    }
}

fn site(uid: u32) -> Site {
    let second = std::time::Duration::from_secs(1);
    Site {
        name: "blog".into(),
        domains: vec!["blog.example".into()],
        user: user(uid),
        home: "/srv/blog".into(),
        root: "/srv/blog/public".into(),
        index: Vec::new(),
        script_extensions: vec!["php".into()],
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

/// `hostel site add blog`.
fn add() -> Expected {
    Expected {
        site: Rc::new(site(1001)),
        file: Some(TEXT.into()),
        is_user_named: false,
        shell: None,
        contents: Contents::Welcome,
    }
}

/// Nothing at all.
fn nothing() -> Found {
    Found {
        account: None,
        is_group_taken: false,
        others_of_user: Vec::new(),
        is_home_shared: false,
        home: Home::Missing,
        has_state: false,
        has_logs: false,
        file: None,
        content: None,
        record: Record::default(),
    }
}

/// All that `add` makes.
fn everything() -> Found {
    Found {
        account: Some(account(1001)),
        home: Home::There {
            uid: Uid(1001),
            gid: Gid(1001),
            mode: 0o700,
        },
        has_state: true,
        has_logs: true,
        file: Some((FileState::Serving, TEXT.into())),
        content: Some(content(Root::Filled)),
        record: Record {
            user_made: Some("blog".into()),
            home_made: Some("/srv/blog".into()),
            ..Record::default()
        },
        ..nothing()
    }
}

fn account(uid: u32) -> Account {
    Account {
        user: user(uid),
        about: "Hostel site blog".into(),
        shell: "/usr/sbin/nologin".into(),
        has_group: true,
    }
}

fn content(root: Root) -> Content {
    Content {
        root,
        entries: 1,
        foreign: 0,
        foreign_uid: 0,
    }
}

fn words(steps: Result<Vec<Step>, Trouble>) -> Vec<String> {
    let steps = steps.unwrap_or_else(|trouble| panic!("{trouble}"));
    let word = |step: &Step| {
        let text = format!("{step:?}");
        let end = text.find([' ', '{']).unwrap_or(text.len());
        text[..end].to_owned()
    };
    steps.iter().map(word).collect()
}

fn refusal(found: Found, expected: &Expected) -> String {
    let trouble = to_have(expected, &found).expect_err("it is refused");
    assert!(trouble.hint.is_some(), "{trouble}");
    trouble.what
}

#[test]
fn where_nothing_is_everything_is_made_and_then_nothing() {
    assert_eq!(
        words(to_have(&add(), &nothing())),
        [
            "MakeUser",
            "MakeHome",
            "MakeState",
            "MakeLogs",
            "FillRoot",
            "WriteFile"
        ]
    );
    assert!(words(to_have(&add(), &everything())).is_empty());
}

#[test]
fn what_is_left_after_an_interruption_is_done() {
    let cases: [(Change, &[&str]); 7] = [
        (|found| found.file = None, &["WriteFile"]),
        (
            |found| found.content = Some(content(Root::Empty)),
            &["FillRoot"],
        ),
        (
            |found| found.content = Some(content(Root::Missing)),
            &["FillRoot"],
        ),
        (|found| found.has_logs = false, &["MakeLogs"]),
        (|found| found.has_state = false, &["MakeState"]),
        (|found| found.home = Home::Missing, &["MakeHome"]),
        (
            |found| {
                if let Some(account) = &mut found.account {
                    account.has_group = false;
                }
            },
            &["MakeGroup"],
        ),
    ];
    for (undo, expected) in cases {
        let mut found = everything();
        undo(&mut found);
        assert_eq!(words(to_have(&add(), &found)), expected);
    }
}

#[test]
fn an_open_home_is_closed() {
    let mut found = everything();
    found.home = Home::There {
        uid: Uid(1001),
        gid: Gid(1001),
        mode: 0o755,
    };
    let steps = to_have(&add(), &found).unwrap();
    let path = "/srv/blog".to_owned();
    assert_eq!(
        steps,
        [Step::CloseHome {
            path: path.clone(),
            bits: 0o005
        }]
    );
    found.home = Home::There {
        uid: Uid(1001),
        gid: Gid(33),
        mode: 0o750,
    };
    let steps = to_have(&add(), &found).unwrap();
    assert_eq!(steps, [Step::CloseHome { path, bits: 0o050 }]);
}

#[test]
fn a_user_of_somebody_else_is_refused_unless_named() {
    let with = |change: fn(&mut Found)| {
        let mut found = Found {
            account: Some(Account {
                about: String::new(),
                ..account(1001)
            }),
            ..nothing()
        };
        change(&mut found);
        found
    };
    let person = |found: &mut Found| {
        if let Some(account) = &mut found.account {
            account.shell = "/bin/bash".into();
        }
    };
    let system = |found: &mut Found| {
        if let Some(account) = &mut found.account {
            account.user.uid = Uid(33);
        }
    };
    let other = |found: &mut Found| found.others_of_user = vec!["shop".into()];
    // Made by hand, with a record of a run that was interrupted before it made a user of this name.
    let record = |found: &mut Found| found.record.user_made = Some("blog".into());

    let cases: [(Change, &str); 5] = [
        (|_| {}, "was not made for this site"),
        (person, "a person's, who logs in with /bin/bash"),
        (system, "it is the system's"),
        (other, "is that of the site 'shop'"),
        (record, "was not made for this site"),
    ];
    for (change, text) in cases {
        let refused = refusal(with(change), &add());
        assert!(refused.contains(text), "{refused}");
        let named = Expected {
            is_user_named: true,
            ..add()
        };
        assert!(to_have(&named, &with(change)).is_ok(), "{text}");
    }
    let group = Found {
        is_group_taken: true,
        ..nothing()
    };
    assert!(refusal(group, &add()).contains("a group of this name"));
}

#[test]
fn a_home_of_somebody_else_is_refused() {
    let there = |uid| Home::There {
        uid: Uid(uid),
        gid: Gid(uid),
        mode: 0o700,
    };
    let mut found = everything();
    found.home = there(1002);
    assert!(refusal(found, &add()).contains("belongs to user 1002"));
    let mut found = everything();
    found.home = there(0);
    assert!(refusal(found.clone(), &add()).contains("belongs to user 0"));
    let configured = Expected::of_site(&Rc::new(site(1001)));
    assert!(words(to_have(&configured, &found)).is_empty());
    // One that was there before the user has nobody's number yet.
    let mut found = nothing();
    found.home = there(1001);
    assert!(refusal(found, &add()).contains("exists already"));
    let mut found = everything();
    found.content = Some(Content {
        foreign: 2,
        foreign_uid: 33,
        ..content(Root::Filled)
    });
    assert!(refusal(found, &add()).contains("2, one of them to user 33"));
}

#[test]
fn a_site_that_is_there_is_not_made_over() {
    for (state, text) in [
        (FileState::Serving, "with other settings"),
        (FileState::Disabled, "is disabled"),
        (FileState::Removing, "is being removed"),
    ] {
        let mut found = everything();
        found.file = Some((state, "domains = []".into()));
        let refused = refusal(found, &add());
        assert!(refused.contains(text), "{refused}");
    }
}

#[test]
fn what_was_made_for_a_site_that_goes_is_not_taken_for_a_new_one() {
    let mut found = everything();
    found.file = None;
    found.record.removing = Some(crate::site::record::Removing {
        archive: "blog-1".into(),
        purge: false,
        with_home: false,
        archived: true,
    });
    assert!(refusal(found, &add()).contains("is being removed"));
}

#[test]
fn a_copy_is_made_once_and_only_into_what_is_its_own() {
    let copy = Expected {
        contents: Contents::CopyOf("shop".into()),
        ..add()
    };
    assert!(words(to_have(&copy, &nothing())).contains(&"Copy".to_owned()));
    let mut found = everything();
    assert!(refusal(found.clone(), &copy).contains("is not empty"));
    found.record.copy_of = Some("shop".into());
    assert_eq!(words(to_have(&copy, &found)), ["EmptyHome", "Copy"]);
    found.record.copied = true;
    assert!(words(to_have(&copy, &found)).is_empty());
}

const TEXT: &str = "domains = [\"blog.example\"]\n";
