<?php
// As much memory as is said. The kernel may end all of the site's processes meanwhile.
require_once __DIR__ . '/../prelude.php';
// hostel-probe takes no more than that, whatever the machine has.
if ($told->beyond->memory > 2048) {
    not_tried('memory_max is more than the 2 GiB that the suite takes');
}
say('memory', 'failed', 'no more words from a site that the kernel ended');
echo command(__DIR__ . "/../hostel-probe memory {$told->beyond->memory}");
