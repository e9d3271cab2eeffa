//! Attacks on services of this host and of the world, by TCP.
//!
//! Those on the world are only tried with `--network`. None sends anything: to be connected is to have got through.

use hostel_sys::layers::Layer;

use crate::prove::attack::{Against, Attack, Control, Group, Judge, Need, Step, Stopper};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        id: "network-neighbour",
        against: Against::Victim,
        title: "connect to what another site listens on",
        steps: &[
            Step::Probe(&["connect", "127.0.0.1", "{victim.port}"]),
            Step::Probe(&["connect", "0.0.0.0", "{victim.port}"]),
            Step::Probe(&["connect", "::ffff:127.0.0.1", "{victim.port}"]),
        ],
        judge: Judge::Canaries,
        // Root too is kept away from it, by the rules for what answers.
        stoppers: &[Stopper::Rule("the rules for egress")],
        control: Control::WithoutRules,
        ..USUAL
    },
    Attack {
        id: "network-service",
        title: "connect to another user's service on loopback",
        steps: &[
            Step::Probe(&["connect", "127.0.0.1", "{server.services.any}"]),
            Step::Probe(&["connect", "0.0.0.0", "{server.services.any}"]),
            Step::Probe(&["connect", "::ffff:127.0.0.1", "{server.services.any}"]),
        ],
        judge: Judge::Canaries,
        ..USUAL
    },
    Attack {
        id: "network-mail-here",
        title: "send mail by this host's own server",
        steps: &[Step::Probe(&[
            "connect",
            "127.0.0.1",
            "{server.services.mail}",
        ])],
        ..USUAL
    },
    Attack {
        id: "network-metadata",
        against: Against::World,
        title: "read a cloud's metadata, which holds its keys",
        steps: &[
            Step::Probe(&["connect", "169.254.169.254", "80"]),
            Step::Probe(&["connect", "fd00:ec2::254", "80"]),
        ],
        ..USUAL
    },
    Attack {
        id: "network-mail",
        against: Against::World,
        title: "send mail to the world",
        // An address of examples, at which nobody is; in a network of a test somebody is.
        steps: &[
            Step::Probe(&["connect", "192.0.2.25", "25"]),
            Step::Probe(&["connect", "2001:db8::25", "25"]),
        ],
        ..USUAL
    },
];

/// What most of them have in common.
const USUAL: Attack = Attack {
    id: "",
    group: Group::Network,
    against: Against::Server,
    title: "",
    stoppers: EGRESS,
    needs: &[Need::Firewall],
    steps: &[],
    judge: Judge::Answer,
    control: Control::WithoutLayers,
};

/// The rules know a site's packets by its user.
const EGRESS: &[Stopper] = &[
    Stopper::Rule("the rules for egress"),
    Stopper::Layer(Layer::User),
];
