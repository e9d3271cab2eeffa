<?php
class Counter { public static int $n = 0; }
function f() { static $n = 0; return ++$n; }
define('MADE_HERE', 1);
$GLOBALS['made'] = true;
echo ++Counter::$n, ' ', f(), ' ', f();
chdir('/tmp');
umask(0);
setlocale(LC_NUMERIC, 'C.UTF-8');
mb_internal_encoding('ISO-8859-1');
libxml_use_internal_errors(true);
srand(5);
