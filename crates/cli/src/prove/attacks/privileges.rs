//! Attacks for more rights than the site's user has.

use hostel_sys::layers::Layer;

use crate::prove::attack::{Against, Attack, Condition, Control, Group, Judge, Step, Stopper};
use crate::prove::ground::has_capability;

/// `id "title" [layers] [the probe's words], …;`, with a condition of the control where there is one.
macro_rules! rights {
    ($($id:literal $title:literal $stoppers:ident $needs:expr, [$($words:tt),+] $($where:ident)?;)*) => {
        &[$(Attack {
            id: $id,
            group: Group::Privileges,
            against: Against::Host,
            title: $title,
            stoppers: $stoppers,
            needs: $needs,
            steps: &[$(Step::Probe(&$words)),+],
            judge: Judge::Answer,
            control: rights!(@control $($where)?),
        }),*]
    };
    (@control) => { Control::WithoutLayers };
    (@control $where:ident) => { Control::WithoutLayersWhere($where) };
}

pub(super) const ATTACKS: &[Attack] = rights! {
    "privileges-user" "become root" USER &[], [["setuid"], ["setgid"]];
    "privileges-groups" "join root's group" CAPABLE &[], [["setgroups"]];
    "privileges-capabilities" "take capabilities" CAPABLE &[], [["capabilities"], ["ambient"], ["securebits"]];
    "privileges-set-uid" "run set-uid programs" SET_UID &[],
        [["setuid-program", "/usr/bin/su"], ["setuid-program", "/usr/bin/passwd"]];
    "privileges-readable" "make a worker readable to others of its user" CALLS &[], [["dumpable"]];
    "privileges-limits" "raise hard limits" CAPABLE &[], [["limits-raise"]] SYSTEM_RESOURCE;
    "privileges-memory-kill" "be the last that is ended when memory runs out" SCORE &[], [["oom-score"]];
    "privileges-program-name" "pretend to be another program" CAPABLE &[], [["program-change"]] SYSTEM_RESOURCE;
    "privileges-memory-lock" "lock memory beyond the limit" CAPABLE &[], [["memory-lock", "64"]];
    "privileges-realtime" "run before all others" CAPABLE &[], [["realtime"], ["nice"]];
    "privileges-disk" "have the disk before all others" CAPABLE &[], [["io-realtime"]];
    "privileges-low-port" "listen on a port of the system's" CAPABLE &[], [["low-port", "79"]];
    "privileges-packets" "mark packets, send before others, use addresses of others" CAPABLE &[],
        [["mark"], ["packet-priority"], ["transparent"], ["buffer-force"]];
    "privileges-address" "add an address to the network" CAPABLE &[], [["address-add"]];
};

const USER: &[Stopper] = &[Stopper::Layer(Layer::User)];
const CALLS: &[Stopper] = &[Stopper::Layer(Layer::SystemCalls)];
const CAPABLE: &[Stopper] = &[
    Stopper::Layer(Layer::Capabilities),
    Stopper::Layer(Layer::User),
];
/// To Landlock the score is a file that nobody may write.
const SCORE: &[Stopper] = &[
    Stopper::Layer(Layer::Landlock),
    Stopper::Layer(Layer::Capabilities),
    Stopper::Layer(Layer::User),
];
/// The view's mounts take no notice of the set-uid bit either.
const SET_UID: &[Stopper] = &[
    Stopper::Layer(Layer::NoNewPrivileges),
    Stopper::Layer(Layer::View),
];

const SYSTEM_RESOURCE: Condition = Condition {
    what: "root with CAP_SYS_RESOURCE",
    is_so: || has_capability(24),
};
