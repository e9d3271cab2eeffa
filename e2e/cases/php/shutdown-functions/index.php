<?php
register_shutdown_function(function () { echo "one\n"; register_shutdown_function(function () { echo "nested\n"; }); });
register_shutdown_function(function ($x) { echo "two $x\n"; header('X-From-Shutdown: yes'); }, 'argument');
class Last { function __destruct() { echo "destructor\n"; } }
$last = new Last;
echo "main\n";
