<?php
// What others run, and with which words.
require_once __DIR__ . '/prelude.php';
attempt('list /proc', fn() => scandir('/proc'));
foreach (others() as $pid) {
    attempt("command line of $pid", fn() => content("/proc/$pid/cmdline"));
}
attempt('ps', fn() => command('ps axww'));
