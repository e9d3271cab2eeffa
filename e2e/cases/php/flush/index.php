<?php
header('Content-Type: text/plain');
for ($i = 0; $i < 5; $i++) {
    echo "line $i\n";
    @ob_flush();
    flush();
}
