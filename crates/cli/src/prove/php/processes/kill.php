<?php
// Signals to the victim's processes: stop, then end.
require_once __DIR__ . '/prelude.php';
need_functions('posix_kill');
foreach ($victim->pids as $pid) {
    foreach ([19, 9] as $signal) {
        attempt("signal $signal to $pid", fn() => posix_kill($pid, $signal) ?: throw new Exception(posix_strerror(posix_get_last_error())));
    }
    attempt("kill $pid", fn() => command("kill -9 $pid"));
}
