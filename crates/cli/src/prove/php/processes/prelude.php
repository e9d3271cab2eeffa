<?php
require_once __DIR__ . '/../prelude.php';

/** The victim's processes as the host numbers them, and all that /proc shows, but for this one's own family. */
function others(): array
{
    global $victim;
    $own = [];
    for ($pid = getmypid(); $pid > 0 && !isset($own[$pid]); $pid = parent_of($pid)) {
        $own[$pid] = true;
    }
    $seen = array_map('intval', array_filter(scandir('/proc') ?: [], 'ctype_digit'));
    return array_diff(array_unique([...($victim->pids ?? []), ...$seen]), array_keys($own));
}

function parent_of(int $pid): int
{
    $status = (string) @file_get_contents("/proc/$pid/status");
    return preg_match('/^PPid:\s+(\d+)/m', $status, $found) ? (int) $found[1] : 0;
}
