<?php
class Last { function __destruct() { echo '[destructor]'; exit('[exit in destructor]'); } }
switch ($_GET['where']) {
    case 'plain': echo 'a'; exit; 
    case 'text': exit('b');
    case 'buffer': ob_start(fn ($text) => strtoupper($text)); echo 'c'; exit;
    case 'callback': ob_start(function ($text) { exit; }); echo 'lost'; ob_end_flush(); echo 'not reached'; break;
    case 'shutdown': register_shutdown_function(function () { echo 'd'; exit; }); register_shutdown_function(function () { echo 'not reached'; }); exit;
    case 'destructor': $last = new Last(); echo 'e'; exit;
    case 'handler': set_error_handler(function () { echo 'f'; exit; }); echo $undefined; break;
    case 'exception': set_exception_handler(function () { echo 'g'; exit(3); }); throw new Exception();
    case 'include': echo 'h'; include __DIR__ . '/exit_included.php'; break;
    case 'generator': (function () { try { yield 1; } finally { echo 'i'; exit; } })()->current(); break;
    case 'session': session_start(); $_SESSION['x'] = 1; echo 'j'; exit;
    case 'status': exit(255);
}
echo '!';
