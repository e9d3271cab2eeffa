//! What an attack is: one entry of a table, see `attacks`.
//!
//! An entry says what is tried, what should stop it, and how success would be seen from outside. It never asks the attacker.

use hostel_sys::layers::Layer;

use super::scene::{Ran, Scene};

/// One attack.
pub(crate) struct Attack {
    /// Its name in reports and documents, `group-what`; never used again for another one.
    pub(crate) id: &'static str,
    pub(crate) group: Group,
    /// Whom it is against. Without another site, those against a victim are not tried.
    pub(crate) against: Against,
    /// What is tried, in a few words.
    pub(crate) title: &'static str,
    /// What stands in its way. The control leaves all the layers among them out; which of them is enough alone is measured too.
    pub(crate) stoppers: &'static [Stopper],
    /// What the kernel must have for that. Without it, an attack that gets through counts as "not stopped here".
    pub(crate) needs: &'static [Need],
    /// What is done, in this order.
    pub(crate) steps: &'static [Step],
    /// How success is seen, besides by the canaries.
    pub(crate) judge: Judge,
    /// How it is shown that success would be seen.
    pub(crate) control: Control,
}

/// Attacks of one kind stand together in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Files,
    Processes,
    Memory,
    Network,
    Resources,
    Privileges,
    Settings,
    Routing,
}

impl Group {
    pub(crate) const ALL: [Self; 8] = [
        Self::Files,
        Self::Processes,
        Self::Memory,
        Self::Network,
        Self::Resources,
        Self::Privileges,
        Self::Settings,
        Self::Routing,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Processes => "processes",
            Self::Memory => "memory and IPC",
            Self::Network => "network",
            Self::Resources => "resources",
            Self::Privileges => "privileges",
            Self::Settings => "PHP settings",
            Self::Routing => "HTTP routing",
        }
    }
}

/// Whom an attack is against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Against {
    /// Another site.
    Victim,
    /// The server: monitor, front, their files.
    Server,
    /// The machine, or limits that hold for the attacker itself.
    Host,
    /// Addresses other than loopback, with `--network` only.
    World,
}

/// What stops an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopper {
    /// A layer of the sandbox.
    Layer(Layer),
    /// Something that is no layer which a spawn could leave out, in a few words.
    Rule(&'static str),
}

impl Stopper {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Layer(layer) => layer.name(),
            Self::Rule(rule) => rule,
        }
    }
}

/// Something that not every kernel, or file system, has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Landlock of at least this version: 1 files, 3 truncate, 4 TCP, 5 ioctl, 6 signals and abstract sockets.
    Landlock(u32),
    /// The packet filter's rules, which the running server keeps in force.
    Firewall,
    /// Project quotas of the file system that the site's temporary files are on.
    QuotaOfTemporaryFiles,
    /// The same for its home, and a bound there.
    QuotaOfHome,
}

/// One step of an attack.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// The attacker runs this script, in a worker of its own.
    Attacker(Script),
    /// The victim runs this script, in a worker of its own.
    Victim(Script),
    /// The victim runs this script and counts as the attacker: what an attacker would reach who got there.
    Insider(Script),
    /// The attacker runs this script, which is not waited for, beside the steps that follow. It is told a secret, `kept`, that
    /// they are after.
    Beside(Script),
    /// The attacker runs this script, while its keeper is asked for a static file that lies behind a link into its home. It
    /// is told `kept` too.
    Race(Script),
    /// The attacker runs `hostel-probe` with these arguments, from a script; `{NAME}` stands for what the stage knows by
    /// that name (see `scene::targets`).
    Probe(&'static [&'static str]),
    /// The attacker's keeper is killed, and its sandbox with it.
    EndAttacker,
    /// A visitor sends these to the running server, each on a connection of its own, with `{NAME}` filled in as for a probe.
    Visit(&'static [&'static str]),
    /// Many visitors at once, while the server is asked for a file of the victim's.
    Crowd(Crowd),
    /// Nothing that could be tried: the server does not do yet what would be attacked.
    NotThere(&'static str),
}

/// Many visitors at once, each of whom sends the same and leaves his connection open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    /// How many.
    pub(crate) count: u16,
    /// What they send, with `{NAME}` filled in, and then a line so many times.
    pub(crate) head: &'static str,
    pub(crate) line: &'static str,
    pub(crate) lines: usize,
    /// By which name the victim's file is asked for meanwhile.
    pub(crate) asked: &'static str,
}

/// A PHP script that was compiled in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    /// Its path in the document root of the stage.
    pub(crate) path: &'static str,
    pub(crate) source: &'static str,
}

/// How success is seen. The canaries are looked at in any case: a secret in what the attacker said, something of the victim's
/// or the server's that appeared, changed or went, a process of theirs that ended, a connection to one of their sockets.
#[derive(Clone, Copy)]
pub(crate) enum Judge {
    /// By the canaries alone.
    Canaries,
    /// By what the kernel answered to `hostel-probe` too, for calls that leave no trace: anything but a refusal. The one case in
    /// which the attacker is believed; the control shows that its answer is another one when the call is permitted.
    Answer,
    /// By a look from outside too: it says what was reached, `None` for nothing.
    Look(fn(&Scene<'_>, &Ran) -> Option<String>),
}

/// How it is shown that the judge would see success.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Control {
    /// The same steps, without the layers of `stoppers`.
    WithoutLayers,
    /// The same, on machines where nothing else stops it.
    WithoutLayersWhere(Condition),
    /// The same steps in a run without the server, which keeps the packet filter's rules in force: then they are not stopped.
    WithoutRules,
    /// These steps, which do the same thing in a way that is permitted; described for the document.
    Permitted(&'static str, &'static [Step]),
}

/// What a machine must have for a control.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition {
    /// In a few words.
    pub(crate) what: &'static str,
    /// Whether this one has it.
    pub(crate) is_so: fn() -> bool,
}

/// A script of `php/`, compiled in.
macro_rules! php {
    ($name:literal) => {
        $crate::prove::attack::Script {
            path: concat!($name, ".php"),
            source: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/src/prove/php/",
                $name,
                ".php"
            )),
        }
    };
}
pub(crate) use php;
