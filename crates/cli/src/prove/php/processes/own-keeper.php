<?php
// Process 1 of this sandbox.
require_once __DIR__ . '/prelude.php';
need_functions('posix_kill');
$keeper = parent_of(posix_getppid());
if ($keeper < 1 || !str_contains((string) @file_get_contents("/proc/$keeper/comm"), 'keeper')) {
    not_tried("process $keeper is not the keeper");
}
foreach ([19, 9] as $signal) {
    attempt("signal $signal to $keeper", fn() => posix_kill($keeper, $signal) ?: throw new Exception(posix_strerror(posix_get_last_error())));
}
