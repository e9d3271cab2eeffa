//! The attacks, one file for each group. docs/prove.md says how one is added.

use super::attack::{Attack, Control, Script, Step};
use super::{scene, victim};

mod files;
mod kernel;
mod logs;
mod memory;
mod native;
mod network;
pub(crate) mod php_settings;
mod privileges;
mod processes;
mod resources;
mod routing;
mod sockets;

/// All of them, group by group.
pub(crate) fn all() -> impl Iterator<Item = &'static Attack> {
    GROUPS.iter().copied().flatten()
}

/// What the stage holds: path and text of each script.
pub(crate) fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_attacks = all().flat_map(|attack| {
        let control = match attack.control {
            Control::Permitted(_, steps) => steps,
            _ => &[],
        };
        attack.steps.iter().chain(control).filter_map(script)
    });
    let ours = scene::SCRIPTS.into_iter().chain(victim::SCRIPTS);
    of_attacks
        .chain(ours)
        .map(|script| (script.path, script.source))
        .chain(php_settings::FILES)
}

fn script(step: &Step) -> Option<Script> {
    match step {
        Step::Attacker(script)
        | Step::Victim(script)
        | Step::Insider(script)
        | Step::Beside(script)
        | Step::Race(script) => Some(*script),
        Step::Probe(_)
        | Step::EndAttacker
        | Step::Visit(_)
        | Step::Crowd(_)
        | Step::NotThere(_) => None,
    }
}

const GROUPS: &[&[Attack]] = &[
    files::ATTACKS,
    logs::ATTACKS,
    processes::ATTACKS,
    memory::ATTACKS,
    sockets::ATTACKS,
    network::ATTACKS,
    native::ATTACKS,
    resources::ATTACKS,
    routing::LOADS,
    privileges::ATTACKS,
    kernel::ATTACKS,
    php_settings::ATTACKS,
    routing::ATTACKS,
    routing::ENCRYPTED,
];
