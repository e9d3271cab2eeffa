//! Attacks on processes: those of another site, the server's, and the attacker's own keeper, zygote and other workers.

use std::fs;

use hostel_sys::layers::Layer;

use crate::prove::attack::{Against, Attack, Control, Group, Judge, Need, Step, Stopper, php};
use crate::prove::canaries::changes;
use crate::prove::exchange::Ending;
use crate::prove::scene::{Ran, Scene};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        id: "processes-list",
        against: Against::Victim,
        title: "see what other sites run, and with which words",
        stoppers: &[Stopper::Layer(Layer::ProcessNamespace)],
        steps: &[Step::Attacker(php!("processes/list"))],
        ..USUAL
    },
    Attack {
        id: "processes-look-into",
        against: Against::Victim,
        title: "read environment, files and descriptors of another site's processes",
        stoppers: TRACING,
        steps: &[Step::Attacker(php!("processes/look-into"))],
        ..USUAL
    },
    Attack {
        id: "processes-memory",
        against: Against::Victim,
        title: "read the memory of another site's processes",
        stoppers: TRACING,
        steps: &[Step::Attacker(php!("processes/memory"))],
        ..USUAL
    },
    Attack {
        id: "processes-kill",
        against: Against::Victim,
        title: "stop and end another site's processes",
        stoppers: SIGNALS,
        steps: &[Step::Attacker(php!("processes/kill"))],
        ..USUAL
    },
    Attack {
        id: "processes-kill-server",
        against: Against::Server,
        title: "send a signal to a process of root's",
        stoppers: SIGNALS,
        steps: &[Step::Attacker(php!("processes/kill-server"))],
        ..USUAL
    },
    Attack {
        id: "processes-priority",
        against: Against::Victim,
        title: "slow another site's processes down",
        stoppers: &[
            Stopper::Layer(Layer::ProcessNamespace),
            Stopper::Layer(Layer::User),
        ],
        steps: &[Step::Attacker(php!("processes/priority"))],
        ..USUAL
    },
    Attack {
        id: "processes-own-keeper",
        title: "stop and end the keeper of one's own site",
        stoppers: &[
            Stopper::Layer(Layer::ProcessNamespace),
            Stopper::Layer(Layer::WorkerLandlock),
        ],
        steps: &[Step::Attacker(php!("processes/own-keeper"))],
        judge: Judge::Look(family_changed),
        ..USUAL
    },
    Attack {
        id: "processes-own-zygote",
        title: "stop and end the zygote of one's own site",
        stoppers: &[Stopper::Layer(Layer::WorkerLandlock)],
        needs: &[Need::Landlock(6)],
        steps: &[Step::Attacker(php!("processes/own-zygote"))],
        judge: Judge::Look(family_changed),
        ..USUAL
    },
    Attack {
        id: "processes-sibling",
        title: "read the memory of another worker of one's own site",
        stoppers: &[
            Stopper::Layer(Layer::WorkerLandlock),
            Stopper::Layer(Layer::NonDumpable),
        ],
        steps: &[
            Step::Beside(php!("processes/keep")),
            Step::Attacker(php!("processes/sibling")),
        ],
        ..USUAL
    },
    Attack {
        id: "processes-sibling-kill",
        title: "end another worker of one's own site",
        stoppers: &[Stopper::Layer(Layer::WorkerLandlock)],
        needs: &[Need::Landlock(6)],
        steps: &[
            Step::Beside(php!("processes/keep")),
            Step::Attacker(php!("processes/sibling-kill")),
        ],
        judge: Judge::Look(sibling_ended),
        ..USUAL
    },
    Attack {
        id: "processes-outlive",
        title: "stay when one's own sandbox ends",
        stoppers: &[Stopper::Layer(Layer::ProcessNamespace)],
        steps: &[Step::Attacker(php!("processes/outlive")), Step::EndAttacker],
        judge: Judge::Look(has_outlived),
        ..USUAL
    },
    Attack {
        id: "processes-schedule",
        title: "have something started later by cron, at or systemd",
        stoppers: &[
            Stopper::Layer(Layer::View),
            Stopper::Layer(Layer::Landlock),
            Stopper::Layer(Layer::User),
            Stopper::Layer(Layer::NoNewPrivileges),
        ],
        steps: &[Step::Attacker(php!("processes/schedule"))],
        judge: Judge::Look(is_scheduled),
        ..USUAL
    },
];

/// What most of them have in common.
const USUAL: Attack = Attack {
    id: "",
    group: Group::Processes,
    against: Against::Host,
    title: "",
    stoppers: &[],
    needs: &[],
    steps: &[],
    judge: Judge::Canaries,
    control: Control::WithoutLayers,
};

/// What stands between a process and the inside of another one.
const TRACING: &[Stopper] = &[
    Stopper::Layer(Layer::ProcessNamespace),
    Stopper::Layer(Layer::User),
    Stopper::Layer(Layer::NonDumpable),
    Stopper::Layer(Layer::Landlock),
    Stopper::Layer(Layer::WorkerLandlock),
];

/// What stands between a process and a signal to another one.
const SIGNALS: &[Stopper] = &[
    Stopper::Layer(Layer::ProcessNamespace),
    Stopper::Layer(Layer::User),
    Stopper::Layer(Layer::Landlock),
    Stopper::Layer(Layer::WorkerLandlock),
];

fn family_changed(scene: &Scene<'_>, _: &Ran) -> Option<String> {
    let found = changes(&mut scene.family.clone());
    (!found.is_empty()).then(|| found.join("; "))
}

fn sibling_ended(_: &Scene<'_>, ran: &Ran) -> Option<String> {
    let mut beside = ran.beside.iter();
    let ended = beside.any(|exchange| exchange.ending == Some(Ending::Gone));
    ended.then(|| "another worker of the site ended".to_owned())
}

fn has_outlived(scene: &Scene<'_>, _: &Ran) -> Option<String> {
    let strays = scene.strays();
    (!strays.is_empty()).then(|| format!("processes {strays:?} run on"))
}

fn is_scheduled(scene: &Scene<'_>, _: &Ran) -> Option<String> {
    let mut found = Vec::new();
    for directory in SCHEDULES {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let text = fs::read(&path).unwrap_or_default();
            if String::from_utf8_lossy(&text).contains(&scene.marker) {
                found.push(path.display().to_string());
                // Found out; nothing is to come of it.
                let _ = fs::remove_file(path);
            }
        }
    }
    (!found.is_empty()).then(|| format!("wrote {}", found.join(", ")))
}

/// Where those who start things later look for what to start.
const SCHEDULES: [&str; 5] = [
    "/var/spool/cron/crontabs",
    "/var/spool/cron/atjobs",
    "/etc/cron.d",
    "/etc/systemd/system",
    "/run/systemd/transient",
];
