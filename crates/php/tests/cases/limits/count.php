<?php
class C { public static int $count = 0; }
C::$count++;
define('ONCE', 1);
$GLOBALS['left'] = ($GLOBALS['left'] ?? 0) + 1;
ini_set('precision', '5');
putenv('LEFT=over');
chdir('/tmp');
setlocale(LC_ALL, 'C.UTF-8');
date_default_timezone_set('Europe/Berlin');
ob_start();
$cycle = new stdClass();
$cycle->self = $cycle;
$data = array_fill(0, 1000, str_repeat('x', 100));
echo C::$count, $GLOBALS['left'], $_GET['i'];
