<?php
// load: sqlite3
function work() {
    $name = sys_get_temp_dir() . '/sqlite3-' . getmypid();
    $db = new SQLite3($name);
    $db->exec('PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)');
    $db->createFunction('twice', fn ($n) => 2 * $n);
    $db->createAggregate('product', fn ($c, $r, $n) => ($c ?? 1) * $n, fn ($c) => $c);
    $answer = [$db->querySingle('SELECT sum(twice(a)) FROM t'), $db->querySingle('SELECT product(a) FROM t'), @$db->exec('NO SQL'), $db->lastErrorCode()];
    $db->close();
    array_map('unlink', glob("$name*"));
    return $answer;
}
function left() { return ['database' => (new SQLite3(':memory:'))->querySingle('SELECT count(*) FROM sqlite_master') !== 0]; }
