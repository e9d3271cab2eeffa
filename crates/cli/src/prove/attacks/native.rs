//! Attacks on processes by calls that PHP has no words for: on those of another site, and on the attacker's own keeper and zygote.

use hostel_sys::layers::Layer;

use crate::prove::attack::{Against, Attack, Control, Group, Judge, Step, Stopper, php};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        id: "native-trace",
        against: Against::Victim,
        title: "trace another site's process",
        stoppers: TRACING,
        steps: &[Step::Probe(&["ptrace", "{victim.pids.2}"])],
        ..USUAL
    },
    Attack {
        id: "native-memory",
        against: Against::Victim,
        title: "read and write the memory of another site's process",
        stoppers: TRACING,
        steps: &[
            Step::Probe(&["vm-read", "{victim.pids.2}"]),
            Step::Probe(&["vm-write", "{victim.pids.2}"]),
            Step::Probe(&["memory-open", "{victim.pids.2}"]),
        ],
        ..USUAL
    },
    Attack {
        id: "native-descriptors",
        against: Against::Victim,
        title: "take descriptors of another site's process",
        stoppers: TRACING,
        steps: &[
            Step::Probe(&["descriptor-take", "{victim.pids.2}"]),
            Step::Probe(&["kcmp", "{victim.pids.2}"]),
        ],
        ..USUAL
    },
    Attack {
        id: "native-signals",
        against: Against::Victim,
        title: "end another site's process by a thread, a descriptor, a socket or a lease",
        stoppers: &[
            Stopper::Layer(Layer::ProcessNamespace),
            Stopper::Layer(Layer::User),
            Stopper::Layer(Layer::Landlock),
            Stopper::Layer(Layer::WorkerLandlock),
        ],
        steps: &[
            Step::Probe(&["signal-thread", "{victim.pids.2}", "9"]),
            Step::Probe(&["signal-descriptor", "{victim.pids.2}", "9"]),
            Step::Probe(&["signal-socket", "{victim.pids.2}", "9"]),
            Step::Probe(&[
                "signal-lease",
                "{victim.pids.2}",
                "9",
                "{me.home}/.hostel-prove-{marker}",
            ]),
        ],
        judge: Judge::Canaries,
        ..USUAL
    },
    Attack {
        id: "native-schedule",
        against: Against::Victim,
        title: "choose processors, priority and limits of another site's process",
        stoppers: &[
            Stopper::Layer(Layer::ProcessNamespace),
            Stopper::Layer(Layer::User),
        ],
        steps: &[
            Step::Probe(&["affinity", "{victim.pids.2}"]),
            Step::Probe(&["nice-other", "{victim.pids.2}"]),
            Step::Probe(&["limits-change", "{victim.pids.2}"]),
        ],
        ..USUAL
    },
    Attack {
        id: "native-own-trace",
        title: "trace one's own keeper and zygote",
        stoppers: TRACING_OWN,
        steps: &[
            Step::Probe(&["ptrace", "keeper"]),
            Step::Probe(&["ptrace", "zygote"]),
            Step::Probe(&["ptrace", "worker"]),
        ],
        ..USUAL
    },
    Attack {
        id: "native-own-memory",
        title: "read and write the memory of one's own keeper and zygote",
        stoppers: TRACING_OWN,
        steps: &[
            Step::Probe(&["vm-read", "keeper"]),
            Step::Probe(&["vm-write", "zygote"]),
            Step::Probe(&["memory-open", "keeper"]),
            Step::Probe(&["memory-open", "zygote"]),
        ],
        ..USUAL
    },
    Attack {
        id: "native-own-descriptors",
        title: "take the sockets of one's own keeper and zygote",
        stoppers: TRACING_OWN,
        steps: &[
            Step::Probe(&["descriptor-take", "keeper"]),
            Step::Probe(&["descriptor-take", "zygote"]),
            Step::Probe(&["kcmp", "keeper"]),
        ],
        ..USUAL
    },
    Attack {
        id: "native-program",
        title: "overwrite the keeper's and PHP's program (as CVE-2019-5736 did)",
        stoppers: &[
            Stopper::Layer(Layer::View),
            Stopper::Layer(Layer::Landlock),
            Stopper::Layer(Layer::User),
            Stopper::Layer(Layer::Capabilities),
            Stopper::Layer(Layer::WorkerLandlock),
            Stopper::Layer(Layer::NonDumpable),
        ],
        steps: &[
            Step::Probe(&["program-open", "keeper"]),
            Step::Probe(&["program-open", "zygote"]),
            Step::Probe(&["program-open", "parent"]),
            Step::Probe(&["open-write", "/run/hostel/bin/hostel-keeper"]),
            Step::Probe(&["open-write", "/run/hostel/bin/hostel-php"]),
        ],
        ..USUAL
    },
    Attack {
        id: "native-posix-queue",
        group: Group::Memory,
        against: Against::Victim,
        title: "take a message from another site's POSIX queue",
        // To Landlock a queue is a file without a place.
        stoppers: &[
            Stopper::Layer(Layer::IpcNamespace),
            Stopper::Layer(Layer::Landlock),
        ],
        steps: &[
            Step::Victim(php!("memory/posix-queue-make")),
            Step::Probe(&["posix-queue-read", "hostel-prove-{marker}"]),
            Step::Victim(php!("memory/posix-queue-remove")),
        ],
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
    judge: Judge::Answer,
    control: Control::WithoutLayers,
};

/// What stands between a process and the inside of another site's.
const TRACING: &[Stopper] = &[
    Stopper::Layer(Layer::ProcessNamespace),
    Stopper::Layer(Layer::SystemCalls),
    Stopper::Layer(Layer::User),
    Stopper::Layer(Layer::NonDumpable),
    Stopper::Layer(Layer::Landlock),
    Stopper::Layer(Layer::WorkerLandlock),
];
/// What stands between a worker and the inside of another process of its site. Landlock for the whole site is here for one
/// thing: nobody may write a file of /proc.
const TRACING_OWN: &[Stopper] = &[
    Stopper::Layer(Layer::SystemCalls),
    Stopper::Layer(Layer::NonDumpable),
    Stopper::Layer(Layer::Landlock),
    Stopper::Layer(Layer::WorkerLandlock),
];
