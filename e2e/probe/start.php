<?php
// Starts so many processes that sleep, at most 100, says how many there were, and ends them.
$all = [];
for ($i = 0; $i < min(100, (int) $_GET['n']); $i++) {
    $one = @proc_open(['/usr/bin/sleep', '60'], [], $pipes);
    if (!$one) {
        break;
    }
    $all[] = $one;
}
echo count($all);
foreach ($all as $one) {
    proc_terminate($one, 9);
    proc_close($one);
}
