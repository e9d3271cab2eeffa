//! The table of attacks.

use crate::arguments::Arguments;
use crate::outcome::Tried;
use crate::{
    files, ipc, keys, machine, mounts, namespaces, privileges, resources, schedule, signals,
    sockets, surface, trace,
};

/// One attack.
pub(crate) struct Attack {
    /// What it is asked for by.
    pub(crate) name: &'static str,
    /// The words that it takes.
    pub(crate) arguments: &'static str,
    /// Tries it.
    pub(crate) run: fn(&Arguments<'_>) -> Tried,
}

macro_rules! attacks {
    ($($name:literal $arguments:literal $run:path;)*) => {
        /// Every attack, by family.
        pub(crate) const ALL: &[Attack] = &[$(Attack { name: $name, arguments: $arguments, run: $run }),*];
    };
}

attacks! {
    "ptrace" "PROCESS" trace::seize;
    "ptrace-me" "" trace::trace_me;
    "vm-read" "PROCESS" trace::vm_read;
    "vm-write" "PROCESS" trace::vm_write;
    "memory-open" "PROCESS" trace::open_memory;
    "descriptor-take" "PROCESS" trace::take_descriptor;
    "kcmp" "PROCESS" trace::compare;
    "program-open" "PROCESS" trace::open_program;
    "limits-change" "PROCESS" trace::change_limits;

    "unshare" "NAMESPACE" namespaces::unshare;
    "clone" "NAMESPACE" namespaces::clone;
    "clone3" "NAMESPACE" namespaces::clone3;
    "setns" "FILE" namespaces::enter;
    "user-root" "" namespaces::user_root;

    "mount" "" mounts::mount;
    "unmount" "" mounts::unmount;
    "fsopen" "" mounts::open_file_system;
    "open-tree" "" mounts::open_tree;
    "move-mount" "" mounts::move_mount;
    "mount-setattr" "" mounts::set_attributes;
    "pivot-root" "" mounts::pivot_root;
    "chroot" "" mounts::chroot;
    "open-by-handle" "DIRECTORY" mounts::open_by_handle;
    "handle-of" "FILE" mounts::handle_of;

    "setuid" "" privileges::set_user;
    "setgid" "" privileges::set_group;
    "setgroups" "" privileges::set_groups;
    "capabilities" "" privileges::capabilities;
    "ambient" "" privileges::ambient;
    "securebits" "" privileges::secure_bits;
    "setuid-program" "[PROGRAM]" privileges::set_user_program;
    "limits-raise" "" privileges::raise_limits;
    "oom-score" "" privileges::out_of_memory_score;
    "program-change" "" privileges::change_program;
    "dumpable" "" privileges::dumpable;
    "memory-lock" "MIB" privileges::lock_memory;

    "key-add" "NAME" keys::add;
    "keyring-join" "NAME" keys::join;
    "keyring-persistent" "" keys::persistent;

    "kexec" "" machine::kexec;
    "kexec-file" "" machine::kexec_file;
    "module-load" "" machine::load_module;
    "module-load-file" "" machine::load_module_file;
    "module-unload" "" machine::unload_module;
    "reboot" "" machine::reboot;
    "swap-on" "" machine::swap_on;
    "swap-off" "" machine::swap_off;
    "time-set" "" machine::set_time;
    "clock-set" "" machine::set_clock;
    "clock-adjust" "" machine::adjust_clock;
    "host-name" "" machine::set_host_name;
    "domain-name" "" machine::set_domain_name;
    "account" "" machine::account;
    "kernel-log" "" machine::read_log;
    "io-port" "" machine::io_port;
    "io-level" "" machine::io_level;
    "quota" "" machine::quota;
    "hang-up" "" machine::hang_up;

    "bpf" "" surface::bpf;
    "perf" "" surface::perf;
    "userfaultfd" "" surface::userfaultfd;
    "io-uring" "" surface::io_uring;
    "fanotify" "" surface::fanotify;
    "personality" "" surface::personality;
    "modify-ldt" "" surface::modify_ldt;
    "call-32" "" surface::call_32;
    "memory-policy" "" surface::memory_policy;
    "pages-move" "" surface::move_pages;
    "vmsplice" "" surface::vmsplice;
    "old-call" "" surface::old_call;

    "realtime" "" schedule::realtime;
    "nice" "" schedule::nice;
    "nice-other" "PROCESS" schedule::nice_other;
    "io-realtime" "" schedule::io_realtime;
    "affinity" "PROCESS" schedule::affinity;

    "signal" "PROCESS NUMBER" signals::kill;
    "signal-thread" "PROCESS NUMBER" signals::kill_thread;
    "signal-descriptor" "PROCESS NUMBER" signals::by_descriptor;
    "signal-socket" "PROCESS NUMBER" signals::by_socket;
    "signal-lease" "PROCESS NUMBER FILE" signals::by_lease;

    "socket" "KIND" sockets::open;
    "linger" "" sockets::linger;
    "mark" "" sockets::mark;
    "packet-priority" "" sockets::priority;
    "transparent" "" sockets::transparent;
    "buffer-force" "" sockets::force_buffer;
    "packet-filter" "" sockets::packet_filter;
    "address-add" "" sockets::add_address;
    "low-port" "PORT" sockets::low_port;
    "connect" "ADDRESS PORT" sockets::connect;
    "datagram" "ADDRESS PORT TEXT" sockets::datagram;

    "posix-queue-read" "NAME" ipc::read_posix_queue;
    "posix-queue-make" "NAME TEXT" ipc::make_posix_queue;
    "posix-queue-remove" "NAME" ipc::remove_posix_queue;

    "read" "FILE" files::read;
    "open-write" "FILE" files::open_for_writing;
    "write-same" "FILE" files::write_same;
    "exists" "FILE" files::exists;
    "device" "FILE" files::make_device;
    "cgroup-leave" "" files::leave_control_group;
    "terminal-type" "" files::type_into_terminal;

    "fork" "COUNT SECONDS" resources::fork;
    "threads" "COUNT" resources::threads;
    "descriptors" "COUNT" resources::descriptors;
    "memory" "MIB" resources::memory;
    "file" "FILE MIB" resources::file;
    "inodes" "DIRECTORY COUNT" resources::inodes;
    "pipes" "COUNT" resources::pipes;
    "watches" "COUNT" resources::watches;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = ALL.iter().map(|attack| attack.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
