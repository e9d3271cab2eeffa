<?php
register_shutdown_function(function () { echo "[shutdown]"; if ($_GET['at'] === 'shutdown') { exit(' exit in shutdown'); } });
class D { function __destruct() { echo "[destructor]"; } }
$d = new D;
function deep() { exit('deep'); }
switch ($_GET['at']) {
    case 'text': exit('text');
    case 'number': exit(3);
    case 'deep': array_map(fn() => deep(), [1]); break;
    case 'buffer': ob_start(function ($text) { return "<$text>"; }); echo 'in'; exit;
    case 'finally': try { exit('try'); } finally { echo 'never'; } break;
    case 'generator': foreach ((function () { yield 1; exit('gen'); })() as $x) { echo $x; } break;
    case 'output-callback': ob_start(fn($text) => exit('x')); echo 'in'; break;
    case 'include': include __DIR__ . '/exits.inc'; break;
    case 'shutdown': echo 'normal'; break;
}
echo 'end';
