<?php
// As the victim: and away with it.
require_once __DIR__ . '/../prelude.php';
echo command(__DIR__ . "/../hostel-probe posix-queue-remove hostel-prove-$told->marker");
