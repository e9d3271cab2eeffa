<?php
// Some megabytes of PHP's heap, as an application needs them.
$lists = [];
for ($i = 0; $i < 60; $i++) {
    $lists[] = range($i, $i + 4000);
}
echo count($lists), ' ', memory_get_peak_usage(true) >> 20, ' MiB';
