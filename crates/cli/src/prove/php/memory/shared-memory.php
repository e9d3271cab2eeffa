<?php
// System V shared memory, by its key and by every number that /proc shows.
require_once __DIR__ . '/../prelude.php';
need_functions('shmop_open');
attempt('list', fn() => content('/proc/sysvipc/shm'));
attempt('read by key', fn() => ($memory = shmop_open($victim->key, 'a', 0, 0)) ? shmop_read($memory, 0, min(4096, shmop_size($memory))) : false);
attempt('write by key', fn() => ($memory = shmop_open($victim->key, 'w', 0, 0)) ? shmop_write($memory, 'x', 100) : false);
attempt('ipcrm', fn() => command("ipcrm -M $victim->key"));
