<?php
function work() {
    eval('class Seen { public static $n = 1; } function seen() { static $n = 0; return ++$n; }');
    define('SEEN', 1);
    set_error_handler(fn () => true);
    gc_disable();
    $cycles = [];
    for ($i = 0; $i < 20000; $i++) { $a = new stdClass; $a->self = $a; }
    return [seen(), gc_enabled(), gc_collect_cycles() > 10000, error_reporting(0) > 0];
}
function left() {
    return ['class' => class_exists('Seen', false), 'function' => function_exists('seen'), 'constant' => defined('SEEN'), 'collector' => !gc_enabled(),
        'level' => error_reporting() === 0];
}
