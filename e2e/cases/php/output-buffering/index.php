<?php
var_dump(ob_get_level(), ini_get('output_buffering'));
ob_start();
echo 'inner';
$inner = ob_get_clean();
ob_start(fn($text) => strtoupper($text));
echo "upper $inner\n";
ob_end_flush();
ob_start(null, 10);
echo "a chunk of more than ten bytes\n";
ob_end_flush();
ob_start();
ob_start();
echo 'nested';
ob_end_flush();
ob_end_flush();
print_r(ob_list_handlers());
ob_start(fn($text) => "[$text]");
echo 'left open at the end';
