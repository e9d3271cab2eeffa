<?php
// load: uopz
// set: opcache.enable = 0
function work() {
    uopz_set_return('strrev', 'seen');
    uopz_redefine('SEEN', 'seen');
    uopz_add_function('added', fn () => 5);
    uopz_set_mock('ArrayObject', 'ArrayIterator');
    uopz_set_property('Kept', 'n', 7);
    return [strrev('abc'), added(), SEEN, Kept::$n];
}
class Kept { public static $n = 1; }
function left() { return ['return' => strrev('abc') !== 'cba', 'constant' => defined('SEEN'), 'function' => function_exists('added'), 'property' => Kept::$n === 7]; }
