//! The layers of a sandbox by name, and which of them a spawn puts in place: all of them, in everything that is shipped.
//!
//! `hostel prove` names a layer as what stopped an attack. Only a build with the feature `controls`, which is made for
//! tests, can leave layers out: there each attack is tried again without those that stop it, and must succeed.

use std::fmt;

macro_rules! layers {
    ($($(#[doc = $text:literal])* $layer:ident $name:literal;)*) => {
        /// One layer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Layer {
            $($(#[doc = $text])* $layer,)*
        }

        impl Layer {
            /// Every layer.
            pub const ALL: &[Self] = &[$(Self::$layer),*];

            /// Its name in reports and documents.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$layer => $name,)*
                }
            }
        }
    };
}

layers! {
    /// A group of control groups: memory, processor, processes, disk.
    ControlGroup "control group";
    /// The site's own file system, by mount namespace and pivot_root.
    View "view";
    /// Its own processes only.
    ProcessNamespace "process namespace";
    /// Its own System V and POSIX message queues, semaphores and shared memory.
    IpcNamespace "ipc namespace";
    /// Its own host name; its own control group as root of what it sees.
    OtherNamespaces "uts and cgroup namespaces";
    /// Bounds on processes, descriptors, core files.
    ResourceLimits "resource limits";
    /// Descriptors that are not planned are closed.
    Descriptors "descriptors";
    /// User, groups and capabilities of the site.
    User "user";
    /// Capabilities emptied in all sets, the bounding set included.
    Capabilities "capabilities";
    /// Set-uid programs gain nothing.
    NoNewPrivileges "no_new_privs";
    /// The kernel's path, port, signal and socket rules for the whole site.
    Landlock "landlock";
    /// One layer of the same more in each worker.
    WorkerLandlock "landlock of the worker";
    /// The deny list of system calls.
    SystemCalls "seccomp";
    /// The program cannot be traced or read by others of its user.
    NonDumpable "non-dumpable";
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether layers can be left out by this program: it was built for tests. Also true of programs that cargo has built beside the
/// tests of all crates (`cargo test`, `cargo build --all-targets`), since features are united; those must not be installed.
pub const IS_FOR_TESTS: bool = cfg!(feature = "controls");

/// A set of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers(u32);

impl Layers {
    /// Every layer: the only set that a shipped program can make.
    pub const ALL: Self = Self(u32::MAX);

    /// Whether the set has this one.
    pub fn has(self, layer: Layer) -> bool {
        self.0 & (1 << layer as u8) != 0
    }

    /// The layers that this process puts in place itself and proves to have: all, but in a build with `controls` that was started
    /// without some.
    pub fn of_process() -> Self {
        #[cfg(feature = "controls")]
        return controls::of_process();
        #[cfg(not(feature = "controls"))]
        Self::ALL
    }
}

/// Leaving layers out: for controls in tests, never in what is shipped.
#[cfg(feature = "controls")]
mod controls {
    use std::ffi::CString;
    use std::sync::OnceLock;

    use super::{Layer, Layers};

    impl Layers {
        /// The set without this one, and without what cannot be had without it: Landlock and seccomp need no_new_privs.
        #[must_use]
        pub fn without(self, layer: Layer) -> Self {
            let set = Self(self.0 & !(1 << layer as u8));
            match layer {
                Layer::NoNewPrivileges => set
                    .without(Layer::Landlock)
                    .without(Layer::WorkerLandlock)
                    .without(Layer::SystemCalls),
                _ => set,
            }
        }

        /// What tells a program, in its environment, which layers it is to do without. `None` for all of them.
        pub fn variable(self) -> Option<CString> {
            let names: Vec<&str> = Layer::ALL
                .iter()
                .filter(|layer| !self.has(**layer))
                .map(|layer| layer.name())
                .collect();
            let text = format!("{VARIABLE}={}", names.join(","));
            CString::new(text).ok().filter(|_| !names.is_empty())
        }
    }

    /// Remembered: PHP's environment is cleared before the last layers are put in place.
    pub(super) fn of_process() -> Layers {
        static OF_PROCESS: OnceLock<Layers> = OnceLock::new();
        *OF_PROCESS.get_or_init(|| {
            let names = std::env::var(VARIABLE).unwrap_or_default();
            let left_out = |layer: &&Layer| names.split(',').any(|name| name == layer.name());
            Layer::ALL
                .iter()
                .filter(left_out)
                .fold(Layers::ALL, |layers, layer| layers.without(*layer))
        })
    }

    /// Names of layers, with commas between them.
    const VARIABLE: &str = "HOSTEL_WITHOUT";

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_left_out_is_named() {
            assert_eq!(Layers::ALL.variable(), None);
            let layers = Layers::ALL.without(Layer::User).without(Layer::View);
            assert_eq!(layers.variable().unwrap(), *c"HOSTEL_WITHOUT=view,user");
            let layers = Layers::ALL.without(Layer::NoNewPrivileges);
            assert!(!layers.has(Layer::SystemCalls) && layers.has(Layer::User));
        }
    }
}
