//! Attacks on files: those of another site, and the server's.

use hostel_sys::layers::Layer;

use crate::prove::attack::{Against, Attack, Control, Group, Judge, Step, Stopper, php};

pub(super) const ATTACKS: &[Attack] = &[
    of_victim(
        "files-path",
        "read files by their paths",
        &[Step::Attacker(php!("files/path"))],
    ),
    of_victim(
        "files-dotdot",
        "read files by `..` and /proc/self",
        &[Step::Attacker(php!("files/dotdot"))],
    ),
    of_victim(
        "files-symlink",
        "read files through a symbolic link of one's own",
        &[Step::Attacker(php!("files/symlink"))],
    ),
    of_victim(
        "files-hardlink",
        "give a file a second name, and read that",
        &[Step::Attacker(php!("files/hardlink"))],
    ),
    of_victim(
        "files-list",
        "learn names of files, by glob and lists",
        &[Step::Attacker(php!("files/list"))],
    ),
    of_victim(
        "files-programs",
        "read files by other programs",
        &[Step::Attacker(php!("files/programs"))],
    ),
    of_victim(
        "files-wrappers",
        "read files by PHP's stream wrappers",
        &[Step::Attacker(php!("files/wrappers"))],
    ),
    of_victim(
        "files-libraries",
        "read files by libraries: curl, XML entities, finfo",
        &[Step::Attacker(php!("files/libraries"))],
    ),
    of_victim(
        "files-functions",
        "read files by each other function of PHP",
        &[Step::Attacker(php!("files/functions"))],
    ),
    of_victim(
        "files-run",
        "run the other site's script in this site's PHP",
        &[Step::Attacker(php!("files/run"))],
    ),
    of_victim(
        "files-session",
        "open the other site's session",
        &[Step::Attacker(php!("files/session"))],
    ),
    of_victim(
        "files-write",
        "change, rename, remove files",
        &[Step::Attacker(php!("files/write"))],
    ),
    of_victim(
        "files-plant",
        "leave scripts, settings, links where the other site runs them",
        &[Step::Attacker(php!("files/plant"))],
    ),
    Attack {
        id: "files-race",
        group: Group::Files,
        against: Against::Victim,
        title: "exchange a directory for a link while the server looks for a file in it",
        stoppers: &[
            Stopper::Layer(Layer::View),
            Stopper::Layer(Layer::Landlock),
            Stopper::Layer(Layer::User),
            Stopper::Rule("the keeper opens what lies beneath its own home"),
        ],
        needs: &[],
        steps: &[Step::Race(php!("files/race"))],
        judge: Judge::Canaries,
        control: Control::Permitted(
            "the link leads to another directory of the site's own",
            &[Step::Race(php!("files/race-permitted"))],
        ),
    },
    Attack {
        id: "files-server-read",
        group: Group::Files,
        against: Against::Server,
        title: "read the server's configuration, state and logs",
        stoppers: &[Stopper::Layer(Layer::View), Stopper::Layer(Layer::Landlock)],
        needs: &[],
        steps: &[Step::Attacker(php!("files/server-read"))],
        judge: Judge::Canaries,
        control: Control::WithoutLayers,
    },
    Attack {
        id: "files-server-write",
        group: Group::Files,
        against: Against::Server,
        title: "change the server's configuration, state and logs",
        stoppers: OTHERS_FILES,
        needs: &[],
        steps: &[Step::Attacker(php!("files/server-write"))],
        judge: Judge::Canaries,
        control: Control::WithoutLayers,
    },
];

/// An attack on what the view lacks, Landlock forbids, and the kernel gives to the other user alone.
const fn of_victim(id: &'static str, title: &'static str, steps: &'static [Step]) -> Attack {
    Attack {
        id,
        group: Group::Files,
        against: Against::Victim,
        title,
        stoppers: OTHERS_FILES,
        needs: &[],
        steps,
        judge: Judge::Canaries,
        control: Control::WithoutLayers,
    }
}

pub(super) const OTHERS_FILES: &[Stopper] = &[
    Stopper::Layer(Layer::View),
    Stopper::Layer(Layer::Landlock),
    Stopper::Layer(Layer::User),
];
