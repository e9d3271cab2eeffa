<?php
// load: guestfs_php
function work() {
    $g = guestfs_create();
    return [is_resource($g), guestfs_last_error($g), guestfs_set_trace($g, false), guestfs_get_memsize($g) > 0, guestfs_version($g)['major'], @guestfs_add_drive($g, '/none'), guestfs_last_error($g) !== false];
}
function left() { return ['error' => (string) guestfs_last_error(guestfs_create()) !== '']; }
