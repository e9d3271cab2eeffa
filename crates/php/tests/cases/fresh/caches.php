<?php
// What the caches held when the request began.
$paths = array_keys(realpath_cache_get());
sort($paths);
echo json_encode(['paths' => $paths, 'error' => preg_last_error(), 'buffers' => ob_get_level(), 'session' => session_status(),
    'last' => error_get_last()]);
