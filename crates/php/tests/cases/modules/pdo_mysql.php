<?php
// keeps: connection
function open() {
    return new PDO('mysql:unix_socket=' . $_GET['servers'] . '/mysql.sock;charset=utf8mb4', 'root', '', [PDO::ATTR_PERSISTENT => true]);
}
function work() {
    $c = open();
    $c->exec('SET @seen = 1');
    $s = $c->prepare('SELECT :n + 1');
    $s->execute(['n' => 4]);
    $n = $s->fetchColumn();
    try { $c->exec('NO SQL'); } catch (PDOException $e) { $n .= $e->getCode(); }
    return [$n, $c->getAttribute(PDO::ATTR_DRIVER_NAME)];
}
function left() { return ['connection' => open()->query('SELECT @seen')->fetchColumn() !== null]; }
