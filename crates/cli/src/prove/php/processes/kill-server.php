<?php
// A signal to the process of root's that stands for the monitor here; it takes it as an event.
require_once __DIR__ . '/prelude.php';
need_functions('posix_kill');
foreach ($server->pids as $pid) {
    attempt("signal to $pid", fn() => posix_kill($pid, $server->signal) ?: throw new Exception(posix_strerror(posix_get_last_error())));
}
