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

    /// The set without this one: for controls in tests, never in what is shipped.
    #[cfg(feature = "controls")]
    #[must_use]
    pub fn without(self, layer: Layer) -> Self {
        Self(self.0 & !(1 << layer as u8))
    }
}
