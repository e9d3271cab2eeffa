<?php
$status = opcache_get_status(false);
var_dump($status['opcache_enabled'], $status['cache_full'], $status['opcache_statistics']['num_cached_scripts'] > 0);
var_dump(opcache_is_script_cached(__FILE__), opcache_invalidate(__FILE__, true), opcache_compile_file(__DIR__ . '/other.inc'));
