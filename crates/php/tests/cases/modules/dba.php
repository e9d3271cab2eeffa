<?php
// load: dba
function open($name) { return dba_popen($name, 'c', 'flatfile'); }
function work() {
    $name = sys_get_temp_dir() . '/dba-' . getmypid();
    $seen = [];
    foreach (array_intersect(['qdbm', 'db4', 'lmdb', 'inifile'], dba_handlers()) as $handler) {
        $db = dba_open("$name.$handler", 'n', $handler);
        dba_insert('a', $handler, $db);
        $seen[] = dba_fetch('a', $db);
        dba_close($db);
        array_map('unlink', glob("$name.$handler*"));
    }
    dba_replace('a', 'kept', open("$name.flat"));
    $kept = dba_fetch('a', open("$name.flat"));
    unlink("$name.flat");
    return [$seen, $kept, count(dba_handlers()) > 4];
}
function left() {
    $open = array_map(fn ($fd) => @readlink($fd), glob('/proc/self/fd/*'));
    return ['handle' => preg_grep('#/dba-\d+\.flat#', $open) !== []];
}
