<?php
// As the victim: a queue that everybody may read, with a message in it.
require_once __DIR__ . '/../prelude.php';
echo command(__DIR__ . "/../hostel-probe posix-queue-make hostel-prove-$told->marker message");
