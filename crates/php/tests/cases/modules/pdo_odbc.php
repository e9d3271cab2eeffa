<?php
// load: pdo_odbc
// without a driver
function work() { try { new PDO('odbc:Driver=none', 'a', 'b', [PDO::ATTR_PERSISTENT => true]); } catch (PDOException $e) { return [$e->getCode(), in_array('odbc', PDO::getAvailableDrivers(), true)]; } }
function left() { return ['driver' => !in_array('odbc', PDO::getAvailableDrivers(), true)]; }
