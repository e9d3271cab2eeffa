<?php
// The parent of all workers of this site.
require_once __DIR__ . '/prelude.php';
need_functions('posix_kill');
$zygote = posix_getppid();
foreach ([19, 9] as $signal) {
    attempt("signal $signal to $zygote", fn() => posix_kill($zygote, $signal) ?: throw new Exception(posix_strerror(posix_get_last_error())));
}
