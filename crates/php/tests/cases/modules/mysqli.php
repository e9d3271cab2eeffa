<?php
// keeps: connection
function open() { return new mysqli('p:localhost', 'root', '', '', 0, $_GET['servers'] . '/mysql.sock'); }
function work() {
    $c = open();
    $c->set_charset('utf8mb4');
    $c->query('SET @seen = 1');
    $c->query('CREATE DATABASE IF NOT EXISTS seen');
    $c->query('CREATE TEMPORARY TABLE IF NOT EXISTS seen.t (n INT)');
    $s = $c->prepare('SELECT ? + 1 AS n');
    $s->bind_param('i', $n);
    $n = 4;
    $s->execute();
    return [$s->get_result()->fetch_assoc(), $c->server_version > 100000, $c->character_set_name(), $c->real_escape_string("'")];
}
function left() { return ['connection' => connected()]; }
