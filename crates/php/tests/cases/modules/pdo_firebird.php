<?php
// load: pdo_firebird
// without a server
function work() { try { new PDO('firebird:dbname=127.0.0.1/1:/none', 'a', 'b', [PDO::ATTR_PERSISTENT => true]); } catch (PDOException $e) { return [$e->getCode(), in_array('firebird', PDO::getAvailableDrivers(), true)]; } }
function left() { return ['driver' => !in_array('firebird', PDO::getAvailableDrivers(), true)]; }
