<?php
// What /proc has of another process: environment, memory, files, directories.
require_once __DIR__ . '/prelude.php';
foreach (others() as $pid) {
    attempt("environment of $pid", fn() => content("/proc/$pid/environ"));
    foreach (['root', 'cwd'] as $way) {
        foreach ([...$victim->files, $victim->memory_file] as $path) {
            attempt("read /proc/$pid/$way$path", fn() => content("/proc/$pid/$way/" . ltrim($path, '/')));
        }
    }
    attempt("descriptors of $pid", fn() => scandir("/proc/$pid/fd"));
    for ($number = 0; $number < 24; $number++) {
        attempt("descriptor $number of $pid", fn() => @filetype("/proc/$pid/fd/$number") === 'file' ? content("/proc/$pid/fd/$number") : false);
    }
}
