//! Attacks on the kernel's surface: calls in which its holes are, and those that administer the machine.
//!
//! All by `hostel-probe`, most of them judged by the kernel's answer: see [`Judge::Answer`]. None does harm where it is permitted.

use hostel_sys::layers::Layer;

use crate::prove::attack::{Against, Attack, Condition, Control, Group, Judge, Step, Stopper};

/// `id "title" [layers] [the probe's words], …;`, with a condition of the control where there is one.
macro_rules! calls {
    ($($id:literal $title:literal $stoppers:ident [$($words:tt),+] $($where:ident)?;)*) => {
        &[$(Attack {
            id: $id,
            group: Group::Privileges,
            against: Against::Host,
            title: $title,
            stoppers: $stoppers,
            needs: &[],
            steps: &[$(Step::Probe(&$words)),+],
            judge: Judge::Answer,
            control: calls!(@control $($where)?),
        }),*]
    };
    (@control) => { Control::WithoutLayers };
    (@control $where:ident) => { Control::WithoutLayersWhere($where) };
}

pub(super) const ATTACKS: &[Attack] = calls! {
    "kernel-user-namespace" "become root of a user namespace" CALLS [["unshare", "user"], ["clone", "user"]];
    "kernel-user-root" "become root of a user namespace, and mount there" ROOTS_OWN_CALLS [["user-root"]];
    "kernel-clone3" "the same by clone3, whose flags no filter sees" CALLS [["clone3", "user"]];
    "kernel-unshare" "leave each other kind of namespace" ROOTS_CALLS
        [["unshare", "mount"], ["unshare", "pid"], ["unshare", "network"], ["unshare", "ipc"], ["unshare", "uts"], ["unshare", "cgroup"]];
    "kernel-clone" "start a process in each other kind of namespace" ROOTS_CALLS
        [["clone", "mount"], ["clone", "pid"], ["clone", "network"], ["clone", "ipc"], ["clone", "uts"], ["clone", "cgroup"]];
    "kernel-setns" "enter a namespace by its file" ROOTS_CALLS [["setns", "/proc/self/ns/uts"], ["setns", "/proc/self/ns/ipc"]];

    "kernel-mount" "mount, by the old call" ROOTS_FILE_CALLS [["mount"]];
    "kernel-unmount" "unmount" ROOTS_FILE_CALLS [["unmount"]];
    "kernel-mount-new" "mount, by the new calls" ROOTS_FILE_CALLS [["fsopen"], ["open-tree"], ["move-mount"]];
    "kernel-mount-attributes" "make a mount writable" ROOTS_FILE_CALLS [["mount-setattr"]];
    "kernel-pivot-root" "change the root of all" ROOTS_FILE_CALLS [["pivot-root"]];
    "kernel-chroot" "get out of the view by chroot" ROOTS_CALLS [["chroot"]];
    "kernel-open-by-handle" "open the root of the disk by its inode, past the view" ROOTS_CALLS [["open-by-handle", "{me.home}"]];
    "kernel-handle" "learn the number of a file by which it can be opened" CALLS [["handle-of", "{me.home}"]];
    "kernel-device" "make a device file" ROOTS_FILE_CALLS [["device", "{me.home}/.hostel-prove-{marker}"]];

    "kernel-bpf" "run a program in the kernel (bpf)" ROOTS_CALLS [["bpf"]];
    "kernel-perf" "measure with perf_event_open" ROOTS_CALLS [["perf"]];
    "kernel-userfaultfd" "hold the kernel with userfaultfd" CALLS [["userfaultfd"]];
    "kernel-io-uring" "make calls that no filter sees (io_uring)" CALLS [["io-uring"]] IO_URING;
    "kernel-fanotify" "watch a file system (fanotify)" CALLS [["fanotify"]];
    "kernel-keys" "use the kernel's keyrings" CALLS
        [["key-add", "hostel-prove-{marker}"], ["keyring-join", "hostel-prove-{marker}"], ["keyring-persistent"]];
    "kernel-personality" "switch the protection of memory off" CALLS [["personality"]];
    "kernel-memory-place" "choose and learn where memory lies" CALLS [["memory-policy"], ["pages-move"]];
    "kernel-vmsplice" "share pages with a pipe" CALLS [["vmsplice"]];
    "kernel-old-calls" "calls of old programs" CALLS [["modify-ldt"], ["old-call"]];
    "kernel-32-bit-calls" "make a call by the 32-bit way, past a filter of 64-bit numbers" CALLS [["call-32"]] CALLS_32;
    "kernel-trace-me" "be traced by one's parent, as set-uid programs were tricked" CALLS [["ptrace-me"]];
    "kernel-linger" "make a socket that holds whoever closes it, the front for one" CALLS [["linger"]];
    "kernel-terminal" "type into the terminal of whoever started the server" CALLS [["terminal-type"]];
    "kernel-families" "open sockets of kinds that nobody needs" CALLS
        [["socket", "vsock"], ["socket", "alg"], ["socket", "key"], ["socket", "can"], ["socket", "bluetooth"], ["socket", "mptcp"],
         ["socket", "sctp"], ["socket", "netfilter"], ["socket", "audit"], ["socket", "uevent"]];
    "kernel-raw-sockets" "forge and read packets" ROOTS_CALLS
        [["socket", "raw"], ["socket", "raw6"], ["socket", "packet"], ["socket", "packet-datagram"]];
    "kernel-packet-filter" "read the host's packet filter" ROOTS_CALLS [["packet-filter"]];

    "kernel-kexec" "start another kernel" ROOTS_CALLS [["kexec"], ["kexec-file"]] KEXEC;
    "kernel-modules" "load and unload modules" ROOTS_CALLS [["module-load"], ["module-load-file"], ["module-unload"]] MODULES;
    "kernel-reboot" "restart the machine" ROOTS_CALLS [["reboot"]];
    "kernel-swap" "change what the machine swaps to" ROOTS_CALLS [["swap-on"], ["swap-off"]];
    "kernel-clock" "set the clock" ROOTS_CALLS [["time-set"], ["clock-set"], ["clock-adjust"]];
    "kernel-names" "rename the machine" ROOTS_CALLS [["host-name"], ["domain-name"]];
    "kernel-accounting" "have the kernel write accounts of processes" ROOTS_CALLS [["account"]];
    "kernel-quota" "switch quotas" ROOTS_CALLS [["quota"]];
    "kernel-log" "read the kernel's log" ROOTS_CALLS [["kernel-log"]];
    "kernel-hang-up" "hang up terminals" ROOTS_CALLS [["hang-up"]];
    "kernel-ports" "use the machine's ports" ROOTS_CALLS [["io-port"], ["io-level"]] IO_PORTS;

    "kernel-settings" "write the kernel's settings" ROOTS_FILES
        [["write-same", "/proc/sys/kernel/core_pattern"], ["write-same", "/proc/sys/kernel/hostname"],
         ["write-same", "/proc/sys/vm/overcommit_memory"], ["open-write", "/proc/sysrq-trigger"]];
    "kernel-files" "open the kernel's and the machine's own files" ROOTS_FILES
        [["read", "/dev/kmsg"], ["open-write", "/dev/kmsg"], ["read", "/dev/mem"], ["read", "/dev/fuse"], ["read", "/proc/kcore"],
         ["exists", "/sys/kernel"], ["exists", "/sys/fs/cgroup"], ["exists", "/dev/net/tun"], ["exists", "/dev/ptmx"]];
    "kernel-control-group" "leave the control group" ROOTS_FILES [["cgroup-leave"]];
};

/// Whoever may make calls may make these, but for the filter.
const CALLS: &[Stopper] = &[Stopper::Layer(Layer::SystemCalls)];
/// Root alone may make these.
const ROOTS_CALLS: &[Stopper] = &[
    Stopper::Layer(Layer::SystemCalls),
    Stopper::Layer(Layer::Capabilities),
    Stopper::Layer(Layer::User),
];
/// Whoever is root of a namespace may make these there, and write the files of /proc that make him so.
const ROOTS_OWN_CALLS: &[Stopper] = &[
    Stopper::Layer(Layer::SystemCalls),
    Stopper::Layer(Layer::Landlock),
    Stopper::Layer(Layer::WorkerLandlock),
];
/// Landlock too denies these to whom it denies any file.
const ROOTS_FILE_CALLS: &[Stopper] = &[
    Stopper::Layer(Layer::SystemCalls),
    Stopper::Layer(Layer::Landlock),
    Stopper::Layer(Layer::WorkerLandlock),
    Stopper::Layer(Layer::Capabilities),
    Stopper::Layer(Layer::User),
];
/// Root alone may write these files, and most of them are not in the view.
const ROOTS_FILES: &[Stopper] = &[
    Stopper::Layer(Layer::View),
    Stopper::Layer(Layer::Landlock),
    Stopper::Layer(Layer::User),
    Stopper::Layer(Layer::Capabilities),
];

const IO_URING: Condition = Condition {
    what: "a kernel with io_uring (kernel.io_uring_disabled = 0)",
    is_so: || setting("/proc/sys/kernel/io_uring_disabled", "0"),
};
const CALLS_32: Condition = Condition {
    what: "a kernel that runs 32-bit programs",
    is_so: || cfg!(target_arch = "x86_64"),
};
const KEXEC: Condition = Condition {
    what: "a kernel with kexec",
    is_so: || {
        exists("/sys/kernel/kexec_loaded") && !setting("/proc/sys/kernel/kexec_load_disabled", "1")
    },
};
const MODULES: Condition = Condition {
    what: "a kernel that loads modules",
    is_so: || exists("/proc/modules") && !setting("/proc/sys/kernel/modules_disabled", "1"),
};
const IO_PORTS: Condition = Condition {
    what: "a kernel that gives out ports (CONFIG_X86_IOPL_IOPERM)",
    is_so: || exists("/proc/modules"),
};

fn exists(path: &str) -> bool {
    std::path::Path::new(path).exists()
}

/// Whether the kernel has this setting, and with this value.
fn setting(path: &str, value: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
}
