//! Attacks on memory and messages: System V, /dev/shm, OPcache.

use hostel_sys::layers::Layer;

use crate::prove::attack::{Against, Attack, Control, Group, Judge, Step, Stopper, php};
use crate::prove::scene::{Ran, Scene};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        id: "memory-system-v",
        title: "read, change, remove System V shared memory",
        stoppers: IPC,
        steps: &[Step::Attacker(php!("memory/shared-memory"))],
        ..USUAL
    },
    Attack {
        id: "memory-queue",
        title: "take messages from a System V queue, put some in, remove it",
        stoppers: IPC,
        steps: &[Step::Attacker(php!("memory/queue"))],
        ..USUAL
    },
    Attack {
        id: "memory-semaphore",
        title: "remove a System V semaphore",
        // Its owner alone may remove it, however open it is.
        stoppers: &[
            Stopper::Layer(Layer::IpcNamespace),
            Stopper::Layer(Layer::User),
        ],
        steps: &[Step::Attacker(php!("memory/semaphore"))],
        ..USUAL
    },
    Attack {
        id: "memory-shared-file",
        title: "read and change POSIX shared memory in /dev/shm",
        stoppers: &[Stopper::Layer(Layer::View), Stopper::Layer(Layer::Landlock)],
        steps: &[Step::Attacker(php!("memory/shared-file"))],
        ..USUAL
    },
    Attack {
        id: "memory-opcache-list",
        title: "list another site's scripts in OPcache",
        stoppers: OWN_PHP,
        steps: &[Step::Attacker(php!("memory/opcache-list"))],
        judge: Judge::Look(lists_victims_script),
        control: Control::Permitted(
            "the other site asks its own OPcache",
            &[Step::Insider(php!("memory/opcache-list"))],
        ),
        ..USUAL
    },
    Attack {
        id: "memory-opcache-run",
        title: "run another site's script out of OPcache",
        stoppers: OWN_PHP,
        steps: &[Step::Attacker(php!("memory/opcache-run"))],
        control: Control::Permitted(
            "the other site runs its own script",
            &[Step::Insider(php!("memory/opcache-run"))],
        ),
        ..USUAL
    },
    Attack {
        id: "memory-opcache-reset",
        title: "have OPcache forget another site's scripts",
        stoppers: OWN_PHP,
        steps: &[Step::Attacker(php!("memory/opcache-reset"))],
        control: Control::Permitted(
            "the other site resets its own OPcache",
            &[Step::Insider(php!("memory/opcache-reset"))],
        ),
        ..USUAL
    },
];

/// What most of them have in common.
const USUAL: Attack = Attack {
    id: "",
    group: Group::Memory,
    against: Against::Victim,
    title: "",
    stoppers: &[],
    needs: &[],
    steps: &[],
    judge: Judge::Canaries,
    control: Control::WithoutLayers,
};

const IPC: &[Stopper] = &[Stopper::Layer(Layer::IpcNamespace)];

/// No layer: there is nothing between two OPcaches that could be left out.
const OWN_PHP: &[Stopper] = &[Stopper::Rule("each site starts a PHP of its own")];

/// The attack says no path by itself, so one in its answer is from the cache.
fn lists_victims_script(scene: &Scene<'_>, ran: &Ran) -> Option<String> {
    let script = scene.victim.as_ref()?.targets.get("script")?.as_str()?;
    let found = ran
        .attacker
        .iter()
        .any(|exchange| exchange.answer.text().replace("\\/", "/").contains(script));
    found.then(|| format!("the cache lists {script}"))
}
