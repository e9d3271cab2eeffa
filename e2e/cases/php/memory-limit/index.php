<?php
ini_set('memory_limit', '8M');
register_shutdown_function(function () { echo 'shutdown ran'; });
$text = 'x';
while (true) {
    $text .= $text;
}
