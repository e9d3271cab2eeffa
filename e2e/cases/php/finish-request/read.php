<?php
$name = '/tmp/finished-' . $_GET['n'];
for ($i = 0; $i < 100 && !file_exists($name); $i++) {
    usleep(10000);
    clearstatcache();
}
echo file_get_contents($name);
unlink($name);
