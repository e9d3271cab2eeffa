<?php
// As the victim: remove what the suite has made. Memory and queues went with their sandbox.
require __DIR__ . '/../prelude.php';

foreach (scandir($victim->place) ?: [] as $name) {
    if ($name !== '.' && $name !== '..') {
        unlink("$victim->place/$name");
    }
}
if (is_dir($victim->place)) {
    rmdir($victim->place);
}
foreach (["/tmp/hostel-prove-$victim->run", "/var/lib/php/sessions/sess_$victim->session"] as $path) {
    if (file_exists($path)) {
        unlink($path);
    }
}
echo file_exists($victim->place) ? 'not removed' : 'done';
