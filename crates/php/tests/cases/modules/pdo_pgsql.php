<?php
// load: pdo_pgsql
// keeps: connection
function open() { return new PDO("pgsql:host={$_GET['servers']};dbname=postgres;user=tester", null, null, [PDO::ATTR_PERSISTENT => true]); }
function work() {
    $c = open();
    $c->exec("SET application_name = 'seen'");
    $s = $c->prepare('SELECT ?::int + 1');
    $s->execute([4]);
    $n = $s->fetchColumn();
    try { $c->exec('NO SQL'); } catch (PDOException $e) { $code = $e->getCode(); }
    try { new PDO('pgsql:host=127.0.0.1;port=1'); } catch (PDOException $e) { $refused = $e->getCode(); }
    return [$n, $code, $refused];
}
function left() { return ['connection' => open()->query('SHOW application_name')->fetchColumn() === 'seen']; }
