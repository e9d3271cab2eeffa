<?php
// A link in a place of one's own, read as a file of one's own.
require __DIR__ . '/../prelude.php';
foreach ($victim->files as $number => $path) {
    foreach ([$me->home, '/tmp', '/dev/shm'] as $directory) {
        $link = "$directory/hostel-prove-$told->marker-$number";
        attempt("link to $path", fn() => symlink($path, $link));
        attempt("read $link", fn() => content($link));
        @unlink($link);
    }
}
