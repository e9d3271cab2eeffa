<?php
require __DIR__ . '/included.php';
$status = opcache_get_status();
echo json_encode([getmypid(), $status['opcache_enabled'], $status['opcache_statistics']['misses'], $status['opcache_statistics']['hits'] > 0, $status['opcache_statistics']['num_cached_scripts']]);
