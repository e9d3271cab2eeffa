//! Attacks that take as much of something as there is: bounded, given back, and judged by whether more was had than the site may have.

use hostel_sys::layers::Layer;

use crate::prove::attack::{Against, Attack, Control, Group, Judge, Need, Step, Stopper, php};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        id: "resources-processes",
        title: "start more processes than processes_max",
        stoppers: COUNTED,
        steps: &[Step::Probe(&["fork", "{beyond.processes}", "0"])],
        ..USUAL
    },
    Attack {
        id: "resources-threads",
        title: "start more threads than processes_max",
        stoppers: COUNTED,
        steps: &[Step::Probe(&["threads", "{beyond.processes}"])],
        ..USUAL
    },
    Attack {
        id: "resources-memory",
        title: "use more memory than memory_max",
        stoppers: COUNTED,
        steps: &[Step::Attacker(php!("resources/memory"))],
        ..USUAL
    },
    Attack {
        id: "resources-descriptors",
        title: "open more files than one process may",
        stoppers: &[Stopper::Layer(Layer::ResourceLimits)],
        steps: &[Step::Probe(&["descriptors", "4200"])],
        ..USUAL
    },
    Attack {
        id: "resources-temporary-files",
        title: "put more into /tmp than temporary_bytes_max",
        stoppers: QUOTA,
        needs: &[Need::QuotaOfTemporaryFiles],
        steps: &[Step::Probe(&[
            "file",
            "/tmp/hostel-prove-{marker}",
            "{beyond.temporary}",
        ])],
        control: Control::Permitted(
            "a file of 1 MiB",
            &[Step::Probe(&["file", "/tmp/hostel-prove-{marker}", "1"])],
        ),
        ..USUAL
    },
    Attack {
        id: "resources-home",
        title: "put more into home than home_bytes_max",
        stoppers: QUOTA,
        needs: &[Need::QuotaOfHome],
        steps: &[Step::Probe(&[
            "file",
            "{me.home}/.hostel-prove-{marker}",
            "{beyond.home}",
        ])],
        control: Control::Permitted(
            "a file of 1 MiB",
            &[Step::Probe(&[
                "file",
                "{me.home}/.hostel-prove-{marker}",
                "1",
            ])],
        ),
        ..USUAL
    },
    Attack {
        id: "resources-shared-memory",
        title: "fill /dev/shm, by bytes and by files",
        stoppers: &[Stopper::Layer(Layer::View), Stopper::Layer(Layer::Landlock)],
        steps: &[
            Step::Probe(&["file", "/dev/shm/hostel-prove-{marker}", "80"]),
            Step::Probe(&["inodes", "/dev/shm", "1100"]),
        ],
        ..USUAL
    },
    Attack {
        id: "resources-root",
        title: "fill the memory in which the view and PHP's locks are",
        stoppers: &[
            Stopper::Layer(Layer::View),
            Stopper::Layer(Layer::Landlock),
            Stopper::Layer(Layer::User),
        ],
        steps: &[
            Step::Probe(&["file", "/run/hostel/hostel-prove-{marker}", "8"]),
            Step::Probe(&["file", "/run/hostel-prove-{marker}", "8"]),
            Step::Probe(&["file", "/dev/hostel-prove-{marker}", "8"]),
        ],
        ..USUAL
    },
    Attack {
        id: "resources-pipes",
        title: "fill pipes beyond what one user may keep in them",
        stoppers: &[Stopper::Rule(
            "the kernel's own bound for users (fs.pipe-user-pages-soft)",
        )],
        steps: &[Step::Probe(&["pipes", "100"])],
        control: Control::Permitted("fewer pipes", &[Step::Probe(&["pipes", "10"])]),
        ..USUAL
    },
    Attack {
        id: "resources-watches",
        title: "use all watches of the kernel's (inotify)",
        stoppers: &[Stopper::Rule(
            "the kernel's own bound for users (fs.inotify.max_user_instances)",
        )],
        steps: &[Step::Probe(&["watches", "2000"])],
        control: Control::Permitted("fewer watches", &[Step::Probe(&["watches", "10"])]),
        ..USUAL
    },
];

/// What most of them have in common.
const USUAL: Attack = Attack {
    id: "",
    group: Group::Resources,
    against: Against::Host,
    title: "",
    stoppers: &[],
    needs: &[],
    steps: &[],
    judge: Judge::Answer,
    control: Control::WithoutLayers,
};

const QUOTA: &[Stopper] = &[Stopper::Rule("project quotas of the file system")];
/// Where there are no control groups, limits of each process and user stand in for them.
const COUNTED: &[Stopper] = &[
    Stopper::Layer(Layer::ControlGroup),
    Stopper::Layer(Layer::ResourceLimits),
];
