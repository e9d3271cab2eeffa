<?php
// Keep a secret in memory for a while, as any worker does that serves somebody.
require_once __DIR__ . '/../prelude.php';
$kept = "kept:$told->kept";
echo "keeping\n";
flush();
sleep(8);
echo strlen($kept);
