//! Attacks on the sockets of others on the same host.

use hostel_sys::layers::Layer;

use super::files::OTHERS_FILES;
use crate::prove::attack::{Against, Attack, Control, Group, Judge, Need, Step, Stopper, php};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        id: "network-abstract",
        title: "connect to another site's abstract Unix socket",
        stoppers: &[Stopper::Layer(Layer::Landlock)],
        needs: &[Need::Landlock(6)],
        steps: &[Step::Attacker(php!("network/abstract"))],
        ..USUAL
    },
    Attack {
        id: "network-socket",
        title: "connect to another site's Unix socket by its path",
        stoppers: OTHERS_FILES,
        steps: &[Step::Attacker(php!("network/socket"))],
        ..USUAL
    },
    Attack {
        id: "network-server-socket",
        against: Against::Server,
        title: "connect to the server's sockets",
        stoppers: &[Stopper::Layer(Layer::View), Stopper::Layer(Layer::Landlock)],
        steps: &[Step::Attacker(php!("network/server-socket"))],
        ..USUAL
    },
];

/// What they have in common.
const USUAL: Attack = Attack {
    id: "",
    group: Group::Network,
    against: Against::Victim,
    title: "",
    stoppers: &[],
    needs: &[],
    steps: &[],
    judge: Judge::Canaries,
    control: Control::WithoutLayers,
};
