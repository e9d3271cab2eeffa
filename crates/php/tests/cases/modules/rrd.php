<?php
// load: rrd
// keeps: error
function work() {
    $name = sys_get_temp_dir() . '/rrd-' . getmypid();
    $made = rrd_create($name, ['--start', '1000000000', '--step', '60', 'DS:a:GAUGE:120:U:U', 'RRA:AVERAGE:0.5:1:10']);
    $seen = [$made, rrd_update($name, ['1000000060:5']), rrd_last($name), rrd_info($name)['step'], rrd_fetch($name, ['AVERAGE', '--start', '1000000000', '--end', '1000000060'])['step']];
    $graph = rrd_graph("$name.png", ['--start', '1000000000', '--end', '1000000600', "DEF:a=$name:a:AVERAGE", 'LINE1:a#ff0000']);
    @unlink("$name.png");
    unlink($name);
    rrd_last('/none');
    return [$seen, is_array($graph), rrd_version()];
}
function left() { return ['error' => (string) rrd_error() !== '']; }
