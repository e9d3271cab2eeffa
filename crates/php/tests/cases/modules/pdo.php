<?php
function work() {
    try { new PDO('none:'); } catch (PDOException $e) { $said = $e->getMessage(); }
    return [$said, in_array('mysql', PDO::getAvailableDrivers(), true), (new ReflectionClass('PDO'))->hasConstant('ATTR_PERSISTENT')];
}
function left() { return ['drivers' => !in_array('mysql', PDO::getAvailableDrivers(), true)]; }
