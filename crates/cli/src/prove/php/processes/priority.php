<?php
// Slow the victim down: nice value, processors, disk, policy, chance of being killed.
require_once __DIR__ . '/prelude.php';
foreach ($victim->pids as $pid) {
    attempt("renice $pid", fn() => command("renice -n 19 -p $pid"));
    attempt("taskset $pid", fn() => command("taskset -p 1 $pid"));
    attempt("ionice $pid", fn() => command("ionice -c 3 -p $pid"));
    attempt("chrt $pid", fn() => command("chrt -i -p 0 $pid"));
    attempt("oom score of $pid", fn() => file_put_contents("/proc/$pid/oom_score_adj", '1000'));
}
