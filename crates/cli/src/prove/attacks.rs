//! The attacks, one file for each group. docs/prove.md says how one is added.

use super::attack::{Attack, Script, Step};
use super::{scene, victim};

mod files;
mod kernel;
mod native;
mod privileges;
mod resources;
mod routing;

/// All of them, group by group.
pub(crate) fn all() -> impl Iterator<Item = &'static Attack> {
    GROUPS.iter().copied().flatten()
}

/// What the stage holds: path and text of each script.
pub(crate) fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_attacks = all().flat_map(|attack| attack.steps).filter_map(script);
    let ours = scene::SCRIPTS.into_iter().chain(victim::SCRIPTS);
    of_attacks
        .chain(ours)
        .map(|script| (script.path, script.source))
}

fn script(step: &Step) -> Option<Script> {
    match step {
        Step::Attacker(script) | Step::Victim(script) => Some(*script),
        Step::Probe(_) | Step::EndAttacker | Step::Visit(_) | Step::Crowd(_) => None,
    }
}

const GROUPS: &[&[Attack]] = &[
    files::ATTACKS,
    privileges::ATTACKS,
    kernel::ATTACKS,
    native::ATTACKS,
    resources::ATTACKS,
    routing::ATTACKS,
    routing::LOADS,
];
