<?php
// The victim's script, run by this site's PHP.
require __DIR__ . '/../prelude.php';
ob_start();
attempt("include $victim->script", fn() => include $victim->script);
attempt("run $victim->script", fn() => command('php ' . escapeshellarg($victim->script)));
$_SERVER['SCRIPT_FILENAME'] = $victim->script;
attempt("virtual include", fn() => include $_SERVER['SCRIPT_FILENAME']);
