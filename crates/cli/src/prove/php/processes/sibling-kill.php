<?php
// End the other worker of this site.
require_once __DIR__ . '/prelude.php';
need_functions('posix_kill');
$zygote = posix_getppid();
$siblings = array_filter(others(), fn($pid) => parent_of($pid) === $zygote);
if (!$siblings) {
    not_tried('there is no other worker');
}
foreach ($siblings as $pid) {
    attempt("kill $pid", fn() => posix_kill($pid, 9) ?: throw new Exception(posix_strerror(posix_get_last_error())));
}
