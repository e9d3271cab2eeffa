use super::*;

fn read(text: &str) -> Head {
    Head::read(text.as_bytes(), true, true, "host.example").unwrap()
}

fn kept(head: &Head) -> &str {
    std::str::from_utf8(&head.kept).unwrap()
}

#[test]
fn recipients_are_those_of_three_fields() {
    let head = read(
        "To: \"Smith, J\" <a@b.example>,\n c@d.example\r\nCC: =?utf-8?q?=C3=A4?= <e@f.example>\nBcc: g@h.example, root\nSubject: x\n\nbody",
    );
    assert_eq!(
        head.recipients,
        [
            "a@b.example",
            "c@d.example",
            "e@f.example",
            "g@h.example",
            "root@host.example"
        ]
    );
    assert!(!kept(&head).contains("g@h"), "{head:?}");
    assert!(kept(&head).contains("CC: "));
}

#[test]
fn groups_and_comments_are_understood() {
    let head = read(
        "To: friends: a@b.example, c@d.example;, e@f.example (E)\nCc: undisclosed-recipients:;\n\n",
    );
    assert_eq!(
        head.recipients,
        ["a@b.example", "c@d.example", "e@f.example"]
    );
}

#[test]
fn nobody_is_taken_from_the_message_where_that_was_not_asked_for() {
    let head = Head::read(b"To: a@b.example\nBcc: c@d.example\n\n", true, false, "x").unwrap();
    assert_eq!(head.recipients, [""; 0]);
    assert_eq!(kept(&head), "To: a@b.example\r\n");
}

#[test]
fn what_is_not_an_address_is_refused_and_not_guessed() {
    for text in [
        "To: <a b@c.example>\n\n",
        "To: a@b..example\n\n",
        "Bcc: a@\n\n",
    ] {
        let error = Head::read(text.as_bytes(), true, true, "x");
        assert!(
            matches!(error, Err(HeadError::Recipient { .. })),
            "{error:?}"
        );
    }
    // Whatever stands around it, what comes out is one address.
    let head = read("To: a@b.example> RCPT TO:<c@d.example\n\n");
    assert_eq!(head.recipients, ["c@d.example"]);
}

#[test]
fn the_stamp_cannot_be_forged() {
    let lines = [
        "X-Hostel-Site: other",
        "x-hostel-script: y",
        "X-Hostel-Anything:\n folded",
        "A: 1\rX-Hostel-Site: other",
        "A: 1\n\rX-Hostel-Site: other",
    ];
    for line in lines {
        let head = read(&format!("Subject: x\n{line}\n\nbody"));
        let text = String::from_utf8(head.stamped(stamp())).unwrap();
        let (text, _) = text.split_once("\r\n\r\n").unwrap();
        let stamps = text
            .lines()
            .filter(|line| line.to_ascii_lowercase().starts_with("x-hostel"));
        assert_eq!(
            stamps.collect::<Vec<_>>(),
            ["X-Hostel-Site: blog"],
            "{line:?}"
        );
    }
}

#[test]
fn a_line_that_is_no_field_begins_the_body() {
    for (text, body) in [
        ("A: 1\nno field\nB: 2\n\nx", "no field\nB: 2\n\nx"),
        ("A: 1\n\nbody", "body"),
        ("A: 1\r\n\r\n", ""),
        (" A: 1\n", " A: 1\n"),
        ("only text", "only text"),
        ("", ""),
        ("From me Mon\nA: 1\n\nbody", "body"),
    ] {
        assert_eq!(&text[read(text).body_at..], body, "{text:?}");
    }
}

#[test]
fn a_head_that_does_not_end_is_too_large() {
    for text in ["A: 1\nB: 2", "A: 1\n", "A: 1\r"] {
        let read = Head::read(text.as_bytes(), false, true, "x");
        assert_eq!(read, Err(HeadError::Large), "{text:?}");
    }
    assert_eq!(
        Head::read(b"A: \0\n\n", true, true, "x"),
        Err(HeadError::Nul)
    );
    let many: Vec<_> = (0..=limits::MAIL_RECIPIENTS_MAX)
        .map(|n| format!("a{n}@b.example"))
        .collect();
    let text = format!("To: {}\n\n", many.join(",\n "));
    let read = Head::read(text.as_bytes(), true, true, "x");
    assert_eq!(read, Err(HeadError::Recipients));
}

#[test]
fn what_is_missing_is_added_and_what_is_there_is_not() {
    let text = String::from_utf8(
        read("Subject: x\nX-PHP-Originating-Script: 1001:a.php\r\n\n").stamped(stamp()),
    )
    .unwrap();
    for line in [
        "Received: from site blog (uid 1001)\r\n\tby host.example (Hostel) id 7;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n",
        "X-Hostel-Script: a.php (as the site says)\r\n",
        "From: blog@blog.example\r\n",
        "To: undisclosed-recipients:;\r\n",
        "Message-ID: <7@host.example>\r\n",
        "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n",
        "Subject: x\r\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(text.ends_with("\r\n\r\n"));
    let text = read("From: a\nTo: b\nDate: c\nMessage-Id: d\n\n").stamped(stamp());
    let text = String::from_utf8(text).unwrap().to_ascii_lowercase();
    for field in ["\r\nfrom:", "\r\nto:", "\r\ndate:", "\r\nmessage-id:"] {
        assert_eq!(text.matches(field).count(), 1, "{field}");
    }
}

fn stamp() -> Stamp<'static> {
    Stamp {
        site: "blog",
        uid: 1001,
        domain: "host.example",
        id: "7",
        sender: "blog@blog.example",
        time: SystemTime::UNIX_EPOCH,
    }
}
