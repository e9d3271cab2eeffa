<?php
// Run the native probe, which speaks as `say` does.
require __DIR__ . '/prelude.php';
echo command(__DIR__ . '/hostel-probe ' . implode(' ', array_map('escapeshellarg', $told->probe)));
