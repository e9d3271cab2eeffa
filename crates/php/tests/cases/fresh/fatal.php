<?php
ob_start();
echo 'x';
putenv('LEFT=1');
function deep($n) { static $k = []; $k[] = str_repeat('y', 1000); return deep($n + 1) . 'z'; }
register_shutdown_function(function () { setlocale(LC_ALL, 'C.UTF-8'); echo 'end'; exit(4); });
deep(0);
