<?php
// load: pdo_dblib
// without a server
function work() { try { new PDO('dblib:host=127.0.0.1:1', 'a', 'b', [PDO::ATTR_PERSISTENT => true]); } catch (PDOException $e) { return [$e->getCode(), in_array('dblib', PDO::getAvailableDrivers(), true)]; } }
function left() { return ['driver' => !in_array('dblib', PDO::getAvailableDrivers(), true)]; }
