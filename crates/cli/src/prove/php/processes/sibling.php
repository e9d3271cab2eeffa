<?php
// The other worker of this site, which keeps a secret in its memory.
require_once __DIR__ . '/prelude.php';
$own = getmypid();
$zygote = posix_getppid();
$told->kept_by = array_filter(others(), fn($pid) => $pid !== $own && parent_of($pid) === $zygote);
if (!$told->kept_by) {
    not_tried('there is no other worker');
}
require __DIR__ . '/memory.php';
