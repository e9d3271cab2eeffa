//! What follows from what must be and what is.

use std::rc::Rc;

use hostel_config::database::{Kind, Place};
use hostel_config::fixtures;
use hostel_sys::cred::{Gid, Uid};

use super::*;
use crate::site::database::admin::Present;
use crate::site::database::copies::Copied;
use crate::site::inspect::Content;
use crate::site::record::{MadeDatabase, Record};

/// How the host is other than expected.
type Change = fn(&mut Found);

/// `hostel site add blog`.
fn add() -> Expected {
    Expected {
        site: Rc::new(fixtures::site("blog", 1001)),
        file: Some(TEXT.into()),
        is_user_named: false,
        shell: None,
        contents: Contents::Welcome,
        databases: Vec::new(),
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
        wrong: Vec::new(),
        file: None,
        content: None,
        record: Record::default(),
        databases: Vec::new(),
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
        user: fixtures::user("blog", uid),
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
        let end = text.find([' ', '{', '(']).unwrap_or(text.len());
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
fn a_home_of_roots_that_its_user_comes_into_as_one_of_the_others_is_left() {
    let configured = Expected::of_site(&Rc::new(fixtures::site("blog", 1001)));
    for (gid, expected) in [(0, &[][..]), (1001, &["CloseHome"])] {
        let mut found = everything();
        found.home = Home::There {
            uid: Uid::ROOT,
            gid: Gid(gid),
            mode: 0o755,
        };
        assert_eq!(words(to_have(&configured, &found)), expected, "{gid}");
    }
}

#[test]
fn what_is_not_as_it_must_be_is_mended_before_anything_is_made_in_it() {
    let mut found = everything();
    found.wrong = vec![Wrong {
        path: "/var/lib/hostel/sites/blog".into(),
        owner: Some(Uid::ROOT),
        group: None,
        bits: 0o044,
        faults: "belongs to user 7 and not to 0 and has mode 0755".into(),
    }];
    found.has_state = false;
    let steps = to_have(&add(), &found).unwrap();
    assert_eq!(words(Ok(steps.clone())), ["Mend", "MakeState"]);
    assert!(steps.iter().all(Step::is_outside));
    assert_eq!(
        steps[0].in_words(),
        "mend /var/lib/hostel/sites/blog, which belongs to user 7 and not to 0 and has mode 0755"
    );
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
    let configured = Expected::of_site(&Rc::new(fixtures::site("blog", 1001)));
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
        databases_kept: false,
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

/// A copy with a database of a server's.
fn with_database() -> (Expected, Served) {
    let served = Served {
        kind: Kind::Mysql,
        name: "blog".into(),
        user: "blog".into(),
        place: Place::Socket("/run/mysqld/mysqld.sock".into()),
        password_file: None,
    };
    let expected = Expected {
        contents: Contents::CopyOf("shop".into()),
        databases: vec![Copied {
            database: Database::Served(served.clone()),
            like: Some("shop".into()),
        }],
        ..add()
    };
    (expected, served)
}

fn with_present(database: bool, account: bool) -> Found {
    Found {
        databases: vec![Present { database, account }],
        ..nothing()
    }
}

#[test]
fn a_copys_database_is_made_before_its_files_and_filled_after_them() {
    let (expected, served) = with_database();
    let steps = to_have(&expected, &with_present(false, false)).unwrap();
    let place = |is: fn(&Step) -> bool| steps.iter().position(is).unwrap();
    let made = place(|step| {
        matches!(
            step,
            Step::MakeDatabase {
                with_account: true,
                ..
            }
        )
    });
    let copied = place(|step| matches!(step, Step::Copy { .. }));
    let filled = place(|step| matches!(step, Step::CopyDatabase { number: 0, .. }));
    let written = place(|step| matches!(step, Step::WriteFile { .. }));
    assert!(
        made < copied && copied < filled && filled < written,
        "{steps:?}"
    );

    let mut found = everything();
    found.databases = vec![Present {
        database: true,
        account: true,
    }];
    found.record.copy_of = Some("shop".into());
    found.record.copied = true;
    found.record.databases_copied = 1;
    found.record.databases_made = vec![made_of(&served)];
    assert_eq!(to_have(&expected, &found).unwrap(), []);
    // Killed while it was filled.
    found.record.databases_copied = 0;
    let steps = to_have(&expected, &found).unwrap();
    assert!(
        matches!(steps[..], [Step::CopyDatabase { .. }]),
        "{steps:?}"
    );
    // And while it was made.
    found.record.databases_made[0].is_whole = false;
    let steps = to_have(&expected, &found).unwrap();
    assert!(
        matches!(
            steps[..],
            [Step::MakeDatabase { .. }, Step::CopyDatabase { .. }]
        ),
        "{steps:?}"
    );
}

#[test]
fn a_database_or_account_of_somebody_else_is_not_a_copys() {
    let (mut expected, served) = with_database();
    let refused = |expected: &Expected, found: &Found| to_have(expected, found).unwrap_err().what;
    let found = with_present(true, false);
    assert!(refused(&expected, &found).contains("database 'blog' exists already"));
    let found = with_present(false, true);
    assert!(refused(&expected, &found).contains("account 'blog' already"));
    expected.is_user_named = true;
    let steps = to_have(&expected, &found).unwrap();
    assert!(steps.iter().any(|step| matches!(
        step,
        Step::MakeDatabase {
            with_account: false,
            ..
        }
    )));
    // One of another server is not this one.
    let mut found = with_present(true, true);
    let mut other = made_of(&served);
    other.socket = "/run/mysqld/other.sock".into();
    found.record.databases_made = vec![other];
    assert!(refused(&expected, &found).contains("exists already"));
}

fn made_of(served: &Served) -> MadeDatabase {
    let Place::Socket(socket) = &served.place else {
        panic!("{served:?}");
    };
    MadeDatabase {
        kind: served.kind,
        socket: socket.clone(),
        name: served.name.clone(),
        account: served.user.clone(),
        account_made: true,
        is_whole: true,
    }
}
