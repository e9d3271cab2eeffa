//! Every message between the processes: what is taken is taken in one way only.
#![no_main]

use hostel_wire::admin::{Question as AdminQuestion, Report};
use hostel_wire::codec::Writer;
use hostel_wire::egress::Policy;
use hostel_wire::firewall_resolver::{Answer, Question};
use hostel_wire::front_keeper::{FrontToKeeper, KeeperToFront};
use hostel_wire::front_monitor::{ToFront, ToMonitor};
use hostel_wire::front_worker::{End, FrameHead, ReplyHead, RequestHead};
use hostel_wire::keeper_zygote::{FromZygote, ToZygote};
use hostel_wire::mail::{Submission, Verdict as MailVerdict};
use hostel_wire::monitor_firewall::{FromFirewall, ToFirewall};
use hostel_wire::monitor_jobs::{FromJobs, ToJobs};
use hostel_wire::monitor_keeper::ToKeeper;
use hostel_wire::monitor_mail::{MailPolicy, ToMail};
use hostel_wire::takeover::{State, Verdict};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(head) = RequestHead::decode(input) {
        let mut w = Writer::new();
        head.encode(&mut w);
        assert_eq!(w.finish(), input);
    }
    if let Ok(head) = ReplyHead::decode(input) {
        let mut w = Writer::new();
        head.encode(&mut w);
        assert_eq!(w.finish(), input);
    }
    if let Ok(Some(head)) = FrameHead::decode(input) {
        assert!(input.starts_with(&head.encode()));
    }
    if let Ok(end) = End::decode(input) {
        assert_eq!(end.encode(), input);
    }
    if let Ok(message) = AdminQuestion::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = Report::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = Verdict::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = State::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = ToFront::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = FrontToKeeper::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = KeeperToFront::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = ToKeeper::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = ToZygote::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = FromZygote::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = Submission::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = MailVerdict::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = MailPolicy::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = ToMail::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = Policy::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = ToFirewall::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = FromFirewall::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = ToJobs::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = FromJobs::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = Question::decode(input) {
        assert_eq!(message.encode(), input);
    }
    if let Ok(message) = Answer::decode(input) {
        assert_eq!(message.encode(), input);
    }
    // A question that is not about a site has a number all the same, which is not looked at.
    let _ = ToMonitor::decode(input);
});
