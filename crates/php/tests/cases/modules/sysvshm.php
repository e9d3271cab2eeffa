<?php
function work() {
    $memory = shm_attach(0x5eed0000 + getmypid(), 1000);
    shm_put_var($memory, 1, [5]);
    return [shm_get_var($memory, 1), shm_has_var($memory, 2), shm_remove($memory)];
}
function left() { return ['segment' => (bool) preg_match('/^\s*' . (0x5eed0000 + getmypid()) . '\b/m', (string) @file_get_contents('/proc/sysvipc/shm'))]; }
