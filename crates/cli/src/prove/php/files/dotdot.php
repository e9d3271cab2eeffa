<?php
// Up and out of every directory that could be a way: home, the current one, what /proc says of this process.
require __DIR__ . '/../prelude.php';
$up = str_repeat('/..', 12);
$starts = [$me->home, __DIR__, '.', '/proc/self/root', '/proc/self/cwd', '/proc/1/root', '/tmp', '/dev/fd'];
foreach ($victim->files as $path) {
    foreach ($starts as $start) {
        attempt("read $start$up$path", fn() => content("$start$up$path"));
    }
}
