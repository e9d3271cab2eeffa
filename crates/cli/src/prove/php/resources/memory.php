<?php
// As much memory as is said. The kernel may end all of the site's processes meanwhile.
require_once __DIR__ . '/../prelude.php';
say('memory', 'failed', 'no more words from a site that the kernel ended');
echo command(__DIR__ . "/../hostel-probe memory {$told->beyond->memory}");
