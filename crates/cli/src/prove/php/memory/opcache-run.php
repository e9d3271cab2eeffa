<?php
// A script that the victim has in its cache needs not be read to be run, if the cache is shared.
require_once __DIR__ . '/../prelude.php';
need_functions('opcache_is_script_cached');
attempt('ask', fn() => opcache_is_script_cached($victim->script) ? 'it is cached' : throw new Exception('not in this cache'));
attempt('run', function () use ($victim) {
    ob_start();
    $result = include $victim->script;
    return $result === false ? false : ob_get_clean();
});
