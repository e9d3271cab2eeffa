//! Attacks on what the administrator has set for PHP, and by way of what a site may set itself.

use std::os::unix::fs::MetadataExt;

use hostel_wire::monitor_keeper::PhpValue;

use super::files::OTHERS_FILES;
use crate::prove::attack::{Against, Attack, Control, Group, Judge, Step, Stopper, php};
use crate::prove::exchange::holds;
use crate::prove::scene::{Ran, Scene};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        id: "settings-ini-set",
        title: "change a locked setting in a script",
        stoppers: LOCKED,
        steps: &[Step::Attacker(php!("settings/ini-set"))],
        judge: Judge::Look(head_has_changed),
        control: Control::Permitted(
            "a setting that is not locked is changed",
            &[Step::Attacker(php!("settings/ini-set-permitted"))],
        ),
        ..USUAL
    },
    Attack {
        id: "settings-user-ini",
        title: "change a locked setting by .user.ini",
        stoppers: LOCKED,
        steps: &[Step::Attacker(php!("settings/user-ini/index"))],
        judge: Judge::Look(head_has_changed),
        control: Control::Permitted(
            ".user.ini changes a setting that is not locked",
            &[Step::Attacker(php!("settings/user-ini-permitted/index"))],
        ),
        ..USUAL
    },
    Attack {
        id: "settings-disabled",
        title: "call a function that was switched off",
        stoppers: &[Stopper::Rule(
            "PHP forgets the function before any script runs",
        )],
        steps: &[Step::Attacker(php!("settings/disabled"))],
        judge: Judge::Look(knows_inode),
        control: Control::Permitted(
            "a function that is not switched off tells the same",
            &[Step::Attacker(php!("settings/disabled-permitted"))],
        ),
        ..USUAL
    },
    Attack {
        id: "settings-error-log",
        against: Against::Victim,
        title: "have PHP write its log and sessions into others' files",
        stoppers: OTHERS_FILES,
        steps: &[Step::Attacker(php!("settings/error-log"))],
        control: Control::WithoutLayers,
        ..USUAL
    },
    Attack {
        id: "settings-preload",
        against: Against::Victim,
        title: "give mail()'s program a loader that writes others' files (LD_PRELOAD, LD_DEBUG)",
        stoppers: OTHERS_FILES,
        steps: &[Step::Attacker(php!("settings/preload"))],
        control: Control::WithoutLayers,
        ..USUAL
    },
    Attack {
        id: "settings-ffi",
        against: Against::Victim,
        title: "read others' files by FFI, past all of PHP",
        stoppers: OTHERS_FILES,
        steps: &[Step::Attacker(php!("settings/ffi"))],
        control: Control::WithoutLayers,
        ..USUAL
    },
];

/// What the attacker's PHP is told besides the site's own settings: something locked, something switched off, and FFI on, since
/// no barrier may rest on its being off.
pub(crate) fn values() -> Vec<PhpValue> {
    let value = |(name, value): (&str, &str)| PhpValue {
        name: name.to_owned(),
        value: value.to_owned(),
        admin: true,
    };
    [
        ("default_mimetype", "text/x-hostel-prove"),
        ("disable_functions", "getmyinode"),
        ("ffi.enable", "1"),
    ]
    .map(value)
    .into()
}

/// What the stage holds besides scripts.
pub(super) const FILES: [(&str, &str); 2] = [
    (
        "settings/user-ini/.user.ini",
        include_str!("../php/settings/user-ini/user.ini"),
    ),
    (
        "settings/user-ini-permitted/.user.ini",
        include_str!("../php/settings/user-ini-permitted/user.ini"),
    ),
];

/// What most of them have in common.
const USUAL: Attack = Attack {
    id: "",
    group: Group::Settings,
    against: Against::Host,
    title: "",
    stoppers: &[],
    needs: &[],
    steps: &[],
    judge: Judge::Canaries,
    control: Control::WithoutLayers,
};

const LOCKED: &[Stopper] = &[Stopper::Rule("settings of php.admin_value are locked")];

/// The type of an answer is PHP's own doing, not the script's word.
fn head_has_changed(_: &Scene<'_>, ran: &Ran) -> Option<String> {
    let mut answers = ran.attacker.iter().map(|exchange| &exchange.answer);
    let changed = answers.any(|answer| holds(&answer.header, b"got-through"));
    changed.then(|| "the answer's Content-Type was changed".to_owned())
}

fn knows_inode(scene: &Scene<'_>, ran: &Ran) -> Option<String> {
    let scripts = ["settings/disabled.php", "settings/disabled-permitted.php"];
    let inodes = scripts
        .iter()
        .filter_map(|script| std::fs::metadata(scene.ground.stage.path(script)).ok())
        .map(|found| format!("inode {}", found.ino()));
    let knows = |inode: &String| {
        ran.attacker
            .iter()
            .any(|exchange| exchange.answer.contains(inode))
    };
    inodes
        .filter(knows)
        .map(|inode| format!("the script knows its {inode}"))
        .next()
}
