<?php
// Asks for so many mebibytes, two by two as PHP does, and keeps them for a while; at most 400.
ini_set('memory_limit', -1);
$kept = [];
for ($i = 0; $i < min(400, (int) $_GET['mib']) / 2; $i++) {
    $kept[] = str_repeat(chr($i), (1 << 21) - 100);
}
usleep(1000 * (int) ($_GET['ms'] ?? 0));
echo 2 * count($kept);
