#!/bin/bash
# The guest's whole life, as process 1: make the host that the tests expect, run each suite of its plan in /hostel, hand the reports
# over, switch off. What the host parses starts with "@@".
#
# Disks: nvme0 Debian, changes thrown away; nvme1 what the host has built (/hostel); nvme2 takes the reports, as a tar;
# nvme3 an empty one for /srv, where the sites' homes are, with project quota.

off() {
    # The last words must be on the line before the machine is gone.
    sleep 0.2
    echo o > /proc/sysrq-trigger
    sleep 60
}
trap off EXIT

mount_all() {
    mkdir -p /dev/pts /dev/shm &&
    mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts &&
    mount -t tmpfs -o nosuid,nodev tmpfs /dev/shm &&
    ln -s /proc/self/fd /dev/fd && ln -s fd/0 /dev/stdin && ln -s fd/1 /dev/stdout && ln -s fd/2 /dev/stderr &&
    mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs /run &&
    mount -t securityfs securityfs /sys/kernel/security &&
    mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate cgroup2 /sys/fs/cgroup &&
    modprobe quota_v2 &&
    mkfs.ext4 -q -O quota,project /dev/nvme3n1 &&
    mount -o prjquota /dev/nvme3n1 /srv
}

# As systemd does for a service with Delegate=yes: a group of its own below a slice, with every controller.
own_cgroup() {
    local slice=/sys/fs/cgroup/system.slice
    mkdir -p "$slice" &&
    echo "+cpu +io +memory +pids" > /sys/fs/cgroup/cgroup.subtree_control &&
    echo "+cpu +io +memory +pids" > "$slice/cgroup.subtree_control" &&
    mkdir -p "$slice/hostel.service" &&
    echo $$ > "$slice/hostel.service/cgroup.procs"
}

# What was built lies at the path that it has on the host, for paths are compiled into the tests.
lay_out() {
    local path
    while read -r path; do
        mkdir -p "$(dirname "$path")" && ln -s "/hostel/host$path" "$path" || return 1
    done < /hostel/links
}

prepare() {
    mount_all && own_cgroup && lay_out &&
    hostname hostel-guest &&
    printf '127.0.0.1 localhost hostel-guest\n::1 localhost\n' > /etc/hosts &&
    ip link set lo up &&
    sysctl --quiet --system > /run/sysctl.log &&
    mkdir -p "$HOSTEL_REPORT"
}

run_suites() {
    local name seconds program arguments status
    while read -r name seconds program arguments; do
        echo "@@ suite $name"
        # shellcheck disable=SC2086  (arguments are words)
        timeout --kill-after=10 "$seconds" "$program" --test-threads=1 --color=never $arguments < /dev/null 2>&1
        status=$?
        [ "$status" != 124 ] || echo "ended after $seconds seconds"
        echo "@@ end $name $status"
    done < "/hostel/plan-$clock"
}

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
set -a
. /hostel/environment
set +a
if ! prepare; then
    echo "@@ failed: the guest could not be made ready"
    exit
fi
echo "@@ ready: Linux $(uname -r), up $(cut -d' ' -f1 /proc/uptime) s"
# Two guests share a run: which one this is, the host has put on the kernel's line.
clock=$(sed 's/.*hostel\.clock=\([a-z]*\).*/\1/' /proc/cmdline)
run_suites
dmesg > "$HOSTEL_REPORT/dmesg-$clock.txt"
tar --create --file=/dev/nvme2n1 --directory="$HOSTEL_REPORT" . && sync
echo "@@ done"
