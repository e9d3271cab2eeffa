//! Attacks on files: those of another site, and the server's.

use hostel_sys::layers::Layer;

use crate::prove::attack::{Against, Attack, Control, Group, Judge, Step, Stopper, php};

pub(super) const ATTACKS: &[Attack] = &[Attack {
    id: "files-path",
    group: Group::Files,
    against: Against::Victim,
    title: "read another site's files by their paths",
    stoppers: &[
        Stopper::Layer(Layer::View),
        Stopper::Layer(Layer::Landlock),
        Stopper::Layer(Layer::User),
    ],
    needs: &[],
    steps: &[Step::Attacker(php!("files/path"))],
    judge: Judge::Canaries,
    control: Control::WithoutLayers,
}];
