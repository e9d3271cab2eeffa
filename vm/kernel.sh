#!/bin/sh
# Unpack Debian's cloud kernel into the root file system $1: not installed, so without initrd and boot loader, which the guest
# has no use for. Run by mmdebstrap as root, with its settings for apt. Also what the kernel starts first: vm/init.
set -eu
root=$1
here=$(dirname "$(realpath "$0")")
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: //p')
version=${package#linux-image-}
draft=$(mktemp -d)
trap 'rm -rf "$draft"' EXIT
chmod 755 "$draft"
cd "$draft"
apt-get download "$package"
dpkg-deb --extract ./*.deb .
mkdir -p "$root/usr/lib/modules" "$root/hostel"
mv "lib/modules/$version" "$root/usr/lib/modules/"
mv "boot/vmlinuz-$version" "$root/boot/vmlinuz"
chroot "$root" depmod "$version"
install -m 0755 "$here/init" "$root/sbin/hostel-init"
