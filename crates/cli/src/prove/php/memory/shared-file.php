<?php
// What POSIX shared memory is: a file in /dev/shm.
require_once __DIR__ . '/../prelude.php';
attempt('list', fn() => scandir('/dev/shm'));
attempt('read', fn() => content($victim->memory_file));
attempt('write', fn() => file_exists($victim->memory_file) ? file_put_contents($victim->memory_file, 'x') : throw new Exception('no such file'));
