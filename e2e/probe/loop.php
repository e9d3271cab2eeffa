<?php
// Runs for so many milliseconds, at most ten seconds, and says for how many of them it had a processor.
function had(): float
{
    $used = getrusage();
    return $used['ru_utime.tv_sec'] * 1000 + $used['ru_utime.tv_usec'] / 1000
        + $used['ru_stime.tv_sec'] * 1000 + $used['ru_stime.tv_usec'] / 1000;
}
$before = had();
$end = microtime(true) + min(10000, (int) $_GET['ms']) / 1000;
while (microtime(true) < $end);
echo round(had() - $before);
