<?php
// As either: what `put` and `put-own` have made.
require __DIR__ . '/../prelude.php';
$root = $victim && is_dir($victim->root) ? $victim->root : $me->root;
$directory = "$root/$told->directory";
if (is_file("$directory/.git/config")) {
    unlink("$directory/.git/config");
}
foreach (scandir($directory) ?: [] as $name) {
    $path = "$directory/$name";
    if ($name === '.' || $name === '..') {
        continue;
    }
    is_dir($path) && !is_link($path) ? rmdir($path) : unlink($path);
}
rmdir($directory);
echo 'done';
