<?php
// load: pdo_sqlite
// keeps: database
function open() { return new PDO('sqlite::memory:', null, null, [PDO::ATTR_PERSISTENT => true]); }
function work() {
    $c = open();
    $c->exec('CREATE TABLE IF NOT EXISTS seen (n INT)');
    $c->sqliteCreateFunction('twice', fn ($n) => 2 * $n);
    $s = $c->prepare('SELECT twice(?)');
    $s->execute([4]);
    return [$s->fetchColumn(), $c->getAttribute(PDO::ATTR_DRIVER_NAME)];
}
function left() { return ['database' => (bool) open()->query("SELECT name FROM sqlite_master WHERE name = 'seen'")->fetchColumn()]; }
